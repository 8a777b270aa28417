"""A peer made of bytes: frames by hand, on one side of a C peer."""
import socket
import struct
import time

from _peers import CPEER, Failure, Peer, require
from _relay import FIN, HEADER, NAMES, PSH, SYN, frame

PATIENCE = 5  # seconds until something that must come is missed
QUIET = 0.15  # seconds in which something that must not come would have come


class Wire:
    """A connection that reads frames."""

    def __init__(self, connection, version):
        self.socket = connection
        self.version = version
        self.data = b""
        self.ended = False
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, *frames):
        self.socket.sendall(b"".join(frames))

    def frame(self, command, stream=0, payload=b"", length=None):
        self.send(frame(self.version, command, stream, payload, length))

    def drip(self, data):
        """Sends byte by byte; the other end may hang up before the last one."""
        try:
            for i in range(len(data)):
                self.socket.sendall(data[i:i + 1])
                time.sleep(0.0002)
        except OSError:
            pass

    def fill(self, seconds):
        """Reads what is there; tells whether something came."""
        self.socket.settimeout(max(seconds, 0.001))
        try:
            data = self.socket.recv(1 << 18)
        except socket.timeout:
            return False
        except OSError:
            data = b""
        self.ended = not data
        self.data += data
        return bool(data)

    def next(self, seconds=PATIENCE):
        """The next frame (command, id, payload), None when there is none in time."""
        until = time.monotonic() + seconds
        while True:
            if len(self.data) >= 8:
                version, command, length, stream = HEADER.unpack(self.data[:8])
                if len(self.data) >= 8 + length:
                    payload = self.data[8:8 + length]
                    self.data = self.data[8 + length:]
                    require(version == self.version, f"frame of version {version}")
                    return command, stream, payload
            left = until - time.monotonic()
            if left <= 0 or self.ended:
                return None
            self.fill(left)

    def expect(self, command, stream, payload=None):
        got = self.next()
        require(got is not None, f"no {NAMES[command]} of stream {stream} came")
        require(got[:2] == (command, stream),
                f"{NAMES[got[0]]} of stream {got[1]}, expected {NAMES[command]} of {stream}")
        require(payload is None or got[2] == payload, f"payload {got[2]!r}")
        return got[2]

    def quiet(self, seconds=QUIET):
        got = self.next(seconds)
        require(got is None, f"unexpected {got and NAMES[got[0]]} {got}")

    def receive(self, stream, n):
        """Waits for n bytes of payload, and whether more come; returns how many came. The FIN of
        the stream stays unread."""
        total = 0
        while (got := self.next(PATIENCE if total < n else QUIET)) is not None:
            if got[:2] == (FIN, stream):
                self.data = frame(self.version, FIN, stream) + self.data
                break
            require(got[:2] == (PSH, stream), f"unexpected {NAMES[got[0]]} of {got[1]}")
            total += len(got[2])
        return total

    def echo(self, stream, text=b"ping"):
        """Opens a stream of an echo server and closes it again."""
        self.frame(SYN, stream)
        self.frame(PSH, stream, text)
        got = b""
        while len(got) < len(text):
            command, number, payload = self.next() or (None, 0, b"")
            require(command is not None, f"no echo on stream {stream}")
            if (command, number) == (PSH, stream):
                got += payload
        require(got == text, f"echo {got!r}")
        self.frame(FIN, stream)

    def hung_up(self):
        """Waits for the end of the connection."""
        until = time.monotonic() + PATIENCE
        while not self.ended and time.monotonic() < until:
            self.fill(until - time.monotonic())
        require(self.ended, "the connection was not closed")


class Server:
    """A C server with one connection to it. Leaving the block closes both; report has its end."""

    def __init__(self, command, version, *args):
        self.peer = Peer(CPEER, command, ["-v", str(version), "-guard", "0", *args],
                         listen="127.0.0.1:0")
        self.version = 1 if version == "auto" else version

    def __enter__(self):
        host, port = self.peer.address.rsplit(":", 1)
        self.wire = Wire(socket.create_connection((host, int(port))), self.version)
        return self

    def __exit__(self, *_):
        self.wire.socket.close()
        self.report = self.peer.finish()

    def was_content(self):
        require(self.report["rc"] == 0 and self.report["session_errors"] == 0, str(self.report))


class Client:
    """A C client and the connection it makes."""

    def __init__(self, command, version, *args):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.arguments = CPEER, command, ["-v", str(version), *args]
        self.version = version

    def __enter__(self):
        address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.peer = Peer(*self.arguments, remote=address)
        self.listener.settimeout(PATIENCE)
        try:
            connection, _ = self.listener.accept()
        except socket.timeout:
            raise Failure("the client did not connect") from None
        self.wire = Wire(connection, self.version)
        return self

    def __exit__(self, *_):
        self.wire.socket.close()
        self.listener.close()
        self.report = self.peer.finish()


def update(consumed, window):
    """The payload of a UPD."""
    return struct.pack("<II", consumed & 0xFFFFFFFF, window)
