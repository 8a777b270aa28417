"""The plain tunnel: bytes arrive, ends arrive, and what is cut short is an error.

ctest-timeout: 120
ctest-waits
"""
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time

from libtunnel import *


def check_echo(connection, n=200000):
    data = os.urandom(n)
    sender = threading.Thread(target=lambda: (connection.sendall(data),
                                              connection.shutdown(socket.SHUT_WR)))
    sender.start()
    got = read_all(connection)
    sender.join()
    if got != data:
        raise AssertionError("echo of %d bytes came back as %d, equal %s" % (
            n, len(got), got == data))


@test
def tcp_both_versions():
    target = Target(echo)
    for version in ("1", "2"):
        tunnel = Tunnel(target.address, client_options=("--smuxver", version))
        check_echo(tunnel.connect())
        tunnel.server.wait_log("session.up .*smux=" + version)


@test
def unix_sockets_everywhere():
    with tempfile.TemporaryDirectory() as d:
        target = Target(echo, d + "/target")
        tunnel = Tunnel(target.address, listen=d + "/local", session="unix:" + d + "/session")
        check_echo(tunnel.connect())
        expect(os.stat(d + "/local").st_mode & 0o777, 0o600, "mode of the socket")
        expect(tunnel.client.stop(), 0, "exit status of the client")
        expect(tunnel.server.stop(), 0, "exit status of the server")
        expect(sorted(os.listdir(d)), ["target"], "sockets left behind")


@test
def unix_socket_below_the_current_directory():
    """It is removed in the end, and not what has the same name below the root."""
    with tempfile.TemporaryDirectory() as d:
        elsewhere = d + "/precious"
        below = d + elsewhere
        os.makedirs(os.path.dirname(below))
        with open(elsewhere, "w") as f:
            f.write("not ours")
        process = Process([tool(), "client", "-l", "." + elsewhere, "-r", "127.0.0.1:9"], cwd=d)
        listening(process)
        expect(os.path.exists(below), True, "the socket")
        expect(process.stop(), 0, "exit status")
        expect(os.path.exists(elsewhere), True, "the file elsewhere")
        expect(os.path.exists(below), False, "the socket in the end")


@test
def unix_socket_of_a_successor_stays():
    with tempfile.TemporaryDirectory() as d:
        path = d + "/socket"
        first = client(("127.0.0.1", 9), listen=path)
        os.unlink(path)
        client(("127.0.0.1", 9), listen=path)
        expect(first.stop(), 0, "exit status")
        connect(path).close()


@test
def abstract_sockets():
    name = "@smux-test-%d" % os.getpid()
    target = Target(echo)
    tunnel = Tunnel(target.address, listen=name + "-local", session=name)
    check_echo(tunnel.connect())


@test
def port_alone_is_loopback_of_both_families():
    target = Target(echo)
    tunnel = Tunnel(target.address, listen="0")
    check_echo(tunnel.connect())
    if not os.path.exists("/proc/net/if_inet6") or "lo" not in open("/proc/net/if_inet6").read():
        return
    tunnel.client.wait_log(r"listening addr=\[::1\]:%d" % tunnel.address[1])
    s = socket.create_connection(("::1", tunnel.address[1]), 10)
    check_echo(s)


@test
def inherited_socket():
    target = Target(echo)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    first = server(target.address)
    process = Process([tool(), "client", "-l", "fd:%d" % listener.fileno(), "-r",
                       format_address(first.address)], pass_fds=[listener.fileno()])
    process.wait_log("session.up")
    check_echo(connect(listener.getsockname()))


@test
def names_are_resolved():
    target = Target(echo)
    first = server(("localhost", target.address[1]))
    second = client(("localhost", first.address[1]), listen="localhost:0")
    second.wait_log("session.up")
    check_echo(connect(("127.0.0.1", second.address[1])))


@test
def half_close_request_and_answer():
    target = Target(answer_at_end)
    tunnel = Tunnel(target.address)
    for n in (0, 1, 100000, 5 * MIB):
        with tunnel.connect() as s:
            data = os.urandom(n)
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            expect(read_all(s), b"%d %s\n" % (n, hashlib.sha256(data).hexdigest().encode()),
                   "answer to %d bytes" % n)


