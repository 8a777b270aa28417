"""One tunnel under load and its faults: cell.py JSON; the result is JSON on standard output.

One of client and server is spared from kill -9, so that it lives through all faults: what it
holds in memory and descriptors at the end is compared with what it held after a warm-up.
"""
import json
import os
import random
import signal
import socket
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.join(os.path.dirname(os.path.dirname(HERE)), "tool")]
import libtunnel
from chaoslib import events, stream, tunnel

RECOVERY_S = 5          # from the end of a fault until a stream gets through
HANG_S = 15             # without any byte
GROWTH = 1 << 20        # of resident memory, which the allocator of libc keeps in reserve


class Load:
    """Threads that run streams, and the record of each."""

    def __init__(self, address, workers, seed):
        self.address = address
        self.records = []       # (result, begin, end, id, text)
        self.next_id = 1
        self.lock = threading.Condition()
        self.paused = False
        self.active = 0
        for i in range(workers):
            rng = random.Random(seed * 1000 + i)
            threading.Thread(target=self.work, args=(rng,), daemon=True).start()

    def new_id(self):
        with self.lock:
            self.next_id += 1
            return self.next_id

    def run_stream(self, up, down, at_once, pause):
        """One stream from connect to its end; returns its record."""
        id, begin = self.new_id(), time.monotonic()
        result, text = "complete", ""
        try:
            with libtunnel.connect(self.address, HANG_S) as sock:
                stream.exchange(sock, id, up, down, at_once, pause)
        except stream.Short as error:
            result, text = "short", str(error)
        except stream.Wrong as error:
            result, text = "wrong", str(error)
        except TimeoutError:
            result, text = "hung", "no byte for %d s" % HANG_S
        except OSError as error:
            result, text = "error", str(error)
        record = (result, begin, time.monotonic(), id, text)
        with self.lock:
            self.records.append(record)
        return record

    def work(self, rng):
        while True:
            with self.lock:
                while self.paused:
                    self.lock.wait()
                self.active += 1
            up, down = (int(stream.MAX_LEN ** rng.random()) for _ in range(2))
            pause = rng.choice((0, 0, 0, rng.uniform(0.5, 3)))
            record = self.run_stream(up, down, rng.random() < 0.5, pause)
            with self.lock:
                self.active -= 1
            time.sleep(0.1 if record[0] == "error" else rng.uniform(0, 0.05))

    def pause(self):
        self.paused = True
        libtunnel.wait_until(lambda: self.active == 0, 2 * HANG_S, "end of the streams")

    def go_on(self):
        with self.lock:
            self.paused = False
            self.lock.notify_all()


