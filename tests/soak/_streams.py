"""The honest load of the soak: streams through a tunnel whose every byte is checked.

A stream begins with a header that tells the target what to do and how long the payload is, so
that both ends know when something is short. Payload is a piece of one random block that both
know. An operation ends in one of four ways: it was right; it failed while its link was cut,
which it has to tell; it lost something (an error without a cut, a wrong or a missing byte, an
end that looks complete and is not); it hung.
"""
import hashlib
import random
import struct
import threading
import time

import libtunnel

HEADER = struct.Struct(">cII")      # what, offset in the block, bytes of payload
ECHO, UPLOAD, DOWNLOAD, ABORTED = b"e", b"u", b"d", b"a"
HANGS = 60                          # seconds without a byte that are too many
LATE = 10                           # seconds until a session that was cut has gone down
BLOCK = random.Random(1).randbytes(4 << 20)


class Lost(Exception):
    """A byte that is wrong or missing, at an end that says that all is well."""


def payload(offset, length):
    return BLOCK[offset:offset + length]


def receive(s, length, size=1 << 16, pause=0):
    """Receives so many bytes in reads of a size, with a pause after each."""
    data = bytearray()
    while len(data) < length:
        piece = s.recv(min(size, length - len(data)))
        if not piece:
            raise Lost("an end after %d of %d bytes" % (len(data), length))
        data += piece
        if pause:
            time.sleep(pause)
    return bytes(data)


def expect_payload(s, offset, length, **how):
    if receive(s, length, **how) != payload(offset, length):
        raise Lost("%d bytes came back changed" % length)


def expect_end(s):
    if s.recv(1):
        raise Lost("a byte after the end of the payload")


# --- the target ----------------------------------------------------------------------------------

def serve(s, lost):
    """One stream at the target. What is lost there is appended to a list."""
    s.settimeout(HANGS)
    try:
        what, offset, length = HEADER.unpack(receive(s, HEADER.size))
        if what == ECHO:
            libtunnel.echo(s)
        elif what == UPLOAD:
            expect_payload(s, offset, length)
            expect_end(s)
            s.sendall(hashlib.sha256(payload(offset, length)).digest())
        elif what == DOWNLOAD:
            s.sendall(payload(offset, length))
        elif what == ABORTED:
            s.sendall(payload(offset, length))
            libtunnel.reset(s)
    except Lost as error:
        lost.append("at the target: %s" % error)
    except TimeoutError:
        lost.append("at the target: a stream hung")
    # Other errors are what a cut link or a client that aborts looks like.


# --- operations of a client ----------------------------------------------------------------------
# Each takes a function that connects and a random generator, and returns (streams, bytes).

def begin(connect, what, offset, length):
    s = connect()
    s.settimeout(HANGS)
    s.sendall(HEADER.pack(what, offset, length))
    return s


def place(rng, least, most):
    """A random piece of the block."""
    length = rng.randint(least, most)
    return rng.randrange(len(BLOCK) - length), length


class Sender(threading.Thread):
    """Sends and half-closes. A reset is told once: to this thread or to the one that receives, which
    then reads an end that is none."""

    def __init__(self, s, data):
        super().__init__()
        self.s, self.data, self.error = s, data, None
        self.start()

    def run(self):
        try:
            self.s.sendall(self.data)
            self.s.shutdown(libtunnel.socket.SHUT_WR)
        except OSError as error:
            self.error = error


def echo_both_ways(connect, rng):
    """Sends and receives at once, then half-closes and wants the other end."""
    offset, length = place(rng, 1, 500_000)
    with begin(connect, ECHO, offset, length) as s:
        sender = Sender(s, payload(offset, length))
        try:
            expect_payload(s, offset, length)
            expect_end(s)
        except Lost:
            sender.join(1)
            if sender.error is not None:
                raise sender.error
            raise
        finally:
            s.close()               # wakes the sender if something was wrong
            sender.join()
    return 1, 2 * length


def many_short(connect, rng):
    """A burst of streams of a few bytes, open at the same time."""
    jobs = []
    total = 0
    for _ in range(rng.randint(5, 30)):
        offset, length = place(rng, 1, 1000)
        s = begin(connect, ECHO, offset, length)
        s.sendall(payload(offset, length))
        jobs.append((s, offset, length))
    for s, offset, length in jobs:
        s.shutdown(libtunnel.socket.SHUT_WR)
        expect_payload(s, offset, length)
        expect_end(s)
        s.close()
        total += 2 * length
    return len(jobs), total


