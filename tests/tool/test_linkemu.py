"""The link emulator of the measurements does what it says, measured with raw TCP.

Both ends of a connection are in this process, so that one clock times both. A machine that is
busy makes things late, never early. So a figure that is only late is measured again, a few
times; what may never happen (bytes before their time, bytes beyond a bound, wrong bytes) is
not.
"""
# ctest-timeout: 120
import errno
import hashlib
import os
import random
import socket
import subprocess
import sys
import threading
import time

import libtunnel
from libtunnel import Process, expect, expect_in, test

LINKEMU = os.path.join(os.environ.get("SMUX_BUILD_DIR", ""), "bin/linkemu")
MBIT = 125000           # bytes a second
ATTEMPTS = 6
EX_USAGE, EX_CANTCREAT = 64, 73


class Link:
    """A connection through an emulator: `client` and `server` are its ends."""

    def __init__(self, *options):
        listener = socket.create_server(("127.0.0.1", 0))
        target = "127.0.0.1:%d" % listener.getsockname()[1]
        self.process = Process([LINKEMU, "-v", "-t", target, *options],
                               stdin=subprocess.PIPE if "--control" in options
                               else subprocess.DEVNULL)
        self.client = libtunnel.connect(listening(self.process), 10)
        self.begin = time.monotonic()
        listener.settimeout(10)
        self.server = listener.accept()[0]
        listener.close()
        for end in (self.client, self.server):
            end.settimeout(10)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self):
        self.client.close()
        self.server.close()

    def order(self, text):
        self.process.child.stdin.write(text.encode())
        self.process.child.stdin.flush()

    def how_it_ended(self):
        """The line of the emulator about the connection."""
        return self.process.wait_log(r"^connection 0 .*$").group(0)


def listening(process):
    """The address that the first line tells."""
    return libtunnel.parse_address(process.wait_log(r"\Alistening (\S+)$").group(1))


def expect_between(low, value, high, what):
    if not low <= value <= high:
        raise AssertionError("%s: %r is not in %r to %r" % (what, value, low, high))


def best_of(measure, *arguments):
    """Repeats a measurement that a busy machine may spoil until it succeeds once."""
    for attempt in range(ATTEMPTS):
        try:
            return measure(*arguments)
        except AssertionError as error:
            if attempt == ATTEMPTS - 1:
                raise
            print("again: %s" % error)


def background(function, *arguments):
    """Runs a function in a thread; an end of the connection may be gone under it."""
    def run():
        try:
            function(*arguments)
        except OSError:
            pass
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def send_zeros(end, total):
    chunk = bytes(1 << 18)
    while total > 0:
        total -= end.send(chunk[:total])


def receive(end, total):
    """Receives so many bytes. Returns [(time, bytes so far)] of each read."""
    buffer = bytearray(1 << 18)
    arrivals, got = [], 0
    while got < total:
        n = end.recv_into(buffer)
        if n == 0:
            raise AssertionError("the connection ended after %d of %d bytes" % (got, total))
        got += n
        arrivals.append((time.monotonic(), got))
    return arrivals


def one_way(sender, receiver):
    """How long a byte takes, in seconds."""
    begin = time.monotonic()
    sender.send(b"x")
    expect(receiver.recv(10), b"x", "a byte")
    return time.monotonic() - begin


# --- rate, delay, window -------------------------------------------------------------------------

def measure_rate(mbit, delay, total, reverse):
    """The queue has room for all, so that the link is busy however late the sender is."""
    link = Link("--rate", "%dMbit" % mbit, "--delay", "%gms" % (delay * 1000),
                "--queue", str(total))
    sender, receiver = (link.server, link.client) if reverse else (link.client, link.server)
    begin = time.monotonic()
    background(send_zeros, sender, total)
    arrivals = receive(receiver, total)
    link.close()
    # n bytes have left the limit after n / rate, and the last one is there a delay later. A busy
    # machine begins late and is late with some, but hardly with all of the second half.
    late = [(n, at - begin - n / (mbit * MBIT) - delay) for at, n in arrivals]
    least = min(seconds for _, seconds in late)
    least_later = min(seconds for n, seconds in late if n > total / 2)
    expect_between(-0.001, least, least_later, "seconds that bytes are late")
    expect_between(0, least_later - least, 0.02 * total / (mbit * MBIT),
                   "seconds that they are later in the second half")


@test
def throughput_is_the_rate():
    for mbit, delay, total, reverse in ((100, 0.01, 8_000_000, False), (100, 0, 5_000_000, True),
                                        (300, 0.1, 18_000_000, True)):
        best_of(measure_rate, mbit, delay, total, reverse)


