"""Makes system calls and allocations of a running tool fail, see preload/faults.c.

    plan = Plan()
    process = Process([...], env=plan.environment())
    plan.fail("READ", 2, errno.EINTR)           # the second read from now
    ...
    plan.clear()
"""
import mmap
import os
import struct
import tempfile

import libtunnel

LIBRARY = os.path.join(os.environ.get("SMUX_BUILD_DIR", ""), "tests/tool/faults.so")
CALLS = ("READ RECV WRITEV SEND ACCEPT SOCKET CONNECT BIND LISTEN SETSOCKOPT GETSOCKOPT SHUTDOWN "
         "CLOSE GETRANDOM EPOLL_WAIT EPOLL_CTL FCNTL NAME WRITE ALLOC WALL_CLOCK").split()
FAULT = struct.Struct("IIIi")       # calls, from, times, how
LIVE = struct.Struct("i")


def short(n):
    """Not an error: the call transfers no more than n bytes."""
    return 10000 + n


def slow(ms):
    """Not an error: the call takes so long. For those that transfer nothing."""
    return 20000 + ms


class Plan:
    def __init__(self):
        if not os.path.exists(LIBRARY):
            raise libtunnel.Skip("%s is not built" % LIBRARY)
        self.file = tempfile.TemporaryFile()    # without a name: nothing is left of it
        size = FAULT.size * len(CALLS) + LIVE.size
        self.file.truncate(size)
        self.memory = mmap.mmap(self.file.fileno(), size)

    def environment(self):
        path = "/proc/%d/fd/%d" % (os.getpid(), self.file.fileno())
        return dict(os.environ, LD_PRELOAD=LIBRARY, SMUX_FAULTS=path)

    def _at(self, call):
        return CALLS.index(call) * FAULT.size

    def calls(self, call):
        return FAULT.unpack_from(self.memory, self._at(call))[0]

    def fail(self, call, nth, how, times=1):
        """Returns the number of the first call that fails."""
        first = self.calls(call) + nth
        # `from` goes last, so that no call meets half a plan.
        struct.pack_into("Ii", self.memory, self._at(call) + 8, times, how)
        struct.pack_into("I", self.memory, self._at(call) + 4, first)
        return first

    def clear(self):
        for call in CALLS:
            struct.pack_into("I", self.memory, self._at(call) + 4, 0)

    def live(self):
        """Blocks that the program has allocated and not freed."""
        return LIVE.unpack_from(self.memory, FAULT.size * len(CALLS))[0]