class Cell:
    def __init__(self, job):
        self.rng = random.Random(job["seed"])
        self.spared = job["spared"]
        link = tunnel.Kernel if job["kernel"] else tunnel.Emulated
        names = [name for name in events.EVENTS if not (job["kernel"] and name == "cut")]
        self.plan = events.plan(self.rng, job["events"], self.spared, names)
        self.warm_up = job["warm_up"]
        self.tunnel = tunnel.Tunnel(link, job["sessions"])
        self.load = Load(self.tunnel.address, job["workers"], job["seed"])
        self.happened = []      # (name, begin, end, recovered)
        self.wrong = []

    def recover(self):
        """Waits until a stream gets through; returns when."""
        deadline = time.monotonic() + 4 * RECOVERY_S
        while time.monotonic() < deadline:
            record = self.load.run_stream(100, 100, False, 0)
            if record[0] == "complete":
                return record[2]
            time.sleep(0.02)
        self.tunnel.check_alive()
        raise AssertionError("nothing gets through %d s after the fault" % (4 * RECOVERY_S))

    def strike(self, name):
        begin = time.monotonic()
        events.EVENTS[name][2](self.tunnel, self.rng)
        end = time.monotonic()
        recovered = self.recover()
        self.happened.append((name, begin, end, recovered))
        if recovered - end > RECOVERY_S:
            self.wrong.append("%s: recovery took %.1f s" % (name, recovered - end))
        self.tunnel.check_alive()

    def measure(self, before=None):
        """Memory and descriptors of the spared process when nothing is under way."""
        self.load.pause()
        self.recover()
        libtunnel.wait_until(self.tunnel.has_all_sessions, RECOVERY_S, "all sessions")
        process = self.tunnel.processes[self.spared]
        fds = process.fds()
        for _ in range(10):     # what closes last may need a moment
            time.sleep(0.1)
            fds = min(fds, process.fds())
        end = time.monotonic() + tunnel.HALF_CLOSE_S + 1
        while before is not None and fds > before["fds"] and time.monotonic() < end:
            time.sleep(0.1)     # a sender whose receiver was aborted gets no credit [FIN-9, FIN-11]
            fds = min(fds, process.fds())
        return {"fds": fds, "rss": process.rss()}

    def run(self):
        self.recover()
        before = None
        for i, name in enumerate(self.plan):
            if i == self.warm_up:
                before = self.measure()
                self.load.go_on()
            time.sleep(self.rng.uniform(0, 0.4))
            self.strike(name)
        after = self.measure(before)
        self.wrong += self.tunnel.stop()
        self.judge_growth(before, after)
        results = self.judge_streams()
        return {"spared": self.spared, "before": before, "after": after, "streams": results,
                "events": [(name, recovered - end) for name, _, end, recovered in self.happened],
                "wrong": self.wrong}

    # --- judging -----------------------------------------------------------------------------

    def judge_growth(self, before, after):
        if before is None:
            raise AssertionError("fewer events than the warm-up has")
        if after["fds"] > before["fds"]:
            self.wrong.append("%s: descriptors %d -> %d" % (
                self.spared, before["fds"], after["fds"]))
        if after["rss"] > before["rss"] + GROWTH:
            self.wrong.append("%s: memory %d -> %d" % (self.spared, before["rss"], after["rss"]))

    def overlaps(self, begin, end, chosen):
        return any(begin < recovered + 0.5 and fault < end + 0.1
                   for name, fault, _, recovered in self.happened if chosen(name))

    def story(self, begin, end):
        """When a stream lived, and what happened meanwhile, for whoever looks for the reason."""
        day = time.time() - time.monotonic()
        text = "from %s for %.3f s" % (
            time.strftime("%H:%M:%S", time.gmtime(day + begin)) + ".%03d" % (
                (day + begin) % 1 * 1000), end - begin)
        for name, fault, over, recovered in self.happened:
            if begin < recovered + 0.5 and fault < end + 0.1:
                text += "; %s %+.3f..%+.3f" % (name, fault - begin, over - begin)
        return text

    def judge_streams(self):
        """Counts results; what has no excuse is wrong."""
        counts = {}
        for result, begin, end, id, text in self.load.records:
            if result == "short" and self.overlaps(begin, end, lambda n: n == "kill -9 target"):
                result = "cut off by the target"    # smux has no reset: looks like an end
            elif result in ("short", "wrong", "hung"):
                self.wrong.append("stream %d %s: %s; %s" % (
                    id, result, text, self.story(begin, end)))
            elif result == "error" and not self.overlaps(begin, end, lambda n: events.EVENTS[n][1]):
                self.wrong.append("stream %d failed without a reason: %s; %s" % (
                    id, text, self.story(begin, end)))
            counts[result] = counts.get(result, 0) + 1
        given_up = {record[3] for record in self.load.records if record[0] == "hung"}
        for line in self.tunnel.reports:
            kind, id, text = line.split(" ", 2)
            if int(id) not in given_up:
                self.wrong.append("target, stream %s %s: %s" % (id, kind, text))
                counts[kind] = counts.get(kind, 0) + 1
        return counts


def main():
    job = json.loads(sys.argv[1])
    result = {"wrong": []}
    try:
        if job["kernel"]:
            tunnel.Kernel.prepare()
        cell = Cell(job)
        result["wrong"] = cell.wrong
        result = cell.run()
    except libtunnel.Skip as why:
        result["skip"] = str(why)
    except Exception as error:
        result["wrong"].append("%s: %s" % (type(error).__name__, error))
    print(json.dumps(result), flush=True)
    libtunnel.clean_up(bool(result["wrong"]), sys.stderr)
    os._exit(0)


main()
