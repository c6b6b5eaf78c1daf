# SPDX-License-Identifier: BSD-2-Clause
"""lockstep.table and lockstep.histogram: what C has laid out, what is damaged, and a service asked."""

import array
import os
import socket
import struct
import subprocess
import tempfile
import threading
import unittest

import numpy as np

from lockstep import histogram, table
from lockstep.statistics import StatisticsError

WRITER = os.environ["LOCKSTEP_FORMAT_WRITER"]


def written():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "table")
        subprocess.run([WRITER, "table", path], check=True)
        with open(path, "rb") as file:
            return file.read()


class Layout(unittest.TestCase):
    def setUp(self):
        self.data = written()

    def test_rows_are_where_c_has_put_them(self):
        read = table.parse(self.data)
        self.assertEqual((read.instance, read.monotonic_ns, read.realtime_ns), (77, 88, 99))
        lane = read.lanes[0]
        self.assertEqual(
            (lane["lane"], lane["pid"], lane["program"], lane["rx_bytes"], lane["spin_ns"], lane["flows"]),
            (3, 500, b"redis-server", 1 << 40, 12, 2),
        )
        self.assertEqual(list(read.connections["key"]), [10, 11])
        self.assertEqual([table.endpoint(row["local"]) for row in read.connections],
                         [("192.0.2.7", 6379), ("2001:db8::7", 6379)])
        self.assertEqual(table.endpoint(read.connections[1]["remote"]), ("192.0.2.9", 40001))
        row = read.connections[0]
        self.assertEqual((row["interface"], row["protocol"], row["accepted"], row["srtt_us"]), (b"eth0", 6, 1, 41))
        self.assertEqual((row["latency_p99_ns"], row["latency_max_ns"], row["latency_count"]), (2500, 9000, 100))
        self.assertEqual(read.histograms.shape, (2, 128))
        self.assertEqual(list(read.histograms.sum(axis=0)[[20, 40]]), [198, 2])

    def test_rows_of_a_newer_service_are_longer(self):
        head = struct.Struct("=IHHIIIIQQq")
        values = list(head.unpack_from(self.data))
        lane_size, size = values[3], values[4]
        plain = size - 4 * 128
        values[2], values[4] = 0, plain + 16
        rows = [self.data[head.size + lane_size + i * size:][:plain] + b"newfieldnewfield" for i in range(2)]
        read = table.parse(head.pack(*values) + self.data[head.size:][:lane_size] + b"".join(rows))
        self.assertEqual(list(read.connections["key"]), [10, 11])
        self.assertIsNone(read.histograms)

    def test_damaged_ones_are_refused(self):
        for data, problem in (
            (b"", "0 bytes"),
            (b"x" * 400, "no table"),
            (self.data[:4] + b"\x09\x00" + self.data[6:], "version 9"),
            (self.data[:-1], "does not fit"),
            (self.data[:6] + b"\x07\x00" + self.data[8:], "does not fit"),
            (self.data[:12] + b"\x08\x00\x00\x00" + self.data[16:], "does not fit"),
            (self.data[:20] + b"\xff\xff\xff\xff" + self.data[24:], "does not fit"),
        ):
            with self.assertRaisesRegex(StatisticsError, problem):
                table.parse(data)


class Histograms(unittest.TestCase):
    def test_bounds_meet_and_quarter_the_powers_of_two(self):
        bounds = histogram.bounds()
        self.assertEqual(bounds.shape, (128, 2))
        self.assertEqual([list(row) for row in bounds[:6]], [[0, 3], [4, 7], [8, 11], [12, 15], [16, 19], [20, 23]])
        self.assertTrue((bounds[1:, 0] == bounds[:-1, 1] + 1).all())
        self.assertEqual(list(bounds[8]), [32, 39])
        self.assertEqual(bounds[127, 1], 2**64 - 1)

    def test_quantiles(self):
        counts = np.zeros((2, 128), dtype=np.uint32)
        counts[0, 20], counts[0, 40] = 99, 1
        low, high = histogram.bounds()[20]
        values = histogram.quantile(counts, [0.5, 0.99, 1.0])
        self.assertEqual(values.shape, (2, 3))
        self.assertTrue(low < values[0, 0] < high)
        self.assertEqual(values[0, 1], high)
        self.assertEqual(values[0, 2], histogram.bounds()[40, 1])
        self.assertTrue(np.isnan(values[1]).all())
        self.assertEqual(histogram.quantile(counts, 0.5).shape, (2,))
        with self.assertRaises(ValueError):
            histogram.quantile(counts, 1.5)
        with self.assertRaises(histogram.HistogramError):
            histogram.quantile(np.zeros(5), 0.5)

    def test_what_is_no_packed_histogram_is_refused(self):
        self.assertEqual(histogram.unpack(b"").sum(), 0)
        for packed in (b"\x00", b"\x80", b"\x00\x00", b"\x7f\x01\x00\x01", b"\xff" * 7, b"\x80\x01\x01"):
            with self.assertRaises(histogram.HistogramError):
                histogram.unpack(packed)


class Asking(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def serve(self, answer):
        """A service that answers HELLO, and the report with answer(sequence): bytes and descriptors."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(os.path.join(self.directory.name, "netd.sock"))
        listener.listen()
        self.addCleanup(listener.close)

        def run():
            sock, _ = listener.accept()
            with sock:
                hello = sock.recv(4096)
                sock.send(hello[:16] + bytes(132))
                request = sock.recv(4096)
                self.kind = struct.unpack_from("=I", request, 16)[0]
                data, files = answer(request[:16])
                sock.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else [])

        thread = threading.Thread(target=run)
        thread.start()
        self.addCleanup(thread.join)

    def memfd(self):
        file = os.memfd_create("table")
        self.addCleanup(os.close, file)
        os.write(file, written())
        return file

    def test_a_table_comes_as_a_descriptor(self):
        self.serve(lambda head: (head, [self.memfd()]))
        read = table.read(histograms=True, runtime_dir=self.directory.name)
        self.assertEqual((self.kind, len(read.connections)), (3, 2))

    def test_a_refusal_and_an_answer_without_a_table(self):
        self.serve(lambda head: (head[:12] + struct.pack("=i", -1), [self.memfd()]))
        with self.assertRaisesRegex(StatisticsError, r"refused \(-1\)"):
            table.read(runtime_dir=self.directory.name)

    def test_no_table_in_the_answer(self):
        self.serve(lambda head: (head, []))
        with self.assertRaisesRegex(StatisticsError, "no table"):
            table.read(runtime_dir=self.directory.name)

    def test_no_service(self):
        with self.assertRaisesRegex(StatisticsError, "cannot be asked: No such file"):
            table.read(runtime_dir=self.directory.name)


if __name__ == "__main__":
    unittest.main()
