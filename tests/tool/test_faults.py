"""System calls of the tool fail, with the errors of their manual pages (K2 to K8, K13), and its
allocations (K1). What must hold each time: the data is exact or the connection is reset, the
process lives and does not spin, the next exchange works, and descriptors and memory come back.

SMUX_LONG=1 tries every place of an exchange and not only the first three.

ctest-timeout: 120
ctest-waits
"""
import errno
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../chaos"))
from chaoslib import stream
from libfaults import CALLS, Plan, short
from libtunnel import *

OPTIONS = ["--connect-timeout", "0.5", "--drain-timeout", "1"]
RETRY = ["--retry-min", "0.02", "--retry-cap", "0.05"]
MOST = 40 if LONG else 3        # places of a call that are tried
STEP = 1 if LONG else 7         # between allocations from which on all fail
RECOVERY_S = 5

# Errors after which everything goes on as if nothing had been, then those that may cost a
# connection or a session.
TRANSIENT = [errno.EINTR, errno.EAGAIN]
KINDS = {
    "READ": (TRANSIENT + [short(1), short(100)],        # of local connections and targets
             [errno.ECONNRESET, errno.ETIMEDOUT, errno.ENOBUFS, errno.ENOMEM, errno.EIO,
              errno.ECONNREFUSED, errno.ENOTCONN, errno.EHOSTUNREACH]),
    "RECV": (TRANSIENT + [short(1), short(7), short(100)],     # of sessions
              [errno.ECONNRESET, errno.ETIMEDOUT, errno.ENOBUFS, errno.ENOMEM, errno.EIO,
               errno.ECONNREFUSED, errno.ENOTCONN, errno.EHOSTUNREACH]),
    "WRITEV": (TRANSIENT + [short(1), short(100)],
               [errno.EPIPE, errno.ECONNRESET, errno.ETIMEDOUT, errno.ENOBUFS, errno.ENOMEM,
                errno.EIO, errno.ENOTCONN, errno.EHOSTUNREACH, errno.ENOSPC]),
    "SEND": (TRANSIENT + [short(1), short(7), short(9), short(100)],
                [errno.EPIPE, errno.ECONNRESET, errno.ETIMEDOUT, errno.ENOBUFS, errno.ENOMEM,
                 errno.EIO, errno.ENOTCONN, errno.EHOSTUNREACH, errno.ENETDOWN]),
    "ACCEPT": (TRANSIENT + [errno.ECONNABORTED, errno.EMFILE, errno.ENFILE, errno.ENOBUFS,
                            errno.ENOMEM, errno.EPERM, errno.EPROTO, errno.ENETDOWN, errno.ENONET,
                            errno.ENOPROTOOPT, errno.EHOSTDOWN, errno.EHOSTUNREACH,
                            errno.ENETUNREACH, errno.EOPNOTSUPP], []),
    "SOCKET": ([], [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EACCES,
                    errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT]),
    "CONNECT": ([errno.EINTR],
                [errno.ECONNREFUSED, errno.ETIMEDOUT, errno.ENETUNREACH, errno.EHOSTUNREACH,
                 errno.EADDRNOTAVAIL, errno.EACCES, errno.EAGAIN, errno.EPERM, errno.EADDRINUSE,
                 errno.EAFNOSUPPORT, errno.ECONNRESET]),
    "SETSOCKOPT": ([errno.ENOPROTOOPT, errno.EINVAL, errno.ENOMEM], []),
    "GETSOCKOPT": ([errno.ENOPROTOOPT, errno.ENOBUFS], []),
    "SHUTDOWN": ([errno.ENOTCONN], []),
    "CLOSE": ([errno.EINTR, errno.EIO, errno.ENOSPC], []),
    "FCNTL": ([], [errno.EAGAIN, errno.EPERM]),         # of what is to be a session
    "GETRANDOM": ([errno.EAGAIN, errno.EINTR, errno.ENOSYS, errno.EPERM], []),
    "EPOLL_WAIT": ([errno.EINTR], []),
    "NAME": ([errno.ENOBUFS, errno.ENOTCONN], []),
    "WRITE": ([errno.EINTR, errno.ENOSPC, errno.EIO, errno.EPIPE, errno.EAGAIN], []),   # the log
}


# What a client does when it connects to its server again.
CONNECTING = ("SOCKET", "CONNECT", "SETSOCKOPT", "GETSOCKOPT", "GETRANDOM", "NAME", "CLOSE",
              "FCNTL")


