#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Sockets for the scenario of the policy, and a comparison of what became of them with what `lockstep policy test` says.

policy_cases.py open CASES                      opens the sockets, prints "ready", and keeps them
policy_cases.py compare CASES REPORT COMMAND... compares: REPORT is that of `lockstep connections --json`, COMMAND that of the
                                                test, to which the case's options are added

A case is a line "ACTION PROTOCOL DIRECTION ADDRESS PORT [LOCAL-PORT] WORD...": what the author expects, a socket (connect: the
peer; listen: the local address; multicast: the group), the port it is bound to before it connects (0: none), and words that must
stand in the reason. A line that begins with # is none.
"""
import json
import socket
import subprocess
import sys

KINDS = {"connect": "connect", "listen": "bound", "multicast": "multicast"}


def read_cases(path):
    cases = []
    for line in open(path, encoding="utf-8"):
        words = line.split()
        if words and not words[0].startswith("#"):
            action, protocol, direction, address = words[:4]
            cases.append((action, protocol, direction, address, int(words[4]), int(words[5]), " ".join(words[6:])))
    return cases


def join(opened, family, group):
    where = socket.if_nametoindex("eth0").to_bytes(4, sys.byteorder)
    if family == socket.AF_INET:
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + bytes(4) + where)
    else:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(family, group) + where)


def listen(opened):
    """What becomes of a listener is decided when it is used."""
    opened.listen()
    try:
        opened.accept()
    except BlockingIOError:
        pass


def open_case(case):
    _, protocol, direction, address, port, local_port, _ = case
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    anywhere = "::" if family == socket.AF_INET6 else "0.0.0.0"
    opened = socket.socket(family, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    opened.setblocking(False)
    if direction == "connect":
        if local_port:
            opened.bind((anywhere, local_port))
        try:
            opened.connect((address, port))
        except OSError as error: # under way, or refused at once
            print(case, error)
    else:
        opened.bind((anywhere if direction == "multicast" else address, port))
        if protocol == "tcp":
            listen(opened)
        if direction == "multicast":
            join(opened, family, address)
    return opened


def text(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def is_case(case, entry):
    """Every case has a port of its own."""
    _, protocol, direction, address, port, local_port, _ = case
    mine = entry["local"].endswith(f":{local_port or port}") if direction != "connect" or local_port else False
    return entry["protocol"] == protocol and (mine or entry["remote"].endswith(f":{port}"))


def became(case, report):
    kind = KINDS[case[2]]
    flows = [flow for flow in report["flows"] if is_case(case, flow)]
    if any(flow["kind"] == kind or (kind == "connect" and flow["kind"] == "bound") for flow in flows):
        return "accelerate", ""
    reasons = [entry["reason"] for entry in report["kernel"] if is_case(case, entry)]
    return "kernel", reasons[0] if reasons else "?"


def said(case, command):
    _, protocol, direction, address, port, local_port, _ = case
    options = ["--json", "--protocol", protocol, "--direction", direction]
    options += ["--remote" if direction == "connect" else "--local", text(address, port)]
    if direction == "connect" and local_port:
        options += ["--local", text("::" if ":" in address else "0.0.0.0", local_port)]
    if direction == "multicast":
        options += ["--interface", "eth0"]
    done = subprocess.run(command + options, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):
        raise SystemExit(f"{case}: {done.stderr}")
    answer = json.loads(done.stdout)
    assert (answer["action"] == "kernel") == (done.returncode == 3), case
    return answer["action"], answer["reason"]


def compare(path, report_path, command):
    with open(report_path, encoding="utf-8") as file:
        report = json.load(file)
    wrong = 0
    for case in read_cases(path):
        action, reason = said(case, command)
        real_action, real_reason = became(case, report)
        good = action == real_action == case[0] and case[6] in reason
        good = good and (action == "accelerate" or reason == real_reason)
        print("ok" if good else "WRONG", case, "said:", action, reason, "became:", real_action, real_reason)
        wrong += not good
    return wrong


if __name__ == "__main__":
    if sys.argv[1] == "open":
        kept = [open_case(case) for case in read_cases(sys.argv[2])]
        print("ready", flush=True)
        sys.stdin.read()
    else:
        sys.exit(1 if compare(sys.argv[2], sys.argv[3], sys.argv[4:]) else 0)
