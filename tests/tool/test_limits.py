"""The limits of docs/RELIABILITY.md, as the tunnel keeps them: each acts, is counted by its name, and
leaves others alone. test_limits.c has those of the library, with their exact values.

ctest-timeout: 120
"""
import contextlib

from libfaults import Plan, slow
from libtunnel import *

SYN, FIN, PSH, NOP, UPD = range(5)
BLOCK = 32768  # payload of a frame of pour()


class Peer:
    """A client made of frames by hand."""

    def __init__(self, address, version=1):
        self.version = version
        self.socket = connect(address)

    def send(self, command, stream=0, payload=b"", length=None):
        length = len(payload) if length is None else length
        self.socket.sendall(struct.pack("<BBHI", self.version, command, length, stream) + payload)

    def frame(self):
        """The next frame that is no sign of life: command, stream and payload."""
        while True:
            _, command, length, stream = struct.unpack("<BBHI", read_exactly(self.socket, 8))
            payload = read_exactly(self.socket, length)
            if command != NOP:
                return command, stream, payload

    def echo(self, stream, text=b"ping"):
        self.send(PSH, stream, text)
        got = b""
        while len(got) < len(text):
            command, number, payload = self.frame()
            expect((command, number), (PSH, stream), "echo on stream %d" % stream)
            got += payload
        expect(got, text, "echo on stream %d" % stream)

    def pour(self, stream, seconds=0.5):
        """Sends until nothing was taken for a while; finish() sends the rest of the last frame."""
        frame = struct.pack("<BBHI", self.version, PSH, BLOCK, stream) + bytes(BLOCK)
        self.frames = 0
        self.rest = b""
        self.socket.settimeout(seconds)
        try:
            while True:
                if not self.rest:
                    self.rest = frame
                    self.frames += 1
                self.rest = self.rest[self.socket.send(self.rest):]
        except socket.timeout:
            self.socket.settimeout(20)

    def finish(self, stream):
        self.socket.sendall(self.rest)
        self.send(FIN, stream)

    def ended(self):
        try:
            while self.socket.recv(1 << 16):
                pass
        except ConnectionResetError:
            pass


def counters(process):
    """All counters of a process, those of the limits included."""
    since = len(process.log())
    process.send(signal.SIGUSR1)
    wait_until(lambda: re.search(r" limits refused_sessions=.*\n", process.log()[since:]),
               what="counters")
    lines = process.log()[since:]
    figures = dict(re.findall(r"(\w+)=(\d+)\b", re.search(r"counters uptime=.*\n", lines).group()))
    figures.update(re.findall(r"(\w+)=(\d+)\b",
                              re.search(r" limits refused_sessions=.*\n", lines).group()))
    return {name: int(value) for name, value in figures.items()}


ACTIONS = ("refused_", "dropped_", "aborted_", "ended_", "throttled", "forgotten_")


def expect_limits(process, **expected):
    """Exactly these limits have acted, so often; ... stands for at least once."""
    acted = {name: n for name, n in counters(process).items() if name.startswith(ACTIONS) and n}
    acted = {name: ... if expected.get(name) is ... else n for name, n in acted.items()}
    expect(acted, expected, "limits that acted")


def target():
    """Does what the first byte says: H holds what comes, S sends without end, others are echoed."""
    def serve(connection):
        first = connection.recv(1)
        if first == b"H":
            time.sleep(30)
        while first == b"S":
            connection.sendall(bytes(1 << 16))
        connection.sendall(first)
        echo(connection)
    return Target(serve)


