"""What the tests of the tunnel share: processes that are cleaned up, log lines, targets.

A test file defines functions marked @test and ends with run(). Each runs by itself, in order;
what fails is printed with the last log lines of its processes. Exit status: 0, 1, or 77 when
everything was skipped.

The environment names the programs: SMUX_TOOL, and GOPEER_DIR or SMUX_INTEROP_DIR for the Go
peers. SMUX_LONG=1 turns the sizes of the long suite on.
"""
import ctypes
import hashlib
import os
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

LONG = os.environ.get("SMUX_LONG") == "1"
# Slow builds (sanitizers, valgrind) say how much of the work they can do.
PERCENT = int(os.environ.get("SMUX_TEST_PERCENT", "100"))
ROOT = os.environ.get("SMUX_SOURCE_DIR") or \
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MIB = 1 << 20

os.environ["PATH"] += ":/usr/sbin:/sbin"


class Skip(Exception):
    """The test cannot run here; the text says why."""


def tool():
    path = os.environ.get("SMUX_TOOL") or shutil.which("smux")
    if not path or not os.access(path, os.X_OK):
        raise Skip("SMUX_TOOL does not name the program")
    return path


def has_true_memory():
    """Whether memory is what the program asked for."""
    with open(tool(), "rb") as f:
        return b"__asan_init" not in f.read()


def need_true_memory():
    if not has_true_memory():
        raise Skip("memory figures mean nothing with AddressSanitizer")


def need(*programs):
    for program in programs:
        if shutil.which(program) is None:
            raise Skip("%s is not installed" % program)


def gopeer():
    """The newest Go peer that was built."""
    directory = os.environ.get("GOPEER_DIR") or os.environ.get("SMUX_INTEROP_DIR") or ""
    for name in ("gopeer-newest", "gopeer-debian"):
        path = os.path.join(directory, name)
        if directory and os.access(path, os.X_OK):
            return path
    raise Skip("no gopeer-newest: build it with interop/go/build.sh, name its directory in GOPEER_DIR")


# --- processes -------------------------------------------------------------------------------

