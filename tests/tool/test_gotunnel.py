"""The tunnel with a Go tunnel at the other end: xtaci/smux in both roles, both versions.

ctest-timeout: 180
"""
from libtunnel import *


class GoProcess(Process):
    def __init__(self, *args):
        super().__init__([gopeer(), *args])
        self.address = parse_address(self.wait_log(r"^listening (\S+)").group(1))


def go_server(target, version):
    return GoProcess("tunnel-server", "-l", "127.0.0.1:0", "-t", format_address(target), "-v",
                     version)


def go_client(remote, version):
    return GoProcess("tunnel-client", "-l", "127.0.0.1:0", "-r", format_address(remote), "-v",
                     version, "-conn", "2")


def pairs(target):
    """The address of each mixed tunnel in front of a target, with a name."""
    for version in ("1", "2"):
        back = go_server(target, version)
        front = client(back.address, "--smuxver", version, "--conn", "2")
        front.wait_log("session.up", count=2)
        yield "C client, Go server, v" + version, front.address
        back = server(target)
        yield "Go client, C server, v" + version, go_client(back.address, version).address


def transfer(address, n, outcome=None):
    data = os.urandom(n)
    s = connect(address, 60)
    sender = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
    sender.start()
    equal = read_all(s) == data
    sender.join()
    s.close()
    if outcome is not None:
        outcome.append(equal)
    return equal


def echo_slowly_at_the_end(connection):
    """Echo that ends its side a moment after its data: Go from 1.5.54 on drops what it has not
    read when both sides have ended (M1)."""
    while True:
        data = connection.recv(1 << 16)
        if not data:
            break
        connection.sendall(data)
    time.sleep(0.5)
    connection.shutdown(socket.SHUT_WR)


@test
def echo_of_all_sizes():
    for name, address in pairs(Target(echo_slowly_at_the_end).address):
        for n in (0, 1, 70000, 3 * MIB):
            expect(transfer(address, n), True, "%s: echo of %d bytes" % (name, n))


@test
def half_close_request_and_answer():
    for name, address in pairs(Target(answer_at_end).address):
        for n in (0, 5, 2 * MIB):
            data = os.urandom(n)
            s = connect(address)
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            expect(read_all(s), b"%d %s\n" % (n, hashlib.sha256(data).hexdigest().encode()),
                   "%s: answer to %d bytes" % (name, n))


@test
def bulk_with_equal_digests():
    size = 100 * MIB * PERCENT // 100
    data = hashlib.sha256(b"seed").digest() * 32768
    blocks = (size + MIB - 1) // MIB
    digest = hashlib.sha256()
    for _ in range(blocks):
        digest.update(data)

    def serve(connection):
        for _ in range(blocks):
            connection.sendall(data)
        connection.recv(1)

    for name, address in pairs(Target(serve).address):
        s = connect(address, 60)
        got = hashlib.sha256()
        n = 0
        start = time.monotonic()
        while n < blocks * MIB:
            chunk = s.recv(1 << 20)
            if not chunk:
                raise AssertionError("%s: end after %d bytes" % (name, n))
            n += len(chunk)
            got.update(chunk)
        expect(got.hexdigest(), digest.hexdigest(), name + ": digest")
        print("       %s: %.0f MiB/s" % (name, size / MIB / (time.monotonic() - start)))


@test
def many_streams_both_ways():
    for name, address in pairs(Target(echo_slowly_at_the_end).address):
        outcome = []
        threads = [threading.Thread(target=transfer, args=(address, 300000, outcome))
                   for _ in range(64)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
        expect(outcome, [True] * 64, name + ": equal transfers")


@test
def web_server_without_a_failed_request():
    need("wrk", "python3")

    def serve(connection):
        while True:
            request = b""
            while b"\r\n\r\n" not in request:
                data = connection.recv(65536)
                if not data:
                    return
                request += data
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 600\r\n\r\n" + b"x" * 600)

    for name, address in pairs(Target(serve).address):
        done = subprocess.run(["wrk", "-t", "2", "-c", "20", "-d", "2s", "http://%s:%d/" % address],
                              capture_output=True, text=True, timeout=60)
        expect("Socket errors" in done.stdout or "Non-2xx" in done.stdout, False,
               name + ": " + done.stdout)
        print("       %s: %s" % (name, re.search(r"\d+ requests in", done.stdout).group(0)))


@test
def wrong_version_towards_go():
    back = go_server(Target(echo).address, "1")
    front = client(back.address, "--smuxver", "2", "--retry-max", "3", "--retry-cap", "0.5")
    expect(front.wait(40) in (69, 76), True, "exit status")


@test
def go_server_killed_and_started_again():
    target = Target(echo)
    back = go_server(target.address, "2")
    front = client(back.address, "--retry-cap", "0.5")
    s = connect_used(front.address)
    back.kill()
    expect(ends_with_reset(s), True, "an open stream sees an error")
    GoProcess("tunnel-server", "-l", format_address(back.address), "-t",
              format_address(target.address), "-v", "2")
    s = connect(front.address)
    s.sendall(b"again")
    expect(read_exactly(s, 5), b"again", "echo")


run()
