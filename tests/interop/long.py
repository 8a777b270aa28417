#!/usr/bin/env python3
"""One version 2 stream that carries more than 4 GiB each way, so that the counters of both ends
wrap. Takes minutes: only with SMUX_LONG=1.

With a window of 32768 and frames of 32768 a full window ends exactly at 2^32, where Go swallows
the update of its own accord [M15]; we stop a byte short [WIN-9] and send ours [UPD-5].

ctest-timeout: 3000
"""
import _peers
from _peers import Case, main, skip

BYTES = (1 << 32) + 50000001

CASES = [
    Case(f"{BYTES} bytes each way, {text}", "WIN-1 WIN-4 WIN-9 UPD-1 UPD-5", "duplex-server",
         f"duplex-client -bytes {BYTES}", c=flags, go=flags, versions=(2,), alone=True)
    for text, flags in (("window that tunes itself", ""), ("window 32768", "-streambuf 32768"))
]

if __name__ == "__main__":
    if not _peers.LONG:
        skip("takes minutes, set SMUX_LONG=1")
    _peers.LIMIT = 900
    main(CASES)
