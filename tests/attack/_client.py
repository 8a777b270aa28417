"""One attack of a server on a client.

The order: client, honest server, a local connection; that server is killed and the attacker takes
its place, while PEER_OFFERED local connections do what its streams say; then the honest server
again, a local connection, the client's counters and its end.
"""
import time

from _case import CPU_BYTE, CPU_WORKING_BYTE, Case
from _victims import ATTACK, RETRY_CAP, Child, ToolVictim, require

BACK = RETRY_CAP + 1  # seconds until a local connection works again; one for a busy machine
# The pauses of a client are 0 to RETRY_CAP: who gets in more often than this does not wait, as
# far as chance goes (30 connections in half a second are six standard deviations).
CONNECTIONS = 10
CONNECTIONS_SECOND = 40 * 0.1 / RETRY_CAP


class ClientCase(Case):
    """See Case; there is no client beside, but a local connection afterwards."""

    streams_left = 0

    def attempt(self, seconds):
        self.victim = self.make_victim()
        try:
            self.observe(seconds)
            self.judge()
            self.measured = True
        finally:
            self.victim.kill()

    def observe(self, seconds):
        self.with_honest_server(lambda: self.back())
        self.quiet_cpu = 0
        self.rss = self.victim.rss()
        self.victim.forget_peak()
        self.used_cpu = self.cpu_of(lambda: self.attack_for(seconds, self.victim))
        self.growth = max(0, self.victim.peak() - self.rss)
        self.with_honest_server(self.look_again)
        self.last = self.victim.finish()

    def with_honest_server(self, action):
        server = ToolVictim(self.version, self.attack, self.victim.remote)
        try:
            action()
        finally:
            server.kill()

    def back(self):
        """Seconds until a local connection works."""
        begin = time.monotonic()
        while not self.victim.exchange():
            require(time.monotonic() < begin + BACK,
                    f"no local connection works {BACK} s after an honest server came back")
        return time.monotonic() - begin

    def look_again(self):
        self.again = self.back()
        self.after = self.settle()

    def attack_for(self, seconds, victim):
        locals_ = Child(ATTACK, "locals", victim.address)
        try:
            locals_.read()
            super().attack_for(seconds, victim)
            locals_.end()
        finally:
            locals_.kill()

    def attacker(self, victim, seconds):
        return ["serve", self.attack["name"], victim.remote, self.version, seconds]

    def bytes_moved(self):
        """What local connections send at the attacker's word is the client's work, too."""
        return self.result["sent"] + self.result["received"]

    def judge_others(self):
        self.judge_beside()
        most = CONNECTIONS + CONNECTIONS_SECOND * self.result["seconds"]
        if self.result["connections"] > most:
            self.complain(f"connected {self.result['connections']} times in "
                          f"{self.result['seconds']:.1f} s: it does not wait between")

    def judge_aftermath(self):
        if self.after["sessions"] != 1 or self.after["streams"] != self.streams_left:
            self.complain(f"{self.after['sessions']} sessions and {self.after['streams']} streams "
                          f"are left, expected 1 and {self.streams_left}")

    def slowness(self):
        return self.again

    def client_text(self):
        return f"back after {self.times()}"

    def times(self):
        return f"{self.again * 1000:.0f} ms"
