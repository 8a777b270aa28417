"""scripts/demo in small: it carries data, cleans up, and tells when something is wrong."""
# ctest-timeout: 120
import os
import signal
import subprocess
import sys
import tempfile
import time

import libtunnel
from libtunnel import ROOT, expect, expect_in, test, wait_until

DEMO = [sys.executable, os.path.join(ROOT, "scripts/demo")]


def options(directory, *more):
    return [*DEMO, "--tool", libtunnel.tool(), "--out", directory, *more]


def children(pid):
    """All descendants of a process: {pid: name}."""
    parents = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % entry) as f:
                name, rest = f.read().rsplit(")", 1)
            parents[int(entry)] = (int(rest.split()[1]), name.split("(", 1)[1])
        except OSError:
            continue    # ended meanwhile
    found, wave = {}, {pid}
    while wave:
        wave = {child for child, (parent, _) in parents.items() if parent in wave}
        found.update((child, parents[child][1]) for child in wave)
    return found


def started(directory):
    """A demo that would run for long, once its traffic is under way; and its children."""
    process = libtunnel.Process(options(directory, "--seconds", "60", "--streams", "4"))
    process.wait_log(r"^ +1\.\d s ")
    return process, children(process.pid)


def expect_gone(pids):
    wait_until(lambda: not any(os.path.exists("/proc/%d" % pid) for pid in pids),
               what="all children of the demo gone")


@test
def carries_data_and_compares_checksums():
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(options(directory, "--seconds", "2", "--streams", "8", "--size",
                                      "64000000"), capture_output=True, text=True, timeout=60)
        print(done.stdout + done.stderr)
        expect(done.returncode, 0, "exit status")
        expect_in("16 of 16 SHA-256 equal", done.stdout, "checksums")
        expect_in("8 streams over 1 connection", done.stdout, "streams and connections")
        expect_in("MiB/s", done.stdout, "throughput")
        expect_in("memory     server", done.stdout, "memory")
        expect("\033" in done.stdout or "\r" in done.stdout, False, "terminal codes in a pipe")


@test
def draws_pictures():
    libtunnel.need("gnuplot")
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(options(directory, "--seconds", "1.5", "--streams", "2"),
                              capture_output=True, text=True, timeout=60)
        expect(done.returncode, 0, "exit status\n" + done.stdout + done.stderr)
        with open(os.path.join(directory, "throughput.svg")) as f:
            expect_in("</svg>", f.read(), "picture")
        with open(os.path.join(directory, "throughput.png"), "rb") as f:
            expect(f.read(4), b"\x89PNG", "first bytes of the other picture")


@test
def ends_its_children_when_it_is_told_to_stop():
    for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        with tempfile.TemporaryDirectory() as directory:
            process, pids = started(directory)
            expect(len(pids), 4, "children: two programs, two ends of the data (%s)" % pids)
            process.send(number)
            expect(process.wait(), status, "exit status after signal %d" % number)
            expect_gone(pids)


@test
def fails_when_the_tunnel_dies():
    with tempfile.TemporaryDirectory() as directory:
        process, pids = started(directory)
        programs = [pid for pid, name in pids.items() if name == "smux"]
        expect(len(programs), 2, "programs of the tunnel")
        begin = time.monotonic()
        os.kill(programs[0], signal.SIGKILL)
        expect(process.wait(40), 1, "exit status")
        expect_gone(pids)
        expect(time.monotonic() - begin < 20, True, "noticed in time")


@test
def says_when_the_program_is_missing():
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run([*DEMO, "--tool", "/nonexistent/smux", "--out", directory],
                              capture_output=True, text=True, timeout=60)
        expect(done.returncode, 1, "exit status")
        expect_in("cannot start /nonexistent/smux", done.stderr, "message")


libtunnel.run()
