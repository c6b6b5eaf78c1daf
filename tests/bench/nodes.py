# SPDX-License-Identifier: BSD-2-Clause
"""Two nodes in network namespaces, joined by a veth pair, with or without Lockstep; programs on them."""
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time

SERVER, CLIENT = "10.78.0.1", "10.78.0.2"
START_PATIENCE_S = 10


class BenchError(Exception):
    """Something could not be set up or measured; the text says what."""


def sh(*words, check=True):
    done = subprocess.run(words, capture_output=True, text=True)
    if check and done.returncode:
        raise BenchError(f"{' '.join(words)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def wait_until(condition, what, seconds=START_PATIENCE_S):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise BenchError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.02)


class Finished:
    """What a program left: status, output, and the processor time it took."""

    def __init__(self, status, output, errors, usage):
        self.status, self.output, self.errors = status, output, errors
        self.cpu_s = usage.ru_utime + usage.ru_stime


class Program:
    """A program on a node, running."""

    def __init__(self, words, environment):
        self.out = tempfile.TemporaryFile("w+")
        self.err = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.err,
                                        env=environment)
        self.finished = None

    def text(self, file):
        file.seek(0)
        return file.read()

    def poll(self):
        if self.finished is None:
            pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
            if pid:
                self.reaped(status, usage)
        return self.finished

    def reaped(self, status, usage):
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.finished = Finished(self.process.returncode, self.text(self.out), self.text(self.err), usage)

    def wait(self, seconds):
        """The finished program, or an error after so many seconds (it is killed then)."""
        end = time.monotonic() + seconds
        while self.poll() is None:
            if time.monotonic() > end:
                self.stop(signal.SIGKILL)
                raise BenchError(f"{self.process.args[-1]}... did not end within {seconds} s")
            time.sleep(0.01)
        return self.finished

    def stop(self, number=signal.SIGTERM):
        if self.poll() is None:
            self.process.send_signal(number)
            end = time.monotonic() + 3
            while self.poll() is None:
                if time.monotonic() > end:
                    self.process.kill()
                time.sleep(0.01)
        return self.finished

    def words(self):
        return (self.text(self.err) + self.text(self.out)).strip()


