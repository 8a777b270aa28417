"""What travels through the tunnel: streams that carry their length and digest.

    request   magic, id, lengths up and down, when to answer, SHA-256 of up; then `up` bytes; end
    answer    magic, SHA-256 of down; then `down` bytes, "K" or "B" for the request; end

Content follows from the id, so that also what arrived of a broken stream is compared. Both ends
judge alone: the client the answer, the target the request. A stream that ends in order and is
short has reported success, and it lied.
"""
import contextlib
import hashlib
import random
import socket
import struct
import threading
import time

REQUEST = struct.Struct(">4sQQQB32s")
ANSWER = struct.Struct(">4s32s")
MAGIC = b"smuX"
PIECE = 1 << 16
MAX_LEN = 1 << 20

_pool = random.Random(1).randbytes(2 * MAX_LEN)


def content(id, way, length):
    start = (id * 7919 + way * 104729) % MAX_LEN
    return memoryview(_pool)[start:start + length]


class Wrong(Exception):
    """Bytes that nobody sent."""


class Short(Exception):
    """An end in order before the end."""


def read_exactly(sock, length):
    data = bytearray()
    while len(data) < length:
        chunk = sock.recv(length - len(data))
        if not chunk:
            raise Short("end after %d of %d bytes of a header" % (len(data), length))
        data += chunk
    return bytes(data)


def read_content(sock, expected, digest):
    """Reads and compares; checks the digest that was announced."""
    hasher = hashlib.sha256()
    got = 0
    while got < len(expected):
        chunk = sock.recv(min(PIECE, len(expected) - got))
        if not chunk:
            raise Short("end after %d of %d bytes" % (got, len(expected)))
        if chunk != expected[got:got + len(chunk)]:
            raise Wrong("wrong bytes behind %d of %d" % (got, len(expected)))
        hasher.update(chunk)
        got += len(chunk)
    if hasher.digest() != digest:
        raise Wrong("wrong digest")


def expect_end(sock):
    if sock.recv(1):
        raise Wrong("bytes behind the end")


class Background(threading.Thread):
    """Runs a function; its error is raised by finish()."""

    def __init__(self, function, *arguments):
        super().__init__(daemon=True)
        self.function, self.arguments, self.error = function, arguments, None
        self.start()

    def run(self):
        try:
            self.function(*self.arguments)
        except (OSError, Short, Wrong) as error:
            self.error = error

    def finish(self):
        self.join()
        if self.error:
            raise self.error


@contextlib.contextmanager
def reset_is_told_once(sender):
    """For reading while another thread writes: the kernel tells a reset to whoever asks first,
    and to the other an end. So an end counts once the writer is done without an error."""
    try:
        yield
    except Short:
        if sender:
            sender.finish()
        raise
    if sender:
        sender.finish()


# --- the client ------------------------------------------------------------------------------

def send_request(sock, id, up, down, at_once, pause):
    """`pause` seconds pass in the middle, for streams that live long."""
    data = content(id, 0, up)
    sock.sendall(REQUEST.pack(MAGIC, id, up, down, at_once, hashlib.sha256(data).digest()))
    sock.sendall(data[:up // 2])
    time.sleep(pause)
    sock.sendall(data[up // 2:])
    sock.shutdown(socket.SHUT_WR)


def exchange(sock, id, up, down, at_once=False, pause=0):
    """One stream as its client sees it. Returns when all is exact; any error is raised."""
    sender = Background(send_request, sock, id, up, down, at_once, pause)
    with reset_is_told_once(sender):
        magic, digest = ANSWER.unpack(read_exactly(sock, ANSWER.size))
        if magic != MAGIC:
            raise Wrong("wrong magic")
        read_content(sock, content(id, 1, down), digest)
        verdict = read_exactly(sock, 1)
        if verdict != b"K":
            raise Wrong("the target says %r" % verdict)
        expect_end(sock)


# --- the target ------------------------------------------------------------------------------

def send_answer(sock, id, down):
    data = content(id, 1, down)
    sock.sendall(ANSWER.pack(MAGIC, hashlib.sha256(data).digest()))
    sock.sendall(data)


def serve(sock, tell):
    """One stream as its target sees it. `tell(kind, id, text)` hears of short or wrong ones."""
    id = 0
    try:
        magic, id, up, down, at_once, digest = REQUEST.unpack(read_exactly(sock, REQUEST.size))
        if magic != MAGIC:
            raise Wrong("wrong magic")
        sender = Background(send_answer, sock, id, down) if at_once else None
        with reset_is_told_once(sender):
            read_content(sock, content(id, 0, up), digest)
            expect_end(sock)
        if not at_once:
            send_answer(sock, id, down)
        sock.sendall(b"K")
        sock.shutdown(socket.SHUT_WR)
    except Short as error:
        tell("short", id, str(error))
    except Wrong as error:
        tell("wrong", id, str(error))
    except OSError:
        pass        # an explicit error
