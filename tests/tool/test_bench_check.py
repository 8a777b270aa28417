"""bench/check: within the limits, beyond one, and when it cannot measure."""
# ctest-timeout: 180
import json
import os
import subprocess
import sys
import tempfile

import libtunnel
from libtunnel import ROOT, expect, expect_in, test

BUILD = os.environ.get("SMUX_BUILD_DIR") or os.path.join(ROOT, "build/release")
CASE = "frame64 1 1 100"


def check(limits, *options):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(limits, file)
        file.flush()
        return subprocess.run([sys.executable, os.path.join(ROOT, "bench/check"), "--build", BUILD,
                               "--limits", file.name, *options], capture_output=True, text=True,
                              timeout=150)


def engine(instructions, allocations=0):
    return {"instructions": {CASE: {"limit": instructions, "goal": 250}},
            "allocations": {CASE: {"limit": allocations}}}


def need_callgrind():
    libtunnel.need("valgrind")
    libtunnel.need_true_memory()    # valgrind runs no program that has AddressSanitizer


@test
def counts_instructions_of_the_engine():
    need_callgrind()
    done = check(engine(1e6), "--only", "instructions")
    expect(done.returncode, 0, "exit status\n" + done.stdout + done.stderr)
    expect_in("ok    frame64, instructions an operation", done.stdout, "figure")
    expect_in("goal 250", done.stdout, "goal")


@test
def a_regression_fails_with_its_name():
    need_callgrind()
    for limits, what in ((engine(100), "instructions"), (engine(1e6, -1), "allocations")):
        done = check(limits, "--only", "instructions")
        expect(done.returncode, 1, "exit status\n" + done.stdout + done.stderr)
        expect_in("check: regression: frame64, %s an operation" % what, done.stderr, "message")


@test
def compares_ratios():
    title = "64-byte writes, 1 stream"
    done = check({"ratios": {title: {"libsmux v2": 1e-6}}}, "--only", "ratios")
    expect(done.returncode, 0, "exit status\n" + done.stdout + done.stderr)
    done = check({"ratios": {title: {"libsmux v2": 1e6}}}, "--only", "ratios")
    expect(done.returncode, 1, "exit status\n" + done.stdout + done.stderr)
    expect_in("check: regression: 64-byte writes, 1 stream, libsmux v2 / raw", done.stderr,
              "message")


@test
def says_what_it_cannot_measure():
    done = check({"ratios": {"juggling": {"libsmux v2": 1}}}, "--only", "ratios")
    expect(done.returncode, 2, "exit status")
    expect_in("there is no case juggling", done.stderr, "message")


libtunnel.run()
