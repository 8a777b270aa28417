"""Ten seconds of the soak. Longer runs are a command of their own: tests/soak/run --help

ctest-timeout: 180
ctest-waits
"""
import os
import pathlib

run = pathlib.Path(__file__).with_name("run")
build = os.environ.get("SMUX_BUILD_DIR", "build/dev")
os.execv(run, [str(run), "--seconds", "10", "--every", "2", "--tsv", build + "/soak.tsv"])
