"""bench/rtt in small: a window limits a stream on a long link, the table and the file tell it."""
# ctest-timeout: 120
# ctest-serial
import os
import subprocess
import sys
import tempfile

import libtunnel
from libtunnel import ROOT, expect, expect_in, test

LINKEMU = os.path.join(os.environ.get("SMUX_BUILD_DIR", ""), "bin/linkemu")
WINDOW, RTT = 1 << 18, 25


def rtt(*options):
    return subprocess.run([sys.executable, os.path.join(ROOT, "bench/rtt"), "--linkemu", LINKEMU,
                           *options], capture_output=True, text=True, timeout=100)


def rows_of(path):
    """[{column: value}] of a table."""
    with open(path) as file:
        lines = [line.rstrip("\n").split("\t") for line in file if line.strip()]
    return [dict(zip(lines[0], line)) for line in lines[1:]]


@test
def a_window_limits_a_stream():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "rtt.tsv")
        done = rtt("--tool", libtunnel.tool(), "--rtt", str(RTT), "--rate", "200Mbit",
                   "--queue", "4MiB", "--time", "1", "--streambuf", str(WINDOW), "--tsv", path,
                   "--", "--framesize", "16KiB")
        expect(done.returncode, 0, "exit status\n" + done.stderr)
        rows = {row["contender"]: row for row in rows_of(path)}
    expect(set(rows), {"TCP", "v1", "v2"}, "contenders")
    expect_in("| 25 | v2 | 256 KiB |", done.stdout, "table")
    limit = WINDOW / (RTT / 1000)
    expect(float(rows["v2"]["window_per_rtt_bytes_per_s"]), limit, "window/RTT")
    measured = float(rows["v2"]["bytes_per_s"])
    expect(0.25 * limit < measured < 1.1 * limit, True, "%g of %g bytes/s" % (measured, limit))
    expect(rows["v2"]["round_trips_to_90_percent"], "nan", "round trips with a small window")
    # Raw TCP has no window of its own here: the link is the limit.
    measured = float(rows["TCP"]["bytes_per_s"])
    link = 200e6 / 8
    expect(2 * limit < measured < 1.2 * link, True, "%g of %g bytes/s of TCP" % (measured, link))
    expect(float(rows["TCP"]["round_trips_to_90_percent"]) >= 1, True, "round trips of TCP")


@test
def says_what_is_wrong():
    done = rtt("--tool", "/nonexistent/smux", "--kinds", "v1", "--rtt", "1")
    expect(done.returncode, 1, "exit status")
    expect_in("cannot start /nonexistent/smux", done.stderr, "message")
    done = rtt("--rate", "fast")
    expect_in("expected a rate", done.stderr, "message")


if not os.access(LINKEMU, os.X_OK):
    print("SKIP: linkemu is not built")
    sys.exit(77)
libtunnel.run()
