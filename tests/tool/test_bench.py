"""`smux bench` measures what it says: every mode, both ways of running it, all forms of output.

The tests check that figures are sane, not that they are good: machines differ.
"""
# ctest-timeout: 300
import json
import os
import signal
import tempfile

import libtunnel
from libtunnel import expect, expect_in, listening, run_tool, test

SHORT = ["-t", "0.4", "-O", "0.1", "-i", "0.2"]
MODES = ["bulk", "small", "turns", "pingpong", "loaded", "churn"]

EX_USAGE, EX_UNAVAILABLE, EX_CANTCREAT, EX_PROTOCOL, EX_CONFIG = 64, 69, 73, 76, 78

START_KEYS = {"time", "libsmux", "compiler", "os", "cpu", "cores", "tcp", "mode", "kind", "params"}
PARAM_KEYS = {"streams", "size", "framesize", "streambuf"}
INTERVAL_KEYS = {"t0", "t1", "bytes", "writes", "frames", "blocked_window_s", "p50_us", "p99_us"}
END_KEYS = {"seconds", "bytes_per_s", "cv", "streams_per_s", "cpu_s", "rss_bytes",
            "rss_per_stream", "latency_us", "per_stream_bytes", "window_limited"}


def bench(*options, timeout=60):
    """Runs a benchmark that must succeed; returns its standard output."""
    status, out, err = run_tool("bench", *options, timeout=timeout)
    expect(status, 0, "exit status of bench %s\n%s%s" % (" ".join(options), out, err))
    return out


def document(*options, timeout=60):
    return json.loads(bench(*options, "-J", "-", timeout=timeout))


def document_of_work(*options):
    """With more time where a busy machine has not come to anything in a short one."""
    for seconds in ("0.4", "2", "10"):
        result = document(*SHORT, "-t", seconds, *options)
        if all(test["end"]["bytes"] > 0 for test in result.get("tests", [result])):
            break
    return result


def expect_true(condition, what):
    expect(bool(condition), True, what)


def expect_sane(result):
    """What holds for every result of schema smux-bench/1."""
    start, intervals, end = result["start"], result["intervals"], result["end"]
    expect(result["schema"], "smux-bench/1", "schema")
    expect(START_KEYS - start.keys(), set(), "keys missing in start")
    expect(PARAM_KEYS - start["params"].keys(), set(), "keys missing in params")
    expect(END_KEYS - end.keys(), set(), "keys missing in end")
    expect_true(intervals, "there are intervals")
    for interval in intervals:
        expect(INTERVAL_KEYS - interval.keys(), set(), "keys missing in an interval")
        expect_true(interval["t0"] < interval["t1"], "an interval takes time")
        expect_true(interval["p50_us"] <= interval["p99_us"], "p50 <= p99 in an interval")
    expect_true(abs(intervals[-1]["t1"] - end["seconds"]) < 1e-3, "the last interval ends the test")
    expect(sum(i["bytes"] for i in intervals), end["bytes"], "bytes of all intervals")
    expect(sum(end["per_stream_bytes"]), end["bytes"], "bytes of all streams")
    expect_true(0 <= end["cpu_user_s"] <= end["cpu_s"], "processor time")
    expect_true(end["context_switches"] >= 0, "context switches")
    expect_true(end["rss_bytes"] > 100000, "a process takes memory")
    latency = end["latency_us"]
    order = [latency[name] for name in ("p50", "p90", "p99", "p999", "p9999", "max")]
    expect(order, sorted(order), "order of the quantiles")
    expect(sum(count for _, count in result["histogram"]), latency["count"], "histogram")


def expect_active(result):
    """What holds in addition where something is done, as in all modes but idle."""
    start, end = result["start"], result["end"]
    what = "%s %s" % (start["mode"], start["kind"])
    expect_true(end["bytes"] > 0, what + " moves bytes")
    expect_true(end["writes_per_s"] > 1, what + " does something")
    expect_true(end["cpu_s"] > 0, what + " takes processor time")
    if start["mode"] in ("pingpong", "loaded"):
        expect_true(end["latency_us"]["p50"] > 0, what + " has a latency")
    if start["mode"] == "churn":
        expect_true(end["streams_per_s"] > 1, what + " opens streams")
    if start["kind"] == "tcp":
        expect(end["frames"], 0, "frames of TCP")
    else:
        expect_true(end["frames"] > 0, what + " sends frames")


