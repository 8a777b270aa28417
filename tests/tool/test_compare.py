"""bench/compare in small and without Go: the table, the ratios, the JSON document."""
# ctest-timeout: 180
import json
import os
import subprocess
import sys
import tempfile

import libtunnel
from libtunnel import expect, expect_in, test

ROOT = os.environ.get("SMUX_SOURCE_DIR") or os.path.join(os.path.dirname(__file__), "../..")
COMPARE = [sys.executable, os.path.join(ROOT, "bench/compare")]


def compare(*options):
    return subprocess.run([*COMPARE, *options], capture_output=True, text=True, timeout=150)


@test
def compares_tcp_and_both_versions():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "result.json")
        done = compare("--tool", libtunnel.tool(), "--no-go", "--runs", "1", "--time", "0.2",
                       "--json", path)
        expect(done.returncode, 0, "exit status\n" + done.stderr)
        expect_in("libsmux v2 / TCP", done.stdout, "ratios")
        expect("Go v1" in done.stdout, False, "a column for Go without Go")
        with open(path) as f:
            document = json.load(f)
    expect(document["schema"], "smux-compare/1", "schema")
    expect_in("cpu", document["machine"], "machine")
    for case in document["cases"]:
        names = {"libsmux v1", "libsmux v2"} | ({"TCP"} if "idle" not in case["title"] else set())
        expect(set(case["values"]), names, "contenders in " + case["title"])
        expect({len(values) for values in case["values"].values()}, {1}, "runs")


@test
def says_when_the_program_is_missing():
    done = compare("--tool", "/nonexistent/smux", "--no-go")
    expect(done.returncode, 1, "exit status")
    expect_in("cannot start /nonexistent/smux", done.stderr, "message")


libtunnel.run()
