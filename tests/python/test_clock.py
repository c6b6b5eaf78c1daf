# SPDX-License-Identifier: BSD-2-Clause
"""lockstep.Clock over a segment that a small writer publishes."""

import fractions
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import lockstep
from lockstep import Clock, Status, Timescale

try:
    import numpy
except ImportError:
    numpy = None

NEEDS_NUMPY = unittest.skipIf(numpy is None, "no NumPy")
SECOND = 10**9
TAI_UTC = 37 * SECOND


class WithWriter(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.path = os.path.join(self.directory.name, "clock")
        self.writer = subprocess.Popen(
            [os.environ["LOCKSTEP_WRITER"], self.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.addCleanup(self.end_writer)
        self.counter_name = self.writer.stdout.readline().strip()

    def end_writer(self):
        self.writer.stdin.close()
        self.assertEqual(self.writer.wait(10), 0)
        self.writer.stdout.close()

    def publish(self, status=Status.SYNCHRONISED, bound_ns=5000, ahead_ns=0):
        print(int(status), bound_ns, ahead_ns, file=self.writer.stdin, flush=True)
        counter, time_ns, period = self.writer.stdout.readline().split()
        self.line = int(counter), int(time_ns), fractions.Fraction(float.fromhex(period))

    def open(self):
        clock = Clock(self.path)
        self.addCleanup(clock.close)
        return clock

    def true_tai(self, counter):
        reference, time_ns, period = self.line
        return time_ns + (counter - reference) * period


class Reading(WithWriter):
    def test_now_is_between_two_counters(self):
        self.publish()
        clock = self.open()
        for _ in range(100):
            before = self.true_tai(clock.counter())
            now = clock.now(Timescale.TAI)
            after = self.true_tai(clock.counter())
            self.assertTrue(before - 2000 <= now.ns <= after + 2000, (before, now, after))
            self.assertTrue(now.earliest_ns < now.ns < now.latest_ns)
        self.assertIs(now.status, Status.SYNCHRONISED)
        self.assertGreaterEqual(now.bound_ns, 5000)

    def test_utc_is_behind_tai(self):
        self.publish()
        clock = self.open()
        counter = clock.counter()
        self.assertEqual(clock.at(counter, Timescale.TAI).ns - clock.at(counter).ns, TAI_UTC)
        self.assertLess(clock.now().ns, clock.now_ordered(Timescale.TAI).ns)

    def test_at_is_the_published_line(self):
        self.publish()
        clock = self.open()
        reference, time_ns, period = self.line
        hz = int(SECOND / period)
        self.assertEqual(clock.at(reference, Timescale.TAI).ns, time_ns)
        for seconds in (-900, -1, 1, 900, 3599):
            at = clock.at(reference + seconds * hz, Timescale.TAI)
            self.assertLess(abs(at.ns - self.true_tai(reference + seconds * hz)), 2)
            self.assertLess(abs(at.bound_ns - 5000 - abs(seconds) * 1000), 5)

    def test_far_counters_are_refused(self):
        self.publish()
        clock = self.open()
        reference, _, period = self.line
        for counter in (0, 2**64 - 1, reference + int(3601 * SECOND / period), reference - int(1001 * SECOND / period)):
            with self.assertRaises(lockstep.RangeError):
                clock.at(max(counter, 0))
        for wrong in (-1, 2**64):
            self.assertRaises(OverflowError, clock.at, wrong)
        self.assertRaises(TypeError, clock.at, 1.5)

    def test_difference(self):
        self.publish()
        clock = self.open()
        reference, _, period = self.line
        ticks = int(SECOND / period)
        forward = clock.difference(reference, reference + ticks)
        self.assertLess(abs(forward.ns - ticks * period), 2)
        self.assertTrue(0 < forward.error_ns < 2000)
        self.assertEqual(clock.difference(reference + ticks, reference).ns, -forward.ns)
        self.assertRaises(lockstep.RangeError, clock.difference, 0, 2**64 - 1)

    def test_info(self):
        clock = self.open()
        info = clock.info()
        self.assertIs(info.status, Status.UNSYNCHRONISED)
        self.assertEqual((info.counter, info.updates), (self.counter_name, 0))
        self.assertEqual((info.counter_hz, info.age_ns, info.bound_ns, info.bound_utc_ns), (None,) * 4)
        self.publish()
        self.publish(ahead_ns=5)
        info = clock.info()
        self.assertEqual((info.status, info.disruptions, info.updates), (Status.SYNCHRONISED, 1, 2))
        self.assertLess(abs(info.counter_hz * float(self.line[2]) / 1e9 - 1), 1e-9)
        self.assertTrue(5000 <= info.bound_ns < info.bound_utc_ns - 199000)
        self.assertTrue(0 <= info.age_ns < 60 * SECOND and 0 < info.void_in_ns < 3600 * SECOND)
        self.assertEqual((info.tai_utc_s, info.leap), (37, 0))

    def test_there_may_be_no_time(self):
        clock = self.open()
        for status in (Status.UNSYNCHRONISED, Status.DISRUPTED):
            self.publish(status)
            for call in (clock.now, clock.now_ordered, lambda: clock.at(clock.counter())):
                with self.assertRaises(lockstep.NoTimeError) as caught:
                    call()
                self.assertIs(caught.exception.status, status)
                self.assertIn(status.name.lower(), str(caught.exception))
            with self.assertRaises(lockstep.NoTimeError) as caught:
                clock.difference(1, 2)
            self.assertIs(caught.exception.status, status)

    def test_many_threads(self):
        self.publish()
        clock = self.open()
        problems = []

        def read():
            last = 0
            for _ in range(2000):
                now = clock.now(Timescale.TAI).ns
                if now < last:
                    problems.append((last, now))
                last = now

        threads = [threading.Thread(target=read) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(200):
            self.publish()
        for thread in threads:
            thread.join()
        self.assertEqual(problems, [])


class Opening(WithWriter):
    def test_mistakes_have_their_own_errors(self):
        with self.assertRaises(FileNotFoundError) as caught:
            Clock("/nowhere/at/all")
        self.assertEqual(caught.exception.filename, "/nowhere/at/all")
        with self.assertRaisesRegex(lockstep.ForeignError, "^/proc/self/exe: not a clock segment"):
            Clock("/proc/self/exe")
        os.truncate(self.path, 8)
        self.assertRaises(lockstep.TruncatedError, Clock, self.path)
        with self.assertRaises(ValueError):
            Clock("with\0zero")

    def test_versions(self):
        with open(self.path, "r+b") as file:
            file.seek(8)
            file.write(b"\x77")
        self.assertRaises(lockstep.VersionError, Clock, self.path)

    def test_a_torn_segment(self):
        self.publish()
        clock = self.open()
        with open(self.path, "r+b") as file:
            file.seek(64)
            file.write((1).to_bytes(4, sys.byteorder))
        self.assertRaises(lockstep.TornError, clock.now)
        self.assertRaises(lockstep.TornError, clock.info)
        if numpy:
            self.assertRaises(lockstep.TornError, clock.at_many, [1])

    def test_path_of_the_environment(self):
        self.publish()
        for path in (self.path, "/nowhere/at/all"):
            status = subprocess.run(
                [sys.executable, "-c", "import lockstep; lockstep.Clock().now()"],
                env={**os.environ, "LOCKSTEP_CLOCK": path},
                stderr=subprocess.DEVNULL,
                check=False,
            ).returncode
            self.assertEqual(status, 0 if path == self.path else 1)

    def test_context_manager_and_closing(self):
        self.publish()
        with Clock(self.path) as clock:
            clock.now()
            self.assertFalse(clock.closed)
        self.assertTrue(clock.closed)
        clock.close()
        for call in (clock.now, clock.counter, clock.info, clock.fileno, clock.wait, lambda: clock.at(1)):
            self.assertRaisesRegex(ValueError, "closed", call)

    def test_an_unusable_library_is_named(self):
        for library, problem in (("/nowhere/lib.so", "/nowhere/lib.so"), ("libc.so.6", "libc.so.6 is too old")):
            done = subprocess.run(
                [sys.executable, "-c", "import lockstep; lockstep.Clock()"],
                env={**os.environ, "LOCKSTEP_CLOCK_LIBRARY": library},
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
            self.assertIn("OSError", done.stderr)
            self.assertIn(problem, done.stderr)


class Waiting(WithWriter):
    def test_ends_when_the_bound_is_small_enough(self):
        self.publish(Status.UNSYNCHRONISED)
        clock = self.open()
        self.assertRaises(TimeoutError, clock.wait, timeout=0.05)
        self.publish(bound_ns=1_000_000)
        clock.wait()
        self.assertRaises(TimeoutError, clock.wait, 50_000, 0)
        later = threading.Timer(0.1, self.publish)
        later.start()
        clock.wait(bound_ns=50_000, timeout=30)
        later.join()

    def test_signals_are_handled_and_may_end_it(self):
        class Alarm(Exception):
            pass

        seen = []

        def handler(*_):
            seen.append(time.monotonic())
            if len(seen) == 3:
                raise Alarm

        before = signal.signal(signal.SIGALRM, handler)
        self.addCleanup(signal.signal, signal.SIGALRM, before)
        self.addCleanup(signal.setitimer, signal.ITIMER_REAL, 0)
        signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
        self.assertRaises(Alarm, self.open().wait)

    def test_descriptor_tells_changes(self):
        self.publish()
        clock = self.open()
        fd = clock.fileno()
        self.assertEqual(clock.fileno(), fd)
        self.assertIs(clock.acknowledge(), Status.SYNCHRONISED)
        self.publish(Status.HOLDOVER)
        self.assertEqual(select.select([clock], [], [], 10)[0], [clock])
        self.assertIs(clock.acknowledge(), Status.HOLDOVER)


@NEEDS_NUMPY
class Arrays(WithWriter):
    def test_each_is_as_if_alone(self):
        self.publish()
        clock = self.open()
        reference, _, period = self.line
        counters = numpy.arange(1000, dtype=numpy.uint64) * numpy.uint64(SECOND / period) + numpy.uint64(reference)
        for scale in Timescale:
            times = clock.at_many(counters, scale)
            self.assertTrue(times.valid.all())
            for i in range(0, 1000, 37):
                one = clock.at(int(counters[i]), scale)
                self.assertEqual((times.ns[i], times.bound_ns[i]), (one.ns, one.bound_ns))
        self.assertEqual(times.disruptions, 0)

    def test_what_is_out_of_range_is_not_a_time(self):
        self.publish(ahead_ns=1)
        clock = self.open()
        times = clock.at_many(numpy.array([0, self.line[0], 2**64 - 1], dtype=numpy.uint64))
        self.assertEqual(times.valid.tolist(), [False, True, False])
        self.assertEqual(numpy.isnat(times.datetime64()).tolist(), [True, False, True])
        self.assertEqual(times.disruptions, 1)
        self.assertEqual(times.datetime64()[1], clock.at(self.line[0]).datetime64())

    def test_shapes_types_and_layouts(self):
        self.publish()
        clock = self.open()
        base = numpy.arange(24, dtype=numpy.int64).reshape(4, 6) + self.line[0]
        expected = clock.at_many(base.astype(numpy.uint64)).ns
        for array in (base, base.astype(numpy.uint64), base.astype(object), base.tolist(), numpy.asfortranarray(base)):
            self.assertTrue((clock.at_many(array).ns == expected).all())
        self.assertTrue((clock.at_many(base.T[::2]).ns == expected.T[::2]).all())
        self.assertTrue((clock.at_many(base.astype(">u8")).ns == expected).all())
        self.assertEqual(clock.at_many([]).ns.shape, (0,))
        self.assertEqual(clock.at_many(self.line[0]).ns.shape, ())

    def test_no_counters(self):
        self.publish()
        clock = self.open()
        for wrong, error in (
            ([1.5], TypeError),
            (["1"], TypeError),
            ([-1], OverflowError),
            ([2**64], OverflowError),
            (numpy.array([None]), TypeError),
        ):
            self.assertRaises(error, clock.at_many, wrong)

    def test_there_may_be_no_time(self):
        self.publish(Status.DISRUPTED)
        with self.assertRaises(lockstep.NoTimeError) as caught:
            self.open().at_many([1, 2])
        self.assertIs(caught.exception.status, Status.DISRUPTED)


class WithoutNumpy(unittest.TestCase):
    def test_the_rest_works(self):
        code = (
            "import sys; sys.modules['numpy'] = None\n"
            "import lockstep\n"
            "try: lockstep.Time(1, 1, 1, 1, 0).datetime64()\n"
            "except ImportError as e: print(e)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        self.assertIn("python3-numpy", done.stdout)


if __name__ == "__main__":
    unittest.main()
