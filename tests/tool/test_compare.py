"""bench/compare in small and without Go: tables, JSON document, what goes into documents."""
# ctest-timeout: 240
import json
import os
import subprocess
import sys
import tempfile

import libtunnel
from libtunnel import ROOT, expect, expect_in, test

COMPARE = [sys.executable, os.path.join(ROOT, "bench/compare")]


def compare(*options):
    return subprocess.run([*COMPARE, *options], capture_output=True, text=True, timeout=200)


@test
def compares_raw_sockets_and_both_versions():
    with tempfile.TemporaryDirectory() as directory:
        done = compare("--tool", libtunnel.tool(), "--no-go", "--runs", "2", "--time", "0.3",
                       "--cases", "^bulk, 1 stream|^bulk, 64 streams; raw: the|^idle stream, heap|one thread",
                       "--out", directory)
        expect(done.returncode, 0, "exit status\n" + done.stderr)
        expect_in("libsmux v2 / raw", done.stdout, "ratios")
        expect_in("libsmux v2: bulk, 1 stream / raw | >= 0.95", done.stdout, "goals")
        expect("Go v1" in done.stdout, False, "a column for Go without Go")
        with open(os.path.join(directory, "compare.json")) as f:
            document = json.load(f)
        with open(os.path.join(directory, "compare.tsv")) as f:
            bars = [line.rstrip("\n").split("\t") for line in f]
    expect(document["schema"], "smux-compare/2", "schema")
    expect_in("cpu", document["machine"], "machine")
    cases = {case["title"]: case for case in document["cases"]}
    for title, case in cases.items():
        alone = title.startswith("idle") or title.endswith("thread an end, Jain's index")
        names = {"libsmux v1", "libsmux v2"} | (set() if alone else {"raw"})
        expect(set(case["values"]), names, "contenders in " + title)
        expect({len(values) for values in case["values"].values()}, {2}, "runs")
    below = cases["bulk, 64 streams; raw: the 1 connection below"]["values"]["raw"]
    expect(below, cases["bulk, 1 stream"]["values"]["raw"], "the connection below")
    expect(cases["bulk, 64 streams, one thread an end"]["values"]["raw"], below, "one connection")
    expect(bars[0], ["case", "libsmux v1", "libsmux v2"], "columns of the bars")
    expect(float(bars[1][2]), round(cases[bars[1][0]]["ratios"]["libsmux v2 / raw"], 6), "a bar")


def document_of(medians):
    """A compare.json with these figures: {title: {contender: values}}."""
    return {"schema": "smux-compare/2", "machine": {"cpu": "abacus"},
            "contenders": ["raw", "libsmux v2"],
            "cases": [{"title": title, "unit": "MB/s", "values": values}
                      for title, values in medians.items()]}


@test
def puts_an_earlier_result_into_documents():
    with tempfile.TemporaryDirectory() as directory:
        source, page = (os.path.join(directory, name) for name in ("compare.json", "page.md"))
        with open(source, "w") as f:
            json.dump(document_of({"bulk, 1 stream": {"raw": [1, 4, 2], "libsmux v2": [1, 1, 9]}}),
                      f)
        with open(page, "w") as f:
            f.write("before\n<!-- bench summary -->\nold\n<!-- end of bench summary -->\nafter\n")
        done = compare("--from", source, "--update", page)
        expect(done.returncode, 0, "exit status\n" + done.stderr)
        expect_in("| libsmux v2: bulk, 1 stream / raw | >= 0.95 | 0.500 | **no** |", done.stdout,
                  "a goal that is missed")
        with open(page) as f:
            text = f.read()
        expect_in("| bulk, 1 stream | MB/s | 2.00 | 1.00 |", text, "medians")
        expect((text.startswith("before\n<!--"), text.endswith("-->\nafter\n"), "old" in text),
               (True, True, False), "the rest of the page")
        with open(page, "w") as f:
            f.write("no markers\n")
        done = compare("--from", source, "--update", page)
        expect(done.returncode, 1, "exit status without markers")
        expect_in("has no place for the tables", done.stderr, "message")


@test
def says_when_the_program_is_missing():
    done = compare("--tool", "/nonexistent/smux", "--no-go")
    expect(done.returncode, 1, "exit status")
    expect_in("cannot start /nonexistent/smux", done.stderr, "message")


libtunnel.run()
