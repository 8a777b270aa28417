"""The two ends of the data: one behind the server of the tunnel, one before the client.

Each is a process. Every stream has two threads in each: one sends, one receives, both hash. The
sender says first which stream it is and how long to go on; after that the directions do not
depend on each other, and each is ended by a half-close.
"""
import hashlib
import multiprocessing
import os
import signal
import socket
import struct
import threading
import time

BLOCK = 256 * 1024
POOL_SIZE = 8 << 20     # of random bytes, from which all streams cut their data
HELLO = struct.Struct("<IdQ")   # stream, seconds to send, bytes to send at most
NO_LIMIT = 1 << 62

fork = multiprocessing.get_context("fork")


class End:
    """One of the two ends, seen from the process that started it."""

    def __init__(self, work, n):
        self.received = fork.RawArray("Q", n)   # bytes of each stream, for the progress
        self._results, child = fork.Pipe(duplex=False)
        self._process = fork.Process(target=_run, args=(work, self.received, child), daemon=True)
        self._process.start()
        child.close()
        self._outcome = None

    def done(self):
        return self._process.exitcode is not None or self._results.poll()

    def outcome(self):
        """{"sent": {stream: (bytes, sha256)}, "received": the same, "errors": [text]}"""
        try:
            return self._results.recv()
        except EOFError:
            return {"sent": {}, "received": {}, "errors": ["an end of the data died"]}

    def stop(self):
        self._process.kill()    # one that is only just starting may lose any other signal
        self._process.join()


class Ends:
    """Both ends. `target` is where the far one listens."""

    def __init__(self, n):
        self._n = n
        self._pool = memoryview(os.urandom(POOL_SIZE))
        self._ends = []

    def __enter__(self):
        listener = socket.create_server(("127.0.0.1", 0), backlog=self._n)
        self.target = "127.0.0.1:%d" % listener.getsockname()[1]
        self._ends.append(End(lambda tally: _far(listener, self._pool, self._n, tally), self._n))
        listener.close()
        return self

    def __exit__(self, *_):
        for end in self._ends:
            end.stop()

    def start(self, entrance, seconds, size):
        """Lets the near end send through the tunnel whose client listens at `entrance`."""
        limit = size // (2 * self._n) if size else NO_LIMIT
        hello = (seconds, limit)
        self._ends.append(
            End(lambda tally: _near(entrance, self._pool, self._n, hello, tally), self._n))

    def done(self):
        return all(end.done() for end in self._ends)

    def progress(self):
        """Bytes that have arrived at the far and at the near end."""
        return tuple(sum(end.received) for end in self._ends)

    def outcome(self):
        """Those of the far and the near end."""
        return [end.outcome() for end in self._ends]


# --- inside the processes ----------------------------------------------------------------------

class Tally:
    """What the threads of an end have done."""

    def __init__(self, received):
        self.received_now = received
        self.sent, self.received, self.errors = {}, {}, []

    def send(self, sock, stream, pool, seconds, limit):
        """Sends pieces of the pool until time or limit is up, then half-closes."""
        digest, total = hashlib.sha256(), 0
        at = hash((stream, os.getpid())) % (len(pool) - BLOCK)
        deadline = time.monotonic() + seconds
        while total < limit and time.monotonic() < deadline:
            piece = pool[at:at + min(BLOCK, limit - total)]
            sock.sendall(piece)
            digest.update(piece)
            total += len(piece)
            at = (at + 3 * BLOCK + 7919) % (len(pool) - BLOCK)
        sock.shutdown(socket.SHUT_WR)
        self.sent[stream] = (total, digest.hexdigest())

    def receive(self, sock, stream):
        digest, total = hashlib.sha256(), 0
        buffer = memoryview(bytearray(BLOCK))
        while True:
            n = sock.recv_into(buffer)
            if n == 0:
                break
            digest.update(buffer[:n])
            total += n
            self.received_now[stream] = total
        self.received[stream] = (total, digest.hexdigest())

    def thread(self, function, *arguments):
        """Starts a thread whose failure ends up in the result."""
        def guarded():
            try:
                function(*arguments)
            except Exception as error:  # whatever it is, the user has to see it
                self.errors.append(f"{function.__name__}: {error}")
        thread = threading.Thread(target=guarded)
        thread.start()
        return thread


def _run(work, received, results):
    signal.signal(signal.SIGINT, signal.SIG_IGN)    # the parent ends us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    tally = Tally(received)
    try:
        work(tally)
    except Exception as error:
        tally.errors.append(str(error))
    results.send({"sent": tally.sent, "received": tally.received, "errors": tally.errors})


def _receive_exactly(sock, size):
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise ConnectionError("ended before it said which stream it is")
        data += piece
    return data


def _far(listener, pool, n, tally):
    """Serves n connections."""
    def serve(sock):
        with sock:
            stream, seconds, limit = HELLO.unpack(_receive_exactly(sock, HELLO.size))
            sender = tally.thread(tally.send, sock, stream, pool, seconds, limit)
            tally.receive(sock, stream)
            sender.join()

    threads = [tally.thread(serve, listener.accept()[0]) for _ in range(n)]
    for thread in threads:
        thread.join()


def _near(entrance, pool, n, hello, tally):
    """Makes n connections and uses them all at once."""
    def use(stream):
        with socket.create_connection(entrance) as sock:
            sock.sendall(HELLO.pack(stream, *hello))
            sender = tally.thread(tally.send, sock, stream, pool, *hello)
            tally.receive(sock, stream)
            sender.join()

    threads = [tally.thread(use, stream) for stream in range(n)]
    for thread in threads:
        thread.join()
