"""Runs the C peer (cpeer) and the Go peers (gopeer-RELEASE) against each other.

Both programs have the same commands, formats and options, so that one Case serves both roles:
the C client with the Go server, and the Go client with the C server.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from _relay import Relay

CPEER = os.environ.get("SMUX_CPEER", "")
GO_DIR = pathlib.Path(os.environ.get("SMUX_INTEROP_DIR", ""))
RELEASES = os.environ.get("SMUX_INTEROP_RELEASES", "newest 1.5.16 1.5.57").split()
LONG = os.environ.get("SMUX_LONG") == "1"
LIMIT = int(os.environ.get("SMUX_INTEROP_LIMIT", "60"))  # seconds that one process may take
WORKERS = 3  # cases at the same time: most of them wait

C_CLIENT, C_SERVER = "C client", "C server"


def skip(reason):
    print(f"SKIP: {reason}")
    sys.exit(77)


def much(short, long):
    """An amount of data or streams; the larger one with SMUX_LONG=1."""
    return long if LONG else short


class Release:
    """One release of the Go library."""

    def __init__(self, name):
        self.name = name
        self.program = str(GO_DIR / f"gopeer-{name}")
        text = subprocess.run([self.program, "version"], capture_output=True, text=True).stdout
        found = re.search(r"smux=v(\d+)\.(\d+)\.(\d+)", text)
        self.number = tuple(int(n) for n in found.groups()) if found else (0, 0, 0)
        self.can_half_close = "closewrite=true" in text

    @property
    def has_m1(self):
        """Unread data is dropped once both ends have sent their FIN."""
        return (1, 5, 54) <= self.number <= (1, 5, 57)

    @property
    def has_m2(self):
        """An opener loses what is sent before its SYN was accounted for."""
        return self.number <= (1, 5, 57)


def releases():
    """The Go peers that are there; skips the script without any."""
    if not (CPEER and os.access(CPEER, os.X_OK)):
        skip("the C peer is not built (SMUX_CPEER)")
    found = [name for name in RELEASES if (GO_DIR / f"gopeer-{name}").exists()]
    if not found and (GO_DIR / "gopeer-debian").exists():
        found = ["debian"]
    if not found:
        skip("no Go peer is built, see interop/go/build.sh")
    return [Release(name) for name in found]


class Peer:
    """A running cpeer or gopeer. A listener ends when the pipe to its standard input closes."""

    def __init__(self, program, command, args, listen=None, remote=None):
        self.line = [program, command, *args]
        if listen is not None:
            self.line += ["-l", listen, "-exit-on-stdin"]
        if remote is not None:
            self.line += ["-r", remote]
        if "-timeout" not in args:
            self.line += ["-timeout", f"{LIMIT}s"]
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(self.line, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors, text=True)
        self.address = self.expect("listening") if listen is not None else None

    def expect(self, word):
        """Reads the next line of output, which begins with the word; returns its rest."""
        line = self.process.stdout.readline()
        if not line.startswith(word):
            self.process.kill()
            raise Failure(f"{self.line[0]} {self.line[1]}: no '{word}': {line} {self.error_text()}")
        return line[len(word):].strip()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)

    def error_text(self):
        self.errors.seek(0)
        return self.errors.read()[:2000]

    def finish(self):
        """Waits for the end; returns the report with the exit code as "rc"."""
        try:
            out, _ = self.process.communicate(timeout=LIMIT + 5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, _ = self.process.communicate()
        report = {}
        for line in out.splitlines():
            if line.startswith("{"):
                report = json.loads(line)
        report["rc"] = self.process.returncode
        report["stderr"] = self.error_text()
        self.errors.close()
        return report


class Failure(Exception):
    """A case that went wrong; the text says what."""


def require(condition, text):
    if not condition:
        raise Failure(text)


class Case:
    """One server, one client.

    name     what is shown
    clauses  ids of docs/PROTOCOL.md
    server   command and options of the server, whichever side that is
    client   the same of the client
    c, go    further options of one side, wherever it stands
    roles    of the C side; default both
    versions, only(release)  where the case makes sense
    known    function (run) -> why a failure would be Go's, or None
    check    function (run); default: both ends are content
    watch    through a relay that checks every frame of the C side
    alone    not beside other cases: its timing matters
    """

    def __init__(self, name, clauses, server, client, c="", go="", roles=(C_CLIENT, C_SERVER),
                 versions=(1, 2), only=None, known=None, check=None, watch=False, alone=False,
                 c_version=None, unix=False):
        self.__dict__.update(locals())
        del self.__dict__["self"]


class Run:
    """A case with everything fixed: release, version, role. After run(): c, go, relay."""

    def __init__(self, case, release, version, role):
        self.case, self.release, self.version, self.role = case, release, version, role
        self.c = self.go = self.relay = None

    def __str__(self):
        if self.role == C_CLIENT:
            ends = f"C client -> Go {self.release.name} server"
        else:
            ends = f"Go {self.release.name} client -> C server"
        return f"{self.case.name}: {ends}, v{self.version}"

    def start(self, words, listen=None, remote=None):
        command, *args = words.split()
        is_c = (listen is None) == (self.role == C_CLIENT)
        args += (self.case.c if is_c else self.case.go).split()
        version = (self.case.c_version or self.version) if is_c else self.version
        program = CPEER if is_c else self.release.program
        return Peer(program, command, args + ["-v", str(version)], listen, remote)

    def run(self):
        folder = tempfile.mkdtemp(prefix="smux-interop-")
        try:
            self.run_in(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def run_in(self, folder):
        listen = f"unix:{folder}/socket" if self.case.unix else "127.0.0.1:0"
        server = self.start(self.case.server, listen=listen)
        remote = server.address
        if self.case.watch:
            self.relay = Relay(remote, c_is_client=self.role == C_CLIENT, version=self.version)
            remote = self.relay.address
        try:
            client = self.start(self.case.client, remote=remote).finish()
        finally:
            report = server.finish()
            if self.relay:
                self.relay.stop()
        self.c, self.go = (client, report) if self.role == C_CLIENT else (report, client)

    def content(self):
        """Both ends report success, and the frames were in order."""
        for name, report in (("C", self.c), ("Go", self.go)):
            require(report["rc"] == 0, f"{name}: exit code {report['rc']}: "
                    f"{report.get('first_error', '')}\n{report['stderr']}")
        require(self.c["session_errors"] == 0, f"C session: {self.c.get('session_text')}")
        self.frames_in_order()

    def c_said(self, *words):
        """The only thing that is wrong is a complaint of the C end with one of these words."""
        return self.complaint(self.c, self.go, words)

    def go_said(self, *words):
        """The same of the Go end."""
        return self.complaint(self.go, self.c, words)

    def complaint(self, one, other, words):
        text = one and one.get("first_error", "")
        return bool(text) and not other.get("session_errors") and any(w in text for w in words)

    def frames_in_order(self):
        if self.relay:
            require(not self.relay.watch.faults, "\n".join(self.relay.watch.faults[:5]))


class Results:
    """Prints a line for each case and counts."""

    def __init__(self):
        self.counts = {"ok": 0, "FAIL": 0, "known": 0}
        self.lock = threading.Lock()
        self.begin = time.monotonic()

    def add(self, verdict, name, clauses, text=""):
        with self.lock:
            self.counts[verdict] += 1
            note = f": {text}" if text else ""
            print(f"{verdict:5} {name} [{clauses}]{note}", flush=True)

    def one(self, name, clauses, function):
        """Runs one function as a case; it may return a note."""
        try:
            self.add("ok", name, clauses, function())
        except (Failure, OSError, LookupError, ValueError) as failure:
            self.add("FAIL", name, clauses, f"{type(failure).__name__}: {failure}")

    def exit(self):
        count = self.counts
        print(f"{count['ok']} ok, {count['FAIL']} failed, {count['known']} known defects of Go, "
              f"{time.monotonic() - self.begin:.1f} s")
        sys.exit(1 if count["FAIL"] or not sum(count.values()) else 0)


def perform(run, results):
    case = run.case
    begin = time.monotonic()
    try:
        run.run()
        note = (case.check or Run.content)(run)
    except (Failure, OSError, LookupError, ValueError) as failure:
        why = case.known and case.known(run)
        if why:
            results.add("known", run, case.clauses, why)
        else:
            results.add("FAIL", run, case.clauses, f"{type(failure).__name__}: {failure}")
        return
    seconds = time.monotonic() - begin
    if os.environ.get("SMUX_INTEROP_TIMES"):
        note = f"{note or ''} {seconds:.2f} s"
    results.add("ok", run, case.clauses, note)


def main(cases, more=None):
    """Runs a table, then more(results). Arguments select the cases whose line contains them."""
    results = Results()
    wanted = " ".join(sys.argv[1:])
    runs = [Run(case, release, version, role)
            for release in releases() for case in cases
            if case.only is None or case.only(release)
            for version in case.versions for role in case.roles]
    runs = [run for run in runs if wanted in str(run)]
    for run in runs:
        if run.case.alone:
            perform(run, results)
    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        for done in [pool.submit(perform, run, results) for run in runs if not run.case.alone]:
            done.result()
    if more and not wanted:
        more(results)
    results.exit()
