# SPDX-License-Identifier: BSD-2-Clause
"""lockstep.statistics: documents as records, and `lockstep` itself asked."""

import os
import stat
import subprocess
import tempfile
import unittest

from lockstep import statistics
from lockstep.statistics import StatisticsError

STATUS = {
    "version": "0.1.0",
    "pid": 71,
    "uptime_s": 12,
    "something_new": [1],
    "interfaces": [{"name": "eth0", "mode": "tc", "up": True, "addresses": ["192.0.2.7/24"], "vlan": []}],
    "lanes": [{"lane": 3, "pid": 500, "program": "/usr/bin/redis-server", "rx_packets": 7}],
    "totals": {"lanes": 1},
    "divert": {"passed": 9},
}
CONNECTIONS = {
    "flows": [{"lane": 3, "protocol": "tcp", "local": "192.0.2.7:6379", "srtt_us": 11}],
    "kernel": [{"pid": 500, "reason": "loopback"}],
}


class Documents(unittest.TestCase):
    def test_status(self):
        status = statistics.status_of(STATUS)
        self.assertEqual((status.version, status.pid, status.divert["passed"]), ("0.1.0", 71, 9))
        self.assertEqual(status.interfaces[0].addresses, ("192.0.2.7/24",))
        self.assertTrue(status.interfaces[0].up)
        self.assertEqual((status.lanes[0].pid, status.lanes[0].rx_packets, status.lanes[0].overruns), (500, 7, 0))
        self.assertEqual(status.raw["something_new"], [1])

    def test_connections(self):
        connections = statistics.connections_of(CONNECTIONS)
        self.assertEqual((connections.flows[0].srtt_us, connections.flows[0].remote), (11, ""))
        self.assertEqual(connections.kernel[0].reason, "loopback")

    def test_other_shapes_are_refused_by_name(self):
        for document, problem in (
            ({**STATUS, "pid": "71"}, "Status: the report's pid is '71'"),
            ({**STATUS, "pid": True}, "pid is True"),
            ({**STATUS, "lanes": {}}, "lanes: the report has dict"),
            ({**STATUS, "lanes": [5]}, "Lane: the report has int"),
            ({**STATUS, "interfaces": [{"up": 1}]}, "Interface: the report's up is 1"),
        ):
            with self.assertRaisesRegex(StatisticsError, problem):
                statistics.status_of(document)


class Asking(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.lockstep = os.environ["LOCKSTEP_PROGRAM"]

    def program(self, text):
        path = os.path.join(self.directory.name, "program")
        with open(path, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\n" + text)
        os.chmod(path, stat.S_IRWXU)
        return path

    def test_clock(self):
        path = os.path.join(self.directory.name, "clock")
        with subprocess.Popen(
            [os.environ["LOCKSTEP_WRITER"], path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as writer:
            writer.stdout.readline()
            empty = statistics.clock(path, program=self.lockstep)
            print(1, 5000, file=writer.stdin, flush=True)
            writer.stdout.readline()
            clock = statistics.clock(path, program=self.lockstep)
            writer.stdin.close()
        self.assertEqual((empty.status, empty.bound_ns, empty.updates), ("unsynchronised", None, 0))
        self.assertEqual((clock.status, clock.torn, clock.updates, clock.tai_utc_s), ("synchronised", False, 1, 37))
        self.assertGreaterEqual(clock.bound_ns, 5000)
        self.assertGreater(clock.counter_hz, 1e6)

    def test_no_service(self):
        for call in (statistics.status, statistics.connections, statistics.clock_sources):
            with self.assertRaisesRegex(StatisticsError, "^lockstep: .*" + self.directory.name):
                call(self.directory.name, program=self.lockstep)
        with self.assertRaisesRegex(StatisticsError, "/nowhere/clock"):
            statistics.clock("/nowhere/clock", program=self.lockstep)

    def test_programs_that_are_not_lockstep(self):
        for text, problem in (
            ("echo nonsense", "not JSON"),
            ("echo '[1]'", "no object"),
            ("exit 3", "exit status 3"),
            ("printf '{}'; exit 1", "exit status 1"),
        ):
            with self.assertRaisesRegex(StatisticsError, problem):
                statistics.status(program=self.program(text))
        with self.assertRaisesRegex(StatisticsError, "/nowhere/lockstep: No such file"):
            statistics.status(program="/nowhere/lockstep")

    def test_options_are_passed_on(self):
        program = self.program("""[ "$*" = "status --runtime-dir /run/x --json" ] && echo '{"pid": 4}'""")
        self.assertEqual(statistics.status("/run/x", program=program).pid, 4)


if __name__ == "__main__":
    unittest.main()
