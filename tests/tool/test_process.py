"""Signals, draining, the log, standard input and output.

ctest-timeout: 120
ctest-waits
"""
import contextlib
import json
import pty
import select

from libtunnel import *


@test
def drain_with_data_in_flight():
    """TERM to either end in the middle of a transfer: it is completed, exit status 0."""
    data = os.urandom(24 * MIB)

    def serve(connection):
        connection.recv(1)
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)

    for end in ("server", "client"):
        tunnel = Tunnel(Target(serve).address)
        s = tunnel.connect()
        s.sendall(b"x")
        got = bytearray(read_exactly(s, 4 * MIB))
        process = getattr(tunnel, end)
        process.send(signal.SIGTERM)
        process.wait_log("drain streams=1")
        expect(refuses(process.address), True, "new connections are refused while draining")
        time.sleep(0.2)
        got += read_all(s)
        expect(bytes(got) == data, True, "the download is complete, %d bytes" % len(got))
        s.close()
        expect(process.wait(15), 0, "exit status of the " + end)


def refuses(address):
    try:
        connect(address).close()
    except ConnectionRefusedError:
        return True
    return False


@test
def drain_refuses_new_streams():
    target = Target(echo)
    tunnel = Tunnel(target.address)
    s = tunnel.connect_used()
    tunnel.server.send(signal.SIGTERM)
    tunnel.server.wait_log("drain")
    other = tunnel.connect()
    expect(other.recv(1), b"", "a new stream is refused")
    tunnel.server.wait_log("stream.refused .*closing")
    s.sendall(b"still works")
    expect(read_exactly(s, 11), b"still works", "the old stream")
    s.close()
    expect(tunnel.server.wait(10), 0, "exit status, though the peer keeps its side open")


@test
def drain_timeout():
    target = Target(echo)
    tunnel = Tunnel(target.address, client_options=("--drain-timeout", "1"))
    s = tunnel.connect_used()
    start = time.monotonic()
    tunnel.client.send(signal.SIGTERM)
    expect(ends_with_reset(s), True, "a stream that is cut off sees an error")
    expect(tunnel.client.wait(10), 0, "exit status")
    expect(0.8 < time.monotonic() - start < 15, True, "about one second")


@test
def interrupt_and_second_signal():
    target = Target(echo)
    tunnel = Tunnel(target.address)
    expect(tunnel.client.stop(signal.SIGINT), 130, "exit status after INT")
    second = client(tunnel.server.address)
    second.wait_log("session.up")
    s = connect_used(second.address)
    second.send(signal.SIGTERM)
    second.wait_log("drain")
    second.send(signal.SIGTERM)
    expect(second.wait(5), 130, "exit status after a second signal")


@test
def idle_ends_at_once():
    target = Target(echo)
    tunnel = Tunnel(target.address)
    start = time.monotonic()
    expect(tunnel.server.stop(), 0, "exit status of the server")
    expect(tunnel.client.stop(), 0, "exit status of the client")
    expect(time.monotonic() - start < 10, True, "no waiting")


@test
def client_without_server_ends_at_once():
    process = Process([tool(), "client", "-l", "127.0.0.1:0", "-r", "127.0.0.1:%d" % free_port()])
    process.wait_log("retry")
    s = connect(listening(process))
    expect(process.stop(), 0, "exit status")
    expect(ends_with_reset(s), True, "a connection that waited sees an error")


@test
def counters_and_retry_on_usr1():
    port = free_port()
    process = Process([tool(), "client", "-l", "127.0.0.1:0", "-r", "127.0.0.1:%d" % port,
                       "--retry-min", "60", "--retry-cap", "60"])
    process.wait_log("retry in=")
    target = Target(echo)
    server(target.address, listen="127.0.0.1:%d" % port)
    process.send(signal.SIGUSR1)
    process.wait_log("session.up", timeout=3)
    s = connect(listening(process))
    s.sendall(b"x" * 1000)
    read_exactly(s, 1000)
    process.send(signal.SIGUSR1)
    process.wait_log(r"counters uptime=\S+ sessions=1 streams=1 .*up=1000 down=1000")
    process.wait_log(r"counters session=1 .*in=1000 out=1000 .*glitches=0")


