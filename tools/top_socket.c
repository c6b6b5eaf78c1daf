/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/top_socket.h"

#include <inttypes.h>

#include "base/units.h"
#include "monitor/json_report.h"
#include "tools/top_page.h"

/* Units of a member, in a buffer that holds until the caller's statement is over. */
#define BYTES(object, key) units_format_bytes(report_number(object, key), (char[UNITS_TEXT_MAX]){0})
#define TIME(object, key)  units_format_ns(report_number(object, key) * 1000, (char[UNITS_TEXT_MAX]){0})

static void print_times(struct json_object *congestion, struct json_object *timers, FILE *out)
{
    static const struct {
        const char *key, *text;
    } names[] = {
        {"retransmit_in_us", "retransmission"}, {"ack_in_us", "acknowledgement"}, {"reorder_in_us", "reordering"},
        {"keepalive_in_us", "keepalive"},       {"state_ends_in_us", "end"},      {"held_data_in_us", "held data"}};
    const char *between = "";

    if (report_number(congestion, "smoothed_rtt_us"))
        top_page_line(out, "Round trip", "%s smoothed, varies by %s, least %s", TIME(congestion, "smoothed_rtt_us"),
                      TIME(congestion, "rtt_variation_us"), TIME(congestion, "rtt_min_us"));
    top_page_line(out, "Time-out", "%s, doubled %" PRIu64 " times", TIME(congestion, "retransmission_timeout_us"),
                  report_number(congestion, "backoff"));
    top_page_begin(out, "Timers");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!report_member(timers, names[i].key))
            continue;
        fprintf(out, "%s%s in %s", between, names[i].text, TIME(timers, names[i].key));
        between = ", ";
    }
    fputs(*between ? "\n" : "none\n", out);
}

static void print_congestion(struct json_object *congestion, uint64_t mss, FILE *out)
{
    uint64_t window = report_number(congestion, "window_bytes"), rtt_us = report_number(congestion, "smoothed_rtt_us");
    bool unlimited = !report_member(congestion, "threshold_bytes");
    char rate[UNITS_TEXT_MAX];

    top_page_line(out, "Congestion", "window %s (%" PRIu64 " segments), %s; threshold %s%s",
                  BYTES(congestion, "window_bytes"), mss ? window / mss : 0, report_text(congestion, "state"),
                  unlimited ? "none yet" : BYTES(congestion, "threshold_bytes"),
                  report_number(congestion, "window_was_used_up") ? "; used up" : "");
    if (rtt_us)
        top_page_line(out, "Can send", "%s: that window each round trip",
                      units_format_bits_per_s((double)window * 8e6 / (double)rtt_us, rate));
}

static void print_sending(struct json_object *send, struct json_object *recovery, FILE *out)
{
    top_page_line(out, "Send queue", "%s not acknowledged, of these %s not sent; room for %s%s",
                  BYTES(send, "queued_bytes"), BYTES(send, "unsent_bytes"), BYTES(send, "buffer_bytes"),
                  report_number(send, "blocked_by_injector") ? "; waits for the interface" : "");
    top_page_line(out, "In flight", "%s; the peer's window %s, it was %s at most", BYTES(send, "in_flight_bytes"),
                  BYTES(send, "window_bytes"), BYTES(send, "window_max_bytes"));
    top_page_line(out, "Sent again",
                  "%" PRIu64 " segments, %s, %" PRIu64 " probes in vain; %" PRIu64
                  " duplicate acknowledgements, reordering %" PRIu64,
                  report_number(recovery, "retransmissions"), BYTES(recovery, "retransmitted_bytes"),
                  report_number(recovery, "needless_probes"), report_number(recovery, "duplicate_acks"),
                  report_number(recovery, "reordering_segments"));
    if (report_count(recovery, "sacked_by_peer"))
        top_page_line(out, "Gaps", "%zu ranges that the peer has beyond gaps",
                      report_count(recovery, "sacked_by_peer"));
}