@test
def a_round_trip_takes_both_delays():
    link = Link("--delay", "up:5ms", "--delay", "down:15ms", "--rate", "1Gbit")
    up = [one_way(link.client, link.server) for _ in range(10)]
    down = [one_way(link.server, link.client) for _ in range(10)]
    expect_between(0.005, min(up), 0.007, "the fastest byte to the target")
    expect_between(0.015, min(down), 0.017, "the fastest byte to the client")


def acknowledge(end, total):
    """Answers each read with the number of bytes so far, in 8 bytes."""
    buffer = bytearray(1 << 18)
    got = 0
    while got < total:
        got += end.recv_into(buffer)
        end.send(got.to_bytes(8, "big"))


def send_in_window(end, window, total):
    """Sends with at most `window` bytes not yet acknowledged. Returns bytes a second."""
    chunk = bytes(window)
    sent = acked = 0
    acks = b""
    begin = time.monotonic()
    while acked < total:
        if sent - acked < window:
            sent += end.send(chunk[:window - (sent - acked)])
            continue
        acks += end.recv(1 << 16)
        whole = len(acks) // 8 * 8
        if whole:
            acked = int.from_bytes(acks[whole - 8:whole], "big")
            acks = acks[whole:]
    return acked / (time.monotonic() - begin)


def measure_window(window, delay):
    link = Link("--rate", "1Gbit", "--delay", "%gms" % (delay * 1000))
    total = 6 * window
    background(acknowledge, link.server, total + window)
    rate = send_in_window(link.client, window, total)
    link.close()
    # The last byte of a window leaves the link later than the first.
    slowest = window / (2 * delay + window / (1000 * MBIT))
    expect_between(0.85 * slowest, rate, window / (2 * delay), "bytes a second in a window")


@test
def a_window_limits_throughput_to_window_per_round_trip():
    best_of(measure_window, 1 << 17, 0.05)
    best_of(measure_window, 1 << 20, 0.05)


@test
def bytes_under_way_are_bounded():
    link = Link("--rate", "100Mbit", "--delay", "20ms", "--queue", "100kB")
    link.server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    link.client.settimeout(0.3)
    try:
        send_zeros(link.client, 1 << 30)
    except TimeoutError:
        pass                            # nobody reads: held back
    link.close()
    most = int(link.how_it_ended().split("at most ")[1].split(",")[0])
    expect_between(0.9 * 350_000, most, 350_000, "bytes under way")


# --- jitter, freeze, cut -------------------------------------------------------------------------

def jitter_of(seed, out):
    """Appends the delays of some bytes, one after the other, to a list."""
    link = Link("--delay", "50ms", "--jitter", "40ms", "--seed", str(seed))
    out.append([one_way(link.client, link.server) for _ in range(10)])
    link.close()


def least(sequences):
    """The smallest value at each place: a busy machine spoils single values, never downwards."""
    return [min(values) for values in zip(*sequences)]


def largest_difference(a, b):
    return max(abs(x - y) for x, y in zip(a, b))


def compare_jitter():
    groups = [(7, []), (7, []), (8, [])]
    threads = [background(jitter_of, seed, out) for seed, out in groups for _ in range(2)]
    for thread in threads:
        thread.join()
    expect([len(out) for _, out in groups], [2, 2, 2], "sequences")
    first, again, other = [least(out) for _, out in groups]
    expect_between(0.010, min(first), 0.090, "the smallest delay")
    expect_between(0, max(first), 0.105, "the largest delay")
    expect_between(0.040, max(first) - min(first), 0.095, "seconds between the delays of a seed")
    expect_between(0, largest_difference(first, again), 0.015, "seconds between equal seeds")
    expect_between(0.030, largest_difference(first, other), 1, "seconds between other seeds")


@test
def equal_seeds_give_equal_jitter():
    best_of(compare_jitter)


def send_random(end, seed, total):
    """Sends random bytes in pieces of random sizes, then half-closes."""
    numbers = random.Random(seed)
    data = numbers.randbytes(total)
    at = 0
    while at < total:
        at += end.send(data[at:at + numbers.randrange(1, 100_000)])
    end.shutdown(socket.SHUT_WR)


def digest_until_end(end):
    digest = hashlib.sha256()
    while data := end.recv(1 << 16):
        digest.update(data)
    return digest.hexdigest()


