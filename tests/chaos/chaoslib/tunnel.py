"""A tunnel whose parts can be killed, stopped and started again, each where it was before.

    streams --> smux client --> link --> smux server --> target

The link is the emulator, or a pair of network interfaces with the server and the target in a
network namespace.
"""
import os
import random
import signal
import socket
import subprocess
import sys
import time

import libtunnel

HERE = os.path.dirname(os.path.abspath(__file__))
LINKEMU = os.path.join(os.environ.get("SMUX_BUILD_DIR", ""), "bin/linkemu")
KEEPALIVE_S = 2         # silence that ends a session
# A target that is killed leaves data at the client that nobody takes: it is kept for the
# half-close timeout, and an orderly end waits for it no longer than the drain timeout.
OPTIONS = ["--keepalive", "0.3", "--keepalive-timeout", str(KEEPALIVE_S), "--connect-timeout", "2",
           "--half-close-timeout", "10", "--drain-timeout", "5"]
CLIENT_OPTIONS = ["--retry-min", "0.1", "--retry-cap", "0.5"]


def fixed_port():
    """A port that no connection takes for its own end while its listener is away."""
    while True:
        port = random.randrange(10000, 32000)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


class Emulated:
    """The link emulator: 16 Mbit/s and 2 ms each way."""
    host = server_host = "127.0.0.1"
    inside = ()
    options = ()

    def __init__(self, server_address):
        self.process = libtunnel.Process(
            [LINKEMU, "--control", "--rate", "16Mbit", "--delay", "2ms", "--max-connections", "512",
             "-t", libtunnel.format_address(server_address)], stdin=subprocess.PIPE)
        self.address = libtunnel.parse_address(
            self.process.wait_log(r"\Alistening (\S+)$").group(1))

    def order(self, text):
        self.process.child.stdin.write(text.encode() + b"\n")
        self.process.child.stdin.flush()

    def close(self):
        self.process.kill()


class Kernel:
    """Two interfaces; what one of them drops vanishes without a word."""
    server_host = "198.18.0.2"
    options = ("--insecure=session",)

    def __init__(self, server_address):
        self.address = server_address

    @classmethod
    def prepare(cls):
        """Makes namespace and interfaces. Skip where that is not allowed."""
        libtunnel.need("ip", "tc")
        cls.name = "smux%d" % os.getpid()
        cls.inside = ("ip", "netns", "exec", cls.name)
        third = os.getpid() % 250
        host, cls.server_host = "198.18.%d.1" % third, "198.18.%d.2" % third
        near = cls.near = cls.name + "a"
        for command in (
                "ip netns add {ns}", "ip link add {near} type veth peer name far netns {ns}",
                "ip addr add %s/30 dev {near}" % host, "ip link set {near} up",
                "ip -n {ns} addr add %s/30 dev far" % cls.server_host,
                "ip -n {ns} link set far up", "ip -n {ns} link set lo up",
                "tc qdisc add dev {near} root pfifo limit 0", "tc qdisc del dev {near} root"):
            done = subprocess.run(command.format(ns=cls.name, near=near).split(),
                                  capture_output=True, text=True)
            if done.returncode != 0:
                cls.clean_up()
                raise libtunnel.Skip("%s: %s" % (command, done.stderr.strip()))

    @classmethod
    def clean_up(cls):
        subprocess.run(["ip", "netns", "del", cls.name], capture_output=True)
        subprocess.run(["ip", "link", "del", cls.near], capture_output=True)

    def run(self, *command):
        subprocess.run(command, check=True, capture_output=True)

    def order(self, text):
        """As the emulator's orders; `down` and `up` are seen from the client."""
        verb, _, way = text.partition(" ")
        change = "add" if verb == "freeze" else "del"
        limit = ["pfifo", "limit", "0"] if verb == "freeze" else []
        if way in ("", "up"):
            self.run("tc", "qdisc", change, "dev", self.near, "root", *limit)
        if way in ("", "down"):
            self.run("tc", "-n", self.name, "qdisc", change, "dev", "far", "root", *limit)

    def close(self):
        pass


class Tunnel:
    """The processes, by what they are."""

    def __init__(self, link, sessions):
        port, target_port = fixed_port(), fixed_port()
        self.server_address = (link.server_host, port)
        self.target_address = ("127.0.0.1", target_port)
        self.inside = list(link.inside)
        self.link_options = list(link.options)
        self.link = link(self.server_address)
        self.client_listen = fixed_port()
        self.sessions = sessions
        self.processes = {}
        self.reports = []       # what targets told
        for part in ("target", "server", "client"):
            self.start(part)

    @property
    def address(self):
        return "127.0.0.1", self.client_listen

    def command(self, part):
        address = libtunnel.format_address
        if part == "target":
            return [*self.inside, sys.executable, os.path.join(HERE, "target.py"),
                    self.target_address[0], self.target_address[1]]
        if part == "server":
            return [*self.inside, libtunnel.tool(), "server", "-l", address(self.server_address),
                    "-t", address(self.target_address), *OPTIONS, *self.link_options]
        return [libtunnel.tool(), "client", "-l", address(self.address), "-r",
                address(self.link.address), "--conn", self.sessions, *OPTIONS, *CLIENT_OPTIONS]

    def start(self, part):
        process = libtunnel.Process(self.command(part))
        process.wait_log("listening", 20)
        self.processes[part] = process

    def kill(self, part):
        process = self.processes[part]
        process.kill()
        self.take_reports(process)
        libtunnel.forget(process)

    def take_reports(self, target):
        self.reports += [line for line in target.log().splitlines()
                         if line.startswith(("short ", "wrong "))]

    def has_all_sessions(self):
        log = self.processes["client"].log()
        return log.count("session.up") - log.count("session.down") == self.sessions

    def signal(self, part, number):
        self.processes[part].send(number)

    def check_alive(self):
        for part, process in self.processes.items():
            if process.child.poll() is not None:
                raise AssertionError("the %s ended with %d:\n%s" % (
                    part, process.child.returncode, process.log()[-2000:]))

    def stop(self):
        """Ends the tunnel in order; returns what is wrong with that."""
        self.take_reports(self.processes["target"])
        wrong = []
        for part in ("client", "server"):
            status = self.processes[part].stop(signal.SIGTERM, 20)
            if status != 0:
                wrong.append("the %s ends with %d" % (part, status))
        self.processes["target"].kill()
        self.link.close()
        return wrong
