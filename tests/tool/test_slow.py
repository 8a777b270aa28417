"""A slow line is no silence (C5): a frame may take longer than the keepalive timeout.

ctest-timeout: 60
ctest-waits
"""
import os
import sys
import time

from libtunnel import *

LINKEMU = os.path.join(os.environ.get("SMUX_BUILD_DIR", ""), "bin/linkemu")


def frames_that_take_longer_than_the_timeout(version):
    """32 KiB at 8 KB a second are 4 s, four times the timeout."""
    options = ("--keepalive", "0.2", "--keepalive-timeout", "1", "--smuxver", version)
    back = server(Target(echo).address, *options)
    link = Process([LINKEMU, "-t", format_address(back.address), "--rate", "64kbit", "--delay",
                    "150ms"])
    address = parse_address(link.wait_log(r"\Alistening (\S+)$").group(1))
    front = client(address, *options)
    s = connect(front.address)
    data = os.urandom(32768)
    begin = time.monotonic()
    s.sendall(data)
    s.shutdown(socket.SHUT_WR)
    expect(read_all(s) == data, True, "the same bytes come back")
    expect(time.monotonic() - begin > 4, True, "the line is as slow as that")
    for process in (back, front):
        expect("session.down" in process.log(), False, "a session that ended")


@test
def C5_version_1():
    frames_that_take_longer_than_the_timeout("1")


@test
def C5_version_2():
    frames_that_take_longer_than_the_timeout("2")


if not os.path.exists(LINKEMU):
    print("SKIP: linkemu is not built")
    sys.exit(77)
run()
