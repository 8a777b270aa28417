"""bench/figures in small: measures tables and draws them."""
# ctest-timeout: 180
import os
import subprocess
import sys
import tempfile

import libtunnel
from libtunnel import ROOT, expect, expect_in, test

BUILD = os.environ.get("SMUX_BUILD_DIR") or os.path.join(ROOT, "build/release")


def figures(directory, *arguments):
    return subprocess.run([sys.executable, os.path.join(ROOT, "bench/figures"), "--out", directory,
                           "--build", BUILD, "--no-go", "--time", "0.3", *arguments],
                          capture_output=True, text=True, timeout=170)


def series(path):
    """Returns the names of the blocks of a table and their rows."""
    with open(path) as f:
        blocks = f.read().split("\n\n\n")
    lines = [block.strip("\n").split("\n") for block in blocks]
    return {b[0].split("\t")[1]: [row.split("\t") for row in b[1:]] for b in lines}


@test
def measures_and_draws():
    libtunnel.need("gnuplot")
    names = ["smooth", "loaded", "fairness"]
    with tempfile.TemporaryDirectory() as directory:
        done = figures(directory, *names, "--copy", os.path.join(directory, "copy"))
        expect(done.returncode, 0, "exit status\n" + done.stderr)
        for name in names:
            found = series(os.path.join(directory, name + ".tsv"))
            expect(len(found), 4 if name == "smooth" else 3, "series of " + name)
            for title, rows in found.items():
                expect({len(row) for row in rows}, {2}, "columns of " + title)
            with open(os.path.join(directory, "copy", name + ".svg")) as f:
                picture = f.read()
            expect_in("</svg>", picture, "picture of " + name)
            for title in found:     # of the last word, because lines may be broken
                expect_in(title.strip('"').split()[-1], picture, "name in the picture of " + name)
            expect(os.path.getsize(os.path.join(directory, name + ".png")) > 1000, True, "PNG")


@test
def draws_the_bars_of_a_comparison():
    libtunnel.need("gnuplot")
    with tempfile.TemporaryDirectory() as directory:
        done = figures(directory, "bars")
        expect(done.returncode, 1, "exit status without a comparison")
        expect_in("bars is left out: there is no compare.tsv", done.stderr, "message")
        with open(os.path.join(directory, "compare.tsv"), "w") as f:
            f.write("case\tlibsmux v2\tabacus\nbulk\t0.9\tnan\nchurn\t3\t2\n")
        done = figures(directory, "bars", "--draw")
        expect(done.returncode, 0, "exit status\n" + done.stderr)
        with open(os.path.join(directory, "bars.svg")) as f:
            picture = f.read()
        for word in ("abacus", "churn"):
            expect_in(word, picture, "picture")


@test
def refuses_figures_that_are_none():
    with tempfile.TemporaryDirectory() as directory:
        done = figures(directory, "pie")
        expect(done.returncode, 2, "exit status")
        expect_in("no figure pie", done.stderr, "message")


libtunnel.run()
