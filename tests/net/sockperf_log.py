#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""sockperf_log.py FILE LEAST: fail unless FILE, written by sockperf --full-log, has LEAST complete round trips in order."""
import sys

trips = []
for line in open(sys.argv[1]):
    field = line.strip().split(",")
    try:
        trips.append((float(field[1]), float(field[2])) if len(field) > 2 else (float(field[0]), float(field[1])))
    except (ValueError, IndexError):
        continue
bad = sum(1 for sent, received in trips if received <= sent)
order = sum(1 for (_, received), (sent, _) in zip(trips, trips[1:]) if sent < received)
print(f"{len(trips)} round trips, {bad} that end before they begin, {order} that overlap")
sys.exit(len(trips) < int(sys.argv[2]) or bad > 0 or order > 0)
