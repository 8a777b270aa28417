"""The faults. Each is a function of a tunnel and a random generator that returns when the fault
is over; where it may end sessions its entry says so.
"""
import signal
import time

from .tunnel import KEEPALIVE_S


def short(rng):
    return rng.uniform(0.05, 0.3 * KEEPALIVE_S)


def long(rng):
    return KEEPALIVE_S + rng.uniform(0.3, 1.0)


def cut(tunnel, rng):
    tunnel.link.order("cut")


def freeze(way, duration):
    def event(tunnel, rng):
        tunnel.link.order("freeze" + way)
        time.sleep(duration(rng))
        tunnel.link.order("thaw" + way)
    return event


def kill(part):
    def event(tunnel, rng):
        tunnel.kill(part)
        time.sleep(rng.choice((0, rng.uniform(0, 0.5))))
        tunnel.start(part)
    return event


def stop(part, duration):
    def event(tunnel, rng):
        tunnel.signal(part, signal.SIGSTOP)
        time.sleep(duration(rng))
        tunnel.signal(part, signal.SIGCONT)
    return event


# name: (weight, whether streams may break, function)
EVENTS = {
    "cut": (20, True, cut),
    "freeze up": (8, False, freeze(" up", short)),
    "freeze down": (8, False, freeze(" down", short)),
    "freeze both": (4, False, freeze("", short)),
    "freeze up, long": (3, True, freeze(" up", long)),
    "freeze down, long": (3, True, freeze(" down", long)),
    "freeze both, long": (2, True, freeze("", long)),
    "kill -9 client": (22, True, kill("client")),
    "kill -9 server": (22, True, kill("server")),
    "kill -9 target": (10, True, kill("target")),
    "stop client": (5, False, stop("client", short)),
    "stop server": (5, False, stop("server", short)),
    "stop target": (4, False, stop("target", short)),
    "stop client, long": (2, True, stop("client", long)),
    "stop server, long": (2, True, stop("server", long)),
    "stop target, long": (1, False, stop("target", long)),
}


def plan(rng, n, spared, names):
    """A list of n events in random order; the process named `spared` is not killed."""
    names = [name for name in names if name != "kill -9 " + spared]
    events = names * (n // (4 * len(names)))    # each at least a few times, the rest by weight
    events += rng.choices(names, [EVENTS[name][0] for name in names], k=n - len(events))
    rng.shuffle(events)
    return events
