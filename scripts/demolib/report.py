"""What the user sees: a headline, a line that moves, a summary."""
import os
import sys

MIB = 1 << 20
BAR = 24


def headline(tunnel, arguments):
    print(f"A tunnel with {arguments.streams} streams over one connection, both directions at once:")
    for command in tunnel.commands():
        print("  " + command)
    sys.stdout.flush()


def rates(samples, span=1.0):
    """Bytes a second up and down over the last `span` seconds."""
    now, up, down = samples[-1]
    then = next((s for s in reversed(samples) if now - s[0] >= span), samples[0])
    elapsed = max(now - then[0], 1e-9)
    return (up - then[1]) / elapsed, (down - then[2]) / elapsed


class Live:
    """One line that is redrawn on a terminal; a line each second elsewhere."""

    def __init__(self, seconds):
        self._seconds = seconds
        self._tty = sys.stdout.isatty()
        self._next = 1.0

    def show(self, samples):
        now, up, down = samples[-1]
        if not self._tty and now < self._next:
            return
        self._next += 1.0
        done = min(now / self._seconds, 1.0)
        bar = ("#" * round(BAR * done)).ljust(BAR, "-")
        rate_up, rate_down = rates(samples)
        line = (f"  {now:5.1f} s [{bar}] {(up + down) / MIB / 1024:6.2f} GiB   "
                f"up {rate_up / MIB:6.0f} MiB/s   down {rate_down / MIB:6.0f} MiB/s")
        print(f"\r{line}\033[K" if self._tty else line, end="" if self._tty else "\n", flush=True)

    def finish(self):
        if self._tty:
            print()


def compare(outcome):
    """Returns (equal, different) as lists of "stream N up" and the like."""
    far, near = outcome
    equal, different = [], []
    for way, sender, receiver in (("up", near, far), ("down", far, near)):
        for stream in sorted(sender["sent"].keys() | receiver["received"].keys()):
            same = sender["sent"].get(stream) == receiver["received"].get(stream)
            (equal if same else different).append(f"stream {stream} {way}")
    return equal, different


def carried(outcome):
    """Bytes that arrived, up and down."""
    return [sum(total for total, _ in end["received"].values()) for end in outcome]


def print_frames(counters):
    for name, (process, *sessions) in counters.items():
        frames_in = sum(s["frames_in"] for s in sessions)
        frames_out = sum(s["frames_out"] for s in sessions)
        payload = sum(s["in"] + s["out"] for s in sessions)
        wire = sum(s["wire_in"] + s["wire_out"] for s in sessions)
        print(f"  {name:10} {frames_in:,} frames in, {frames_out:,} out, "
              f"{process['streams_total']} streams over {process['sessions_total']} connection(s), "
              f"overhead {100 * (wire - payload) / max(payload, 1):.2f} %")


def print_memory(memory):
    known = {name: peak for name, peak in memory.items() if peak is not None}
    if known:
        print("  memory     " + ", ".join(f"{name} {peak / MIB:.1f} MiB at most"
                                          for name, peak in known.items()))


def summary(outcome, samples, counters, memory, pictures):
    """Prints what happened. Returns the exit code."""
    equal, different = compare(outcome)
    errors = [text for end in outcome for text in end["errors"]]
    up, down = carried(outcome)
    seconds = samples[-1][0]
    print("\nSummary")
    print(f"  carried    {(up + down) / MIB / 1024:.2f} GiB in {seconds:.1f} s = "
          f"{(up + down) / MIB / seconds:.0f} MiB/s "
          f"(up {up / MIB / seconds:.0f}, down {down / MIB / seconds:.0f})")
    print_frames(counters)
    print_memory(memory)
    if pictures:
        print("  pictures   " + ", ".join(os.path.relpath(path) for path in pictures))
    print(f"  checksums  {len(equal)} of {len(equal) + len(different)} SHA-256 equal")
    for text in errors + [f"{name}: what arrived is not what was sent" for name in different]:
        print(f"  FAILED     {text}")
    if up == 0 or down == 0:
        print("  FAILED     nothing was carried in a direction")
        return 1
    return 1 if errors or different else 0
