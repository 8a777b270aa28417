"""Runs smuxspec against subjects: libsmux and releases of the Go library."""
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys

BIN = pathlib.Path(os.environ.get("SMUX_SPEC_DIR", "build/dev/tests/spec"))
GO = pathlib.Path(os.environ.get("SMUX_INTEROP_DIR", "build/dev/interop"))
LIMIT = 120  # seconds that one run may take
RUNS = 4     # at the same time: most of them wait

# What the subjects are set to: short, so that clauses about time take little of it, but longer
# than a busy machine takes to answer.
LIBSMUX = ("keepalive_ms=250 timeout_ms=2500 guard_ms=20 linger_ms=250 half_close_ms=1000 "
           "drain_ms=1000 frame_ms=6500 max_streams=300 backlog=100").split()
GO_FLAGS = "-keepalive 250ms -keepalive-timeout 2500ms".split()


def skip(reason):
    print(f"SKIP: {reason}")
    sys.exit(77)


class Subject:
    """A program to ask, in one role and version. version may be "auto1" or "auto2"."""

    def __init__(self, name, role, version):
        self.name, self.role, self.version = name, role, version

    def __str__(self):
        return f"{self.name} {self.role}, smux {self.version}"

    @property
    def smuxver(self):
        return str(self.version)[-1]

    def line(self, address):
        """The command of the subject."""
        version = "auto" if str(self.version).startswith("auto") else self.version
        where = ["-l" if self.role == "server" else "-r", address]
        if self.name == "libsmux":
            return [BIN / "specsubject", *where, "-v", str(version), *LIBSMUX]
        own = ["-exit-on-stdin"] if self.role == "server" else []
        return [GO / f"gopeer-{self.name}", f"spec-{self.role}", *where, "-v", str(version),
                *own, *GO_FLAGS, "-timeout", f"{LIMIT}s"]

    def start(self, address):
        return subprocess.Popen([str(word) for word in self.line(address)],
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def stop(self, process):
        """Ends the subject. It must not have ended by itself, nor found a fault of its own."""
        died = process.poll() is not None
        _, errors = process.communicate(timeout=LIMIT)
        if died or process.returncode not in (0, 1) or (self.name == "libsmux" and process.returncode):
            raise RuntimeError(f"{self}: exit code {process.returncode}: {errors[:3000]}")

    def ask(self, *options):
        """Runs smuxspec; returns its cases as {"CLAUSES: name": case}."""
        line = [BIN / "smuxspec", "--smuxver", self.smuxver, "--json", *options]
        if str(self.version).startswith("auto"):
            line.append("--auto")
        if self.role == "server":
            subject = self.start("127.0.0.1:0")
            line += ["--connect", subject.stdout.readline().split()[-1]]
        else:
            line += ["--listen", "127.0.0.1:0"]
        spec = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.role == "client":
            subject = self.start(spec.stderr.readline().split()[-1])
        try:
            out, errors = spec.communicate(timeout=LIMIT)
        finally:
            spec.kill()
            self.stop(subject)
        if spec.returncode not in (0, 1):
            raise RuntimeError(f"{self}: smuxspec ended with {spec.returncode}: {errors}")
        cases = json.loads(out)["cases"]
        return {f"{case['clauses']}: {case['name']}": case for case in cases}


def ask_all(subjects, *options):
    """Asks several at a time; yields (subject, cases) in their order."""
    if not os.access(BIN / "smuxspec", os.X_OK):
        skip("smuxspec is not built (SMUX_SPEC_DIR)")
    with concurrent.futures.ThreadPoolExecutor(RUNS) as pool:
        runs = [pool.submit(subject.ask, *options) for subject in subjects]
        for subject, run in zip(subjects, runs):
            yield subject, run.result()


def summary(subject, cases):
    verdicts = [case["verdict"] for case in cases.values()]
    slowest = max(cases.values(), key=lambda case: case["ms"])
    return (f"{subject}: {verdicts.count('ok')} passed, {verdicts.count('FAIL')} failed, "
            f"{verdicts.count('n/a')} not applicable; slowest {slowest['ms']} ms")