static void print_receiving(struct json_object *receive, FILE *out)
{
    top_page_line(out, "Receive queue", "%s not read; window %s, of %s at most%s", BYTES(receive, "unread_bytes"),
                  BYTES(receive, "announced_window_bytes"), BYTES(receive, "window_limit_bytes"),
                  report_number(receive, "window_fixed_by_program") ? " (set by the program)" : "");
    top_page_line(out, "Out of order", "%s in %" PRIu64 " segments", BYTES(receive, "out_of_order_bytes"),
                  report_number(receive, "out_of_order_segments"));
}

/* "38.00 us ago"; what is older than the connection has never been. */
static void print_ago(struct json_object *object, const char *key, uint64_t age_us, FILE *out)
{
    if (report_number(object, key) > age_us)
        fputs("never", out);
    else
        fprintf(out, "%s ago", TIME(object, key));
}

static void print_last(struct json_object *tcp, FILE *out)
{
    uint64_t age_us = report_number(tcp, "age_us");

    top_page_begin(out, "Last");
    fputs("data sent ", out);
    print_ago(report_member(tcp, "send"), "last_sent_us_ago", age_us, out);
    fputs(", received ", out);
    print_ago(report_member(tcp, "receive"), "last_received_us_ago", age_us, out);
    fputc('\n', out);
}

static void print_options(struct json_object *tcp, FILE *out)
{
    static const struct {
        const char *key, *text;
    } flags[] = {{"sack", "SACK"}, {"timestamps", "timestamps"}, {"nodelay", "no delay"},
                 {"cork", "cork"}, {"quickack", "quick ACK"},    {"keepalive", "keepalive"}};
    struct json_object *options = report_member(tcp, "options"), *route = report_member(tcp, "route");

    top_page_begin(out, "Segments");
    fprintf(out, "%" PRIu64 " bytes at most; MTU %" PRIu64, report_number(report_member(tcp, "send"), "mss_bytes"),
            report_number(route, "mtu_bytes"));
    if (report_member(route, "path_mtu_bytes"))
        fprintf(out, ", of the path %" PRIu64, report_number(route, "path_mtu_bytes"));
    fputc('\n', out);
    top_page_begin(out, "Options");
    fprintf(out, "Reno");
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (report_number(options, flags[i].key))
            fprintf(out, ", %s", flags[i].text);
    }
    if (report_number(options, "window_scale"))
        fprintf(out, ", window scale %" PRIu64 " and %" PRIu64,
                report_number(report_member(tcp, "send"), "window_scale"),
                report_number(report_member(tcp, "receive"), "window_scale"));
    fputc('\n', out);
}

static void print_connection(struct json_object *tcp, FILE *out)
{
    struct json_object *send = report_member(tcp, "send"), *receive = report_member(tcp, "receive");
    struct json_object *congestion = report_member(tcp, "congestion");

    print_times(congestion, report_member(tcp, "timers"), out);
    print_congestion(congestion, report_number(send, "mss_bytes"), out);
    print_sending(send, report_member(tcp, "recovery"), out);
    print_receiving(receive, out);
    print_last(tcp, out);
    print_options(tcp, out);
}

static void print_listener(struct json_object *tcp, FILE *out)
{
    top_page_line(out, "Waiting", "%" PRIu64 " connections to be accepted, %" PRIu64 " half open; backlog %" PRIu64,
                  report_number(tcp, "waiting_to_be_accepted"), report_number(tcp, "half_open"),
                  report_number(tcp, "backlog"));
}

static void print_datagrams(struct json_object *udp, FILE *out)
{
    top_page_line(out, "Receive queue", "%" PRIu64 " datagrams, the next of %s; %s of %s",
                  report_number(udp, "queued_datagrams"), BYTES(udp, "next_datagram_bytes"),
                  BYTES(udp, "buffer_used_bytes"), BYTES(udp, "buffer_bytes"));
}

bool top_socket_print(struct json_object *socket, FILE *out)
{
    struct json_object *tcp = report_member(socket, "tcp"), *udp = report_member(socket, "udp");

    if (!tcp && !udp)
        return false;
    fputs(tcp ? "TCP, as its program says\n" : "UDP, as its program says\n", out);
    if (udp)
        print_datagrams(udp, out);
    else if (report_member(tcp, "backlog"))
        print_listener(tcp, out);
    else
        print_connection(tcp, out);
    return true;
}