@test
def half_close_with_netcat():
    need("nc", "bash")
    target = Target(answer_at_end)
    tunnel = Tunnel(target.address)
    done = subprocess.run(["bash", "-c", "printf 'hello' | nc -N %s %d" % tunnel.address],
                          capture_output=True, timeout=20)
    expect(done.stdout.split()[:1], [b"5"], "answer")


@test
def half_close_of_the_target_first():
    """The target ends its side at once and still takes what the client sends."""
    received = []

    def serve(connection):
        connection.sendall(b"done")
        connection.shutdown(socket.SHUT_WR)
        received.append(read_all(connection))

    tunnel = Tunnel(Target(serve).address)
    s = tunnel.connect()
    expect(read_all(s), b"done", "answer")
    data = os.urandom(3 * MIB)
    s.sendall(data)
    s.close()
    wait_until(lambda: received, what="upload at the target")
    expect(received[0] == data, True, "upload is equal")


@test
def half_close_timeout_ends_a_silent_half():
    def serve(connection):
        read_all(connection)
        time.sleep(30)

    options = ("--half-close-timeout", "1")
    tunnel = Tunnel(Target(serve).address, client_options=options)
    s = tunnel.connect()
    s.shutdown(socket.SHUT_WR)
    start = time.monotonic()
    expect(ends_with_reset(s), True, "a half that timed out is an error")
    expect(0.8 < time.monotonic() - start < 15, True, "about one second")
    tunnel.client.wait_log("half-close timeout")


@test
def half_close_off_lets_the_answer_through_and_closes():
    """With off nothing tells the target that the request has ended; it answers by itself."""
    def serve(connection):
        connection.recv(5)
        time.sleep(0.3)
        connection.sendall(b"answer")
        connection.recv(1)

    tunnel = Tunnel(Target(serve).address,
                    client_options=("--half-close", "off", "--closewait", "1"))
    s = tunnel.connect()
    s.sendall(b"hello")
    s.shutdown(socket.SHUT_WR)
    start = time.monotonic()
    expect(read_all(s), b"answer", "answer")
    expect(0.8 < time.monotonic() - start < 15, True, "closed after about one second")


@test
def reset_of_the_client_ends_the_target_connection():
    ended = threading.Event()

    def serve(connection):
        try:
            read_all(connection)
        finally:
            ended.set()

    tunnel = Tunnel(Target(serve).address)
    s = tunnel.connect()
    s.sendall(b"x" * 1000)
    time.sleep(0.2)
    reset(s)
    expect(ended.wait(10), True, "the target saw the end")


@test
def sender_that_closes_at_once_loses_nothing():
    """A program may send, close and exit while the target still talks to it."""
    received = []

    def serve(connection):
        connection.sendall(b"greeting that nobody reads " * 100)
        data = b""
        try:
            data = read_all(connection)
        finally:
            received.append(data)

    tunnel = Tunnel(Target(serve).address)
    data = os.urandom(MIB)
    s = tunnel.connect()
    time.sleep(0.2)
    read_exactly(s, 2700)
    s.sendall(data)
    s.close()
    wait_until(lambda: received, what="upload at the target")
    expect(received[0] == data, True, "upload is complete")


@test
def truncated_download_is_a_reset():
    """The session dies in the middle: the local program must not see a clean end."""
    def serve(connection):
        connection.sendall(b"x" * 100000)
        time.sleep(30)

    tunnel = Tunnel(Target(serve).address)
    s = tunnel.connect()
    read_exactly(s, 1000)
    tunnel.server.kill()
    expect(ends_with_reset(s), True, "truncated download ends with an error")


@test
def truncated_upload_is_a_reset_for_the_target():
    outcome = []

    def serve(connection):
        outcome.append(ends_with_reset(connection))

    tunnel = Tunnel(Target(serve).address)
    s = tunnel.connect()
    s.sendall(b"x" * 100000)
    time.sleep(0.3)
    tunnel.client.kill()
    wait_until(lambda: outcome, what="end at the target")
    expect(outcome[0], True, "truncated upload ends with an error")


