#!/usr/bin/env python3
"""The C side against bytes by hand: what no Go peer would send. Malformed frames, frames for
streams that are not there, cut connections, windows that jump.

ctest-timeout: 120
ctest-waits
"""
import functools

from _peers import CPEER, Results, require, skip
from _raw import Client, Server, update
from _relay import FIN, NOP, PSH, SYN, UPD, frame

# name, clauses, version, bytes, what the error says
MALFORMED = [
    ("version 3", "FRM-5", 1, frame(3, NOP), "first bytes"),
    ("version of the other protocol", "FRM-5 VER-4", 1, frame(2, NOP), "smux 2"),
    ("version changes midway", "FRM-5", 2, frame(2, NOP) + frame(1, NOP), ""),
    ("command 5", "FRM-6", 1, frame(1, 5), ""),
    ("command 255", "FRM-6", 2, frame(2, 255), ""),
    ("SYN with a length", "FRM-7 FRM-9", 1, frame(1, SYN, 3, length=1), ""),
    ("FIN with a length", "FRM-7 FRM-9", 1, frame(1, FIN, 3, length=65535), ""),
    ("NOP with a length", "FRM-7 FRM-9", 2, frame(2, NOP, 0, length=4), ""),
    ("UPD too short", "FRM-7 FRM-9", 2, frame(2, UPD, 3, length=7), ""),
    ("UPD too long", "FRM-7 FRM-9", 2, frame(2, UPD, 3, length=9), ""),
    ("UPD in version 1", "FRM-8", 1, frame(1, SYN, 3) + frame(1, UPD, 3, update(0, 1)), ""),
    ("SYN with an id of ours", "SID-4", 1, frame(1, SYN, 2), "role"),
    ("HTTP, version auto", "VER-2 VER-4", "auto", b"GET / HTTP/1.1\r\n\r\n", "HTTP"),
    ("TLS, version auto", "VER-2 VER-4", "auto", b"\x16\x03\x01\x02\x00\x01\x00\x01", "TLS"),
]


def malformed(version, data, text, drip):
    with Server("echo-server", version) as server:
        if drip:
            server.wire.drip(data)
        else:
            server.wire.send(data)
        server.wire.hung_up()
    status = server.report.get("session_status")
    require(status == "SMUX_EPROTO", f"{status}: {server.report}")
    require(text in server.report["session_text"], server.report["session_text"])
    return server.report["session_text"]


def harmless(version):
    """Frames that are normal data in flight, or at least no crime [TRAP-1..3]."""
    with Server("echo-server", version) as server:
        wire = server.wire
        wire.frame(NOP, 77)
        wire.frame(PSH, 9, b"x" * 65535)
        wire.frame(PSH, 9)
        wire.frame(FIN, 9)
        if version == 2:
            wire.frame(UPD, 9, update(5, 5))
        for stream in (1, 0xFFFFFFFF, 7, 3):
            wire.echo(stream)
        wire.frame(SYN, 21)
        wire.frame(SYN, 21)
        wire.frame(PSH, 21)
        wire.frame(PSH, 21, b"a")
        got = wire.next()
        while got[0] in (FIN, UPD):
            got = wire.next()
        require(got == (PSH, 21, b"a"), str(got))
        for command in (FIN, FIN, PSH):
            wire.frame(command, 21, b"late" if command == PSH else b"")
        wire.echo(23, b"z" * 100)
    server.was_content()


def first_bytes(version):
    """Exactly the bytes of docs/PROTOCOL.md, section 3, keepalive off; but the window is that of a
    libsmux that was given none."""
    with Client("echo-client", version, "-size", "5", "-keepalive", "0") as client:
        wire = client.wire
        syn = bytes([version, 0, 0, 0, 3, 0, 0, 0])
        psh = bytes([version, 2, 5, 0, 3, 0, 0, 0]) + b"\x03\0\0\0\0"
        while len(wire.data) < len(syn + psh) and wire.fill(1):
            pass
        require(wire.data == syn + psh, wire.data.hex(" "))
        wire.data = b""
        wire.frame(PSH, 3, b"\x03\0\0\0\0")
        if version == 2:
            upd = bytes([2, 4, 8, 0, 3, 0, 0, 0]) + bytes([5, 0, 0, 0, 0, 0, 4, 0])
            fin = bytes([2, 1, 0, 0, 3, 0, 0, 0])
            while len(wire.data) < len(upd + fin) and wire.fill(1):
                pass
            require(wire.data in (upd + fin, fin), wire.data.hex(" "))
    require(client.report["rc"] == 0, str(client.report))


def silent_until_spoken_to():
    """An auto server sends nothing before it knows the version, then in that version."""
    with Server("echo-server", "auto", "-keepalive", "20ms") as server:
        server.wire.quiet(0.2)
        server.wire.version = 2
        server.wire.frame(NOP)
        server.wire.expect(NOP, 0)
        server.wire.echo(3)
    server.was_content()


DATA = b"\xff" * 8 + bytes(8) + (0xE220A8397B1DCDAF).to_bytes(8, "little")  # until the end: seed 0

