#!/usr/bin/env python3
"""Streams that are opened, refused, greeted and closed, and sessions in which nothing happens.

ctest-timeout: 180
"""
from _peers import C_CLIENT, C_SERVER, Case, main, much, require


def newest(release):
    return release.name == "newest"


def has_m2(release):
    return release.has_m2 and release.number > (1, 5, 16)


def ids(run):
    run.content()
    flows = run.relay.watch.flows
    own = sorted(n for n, flow in flows.items() if flow.opened_by_c)
    first = 3 if run.role == C_CLIENT else 2
    require(own == list(range(first, first + 40, 2)), f"ids of the C side: {own}")
    return f"first id {first}"


def lost(run):
    run.content()
    reader = run.c if run.role == C_CLIENT else run.go
    return f"{reader['lost']} of {reader['streams']} lost"


def lost_under_load(run):
    if run.role == C_SERVER and run.release.has_m2 and run.go_said("lost"):
        return f"M2: {run.go['lost']} of 1000 lost, a loaded opener is later than the guard"
    return None


def refused(run):
    """Of 100 streams 8 wait in the backlog; the others are refused, the session goes on."""
    run.content()
    ended = run.go["ended"]
    # A refusal that Go's opener loses (M2) leaves a stream without an end.
    most = 92 if not run.release.has_m2 else 87
    require(most <= ended <= 92, f"{ended} of 100 streams were refused, expected 92")
    return f"{ended} refused"


def dead_by_silence(run):
    """Go closes a session without NOPs; the C side sees it as an error, not as an end."""
    require(run.c["rc"] == 1, f"C: exit code {run.c['rc']}")
    error = run.c.get("first_error", "")
    require("SMUX_ETRUNCATED" in error or "SMUX_EIO" in error, f"C: {error}")
    return error


MANY = much(3000, 10000)

CASES = [
    Case("echo, frames watched", "FRM-1..3 ORD-1 FIN-1 OPN-2 OPN-5", "echo-server",
         "echo-client -c 40 -parallel 10 -m 20 -size 3000", watch=True),
    Case("ids of both ends", "SID-1", "opener-server -c 20 -parallel 1",
         "accept-client -expect 20 -c 20 -parallel 1", watch=True, check=ids),
    Case("one byte, lockstep", "FRM-4", "echo-server",
         "echo-client -c 4 -parallel 4 -m 50 -size 1 -lockstep"),
    Case(f"{MANY} streams", "OPN-1 OPN-3 FIN-4 SID-2", "echo-server",
         f"echo-client -c {MANY} -parallel 100"),
    Case(f"{MANY} streams from both ends at once", "OPN-7 FIN-4",
         f"opener-server -c {MANY // 2} -parallel 50",
         f"accept-client -expect {MANY // 2} -c {MANY // 2} -parallel 50 -m 1"),
    Case("Unix socket", "VER-1", "echo-server", "echo-client -c 10 -parallel 3 -m 4 -size 70000",
         unix=True, only=newest),
    Case("version auto", "VER-2", "echo-server", "echo-client -c 3 -m 2", roles=(C_SERVER,),
         c_version="auto"),
    Case("server speaks first, 1000 streams", "OPN-5", "speak-first-server",
         "speak-first-client -c 1000 -parallel 10 -allow-lost 0", check=lost, alone=True,
         known=lost_under_load),
    Case("server speaks first, no guard (loss is shown, not judged)", "OPN-5",
         "speak-first-server -guard 0", "speak-first-client -c 1000 -parallel 10 -allow-lost 1000 "
         "-wait 100ms", roles=(C_SERVER,), check=lost, alone=True, only=has_m2),
    Case("accept queue full for a while", "OPN-6 OPN-8", "noaccept-server -after 600ms",
         "open-client -c 1100 -wait 300ms -expect-ended 0 -probe", roles=(C_CLIENT,)),
    Case("streams over the backlog", "OPN-4 OPN-6", "noaccept-server -accept-after 150ms -backlog 8",
         "open-client -c 100 -wait 300ms -probe", roles=(C_SERVER,), check=refused),
    Case("idle, peer without NOPs", "KA-4", "echo-server -keepalive 0",
         "echo-client -m 2 -idle 1200ms -keepalive 100ms -keepalive-timeout 300ms",
         roles=(C_CLIENT,)),
    Case("idle, peer without NOPs", "KA-4", "echo-server -keepalive 100ms -keepalive-timeout 300ms",
         "open-client -c 3 -wait 1200ms -probe -keepalive 0", roles=(C_SERVER,)),
    Case("idle, NOPs both ways", "KA-1 KA-4",
         "echo-server -keepalive 100ms -keepalive-timeout 300ms",
         "echo-client -m 2 -idle 1200ms -keepalive 100ms -keepalive-timeout 300ms",
         roles=(C_CLIENT,), watch=True),
    Case("our NOPs off, Go closes", "KA-2 FIN-3", "echo-server",
         "echo-client -m 2 -idle 1500ms -lockstep", c="-keepalive 0",
         go="-keepalive 100ms -keepalive-timeout 300ms", roles=(C_CLIENT,),
         check=dead_by_silence),
    Case("NOPs pile up while we do not read", "KA-4 BKT-4", "source-server -keepalive 10ms "
         "-keepalive-timeout 5s", "sink-client -bytes 20000000 -delay 1200ms -buf 65536 "
         "-keepalive 100ms -keepalive-timeout 400ms", roles=(C_CLIENT,), versions=(1,)),
]

if __name__ == "__main__":
    main(CASES)
