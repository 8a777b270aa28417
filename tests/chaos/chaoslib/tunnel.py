"""A tunnel whose parts can be killed, stopped and started again, each where it was before.

    streams --> smux client --> link --> smux server --> target

The link is the emulator, or a pair of network interfaces with the server and the target in a
network namespace.
"""
import os
import signal
import socket
import subprocess
import sys
import time

import libtunnel

HERE = os.path.dirname(os.path.abspath(__file__))
LINKEMU = os.path.join(os.environ.get("SMUX_BUILD_DIR", ""), "bin/linkemu")
KEEPALIVE_S = 2         # silence that ends a session
HALF_CLOSE_S = 10       # that a half of a stream may move nothing
# A target that is killed leaves data at the client that nobody takes: it is kept for the
# half-close timeout, and an orderly end waits for it no longer than the drain timeout.
OPTIONS = ["--keepalive", "0.3", "--keepalive-timeout", str(KEEPALIVE_S), "--connect-timeout", "2",
           "--half-close-timeout", str(HALF_CLOSE_S), "--drain-timeout", "5"]
CLIENT_OPTIONS = ["--retry-min", "0.1", "--retry-cap", "0.5"]


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
    """Two interfaces; what one of them drops vanishes without a word. The far one is in a namespace
    without a name, which is gone with the processes in it."""
    options = ("--insecure=session",)

    def __init__(self, server_address):
        self.address = server_address

    @classmethod
    def prepare(cls):
        """Makes namespace and interfaces. Skip where that is not allowed."""
        libtunnel.need("ip", "tc", "unshare", "nsenter")
        holder = libtunnel.Process(["unshare", "--net", "sh", "-c", "echo ready; exec sleep infinity"])
        try:
            holder.wait_log("^ready")
        except AssertionError:
            raise libtunnel.Skip("no network namespace: " + holder.log().strip()) from None
        cls.inside = ("nsenter", "--target", str(holder.pid), "--net")
        cls.near = "smux%da" % os.getpid()
        third = os.getpid() % 250
        host, cls.server_host = "198.18.%d.1" % third, "198.18.%d.2" % third
        near = ("ip", "link", "add", cls.near, "type", "veth", "peer", "name", "far", "netns")
        for command in (
                (*near, str(holder.pid)),
                ("ip", "addr", "add", host + "/30", "dev", cls.near),
                ("ip", "link", "set", cls.near, "up"),
                (*cls.inside, "ip", "addr", "add", cls.server_host + "/30", "dev", "far"),
                (*cls.inside, "ip", "link", "set", "far", "up"),
                (*cls.inside, "ip", "link", "set", "lo", "up"),
                cls.drop("add"), cls.drop("del")):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                raise libtunnel.Skip("%s: %s" % (" ".join(command), done.stderr.strip()))

    @classmethod
    def drop(cls, change, inside=False):
        """The command that lets an interface drop everything ("add"), or no longer ("del")."""
        limit = ("pfifo", "limit", "0") if change == "add" else ()
        return (*(cls.inside if inside else ()), "tc", "qdisc", change, "dev",
                "far" if inside else cls.near, "root", *limit)

    def order(self, text):
        """As the emulator's orders; `down` and `up` are seen from the client."""
        verb, _, way = text.partition(" ")
        for inside, name in ((False, "up"), (True, "down")):
            if way in ("", name):
                subprocess.run(self.drop("add" if verb == "freeze" else "del", inside), check=True,
                               capture_output=True)

    def close(self):
        pass


class Tunnel:
    """The processes, by what they are."""

    def __init__(self, link, sessions):
        port, target_port = libtunnel.free_port(), libtunnel.free_port()
        self.server_address = (link.server_host, port)
        self.target_address = ("127.0.0.1", target_port)
        self.inside = list(link.inside)
        self.link_options = list(link.options)
        self.link = link(self.server_address)
        self.client_listen = libtunnel.free_port()
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
