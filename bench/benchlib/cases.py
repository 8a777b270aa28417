"""What is measured: for each case how to ask for it, and what to read from the answer."""

IDLE_STREAMS = 10000


class Case:
    """A row of the table.

    ours, go: the options of `smux bench`, and of `gopeer bench-self` and yamuxbench; None where
        that side has no such figure
    read: takes the flat figures of an answer, see contenders.py
    tcp: the options where raw sockets are asked for something else than the others; None for no
        raw sockets at all
    """

    def __init__(self, title, unit, ours, go, read, tcp=()):
        self.title, self.unit, self.read = title, unit, read
        self.ours, self.go = ours.split(), None if go is None else go.split()
        self.tcp = None if tcp is None else tcp.split() if tcp else self.ours


def rate(f):
    return f["bytes_per_s"] / 1e6


def operations(f):
    return f["operations_per_s"] / 1e3


def per_gigabyte(name, scale=1):
    """A figure for each 10^9 bytes; None, as there is none, when a test that was cut off moved
    nothing."""
    return lambda f: f[name] / scale / (f["bytes"] / 1e9) if f["bytes"] else None


cpu = per_gigabyte("cpu_s")
switches = per_gigabyte("context_switches", 1e3)


def jain(f):
    values = f["per_stream_bytes"]
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else 1


# Raw sockets: one connection, which has one thread an end as well.
LOOP = "bulk, 64 streams, one thread an end"


def bulk_cases():
    for prefix, flag in (("", ""), ("Unix socket: ", "unix ")):
        ours, go = ("--" + flag if flag else ""), ("-" + flag if flag else "")
        one = (f"--mode bulk {ours}", f"-mode bulk {go}")
        many = (f"--mode bulk -P 64 {ours}", f"-mode bulk -streams 64 {go}")
        yield Case(prefix + "bulk, 1 stream", "MB/s", *one, rate)
        yield Case(prefix + "bulk, 1 stream, CPU", "s/GB", *one, cpu)
        yield Case(prefix + "bulk, 1 stream, CPU outside the kernel", "s/GB", *one,
                   per_gigabyte("cpu_user_s"))
        yield Case(prefix + "bulk, 1 stream, context switches", "k/GB", *one, switches)
        yield Case(prefix + "bulk, 64 streams; raw: the 1 connection below", "MB/s", *many, rate,
                   tcp=one[0])
        yield Case(prefix + "bulk, 64 streams; raw: 64 connections", "MB/s", *many, rate)
        yield Case(prefix + "bulk, 64 streams; raw: 1 connection, CPU", "s/GB", *many, cpu,
                   tcp=one[0])
        yield Case(prefix + "bulk, 64 streams; raw: 1 connection, context switches", "k/GB", *many,
                   switches, tcp=one[0])
        yield Case(prefix + "bulk, 64 streams, Jain's index", "1", *many, jain)
        loop = f"--mode bulk -P 64 --loop {ours}"
        for what, unit, read in (("", "MB/s", rate), (", CPU", "s/GB", cpu),
                                 (", context switches", "k/GB", switches)):
            yield Case(prefix + LOOP + what, unit, loop, None, read, tcp=one[0])
        yield Case(prefix + LOOP + ", Jain's index", "1", loop, None, jain, tcp=None)


EIGHT = ("--mode bulk -P 8", "-mode bulk -streams 8")
LOADED = ("--mode loaded", "-mode loaded")
PING = ("--mode pingpong", "-mode pingpong")
# Go's memory counts a goroutine at each end too, without which a Go program cannot wait for a
# stream. It is looked at when 9/10 of the time are over: by then all streams have to be open.
# A session of ours gives back what it kept for busy streams after two seconds without work.
IDLE = (f"--mode idle -P {IDLE_STREAMS} -O 3", f"-mode idle -streams {IDLE_STREAMS} -seconds 6")

