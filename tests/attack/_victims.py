"""The victims of the attack suite, and the client that works beside an attack.

Each victim runs in a process of its own and has, besides its address:

  report()   counters as a dictionary; those that a kind of victim does not know are missing:
             sessions, streams, heap, sessions_ended, streams_ended, refused, glitches, worst, leaked
  rss()      resident memory in bytes
  cpu()      seconds of processor used
  finish()   stops it and returns the last report; an exit code other than 0 is a Failure
"""
import json
import os
import re
import resource
import signal
import socket
import subprocess
import tempfile

ATTACK = os.environ.get("SMUX_ATTACK", "build/dev/tests/attack/attack")
TOOL = os.environ.get("SMUX_TOOL", "build/dev/bin/smux")
GO_DIR = os.environ.get("SMUX_INTEROP_DIR", "build/dev/interop")
PATIENCE = 20  # seconds in which a living process answers
FIXED_WINDOW = 65536  # where windows must not follow the traffic
# These make thousands of connections a second, so that the kernel's search for a free port would be
# measured, which every connection to that target has to wait for: their target is a Unix socket.
USES_UP_PORTS = {"open-close", "trap-7"}
RETRY_CAP = 0.1  # seconds a client waits at most until it connects again
TIMEOUT_MS = 300  # of frames and stalled output, where that is the end of an attack [FRM-11, L11]
TICK = os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    """Something that must hold does not; the text says what."""


def require(condition, text):
    if not condition:
        raise Failure(text)


class Child:
    """A process that is asked by lines on its standard input."""

    def __init__(self, *line, nice=0):
        self.line = [str(word) for word in line]
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            self.line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True,
            preexec_fn=lambda: os.nice(nice))

    def read(self):
        line = self.process.stdout.readline()
        require(line, f"{self.line[1]} ended: {self.error_text()}")
        return line

    def ask(self, command):
        try:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Failure(f"{self.line[1]} ended: {self.error_text()}") from None
        return json.loads(self.read())

    def loop(self):
        """The process, if it is one thread: what that waits for a processor is not its own doing."""
        return []

    def error_text(self):
        self.errors.seek(0)
        return self.errors.read()[-3000:]

    def stat(self, field):
        with open(f"/proc/{self.process.pid}/stat") as f:
            return int(f.read().rsplit(")", 1)[1].split()[field])

    def rss(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) * 1024

    def peak(self):
        """The most resident memory there was since forget_peak()."""
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"VmHWM:\s+(\d+)", f.read()).group(1)) * 1024

    def forget_peak(self):
        with open(f"/proc/{self.process.pid}/clear_refs", "w") as f:
            f.write("5")

    def cpu(self):
        return (self.stat(11) + self.stat(12)) / TICK

    def end(self):
        """Ends standard input; returns what was printed until the end."""
        try:
            out, _ = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure(f"{self.line[1]} hangs at its end") from None
        require(self.process.returncode == 0,
                f"{self.line[1]}: exit code {self.process.returncode}: {self.error_text()}")
        return out

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.errors.close()


class SessionVictim(Child):
    """A program on the session API that counts its memory."""
    name = "session"

    def __init__(self, version, attack):
        super().__init__(ATTACK, "victim", version, TIMEOUT_MS if attack["timed"] else 0,
                         FIXED_WINDOW if attack["fixed"] else 0)
        self.address = self.read().split()[1]

    def report(self):
        return self.ask("report")

    def finish(self):
        return json.loads(self.end().splitlines()[-1])


# What the log of the tool says of a session that ended with a status.
REASONS = [
    ("SMUX_EFLOOD", r"flooded the session"),
    ("SMUX_ETIMEDOUT", r"did not arrive completely|silent for too long|takes no data"),
    ("SMUX_EPROTO", r"version|speaks|command|window update in a|length|stream ids|first bytes"
                    r"|violated"),
    ("hang-up", r"connection ended|transport failed|Connection reset|peer finished|closed|Broken"),
]


def status_of(text):
    for status, pattern in REASONS:
        if re.search(pattern, text):
            return status
    return text