_running = []
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent():
    """For a child: the kernel kills it when the thread ends that made it."""
    PR_SET_PDEATHSIG = 1
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A child whose output goes to a file that can be searched while it runs. The file has no name,
    so that nothing is left of it however a test ends."""

    def __init__(self, args, stdin=subprocess.DEVNULL, stdout=None, **kwargs):
        self.args = [str(a) for a in args]
        self.log_file = tempfile.TemporaryFile()
        self.child = subprocess.Popen(
            self.args, stdin=stdin, stdout=self.log_file if stdout is None else stdout,
            stderr=self.log_file, preexec_fn=die_with_parent, **kwargs)
        self.pid = self.child.pid
        _running.append(self)

    def log(self):
        fd = self.log_file.fileno()     # its offset is the child's, too, and must stay
        return os.pread(fd, os.fstat(fd).st_size, 0).decode(errors="replace")

    def wait_log(self, pattern, timeout=10, count=1):
        """Waits until a pattern has appeared `count` times; returns that match."""
        deadline = time.monotonic() + timeout
        while True:
            found = list(re.finditer(pattern, self.log(), re.M))
            if len(found) >= count:
                return found[count - 1]
            if time.monotonic() > deadline:
                raise AssertionError("no %r (x%d) within %s s in the log of %s" % (
                    pattern, count, timeout, " ".join(self.args[:2])))
            if self.child.poll() is not None and not re.search(pattern, self.log(), re.M):
                raise AssertionError("%s ended with %d before logging %r" % (
                    " ".join(self.args[:2]), self.child.returncode, pattern))
            time.sleep(0.02)

    def send(self, number):
        self.child.send_signal(number)

    def wait(self, timeout=15):
        return self.child.wait(timeout)

    def stop(self, number=signal.SIGTERM, timeout=15):
        """Ends it with a signal; returns the exit status."""
        if self.child.poll() is None:
            self.child.send_signal(number)
        return self.wait(timeout)

    def kill(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()

    def discard(self):
        """Kills it and forgets it and its log: for one of many."""
        self.kill()
        self.log_file.close()
        _running.remove(self)

    def rss(self):
        """Resident memory in bytes."""
        with open("/proc/%d/status" % self.pid) as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1)) * 1024

    def fds(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def cpu_s(self):
        """Processor time so far."""
        with open("/proc/%d/stat" % self.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def forget(process):
    """For a process that has ended and whose log is of no use any more."""
    process.log_file.close()
    _running.remove(process)


def clean_up(show_logs, out=sys.stdout):
    """Kills all processes, shows the last lines of their logs; gives reserved ports back."""
    for process in reversed(_running):
        process.kill()
        if show_logs:
            print("  --- log of %s" % " ".join(process.args), file=out)
            for line in process.log().splitlines()[-int(os.environ.get("SMUX_LOG_LINES", "15")):]:
                print("  | " + line[:300], file=out)
        process.log_file.close()
    _running.clear()
    for s in _reserved:
        s.close()
    _reserved.clear()


def run_tool(*args, stdin=None, timeout=20, env=None):
    """Runs the program to its end; returns (status, stdout, stderr) as text."""
    done = subprocess.run([tool(), *[str(a) for a in args]], input=stdin, capture_output=True,
                          timeout=timeout, env=env)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def _sanitizer_reports():
    """What the sanitizers have to say about the processes of a test."""
    for process in _running:
        found = re.search(r"^.*(ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:).*$",
                          process.log(), re.M)
        if found:
            return "%s: %s\n%s" % (process.args[1], found.group(0), process.log()[found.start():][:6000])
    return None


# --- the tunnel ------------------------------------------------------------------------------

def listening(process, timeout=10):
    """The address a tool process listens at, as (host, port) or a path."""
    addr = process.wait_log(r"listening addr=(\S+)", timeout).group(1)
    return parse_address(addr)


def parse_address(text):
    if text.startswith("unix:"):
        return text[5:]
    if text.startswith("@"):
        return "\0" + text[1:]
    host, port = text.rsplit(":", 1)
    return host.strip("[]"), int(port)


def format_address(address):
    if isinstance(address, str):
        return "@" + address[1:] if address.startswith("\0") else "unix:" + address
    return "%s:%d" % address


def server(target, *options, listen="127.0.0.1:0"):
    process = Process([tool(), "server", "-l", listen, "-t", format_address(target), *options])
    process.address = listening(process)
    return process


def client(remote, *options, listen="127.0.0.1:0"):
    process = Process([tool(), "client", "-l", listen, "-r", format_address(remote), *options])
    process.address = listening(process)
    return process


class Tunnel:
    """A server and a client in front of a target. Connect to .address."""

    def __init__(self, target, server_options=(), client_options=(), listen="127.0.0.1:0",
                 session="127.0.0.1:0"):
        self.server = server(target, *server_options, listen=session)
        self.client = client(self.server.address, *client_options, listen=listen)
        self.address = self.client.address
        self.client.wait_log(r"session\.up")

    def connect(self, timeout=20):
        return connect(self.address, timeout)

    def connect_used(self):
        return connect_used(self.address)


# --- sockets ---------------------------------------------------------------------------------

def connect(address, timeout=20):
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM)
    s.settimeout(timeout)
    s.connect(address)
    return s


def connect_used(address):
    """A connection to an echo that has carried a byte there and back: its stream is open."""
    s = connect(address)
    s.sendall(b"x")
    read_exactly(s, 1)
    return s


_reserved = []


def free_port():
    """A port of loopback where nobody listens, reserved until the end of the test: nobody else gets
    it, not even as the near end of a connection. What sets SO_REUSEADDR can listen there."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 0))
    _reserved.append(s)
    return s.getsockname()[1]