@test
def hup_is_ignored():
    tunnel = Tunnel(Target(echo).address)
    tunnel.client.send(signal.SIGHUP)
    tunnel.client.wait_log("reload .*HUP is ignored")
    s = tunnel.connect_used()


@test
def signals_that_come_at_the_very_end():
    """Until the process is gone they do no more than before."""
    target = Target(echo)
    raise_descriptors(3000)
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        for _ in range(3):
            tunnel = Tunnel(target.address, ("--quiet",), ("--quiet", "--drain-timeout", "0.1"))
            held = [tunnel.connect() for _ in range(800)]
            tunnel.client.send(signal.SIGTERM)
            while tunnel.client.child.poll() is None:
                tunnel.client.send(number)
                time.sleep(0.0001)
            expect(tunnel.client.child.returncode, 0, "exit status")
            for s in held:
                s.close()
            tunnel.client.discard()
            tunnel.server.discard()


@test
def log_file_is_reopened_on_usr2():
    with tempfile.TemporaryDirectory() as d:
        target = Target(echo)
        path = d + "/log"
        process = Process([tool(), "server", "-l", "127.0.0.1:0", "-t",
                           format_address(target.address), "--log", path])
        wait_until(lambda: os.path.exists(path) and "listening" in open(path).read(), what="log")
        os.rename(path, path + ".1")
        process.send(signal.SIGUSR2)
        wait_until(lambda: os.path.exists(path) and "reload" in open(path).read(), what="new log")
        expect(process.stop(), 0, "exit status")
        expect_in("stop exit=0", open(path).read(), "last line")


@test
def log_formats():
    target = Target(echo)
    for form in ("json", "logfmt", "text"):
        tunnel = Tunnel_quiet_wait(target.address, form)
        for line in tunnel.log().splitlines():
            if form == "json":
                entry = json.loads(line)
                for key in ("ts", "level", "component", "event", "tunnel"):
                    expect_in(key, entry, "keys")
                expect(entry["tunnel"], "a name", "name")
            elif form == "logfmt":
                expect_in('ts=2', line, "time")
                expect_in('tunnel="a name"', line, "name")
            else:
                if not re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warn |info |debug) \w+ +\S+ ", line):
                    raise AssertionError("line %r" % line)


def pipe_for_the_log():
    r, w = os.pipe()
    return w, lambda: os.read(r, 1 << 20)


def socket_for_the_log():
    r, w = socket.socketpair()
    return w.detach(), lambda: r.recv(1 << 20)


def terminal_for_the_log():
    r, w = pty.openpty()
    return w, lambda: os.read(r, 1 << 20)


@contextlib.contextmanager
def server_that_logs_to(fd, target):
    """On a Unix socket, whose path comes with it; the descriptor is its own."""
    with tempfile.TemporaryDirectory() as d:
        path = d + "/s"
        back = subprocess.Popen([tool(), "server", "-l", path, "-t", target],
                                stdin=subprocess.DEVNULL, stderr=fd, preexec_fn=die_with_parent)
        os.close(fd)
        try:
            wait_until(lambda: os.path.exists(path), what="the socket")
            yield back, path
        finally:
            back.kill()
            back.wait()


@test
def log_that_nobody_reads():
    """Traffic does not wait for it; what is left out is told of when it is read again."""
    target = Target(echo)
    for make in (pipe_for_the_log, socket_for_the_log, terminal_for_the_log):
        fd, read = make()
        with server_that_logs_to(fd, format_address(target.address)) as (_, path):
            front = client(path, "--quiet=streams")
            for _ in range(1200):
                connect_used(front.address).close()
            said = b""
            while b"suppressed lines=" not in said:
                said += read()
                connect_used(front.address).close()
                time.sleep(0.001)
            expect([line for line in said.decode().splitlines()[:-1]
                    if not re.match(r"\d{4}-\S+Z \w+ +\w+ ", line)], [], "lines that were cut")


