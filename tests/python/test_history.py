# SPDX-License-Identifier: BSD-2-Clause
"""lockstep.history: a database that C has made, rows of each kind, and what is no history."""

import os
import sqlite3
import subprocess
import tempfile
import unittest

import numpy as np

from lockstep import history

WRITER = os.environ["LOCKSTEP_FORMAT_WRITER"]


class Reading(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.path = os.path.join(self.directory.name, "history?.db")  # a name that an address must quote
        subprocess.run([WRITER, "history", self.path], check=True)
        with sqlite3.connect(self.path) as db:
            db.execute(
                "INSERT INTO connections(line_s, opened_ns, closed_ns, ending, program, pid, uid, interface, protocol, kind,"
                " accepted, state, local, local_port, remote, remote_port, rx_bytes, tx_bytes, rx_packets, tx_packets,"
                " ring_drops, drops, retransmissions, srtt_us, latency_count, seen_ns, boot, opened_monotonic_ns, instance,"
                " key, ring_drops_before) VALUES(0, 5000000000, ?, 0, 'iperf3', 7, 0, 'eth0', 17, 0, 0, 0, x'7f000001',"
                " 5201, x'', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '', 0, 1, 2, 0)", (2**63 - 1,))
            db.execute("INSERT INTO clock(line_s, at_ns, status, selected, offset_ns, bound_ns)"
                       " VALUES(0, 2000000000, 'synchronised', 'ptb', -12.5, 900)")
            db.execute("INSERT INTO series(id, name) VALUES(4, 'divert.passed')")
            for at in (1, 2, 3):
                db.execute("INSERT INTO counters(line_s, at_ns, series, value, change) VALUES(0, ?, 4, ?, 10)",
                           (at * 10**9, at * 10))
            db.execute("INSERT INTO events(line_s, at_ns, subject, text) VALUES(0, 1, 'netd', 'started')")
            db.execute("INSERT INTO gaps(line_s, from_ns, to_ns, what, lost, text) VALUES(0, 1, 2, 'journal', NULL, '')")
        db.close()

    def test_connections(self):
        with history.History(self.path) as past:
            all_of_them = past.connections(histograms=True)
            self.assertEqual(list(all_of_them["program"]), ["redis-server", "iperf3"])
            self.assertEqual(list(all_of_them["local"]), ["192.0.2.7", "127.0.0.1"])
            self.assertEqual(list(all_of_them["remote"]), ["2001:db8::9", ""])
            self.assertEqual(all_of_them["opened"][0], np.datetime64("1970-01-01T00:00:01"))
            self.assertTrue(np.isnat(all_of_them["closed"][1]))
            self.assertEqual(all_of_them["p99_ns"][0], 2500.0)
            self.assertTrue(np.isnan(all_of_them["p99_ns"][1]))
            self.assertEqual(list(all_of_them["histogram"][0][[20, 40, 127]]), [99, 1, 100000])
            self.assertEqual(all_of_them["histogram"].sum(), 100100)

    def test_conditions(self):
        with history.History(self.path) as past:
            for expected, conditions in (
                (["redis-server"], {"program": "redis*"}),
                (["redis-server"], {"until": np.datetime64("1970-01-01T00:00:04")}),
                (["iperf3"], {"since": "1970-01-01T00:00:03.5"}),
                (["iperf3"], {"port": 5201}),
                (["redis-server"], {"port": 40000}),
                ([], {"program": "x' OR '1'='1"}),
            ):
                columns = past.connections(**conditions)
                self.assertEqual(list(columns["program"]), expected, conditions)
            self.assertEqual(past.connections(program="none", histograms=True)["histogram"].shape, (0, 128))

    def test_the_other_kinds(self):
        with history.History(self.path) as past:
            self.assertEqual(past.clock()["offset_ns"][0], -12.5)
            self.assertTrue(np.isnan(past.clock()["frequency_ppm"][0]))
            self.assertEqual(past.series(), ["divert.passed"])
            self.assertEqual(list(past.counters("divert.passed", since="1970-01-01T00:00:02")["value"]), [20, 30])
            self.assertEqual(len(past.counters("nothing")["value"]), 0)
            self.assertEqual(past.events()["text"][0], "started")
            self.assertTrue(np.isnan(past.gaps()["lost"][0]))
            self.assertEqual(len(past.kernel()["reason"]) + len(past.runs()["id"]) + len(past.results(1)["name"]), 0)

    def test_nothing_is_written(self):
        with history.History(self.path) as past:
            with self.assertRaises(sqlite3.OperationalError):
                past._db.execute("DELETE FROM connections")


class Refused(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.path = os.path.join(self.directory.name, "history.db")

    def refused(self, problem):
        with self.assertRaisesRegex(history.HistoryError, problem):
            with history.History(self.path) as past:
                past.connections()

    def test_no_file(self):
        self.refused("no such file")

    def test_no_database(self):
        with open(self.path, "w", encoding="ascii") as file:
            file.write("this is no database\n" * 100)
        self.refused("not a database")

    def test_a_newer_or_another_one(self):
        db = sqlite3.connect(self.path)
        db.execute("PRAGMA user_version = 99")
        db.close()
        self.refused("version 99")


if __name__ == "__main__":
    unittest.main()
