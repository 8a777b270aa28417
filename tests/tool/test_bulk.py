"""Large transfers with equal digests, and many connections at once.

ctest-timeout: 300
"""
import selectors

from libtunnel import *

SIZE = (1 << 30) if LONG else 200 * MIB * PERCENT // 100
CONNECTIONS = 10000 * PERCENT // 100


def block(i):
    return hashlib.sha256(b"%d" % (i % 61)).digest() * 32768  # 1 MiB, different each time


def blocks():
    for i in range((SIZE + MIB - 1) // MIB):
        yield block(i)[:min(MIB, SIZE - i * MIB)]


def expected_digest():
    digest = hashlib.sha256()
    for data in blocks():
        digest.update(data)
    return digest.hexdigest()


def receive_digest(s):
    digest = hashlib.sha256()
    n = 0
    buffer = bytearray(1 << 20)
    while True:
        got = s.recv_into(buffer)
        if got == 0:
            return n, digest.hexdigest()
        digest.update(memoryview(buffer)[:got])
        n += got


@test
def download():
    def serve(connection):
        for data in blocks():
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)

    for version in ("2", "1"):
        tunnel = Tunnel(Target(serve).address, client_options=("--smuxver", version))
        start = time.monotonic()
        expect(receive_digest(tunnel.connect(60)), (SIZE, expected_digest()), "size and digest")
        print("       %d MiB down, version %s: %.0f MiB/s" % (
            SIZE / MIB, version, SIZE / MIB / (time.monotonic() - start)))


@test
def upload():
    results = []

    def serve(connection):
        results.append(receive_digest(connection))

    for version in ("2", "1"):
        tunnel = Tunnel(Target(serve).address, client_options=("--smuxver", version))
        s = tunnel.connect(60)
        start = time.monotonic()
        for data in blocks():
            s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        wait_until(lambda: results, 60, "end of the upload")
        expect(results.pop(), (SIZE, expected_digest()), "size and digest")
        print("       %d MiB up, version %s: %.0f MiB/s" % (
            SIZE / MIB, version, SIZE / MIB / (time.monotonic() - start)))


@test
def both_directions_at_once_on_many_streams():
    """16 streams saturated both ways, each compared."""
    n = 8 * MIB * PERCENT // 100

    def transfer(address, outcome):
        data = os.urandom(n)
        s = connect(address, 120)
        sender = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
        sender.start()
        outcome.append(read_all(s) == data)
        sender.join()

    for version in ("2", "1"):
        tunnel = Tunnel(Target(echo).address, client_options=("--smuxver", version))
        outcome = []
        threads = [threading.Thread(target=transfer, args=(tunnel.address, outcome))
                   for _ in range(16)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(120)
        expect(outcome, [True] * 16, "equal transfers with version " + version)


class EchoProcess:
    """Runs in a child: an echo server that holds thousands of connections."""

    def __init__(self):
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(4096)
        self.address = listener.getsockname()
        self.pid = os.fork()
        if self.pid == 0:
            die_with_parent()
            try:
                serve_echo(listener)
            finally:
                os._exit(0)
        listener.close()

    def stop(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def serve_echo(listener):
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                selector.register(listener.accept()[0], selectors.EVENT_READ)
                continue
            try:
                data = key.fileobj.recv(4096)
            except OSError:
                data = b""
            if data:
                key.fileobj.sendall(data)
            else:
                selector.unregister(key.fileobj)
                key.fileobj.close()


@test
def ten_thousand_connections():
    raise_descriptors(CONNECTIONS + 200)
    target = EchoProcess()
    try:
        many_connections(target)
    finally:
        target.stop()


def many_connections(target):
    tunnel = Tunnel(target.address, client_options=("--conn", "4", "--quiet"),
                    server_options=("--quiet",))
    before = (tunnel.client.rss(), tunnel.server.rss())
    start = time.monotonic()
    held = []
    for i in range(CONNECTIONS):
        s = tunnel.connect(60)
        s.sendall(b"%06d" % i)
        held.append(s)
    for i, s in enumerate(held):
        try:
            expect(read_exactly(s, 6), b"%06d" % i, "echo of connection %d" % i)
        except AssertionError:
            tunnel.server.send(signal.SIGUSR1)  # the counters tell what was refused
            tunnel.client.send(signal.SIGUSR1)
            time.sleep(1)
            raise
    print("       %d connections in %.1f s, memory a connection: client %d, server %d bytes" % (
        CONNECTIONS, time.monotonic() - start, (tunnel.client.rss() - before[0]) / CONNECTIONS,
        (tunnel.server.rss() - before[1]) / CONNECTIONS))
    for i in range(0, CONNECTIONS, 7):  # all are alive, in any order
        held[-i - 1].sendall(b"again")
        expect(read_exactly(held[-i - 1], 5), b"again", "second echo")
    for s in held:
        s.close()
    wait_until(lambda: tunnel.server.fds() < 50 and tunnel.client.fds() < 50, 30,
               "all descriptors given back")


run()
