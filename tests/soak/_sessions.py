"""The session API in the soak: cpeer servers that live as long as it, and clients that come and go.

Each client checks what it gets and says so with its exit code. Some are stopped for a while, some
are killed, which cuts their session. One client lives as long as the servers.
"""
import json
import os
import random
import signal
import threading
import time

import libtunnel

CPEER = os.environ.get("SMUX_CPEER", "build/dev/tests/interop/cpeer")
# Threads come and go here, and the C library gives each an arena of memory that it keeps: with many
# of them what it keeps grows for hours, and hides a leak.
ENVIRONMENT = dict(os.environ, MALLOC_ARENA_MAX="1")
FOREVER = "1000m"

# server command and options; it is called so in the samples
SERVERS = {
    "echo": ("echo-server",),
    "source": ("source-server",),
    "sink": ("sink-server",),
    "reply": ("halfclose-server", "-reply", "50000"),
    "slow": ("slow-server", "-stalled", "1", "-release", "700ms"),
    "victim": ("echo-server",),     # of clients that are killed
}
# server, and the client with its options
CLIENTS = (
    ("echo", "echo-client -c 30 -parallel 6 -m 6 -size 3000 -eof"),
    ("echo", "echo-client -c 4 -parallel 4 -m 2 -size 500 -lockstep -eof -idle 2s"),
    ("echo", "slow-client -c 2 -bytes 60000 -stall-bytes 200000"),
    ("source", "sink-client -bytes 250000 -streams 3 -delay 300ms"),
    ("source", "closer-client -c 4 -after 1000 -bytes 300000"),
    ("sink", "source-client -bytes 250000 -streams 3 -eof"),
    ("reply", "halfclose-client -send 30000 -reply 50000 -c 4 -delay 100ms"),
    ("slow", "echo-client -c 3 -parallel 3 -m 3 -size 20000 -eof"),
    ("victim", "slow-client -c 2 -bytes 4000000 -stall-bytes 200000"),
)


def cpeer(command, *options, **kwargs):
    return libtunnel.Process([CPEER, *command, *options], env=ENVIRONMENT, **kwargs)


class Sessions:
    """Threads that run one client after the other until they are told to stop."""

    def __init__(self, seed, workers=3):
        self.servers = {}
        self.addresses = {}
        for name, command in SERVERS.items():
            server = cpeer(command, "-l", "127.0.0.1:0", "-v", "auto", "-exit-on-stdin",
                           "-timeout", FOREVER, stdin=libtunnel.subprocess.PIPE)
            self.servers[name] = server
            self.addresses[name] = server.wait_log(r"listening (\S+)").group(1)
        self.processes = {"%s session server" % name: p for name, p in self.servers.items()}
        self.lock = threading.Lock()
        self.clients = self.killed = self.streams = self.bytes = 0
        self.lost = []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._work, daemon=True, args=(random.Random(
            "sessions %d %d" % (seed, i)),)) for i in range(workers)]

    def start_long_lived(self, seconds):
        """A client for most of so long: each of its streams is silent for a second, three at a time.
        On a busy machine that takes longer."""
        self.seconds = seconds
        self.long_lived = self._start("2", "echo", "echo-client -c %d -parallel 3 -m 2 -size 2000 "
                                      "-lockstep -eof -idle 1s" % (3 * max(1, seconds * 4 // 5)))
        return self.long_lived

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(90)
            if thread.is_alive():
                self.lost.append("session client: does not end")
        self._judge(self.long_lived, "the long-lived client", timeout=60 + self.seconds / 2)

    def end_servers(self):
        """Their own verdict, once nothing is measured any more."""
        for name, server in self.servers.items():
            server.child.stdin.close()
            self._judge(server, "%s server" % name, timeout=30, count=False)

    def _start(self, version, server, command):
        name, *options = command.split()
        return cpeer((name,), "-r", self.addresses[server], "-v", version, "-timeout", FOREVER,
                     *options)

    def _judge(self, process, what, timeout, count=True):
        """Adds what a process reports; anything but success is a loss."""
        try:
            status = process.wait(timeout)
        except libtunnel.subprocess.TimeoutExpired:
            process.kill()
            self.lost.append("%s: hung" % what)
            return
        lines = [line for line in process.log().splitlines() if line.startswith("{")]
        report = json.loads(lines[-1]) if lines else {}
        if status != 0 or report.get("session_errors") != 0:
            self.lost.append("%s: status %d: %s" % (what, status, process.log()[-500:]))
        if count:
            with self.lock:
                self.clients += 1
                self.streams += report.get("streams", 0)
                self.bytes += report.get("bytes", 0)

    def _work(self, rng):
        while not self.stopping.wait(rng.uniform(0.2, 0.8)):
            server, command = rng.choice(CLIENTS)
            process = self._start(rng.choice("12"), server, command)
            if server == "victim":
                time.sleep(rng.uniform(0.01, 0.4))
                self.killed += 1
            else:
                if rng.random() < 0.3:
                    self._stop_for_a_while(process, rng)
                self._judge(process, command, timeout=60)
            process.discard()

    def _stop_for_a_while(self, process, rng):
        process.send(signal.SIGSTOP)
        time.sleep(rng.uniform(0.1, 1))
        process.send(signal.SIGCONT)
