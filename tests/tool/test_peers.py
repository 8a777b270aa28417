"""Peers that are not what they should be: a message that says what to do, and the exit code.

ctest-timeout: 60
ctest-waits
"""
from libtunnel import *


def listener():
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen()
    s.settimeout(20)
    return s


def client_against(answer, *options):
    """The exit status and log of a client whose server sends `answer` at once."""
    s = listener()
    process = Process([tool(), "client", "-l", "127.0.0.1:0", "-r",
                       format_address(s.getsockname()), *options])
    connection, _ = s.accept()
    connection.sendall(answer)
    try:
        return process.wait(10), process.log()
    except subprocess.TimeoutExpired:
        raise AssertionError("the client goes on, its log: " + process.log())


@test
def first_connection_to_something_else_ends_the_client():
    for answer, why in (
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", 'first bytes \\"HTTP/1.1\\" look like HTTP'),
            (b"\x15\x03\x01\x00\x02\x02\x16\x00\x00", "look like TLS"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "look like SSH"),
            (b"\x7f\x00\x00\x00\x00\x00\x00\x00", "peer does not speak smux")):
        status, log = client_against(answer)
        expect(status, 76, "exit status for %r" % answer)
        expect_in(why, log, "log for %r" % answer)


@test
def other_version_ends_the_client():
    status, log = client_against(bytes.fromhex("0103000000000000"))
    expect(status, 76, "exit status")
    expect_in("peer speaks smux 1, this side is set to 2: use --smuxver 1 here, or 2 on the peer", log,
              "log")
    status, log = client_against(bytes.fromhex("0203000000000000"), "--smuxver", "1")
    expect(status, 76, "exit status")
    expect_in("peer speaks smux 2, this side is set to 1", log, "log")


@test
def later_it_is_retried():
    s = listener()
    process = Process([tool(), "client", "-l", "127.0.0.1:0", "-r",
                       format_address(s.getsockname()), "--retry-cap", "0.5"])
    connection, _ = s.accept()
    connection.sendall(bytes.fromhex("0203000000000000"))
    time.sleep(0.2)
    connection.close()
    connection, _ = s.accept()
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    process.wait_log("look like HTTP")
    connection, _ = s.accept()
    expect(process.child.poll(), None, "exit status of a client that goes on")


@test
def closing_before_the_first_frame_is_retried():
    s = listener()
    process = Process([tool(), "client", "-l", "127.0.0.1:0", "-r",
                       format_address(s.getsockname()), "--retry-cap", "0.5"])
    for _ in range(2):
        s.accept()[0].close()
    process.wait_log("session.down .*hint=.*is it a smux server of the same --smuxver", count=2)


@test
def peer_that_never_says_anything():
    """The wrong port: something accepts, and waits."""
    s = listener()
    process = Process([tool(), "client", "-l", "127.0.0.1:0", "-r",
                       format_address(s.getsockname()), "--keepalive", "0.3",
                       "--keepalive-timeout", "0.5", "--idle-timeout", "1.5"])
    connection, _ = s.accept()
    process.wait_log("warn .*session stalled id=1 reason=no-frame peer=.*hint=.*is it a smux server")
    # Also when it is this side that ends it.
    process.wait_log("session.down id=1 .*no streams.*hint=.*the peer sent nothing before")
    connection.close()


@test
def peer_that_speaks_late():
    s = listener()
    process = Process([tool(), "client", "-l", "127.0.0.1:0", "-r",
                       format_address(s.getsockname()), "--keepalive", "0.3",
                       "--keepalive-timeout", "0.5"])
    connection, _ = s.accept()
    process.wait_log("stalled id=1 reason=no-frame")
    for _ in range(100):
        connection.sendall(bytes.fromhex("0203000000000000"))
        time.sleep(0.1)
        if "resumed" in process.log():
            break
    process.wait_log("info .*session resumed id=1 ")
    expect(len(re.findall("stalled", process.log())), 1, "lines about silence")
    connection.close()
    expect("hint=" in process.wait_log("session.down.*").group(0), False, "a hint about silence")


