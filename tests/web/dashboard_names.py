#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Usage: dashboard_names.py DASHBOARD.json RULES.yml METRICS.md METRICS: the metrics that Grafana's dashboard and the alerts ask for and
those that the document lists are in METRICS (what /metrics answered) or documented, and METRICS has none that is not documented."""
import json
import re
import sys

dashboard = json.load(open(sys.argv[1], encoding="utf-8"))
documented = set(re.findall(r"^\| `(lockstep_\w+)`", open(sys.argv[3], encoding="utf-8").read(), re.M))
types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", open(sys.argv[4], encoding="utf-8").read(), re.M))

problems = []
uids = [panel["id"] for panel in dashboard["panels"]]
if len(uids) != len(set(uids)):
    problems.append("panels with the same id")
expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
if len(expressions) < 10:
    problems.append("hardly a query")
# No other words of the rules begin so.
expressions += re.findall(r"\blockstep_\w+", open(sys.argv[2], encoding="utf-8").read())
for expression in expressions:
    for name in re.findall(r"\blockstep_\w+", expression):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        known = name in documented or (base in documented and types.get(base, "histogram") == "histogram")
        if not known:
            problems.append(f"the dashboard or an alert asks for {name}, which is no metric")
for name in types:
    if name not in documented:
        problems.append(f"{name} is not documented")
# What only appears with a test-bed run, a server's clients, or sources that drop.
for name in documented - set(types):
    if not re.match(r"lockstep_(testbed|clock_server|clock_bound_utc|clock_system)", name):
        problems.append(f"{name} is documented, but not there")
for problem in problems:
    print(problem, file=sys.stderr)
print(f"{len(types)} metrics, {len(expressions)} queries")
sys.exit(bool(problems))