class Faulty:
    """A tunnel one of whose ends has failing calls."""

    def __init__(self, side):
        self.told = []
        self.target = Target(lambda s: stream.serve(s, lambda *what: self.told.append(what)))
        self.plan = Plan()
        self.next_id = 0
        self.starving = False   # there is no memory at all: what waits for some may wait on
        environment = {side: self.plan.environment()}
        self.back = Process([tool(), "server", "-l", "127.0.0.1:0", "-t",
                             format_address(self.target.address), *OPTIONS],
                            env=environment.get("server"))
        self.back.address = listening(self.back)
        self.front = Process([tool(), "client", "-l", "127.0.0.1:0", "-r",
                              format_address(self.back.address), *OPTIONS, *RETRY],
                             env=environment.get("client"))
        self.front.address = listening(self.front)
        self.process = self.front if side == "client" else self.back
        self.recover()
        self.fds, self.live = self.process.fds(), self.plan.live()

    def exchange(self):
        """One stream; "complete", or "error" for an explicit one."""
        self.next_id += 1
        try:
            with connect(self.front.address, 0.2 if self.starving else RECOVERY_S) as sock:
                stream.exchange(sock, self.next_id, 20000, 30000, self.next_id % 2 == 0)
            return "complete"
        except (stream.Short, stream.Wrong) as error:
            return str(error)
        except TimeoutError:
            return "error" if self.starving else "hangs"
        except OSError:
            return "error"

    def recover(self):
        wait_until(lambda: self.exchange() == "complete", RECOVERY_S, "a working tunnel")

    def check(self, what):
        if self.process.child.poll() is not None:
            raise AssertionError("%s: the process ended with %d" % (
                what, self.process.child.returncode))
        wait_until(lambda: self.process.fds() <= self.fds, RECOVERY_S, "%s: %d descriptors, %d" % (
            what, self.fds, self.process.fds()))
        wait_until(lambda: self.plan.live() <= self.live, RECOVERY_S, "%s: %d blocks, %d" % (
            what, self.live, self.plan.live()))


def judge(side, call, result, harmless, what):
    if harmless:
        expect(result, "complete", what)
    elif side == "server" and call in ("READ", "WRITEV", "SOCKET", "CONNECT", "ALLOC"):
        # smux has no reset: where a target is cut off, the client reads an end.
        expect(result in ("complete", "error") or result.startswith("end after"), True,
               "%s: %s" % (what, result))
    else:
        expect_in(result, ("complete", "error"), what)


def fault_at_every_place(tunnel, side, call, how, harmless, reconnect=False, times=1):
    """Returns how many places there were. `reconnect` lets the session be lost, so that the calls
    of connecting are made."""
    for nth in range(1, MOST + 1):
        what = "%s of the %s, call %d, %s" % (
            call, side, nth, errno.errorcode.get(how, "%d bytes" % (how - short(0))))
        first = tunnel.plan.fail(call, nth, how, times)
        if reconnect:
            tunnel.plan.fail("RECV", 1, errno.EIO)
        result = tunnel.exchange()
        struck = tunnel.plan.calls(call) >= first
        tunnel.plan.clear()
        if struck or reconnect:
            judge(side, call, result, harmless and not reconnect, what)
        else:
            expect(result, "complete", "without a fault")
        tunnel.recover()
        if not struck:
            return nth - 1
    return MOST


def every_call(side):
    tunnel = Faulty(side)
    begin, before, places = time.monotonic(), tunnel.process.cpu_s(), 0
    for call, (harmless, costly) in KINDS.items():
        for how in harmless + costly:
            places += fault_at_every_place(tunnel, side, call, how, how in harmless)
            if side == "client" and call in CONNECTING:
                places += fault_at_every_place(tunnel, side, call, how, how in harmless, True)
        if LONG:
            tunnel.check(call)
    for call in KINDS:
        expect(tunnel.plan.calls(call) > 0, True, "%s of the %s is made" % (call, side))
    tunnel.check("all calls")
    wall = time.monotonic() - begin
    used = tunnel.process.cpu_s() - before
    print("       %d faults in %.1f s, %.0f %% of a processor" % (places, wall, 100 * used / wall))
    expect(used < 0.5 * wall, True, "it does not spin")


@test
def calls_of_the_client_fail():
    every_call("client")


@test
def calls_of_the_server_fail():
    every_call("server")


