#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""iperf_check.py FILE BYTES: fail unless iperf3's JSON shows a run without error in which each direction delivered BYTES
(0.9 of it: the receiver stops counting when the sender says that it is done), and, for UDP, lost next to nothing."""
import json
import sys

report = json.load(open(sys.argv[1]))
least = int(sys.argv[2]) * 0.9
if "error" in report:
    sys.exit("iperf3: " + report["error"])
end = report["end"]
received = [end[key]["bytes"] for key in ("sum_received", "sum_received_bidir_reverse") if key in end]
if not received and "sum" in end:  # UDP of older versions
    received = [end["sum"]["bytes"]]
print("received:", received, "sent:", end.get("sum_sent", {}).get("bytes"))
if not received or min(received) < least:
    sys.exit(f"fewer than {least:.0f} bytes arrived")
if report["start"]["test_start"]["protocol"] == "UDP":
    total = end["sum"]
    print("lost", total["lost_packets"], "of", total["packets"])
    if total["lost_packets"] > total["packets"] * 0.01:
        sys.exit("too many datagrams were lost at this low rate")
