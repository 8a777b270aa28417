"""Either end is killed, or vanishes without a word, and the tunnel comes back by itself.

ctest-timeout: 90
ctest-waits
"""
import contextlib
import selectors

from libfaults import Plan
from libtunnel import *

CLIENTS = 1000
RUSH_S = 10     # until all of them have an answer
FRAME = 8 + 4   # bytes of one with a ping


def works(address):
    with connect(address) as s:
        s.sendall(b"ping")
        try:
            return read_exactly(s, 4) == b"ping"
        except (OSError, AssertionError):
            return False


@test
def server_killed_and_started_again():
    target = Target(echo)
    listen = "127.0.0.1:%d" % free_port()
    first = server(target.address, listen=listen)
    front = client(first.address, "--retry-cap", "0.5", "--conn", "2")
    expect(works(front.address), True, "works before")
    for _ in range(3):
        held = connect_used(front.address)
        first.kill()
        expect(ends_with_reset(held), True, "an open stream sees an error")
        front.wait_log("session.down")
        first = server(target.address, listen=listen)
        expect(works(front.address), True, "works again")


@test
def connections_that_wait_leave_descriptors_for_sessions():
    """More of them than there are descriptors, which come again as soon as they are refused."""
    for limit, sessions in ((128, 1), (48, 1), (64, 100)):
        target = Target(echo)
        listen = "127.0.0.1:%d" % free_port()
        front = Process(["sh", "-c", 'ulimit -n %d && exec "$@"' % limit, "sh", tool(), "client", "-l",
                         "127.0.0.1:0", "-r", listen, "--quiet=streams", "--connect-timeout", "60",
                         "--retry-cap", "0.5", "--conn", str(sessions)])
        address = listening(front)
        held = [connect(address) for _ in range(2 * limit)]
        front.wait_log("accept.paused .*too many open files")
        server(target.address, listen=listen)
        front.wait_log("session.up")
        held[0].sendall(b"first")
        expect(read_exactly(held[0], 5), b"first", "what the first is answered")
        for s in held:
            s.close()


@test
def a_port_where_nobody_listens_is_not_its_own_peer():
    """TCP connects a socket to itself if the near port happens to be the one that is dialled."""
    setup = ("ip link set lo up && echo 40000 40001 > /proc/sys/net/ipv4/ip_local_port_range && "
             "exec \"$@\"")
    alone = ["unshare", "-rn", "sh", "-c", setup, "sh"]
    need("unshare", "ip")
    if subprocess.run([*alone, "true"], capture_output=True).returncode != 0:
        raise Skip("namespaces of users or networks are not to be had")
    front = Process([*alone, tool(), "client", "-l", "127.0.0.1:5000", "-r", "127.0.0.1:40000",
                     "--retry-cap", "0.1"])
    front.wait_log(r"handshake\.failed .*connection refused", count=5)
    expect("session.up" in front.log(), False, "a session with itself")


@test
def client_killed_and_started_again():
    ended = []

    def serve(connection):
        try:
            echo(connection)
        finally:
            ended.append(True)

    target = Target(serve)
    back = server(target.address)
    for round in range(3):
        front = client(back.address)
        s = connect_used(front.address)
        front.kill()
        wait_until(lambda: len(ended) == round + 1, what="end at the target")
        back.wait_log("session.down", count=round + 1)
    expect(back.fds() < 20, True, "descriptors are given back")


@test
def a_killed_client_resets_local_connections():
    """The kernel would end them in order, and what arrived so far would look complete."""
    target = Target(echo)
    back = server(target.address)
    front = client(back.address)
    held = connect(front.address)
    held.sendall(b"x")
    expect(read_exactly(held, 1), b"x", "echo")
    front.kill()
    expect(ends_with_reset(held), True, "an open stream sees an error")


@test
def a_killed_client_resets_connections_that_wait():
    front = client(("127.0.0.1", free_port()))
    waiting = connect(front.address)
    front.wait_log("retry")
    time.sleep(0.1)
    front.kill()
    expect(ends_with_reset(waiting), True, "a connection without session sees an error")


@test
def a_killed_server_resets_connections_to_the_target():
    ends = []
    target = Target(lambda connection: ends.append(ends_with_reset(connection)))
    tunnel = Tunnel(target.address)
    s = tunnel.connect()
    s.sendall(b"half of it")
    wait_until(lambda: target.accepted == 1, what="connection at the target")
    time.sleep(0.1)
    tunnel.server.kill()
    wait_until(lambda: ends, what="end at the target")
    expect(ends, [True], "the target sees an error")


@test
def a_target_that_is_reached_too_late_is_reset():
    """The kernel has connected to it, and the session ends before the server looks."""
    ends = []
    target = Target(lambda connection: ends.append(ends_with_reset(connection)))
    back = server(target.address)
    for _ in range(20):
        with connect(back.address) as s:
            s.sendall(struct.pack("<BBHI", 1, 0, 0, 3))
    back.wait_log("session.down", count=20)
    wait_until(lambda: len(ends) == target.accepted, what="ends at the target")
    expect(len(ends) > 0, True, "the target was reached")
    expect(set(ends), {True}, "each is told by an error")


