#!/usr/bin/env python3
"""Each case can fail: smuxspec runs the cases against libsmux while it falsifies what arrives
(sabotage.h), until each case has noticed something. What none notices is a case that proves
nothing. Only with SMUX_LONG=1, because it takes more than a minute.

ctest-timeout: 200
"""
import os
import subprocess
import sys

from _kit import BIN, Subject, ask_all, skip

# Short, so that what does not come is missed soon; without sabotage all must pass with it.
PATIENCE = ["--timeout", "1200"]
SUBJECTS = [Subject("libsmux", "server", version) for version in ("auto1", "auto2")]


def run(names, *options):
    """Returns the verdicts of the named cases, the failures of any subject first."""
    only = [word for name in names for word in ("--only", name.split(": ", 1)[1])]
    verdicts = {}
    for _, cases in ask_all(SUBJECTS, *PATIENCE, *only, *options):
        for name, case in cases.items():
            if verdicts.get(name) in (None, "n/a") or case["verdict"] == "FAIL":
                verdicts[name] = case["verdict"]
    return {name: verdict for name, verdict in verdicts.items() if name in names or not names}


def main():
    if not os.environ.get("SMUX_LONG"):
        skip("only with SMUX_LONG=1")
    honest = run([])
    wrong = [name for name, verdict in honest.items() if verdict != "ok"]
    for name in wrong:
        print(f"FAIL {name}: {honest[name]} without sabotage")
    left = [name for name in honest if name not in wrong]
    kinds = subprocess.run([BIN / "smuxspec", "--sabotage", "list"], capture_output=True,
                           text=True).stdout.split()
    for kind in kinds:
        verdicts = run(left, "--sabotage", kind)
        caught = [name for name in left if verdicts[name] == "FAIL"]
        left = [name for name in left if name not in caught]
        print(f"{kind}: {len(caught)} cases noticed, {len(left)} are left", flush=True)
        if "-v" in sys.argv:
            print("".join(f"    {name}\n" for name in caught), end="")
        if not left:
            break
    for name in left:
        print(f"FAIL {name}: noticed no sabotage")
    print(f"{len(honest)} cases, {len(left)} never fail")
    sys.exit(1 if left or wrong else 0)


if __name__ == "__main__":
    main()