@test
def bytes_arrive_whole_and_in_order():
    total = 6_000_000
    link = Link("--rate", "200Mbit", "--delay", "5ms", "--jitter", "4ms", "--queue", "50kB")
    background(send_random, link.client, 1, total)
    background(send_random, link.server, 2, total)
    for end, seed in ((link.server, 1), (link.client, 2)):
        expected = hashlib.sha256(random.Random(seed).randbytes(total)).hexdigest()
        expect(digest_until_end(end), expected, "digest of %d bytes" % total)
    expect_in("closed", link.how_it_ended(), "how it ended")


def pour(end, seconds):
    """Sends a little every millisecond."""
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        end.send(bytes(1000))
        time.sleep(0.001)
    end.shutdown(socket.SHUT_WR)


def largest_gap(end):
    """Returns (length, begin) of the longest silence until the end of input."""
    last, gaps = time.monotonic(), [(0, 0)]
    while end.recv(1 << 16):
        now = time.monotonic()
        gaps.append((now - last, last))
        last = now
    return max(gaps)


def measure_freeze():
    link = Link("--delay", "5ms", "--freeze", "down:0.2,0.3")
    background(pour, link.client, 0.7)
    background(pour, link.server, 0.7)
    gaps = {}
    other = background(lambda: gaps.update(up=largest_gap(link.server)))
    gaps["down"] = largest_gap(link.client)
    other.join()
    link.close()
    length, begin = gaps["down"]
    expect_between(0.295, length, 0.35, "seconds of silence")
    expect_between(0.18, begin - link.begin, 0.22, "when it began")
    expect_between(0, gaps["up"][0], 0.1, "seconds of silence in the other direction")


@test
def a_freeze_is_a_gap():
    best_of(measure_freeze)


def count_until_reset(end):
    got = 0
    try:
        while data := end.recv(1 << 16):
            got += len(data)
    except ConnectionResetError:
        return got
    raise AssertionError("the connection ended in order after %d bytes" % got)


def measure_delay_in_freeze():
    link = Link("--delay", "100ms", "--freeze", "up:0.1,0.2")
    time.sleep(0.05)                    # half of the delay passes before the freeze
    expect_between(0.2995, one_way(link.client, link.server), 0.34, "seconds with a freeze")
    expect_between(0.0995, one_way(link.client, link.server), 0.14, "seconds afterwards")


@test
def a_link_without_delay_freezes_too():
    link = Link("--freeze", "up:0.05,0.3")
    time.sleep(0.1)
    begin = time.monotonic()
    link.client.send(b"u")
    link.client.shutdown(socket.SHUT_WR)
    expect(libtunnel.read_all(link.server), b"u", "bytes before the end")
    expect_between(0.2, time.monotonic() - begin, 5, "seconds until the end")


@test
def a_freeze_moves_what_is_under_way():
    best_of(measure_delay_in_freeze)


@test
def a_cut_delivers_its_bytes_and_resets():
    for size, wait in ((1, 0), (1_000_003, 0), (150_001, 0.2)):
        link = Link("--rate", "1Gbit", "--delay", "2ms", "--cut-after", "down:%d" % size)
        if wait:
            # The reset must not overtake what waits for room at the receiver.
            link.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        sender = background(send_zeros, link.server, 1 << 30)
        time.sleep(wait)
        expect(count_until_reset(link.client), size, "bytes before the reset")
        sender.join(10)
        expect(sender.is_alive(), False, "the sender goes on")


@test
def a_cut_at_a_time_resets_both_ends():
    link = Link("--delay", "1ms", "--cut-after", "150ms")
    expect(count_until_reset(link.client), 0, "bytes at the client")
    after = time.monotonic() - link.begin
    expect(count_until_reset(link.server), 0, "bytes at the target")
    expect_between(0.14, after, 1, "seconds until the reset")
    # Only what is open then is cut.
    expect(link.process.child.poll(), None, "the emulator runs")


def arrives(end, within):
    """Whether a byte comes in time."""
    end.settimeout(within)
    try:
        return len(end.recv(1)) == 1
    except TimeoutError:
        return False


@test
def an_order_freezes_one_direction():
    link = Link("--control")
    link.order("freeze up\nfreeze up\n")
    time.sleep(0.1)
    link.client.send(b"u")
    link.server.send(b"d")
    expect(arrives(link.client, 10), True, "the other direction goes on")
    expect(arrives(link.server, 0.3), False, "a byte arrives in a freeze")
    link.order("tha")           # an order may come in pieces
    expect(arrives(link.server, 0.1), False, "a byte arrives in a freeze")
    link.order("w\n")
    expect(arrives(link.server, 10), True, "what was under way arrives afterwards")
    link.client.send(b"u")
    expect(arrives(link.server, 10), True, "it goes on")


