/* SPDX-License-Identifier: BSD-2-Clause */
/* api_client: what programs may expect of sockets, as cases against a peer (api_server) in another network namespace.
 */
#include <stddef.h>

#include "tests/net/api/cases.h"

int main(int argc, char **argv)
{
    static const struct api_case *const tables[] = {tcp_connect_cases,   tcp_data_cases,
                                                    tcp_bulk_cases,      tcp_close_cases,
                                                    tcp_option_cases,    tcp_tuning_cases,
                                                    tcp_listen_cases,    udp_cases,
                                                    udp_port_cases,      udp_control_cases,
                                                    udp_multicast_cases, poll_cases,
                                                    epoll_cases,         epoll_mixed_cases,
                                                    descriptor_cases,    process_cases,
                                                    worker_cases,        thread_cases,
                                                    signal_cases,        kernel_cases,
                                                    memory_cases,        NULL};

    return harness_main(argc, argv, tables);
}