def own_address():
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        try:
            s.connect(("192.0.2.1", 9))  # which sends nothing
            address = s.getsockname()[0]
        except OSError:
            address = "127.0.0.1"
    if address.startswith("127."):
        raise Skip("this machine has no address but loopback")
    return address


def read_all(s):
    chunks = []
    while True:
        chunk = s.recv(1 << 18)
        if not chunk:
            return b"".join(chunks)
        chunks.append(chunk)


def read_exactly(s, n):
    data = bytearray()
    while len(data) < n:
        chunk = s.recv(min(n - len(data), 1 << 18))
        if not chunk:
            raise AssertionError("end after %d of %d bytes" % (len(data), n))
        data += chunk
    return bytes(data)


def reset(s):
    """Closes with RST."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def ends_with_reset(s):
    """Reads to the end; True when that is an error, False when it looks complete."""
    try:
        read_all(s)
    except ConnectionResetError:
        return True
    return False


class Target:
    """A TCP or Unix server in this process: `serve(connection)` runs in a thread each."""

    def __init__(self, serve, path=None):
        family = socket.AF_UNIX if path else socket.AF_INET
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.bind(path or ("127.0.0.1", 0))
        self.listener.listen(1024)
        self.address = path or self.listener.getsockname()
        self.serve = serve
        self.accepted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection):
        try:
            self.serve(connection)
        except OSError:
            pass
        finally:
            connection.close()

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def echo(connection):
    while True:
        data = connection.recv(1 << 16)
        if not data:
            connection.shutdown(socket.SHUT_WR)
            return
        connection.sendall(data)


def answer_at_end(connection):
    """Reads the whole request, then answers with its length and digest: needs half-close."""
    digest = hashlib.sha256()
    n = 0
    while True:
        data = connection.recv(1 << 18)
        if not data:
            break
        n += len(data)
        digest.update(data)
    connection.sendall(b"%d %s\n" % (n, digest.hexdigest().encode()))
    connection.shutdown(socket.SHUT_WR)


def wait_until(condition, timeout=10, what="condition"):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("%s not true within %s s" % (what, timeout))
        time.sleep(0.02)


def raise_descriptors(wanted):
    """Raises the limit of open files; Skip when the hard limit forbids it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise Skip("the hard limit of open files is %d, %d are needed" % (hard, wanted))
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def expect(actual, expected, what):
    if actual != expected:
        raise AssertionError("%s: expected %r, got %r" % (what, expected, actual))


def expect_in(part, whole, what):
    if part not in whole:
        raise AssertionError("%s: expected %r in %r" % (what, part, whole[-2000:]))


# --- running ---------------------------------------------------------------------------------

_tests = []


def test(function):
    _tests.append(function)
    return function


def run():
    chosen = sys.argv[1:]
    failed, skipped, ran = [], [], 0
    for function in _tests:
        name = function.__name__
        if chosen and name not in chosen:
            continue
        start = time.monotonic()
        try:
            function()
            report = _sanitizer_reports()
            if report:
                raise AssertionError(report)
        except Skip as why:
            skipped.append((name, str(why)))
            clean_up(False)
            continue
        except Exception as error:  # the text is what the reader needs
            if not isinstance(error, AssertionError):
                traceback.print_exc(file=sys.stdout)
            print("FAILED %s: %s" % (name, error))
            failed.append(name)
            clean_up(True)
            continue
        clean_up(False)
        ran += 1
        print("ok     %s (%.1f s)" % (name, time.monotonic() - start))
        sys.stdout.flush()
    reasons = sorted({why for _, why in skipped})
    for reason in reasons:
        names = [name for name, why in skipped if why == reason]
        print("SKIP: %s%s" % (reason, " (%s)" % ", ".join(names) if ran else ""))
    print("%d passed, %d failed, %d skipped" % (ran, len(failed), len(skipped)))
    sys.stdout.flush()
    os._exit(1 if failed else 77 if skipped and not ran else 0)
