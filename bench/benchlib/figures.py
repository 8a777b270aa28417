"""The data of the figures: one function a figure writes the table that plots/NAME.gp draws.

Tables have columns separated by tabs and named in the first line of a block; blocks are separated
by two empty lines, as gnuplot's `index` wants it.
"""
import json
import statistics
import types

from . import ROOT, Failure, run
from .cases import Case
from .contenders import field

FRAME_SIZES = (1024, 2048, 4096, 8192, 16384, 32768, 65535)
IDLE_STREAMS = (100, 1000, 10000, 100000)
GO_IDLE_STREAMS = 10000     # beyond, goroutines take longer to start than the test runs
LINK = 100e6                # bytes a second of the paced link of `smooth`


class Table:
    def __init__(self):
        self._blocks = []

    def block(self, header, rows):
        lines = ["\t".join(map(str, row)) for row in [header, *rows]]
        self._blocks.append("\n".join(lines) + "\n")

    def write(self, path):
        if not self._blocks:
            raise Failure(f"{path.name}: nothing was measured")
        path.write_text("\n\n".join(self._blocks))


def bench(context, *options):
    """Runs `smux bench` and returns the results of its tests."""
    document = json.loads(run([context.build / "bin/smux", "bench", *options, "-J", "-"]))
    return document.get("tests", [document])


def smooth(context, table):
    """The rate at which data arrives at a reader that reads in bursts."""
    kinds = (("raw TCP", "raw", 0), ("v1, token bucket", "v1", 0),
             ("v2, fixed window of 64 KiB", "v2", 65536), ("v2, window tunes itself", "v2", 0))
    for name, kind, window in kinds:
        output = run([context.build / "bin/smooth_bench", kind, context.time, LINK, window])
        rows = [line.split("\t") for line in output.splitlines()[1:]]
        rates = [float(rate) / 1e6 for _, rate in rows]
        mean = statistics.mean(rates)
        caption = f"{name}: mean {mean:.1f} MB/s, cv {statistics.pstdev(rates) / mean:.2f}"
        table.block(["t_s", json.dumps(caption)],
                    [(t, f"{rate:.3f}") for (t, _), rate in zip(rows, rates)])


def loaded(context, table):
    """Latency of a ping-pong beside 8 bulk streams: how many messages took longer."""
    case = Case("loaded", "us", "--mode loaded", "-mode loaded", None)
    contenders, _ = field(context.build / "bin/smux", context.go, context.time)
    for contender in contenders:
        histogram = contender.figures(run(contender.command(case)))["histogram"]
        total = sum(count for _, count in histogram)
        seen, rows = 0, []
        for upto_us, count in histogram:
            seen += count
            rows.append((f"{upto_us:.3f}", f"{1 - seen / total:.8f}"))
        if rows:
            table.block(["upto_us", json.dumps(contender.name)], rows)


def fairness(context, table):
    """Jain's index of 64 bulk streams in each tenth of a second."""
    for result in bench(context, "--mode", "bulk", "-P", "64", "--vs", "tcp,v1,v2", "-i", "0.1",
                        "-t", str(context.time)):
        kind = result["start"]["kind"]
        name = "64 TCP connections" if kind == "tcp" else f"64 streams of {kind}"
        table.block(["t_s", json.dumps(name)],
                    [(f"{i['t1']:.3f}", f"{i['fairness']:.6f}") for i in result["intervals"]])


def memory(context, table):
    """Memory of an idle stream end against their number."""
    ours = {"heap": [], "resident": []}
    for streams in IDLE_STREAMS:
        end = bench(context, "--mode", "idle", "-P", str(streams), "-t", "0.2", "-O", "3",
                    "--vs", "v2")[0]["end"]
        ours["heap"].append((streams, f"{end['heap_per_stream']:.1f}"))
        ours["resident"].append((streams, f"{end['rss_per_stream']:.1f}"))
    for name, rows in ours.items():
        table.block(["streams", json.dumps("libsmux v2, " + name)], rows)
    contenders, _ = field(context.build / "bin/smux", context.go, context.time)
    for contender in contenders:
        if contender.name not in ("Go v2", "yamux"):
            continue
        rows = []
        for streams in [n for n in IDLE_STREAMS if n <= GO_IDLE_STREAMS]:
            case = Case("idle", "bytes", "", f"-mode idle -streams {streams} -seconds 4", None)
            figures = contender.figures(run(contender.command(case)))
            rows.append((streams, f"{figures['rss_per_end']:.1f}"))
        table.block(["streams", json.dumps(contender.name + ", resident")], rows)


def cpu(context, table):
    """Processor time a byte of one bulk stream against the frame size."""
    options = ["--mode", "bulk", "-t", str(context.time), "-O", "0.3"]
    rows = {"raw TCP": [], "v1": [], "v2": []}
    for size in FRAME_SIZES:
        for result in bench(context, *options, "--framesize", str(size), "--vs", "tcp,v1,v2"):
            kind, end = result["start"]["kind"], result["end"]
            if end["bytes"]:
                rows["raw TCP" if kind == "tcp" else kind].append(
                    (size, f"{end['cpu_s'] * 1e9 / end['bytes']:.4f}"))
    for name, points in rows.items():
        if points:
            table.block(["framesize", json.dumps(name)], points)


def engine(context, table):
    """Time of a 64-byte frame in the engine alone against the number of open streams."""
    answers = [json.loads(line)
               for line in run([context.build / "bin/engine_bench"]).splitlines()]
    for version in (1, 2):
        for name, few in (("100 of them active", True), ("all active", False)):
            rows = [(a["streams"], a["ns"]) for a in answers
                    if a["case"] == "frame64" and a["version"] == version
                    and a["active"] == (min(a["streams"], 100) if few else a["streams"])]
            table.block(["streams", json.dumps(f"v{version}, {name}")], rows)


def rtt(context, table):
    """Throughput against the round trip, version 2 with a window that tunes itself and with a
    fixed one; bench/rtt writes its own table."""
    run([ROOT / "bench/rtt", "--tsv", context.path, "--tool", context.build / "bin/smux",
         "--linkemu", context.build / "bin/linkemu", "--time", context.time,
         "--streambuf", "0,256KiB"], timeout=900)


FIGURES = {function.__name__: function
           for function in (smooth, loaded, fairness, memory, cpu, engine, rtt)}


def measure(name, directory, build, go, time):
    """Writes NAME.tsv into the directory."""
    table = Table()
    path = directory / f"{name}.tsv"
    FIGURES[name](types.SimpleNamespace(build=build, go=go, time=time, path=path), table)
    if name != "rtt":
        table.write(path)
