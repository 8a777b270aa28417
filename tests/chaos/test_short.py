"""Chaos on the tunnel in small, over the link emulator and over a network namespace; see ./run.

A longer run: tests/chaos/run --events 1000
"""
# ctest-timeout: 120
# ctest-serial
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tool"))
from libtunnel import Skip, expect, run, test

EVENTS = {"emulator": 20, "kernel": 10}


def start(link):
    options = ["--kernel"] if link == "kernel" else []
    return subprocess.Popen(
        [sys.executable, os.path.join(HERE, "run"), "--events", str(EVENTS[link]), "--tunnels",
         str(EVENTS[link] // 5), *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True)


running = {link: start(link) for link in EVENTS}


def judge(link):
    report = running[link].communicate()[0]
    status = running[link].returncode
    print(report)
    if status == 77:
        raise Skip(report.split("SKIP: ", 1)[1].splitlines()[0])
    expect(status, 0, "exit status")


@test
def streams_are_whole_or_fail_over_an_emulated_link():
    judge("emulator")


@test
def streams_are_whole_or_fail_over_the_kernel():
    judge("kernel")


run()