@test
def target_down():
    port = free_port()
    tunnel = Tunnel(("127.0.0.1", port))
    s = tunnel.connect()
    s.settimeout(10)
    expect(s.recv(10), b"", "refusal by FIN is all the protocol has")
    tunnel.server.wait_log(r'target.failed .*error="stream 3: cannot connect to 127.0.0.1:%d: '
                           r'connection refused"' % port)
    target = socket.create_server(("127.0.0.1", port))
    s = tunnel.connect()
    s.sendall(b"there again")
    expect(target.accept()[0].recv(20), b"there again", "the tunnel works when the target is up")


@test
def hosts_that_vanish_are_noticed():
    """By probes of the kernel: an idle connection would stay for ever, as one end keeps the other."""
    need("ss")
    target = Target(echo)
    tunnel = Tunnel(target.address)
    connection = tunnel.connect()
    connection.sendall(b"x")
    expect(connection.recv(1), b"x", "the answer")
    for where in "sport = :%d" % tunnel.client.address[1], "dport = :%d" % target.address[1]:
        sockets = subprocess.run(["ss", "-tnoH", "state", "established", where],
                                 stdout=subprocess.PIPE, text=True, check=True).stdout
        expect_in("keepalive", sockets, "what is timed of the socket with " + where)


@test
def the_next_address_is_tried():
    """A port alone is 127.0.0.1 and ::1; the first one refuses."""
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        raise Skip("no IPv6 on loopback: %s" % error)
    port = listener.getsockname()[1]
    back = Process([tool(), "server", "-l", "127.0.0.1:0", "-t", str(port)])
    back.address = listening(back)
    front = client(back.address)
    for _ in range(3):
        s = connect(front.address)
        listener.settimeout(10)
        listener.accept()[0].close()
        expect(s.recv(1), b"", "the end that the target makes")
    listener.close()
    expect(connect(front.address).recv(1), b"", "an end, as both refuse")
    back.wait_log("target.failed .*connection refused")
    expect(connect(front.address).recv(1), b"", "and again")