@test
def an_order_cuts():
    link = Link("--control")
    link.order("sideways\ncut\n")
    expect(count_until_reset(link.client), 0, "bytes at the client")
    expect(count_until_reset(link.server), 0, "bytes at the target")
    link.process.wait_log("sideways: expected cut")
    expect(link.process.child.poll(), None, "the emulator runs")
    link.process.child.stdin.close()
    expect(link.process.wait(10), 0, "exit status at the end of its orders")


# --- ends ----------------------------------------------------------------------------------------

@test
def a_half_close_comes_behind_the_data():
    link = Link("--delay", "30ms", "--rate", "10Mbit")
    begin = time.monotonic()
    link.client.send(bytes(10_000))
    link.client.shutdown(socket.SHUT_WR)
    expect(len(libtunnel.read_all(link.server)), 10_000, "bytes before the end")
    expect_between(0.038, time.monotonic() - begin, 5, "seconds until the end")
    expect_between(0.030, one_way(link.server, link.client), 5, "the other direction goes on")
    link.server.shutdown(socket.SHUT_WR)
    expect(link.client.recv(1), b"", "the other end")
    expect_in("closed", link.how_it_ended(), "how it ended")


@test
def a_reset_comes_behind_the_data():
    for half_closed in (False, True):
        link = Link("--delay", "30ms")
        link.client.send(b"1234567")
        if half_closed:
            link.client.shutdown(socket.SHUT_WR)
            expect(libtunnel.read_all(link.server), b"1234567", "bytes before the end")
        begin = time.monotonic()
        libtunnel.reset(link.client)
        if half_closed:
            libtunnel.wait_until(lambda: error_of(link.server) == errno.EPIPE, what="a reset")
        else:
            expect(count_until_reset(link.server), 7, "bytes before the reset")
        expect_between(0.029, time.monotonic() - begin, 5, "seconds until the reset")


def error_of(end):
    """What tells of a reset when the end of input has been read: EPIPE, in Linux."""
    return end.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


@test
def a_target_that_refuses_is_a_reset():
    # The delay gives connect() time to return before the reset is there.
    process = Process([LINKEMU, "-t", "127.0.0.1:%d" % libtunnel.free_port(), "--delay", "100ms"])
    expect(count_until_reset(libtunnel.connect(listening(process), 10)), 0, "bytes")
    process.wait_log("cannot connect to the target: Connection refused")


# --- the command line ----------------------------------------------------------------------------

def refused(*options):
    """Runs the emulator, which must refuse its options. Returns (status, message)."""
    process = Process([LINKEMU, *options])
    return process.wait(10), process.log()


@test
def bad_options_are_refused():
    for options, message in (
            ([], "--target is missing"), (["--rate", "fast"], "expected a rate"),
            (["--rate", "-1Mbit"], "expected a rate"), (["--delay", "2 days"], "expected a time"),
            (["--queue", "1"], "from 2KiB"), (["--jitter", "1ms"], "larger than --delay"),
            (["--freeze", "1s"], "expected AT,FOR"), (["--seed", "1.5"], "expected a number"),
            (["--freeze", "1,2", "--freeze", "up:2,2"], "overlaps"),
            (["--control", "--freeze", "1,2"], "not both"),
            (["--cut-after", "soon"], "a size such as"), (["--cut-after", "up:2s"], "both"),
            (["--time", "0"], "expected a time"), (["--max-connections", "0"], "1 to 4096"),
            (["--rate", "1000Gbit", "--delay", "1s"], "more than 2 GB"),
            (["-l", "1234"], "HOST:PORT"), (["extra"], "no operands"), (["--bogus"], "--help")):
        target = ["-t", "127.0.0.1:1"] if options else []
        status, text = refused(*target, *options)
        expect(status, EX_USAGE, "exit status with %s" % options)
        expect_in(message, text, "message with %s" % options)


@test
def a_port_in_use_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        status, text = refused("-t", "127.0.0.1:1", "-l", address)
        expect(status, EX_CANTCREAT, "exit status")
        expect_in("in use", text, "message")


@test
def it_ends_when_told():
    link = Link("--delay", "1ms")
    expect(link.process.stop(), 0, "exit status after TERM")
    begin = time.monotonic()
    link = Link("--time", "0.2")
    expect(count_until_reset(link.client), 0, "bytes")
    expect(link.process.wait(10), 0, "exit status after its time")
    expect_between(0.2, time.monotonic() - begin, 5, "seconds until the end")


if not os.access(LINKEMU, os.X_OK):
    print("SKIP: linkemu is not built")
    sys.exit(77)
libtunnel.run()