# name, what comes behind SYN and DATA, what the reader is told in the end
CUTS = [
    ("between frames", b"", "SMUX_ETRUNCATED"),
    ("inside a header", frame(1, PSH, 3, b"x")[:5], "SMUX_ETRUNCATED"),
    ("behind a header", frame(1, PSH, 3, length=4), "SMUX_ETRUNCATED"),
    ("inside a payload", frame(1, PSH, 3, length=8) + b"\xf4", "SMUX_ETRUNCATED"),
    ("after the FIN", frame(1, FIN, 3), None),
    ("after the FIN, inside a header", frame(1, FIN, 3) + b"\x01", None),
]


def cut(tail, error):
    """Without the peer's FIN there is no end; with it there is, whatever follows."""
    with Server("sink-server", 1) as server:
        server.wire.send(frame(1, SYN, 3), frame(1, PSH, 3, DATA), tail)
    told = server.report.get("first_error", "")
    require(server.report["sessions"] == 1, str(server.report))
    # Writing the digest is the last thing that can go wrong, behind a whole payload.
    require(error in told if error else told == "" or "digest" in told, str(server.report))
    return told


def windows():
    """The sender follows every UPD to the byte."""
    n = 2000000
    with Client("source-client", 2, "-bytes", str(n - 8), "-no-wait") as client:
        wire = client.wire
        got = wire.next()
        while got[0] == NOP:
            got = wire.next()
        require(got[:2] == (SYN, 3), str(got))
        total = wire.receive(3, 262144)
        require(total == 262144, f"{total} bytes before the first UPD [WIN-1]")
        for consumed, window, more, clause in (
                (32768, 65536, 0, "WIN-3"), (262144, 0, 0, "WIN-6"), (262144, 1000, 1000, "WIN-5"),
                (100, 99999, 0, "WIN-4: older"), (263144, 5000, 5000, "WIN-4"),
                (263144, 2000, 0, "UPD-8"), (268144, 1, 1, "WIN-8"),
                (268145, 0x80000000, n - 268145, "WIN-7: clamped")):
            wire.frame(UPD, 3, update(consumed, window))
            came = wire.receive(3, more)
            require(came == more, f"UPD({consumed}, {window}): {came} bytes, expected {more} "
                    f"[{clause}]")
        wire.expect(FIN, 3)
        wire.frame(FIN, 3)
    require(client.report["rc"] == 0, str(client.report))


def early_window():
    """An UPD(0, W) of the opener holds from the first byte on [UPD-7]."""
    with Server("source-server", 2) as server:
        wire = server.wire
        wire.frame(SYN, 3)
        wire.frame(UPD, 3, update(0, 1000))
        wire.frame(PSH, 3, (5000).to_bytes(8, "little"))
        wire.expect(UPD, 3)
        total = wire.receive(3, 1000)
        require(total == 1000, f"{total} bytes, the window has 1000")
        wire.frame(UPD, 3, update(1000, 9000))
        total = wire.receive(3, 4032)
        require(total == 4032, f"then {total} bytes, expected 4000 and a digest")
        wire.frame(FIN, 3)
        wire.expect(FIN, 3)
    server.was_content()


def ids_of_a_server(version):
    """Streams of a server may have any even id, 0 included, in any order."""
    with Client("accept-client", version, "-expect", "4", "-c", "0") as client:
        for stream in (0xFFFFFFFE, 0, 4, 2):
            client.wire.echo(stream)
        client.wire.hung_up()
    require(client.report["rc"] == 0 and client.report["accepted"] == 4, str(client.report))


def ahead():
    """Acknowledging what was not sent ends the stream, not the session [RCV-18]."""
    with Server("echo-server", 2) as server:
        wire = server.wire
        wire.frame(SYN, 3)
        wire.frame(PSH, 3, b"a")
        got = wire.next()
        while got and got[0] != PSH:
            got = wire.next()
        require(got == (PSH, 3, b"a"), f"{got}, expected an echo")
        wire.frame(UPD, 3, update(2, 65536))
        wire.expect(FIN, 3)
        wire.echo(5)
    require(server.report["session_errors"] == 0, str(server.report))
    require("SMUX_ECONSUMED" in server.report.get("first_error", ""), str(server.report))


def main():
    if not CPEER:
        skip("the C peer is not built (SMUX_CPEER)")
    results = Results()
    for name, clauses, version, data, text in MALFORMED:
        for drip in (False, True):
            how = "byte by byte" if drip else "whole"
            results.one(f"{name}, {how}", clauses,
                        functools.partial(malformed, version, data, text, drip))
    for version in (1, 2):
        results.one(f"frames that do no harm, v{version}", "RCV-5..15 SID-3 SID-5 FRM-4",
                    functools.partial(harmless, version))
        results.one(f"ids of a server, v{version}", "SID-3",
                    functools.partial(ids_of_a_server, version))
        results.one(f"first bytes of a client, v{version}", "FRM-1 SID-1 OPN-2 UPD-2",
                    functools.partial(first_bytes, version))
    results.one("auto server is silent first", "VER-3", silent_until_spoken_to)
    for name, tail, end in CUTS:
        results.one(f"connection cut {name}", "END-3", functools.partial(cut, tail, end))
    results.one("windows that jump", "WIN-1..8 UPD-8", windows)
    results.one("early window", "UPD-7 WIN-1", early_window)
    results.one("acknowledged ahead", "WIN-4 RCV-18", ahead)
    results.exit()


if __name__ == "__main__":
    main()