@test
def frozen_server_is_noticed():
    """A server that does nothing any more, while its kernel keeps the connection."""
    target = Target(echo)
    back = server(target.address, "--keepalive", "0.3")
    front = client(back.address, "--keepalive", "0.3", "--keepalive-timeout", "1.5",
                   "--retry-cap", "0.3")
    expect(works(front.address), True, "works before")
    front_stream = connect_used(front.address)
    time.sleep(0.5)
    back.send(signal.SIGSTOP)
    try:
        expect(ends_with_reset(front_stream), True, "an open stream sees an error")
        front.wait_log("session.down .*silent|session.down .*no frame|session.down .*nothing", 5)
    finally:
        back.send(signal.SIGCONT)
    expect(works(front.address), True, "works again")


def send_or_echo(connection):
    """A target that sends without end when the first byte is S."""
    first = connection.recv(1, socket.MSG_PEEK)
    while first == b"S":
        connection.sendall(bytes(1 << 16))
    echo(connection)


def held_back(address):
    """A connection that wants everything and reads nothing."""
    s = connect(address)
    s.sendall(b"S")
    time.sleep(0.5)
    return s


def reset_session(back, front):
    """Kills a server that has not read something yet: its kernel resets the connection."""
    back.send(signal.SIGSTOP)
    connect(front.address).sendall(b"x")
    time.sleep(0.2)
    back.kill()


@test
def paused_session_is_replaced_at_once():
    """Version 1: a stream that nobody reads stops the session, which does not read, either."""
    target = Target(send_or_echo)
    first = server(target.address)
    listen = format_address(first.address)
    front = client(first.address, "--smuxver", "1", "--smuxbuf", "64KiB", "--retry-cap", "0.3")
    held = held_back(front.address)
    reset_session(first, front)
    server(target.address, listen=listen)
    start = time.monotonic()
    expect(works(front.address), True, "a new connection")
    expect(time.monotonic() - start < 3, True, "at once, after %.1f s" % (time.monotonic() - start))
    front.wait_log("session.up", count=2)
    held.close()


@test
def local_side_that_reads_nothing_of_a_broken_session():
    """It has 5 seconds (BROKEN_GRACE_MS), and not the minutes of a half that remains."""
    target = Target(send_or_echo)
    first = server(target.address)
    # More than a window of 256 KiB, which the kernel may find room for behind all that it has.
    front = client(first.address, "--quiet=handshakes", "--streambuf", "2MiB")
    held, reader = held_back(front.address), held_back(front.address)
    first.kill()
    front.wait_log("session.down")
    start = time.monotonic()
    read_until_reset(reader)
    front.wait_log("stream.close .*reason=")
    expect(time.monotonic() - start < 3, True, "who reads is told when all was read")
    front.wait_log("stream.close .*reason=", count=2)
    if not 4 < time.monotonic() - start < 9:
        raise AssertionError("given up after %.1f s" % (time.monotonic() - start))
    expect(ends_with_reset(held), True, "it sees an error behind what it had")


def read_until_reset(s):
    try:
        while s.recv(1 << 20):
            pass
    except ConnectionResetError:
        return
    raise AssertionError("a stream that was cut looks complete")


@test
def many_restarts_leak_nothing():
    target = Target(echo)
    listen = "127.0.0.1:%d" % free_port()
    first = server(target.address, listen=listen)
    front = client(first.address, "--retry-min", "0.05", "--retry-cap", "0.05", "--conn", "4")
    front.wait_log("session.up", count=4)
    before = front.fds()
    for round in range(1, 8):
        first.kill()
        front.wait_log("session.down", count=4 * round)
        first = server(target.address, listen=listen)
        front.wait_log("session.up", count=4 * (round + 1))
    wait_until(lambda: front.fds() == before, what="as many descriptors of the client as before")
    expect(works(front.address), True, "works")


def greeted(selector, s):
    """Sends what a session begins with: a sign of life, a stream, four bytes for its echo."""
    s.sendall(struct.pack("<BBHIBBHIBBHI", 1, 3, 0, 0, 1, 0, 0, 3, 1, 2, 4, 3) + b"ping")
    selector.register(s, selectors.EVENT_READ, bytearray())


def sessions_with_echo(address, n):
    """So many sessions at once, each with a stream that has got its echo."""
    selector = selectors.DefaultSelector()
    sockets = [connect(address) for _ in range(n)]
    for s in sockets:
        greeted(selector, s)
    deadline = time.monotonic() + RUSH_S
    while selector.get_map():
        if time.monotonic() > deadline:
            raise AssertionError("%d of %d sessions without an answer after %d s" % (
                len(selector.get_map()), n, RUSH_S))
        for key, _ in selector.select(1):
            key.data.extend(key.fileobj.recv(1 << 12) or b"the end")
            if b"the end" in key.data:
                raise AssertionError("a session of %d was refused" % n)
            if b"ping" in key.data:
                selector.unregister(key.fileobj)
    return sockets


