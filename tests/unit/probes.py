#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What docs/probes.md lists and what the binaries have is the same.

probes.py check DOCUMENT BINARY...     TAP; each BINARY under its own name's section: the probes and how many arguments
probes.py examples DOCUMENT DIRECTORY  the bpftrace examples as one program, with the binaries of a build directory
"""
import os
import re
import subprocess
import sys

PLACES = {"liblockstep.so": "stack", "lockstep-netd": "service", "lockstep-clockd": "clock"}


def documented(text):
    """{binary: {probe: number of arguments}}"""
    binaries, current = {}, None
    for line in text.splitlines():
        if line.startswith("## "):
            current = binaries.setdefault(line[3:].strip(), {})
        row = re.match(r"\| `(\w+)` \| (.*?) \| ", line)
        if row:
            if row.group(1) in current:
                raise SystemExit("%s is there twice" % row.group(1))
            current[row.group(1)] = len(re.findall(r"`\w+`", row.group(2)))
    return binaries


def built(binary):
    """{probe: numbers of arguments of its places}"""
    notes = subprocess.run(["readelf", "-n", binary], check=True, stdout=subprocess.PIPE, text=True).stdout
    probes = {}
    for provider, name, arguments in re.findall(r"Provider: (\w+)\n\s*Name: (\w+)\n.*\n\s*Arguments:(.*)", notes):
        if provider == "lockstep":
            probes.setdefault(name, set()).add(len(arguments.split()))
    return probes


def check(document, binaries):
    """Also every example's probe and arguments must exist."""
    with open(document, encoding="utf-8") as file:
        text = file.read()
    table, failures = documented(text), 0
    print("1..%d" % (2 * len(binaries)))
    for number, binary in enumerate(binaries):
        name = os.path.basename(binary)
        expected = {probe: {count} for probe, count in table.get(name, {}).items()}
        found = built(binary)
        same = expected == found and len(found) > 0
        for probe in sorted(set(expected) | set(found)):
            if expected.get(probe) != found.get(probe):
                print("# %s: documented %s, built %s" % (probe, expected.get(probe), found.get(probe)))
        print("%s %d %s: the document agrees" % ("ok" if same else "not ok", 2 * number + 1, name))
        wrong = [used for used in re.findall(r"%s:lockstep:(\w+)(.*)" % re.escape(name), text)
                 if used[0] not in found
                 or any(int(i) >= min(found[used[0]]) for i in re.findall(r"\barg(\d+)", used[1]))]
        for used in wrong:
            print("# no such probe or argument: %s%s" % used)
        print("%s %d %s: its examples" % ("not ok" if wrong else "ok", 2 * number + 2, name))
        failures += not same or len(wrong) > 0
    return 1 if failures else 0


def examples(document, directory):
    with open(document, encoding="utf-8") as file:
        blocks = re.findall(r"```bpftrace\n(.*?)```", file.read(), re.DOTALL)
    for name, place in PLACES.items():
        blocks = [re.sub(r"usdt:/[\w/-]*/%s:" % re.escape(name), "usdt:%s:" % os.path.join(directory, place, name), block)
                  for block in blocks]
    print("\n".join(blocks))
    return 0


if __name__ == "__main__":
    sys.exit(check(sys.argv[2], sys.argv[3:]) if sys.argv[1] == "check" else examples(sys.argv[2], sys.argv[3]))