CASES = [
    *bulk_cases(),
    Case("64-byte writes, 1 stream", "k/s", "--mode small", "-mode small", operations),
    Case("64-byte writes, 1,000 streams in turn", "k/s", "--mode turns -P 1000 -O 1",
         "-mode turns -streams 1000", operations),
    Case("64-byte ping-pong, p50", "us", *PING, lambda f: f["p50_us"]),
    Case("64-byte ping-pong, p99", "us", *PING, lambda f: f["p99_us"]),
    Case("ping-pong beside 8 bulk streams, p50", "us", *LOADED, lambda f: f["p50_us"]),
    Case("ping-pong beside 8 bulk streams, p99", "us", *LOADED, lambda f: f["p99_us"]),
    Case("8 bulk streams", "MB/s", *EIGHT, rate),
    Case("8 bulk streams beside the ping-pong", "MB/s", *LOADED, rate),
    Case("open, 5 bytes, close", "k/s", "--mode churn", "-mode open", operations),
    Case("idle stream, heap of an end", "bytes", IDLE[0], None, lambda f: f["heap_per_end"],
         tcp=None),
    Case("idle stream, resident memory of an end", "bytes", *IDLE, lambda f: f["rss_per_end"],
         tcp=None),
]

# The rows of a short table.
HEADLINES = ["bulk, 1 stream", "bulk, 64 streams; raw: the 1 connection below",
             "64-byte writes, 1 stream", "64-byte writes, 1,000 streams in turn",
             "64-byte ping-pong, p50", "ping-pong beside 8 bulk streams, p99",
             "open, 5 bytes, close", "idle stream, resident memory of an end"]

# Pairs of contenders whose ratio is shown.
RATIOS = [("libsmux v1", "raw"), ("libsmux v2", "raw"), ("libsmux v1", "Go v1"),
          ("libsmux v2", "Go v2"), ("libsmux v2", "Go v2, 2 MiB"), ("libsmux v2", "yamux")]


class Goal:
    """What a figure, or with `other` its ratio to another contender's, has to reach."""

    def __init__(self, title, who, sense, limit, other=None, other_title=None):
        self.title, self.who, self.sense, self.limit, self.other = title, who, sense, limit, other
        self.other_title = other_title or title

    def text(self):
        if self.other is None:
            what = self.title
        elif self.other_title != self.title:
            what = f"{self.title} / {self.other_title}"
        else:
            what = f"{self.title} / {self.other}"
        return f"{self.who}: {what}", f"{self.sense} {self.limit:.3g}"

    def value(self, median):
        """median: function of case title and contender, None where there is no such figure."""
        value = median(self.title, self.who)
        if self.other is None or value is None:
            return value
        other = median(self.other_title, self.other)
        return value / other if other else None

    def is_met(self, value):
        return value >= self.limit if self.sense == ">=" else value <= self.limit


def goals():
    for ours, go in (("libsmux v1", "Go v1"), ("libsmux v2", "Go v2")):
        for prefix in ("", "Unix socket: "):
            many = prefix + "bulk, 64 streams; raw: "
            yield Goal(prefix + "bulk, 1 stream", ours, ">=", 0.95, "raw")
            yield Goal(many + "the 1 connection below", ours, ">=", 0.95, "raw")
            yield Goal(prefix + "bulk, 1 stream, CPU", ours, "<=", 1.1, "raw")
            yield Goal(many + "1 connection, CPU", ours, "<=", 1.1, "raw")
            yield Goal(prefix + "bulk, 64 streams, Jain's index", ours, ">=", 0.99)
            yield Goal(prefix + LOOP, ours, ">=", 0.95, "raw")
            yield Goal(prefix + LOOP + ", CPU", ours, "<=", 1.1, "raw")
            yield Goal(prefix + LOOP + ", Jain's index", ours, ">=", 0.99)
        yield Goal("64-byte writes, 1 stream", ours, ">=", 10, "raw")
        yield Goal("64-byte writes, 1,000 streams in turn", ours, ">=", 10, go)
        yield Goal("64-byte ping-pong, p50", ours, "<=", 1.15, "raw")
        yield Goal("64-byte ping-pong, p99", ours, "<=", 1.3, "raw")
        yield Goal("ping-pong beside 8 bulk streams, p99", ours, "<=", 1 / 10, "Go v1")
        yield Goal("ping-pong beside 8 bulk streams, p99", ours, "<=", 1 / 3, "Go v2")
        yield Goal("8 bulk streams beside the ping-pong", ours, ">=", 0.95, ours, "8 bulk streams")
        yield Goal("open, 5 bytes, close", ours, ">=", 20, go)
        yield Goal("idle stream, heap of an end", ours, "<=", 160)


GOALS = list(goals())
