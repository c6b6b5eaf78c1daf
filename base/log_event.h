/* SPDX-License-Identifier: BSD-2-Clause */
/* The events that an operator may wait for or be alarmed by. Each has a fixed name and the journal's MESSAGE_ID, which
 * `journalctl MESSAGE_ID=...` finds and docs/lockstep.catalog explains. Never change one; new ones go to the end. */
#ifndef LOCKSTEP_BASE_LOG_EVENT_H
#define LOCKSTEP_BASE_LOG_EVENT_H

#define LOG_EVENTS(X)                                                                                                  \
    X(CLOCK_SYNCHRONISED, "clock-synchronised", "9a6537bc029b4e66ac13298f255977d3")                                    \
    X(CLOCK_LOST, "clock-lost", "064f71f6cfef4b84acb49c683729c355")                                                    \
    X(CLOCK_DISRUPTED, "clock-disrupted", "e2b906200a1649b897e12586a1af9100")                                          \
    X(SOURCE_LOST, "source-lost", "ea9d6115e8bd4eaea12873a1fb7c5960")                                                  \
    X(ATTACHED, "attached", "154be351e097410592cebac4fa21023d")                                                        \
    X(NOT_ATTACHED, "not-attached", "4617f4626971426ba305747d97c02085")                                                \
    X(INTERFACE_GONE, "interface-gone", "ebd5077b69554b3b988bb42841dc803d")                                            \
    X(LANES_TAKEN_OVER, "lanes-taken-over", "e05237871f934dc5aefcd517cfc21b2e")                                        \
    X(LANE_REFUSED, "lane-refused", "431d4b2789ff40508ef767a83fc19f65")                                                \
    X(CONNECTION_LOST, "connection-lost", "464131904b6143c3a11119aa71f59d50")                                          \
    X(RELOADED, "reloaded", "c068bc27ebcf4bbfa56384f3c34812a0")                                                        \
    X(RECORDER_GAP, "recorder-gap", "533c97fed2734ae995a05da2eadcb922")

enum log_event {
    LOG_EVENT_NONE,
#define X(name, text, id) LOG_EVENT_##name,
    LOG_EVENTS(X)
#undef X
        LOG_EVENT_COUNT
};

/* "attached"; "" for none. */
const char *log_event_name(enum log_event event);
/* 32 hexadecimal digits; "" for none. */
const char *log_event_id(enum log_event event);

#endif
