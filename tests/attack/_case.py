"""One attack on one victim: what is done, what is measured, what is demanded.

The order: victim, client beside it, its times without attack, attack, its times meanwhile, the
victim's counters when the attacker is gone, a fresh session, the end of the victim.

What an attack costs the machine is not what it costs others within the victim: attacker, victim,
its targets and the client share the processors. So there is a reference: the same attack on another
victim of the same kind, a process beside, while the client works on the first.

The kernel lets a process that has slept run at once, and a busy one wait: a victim that is attacked waits
longer for its processor than the one of the reference, if others want that, too. Where a victim is one
thread this is known exactly, and is left out of the client's times: "served".
"""
import json
import os
import subprocess
import time

from _victims import ATTACK, Child, Failure, GoVictim, Honest, SessionVictim, require

MIB = 1 << 20
# The client's p99 may double; below this it is the scheduler of a busy machine that is measured.
FLOOR_MS = float(os.environ.get("SMUX_ATTACK_FLOOR_MS", "10"))
REFERENCE_SECONDS = 1  # at least, where times are compared with the reference
# Seconds until the counters are back. A target that does not read has BROKEN_GRACE_MS, 5 s, to take what
# came before its session broke, which keeps the session: in window-overrun that happens one time in five.
SETTLE = 8
PROCESSORS = sorted(os.sched_getaffinity(0))
HANG = 20  # seconds more than it should take
RECEIVE_BUFFER = 4 * MIB  # default of both libraries
SEND_BUFFER, SEND_FLOOR = MIB, 4096  # L8: a session, and each of its streams
HANG_UPS = {"hang-up", "SMUX_OK", "SMUX_EOF", "SMUX_ETRUNCATED", "SMUX_EIO", "SMUX_ECLOSED"}
MAX_STREAMS = 16384  # L1
TOOL_SESSIONS = 1024  # --max-sessions
IDLE_SESSION = 16384  # bytes of one that has said nothing
CROWD = 2  # sessions at once of an attacker that comes back before the last one is over
CPU_BYTE = 0.1e-6  # seconds for a byte: 0.8 us for the smallest frame
CPU_WORKING_BYTE = 2.5e-6  # 20 us for it, a stream made and closed with what hangs on it
CPU_CONNECTION = 0.5e-3  # a session made and ended, with its thread
CPU_FREE = 0.25  # seconds, and as much a second: accounting is coarse, and the client works, too


def load_attacks():
    """The table of the program, in its order."""
    out = subprocess.run([ATTACK, "list"], capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in out.splitlines()]