@test
def connect_timeout_to_a_silent_target():
    """A target that does not answer, neither with yes nor with no: a full accept queue."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fill = [connect_nowait(listener.getsockname()) for _ in range(4)]
    tunnel = Tunnel(listener.getsockname(), server_options=("--connect-timeout", "1"))
    s = tunnel.connect()
    start = time.monotonic()
    expect(s.recv(10), b"", "end")
    expect(0.8 < time.monotonic() - start < 15, True, "about one second")
    tunnel.server.wait_log("connection timed out")
    del fill


def connect_nowait(address):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(address)
    return s


@test
def sessions_are_placed_evenly():
    target = Target(echo)
    tunnel = Tunnel(target.address, client_options=("--conn", "4"))
    tunnel.client.wait_log("session.up", count=4)
    held = [tunnel.connect_used() for _ in range(40)]
    per_session = count_sessions(tunnel)
    expect(per_session, {"1": 10, "2": 10, "3": 10, "4": 10}, "streams a session")


def count_sessions(tunnel):
    counts = {}
    for line in tunnel.client.log().splitlines():
        found = re.search(r"stream\.open session=(\d+)", line)
        if found:
            counts[found.group(1)] = counts.get(found.group(1), 0) + 1
    return counts


@test
def least_fills_the_gap_and_rr_does_not():
    target = Target(echo)
    for policy, expected in (("least", 8), ("rr", 6)):
        tunnel = Tunnel(target.address,
                        client_options=("--conn", "2", "--conn-policy", policy))
        tunnel.client.wait_log("session.up", count=2)
        held = [tunnel.connect_used() for _ in range(8)]
        for s in held[0::2]:  # all of one session
            s.close()
        tunnel.client.wait_log("stream.close", count=4)
        held += [tunnel.connect_used() for _ in range(4)]
        expect(max(count_sessions(tunnel).values()), expected, "streams with " + policy)


@test
def cap_of_streams_opens_sessions_then_waits():
    target = Target(echo)
    tunnel = Tunnel(target.address,
                    client_options=("--conn", "2", "--max-streams-per-conn", "2"))
    held = [tunnel.connect_used() for _ in range(4)]
    expect(len(re.findall(r"session\.up", tunnel.client.log())), 2, "sessions")
    fifth = tunnel.connect()
    fifth.sendall(b"y")
    fifth.settimeout(0.5)
    try:
        fifth.recv(1)
        raise AssertionError("the fifth connection should wait")
    except socket.timeout:
        pass
    held.pop().close()
    fifth.settimeout(10)
    expect(fifth.recv(1), b"y", "it goes on when there is room")


@test
def limit_of_streams_refuses():
    target = Target(echo)
    tunnel = Tunnel(target.address, server_options=("--max-streams", "2"))
    held = [tunnel.connect_used() for _ in range(2)]
    s = tunnel.connect()
    expect(s.recv(1), b"", "the third stream is refused")
    tunnel.server.wait_log("stream.refused .*max-streams is reached")
    held.pop().close()
    tunnel.server.wait_log("stream.close")
    tunnel.connect_used()   # there is room again


@test
def limit_of_streams_in_a_session_is_told():
    tunnel = Tunnel(Target(echo).address, server_options=("--max-streams-per-session", "2"))
    held = [tunnel.connect_used() for _ in range(2)]
    for _ in range(3):
        expect(tunnel.connect().recv(1), b"", "one more is refused")
    tunnel.server.wait_log("stream.refused .*hint=.raise --max-streams-per-session")


@test
def limit_of_sessions_refuses():
    target = Target(echo)
    tunnel = Tunnel(target.address, server_options=("--max-sessions", "1"))
    tunnel.server.wait_log("session.up")
    other = client(tunnel.server.address, "--retry-min", "0.1", "--retry-max", "2")
    expect(other.wait(20), 69, "exit status of the second client")
    tunnel.server.wait_log("max-sessions is reached")
    check_echo(tunnel.connect())


@test
def limit_of_sessions_from_one_source():
    """L15: one address cannot take up all sessions; loopback is not counted."""
    host = own_address()
    target = Target(echo)
    process = server(target.address, "--insecure=session", "--max-sessions-per-source", "2",
                     "--smuxver", "1", listen=":0")
    port = process.address[1]
    nop = bytes([1, 3, 0, 0, 0, 0, 0, 0])
    held = []
    for _ in range(2):
        held.append(connect((host, port)))
        held[-1].sendall(nop)
    process.wait_log("session.up", count=2)
    expect(connect((host, port)).recv(1), b"", "the third session of the source")
    process.wait_log("handshake.failed .*max-sessions-per-source is reached")
    process.send(signal.SIGUSR1)
    process.wait_log("counters uptime=.* sessions=2 .*sessions_refused=1 ")
    for _ in range(3):
        held.append(connect(("127.0.0.1", port)))
        held[-1].sendall(nop)
    process.wait_log("session.up", count=5)
    held[0].close()
    process.wait_log("session.down")
    held.append(connect((host, port)))
    held[-1].sendall(nop)
    process.wait_log("session.up", count=6)


@test
def local_connection_waits_for_a_session():
    target = Target(echo)
    port = free_port()
    waiting = Process([tool(), "client", "-l", "127.0.0.1:0", "-r", "127.0.0.1:%d" % port,
                       "--retry-cap", "0.5"])
    address = listening(waiting)
    s = connect(address)
    s.sendall(b"patience")
    time.sleep(0.5)
    server(target.address, listen="127.0.0.1:%d" % port)
    expect(read_exactly(s, 8), b"patience", "data of the connection that waited")


@test
def local_connection_does_not_wait_for_ever():
    process = Process([tool(), "client", "-l", "127.0.0.1:0", "-r", "127.0.0.1:%d" % free_port(),
                       "--connect-timeout", "1"])
    s = connect(listening(process))
    s.sendall(b"x")
    start = time.monotonic()
    expect(ends_with_reset(s), True, "an error, not an end")
    expect(0.8 < time.monotonic() - start < 15, True, "about one second")
    process.wait_log("stream.refused .*no session within --connect-timeout")


@test
def several_remotes_are_tried_in_order():
    target = Target(echo)
    good = server(target.address)
    process = Process([tool(), "client", "-l", "127.0.0.1:0",
                       "-r", "127.0.0.1:%d" % free_port(), "-r", format_address(good.address)])
    process.wait_log("session.up")
    check_echo(connect(listening(process)))


run()
