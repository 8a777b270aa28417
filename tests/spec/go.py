#!/usr/bin/env python3
"""smuxspec against releases of the Go library: they differ from docs/PROTOCOL.md exactly where
go-differences.txt says so.

A difference that is not in the list fails, and so does one in the list that does not show.
With --matrix, the table of docs/RELIABILITY.md is printed at the end.

ctest-timeout: 200
"""
import os
import pathlib
import sys

from _kit import GO, Subject, ask_all, skip, summary

RELEASES = os.environ.get("SMUX_INTEROP_RELEASES", "newest 1.5.57 1.5.16").split()
AGAIN = 3
LIST = pathlib.Path(__file__).with_name("go-differences.txt")


class Difference:
    """A line of the list: releases ; roles ; versions ; always or maybe ; case ; why."""

    def __init__(self, line):
        fields = [field.strip() for field in line.split(";")]
        if len(fields) != 6:
            raise ValueError(f"{LIST.name}: not six fields: {line}")
        self.releases, self.roles, self.versions = (set(field.split()) for field in fields[:3])
        self.how, self.case, self.why = fields[3:]

    def covers(self, subject):
        return (self.releases & {subject.name, "all"} and self.roles & {subject.role, "both"}
                and self.versions & {str(subject.version), "both"})


def read_list():
    lines = LIST.read_text().splitlines()
    return [Difference(line) for line in lines if line.strip() and not line.startswith("#")]


def suspects(cases, expected):
    """Returns the cases that are not as the list says, with a text."""
    wrong = {name: "in the list, but there is no such case" for name in expected
             if name not in cases}
    for name, case in cases.items():
        known = expected.get(name)
        if case["verdict"] == "FAIL" and known is None:
            wrong[name] = f"not in the list: {case['text']}"
        if case["verdict"] != "FAIL" and known and known.how == "always":
            wrong[name] = f"in the list, but it is {case['verdict']}: {case['text']}"
    return wrong


def judge(subject, cases, differences):
    """Returns what is wrong with this run. What seems to be is asked again, with few others beside
    it and more patience: a Go process that gets no processor for seconds breaks limits of its own."""
    expected = {d.case: d for d in differences if d.covers(subject)}
    wrong = suspects(cases, expected)
    for _ in range(AGAIN):
        if not wrong:
            break
        print(f"{subject}: {len(wrong)} asked again: {', '.join(wrong)}", flush=True)
        only = [word for name in wrong for word in ("--only", name.split(": ", 1)[1])]
        again = subject.ask("--jobs", "4", "--timeout", "10000", *only)
        cases.update({name: again[name] for name in wrong if name in again})
        wrong = suspects(cases, expected)
    return [f"{name}: {text}" for name, text in wrong.items()]


def matrix(results, differences):
    """One line a case that fails or is not applicable in some run."""
    subjects = [subject for subject, _ in results]
    head = [f"{s.name} {s.role} v{s.version}" for s in subjects]
    print("| Case | " + " | ".join(head) + " | Why |\n|---|" + "---|" * (len(head) + 1))
    for name in results[0][1]:
        verdicts = [cases[name]["verdict"] for _, cases in results]
        if "FAIL" in verdicts:
            whys = {d.why for d in differences if d.case == name}
            print(f"| {name} | " + " | ".join(verdicts) + f" | {' / '.join(sorted(whys))} |")


def main():
    releases = [name for name in RELEASES if (GO / f"gopeer-{name}").exists()]
    if not releases:
        skip("no Go peer is built, see interop/go/build.sh")
    differences = read_list()
    subjects = [Subject(release, role, version) for release in releases
                for version in (1, 2) for role in ("server", "client")]
    results = list(ask_all(subjects))
    failed = 0
    for subject, cases in results:
        wrong = judge(subject, cases, differences)
        failed += len(wrong)
        print(summary(subject, cases), flush=True)
        for text in wrong:
            print(f"FAIL {subject}: {text}", flush=True)
    if "--matrix" in sys.argv:
        matrix(results, differences)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
