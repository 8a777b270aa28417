#!/usr/bin/env python3
"""smuxspec against libsmux, in every role and version: each case passes, and each case is
applicable somewhere.

ctest-timeout: 120
"""
import sys

from _kit import Subject, ask_all, summary

SUBJECTS = [Subject("libsmux", role, version)
            for role, version in (("server", 1), ("server", 2), ("client", 1), ("client", 2),
                                  ("server", "auto1"), ("server", "auto2"))]

PATIENCE = "15000"  # costs nothing where all is well, and helps where the machine is busy


def main():
    failed = 0
    asked = set()
    names = set()
    for subject, cases in ask_all(SUBJECTS, "--timeout", PATIENCE, *sys.argv[1:]):
        print(summary(subject, cases), flush=True)
        for name, case in cases.items():
            names.add(name)
            if case["verdict"] != "n/a":
                asked.add(name)
            if case["verdict"] == "FAIL":
                failed += 1
                print(f"FAIL {subject}: {name}: {case['text']}")
    for name in sorted(names - asked):
        failed += 1
        print(f"FAIL {name}: not applicable anywhere")
    print(f"{len(names)} cases, {failed} failures")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