@test
def every_mode_over_tcp_v1_and_v2():
    for mode in MODES:
        doc = document_of_work("--mode", mode, "--vs", "tcp,v1,v2")
        kinds = [result["start"]["kind"] for result in doc["tests"]]
        expect(kinds, ["tcp", "v1", "v2"], "kinds of " + mode)
        for result in doc["tests"]:
            expect_sane(result)
            expect_active(result)
        for row in doc["summary"]:
            expect_true(row["min"] <= row["median"] <= row["max"], "order in the summary")
            expect(row["runs"], 1, "runs in the summary")


@test
def many_streams_in_every_direction():
    for direction in ([], ["--reverse"], ["--bidir"]):
        result = document_of_work("-P", "8", "--size", "10000", *direction)
        expect_sane(result)
        expect_active(result)
        end = result["end"]
        expect(len(end["per_stream_bytes"]), 16 if "--bidir" in direction else 8,
               "streams with " + " ".join(direction))
        expect_true(end["fairness"] > 0.5, "no stream starves: %.2f, %s" % (
            end["fairness"], end["per_stream_bytes"]))


@test
def one_thread_an_end_serves_all_streams():
    for direction in ([], ["--reverse"], ["--bidir"], ["--unix"]):
        for result in document_of_work("--loop", "-P", "16", "--size", "10000", "--vs", "v1,v2",
                                       *direction)["tests"]:
            expect_sane(result)
            expect_active(result)
            expect(result["start"]["params"]["loop"], True, "loop")
            expect_true(result["end"]["fairness"] > 0.5, "no stream starves with %s: %s" % (
                direction, result["end"]["per_stream_bytes"]))


@test
def fairness_is_that_of_each_interval():
    result = document("-P", "8", "--size", "10000", *SHORT)
    for interval in result["intervals"]:
        expect_true(1 / 8 <= interval["fairness"] <= 1, "Jain's index: %s" % interval)
    result = document("-P", "1", *SHORT)
    expect([i["fairness"] for i in result["intervals"]], [1.0, 1.0], "of a single stream")


@test
def turns_give_every_stream_the_same():
    """The client compares what each of the sinks got, so success is the test."""
    result = document("--mode", "turns", "-P", "300", "--size", "100", *SHORT)
    expect(result["start"]["params"]["streams"], 300, "streams")
    expect(result["end"]["bytes"], 100 * result["end"]["writes"], "bytes")


def socket_directories():
    return {name for name in os.listdir("/tmp") if name.startswith("smux-bench-")}


@test
def every_kind_over_unix_sockets():
    before = socket_directories()
    for mode in ("bulk", "turns", "churn"):
        for result in document_of_work("--unix", "--mode", mode, "--vs", "tcp,v1,v2",
                                       "-P", "2")["tests"]:
            expect_sane(result)
            expect_active(result)
            expect(result["start"]["params"]["unix"], True, "unix")
    # Those of benchmarks beside this one go away in time.
    libtunnel.wait_until(lambda: socket_directories() <= before, 30, "nothing stays in /tmp")


@test
def requests_arrive_before_data_fills_a_session():
    """Version 1 has one receive buffer for all: data must not shut requests out."""
    result = document_of_work("-P", "64", "--smuxver", "1", "-O", "0")
    expect_sane(result)
    expect_active(result)


@test
def idle_streams_report_their_memory():
    libtunnel.need_true_memory()
    for version in ("1", "2"):
        result = document("--mode", "idle", "-P", "2000", "--smuxver", version, *SHORT)
        expect_sane(result)
        end = result["end"]
        expect(end["ends_here"], 2, "ends in this process")
        expect_true(64 < end["heap_per_stream"] < 1024, "heap of a stream: %s" % end)
        expect_true(end["streams_per_s"] > 100, "streams opened per second")


@test
def a_hundred_thousand_idle_streams():
    if libtunnel.PERCENT < 100:
        raise libtunnel.Skip("too many streams for a slow build")
    libtunnel.need_true_memory()
    result = document("--mode", "idle", "-P", "100000", "-t", "0.2", "-O", "0.1", timeout=120)
    expect(result["start"]["params"]["streams"], 100000, "streams")
    expect_true(result["end"]["heap_per_stream"] <= 256, "at most 256 bytes a stream end: %s"
                % result["end"]["heap_per_stream"])


