#!/usr/bin/env python3
"""Every attack of the table on every victim, see README.md.

ctest-timeout: 300
ctest-serial

usage: attacks.py [--seconds S] [--jobs N] [--victims session,tool,client,go]
                  [--versions some|all|high] [--reference] [--table] [NAME...]
"""
import argparse
import concurrent.futures
import os
import sys
import time

from _case import Case, load_attacks
from _client import ClientCase
from _table import render
from _victims import (ATTACK, GO_DIR, TOOL, ClientVictim, GoVictim, SessionVictim, ToolVictim,
                      raise_descriptors)

TRIES = 3  # of a case whose client was late: the machine has other work
VICTIMS = {victim.name: victim for victim in (SessionVictim, ToolVictim, ClientVictim, GoVictim)}


def parse():
    parser = argparse.ArgumentParser(description="runs the attack suite")
    parser.add_argument("--seconds", type=float,
                        default=float(os.environ.get("SMUX_ATTACK_SECONDS", "0.5")),
                        help="of each attack (0.5, or SMUX_ATTACK_SECONDS)")
    parser.add_argument("--jobs", type=int, default=3, help="attacks at the same time (3)")
    parser.add_argument("--victims", default="session,tool,client",
                        help="comma-separated: session, tool, client, go")
    parser.add_argument("--versions", choices=("some", "all", "high"), default="some",
                        help="high: only the higher one of each attack; some: that for all victims "
                        "but session (some)")
    parser.add_argument("--reference", action="store_true",
                        help="compare the client's times with those while another victim is attacked; "
                        "the victims have a processor of their own")
    parser.add_argument("--table", action="store_true",
                        help="print the outcome as a Markdown table as well")
    parser.add_argument("names", nargs="*", help="attacks; all when none is given")
    return parser.parse_args()


def available(name):
    """Why a victim cannot be run, or None."""
    if name in ("tool", "client") and not os.access(TOOL, os.X_OK):
        return "the tool is not built (SMUX_TOOL)"
    if name == "go" and not os.path.exists(os.path.join(GO_DIR, "gopeer-newest")):
        return "no gopeer-newest in SMUX_INTEROP_DIR, see interop/go/build.sh"
    return None


def plan(options):
    cases = []
    for name in options.victims.split(","):
        why = available(name)
        if why:
            print(f"SKIP: {name}: {why}")
            continue
        make = ClientCase if name == "client" else Case
        cases += [make(attack, VICTIMS[name], version) for attack in load_attacks()
                  if not options.names or attack["name"] in options.names
                  if not (name == "client" and attack["opens"])
                  for version in versions(attack, name, options)]
    return cases


def versions(attack, victim, options):
    """What depends on the version is the library's, so in short runs the others have one."""
    high = options.versions == "high" or options.versions == "some" and victim != "session"
    return attack["versions"][-1:] if high else attack["versions"]


def tell(case):
    verdict = "FAIL" if case.complaints else "ok"
    text = "; ".join(case.complaints) or case.figures()
    tries = f" (try {case.tries})" if case.tries > 1 else ""
    print(f"{verdict:4} {case.name} [{case.attack['clauses']}] {text}{tries}", flush=True)


def perform(case, options):
    case.run(options.seconds, reference=options.reference, apart=options.reference)
    if not case.only_late():
        tell(case)


def perform_alone(case, options):
    """What was late while other cases used the machine, too, is compared with the reference."""
    while case.only_late() and case.tries < TRIES:
        case.run(options.seconds, reference=True, apart=options.reference)
    tell(case)


def main():
    options = parse()
    if not os.access(ATTACK, os.X_OK):
        print("SKIP: the program of the attack suite is not built (SMUX_ATTACK)")
        sys.exit(77)
    raise_descriptors()
    begin = time.monotonic()
    cases = plan(options)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for done in [pool.submit(perform, case, options) for case in cases]:
            done.result()
    for case in [case for case in cases if case.only_late()]:
        perform_alone(case, options)
    failed = sum(bool(case.complaints) for case in cases)
    if options.table:
        print(render(cases))
    print(f"{len(cases) - failed} ok, {failed} failed, {time.monotonic() - begin:.1f} s")
    sys.exit(1 if failed or not cases else 0)


if __name__ == "__main__":
    main()