@test
def without_random_numbers_attempts_are_spread_all_the_same():
    plan = Plan()
    plan.fail("GETRANDOM", 1, errno.ENOSYS, 0)
    client = Process([tool(), "client", "-l", "127.0.0.1:0", "-r", "127.0.0.1:1",
                      "--retry-min", "0.2", "--retry-cap", "0.2", "--retry-max", "20"],
                     env=plan.environment())
    begin = time.monotonic()
    expect(client.wait(30), 69, "exit status")
    expect(time.monotonic() - begin > 0.5, True, "20 attempts took as long as they are to")


# --- memory (K1) -----------------------------------------------------------------------------

def memory_of(side, exchange):
    """Each allocation of an exchange fails, once and from then on."""
    tunnel = Faulty(side)
    for times in (1, 0):
        n = 1
        while True:
            first = tunnel.plan.fail("ALLOC", n, errno.ENOMEM, times)
            tunnel.starving = times == 0
            exchange(tunnel)
            struck = tunnel.plan.calls("ALLOC") >= first
            tunnel.starving = False
            tunnel.plan.clear()
            tunnel.recover()
            if not struck:
                break
            n += 1 if times == 1 else STEP
        expect(n > 1, True, "allocations")
    tunnel.check("ALLOC")


def one_stream(side):
    def play(tunnel):
        judge(side, "ALLOC", tunnel.exchange(), False, "one stream")
    return play


def five_streams(side):
    def play(tunnel):
        results = []
        threads = [threading.Thread(target=lambda: results.append(tunnel.exchange()))
                   for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for result in results:
            judge(side, "ALLOC", result, False, "five streams")
    return play


def a_lost_session(side):
    def play(tunnel):
        tunnel.plan.fail("RECV", 1, errno.EIO)
        for _ in range(2):
            judge(side, "ALLOC", tunnel.exchange(), False, "a lost session")
    return play


def counters(side):
    def play(tunnel):
        tunnel.process.send(signal.SIGUSR1)
        judge(side, "ALLOC", tunnel.exchange(), False, "counters")
    return play


def make_memory_tests():
    for scenario in (one_stream, five_streams, a_lost_session, counters):
        for side in ("client", "server"):
            def check(side=side, scenario=scenario):
                memory_of(side, scenario(side))
            check.__name__ = "memory_of_the_%s_%s" % (side, scenario.__name__)
            test(check)


make_memory_tests()


# --- starting --------------------------------------------------------------------------------

STARTING = {"ALLOC": [errno.ENOMEM], "SOCKET": [errno.EMFILE, errno.EACCES, errno.EAFNOSUPPORT],
            "BIND": [errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL],
            "LISTEN": [errno.EADDRINUSE], "SETSOCKOPT": [errno.ENOPROTOOPT],
            "NAME": [errno.ENOBUFS], "FCNTL": [errno.EAGAIN, errno.EMFILE],
            "GETSOCKOPT": [errno.ENOPROTOOPT]}
STARTS = {
    "server": ["server", "-l", "0", "-t", "1"],
    "client": ["client", "-l", "0", "-r", "1", "--retry-max", "1", "--insecure"],
    "pipe": ["client", "-l", "-", "-r", "1", "--retry-max", "1"],
    "decode": ["decode", "/dev/null"],
    "version": ["version"],
    "help": ["help", "options"],
}


def start_with_fault(arguments, call, nth, how):
    """Starts a program whose nth call fails; returns whether there was one."""
    plan = Plan()
    first = plan.fail(call, nth, how)
    process = Process([tool(), *arguments], env=plan.environment())
    deadline = time.monotonic() + 10
    while process.child.poll() is None and "listening" not in process.log():
        expect(time.monotonic() < deadline, True, "starting or ending within 10 s")
        time.sleep(0.002)
    status = process.child.poll()
    if status is not None:
        what = "%s, %s %d: status %d" % (arguments[0], call, nth, status)
        expect(0 <= status < 128, True, what)
        expect(status == 0 or len(process.log()) > 0, True, what + " and a message")
    process.kill()
    forget(process)
    return plan.calls(call) >= first


def make_starting_tests():
    for name, arguments in STARTS.items():
        def check(arguments=arguments):
            for call, errors in STARTING.items():
                for how in errors:
                    nth = 1
                    while nth < 60 and start_with_fault(arguments, call, nth, how):
                        nth += 1
        check.__name__ = "starting_%s_with_faults" % name
        test(check)


make_starting_tests()
run()
