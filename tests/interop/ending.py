#!/usr/bin/env python3
"""How streams and sessions end: half-close in both orders, close while the other end writes,
graceful close, death of the peer, the wrong version.

ctest-timeout: 180
"""
import time

from _peers import C_CLIENT, C_SERVER, CPEER, Case, Peer, main, releases, require


def can_half_close(release):
    return release.can_half_close


def is_old(release):
    return not release.can_half_close


# --- half-close ---------------------------------------------------------------------------

def late_half_close_lost(run):
    """[FIN-8]: Go half-closes after our FIN and drops what it has not read; nobody can help."""
    if run.role == C_SERVER and run.release.has_m1 and run.go_said("reply has"):
        return "M1: this release drops unread data when it half-closes last"
    return None


def no_reply_after_fin(run):
    """1.5.28 to 1.5.53 take the peer's FIN for a full close."""
    if (1, 5, 28) <= run.release.number <= (1, 5, 53) and run.c_said("reply has", "digest"):
        return "this release does not write after the peer's FIN"
    return None


def m1_shown(run):
    """Without our linger this release loses the reply, so the case above proves the linger."""
    lost = run.go["rc"] != 0
    require(lost == run.release.has_m1, f"reply lost: {lost}\n{run.go['stderr']}")
    return "the reply is lost, as expected" if lost else "nothing is lost"


def halfclose():
    for n in (8, 70005, 3000000):
        client = f"halfclose-client -send 1000 -reply {n} -c 3 -delay 100ms"
        # A longer linger than the default, for machines that are slow with the 100 ms.
        yield Case(f"half-close, client first, {n} bytes unread", "FIN-2 FIN-4..7",
                   f"halfclose-server -reply {n}", client, c="-linger 700ms",
                   only=can_half_close, watch=True)
        yield Case(f"half-close, server first, {n} bytes unread", "FIN-2 FIN-4..8",
                   f"halfclose-server -order server-first -reply {n}", client + " -before 50ms",
                   only=can_half_close, known=late_half_close_lost)
        # 1.5.16 cannot half-close, but answers one; in version 2 only up to the window.
        yield Case(f"half-close, client first, {n} bytes unread", "FIN-5 FIN-6",
                   f"halfclose-server -reply {n}", client, only=is_old, roles=(C_CLIENT,),
                   known=no_reply_after_fin,
                   versions=(1, 2) if n < 262144 else (1,))
    yield Case("half-close, 70005 bytes unread, no linger", "FIN-7",
               "halfclose-server -reply 70005", "halfclose-client -send 1000 -reply 70005 -c 3 "
               "-delay 150ms", c="-linger 0", roles=(C_SERVER,), only=can_half_close,
               check=m1_shown)
    yield Case("end marked by half-close", "FIN-5 FIN-6", "sink-server",
               "source-client -bytes 3000001 -streams 2 -eof", only=can_half_close)
    yield Case("end marked by half-close", "FIN-5 FIN-6", "sink-server",
               "source-client -bytes 3000001 -streams 2 -eof", only=is_old, roles=(C_CLIENT,),
               known=no_reply_after_fin)
    yield Case("echo until half-close", "FIN-2 FIN-5", "echo-server",
               "echo-client -c 20 -parallel 5 -m 3 -size 50000 -eof", only=can_half_close)


# --- close --------------------------------------------------------------------------------

def writer_is_told(run):
    """Go closes and gives no credit: our writer ends with SMUX_EPIPE in version 2 [FIN-9]; in
    version 1 it writes on and sees the end when it reads. The session lives."""
    error = run.c.get("first_error", "")
    require(run.c["rc"] == 1 and run.c["errors"] == 1, f"C: {run.c}")
    wanted = "SMUX_EPIPE" if run.version == 2 else "SMUX_EOF"
    require(wanted in error, f"C: {error}")
    require(run.c["session_errors"] == 0, f"C session: {run.c.get('session_text')}")
    return error


def go_writer_ends(run):
    """We close while Go writes: what Go still sends is credited [FIN-11], so that it can go on and
    read the end; it does not hang, and our session is in order."""
    require(run.go["rc"] == 1, f"Go: exit code {run.go['rc']}\n{run.go['stderr']}")
    require(run.c["rc"] == 0 and run.c["session_errors"] == 0, f"C: {run.c}")
    run.frames_in_order()
    return run.go["first_error"]


def all_arrived(run):
    """The C client closed its session right behind the last write; Go got every byte. It may fail
    to send its digest, which nobody wants."""
    require(run.c["rc"] == 0 and run.c["session_errors"] == 0, f"C: {run.c}")
    require(run.go["bytes"] == run.c["bytes"],
            f"{run.go['bytes']} of {run.c['bytes']} bytes arrived\n{run.go['stderr']}")


def closing_ends_linger(run):
    """[FIN-7]: the end of the session ends the linger that keeps M1 away."""
    if run.release.has_m1 and run.go_said("reply has"):
        return "M1: this release drops unread data when both ends have closed"
    return None


