"""What processes use, each second, and whether it grows.

Memory is judged by a straight line through the samples after the warm-up (least squares): what
the line gains over their time may be at most `allowance`. One sample says little, because a
session that is busy holds more than one that is not; a leak is what all samples together climb.
Descriptors and threads are judged at rest, before the load and after it: they have to be equal.
"""
import os
import time

COLUMNS = ("second", "process", "rss_kb", "anon_kb", "fds", "threads", "cpu_s")
TICKS = os.sysconf("SC_CLK_TCK")


def usage(pid):
    """(resident KB, those of heap and stacks, descriptors, threads, seconds of CPU time)

    None when the process has ended."""
    try:
        with open("/proc/%d/status" % pid) as f:
            status = dict(line.split(":", 1) for line in f)
    except FileNotFoundError:
        return None
    if "VmRSS" not in status:
        return None
    with open("/proc/%d/stat" % pid) as f:
        times = f.read().rsplit(")", 1)[1].split()[11:13]
    return (int(status["VmRSS"].split()[0]), int(status["RssAnon"].split()[0]),
            len(os.listdir("/proc/%d/fd" % pid)), int(status["Threads"]),
            sum(map(int, times)) / TICKS)


def slope(points):
    """Of the straight line through (x, y) that fits best."""
    n = len(points)
    mean_x = sum(x for x, _ in points) / n
    mean_y = sum(y for _, y in points) / n
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0


def gain(points):
    """What the line gains from the first point to the last."""
    return slope(points) * (points[-1][0] - points[0][0])


class Sampler:
    """Takes samples of processes, {name: pid}, and writes them to a file of tab-separated values."""

    def __init__(self, pids, file):
        self.pids, self.samples, self.file = {}, {}, file
        self.begin = time.monotonic()
        self.file.write("\t".join(COLUMNS) + "\n")
        self.add(pids)

    def add(self, pids):
        self.pids.update(pids)
        self.samples.update({name: [] for name in pids})

    def take(self):
        second = time.monotonic() - self.begin
        for name, pid in self.pids.items():
            used = usage(pid)
            if used is None:
                continue
            self.samples[name].append((second, used))
            self.file.write("%.1f\t%s\t%d\t%d\t%d\t%d\t%.2f\n" % (second, name, *used))
        self.file.flush()

    def at_rest(self):
        """{name: (descriptors, threads)} as of now; () for what has ended."""
        return {name: (usage(pid) or ())[2:4] for name, pid in self.pids.items()}

    def memory(self, name, warm_up):
        """[(seconds, KB of heap and stacks)] after the warm-up."""
        return [(second, used[1]) for second, used in self.samples[name] if second >= warm_up]

    def cpu(self, name):
        """Seconds of CPU time over all samples."""
        first, last = self.samples[name][0][1], self.samples[name][-1][1]
        return last[4] - first[4]