@test
def peer_that_speaks_in_time_is_not_complained_of():
    remote = server(Target(echo).address)
    process = client(remote.address, "--keepalive", "0.3", "--keepalive-timeout", "2")
    s = connect_used(process.address)
    time.sleep(3.2)
    s.close()
    process.stop()
    expect(re.findall("stalled|hint=", process.log()), [], "lines about silence")


@test
def bad_peers_never_end_a_server():
    target = Target(echo)
    process = server(target.address)
    for junk in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01", b"\x02\x09" + b"\0" * 6,
                 b"\x01\x04\x08\x00" + b"\0" * 12, b"\x02\x01\xff\xff" + b"\0" * 4, b"\x02"):
        s = connect(process.address)
        s.sendall(junk)
        s.shutdown(socket.SHUT_WR)
        try:
            s.settimeout(5)
            read_all(s)
        except ConnectionResetError:
            pass
    process.wait_log("look like HTTP")
    process.wait_log("look like TLS")
    good = client(process.address)
    s = connect(good.address)
    s.sendall(b"still there")
    expect(read_exactly(s, 11), b"still there", "echo")


@test
def fixed_version_of_the_server():
    target = Target(echo)
    process = server(target.address, "--smuxver", "1")
    other = client(process.address, "--retry-min", "0.1", "--retry-cap", "0.1", "--retry-max", "2")
    process.wait_log("peer speaks smux 2, this side is set to 1: use --smuxver 2 here, or 1 on the peer")
    expect(other.wait(10), 69, "a client that is only cut off tries again, within its limits")


@test
def silence_before_the_first_frame_ends_a_session():
    target = Target(echo)
    process = server(target.address, "--handshake-timeout", "0.5", "--keepalive", "0.5",
                     "--keepalive-timeout", "0.5")
    s = connect(process.address)
    start = time.monotonic()
    ends_with_reset(s)
    expect(0.8 < time.monotonic() - start < 15, True, "after about one second")
    process.wait_log("handshake.failed .*no frame in time")


@test
def silent_peer_is_noticed():
    """A peer that sent a sign of life and then stops, with its connection open."""
    target = Target(echo)
    process = server(target.address, "--keepalive", "0.3", "--keepalive-timeout", "1")
    s = connect(process.address)
    s.sendall(bytes.fromhex("0203000000000000"))
    process.wait_log("session.up")
    process.wait_log("session.down", timeout=10)


@test
def server_that_opens_streams_is_refused():
    s = listener()
    process = Process([tool(), "client", "-l", "127.0.0.1:0", "-r", format_address(s.getsockname())])
    connection, _ = s.accept()
    connection.settimeout(10)
    connection.sendall(bytes.fromhex("0200000002000000"))
    process.wait_log("stream.refused .*the server opened it")
    data = read_exactly(connection, 16)  # a NOP, then the FIN
    expect(data[8:], bytes.fromhex("0201000002000000"), "refusal")


@test
def unreachable_server_within_limits():
    port = free_port()
    process = Process([tool(), "client", "-l", "127.0.0.1:0", "-r", "127.0.0.1:%d" % port,
                       "--retry-min", "0.05", "--retry-max", "3"])
    expect(process.wait(10), 69, "exit status with --retry-max")
    expect_in("gave up after 3 attempts: connection refused", process.log(), "log")
    expect(len(re.findall("handshake.failed", process.log())), 3, "attempts")
    process = Process([tool(), "client", "-l", "127.0.0.1:0", "-r", "127.0.0.1:%d" % port,
                       "--retry-max", "1"])
    expect(process.wait(10), 69, "exit status with one attempt")
    expect_in("gave up after 1 attempt: connection refused", process.log(), "log")
    process = Process([tool(), "client", "-l", "127.0.0.1:0", "-r", "127.0.0.1:%d" % port,
                       "--retry-min", "0.2", "--retry-cap", "0.2", "--retry-max-time", "1"])
    start = time.monotonic()
    expect(process.wait(10), 69, "exit status with --retry-max-time")
    expect(0.7 < time.monotonic() - start < 15, True, "after about one second")


@test
def unknown_host():
    process = Process([tool(), "client", "-l", "127.0.0.1:0", "-r", "no-such-host.invalid:1",
                       "--retry-max", "1"])
    expect(process.wait(30), 69, "exit status")
    expect_in("handshake.failed peer=no-such-host.invalid:1", process.log(), "log")


run()