@test
def open_loop_keeps_the_rate():
    result = document("--mode", "pingpong", "-P", "2", "--rate", "500", "-t", "1", "-O", "0.2")
    expect_sane(result)
    expect(result["end"]["open_loop"], True, "open_loop")
    expect_true(300 < result["end"]["writes_per_s"] < 700,   # a busy machine catches up late
                "messages a second: %s" % result["end"]["writes_per_s"])


@test
def runs_are_interleaved_and_summed_up():
    doc = document("--vs", "tcp,v2", "--runs", "3", "-t", "0.1", "-O", "0")
    order = [(r["start"]["run"], r["start"]["kind"]) for r in doc["tests"]]
    expect(order, [(run, kind) for run in (1, 2, 3) for kind in ("tcp", "v2")], "order")
    rows = {row["kind"]: row for row in doc["summary"] if row["figure"] == "throughput"}
    expect(rows["v2"]["runs"], 3, "runs")
    expect(rows["tcp"]["ratio_tcp"], 1.0, "ratio of tcp to itself")
    ratio = rows["v2"]["median"] / rows["tcp"]["median"]
    expect_true(abs(rows["v2"]["ratio_tcp"] - ratio) < 1e-6, "ratio of v2")


# --- forms of output -------------------------------------------------------------------------

@test
def table_on_standard_output():
    out = bench(*SHORT)
    expect_in("bulk  1 stream  128 KiB each", out, "title")
    expect_in("window auto", out, "title")
    expect_in("0.2-0.4 s", out, "second interval")
    expect_in("total", out, "total")
    expect_in("ns/byte", out, "cost")


@test
def json_lines_are_events():
    lines = [json.loads(line) for line in bench("--json-lines", *SHORT).splitlines()]
    expect([line["event"] for line in lines], ["start", "interval", "interval", "end"], "events")
    expect(START_KEYS - lines[0]["data"].keys(), set(), "keys missing in start")
    expect(INTERVAL_KEYS - lines[1]["data"].keys(), set(), "keys missing in an interval")
    expect(END_KEYS - lines[-1]["data"].keys(), set(), "keys missing in end")


@test
def json_file_beside_the_table():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "result.json")
        expect_in("total", bench("-J", path, *SHORT), "table")
        with open(path) as f:
            expect_sane(json.load(f))


@test
def tables_for_gnuplot():
    with tempfile.TemporaryDirectory() as directory:
        prefix = os.path.join(directory, "x")
        bench("--mode", "bulk,pingpong", "--vs", "tcp,v2", "--tsv", prefix, *SHORT)
        for name, blocks in (("intervals", 4), ("latency", 2), ("summary", 0)):
            with open("%s.%s.tsv" % (prefix, name)) as f:
                lines = f.read().splitlines()
            columns = len(lines[0].split("\t"))
            rows = [line for line in lines[1:] if line and not line.startswith("#")]
            expect({len(row.split("\t")) for row in rows}, {columns}, "columns of " + name)
            expect(sum(line.startswith("#") for line in lines), blocks, "blocks of " + name)


@test
def figures_are_drawn_from_the_tables():
    libtunnel.need("gnuplot")
    plots = os.path.join(libtunnel.ROOT, "plots")
    with tempfile.TemporaryDirectory() as directory:
        prefix = os.path.join(directory, "x")
        bench("--mode", "bulk,pingpong", "--vs", "tcp,v2", "--tsv", prefix, *SHORT)
        for name in ("intervals", "latency", "summary"):
            picture = "%s.%s.svg" % (prefix, name)
            status = os.system("gnuplot -e \"data='%s.%s.tsv'; output='%s'\" %s/%s.gp"
                               % (prefix, name, picture, plots, name))
            expect(status, 0, "exit status of gnuplot for " + name)
            with open(picture) as f:
                expect_in("</svg>", f.read(), "picture of " + name)


@test
def markdown_is_only_the_summary():
    lines = bench("--markdown", "--vs", "tcp,v1", *SHORT).splitlines()
    expect({line[0] + line[-1] for line in lines}, {"||"}, "bars around every line")
    expect_in("v1/tcp", lines[0], "header")
    expect_in("---:", lines[1], "rule")
    expect_in("throughput", lines[2], "first figure")


# --- with a server ---------------------------------------------------------------------------