def upload(connect, rng):
    """Half-closes after the payload; the answer is only sent then, and read late."""
    offset, length = place(rng, 0, 300_000)
    with begin(connect, UPLOAD, offset, length) as s:
        s.sendall(payload(offset, length))
        s.shutdown(libtunnel.socket.SHUT_WR)
        time.sleep(rng.choice((0, 0.2)))
        if receive(s, 32) != hashlib.sha256(payload(offset, length)).digest():
            raise Lost("a wrong digest of %d bytes" % length)
        expect_end(s)
    return 1, length


def read_slowly(connect, rng):
    """Stays behind a target that sends as fast as it may, and first reads nothing at all."""
    offset, length = place(rng, 100_000, 600_000)
    with begin(connect, DOWNLOAD, offset, length) as s:
        time.sleep(rng.uniform(0, 1))
        expect_payload(s, offset, length, size=16384, pause=0.01)
        expect_end(s)
    return 1, length


def stay_silent(connect, rng):
    """A stream that has nothing to say for a while, and still works."""
    offset, length = place(rng, 2, 20)
    with begin(connect, ECHO, offset, length) as s:
        for at in range(length):
            s.sendall(payload(offset + at, 1))
            expect_payload(s, offset + at, 1)
            if at == 0:
                time.sleep(rng.uniform(0.5, 5))
    return 1, 2 * length


def abort(connect, rng):
    """Resets in the middle of what the target sends. The rest fits into a window and a send queue:
    more would wait at the server for half_close_timeout, as nothing is credited after an abort
    [FIN-9, FIN-11], or for the next cut."""
    offset, length = place(rng, 200_000, 300_000)
    s = begin(connect, DOWNLOAD, offset, length)
    n = rng.randint(1, length // 2)
    try:
        expect_payload(s, offset, n)
    finally:
        libtunnel.reset(s)
    return 1, n


def be_aborted(connect, rng):
    """The target resets. How much of it arrives is not said, only that it is right and ends."""
    offset, length = place(rng, 1, 100_000)
    data = b""
    with begin(connect, ABORTED, offset, length) as s:
        try:
            data = libtunnel.read_all(s)
        except ConnectionResetError:
            pass
    if not payload(offset, length).startswith(data):
        raise Lost("wrong bytes before a reset")
    return 1, len(data)


OPERATIONS = (echo_both_ways, many_short, many_short, upload, upload, read_slowly, stay_silent,
              abort, be_aborted)


# --- workers -------------------------------------------------------------------------------------

class Load:
    """Threads that run operations over one tunnel until they are told to stop."""

    def __init__(self, name, connect, went_down_since, seed, workers=12, pause=0.6):
        self.name, self.connect, self.went_down_since = name, connect, went_down_since
        self.lock = threading.Lock()
        self.streams = self.bytes = self.cut = 0
        self.lost = []
        self.pause = pause
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._work, args=(random.Random("%s %d %d" % (
            name, seed, i)),), daemon=True) for i in range(workers)]
        for thread in self.threads:
            thread.start()

    def stop(self):
        """Lets what is under way finish; what does not is a loss."""
        self.stopping.set()
        deadline = time.monotonic() + HANGS
        for thread in self.threads:
            thread.join(max(0, deadline - time.monotonic()))
            if thread.is_alive():
                self.lost.append("%s: an operation does not end" % self.name)

    def _work(self, rng):
        while not self.stopping.wait(rng.expovariate(1 / self.pause)):
            operation = rng.choice(OPERATIONS)
            start = time.time()
            try:
                streams, n = operation(self.connect, rng)
            except TimeoutError:
                self._lose(operation, "hung")
            except Lost as error:
                self._lose(operation, error)
            except OSError as error:
                if self._explained(start):
                    with self.lock:
                        self.cut += 1
                else:
                    self._lose(operation, "%r, and no session went down" % error)
            else:
                with self.lock:
                    self.streams += streams
                    self.bytes += n

    def _explained(self, start):
        """Tells whether a session went down. In version 1 that is only in the log once the data that
        had arrived was read, and other streams, which miss some of theirs, end before."""
        deadline = time.monotonic() + LATE
        while not self.went_down_since(start):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def _lose(self, operation, what):
        self.lost.append("%s: %s at %s: %s" % (self.name, operation.__name__,
                                               time.strftime("%H:%M:%S", time.gmtime()), what))