@test
def burst_to_a_log_that_is_read():
    """More than a pipe or a socket holds: nothing of it is left out. On a busy machine the reader may be
    late once."""
    n = 900
    for make in (pipe_for_the_log, socket_for_the_log):
        fd, read = make()
        said = []
        busy = threading.Lock()

        def read_on():
            while True:
                part = read()
                with busy:
                    said.append(part)

        def lines():
            return b"".join(said).count(b"counters session=")

        def comes_whole():
            before = lines()
            with busy:
                back.send_signal(signal.SIGUSR1)
                time.sleep(0.02)
            deadline = time.monotonic() + 2
            while lines() < before + n and time.monotonic() < deadline:
                time.sleep(0.02)
            return lines() == before + n

        threading.Thread(target=read_on, daemon=True).start()
        with server_that_logs_to(fd, "9") as (back, path):
            front = client(path, "--conn", str(n), "--keepalive", "0.1")
            wait_until(lambda: b"".join(said).count(b"session.up") == n, what="the sessions")
            expect(any(comes_whole() for _ in range(5)), True, "a line for each session")
            front.stop()


@test
def log_to_a_pipe_without_reader():
    """It is an error, and not a program that does nothing."""
    with tempfile.TemporaryDirectory() as d:
        os.mkfifo(d + "/log")
        status, _, err = run_tool("server", "-l", d + "/s", "-t", "9", "--log", d + "/log", timeout=10)
        expect(status, 73, "exit status")
        expect_in("cannot open the log %s/log: " % d, err, "message")


@test
def log_file_that_reaches_the_limit_of_files():
    """SIGXFSZ, which would end the process, is for programs that have nothing else to do."""
    with tempfile.TemporaryDirectory() as d:
        back = Process(["sh", "-c", 'ulimit -f 1 && exec "$@"', "sh", tool(), "server", "-l",
                        d + "/s", "-t", format_address(Target(echo).address), "--log", d + "/log"])
        wait_until(lambda: os.path.exists(d + "/s"), what="the socket")
        front = client(d + "/s", "--quiet=streams")
        for _ in range(30):
            connect_used(front.address).close()
        wait_until(lambda: os.path.getsize(d + "/log") >= 512, what="the log at its limit")
        connect_used(front.address).close()
        expect(back.stop(), 0, "exit status")


def Tunnel_quiet_wait(target, form):
    process = Process([tool(), "server", "-l", "127.0.0.1:0", "-t", format_address(target),
                       "--log-format", form, "--name", "a name", "--log-level", "debug"])
    process.wait_log("listening")
    process.stop()
    return process


@test
def quiet_and_levels():
    target = Target(echo)
    tunnel = Tunnel(target.address, client_options=("--quiet",),
                    server_options=("--quiet=streams",))
    s = tunnel.connect_used()
    s.close()
    for process in (tunnel.client, tunnel.server):
        process.send(signal.SIGUSR1)
        process.wait_log("counters")
        expect("stream." in process.log(), False, "stream lines with --quiet")
    address = "127.0.0.1", free_port()
    process = Process([tool(), "server", "-l", format_address(address), "-t", "127.0.0.1:1",
                       "--log-level", "error"])
    wait_until(lambda: not refuses(address), what="a listener")
    expect(process.log(), "", "log at level error")


@test
def quiet_about_what_did_not_become_a_session():
    """Port scanners and health checks: connections that close, wait, or say something else."""
    options = ("--handshake-timeout", "0.3", "--keepalive", "0.3", "--keepalive-timeout", "0.3")
    target = Target(echo)
    for quiet in (True, False):
        process = server(target.address, *options, *(["--quiet=handshakes"] if quiet else []))
        connect(process.address).close()
        with connect(process.address) as s:
            s.sendall(b"GET / HTTP/1.1\r\n\r\n")
            ends_with_reset(s)
        with connect(process.address) as s:
            ends_with_reset(s)
        # The server has dealt with all of them once this one, the last, is told of.
        with connect(process.address) as s:
            s.sendall(bytes.fromhex("0203000000000000"))
            process.wait_log("session.up")
        process.wait_log(r"session\.down id=4 ")
        others = re.findall(r"handshake\.failed|session\.down id=[123] .*", process.log())
        expect(len(others), 0 if quiet else 4, "lines of other connections, %r" % others)


