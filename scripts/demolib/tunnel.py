"""A tunnel: a `smux server` and a `smux client` that is connected to it."""
import json
import os
import signal
import subprocess
import time

START_S = 10    # for a program to listen, or to write its counters


class TunnelError(Exception):
    """Something that ends the demo, in words for the user."""


class Program:
    """One of the two programs and its log."""

    def __init__(self, name, tool, command, log):
        self.name = name
        self.command = command
        self._log = log
        try:
            with open(log, "wb") as file:
                self._process = subprocess.Popen(command, executable=tool.resolve(),
                                                 stdin=subprocess.DEVNULL, stderr=file)
        except OSError as error:
            raise TunnelError(f"cannot start {tool}: {error.strerror}: run make") from error

    def events(self, name):
        """All events of this name in the log so far."""
        lines = self._log.read_text().splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [event for event in found if event["event"] == name]

    def wait_for(self, name, n=1):
        """Waits until an event has happened n times; returns the last one."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            events = self.events(name)
            if len(events) >= n:
                return events[-1]
            time.sleep(0.02)
        raise TunnelError(f"the {self.name} did not get to \"{name}\"; its log:\n"
                          + self._log.read_text())

    def counters(self):
        """Asks for the counters: those of the process, then one for each session."""
        before = len(self.events("counters"))
        self._process.send_signal(signal.SIGUSR1)
        self.wait_for("counters", before + 2)
        return self.events("counters")[before:]

    def peak_memory(self):
        """Largest resident memory in bytes; None where the system does not tell."""
        try:
            with open(f"/proc/{self._process.pid}/status") as file:
                lines = dict(line.split(":", 1) for line in file)
            return int(lines["VmHWM"].split()[0]) * 1024
        except (OSError, KeyError):
            return None

    def stop(self, at_once):
        """Ends it; not `at_once` lets its streams finish."""
        self._process.terminate()
        if at_once:
            self._process.kill()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Tunnel:
    """Both programs. `entrance` is (host, port), where the client listens."""

    def __init__(self, tool, target, directory):
        self._tool = tool
        self._target = target
        self._directory = directory
        self._programs = []

    def _start(self, name, *options):
        command = [os.path.relpath(self._tool), name, "-l", "127.0.0.1:0", *options, "--log-format", "json"]
        program = Program(name, self._tool, command, self._directory / f"{name}.log")
        self._programs.append(program)
        return program.wait_for("listening")["addr"]

    def __enter__(self):
        try:
            server = self._start("server", "-t", self._target)
            host, port = self._start("client", "-r", server).rsplit(":", 1)
            self.entrance = (host, int(port))
            self._programs[1].wait_for("session.up")
        except BaseException:
            self._stop(at_once=True)
            raise
        return self

    def __exit__(self, failure, *_):
        self._stop(at_once=failure is not None)

    def _stop(self, at_once):
        for program in reversed(self._programs):
            program.stop(at_once)

    def commands(self):
        return [" ".join(program.command) for program in self._programs]

    def counters(self):
        """{"server": [counters], "client": [counters]}"""
        return {program.name: program.counters() for program in self._programs}

    def peak_memory(self):
        return {program.name: program.peak_memory() for program in self._programs}
