"""The soak notices what it is there to find: each kind of loss, and each kind of growth."""
import pathlib
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent / "tool")]

import _streams  # noqa: E402
from _growth import Sampler, gain  # noqa: E402
from libtunnel import *  # noqa: E402,F403

OPERATION = _streams.upload
_streams.HANGS = 2
_streams.LATE = 0.2


class Liar:
    """A tunnel that does something to the answer of the target, as a Target itself."""

    def __init__(self, spoil):
        self.faults = []
        self.target = Target(lambda s: _streams.serve(s, self.faults))
        self.front = Target(lambda s: self._carry(s, spoil))
        self.down = False

    def _carry(self, s, spoil):
        with connect(self.target.address) as behind:
            request = threading.Thread(target=self._request, args=(s, behind), daemon=True)
            request.start()
            spoil(s, read_all(behind))

    @staticmethod
    def _request(s, behind):
        behind.sendall(read_all(s))
        behind.shutdown(socket.SHUT_WR)

    def outcome(self):
        """What a load says after some operations over this tunnel: its losses, how many were cut."""
        only, _streams.OPERATIONS = _streams.OPERATIONS, (OPERATION,)
        try:
            load = _streams.Load("liar", lambda: connect(self.front.address), lambda when: self.down,
                                 seed=1, workers=2, pause=0.1)
            wait_until(lambda: load.lost or load.cut or load.streams > 5, what="an outcome")
            load.stop()
        finally:
            _streams.OPERATIONS = only
        return load


def expect_lost(load, text):
    expect(bool(load.lost), True, "losses are reported")
    for line in load.lost:
        expect_in(text, line, "what was lost")


@test
def what_is_right_is_no_loss():
    liar = Liar(lambda s, answer: s.sendall(answer))
    load = liar.outcome()
    expect((load.lost, liar.faults), ([], []), "losses")


@test
def an_end_that_comes_too_early():
    expect_lost(Liar(lambda s, answer: s.sendall(answer[:-1])).outcome(), "an end after 31 of 32")


@test
def a_byte_that_changed():
    expect_lost(Liar(lambda s, answer: s.sendall(answer[:-1] + b"?")).outcome(), "wrong digest")


@test
def a_byte_too_many():
    expect_lost(Liar(lambda s, answer: s.sendall(answer + b"?")).outcome(), "after the end")


@test
def an_answer_that_never_comes():
    expect_lost(Liar(lambda s, answer: time.sleep(5)).outcome(), "hung")


@test
def an_error_is_a_loss_unless_a_session_went_down():
    expect_lost(Liar(lambda s, answer: reset(s)).outcome(), "no session went down")
    liar = Liar(lambda s, answer: reset(s))
    liar.down = True
    load = liar.outcome()
    expect((load.lost, load.cut > 0), ([], True), "losses, and that some were cut")


@test
def a_request_that_ends_too_early_at_the_target():
    faults = []
    target = Target(lambda s: _streams.serve(s, faults))
    with connect(target.address) as s:
        s.sendall(_streams.HEADER.pack(_streams.UPLOAD, 0, 10) + _streams.payload(0, 9))
        s.shutdown(socket.SHUT_WR)
        read_all(s)
    expect_in("an end after 9 of 10", str(faults), "faults at the target")


@test
def memory_that_climbs_beneath_noise():
    steady = [(i, 5000 + 700 * (i * 7 % 5)) for i in range(200)]
    climbing = [(x, y + 10 * x) for x, y in steady]
    expect(abs(gain(steady)) < 100, True, "noise gains nothing: %d KB" % gain(steady))
    expect(1900 < gain(climbing) < 2100, True, "2000 KB are seen: %d" % gain(climbing))


HOARDER = """
import sys, threading, time
held = []
print("ready", flush=True)
for line in sys.stdin:
    held += [bytearray(4 << 20), open("/dev/null")]
    threading.Thread(target=time.sleep, args=(99,), daemon=True).start()
    print("more", flush=True)
"""


@test
def a_process_that_keeps_memory_descriptors_and_threads():
    process = Process([sys.executable, "-c", HOARDER], stdin=subprocess.PIPE)
    with tempfile.TemporaryFile("w+") as file:
        sampler = Sampler({"hoarder": process.pid}, file)
        process.wait_log("ready")
        before = sampler.at_rest()["hoarder"]
        for i in range(1, 4):
            sampler.take()
            process.child.stdin.write(b"\n")
            process.child.stdin.flush()
            process.wait_log("more", count=i)
        sampler.take()
        after = sampler.at_rest()["hoarder"]
        expect(after, (before[0] + 3, before[1] + 3), "descriptors and threads")
        # A line through samples that are not evenly apart would rise by less.
        evenly = list(enumerate(kb for _, kb in sampler.memory("hoarder", 0)))
        expect(gain(evenly) > 10000, True, "12 MB are seen")
        file.seek(0)
        expect(len(file.read().splitlines()), 1 + 4, "lines of the file")


run()