@test
def settings_are_logged_at_debug():
    process = Process([tool(), "server", "-l", "127.0.0.1:0", "-t", "127.0.0.1:1", "--log-level",
                       "debug", "--streambuf", "1MiB", "--keepalive", "10"])
    process.wait_log("config option=streambuf value=1MiB")
    expect("option=keepalive" in process.log(), False, "an option at its default")


@test
def idle_session_is_closed_and_comes_back_when_needed():
    tunnel = Tunnel(Target(echo).address, client_options=("--idle-timeout", "0.5"))
    tunnel.client.wait_log("session.down .*no streams")
    time.sleep(1)
    expect(len(re.findall("session.up", tunnel.client.log())), 1, "sessions without a need")
    s = tunnel.connect()
    s.sendall(b"hello")
    expect(read_exactly(s, 5), b"hello", "echo")
    time.sleep(1)
    s.sendall(b"hello")
    expect(read_exactly(s, 5), b"hello", "a session with a quiet stream is not idle")


@test
def out_of_descriptors_waits_instead_of_spinning():
    limit = 128
    back = server(Target(echo).address)
    front = Process(["sh", "-c", 'ulimit -n %d && exec "$@"' % limit, "sh", tool(), "client", "-l",
                     "127.0.0.1:0", "-r", format_address(back.address), "--quiet"])
    address = listening(front)
    held = [connect(address) for _ in range(2 * limit)]  # the kernel's backlog takes the rest
    front.wait_log("accept.paused .*too many open files")
    before = front.cpu_s()
    time.sleep(1.5)
    used = front.cpu_s() - before
    expect(used < 0.3, True, "processor time while there are no descriptors: %.2f s" % used)
    expect(len(re.findall("accept.paused", front.log())), 1, "lines about it")
    for s in held[:-1]:
        s.close()
    last = held[-1]
    last.sendall(b"my turn")
    expect(read_exactly(last, 7), b"my turn", "the last connection is served in the end")


@test
def listener_that_somebody_shuts_down():
    """It is shared with who made it. Sessions go on, and nothing spins."""
    target = Target(echo)
    listener = socket.create_server(("127.0.0.1", 0))
    back = Process([tool(), "server", "-l", "fd:%d" % listener.fileno(), "-t",
                    format_address(target.address)], pass_fds=[listener.fileno()])
    front = client(listening(back))
    s = connect_used(front.address)
    listener.shutdown(socket.SHUT_RDWR)
    back.wait_log("accept.ended .*invalid argument")
    before = back.cpu_s()
    time.sleep(1)
    used = back.cpu_s() - before
    expect(used < 0.2, True, "processor time while nothing can be accepted: %.2f s" % used)
    expect(len(re.findall("accept.ended", back.log())), 1, "lines about it")
    s.sendall(b"still there")
    expect(read_exactly(s, 11), b"still there", "the stream")
    s.close()
    front.stop()
    expect(back.stop(), 0, "exit status")


def closing(*numbers):
    """For a child: it begins without these descriptors."""
    def close():
        die_with_parent()
        for number in numbers:
            os.close(number)
    return close


@test
def standard_descriptors_that_are_closed():
    """They are not given to sockets, or to the loop itself: nothing that is said goes there."""
    back = server(Target(echo).address)
    for numbers in ((0,), (1,), (2,), (0, 1), (0, 1, 2)):
        with tempfile.TemporaryDirectory() as d:
            front = subprocess.Popen([tool(), "client", "-l", d + "/s", "-r", format_address(back.address),
                                      "--log-level", "debug"], stderr=subprocess.DEVNULL,
                                     preexec_fn=closing(*numbers))
            try:
                wait_until(lambda: os.path.exists(d + "/s"), what="the socket")
                with connect_used(d + "/s"):
                    front.send_signal(signal.SIGUSR1)
                    for number in numbers:
                        expect(os.readlink("/proc/%d/fd/%d" % (front.pid, number)), "/dev/null",
                               "descriptor %d without %s" % (number, numbers))
                front.send_signal(signal.SIGTERM)
                expect(front.wait(10), 0, "exit status without %s" % (numbers,))
            finally:
                front.kill()
                front.wait()