class Pair:
    """Nodes "server" and "client". With `lockstep` each runs the service. With `bridge` the wire leads through a bridge in a
    third namespace, "middle", whose ports are called server and client. Used as a context; everything is taken down after."""

    made = 0

    def __init__(self, build, lockstep=False, bridge=False, attach="auto"):
        Pair.made += 1
        self.build, self.lockstep, self.bridge, self.attach = build, lockstep, bridge, attach
        self.prefix = f"lb-{os.getpid()}-{Pair.made}"
        self.nodes = ["server", "client"] + (["middle"] if bridge else [])
        self.programs = []
        self.directory = None

    def namespace(self, node):
        return f"{self.prefix}-{node}"

    def __enter__(self):
        try:
            self.directory = tempfile.mkdtemp(prefix="lb.")
            os.chmod(self.directory, 0o755)
            self.make_network()
            if self.lockstep:
                for node in ("server", "client"):
                    self.start_service(node)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for program in reversed(self.programs):
            program.stop()
        for node in self.nodes:
            for pid in sh("ip", "netns", "pids", self.namespace(node), check=False).split():
                try:
                    os.kill(int(pid), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            sh("ip", "netns", "del", self.namespace(node), check=False)
        if self.directory:
            shutil.rmtree(self.directory, ignore_errors=True)

    def at(self, node, *words, check=True):
        return sh("ip", "netns", "exec", self.namespace(node), *words, check=check)

    def make_network(self):
        for node in self.nodes:
            sh("ip", "netns", "add", self.namespace(node))
            sh("ip", "-n", self.namespace(node), "link", "set", "lo", "up")
            self.at(node, "sysctl", "-qw", "net.core.somaxconn=16384", "net.ipv4.ip_local_port_range=10000 65000",
                    "net.ipv6.conf.all.disable_ipv6=1", "net.ipv4.tcp_max_syn_backlog=16384")
            # Loss-based congestion control, as the engine's (a namespace may not be allowed CUBIC).
            if "cubic" in self.at(node, "sysctl", "-n", "net.ipv4.tcp_allowed_congestion_control"):
                self.at(node, "sysctl", "-qw", "net.ipv4.tcp_congestion_control=cubic", check=False)
            if self.congestion_control(node) != "cubic":
                self.at(node, "sysctl", "-qw", "net.ipv4.tcp_congestion_control=reno")
        server, client = self.namespace("server"), self.namespace("client")
        if self.bridge:
            middle = self.namespace("middle")
            sh("ip", "-n", middle, "link", "add", "br0", "type", "bridge")
            sh("ip", "-n", middle, "link", "set", "br0", "up")
            for node in ("server", "client"):
                sh("ip", "-n", middle, "link", "add", node, "type", "veth", "peer", "name", "eth0", "netns",
                   self.namespace(node))
                sh("ip", "-n", middle, "link", "set", node, "master", "br0", "up")
        else:
            sh("ip", "-n", server, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", client)
        for node, address in ((server, SERVER), (client, CLIENT)):
            sh("ip", "-n", node, "addr", "add", f"{address}/24", "dev", "eth0")
            sh("ip", "-n", node, "link", "set", "eth0", "up")

    def congestion_control(self, node="server"):
        return self.at(node, "sysctl", "-n", "net.ipv4.tcp_congestion_control").strip()

    def service_directory(self, node):
        return os.path.join(self.directory, node)

    def start_service(self, node):
        os.mkdir(self.service_directory(node))
        service = self.start(node, [os.path.join(self.build, "service/lockstep-netd"), "--interface", "eth0", "--attach",
                                    self.attach, "--runtime-dir", self.service_directory(node)])
        socket = os.path.join(self.service_directory(node), "netd.sock")

        def ready():
            if service.poll():
                raise BenchError(f"lockstep-netd: {service.words()}")
            return os.path.exists(socket) and subprocess.run(
                [self.command(), "status", "--runtime-dir", self.service_directory(node)],
                capture_output=True).returncode == 0

        wait_until(ready, f"lockstep-netd at {node}")

    def command(self):
        return os.path.join(self.build, "tools/lockstep")

    def start(self, node, words, variant=None, core=None, profile="latency"):
        """Starts a program on a node, as the variant wants it, bound to a core if one is given."""
        environment = dict(os.environ)
        if variant and variant.accelerated:
            environment["LOCKSTEP_INJECTOR"] = variant.injector
            words = [self.command(), "run", "--runtime-dir", self.service_directory(node), "--profile", profile, "--"] + words
        if core is not None:
            words = ["taskset", "-c", str(core)] + words
        program = Program(["ip", "netns", "exec", self.namespace(node)] + words, environment)
        self.programs.append(program)
        return program

    def run(self, node, words, variant=None, core=None, profile="latency", seconds=60):
        """Runs a program to its end; an error unless its status is 0."""
        finished = self.start(node, words, variant, core, profile).wait(seconds)
        if finished.status != 0:
            raise BenchError(f"{os.path.basename(words[0])}: status {finished.status}: "
                             f"{(finished.errors + finished.output).strip()[-300:]}")
        return finished

    def wait_port(self, node, protocol, port, variant):
        """Until a program listens there: in the kernel, where every port is reserved, and then in the lane."""
        flag = "-Hltn" if protocol == "tcp" else "-Hlun"
        wait_until(lambda: self.at(node, "ss", flag, f"sport = :{port}").strip(), f"port {port}/{protocol}")
        if variant.accelerated:
            wait_until(lambda: self.has_flow(node, port), f"port {port}/{protocol} in the lane")

    def has_flow(self, node, port):
        report = json.loads(sh(self.command(), "connections", "--runtime-dir", self.service_directory(node), "--json"))
        return any(flow["local"].endswith(f":{port}") for flow in report["flows"])

    def attached(self, node="server"):
        """How the divert is attached and why, in a line."""
        status = json.loads(sh(self.command(), "status", "--runtime-dir", self.service_directory(node), "--json"))
        return "; ".join(f"{interface['name']}: {interface['mode']} ({interface['why']})" for interface in status["interfaces"])