class Tool(Child):
    """A tunnel's program. What it counts and how its sessions end is in its log."""

    def __init__(self, role, version, attack, *options):
        self.log = tempfile.NamedTemporaryFile("r", prefix="smux-attack-")
        super().__init__(TOOL, role, "--smuxver", version, "--log", self.log.name,
                         "--quiet=streams", *options,
                         *(["--streambuf", FIXED_WINDOW] if attack["fixed"] else []),
                         *(["--frame-timeout", f"{TIMEOUT_MS}ms", "--send-stall",
                            f"{TIMEOUT_MS}ms"] if attack["timed"] else []))
        self.address = self.wait_log(r"listening addr=(\S+)").group(1)

    def loop(self):
        return [self.process.pid]

    def wait_log(self, pattern, since=0):
        for _ in range(PATIENCE * 100):
            with open(self.log.name, errors="replace") as f:
                f.seek(since)
                found = re.search(pattern, f.read())
            if found:
                return found
            require(self.process.poll() is None, f"smux {self.line[1]} ended: {self.error_text()}")
            try:
                self.process.wait(0.01)
            except subprocess.TimeoutExpired:
                pass
        raise Failure(f"no {pattern!r} in the log of smux {self.line[1]}: it hangs")

    def report(self):
        since = os.path.getsize(self.log.name)
        self.process.send_signal(signal.SIGUSR1)
        line = self.wait_log(r"counters uptime=.*\n.* limits refused_sessions=.*\n", since).group(0)
        figures = {name: int(n) for name, n in re.findall(r"(\w+)=(\d+)\b", line)}
        acted = {word: sum(n for name, n in figures.items() if name.startswith(word + "_"))
                 for word in ("refused", "dropped", "aborted")}
        return {"sessions": figures["sessions"], "streams": figures["streams"],
                "glitches": figures["glitches"], "refused": acted["refused"] + acted["dropped"],
                "aborted": acted["aborted"], "sessions_ended": self.ends()}

    def ends(self):
        ends = {}
        with open(self.log.name, errors="replace") as f:
            for line in f:
                found = re.search(r' session\.down .*error=("[^"]*"|\S+)', line)
                if found:
                    status = status_of(found.group(1))
                    ends[status] = ends.get(status, 0) + 1
        return ends

    def finish(self):
        report = self.report()
        self.process.send_signal(signal.SIGTERM)
        self.end()
        return report

    def kill(self):
        super().kill()
        self.log.close()


class ToolVictim(Tool):
    """`smux server` in front of a target that does what the first byte says."""
    name = "tool"

    def __init__(self, version, attack, listen="127.0.0.1:0"):
        self.place = tempfile.TemporaryDirectory(prefix="smux-attack-")
        self.target = Child(ATTACK, "target", *([f"unix:{self.place.name}/target"]
                                                if attack["name"] in USES_UP_PORTS else []))
        target = self.target.read().split()[1]
        super().__init__("server", version, attack, "-l", listen, "-t", target)

    def kill(self):
        super().kill()
        self.target.kill()
        self.place.cleanup()


class ClientVictim(Tool):
    """`smux client`, which has met an honest server before somebody took that over."""
    name = "client"

    def __init__(self, version, attack):
        self.port = socket.socket()  # reserved: what sets SO_REUSEADDR, too, can listen there
        self.port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.port.bind(("127.0.0.1", 0))
        self.remote = "127.0.0.1:%d" % self.port.getsockname()[1]
        super().__init__("client", version, attack, "-l", "127.0.0.1:0", "-r", self.remote,
                         "--retry-min", "20ms", "--retry-cap", f"{RETRY_CAP}s")

    def exchange(self):
        """Whether a local connection gets its echo."""
        host, port = self.address.rsplit(":", 1)
        message = os.urandom(1000)
        try:
            with socket.create_connection((host, int(port)), PATIENCE) as s:
                s.sendall(b"E" + message)
                s.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: s.recv(4096), b"")) == message
        except OSError:
            return False

    def kill(self):
        super().kill()
        self.port.close()


class GoVictim(Child):
    """xtaci/smux, for comparison."""
    name = "go"

    def __init__(self, version, attack):
        super().__init__(os.path.join(GO_DIR, "gopeer-newest"), "app-server", "-l", "127.0.0.1:0",
                         "-v", version, "-timeout", "0")
        self.address = self.read().split()[1]

    def report(self):
        return self.ask("report")

    def finish(self):
        return json.loads(self.end().splitlines()[-1])


class Honest(Child):
    """The legitimate client."""

    def __init__(self, victim, version):
        super().__init__(ATTACK, "honest", victim.address, version, *victim.loop())

    def mark(self):
        figures = self.ask("mark")
        require(not figures["error"], f"the client beside: {figures['error']}")
        return figures


def raise_descriptors():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