@test
def stdio_that_is_closed():
    """Neither what is read nor what is written is there: no success, and no crash."""
    back = server(Target(echo).address)
    for numbers in ((0,), (1,), (0, 1)):
        front = subprocess.Popen([tool(), "client", "-l", "-", "-r", format_address(back.address)],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE, preexec_fn=closing(*numbers))
        said = front.communicate(timeout=10)[1]
        expect(front.returncode, 69, "exit status without %s" % (numbers,))
        expect_in(b"bad file descriptor", said, "log")


# --- standard input and output ---------------------------------------------------------------

def stdio_client(remote, **kwargs):
    return subprocess.Popen([tool(), "client", "-l", "-", "-r", format_address(remote)],
                            stderr=subprocess.PIPE, **kwargs)


@test
def stdio_pipes():
    data = os.urandom(3 * MIB)
    first = server(Target(echo).address)
    process = stdio_client(first.address, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    out, err = process.communicate(data, timeout=20)
    expect(process.returncode, 0, "exit status, its log: %s" % err)
    expect(out == data, True, "%d bytes back" % len(out))
    expect(err, b"", "nothing is logged in this mode when all goes well")


@test
def stdio_half_close():
    first = server(Target(answer_at_end).address)
    process = stdio_client(first.address, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    out, _ = process.communicate(b"request", timeout=20)
    expect(out.split()[:1], [b"7"], "answer")
    expect(process.returncode, 0, "exit status")


@test
def stdio_files():
    data = os.urandom(5 * MIB)
    first = server(Target(echo).address)
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as sink:
        source.write(data)
        source.seek(0)
        process = stdio_client(first.address, stdin=source, stdout=sink)
        expect(process.wait(20), 0, "exit status")
        sink.seek(0)
        expect(sink.read() == data, True, "equal files")
        process.stderr.close()


@test
def stdio_socket_as_for_ssh():
    ours, theirs = socket.socketpair()
    first = server(Target(echo).address)
    process = stdio_client(first.address, stdin=theirs, stdout=theirs)
    theirs.close()
    ours.settimeout(20)
    ours.sendall(b"SSH-2.0-test\r\n")
    expect(read_exactly(ours, 14), b"SSH-2.0-test\r\n", "echo")
    ours.shutdown(socket.SHUT_WR)
    expect(read_all(ours), b"", "end")
    expect(process.wait(10), 0, "exit status")
    process.stderr.close()


@test
def stdio_terminal_is_left_as_it_was():
    first = server(Target(echo).address)
    main, terminal = pty.openpty()
    process = stdio_client(first.address, stdin=terminal, stdout=terminal)
    os.write(main, b"hello\n")
    got = b""
    while got.count(b"hello") < 2 and select.select([main], [], [], 10)[0]:  # the terminal's echo and ours
        got += os.read(main, 100)
    expect(got.count(b"hello"), 2, "echo of the terminal and of the target in %r" % got)
    expect(os.get_blocking(terminal), True, "the terminal is still blocking")
    os.write(main, b"\x04")
    expect(process.wait(10), 0, "exit status at the end of input")
    process.stderr.close()


@test
def stdio_end_while_the_reader_is_slow():
    """The server's half ends while standard output is full and standard input is open."""
    data = os.urandom(MIB)
    back = []

    def serve(connection):
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        back.append(read_all(connection))

    first = server(Target(serve).address)
    process = stdio_client(first.address, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    time.sleep(0.3)
    expect(process.stdout.read() == data, True, "all that was sent, and the end")
    process.stdin.write(b"still open")
    process.stdin.close()
    expect(process.wait(10), 0, "exit status")
    wait_until(lambda: back, what="the end of the target's connection")
    expect(back, [b"still open"], "what was written behind the end of the other half")
    process.stdout.close()
    process.stderr.close()


@test
def stdio_has_one_session():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = Process([tool(), "client", "-l", "-", "-r",
                           format_address(listener.getsockname()), "--log-level", "debug",
                           "--drain-timeout", "0.2"], stdin=subprocess.PIPE)
        process.wait_log("session.up")
        time.sleep(0.2)
        expect(process.log().count("connecting"), 1, "connections that were begun")
        process.send(signal.SIGTERM)
        process.wait(10)


@test
def stdio_reader_that_goes_away():
    def serve(connection):
        while True:
            connection.sendall(b"x" * 65536)

    first = server(Target(serve).address)
    process = stdio_client(first.address, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.read(1000)
    process.stdout.close()
    expect(process.wait(10) != 0, True, "an exit status that tells")
    process.stdin.close()
    process.stderr.close()


@test
def stdio_truncated_is_not_success():
    def serve(connection):
        connection.sendall(b"x" * 1000)
        time.sleep(30)

    first = server(Target(serve).address)
    process = stdio_client(first.address, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.read(1000)
    first.kill()
    expect(process.wait(10), 69, "exit status")
    expect_in(b"session.down", process.stderr.read(), "log")
    process.stdin.close()
    process.stdout.close()
    process.stderr.close()


@test
def stdio_without_server():
    process = subprocess.Popen([tool(), "client", "-l", "-", "-r", "127.0.0.1:%d" % free_port(),
                                "--connect-timeout", "1"], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    expect(process.wait(10), 69, "exit status")
    expect_in(b"no session within --connect-timeout", process.stderr.read(), "log")
    process.stderr.close()


@test
def stdio_interrupted():
    """130 after INT, with a session and without one; after TERM without one there is no success."""
    remote = server(Target(echo).address)
    nobody = "127.0.0.1:%d" % free_port()
    for address, number, status in ((nobody, signal.SIGINT, 130), (nobody, signal.SIGTERM, 69),
                                    (format_address(remote.address), signal.SIGINT, 130)):
        process = Process([tool(), "client", "-l", "-", "-r", address, "--log-level", "info",
                           "--drain-timeout", "0.3", "--retry-min", "0.1"], stdin=subprocess.PIPE)
        process.wait_log("retry" if address == nobody else "stream.open")
        process.send(number)
        expect(process.wait(10), status, "exit status, remote %s, signal %d" % (address, number))


@test
def stdio_that_a_drain_cuts():
    """The time of a drain is up, and neither half has ended."""
    remote = server(Target(lambda connection: time.sleep(30)).address)
    process = Process([tool(), "client", "-l", "-", "-r", format_address(remote.address),
                       "--log-level", "info", "--drain-timeout", "0.3"], stdin=subprocess.PIPE)
    process.wait_log("stream.open")
    process.send(signal.SIGTERM)
    expect(process.wait(10), 69, "exit status")


@test
def stdio_of_which_not_all_is_sent():
    """The server ends its half and takes nothing, or goes away: what it was to get is lost."""
    for goes_away in (False, True):
        with tempfile.TemporaryFile() as data, socket.socket() as listener:
            data.write(bytes(200000))
            data.seek(0)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            process = Process([tool(), "client", "-l", "-", "-r", format_address(listener.getsockname()),
                               "--sockbuf", "4096", "--drain-timeout", "0.5", "--log-level", "info"],
                              stdin=data)
            peer, _ = listener.accept()
            head = read_exactly(peer, 8)
            while head[1] != 0:
                head = read_exactly(peer, 8)
            peer.sendall(bytes([2, 1, 0, 0]) + head[4:])
            process.wait_log("stream.close .*reason=end")
            if goes_away:
                reset(peer)
            expect(process.wait(10), 69, "exit status")
            peer.close()


@test
def stdio_interrupted_while_the_stream_fails():
    remote = server(Target(echo).address)
    process = Process([tool(), "client", "-l", "-", "-r", format_address(remote.address),
                       "--log-level", "info"], stdin=subprocess.PIPE)
    process.wait_log("stream.open")
    process.send(signal.SIGINT)
    process.wait_log("drain")
    remote.kill()
    expect(process.wait(10), 130, "exit status")


run()