def bench_server(*options):
    process = libtunnel.Process([libtunnel.tool(), "server", "--bench", "-l", "127.0.0.1:0",
                                 *options])
    return libtunnel.format_address(listening(process))


@test
def every_mode_with_a_server():
    address = bench_server()
    for mode in MODES:
        for direction in ([], ["--reverse"]) if mode in ("bulk", "loaded") else ([],):
            result = document_of_work("-r", address, "--mode", mode, *direction)
            expect_sane(result)
            expect_active(result)
            expect(result["start"]["params"]["remote"], address, "remote")
    for direction in ([], ["--reverse"]):
        result = document_of_work("-r", address, "--loop", "-P", "4", *direction)
        expect_sane(result)
        expect_active(result)
    versions = document("-r", address, "--vs", "v1,v2", *SHORT)["tests"]
    expect([r["start"]["kind"] for r in versions], ["v1", "v2"], "versions")


@test
def idle_streams_at_a_server():
    address = bench_server("--max-streams-per-session", "3000")
    result = document("-r", address, "--mode", "idle", "-P", "2000", *SHORT)
    expect_sane(result)
    expect(result["end"]["ends_here"], 1, "ends in this process")
    status, _, err = run_tool("bench", "-r", address, "--mode", "idle", "-P", "4000", *SHORT)
    expect(status, EX_PROTOCOL, "exit status beyond the server's limit")
    expect_in("raise --max-streams-per-session of the server", err, "message")


@test
def a_server_that_does_something_else():
    target = libtunnel.Target(libtunnel.echo)
    tunnel = libtunnel.server(target.address)
    for loop in ([], ["--loop"]):
        status, _, err = run_tool("bench", "-r", libtunnel.format_address(tunnel.address),
                                  "--connect-timeout", "1", *SHORT, *loop)
        expect(status, EX_PROTOCOL, "exit status")
        expect_in("is `smux server --bench` running there?", err, "message")


@test
def a_server_that_dies():
    for loop in ([], ["--loop"]):
        process = libtunnel.Process([libtunnel.tool(), "server", "--bench", "-l", "127.0.0.1:0"])
        address = libtunnel.format_address(listening(process))
        client = libtunnel.Process([libtunnel.tool(), "bench", "-r", address, "-t", "30", "-O", "0",
                                    "-i", "0.1", *loop])
        client.wait_log(r"0\.1-0\.2 s")
        process.kill()
        expect(client.wait(10), EX_UNAVAILABLE, "exit status")
        expect_in("the test failed", client.log(), "message")


# --- interrupted ------------------------------------------------------------------------------

FIRST_INTERVAL = r"^  0\.0-\d"     # a busy machine may make it a longer one


def interrupted(pattern, *options, status=130):
    """Starts a benchmark, sends INT when its output has this; returns what it printed."""
    process = libtunnel.Process([libtunnel.tool(), "bench", *options])
    process.wait_log(pattern)
    process.send(signal.SIGINT)
    expect(process.wait(10), status, "exit status")
    return process.log()


@test
def interrupt_shows_what_was_measured():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "result.json")
        out = interrupted(FIRST_INTERVAL, "-t", "60", "-O", "0", "-i", "0.2", "-J", path,
                          "--tsv", os.path.join(directory, "x"))
        expect_in("  total ", out, "table")
        expect_in("smux: interrupted: this is what was measured until then", out, "message")
        with open(path) as f:
            result = json.load(f)
        expect_sane(result)
        expect_active(result)
        expect_true(0.19 < result["end"]["seconds"] < 30, "seconds measured")
        with open(os.path.join(directory, "x.summary.tsv")) as f:
            expect_true(len(f.readlines()) > 1, "rows of the summary")


@test
def interrupt_in_every_mode():
    for mode in MODES + ["idle"]:
        for kind in ("tcp", "v2"):
            options = ["-P", "200"] if mode == "idle" else []
            out = interrupted(FIRST_INTERVAL, "-m", mode, "--vs", kind, "-t", "60", "-O", "0",
                              "-i", "0.1", *options)
            expect_in("  total ", out, "table of %s over %s" % (mode, kind))


@test
def interrupt_between_runs():
    out = interrupted(r"run 2 of 9\n.*\n  0\.0-\d", "--vs", "tcp,v2", "--runs", "9", "-t", "0.3", "-O", "0",
                      "-i", "0.1")
    expect_in("medians of 2 runs, interrupted", out, "title of the summary")
    expect("run 3 of 9" in out, False, "a test that began after the interrupt")