@test
def a_thousand_clients_return_at_once():
    """C14: server and target are started again, and all that were there come back together."""
    raise_descriptors(4 * CLIENTS)
    options = ("--max-sessions-per-source", CLIENTS, "--max-sessions", CLIENTS, "--quiet")
    listen = "127.0.0.1:%d" % free_port()
    for _ in range(2):
        target = Target(echo)
        back = server(target.address, *options, listen=listen)
        sockets = sessions_with_echo(back.address, CLIENTS)
        back.kill()
        for s in sockets:
            s.close()
        target.close()


class Line:
    """A way to a server on which one byte of what comes back is inverted, by its number."""

    def __init__(self, server_address):
        self.server_address = server_address
        self.at = None
        self.address = Target(self.serve).address

    def serve(self, connection):
        far = connect(self.server_address)
        threading.Thread(target=self.pump, args=(connection, far, False), daemon=True).start()
        self.pump(far, connection, True)

    def pump(self, source, sink, back):
        done = 0
        with contextlib.suppress(OSError):
            while data := bytearray(source.recv(1 << 16)):
                if back and self.at is not None and done <= self.at < done + len(data):
                    data[self.at - done] ^= 0xff
                done += len(data)
                sink.sendall(data)
        for s in (source, sink):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)


def read_until_reset_as(s, whole):
    """What arrives before the error is as it was sent."""
    got = b""
    try:
        while chunk := s.recv(1 << 16):
            got += chunk
    except ConnectionResetError:
        expect(whole.startswith(got), True, "%r of %r" % (got, whole))
        return
    raise AssertionError("a stream of a session with wrong frames looks complete: %r" % got)


@test
def corrupted_frames_end_the_session_by_name():
    """C15: the second frame from the server. Payload is the concern of whoever carries it."""
    back = server(Target(echo).address, "--keepalive", "0")
    for byte, reason in enumerate(("version: 254", "command", "did not arrive completely",
                                   "did not arrive completely")):
        line = Line(back.address)
        front = client(line.address, "--smuxver", "1", "--retry-cap", "0.1", "--frame-timeout", "0.3")
        with connect(front.address) as s:
            s.sendall(b"ping")
            expect(read_exactly(s, 4), b"ping", "echo before")
            line.at = FRAME + byte
            s.sendall(b"pong")
            read_until_reset_as(s, b"pong")
        front.wait_log('session.down .*error="[^"]*' + reason)
        line.at = None
        expect(works(front.address), True, "works again")


@test
def a_wall_clock_that_jumps_changes_nothing():
    """C12: by a day to and fro, at every look. No timer acts early, and each acts in its time."""
    plan = Plan()
    back = server(Target(echo).address, "--keepalive", "0.2", "--keepalive-timeout", "1")
    front = Process([tool(), "client", "-l", "127.0.0.1:0", "-r", format_address(back.address),
                     "--keepalive", "0.2", "--keepalive-timeout", "1", "--retry-cap", "0.1"],
                    env=plan.environment())
    front.address = listening(front)
    front.wait_log("session.up")
    plan.fail("WALL_CLOCK", 1, 1, times=0)
    held = connect_used(front.address)
    time.sleep(1.5)
    held.sendall(b"ping")
    expect(read_exactly(held, 4), b"ping", "echo of a stream that was silent")
    expect("session.down" in front.log(), False, "a session ended")
    back.send(signal.SIGSTOP)
    start = time.monotonic()
    front.wait_log("session.down .*no frame|session.down .*silent|session.down .*nothing", 5)
    expect(0.5 < time.monotonic() - start < 3, True, "noticed after %.1f s" % (time.monotonic() - start))
    back.send(signal.SIGCONT)
    expect(works(front.address), True, "works again")
    days = {line[:10] for line in front.log().splitlines() if line[:2] == "20"}
    expect(len(days) > 1, True, "the clock of the log jumped: %s" % days)


@test
def target_that_vanishes():
    """The target process is killed: its connections are reset, which the client must see."""
    need("nc")
    port = free_port()
    target = Process(["nc", "-l", "127.0.0.1", str(port)])
    tunnel = Tunnel(("127.0.0.1", port))
    wait_until(lambda: not refused(port), what="target", timeout=5)
    s = tunnel.connect()
    s.sendall(b"x")
    time.sleep(0.3)
    target.kill()
    s.settimeout(10)
    ends_with_reset(s)  # the wire has no reset: the end is all that can be asked for


def refused(port):
    with open("/proc/net/tcp") as f:
        return ":%04X 00000000:0000 0A" % port not in f.read()


run()
