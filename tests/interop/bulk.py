#!/usr/bin/env python3
"""Much data: windows of every size, large frames, many streams at once, slow readers, writes that
time out.

ctest-timeout: 240
"""
from _peers import C_CLIENT, C_SERVER, Case, main, much, require

MAX = 2**31 - 1


def newest(release):
    return release.name == "newest"


def c_advertised(least, most=None):
    """The C side told the peer a window within these limits."""
    def check(run):
        run.content()
        windows = [w for flow in run.relay.watch.flows.values() for w in flow.windows]
        require(windows, "the C side sent no UPD")
        require(least <= max(windows) <= (most or least),
                f"the C side offered {min(windows)}..{max(windows)}")
        return f"offered at most {max(windows)}"
    return check


def c_shrank(size):
    """With a budget below its windows the C side offers less."""
    def check(run):
        run.content()
        windows = [w for flow in run.relay.watch.flows.values() for w in flow.windows]
        require(min(windows) < size, f"the C side offered {min(windows)}..{max(windows)}")
        return f"windows {min(windows)}..{max(windows)}"
    return check


def full_frames(run):
    """Both ends sent, or the sending end sent, frames of 65535 bytes."""
    run.content()
    largest = run.relay.watch.largest
    require(max(largest.values()) == 65535, f"largest PSH {largest}")


def cut_writes(run):
    run.content()
    return f"{run.c['expired']} writes timed out, {run.c['partial']} of them midway"


def stalled_at(run):
    run.content()
    client = run.c if run.role == C_CLIENT else run.go
    return f"stalled at {client['stalled_at']} bytes"


def left_unread(streams):
    """Each fresh stream of a Go end may bring a first window before the C side has a say."""
    def check(run):
        run.content()
        unread = run.c["unread"]
        require(0 < unread <= streams * 262144, f"{unread} bytes unread")
        return f"{unread} bytes unread"
    return check


def windows():
    """Transfers towards each side with each window; version 2."""
    def both(size, side, command, **more):
        flags = f"-streambuf {size}" + (" -buf 2147483647" if size == MAX else "")
        clauses = "UPD-1 UPD-2" if side == "c" else "WIN-1..5 WIN-8"
        name = f"window {size} of the {'C' if side == 'c' else 'Go'} end, {command[1].split()[0]}"
        return Case(name, clauses, *command, versions=(2,), watch=True, **{side: flags}, **more)

    # One byte a round trip, after a first message within the window that all streams start with.
    echo = "echo-server", "echo-client -m 4 -size 1000 -lockstep"
    yield both(1, "c", echo, check=c_advertised(1))
    yield both(1, "go", echo)
    for size, n in ((511, 320001), (65536, 3000001), (MAX, 8000001)):
        upload = "sink-server", f"source-client -bytes {n}"
        download = "source-server", f"sink-client -bytes {n}"
        # Of a huge window only what the budget can back is offered [BKT-7].
        check = c_advertised(size) if size != MAX else c_advertised(MAX // 4, MAX)
        yield both(size, "c", upload, roles=(C_SERVER,), check=check)
        yield both(size, "c", download, roles=(C_CLIENT,), check=check)
        yield both(size, "go", upload, roles=(C_CLIENT,))
        yield both(size, "go", download, roles=(C_SERVER,))


def saturation():
    """Many streams that are busy in both directions, with a Go budget they can exhaust. Echo would
    hang here in version 2, also between two Go ends: its writer waits for a UPD that stands behind
    data its reader does not take [M14]. Together they hold more than the larger budget, and the
    longer ones need more than their first window."""
    for streams, n in ((much(24, 64), 400000), (much(150, 500), 60000)):
        for budget in (262144, 4194304):
            yield Case(f"{streams} streams saturated both ways, Go budget {budget}",
                       "BKT-6 UPD-4", "duplex-server",
                       f"duplex-client -bytes {n} -streams {streams}", go=f"-buf {budget}")


BULK = f"-bytes {much(4000003, 10000003)} -streams 4"

CASES = [
    Case("bulk to the server", "ORD-1", "sink-server", f"source-client {BULK}"),
    Case("bulk to the client", "ORD-1", "source-server", f"sink-client {BULK}"),
    Case("64 streams, short writes", "ORD-1", "sink-server",
         "source-client -bytes 100001 -streams 64 -chunk 1009"),
    Case("frames of 65535 bytes", "FRM-4", "sink-server -frame 65535",
         "source-client -bytes 3000001 -chunk 300000 -frame 65535", watch=True,
         check=full_frames),
    Case("frames of 65535 bytes, towards the client", "FRM-4", "source-server -frame 65535 "
         "-chunk 300000", "sink-client -bytes 3000001 -frame 65535", watch=True,
         check=full_frames),
    Case("frames of 1 byte", "FRM-4", "sink-server", "source-client -bytes 5000", c="-frame 1",
         roles=(C_CLIENT,), watch=True),
    *windows(),
    Case("windows shrink below the budget", "BKT-7 UPD-8", "sink-server",
         "source-client -bytes 400000 -streams 8", c="-buf 131072", roles=(C_SERVER,),
         versions=(2,), watch=True, check=c_shrank(65536)),
    *saturation(),
    Case("slow reader beside fast streams", "BKT-4..7", "echo-server",
         "slow-client -c 8 -bytes 500000 -stall-bytes 200000", versions=(1,), check=stalled_at),
    Case("slow reader beside fast streams", "BKT-4..7", "echo-server",
         "slow-client -c 8 -bytes 500000 -stall-bytes 1000000", versions=(2,), check=stalled_at),
    Case("server reads late", "BKT-4..7", "slow-server -release 900ms",
         "slow-client -c 4 -bytes 100000 -stall-bytes 200000", check=stalled_at),
    Case("15 unread streams beside one that is read", "BKT-7", "source-server",
         "unread-client -stalled 15 -bytes 5000000", roles=(C_CLIENT,), versions=(2,),
         check=left_unread(15)),
    # The small budget makes Go stop reading in version 1; in version 2 the window does.
    Case("write deadline, memory reused", "ORD-4", "slow-server -release 500ms -buf 65536",
         "deadline-client -bytes 16000000 -chunk 1048576 -deadline 5ms", roles=(C_CLIENT,),
         versions=(1,), check=cut_writes),
    Case("write deadline, memory reused", "ORD-4", "slow-server -release 500ms",
         "deadline-client -bytes 16000000 -chunk 1048576 -deadline 5ms", roles=(C_CLIENT,),
         versions=(2,), check=cut_writes),
]

if __name__ == "__main__":
    main(CASES)