@test
def interrupt_before_anything_was_measured():
    out = interrupted("interval", "-t", "1", "-O", "60")
    expect_in("smux: interrupted before anything was measured", out, "message")
    expect("total" in out, False, "a result of nothing")


@test
def second_interrupt_ends_at_once():
    """The server stops reading, so that the first one waits for an answer."""
    server = libtunnel.Process([libtunnel.tool(), "server", "--bench", "-l", "127.0.0.1:0"])
    address = libtunnel.format_address(listening(server))
    process = libtunnel.Process([libtunnel.tool(), "bench", "-r", address, "-t", "60", "-O", "0",
                                 "-i", "0.1"])
    process.wait_log(FIRST_INTERVAL)
    server.send(signal.SIGSTOP)
    process.send(signal.SIGINT)
    try:
        process.wait(0.5)
        raise AssertionError("the first one did not wait")
    except libtunnel.subprocess.TimeoutExpired:
        pass
    process.send(signal.SIGINT)
    expect(process.wait(5), -signal.SIGINT, "ended by the signal")


@test
def a_loop_has_one_thread_at_each_end():
    """And the one that looks at the counters; so there may be more streams than threads."""
    process = libtunnel.Process([libtunnel.tool(), "bench", "--loop", "-P", "5000", "-t", "60",
                                 "-O", "0", "-i", "0.1"])
    process.wait_log(FIRST_INTERVAL)
    expect(len(os.listdir("/proc/%d/task" % process.pid)), 3, "threads")
    process.send(signal.SIGINT)
    expect(process.wait(30), 130, "exit status")


# --- what is refused -------------------------------------------------------------------------

@test
def wrong_options():
    wrong = [
        (["--mode", "fast"], EX_USAGE, "--mode fast: expected bulk, small"),
        (["--mode", "bulk,fast"], EX_USAGE, "--mode fast"),
        (["--mode", ""], EX_USAGE, "--mode"),
        (["--vs", "v3"], EX_USAGE, "--vs v3: expected tcp, v1 or v2"),
        (["--unix", "-r", "127.0.0.1:1"], EX_USAGE, "leave --remote out"),
        (["--vs", "tcp", "-r", "127.0.0.1:1"], EX_USAGE, "leave --remote out"),
        (["--streams", "0"], EX_USAGE, "out of range"),
        (["--streams", "5000"], EX_USAGE, "each has a thread"),
        (["--loop", "--mode", "small"], EX_USAGE, "--loop is for --mode bulk"),
        (["--loop", "--mode", "bulk,idle"], EX_USAGE, "--loop is for --mode bulk"),
        (["--loop", "--vs", "tcp,v2"], EX_USAGE, "leave tcp out of --vs"),
        (["--time", "0"], EX_USAGE, "out of range"),
        (["--time", "soon"], EX_USAGE, "not a time"),
        (["--size", "1GiB"], EX_USAGE, "out of range"),
        (["--reverse", "--bidir"], EX_USAGE, "exclude each other"),
        (["--json-lines", "-J", "-"], EX_USAGE, "standard output"),
        (["--smuxver", "3"], EX_USAGE, "expected 1 or 2"),
        (["--bogus"], EX_USAGE, "unknown option --bogus"),
        (["extra"], EX_USAGE, "unexpected word"),
        (["--streambuf", "8MiB"], EX_CONFIG, "--streambuf must not be larger"),
        (["--tsv", "/nonexistent/x"], EX_CANTCREAT, "cannot write /nonexistent/x"),
        (["-J", "/nonexistent/x"], EX_CANTCREAT, "cannot write /nonexistent/x"),
        (["-r", "127.0.0.1:%d" % libtunnel.free_port()], EX_UNAVAILABLE, "connection refused"),
    ]
    for options, code, message in wrong:
        status, _, err = run_tool("bench", *options)
        expect(status, code, "exit status of bench %s (%s)" % (" ".join(options), err.strip()))
        expect_in(message, err, "message for " + " ".join(options))


@test
def help_names_every_mode():
    status, out, _ = run_tool("help", "bench")
    expect(status, 0, "exit status")
    for mode in MODES + ["idle"]:
        expect_in(mode, out, "help")


libtunnel.run()
