/* SPDX-License-Identifier: BSD-2-Clause */
/* The daemon's reports over its control socket RUNTIME_DIR/clockd.sock (SOCK_STREAM, anybody may connect).
 *
 * The client writes one line, "status", "sources", "stats" or "record", and reads until the end of the stream: one JSON
 * document, or for "record" trace lines (clock/trace.h) until either side closes. An unknown line gives
 * {"error": "..."}. Times without a suffix of another unit are nanoseconds; what is not known is null.
 *
 * "status" {
 *   "program": "lockstep-clockd", "version": text, "pid": n, "uptime_s": n, "segment": path,
 *   "status": "unsynchronised" | "synchronised" | "holdover" | "disrupted", "disruptions": n, "last_disruption": text,
 *   "counter": {"name": "tsc", "nominal_hz": x, "hz": x (as estimated), "why": sentence},
 *   "selected": name of the source or null, "stratum": of this node, "reference_id": n (host order of the four bytes),
 *   "tai_utc_s": n, "leap": -1 | 0 | 1, "leap_at_utc_ns": n or null,
 *   "time_tai_ns": n or null, "bound_ns": n or null (now, to the server), "bound_utc_ns": n or null,
 *   "bound_growth_ppb": n, "void_in_ns": n, "age_ns": since the last update, "updates": n,
 *   "remaining_ns": x (correction still being slewed), "frequency_ppm": x (counter against nominal),
 *   "frequency_sigma_ppb": x or null, "root_delay_ns": n, "root_dispersion_ns": n,
 *   "system_clock_offset_ns": n or null (CLOCK_REALTIME minus this clock),
 *   "disciplining": bool (the system clock is steered), "serving": bool, "local_reference": bool, "sandbox": bool
 * }
 * "sources" {"sources": [{
 *   "name": text, "address": "192.0.2.1:123" or null, "state": "unreachable" | "measuring" | "falseticker" |
 *   "candidate" | "selected" | "stopped", "prefer": bool, "no_select": bool, "reach": n (last eight polls as bits),
 *   "stratum": n, "leap": n, "reference_id": n, "poll_log2": n, "interleaved": bool, "authentication": "none" | "key" |
 *   "nts", "authenticated": bool, "last_reply_ago_ns": n or null, "offset_ns": x (source minus this clock),
 *   "bound_ns": x or null, "round_trip_ns": x, "stamps": "kernel" | "hardware" | "program" | "none"
 * }]}
 * "stats" {"sources": [{
 *   "name": text, "frequency_ppm": x or null, "frequency_sigma_ppb": x, "wander_ppb": x, "sigma_ns": x, "noise_ns": x,
 *   "baseline_ns": x, "residual_ns": x, "excess_ns": x, "asymmetry": x, "root_delay_ns": n, "root_dispersion_ns": n,
 *   "accepted", "held_back", "refused", "restarts", "shifts_up", "shifts_down", "sent", "received", "used": n,
 *   "dropped": {name of the reason: n, ...} (only those that happened)
 * }], "server": null or {"requests", "replies", "interleaved", "malformed", "denied", "rate_limited", "kiss_rate",
 *   "not_authentic", "nts", "keys": n}}
 */
#ifndef LOCKSTEP_CLOCK_REPORT_H
#define LOCKSTEP_CLOCK_REPORT_H

#include <stdint.h>

#define REPORT_SOCKET_NAME "clockd.sock"
#define REPORT_DEFAULT_DIR "/run/lockstep"
#define REPORT_LINE_MAX    32 /* a request with its newline */

enum report_kind { REPORT_STATUS, REPORT_SOURCES, REPORT_STATS, REPORT_RECORD, REPORT_KINDS };

/* The request's kind; LOCKSTEP_E_UNKNOWN_NAME. Pure. The line is without its newline. */
int report_parse_request(const char *line);

struct clockd;

/* The document as text with a newline at its end; the caller frees it. NULL: no memory. Not for REPORT_RECORD. */
char *report_write(const struct clockd *clockd, enum report_kind kind);
/* {"error": message}, the same way. */
char *report_write_error(const char *message);

#endif