class Case:
    """An attack on a kind of victim in a version. After run(): the figures, and what is wrong."""

    streams_left = 1  # when the attacker is gone: that of the client

    def __init__(self, attack, victim, version):
        self.attack, self.kind, self.version = attack, victim, version
        self.name = f"{attack['name']} v{version} {victim.name}"
        self.tries = 0
        self.measured = False
        self.aside = None  # the client's times during the reference

    # --- doing ---------------------------------------------------------------------------

    def run(self, seconds, reference=False, apart=False):
        """With the reference or without. `apart` gives the victims a processor of their own."""
        if self.attack["long"]:
            seconds = max(seconds, 2)
        self.reference, self.apart = reference, apart and len(PROCESSORS) > 1
        if self.apart:
            os.sched_setaffinity(0, PROCESSORS[1:])  # what this thread starts follows
        if reference:
            seconds = max(seconds, REFERENCE_SECONDS)
        self.tries += 1
        self.complaints = []
        self.late = False
        try:
            self.attempt(seconds)
        except Failure as failure:
            self.complain(str(failure))

    def only_late(self):
        """Whether nothing is wrong but the client's p99."""
        return self.late and len(self.complaints) == 1

    def attempt(self, seconds):
        self.victim = self.make_victim()
        self.honest = None
        try:
            self.honest = Honest(self.victim, self.version)
            self.observe(seconds)
            self.judge()
            self.measured = True
        finally:
            if self.honest:
                self.honest.kill()
            self.victim.kill()

    def observe(self, seconds):
        time.sleep(0.1)  # until the client has settled
        self.honest.mark()
        quiet = min(seconds / 2, 1)
        self.quiet_cpu = self.cpu_of(lambda: time.sleep(quiet)) / quiet
        self.before = self.honest.mark()
        if self.reference:
            self.aside = self.attack_aside(seconds)
        self.rss = self.victim.rss()
        self.victim.forget_peak()
        self.used_cpu = self.cpu_of(lambda: self.attack_for(seconds, self.victim))
        self.during = self.honest.mark()
        self.growth = max(0, self.victim.peak() - self.rss)
        self.after = self.settle()
        self.again = self.honest.ask("again")
        self.honest.end()
        self.last = self.victim.finish()

    def make_victim(self):
        victim = self.kind(self.version, self.attack)
        if self.apart:
            os.sched_setaffinity(victim.process.pid, PROCESSORS[:1])
        return victim

    def attack_aside(self, seconds):
        """Attacks another victim; returns the client's times meanwhile."""
        other = self.make_victim()
        try:
            self.attack_for(seconds, other)
            aside = self.honest.mark()
        finally:
            other.kill()
        time.sleep(0.1)
        self.honest.mark()
        return aside

    def cpu_of(self, action):
        before = self.victim.cpu()
        action()
        return self.victim.cpu() - before

    def attack_for(self, seconds, victim):
        attacker = Child(ATTACK, *self.attacker(victim, seconds), nice=10)
        try:
            out, _ = attacker.process.communicate(timeout=seconds + HANG)
            require(attacker.process.returncode == 0, f"attacker: {attacker.error_text()}")
            self.result = json.loads(out)
        except subprocess.TimeoutExpired:
            raise Failure("the attacker was not done in time") from None
        finally:
            attacker.kill()

    def attacker(self, victim, seconds):
        return ["run", self.attack["name"], victim.address, self.version, seconds]

    def settle(self):
        """The counters once all that is gone which is to go."""
        until = time.monotonic() + SETTLE
        while True:
            report = self.victim.report()
            gone = report["sessions"] <= 1 and report["streams"] <= self.streams_left
            if gone or time.monotonic() > until:
                return report
            time.sleep(0.02)

    # --- judging -------------------------------------------------------------------------

    def complain(self, text):
        self.complaints.append(text)

    def judge(self):
        require(self.result["connections"] > 0, "the attacker could not connect")
        if self.result["fault"]:
            self.complain(f"the victim misbehaved: {self.result['fault']}")
        self.judge_end()
        self.judge_memory()
        self.judge_cpu()
        self.judge_others()
        self.judge_aftermath()
        if self.attack["trap"]:
            self.judge_trap()

    def ends(self):
        """How sessions of the attacker ended that the victim ended itself."""
        return {status: n for status, n in self.after.get("sessions_ended", {}).items()
                if status not in HANG_UPS}

    def judge_end(self):
        end, closed, made = self.attack["end"], self.result["closed"], self.result["connections"]
        if end is None:
            if closed:
                self.complain(f"closed {closed} of {made} connections: {self.ends()}")
            return
        if closed == 0 or closed < made - 1:  # the time of the last one may have been too short
            self.complain(f"closed {closed} of {made} connections, expected {end}")
        elif self.kind is not GoVictim and self.ends().keys() != {end}:
            self.complain(f"closed with {self.ends()}, expected {end}")
        streams = self.after.get("streams_ended")
        if self.attack["stream"] and streams is not None and not streams.get(self.attack["stream"]):
            self.complain(f"no stream ended with {self.attack['stream']}: {streams}")

    def judge_memory(self):
        worst = self.after.get("worst")
        if worst:
            self.peak, self.limit = worst["peak"], worst["limit"]
            if worst["streams"] > MAX_STREAMS:
                self.complain(f"{worst['streams']} streams of one peer")
            if self.attack["fills"] and self.peak < RECEIVE_BUFFER * 3 // 4:
                self.complain(f"only {self.peak} bytes were used: this proves nothing")
            if self.attack["sends"]:
                self.limit += SEND_BUFFER + SEND_FLOOR * worst["streams"]
        else:
            self.peak, self.limit = self.growth, self.resident_limit()
        if self.peak > self.limit:
            self.complain(f"{self.peak} bytes of memory, the limit is {self.limit}")

    def sessions(self):
        """Of the attacker, at once."""
        return CROWD if self.attack["crowd"] else 1

    def resident_limit(self):
        """1.25 x budget, and 8 MiB for each session of the attacker."""
        idle = min(self.result["connections"], TOOL_SESSIONS) if self.attack["connects"] else 0
        return RECEIVE_BUFFER * 5 // 4 + self.sessions() * 8 * MIB + idle * IDLE_SESSION

    def judge_cpu(self):
        seconds = self.result["seconds"]
        used = self.used_cpu - self.quiet_cpu * seconds
        allowed = CPU_FREE * max(1, seconds)
        if not self.attack["silent"]:
            byte = CPU_WORKING_BYTE if self.attack["works"] else CPU_BYTE
            allowed += self.bytes_moved() * byte + self.result["connections"] * CPU_CONNECTION
        if used > allowed:
            self.complain(f"{used:.2f} s of processor for {self.result['sent']} bytes")

    def bytes_moved(self):
        return self.result["sent"]

    def fair(self):
        """The client's p99 without attack; with the reference, without an attack on its victim."""
        return max(self.before["served"], self.aside["served"] if self.reference else 0)

    def judge_others(self):
        if self.during["n"] == 0:
            self.complain("the client beside got no answer")
        elif self.during["served"] > max(2 * self.fair(), FLOOR_MS * self.sessions()):
            self.late = True
            self.complain(f"p99 of the client beside rose from {self.fair()} to "
                          f"{self.during['served']} ms")
        self.judge_beside()

    def judge_beside(self):
        if self.attack["beside"] and self.result["rounds"] < 5 * self.result["seconds"]:
            self.complain(f"the stream beside got {self.result['rounds']} answers")

    def judge_aftermath(self):
        if self.after["sessions"] > 1 or self.after["streams"] > self.streams_left:
            self.complain(f"{self.after['sessions']} sessions and {self.after['streams']} streams "
                          "are left of one each")
        if self.again["status"] != "SMUX_OK":
            self.complain(f"a new session fails: {self.again['status']}")
        for what in ("sessions", "streams", "heap", "leaked"):
            if self.kind is SessionVictim and self.last[what]:
                self.complain(f"{self.last[what]} {what} are left at the end")

    def judge_trap(self):
        glitches = self.after.get("glitches", 0)
        if glitches > self.attack["glitches"]:
            self.complain(f"{glitches} glitches for an honest peer")
        for what in ("refused", "aborted"):
            if self.after.get(what):
                self.complain(f"{self.after[what]} streams of an honest peer {what}")

    # --- telling -------------------------------------------------------------------------

    def end_text(self):
        if self.result["closed"] == 0:
            return "open"
        return " ".join(self.ends()) or "closed"

    def figures(self):
        return (f"{self.end_text()}, {self.peak / MIB:.2f} of {self.limit / MIB:.1f} MiB, "
                f"{self.client_text()}")

    def client_text(self):
        return f"p99 {self.times()}, served {self.times('served')}"

    def slowness(self):
        return self.during["p99"]

    def times(self, what="p99"):
        """The client's p99: without attack, in the reference, and during the attack."""
        marks = [self.before, self.aside if self.reference else None, self.during]
        return " → ".join(f"{mark[what]:.2f}" for mark in marks if mark) + " ms"
