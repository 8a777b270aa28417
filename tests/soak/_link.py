"""The link of the soak: a tunnel over the link emulator, which is frozen and cut now and then."""
import datetime
import os
import random
import re
import signal
import threading
import time

import libtunnel

LINKEMU = os.path.join(os.environ.get("SMUX_BUILD_DIR", "build/dev"), "bin/linkemu")
SESSIONS = 2
CLOCK = 0.01    # seconds: the log rounds its times
QUIET = ("--quiet", "--retry-min", "0.05", "--retry-cap", "0.3")


class Link:
    """smux server, linkemu and smux client in a row. Connect to .address."""

    def __init__(self, target, version, seed, every):
        self.rng = random.Random("link %s %d" % (version, seed))
        self.every = every
        self.kills = self.resets = self.freezes = 0
        self.server = libtunnel.server(target, "--quiet")
        self.port = libtunnel.free_port()
        self._start_emulator(whole=True)
        self.client = libtunnel.client(("127.0.0.1", self.port), "--smuxver", version,
                                       "--conn", SESSIONS, *QUIET)
        self.client.wait_log("session.up", count=SESSIONS)
        self.processes = {"client v%s" % version: self.client, "server v%s" % version: self.server}
        self.address = self.client.address
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._disturb, daemon=True)

    def connect(self):
        return libtunnel.connect(self.address)

    def sessions_down(self):
        """The times at which the client lost a session, in seconds since 1970."""
        return [datetime.datetime.fromisoformat(text + "+00:00").timestamp()
                for text in re.findall(r"^(\S+)Z .*session\.down", self.client.log(), re.M)]

    def went_down_since(self, when):
        return any(down >= when - CLOCK for down in self.sessions_down())

    def unexplained(self):
        """Sessions that ended although nothing cut them."""
        return max(0, len(self.sessions_down()) - SESSIONS * self.kills - self.resets)

    def start(self):
        self.thread.start()

    def stop(self):
        """No more disturbances; the link works again when this returns."""
        self.stopping.set()
        self.thread.join()
        self._cut(whole=True)

    def _start_emulator(self, whole):
        """Unless it is to be whole, often one that resets each connection inside some frame."""
        cut = []
        if not whole and self.rng.random() < 0.5:
            cut = ["--cut-after", "%s:%d" % (self.rng.choice(("up", "down")),
                                             self.rng.randint(500_000, 5_000_000))]
        self.emulator = libtunnel.Process(
            [LINKEMU, "-v", "-l", "127.0.0.1:%d" % self.port, "-t",
             libtunnel.format_address(self.server.address), "--delay", "1ms", *cut])
        self.emulator.wait_log("listening")

    def _cut(self, whole=False):
        """The emulator is killed with what it carries, and another one takes its place."""
        self.kills += 1
        self.resets += self.emulator.log().count(" cut: ")
        self.emulator.discard()
        self._start_emulator(whole)

    def _freeze(self):
        """The link, or one end, does nothing for a while."""
        process = self.rng.choice((self.emulator, self.server, self.client))
        process.send(signal.SIGSTOP)
        time.sleep(self.rng.uniform(0.1, 1.5))
        process.send(signal.SIGCONT)
        self.freezes += 1

    def _disturb(self):
        while not self.stopping.wait(self.rng.uniform(0.3, 1.7) * self.every):
            self.rng.choice((self._cut, self._freeze))()