def closing():
    yield Case("close while the peer writes", "FIN-10 FIN-11 RCV-11", "source-server",
               "closer-client -c 20 -parallel 4 -bytes 600000", watch=True)
    yield Case("the peer closes while we write", "FIN-9 RCV-12", "closer-server",
               "source-client -bytes 2000000", c="-half-close-timeout 400ms", roles=(C_CLIENT,),
               check=writer_is_told)
    yield Case("Go writes to a stream that we closed", "FIN-11 TRAP-8", "closer-server",
               "source-client -bytes 1000000", roles=(C_SERVER,), check=go_writer_ends, watch=True)
    yield Case("client closes with data in flight", "END-4", "sink-server",
               "source-client -bytes 3000001 -streams 8 -no-wait", roles=(C_CLIENT,),
               check=all_arrived)
    yield Case("server closes with data in flight", "END-4", "source-server -last 8",
               "sink-client -bytes 3000001 -streams 8", roles=(C_SERVER,))
    yield Case("server closes, data in flight both ways", "END-4 FIN-10",
               "halfclose-server -reply 200000 -last 8",
               "halfclose-client -send 200000 -reply 200000 -c 8 -delay 1ms", roles=(C_SERVER,),
               only=can_half_close, known=closing_ends_linger)


# --- the wrong version --------------------------------------------------------------------

def wrong_version_at_server(run):
    """The C server says which version the client speaks [VER-4]."""
    require(run.c.get("session_status") == "SMUX_EPROTO", f"C: {run.c}")
    text = run.c["session_text"]
    require(text == f"peer speaks smux {run.version}, this side is set to {run.case.c_version}",
            f"C: {text}")
    return text


def wrong_version_at_client(run):
    """Go may close the connection at our first frame without having sent one: then there is no
    more to say than that the connection ended. Whatever it is, it is an error."""
    require(run.c["rc"] == 1, f"C: {run.c}")
    if run.c.get("session_status") == "SMUX_EPROTO":
        return wrong_version_at_server(run)
    return run.c["first_error"]


def versions():
    for ours, theirs in ((1, 2), (2, 1)):
        yield Case(f"C speaks version {ours}", "FRM-5 VER-4", "echo-server",
                   "echo-client -timeout 5s", roles=(C_SERVER,), versions=(theirs,),
                   c_version=ours, check=wrong_version_at_server)
        yield Case(f"C speaks version {ours}", "FRM-5 END-3", "echo-server",
                   "echo-client -timeout 5s", roles=(C_CLIENT,), versions=(theirs,),
                   c_version=ours, check=wrong_version_at_client)
        yield Case(f"C speaks version {ours}, Go opens first", "FRM-5 VER-4", "opener-server",
                   "accept-client -expect 1 -c 0 -timeout 5s", roles=(C_CLIENT,),
                   versions=(theirs,), c_version=ours, check=wrong_version_at_client)


CASES = [*halfclose(), *closing(), *versions()]


# --- kill -9 ------------------------------------------------------------------------------

def kill_server(release, version):
    """Every blocking call of the C client ends with an error, at once."""
    server = Peer(release.program, "noaccept-server", ["-v", str(version)], listen="127.0.0.1:0")
    client = Peer(CPEER, "doomed-client", ["-v", str(version)], remote=server.address)
    try:
        client.expect("blocked")
    finally:
        server.kill()
        report = client.finish()
        server.finish()
    require(report["rc"] == 0, f"exit code {report['rc']}\n{report['stderr']}")
    require(report["waited_ms"] < 1000, f"waited {report['waited_ms']} ms")
    return f"{report['waited_ms']} ms"


def kill_client(release, version):
    """The C server drops the session of a killed client and serves the next one."""
    server = Peer(CPEER, "echo-server", ["-v", str(version)], listen="127.0.0.1:0")
    arguments = ["-v", str(version), "-c", "50", "-parallel", "50", "-m", "100000", "-size", "5000"]
    client = Peer(release.program, "echo-client", arguments, remote=server.address)
    time.sleep(0.3)
    client.kill()
    client.finish()
    after = Peer(release.program, "echo-client", ["-v", str(version), "-m", "5"],
                 remote=server.address).finish()
    report = server.finish()
    require(after["rc"] == 0, f"next client: exit code {after['rc']}\n{after['stderr']}")
    require(report["rc"] == 0 and report["sessions"] == 2, f"C: {report}")
    require("aborting" not in report["stderr"], "the session outlived its client")


def killing(results):
    for release in releases():
        for version in (1, 2):
            end = f"Go {release.name}, v{version}"
            results.one(f"kill -9 of the server: C client -> {end}", "END-1 END-5",
                        lambda: kill_server(release, version))
            results.one(f"kill -9 of the client: {end} -> C server", "END-1 END-5",
                        lambda: kill_client(release, version))


if __name__ == "__main__":
    main(CASES, killing)