def together(actions):
    threads = [threading.Thread(target=action) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@test
def nothing_acts_without_need():
    tunnel = Tunnel(Target(echo).address)
    s = tunnel.connect()
    s.sendall(b"x" * 100000)
    read_exactly(s, 100000)
    for process in (tunnel.server, tunnel.client):
        expect_limits(process)
        expect(counters(process)["glitches"], 0, "glitches")


@test
def L1_streams_of_a_session_and_of_the_process():
    process = server(Target(echo).address, "--max-streams-per-session", "2", "--max-streams", "3")
    peer = Peer(process.address)
    for stream in (3, 5, 7):
        peer.send(SYN, stream)
    expect(peer.frame(), (FIN, 7, b""), "refusal of the session's third stream")
    peer.echo(3)
    expect_limits(process, refused_streams=1)
    other = Peer(process.address)
    for stream in (3, 5):
        other.send(SYN, stream)
    expect(other.frame(), (FIN, 5, b""), "refusal of the process's fourth stream")
    expect_limits(process, refused_streams=1, refused_max_streams=1)
    other.echo(3)


@test
def L2_streams_in_one_burst():
    process = server(Target(echo).address, "--accept-backlog", "10")
    peer = Peer(process.address)
    peer.socket.sendall(b"".join(struct.pack("<BBHI", 1, SYN, 0, 3 + 2 * i) for i in range(200)))
    for _ in range(190):
        expect(peer.frame()[0], FIN, "a refusal")
    peer.echo(3)
    expect_limits(process, refused_backlog=190)
    process.wait_log("stream.refused .*hint=.raise --accept-backlog")


@test
def a_refusal_is_told_with_the_limit_that_caused_it():
    """Not with one that acted earlier in the session."""
    process = server(Target(echo).address, "--max-streams-per-session", "4", "--accept-backlog",
                     "2")
    peer = Peer(process.address)
    for stream in (3, 5, 7, 9):
        peer.send(SYN, stream)
        peer.echo(stream)
    peer.send(SYN, 11)
    expect(peer.frame()[:2], (FIN, 11), "refusal of the fifth stream")
    process.wait_log("stream.refused .*streams=1 hint=.raise --max-streams-per-session")
    for stream in (3, 5, 7, 9):
        peer.send(FIN, stream)
        expect(peer.frame()[:2], (FIN, stream), "end of a stream")
    peer.socket.sendall(b"".join(struct.pack("<BBHI", 1, SYN, 0, 13 + 2 * i) for i in range(4)))
    process.wait_log("stream.refused .*streams=2 hint=.raise --accept-backlog")
    expect_limits(process, refused_streams=1, refused_backlog=2)


@test
def L6_useless_frames():
    process = server(Target(echo).address)
    peer = Peer(process.address)
    peer.send(SYN, 3)
    try:
        for _ in range(200):
            peer.socket.sendall(struct.pack("<BBHI", 1, SYN, 0, 3) * 100)
    except OSError:
        pass
    process.wait_log("session.down .*flooded")
    expect_limits(process, ended_flood=1)


@test
def L9_silence():
    process = server(Target(echo).address, "--keepalive", "0.2", "--keepalive-timeout", "0.4")
    peer = Peer(process.address)
    peer.send(NOP)
    peer.ended()
    expect_limits(process, ended_keepalive=1)


@test
def L10_stalled_session():
    """Version 1: a stream that nobody reads stops the session, or is given up if one wants that."""
    process = server(target().address, "--smuxbuf", "64KiB", "--v1-stall", "abort", "--v1-stall-time",
                     "0.8")
    peer = Peer(process.address)
    peer.send(SYN, 3)
    peer.send(PSH, 3, b"H")
    peer.send(SYN, 5)
    peer.echo(5)
    peer.pour(3, 0.3)
    expect(peer.frame(), (FIN, 3, b""), "end of the stream that nobody reads")
    peer.finish(3)
    peer.echo(5)
    expect_limits(process, aborted_stall=1)
    process.wait_log("stream.close .*stream=3 .*receive buffer of a stalled session")
    expect(counters(process)["pauses"] > 0, True, "pauses are counted")


@test
def L11_peer_that_takes_no_data():
    process = server(target().address, "--send-stall", "0.4")
    deaf = Peer(process.address)
    deaf.send(SYN, 3)
    deaf.send(PSH, 3, b"S")
    other = Peer(process.address)
    other.send(SYN, 3)
    other.echo(3)
    process.wait_log("session.down .*the peer takes no data")
    expect_limits(process, ended_send_stall=1)
    other.echo(3)


@test
def L12_session_without_streams():
    process = server(Target(echo).address, "--idle-timeout", "0.3")
    peer = Peer(process.address)
    peer.send(NOP)
    peer.ended()
    expect_limits(process, ended_idle=1)


@test
def L15_sessions():
    """test_tunnel.py has those of one source."""
    process = server(Target(echo).address, "--max-sessions", "2", "--handshake-timeout", "0.2",
                     "--keepalive", "0.2", "--keepalive-timeout", "0.2")
    silent, good = Peer(process.address), Peer(process.address)
    good.send(SYN, 3)
    good.echo(3)
    Peer(process.address).ended()
    silent.ended()
    expect_limits(process, refused_sessions=1, ended_handshake=1)


def allow_memory(process, more):
    """Lets the kernel refuse what a process wants beyond what it has and so much more."""
    with open("/proc/%d/status" % process.pid) as f:
        data = int(re.search(r"VmData:\s+(\d+)", f.read()).group(1)) * 1024
    if has_true_memory():
        resource.prlimit(process.pid, resource.RLIMIT_DATA, (data + more, data + more))


def pour_or_end(peer):
    with contextlib.suppress(OSError):
        peer.pour(3)


@test
def L16_memory_that_the_kernel_refuses():
    """C10, with less than --max-memory: streams wait or are given up, sessions go on."""
    need_true_memory()
    stop = threading.Event()

    def serve(connection):
        if connection.recv(1) == b"E":
            echo(connection)
        stop.wait(30)

    process = server(Target(serve).address, "--max-memory", "0", "--quiet=streams")
    allow_memory(process, 2 * MIB)
    crowd = [Peer(process.address) for _ in range(8)]
    for peer in crowd:
        peer.send(SYN, 3)
        peer.send(PSH, 3, b"H")
    together([lambda p=peer: pour_or_end(p) for peer in crowd])
    figures = counters(process)
    expect(figures["sessions"], len(crowd), "sessions")
    expect(figures["memory"] < 4 * MIB, True, "%d bytes are held" % figures["memory"])
    stop.set()
    for peer in crowd:
        peer.socket.close()
    wait_until(lambda: counters(process)["streams"] == 0, what="end of all streams")
    good = Peer(process.address)
    good.send(SYN, 3)
    good.send(PSH, 3, b"E")
    good.echo(3, bytes(3000))


@test
def L16_memory_of_the_process():
    """What targets do not read stops at the limit, whoever sent it; others go on, and nothing is
    lost."""
    stop = threading.Event()
    limit = 6 * MIB
    got = []

    def serve(connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        if connection.recv(1) == b"E":
            echo(connection)
            return
        stop.wait(30)
        got.append(len(read_all(connection)))

    process = server(Target(serve).address, "--max-memory", str(limit), "--quiet=streams")
    allow_memory(process, limit + 32 * MIB)  # C10
    good = Peer(process.address)
    good.send(SYN, 3)
    good.send(PSH, 3, b"E")
    before = process.rss()
    crowd = [Peer(process.address) for _ in range(8)]
    for peer in crowd:
        peer.send(SYN, 3)
        peer.send(PSH, 3, b"H")
    together([lambda p=peer: p.pour(3) for peer in crowd])
    figures = counters(process)
    expect(figures["throttled"] > 0, True, "the limit was reached")
    if not limit * 9 // 10 < figures["memory"] < limit + MIB:
        raise AssertionError("%(memory)d bytes are held" % figures)
    process.wait_log("stalled reason=memory .*hint=.raise --max-memory")
    for _ in range(20):
        good.echo(3, bytes(3000))
    Peer(process.address).ended()
    process.wait_log("handshake.failed .*--max-memory is almost reached")
    expect_limits(process, throttled=..., refused_session_memory=1)
    grown = process.rss() - before
    if has_true_memory() and grown > limit + 8 * MIB:
        raise AssertionError("resident memory grew by %d bytes" % grown)
    stop.set()
    together([lambda p=peer: p.finish(3) for peer in crowd])
    wait_until(lambda: len(got) == len(crowd), what="end at the targets")
    expect(sorted(got), sorted(peer.frames * BLOCK for peer in crowd), "bytes at the targets")
    good.echo(3)
    wait_until(lambda: counters(process)["memory"] < limit // 10, what="memory is given back")


def faulty_server(target, plan):
    process = Process([tool(), "server", "-l", "127.0.0.1:0", "--quiet=streams", "-t",
                       format_address(target)], env=plan.environment())
    process.address = listening(process)
    return process


@test
def L17_dials():
    """A target that takes no connection."""
    with tempfile.TemporaryDirectory() as directory:
        path = directory + "/full"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(0)
        filler = connect(path)
        process = server(path, "--connect-timeout", "0.3")
        peer = Peer(process.address)
        peer.send(SYN, 3)
        expect(peer.frame(), (FIN, 3, b""), "end of the stream")
        figures = counters(process)
        expect((figures["dials_failed"], figures["dials_timed_out"]), (1, 1), "dials")
        filler.close()


@test
def L17_dials_at_once():
    """A target whose backlog is full: connecting to it takes as long as one lets it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        process = server(listener.getsockname(), "--connect-timeout", "1", "--quiet=streams")
        peer = Peer(process.address)
        peer.send(NOP)
        process.wait_log("session.up")
        before = process.fds()
        peer.socket.sendall(b"".join(struct.pack("<BBHI", 1, SYN, 0, 3 + 2 * i)
                                     for i in range(300)))
        wait_until(lambda: process.fds() - before >= 256, timeout=0.9, what="256 dials")
        time.sleep(0.1)
        expect(process.fds() - before, 256, "dials at once")
        expect(counters(process)["streams"], 300, "the others wait")


@test
def L17_dials_that_take_the_processor_long():
    """As connecting does when few ports are free: others have their turn after each."""
    n = 64
    plan = Plan()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(n)
        process = faulty_server(silent.getsockname(), plan)
        peer = Peer(process.address)
        plan.fail("CONNECT", 1, slow(2), times=0)
        before = plan.calls("EPOLL_WAIT")
        peer.socket.sendall(b"".join(struct.pack("<BBHI", 1, SYN, 0, 3 + 2 * i) for i in range(n)))
        wait_until(lambda: plan.calls("CONNECT") == n, what="dials")
        turns = plan.calls("EPOLL_WAIT") - before
        if turns < n - 1:
            raise AssertionError("%d dials in %d turns" % (n, turns))


def first_word(connection):
    """Echoes; without a first byte, waits for `first_word.over` and ends."""
    first = connection.recv(1)
    if first:
        connection.sendall(first)
        echo(connection)
    first_word.over.wait()


@test
def L17_sessions_take_turns():
    """Who opens many streams waits for them, others do not."""
    n = 64
    plan = Plan()
    process = faulty_server(Target(echo).address, plan)
    good, greedy = Peer(process.address), Peer(process.address)
    good.send(NOP)
    process.wait_log("session.up")
    plan.fail("CONNECT", 1, slow(5), times=0)
    greedy.socket.sendall(b"".join(struct.pack("<BBHI", 1, SYN, 0, 3 + 2 * i) for i in range(n)))
    wait_until(lambda: plan.calls("CONNECT") > 0, what="dials")
    good.send(SYN, 3)
    good.echo(3)
    if plan.calls("CONNECT") >= n:
        raise AssertionError("a stream was connected after all of another session")


@test
def L18_frame_that_does_not_come_to_its_end():
    process = server(Target(echo).address, "--frame-timeout", "0.3")
    slow, other = Peer(process.address), Peer(process.address)
    other.send(SYN, 3)
    slow.send(SYN, 3)
    slow.send(PSH, 3, b"begun", length=100)
    slow.ended()
    process.wait_log("session.down .*did not arrive completely")
    expect_limits(process, ended_frame=1)
    other.echo(3)


@test
def L19_half_that_goes_silent():
    process = server(Target(lambda c: (read_all(c), time.sleep(5))).address, "--half-close-timeout",
                     "0.3")
    peer = Peer(process.address)
    peer.send(SYN, 3)
    peer.send(FIN, 3)
    expect(peer.frame(), (FIN, 3, b""), "end of the stream")
    process.wait_log("stream.close .*half-close timeout")
    expect_limits(process, ended_half_close=1)


@test
def L19_answer_that_is_not_credited():
    """Nobody but the library waits for this one: the target has ended, and its relay is over."""
    window, more = 256 * 1024, 40000

    def serve(connection):
        read_all(connection)
        connection.sendall(bytes(window + more))

    process = server(Target(serve).address, "--half-close-timeout", "0.3", "--smuxver", "2",
                     "--keepalive", "0")
    peer = Peer(process.address, version=2)
    peer.socket.settimeout(10)  # which no sign of life prolongs
    peer.send(SYN, 3)
    peer.send(FIN, 3)
    got = 0
    command = PSH
    while command != FIN:
        command, _, payload = peer.frame()
        got += len(payload) if command == PSH else 0
    expect(got, window, "bytes of the answer")
    process.wait_log("stream.close .*down=0 .*reason=end")
    expect_limits(process, aborted_half_close=1)


@test
def L23_many_streams_are_served_in_many_turns():
    """And so they end: other sessions have their turn in between."""
    n, turns = 640, 10
    plan = Plan()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(n)  # its kernel connects, and nothing happens there
        process = faulty_server(silent.getsockname(), plan)
        peer = Peer(process.address)
        idle = process.fds()
        peer.socket.sendall(b"".join(struct.pack("<BBHI", 1, SYN, 0, 3 + 2 * i) for i in range(n)))
        wait_until(lambda: process.fds() >= idle + n, what="streams with a target")
        time.sleep(0.2)

        def turns_of(action, what):
            before = plan.calls("EPOLL_WAIT")
            action()
            wait_until(lambda: plan.calls("EPOLL_WAIT") - before >= turns, 3, what)

        frames = (struct.pack("<BBHI", 1, PSH, 1, 3 + 2 * i) + b"x" for i in range(n))
        turns_of(lambda: peer.socket.sendall(b"".join(frames)), "turns for a byte on each stream")
        wait_until(lambda: counters(process)["down"] == n, what="a byte for each target")
        turns_of(lambda: reset(peer.socket), "turns for the end")
        wait_until(lambda: counters(process)["streams"] == 0, what="end of all streams")


@test
def L23_many_local_sockets_are_served_in_many_turns():
    """Their targets end all at once, and to close each takes the processor long."""
    n = 64
    first_word.over = threading.Event()
    plan = Plan()
    process = faulty_server(Target(first_word).address, plan)
    good, greedy = Peer(process.address), Peer(process.address)
    good.send(SYN, 3)
    good.echo(3)
    greedy.socket.sendall(b"".join(struct.pack("<BBHIBBHI", 1, SYN, 0, 3 + 2 * i, 1, FIN, 0,
                                               3 + 2 * i) for i in range(n)))
    wait_until(lambda: plan.calls("SHUTDOWN") == n, what="streams with a target")
    plan.fail("CLOSE", 1, slow(5), times=0)
    before = plan.calls("CLOSE")
    process.send(signal.SIGSTOP)
    first_word.over.set()
    time.sleep(0.3)
    good.send(PSH, 3, b"last")
    process.send(signal.SIGCONT)
    expect(good.frame(), (PSH, 3, b"last"), "echo beside")
    if plan.calls("CLOSE") - before >= n:
        raise AssertionError("a session was served after all sockets of another one")
    wait_until(lambda: plan.calls("CLOSE") - before >= n, what="end of all streams")


@test
def L23_streams_that_exist_do_not_wait_for_all_new_ones():
    """Memory for those takes long; the old one sends last."""
    n = 64
    plan = Plan()
    process = faulty_server(Target(echo).address, plan)
    peer = Peer(process.address)
    peer.send(SYN, 3)
    peer.echo(3)
    process.send(signal.SIGSTOP)
    peer.socket.sendall(b"".join(struct.pack("<BBHI", 1, SYN, 0, 5 + 2 * i) for i in range(n)))
    peer.send(PSH, 3, b"last")
    time.sleep(0.1)
    plan.fail("ALLOC", 1, slow(5), times=0)
    before = plan.calls("SOCKET")
    process.send(signal.SIGCONT)
    expect(peer.frame(), (PSH, 3, b"last"), "echo on a stream that exists")
    sockets = plan.calls("SOCKET") - before
    plan.clear()
    wait_until(lambda: plan.calls("SOCKET") - before == n, what="sockets of all streams")
    if sockets >= n // 2:
        raise AssertionError("%d of %d new streams were served before it" % (sockets, n))


@test
def L23_local_sockets_that_wait_stay_watched():
    """Unless there is a crowd: otherwise each would cost three more calls than those that move data."""
    n = 128
    first_word.over = threading.Event()
    plan = Plan()

    def serve(connection):
        first_word.over.wait()
        connection.sendall(b"x")
        read_all(connection)

    process = faulty_server(Target(serve).address, plan)
    peer = Peer(process.address)
    peer.socket.sendall(b"".join(struct.pack("<BBHI", 1, SYN, 0, 3 + 2 * i) for i in range(n)))
    wait_until(lambda: plan.calls("CONNECT") == n, what="streams with a target")
    time.sleep(0.3)
    process.send(signal.SIGSTOP)
    first_word.over.set()
    time.sleep(0.3)
    before = plan.calls("EPOLL_CTL")
    process.send(signal.SIGCONT)
    for _ in range(n):
        expect(peer.frame()[::2], (PSH, b"x"), "frame")
    calls = plan.calls("EPOLL_CTL") - before
    if calls > n // 2:
        raise AssertionError("%d calls to watch %d sockets" % (calls, n))


@test
def L23_new_sessions_wait_for_the_end_of_others():
    """These take 5 ms for each of their streams."""
    n, sessions = 20, 6
    plan = Plan()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(n * sessions)
        process = faulty_server(silent.getsockname(), plan)
        crowd = [Peer(process.address) for _ in range(sessions)]
        for peer in crowd:
            peer.socket.sendall(b"".join(struct.pack("<BBHI", 1, SYN, 0, 3 + 2 * i)
                                         for i in range(n)))
        wait_until(lambda: plan.calls("CONNECT") == n * sessions, what="streams with a target")
        plan.fail("CLOSE", 1, slow(5), times=0)
        for peer in crowd:
            reset(peer.socket)
        wait_until(lambda: process.log().count("session.down") == sessions, what="end of sessions")
        late = Peer(process.address)
        late.send(SYN, 3)
        wait_until(lambda: plan.calls("CONNECT") > n * sessions, what="a stream of a new session")
        expect(counters(process)["delayed_accepts"] > 0, True, "the wait is counted")


@test
def L23_new_connections_do_not_wait_for_the_end_of_sessions():
    """Those of a client's users, who begin no session."""
    n, sessions = 20, 6
    plan = Plan()
    behind = server(Target(echo).address, "--quiet=streams")
    process = Process([tool(), "client", "-l", "127.0.0.1:0", "--quiet=streams", "--conn",
                       str(sessions), "-r", format_address(behind.address)],
                      env=plan.environment())
    address = listening(process)
    wait_until(lambda: process.log().count("session.up") == sessions, what="sessions")
    users = [connect(address) for _ in range(n * sessions)]
    for user in users:
        user.sendall(b"x")
        expect(user.recv(1), b"x", "echo")
    plan.fail("CLOSE", 1, slow(5), times=0)
    before = plan.calls("CLOSE")
    accepted = plan.calls("ACCEPT")
    behind.kill()
    wait_until(lambda: process.log().count("session.down") == sessions, what="end of sessions")
    late = connect(address)
    wait_until(lambda: plan.calls("ACCEPT") > accepted, what="a new connection")
    closed = plan.calls("CLOSE") - before
    if closed >= n * sessions * 3 // 4:
        raise AssertionError("%d of %d connections ended before a new one" % (closed, len(users)))
    late.close()


@test
def limits_can_be_switched_off_and_have_a_range():
    process = server(Target(echo).address, "--frame-timeout", "0", "--send-stall", "0",
                     "--max-memory", "0")
    peer = Peer(process.address)
    peer.send(SYN, 3)
    peer.echo(3)
    for option, value, why in (
            ("--frame-timeout", "x", "not a time"), ("--send-stall", "31d", "out of range"),
            ("--v1-stall", "kill", "expected pause or abort"),
            ("--v1-stall-time", "0", "out of range, expected 1ms to"),
            ("--max-memory", "8X", "not a size")):
        status, _, err = run_tool("server", "-t", "127.0.0.1:1", option, value)
        expect(status, 64, "exit status of %s %s" % (option, value))
        expect_in("%s %s: %s" % (option, value, why), err, "message")


run()
