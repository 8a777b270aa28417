"""A slow side never makes memory grow: it stops the other one.

ctest-timeout: 120
"""
from libtunnel import *

# Send queues, receive budget, and what malloc and libuv keep around them, for one session.
ALLOWED = 14 * MIB + 4 * MIB
# Windows may have grown before a reader stopped, the more so on a busy machine: a part of ALLOWED.
GROWTH = ("--window-growth", "4MiB")
POUR_S = 2      # what a tunnel takes without a reader it takes in a fraction of that
TAKEN = 1 << 18     # bytes that fit at least


def pour(s, seconds):
    """Sends as much as is taken within some seconds."""
    block = b"x" * (1 << 18)
    sent = 0
    s.settimeout(1)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            sent += s.send(block)
        except socket.timeout:
            pass
    return sent


def check(make_streams, version, streams):
    need_true_memory()
    stop = threading.Event()
    tunnel = make_streams(stop, version)
    before = (tunnel.server.rss(), tunnel.client.rss())
    connections = [tunnel.connect() for _ in range(streams)]
    totals = []
    threads = [threading.Thread(target=lambda c=c: totals.append(pour(c, POUR_S))) for c in connections]
    for t in threads:
        t.start()
    highest = [0, 0]
    while any(t.is_alive() for t in threads):
        highest = [max(highest[0], tunnel.server.rss()), max(highest[1], tunnel.client.rss())]
        time.sleep(0.05)
    stop.set()
    for name, high, low in (("server", highest[0], before[0]), ("client", highest[1], before[1])):
        if high - low > ALLOWED + streams * 8192:
            raise AssertionError("%s grew by %.1f MiB with version %s and %d streams" % (
                name, (high - low) / MIB, version, streams))
    expect(sum(totals) > TAKEN, True, "%d bytes were taken" % sum(totals))


def never_reads(stop, version):
    target = Target(lambda connection: stop.wait(30))
    return Tunnel(target.address, client_options=("--smuxver", version, *GROWTH),
                  server_options=GROWTH)


@test
def target_that_never_reads():
    for version in ("1", "2"):
        for streams in (1, 20):
            check(never_reads, version, streams)


@test
def target_that_reads_slowly_gets_everything():
    """After the pause the rest arrives: stopping is not losing."""
    need_true_memory()
    digest = hashlib.sha256()
    done = threading.Event()

    def serve(connection):
        time.sleep(1.5)
        while True:
            data = connection.recv(1 << 18)
            if not data:
                break
            digest.update(data)
        done.set()

    tunnel = Tunnel(Target(serve).address, client_options=GROWTH, server_options=GROWTH)
    before = tunnel.client.rss()
    s = tunnel.connect()
    s.settimeout(60)
    data = os.urandom(4 * MIB)
    sent = hashlib.sha256()
    for _ in range(20):
        s.sendall(data)
        sent.update(data)
        expect(tunnel.client.rss() - before < ALLOWED, True, "memory of the client")
    s.shutdown(socket.SHUT_WR)
    expect(done.wait(60), True, "all of it arrives")
    expect(digest.hexdigest(), sent.hexdigest(), "digest")


@test
def local_program_that_never_reads():
    need_true_memory()
    totals = []
    tunnel = Tunnel(Target(lambda s: totals.append(pour(s, POUR_S))).address, client_options=GROWTH,
                    server_options=GROWTH)
    before = (tunnel.server.rss(), tunnel.client.rss())
    held = [tunnel.connect() for _ in range(20)]
    wait_until(lambda: len(totals) == len(held), 3 * POUR_S + 10, "an end of pouring")
    for process, low in zip((tunnel.server, tunnel.client), before):
        expect(process.rss() - low < ALLOWED, True, "memory of %s, grown by %d" % (
            process.args[1], process.rss() - low))
    expect(sum(totals) > TAKEN, True, "%d bytes were taken" % sum(totals))


@test
def one_stopped_reader_leaves_the_others_alone():
    """Version 2: windows keep one unread stream from stopping the session."""
    def serve(connection):
        kind = connection.recv(1)
        if kind == b"s":
            pour(connection, 10)
        else:
            echo(connection)

    tunnel = Tunnel(Target(serve).address, client_options=GROWTH, server_options=GROWTH)
    stuck = tunnel.connect()
    stuck.sendall(b"s")
    time.sleep(1)
    s = tunnel.connect(5)
    s.sendall(b"e")
    for _ in range(50):
        s.sendall(b"ping")
        expect(read_exactly(s, 4), b"ping", "echo beside a stopped stream")


@test
def stall_is_told():
    """Version 1 stops the session: the log says so, with the stream that holds it up."""
    def serve(connection):
        pour(connection, 8)

    tunnel = Tunnel(Target(serve).address, client_options=("--smuxver", "1"))
    s = tunnel.connect()
    tunnel.client.wait_log(r"session +stalled id=1 reason=receive-budget holder=stream:3 .*"
                           r'hint="use --smuxver 2', timeout=12)
    s.settimeout(1)
    try:
        while s.recv(1 << 20):
            pass
    except socket.timeout:
        pass
    tunnel.client.wait_log("session +resumed id=1")


@test
def closed_connections_give_memory_back():
    need_true_memory()
    tunnel = Tunnel(Target(echo).address, client_options=("--quiet",), server_options=("--quiet",))

    def churn(n):
        for _ in range(n):
            s = tunnel.connect()
            s.sendall(b"x" * 20000)
            read_exactly(s, 20000)
            s.close()

    churn(300)
    time.sleep(0.5)
    before = (tunnel.server.rss(), tunnel.client.rss())
    churn(1500 * PERCENT // 100)
    for process, low in zip((tunnel.server, tunnel.client), before):
        expect(process.rss() - low < 2 * MIB, True, "memory of %s, grown by %d" % (
            process.args[1], process.rss() - low))


run()
