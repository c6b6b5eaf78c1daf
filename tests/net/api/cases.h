/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables of cases, one a topic; each ends with an entry without a name. */
#ifndef LOCKSTEP_TESTS_API_CASES_H
#define LOCKSTEP_TESTS_API_CASES_H

#include "tests/net/api/harness.h"

extern const struct api_case tcp_connect_cases[];
extern const struct api_case tcp_data_cases[];
extern const struct api_case tcp_bulk_cases[];
extern const struct api_case tcp_close_cases[];
extern const struct api_case tcp_option_cases[];
extern const struct api_case tcp_tuning_cases[];
extern const struct api_case tcp_listen_cases[];
extern const struct api_case udp_cases[];
extern const struct api_case udp_port_cases[];
extern const struct api_case udp_control_cases[];
extern const struct api_case udp_multicast_cases[];
extern const struct api_case poll_cases[];
extern const struct api_case epoll_cases[];
extern const struct api_case epoll_mixed_cases[];
extern const struct api_case descriptor_cases[];
extern const struct api_case process_cases[];
extern const struct api_case worker_cases[];
extern const struct api_case thread_cases[];
extern const struct api_case signal_cases[];
extern const struct api_case kernel_cases[];
extern const struct api_case memory_cases[];

#endif
