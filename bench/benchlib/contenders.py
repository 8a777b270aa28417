"""Who is measured. Each contender turns a case into a command and its answer into flat figures."""
import json
import os
import subprocess
import sys

from . import ROOT, Failure, run

NOT_POSSIBLE = 77    # how build.sh ends without a Go toolchain or module
WINDOW = 2 << 20


class Ours:
    """`smux bench` over raw sockets or one of the two versions, with the tool's defaults."""

    def __init__(self, name, kind, tool, seconds):
        self.name, self.kind, self._tool, self._seconds = name, kind, tool, seconds
        self.start = None   # what the tool says about machine and settings

    def command(self, case):
        options = case.tcp if self.kind == "tcp" else case.ours
        if options is None:
            return None
        return [self._tool, "bench", "--vs", self.kind, "-t", str(self._seconds), "-O", "0.5",
                *options, "-J", "-"]

    def figures(self, output):
        document = json.loads(output)
        self.start, end = document["start"], document["end"]
        streams = self.start["mode"] == "churn"
        return {
            "bytes": end["bytes"], "bytes_per_s": end["bytes_per_s"], "cpu_s": end["cpu_s"],
            "cpu_user_s": end["cpu_user_s"], "context_switches": end["context_switches"],
            "operations_per_s": end["streams_per_s" if streams else "writes_per_s"],
            "per_stream_bytes": end["per_stream_bytes"],
            "p50_us": end["latency_us"]["p50"], "p99_us": end["latency_us"]["p99"],
            "heap_per_end": end["heap_per_stream"], "rss_per_end": end["rss_per_stream"],
            "histogram": document["histogram"],
        }


class Go:
    """gopeer bench-self or yamuxbench: the same workload, both ends in one process."""

    def __init__(self, name, command, seconds):
        self.name, self._command, self._seconds = name, command, seconds

    def command(self, case):
        if case.go is None:
            return None
        return [*self._command, "-seconds", str(self._seconds), *case.go]

    def figures(self, output):
        answer = json.loads(output)
        return {
            "bytes": answer["bytes"], "bytes_per_s": answer["bytes_per_s"],
            "cpu_s": answer["cpu_s"], "cpu_user_s": answer["cpu_user_s"],
            "context_switches": answer["context_switches"],
            "operations_per_s": answer["ops_per_s"],
            "per_stream_bytes": answer.get("per_stream_bytes", []),
            "p50_us": answer["p50_us"], "p99_us": answer["p99_us"],
            "rss_per_end": answer.get("rss_per_stream", 0) / 2,
            "histogram": answer.get("histogram", []),
        }


def find_go(directory, wanted):
    """Returns the path of a Go program, built anew where it can be; None after a message where
    it cannot be had. wanted: "newest" or "yamux"."""
    names = {"newest": ("gopeer-newest", "gopeer-debian"), "yamux": ("yamuxbench",)}[wanted]
    built = subprocess.run([ROOT / "interop/go/build.sh", directory, wanted], text=True,
                           capture_output=True,
                           env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/local/go/bin"})
    if built.returncode not in (0, NOT_POSSIBLE):
        raise Failure(f"Go's {wanted} does not build: " + built.stderr.strip())
    for name in names:
        if os.access(directory / name, os.X_OK):
            return directory / name
    print(f"bench: Go's {wanted} is left out: " + (built.stdout + built.stderr).strip(),
          file=sys.stderr)
    return None


def field(tool, go_directory, seconds):
    """Returns all contenders that can be had and a description of those that are not ours."""
    found = [Ours("raw", "tcp", tool, seconds), Ours("libsmux v1", "v1", tool, seconds),
             Ours("libsmux v2", "v2", tool, seconds)]
    versions = {}
    gopeer = find_go(go_directory, "newest") if go_directory else None
    if gopeer:
        self_ = [gopeer, "bench-self", "-v"]
        found += [Go("Go v1", [*self_, "1"], seconds), Go("Go v2", [*self_, "2"], seconds),
                  Go("Go v2, 2 MiB", [*self_, "2", "-streambuf", WINDOW], seconds)]
        versions["go"] = run([gopeer, "version"]).strip()
    yamux = find_go(go_directory, "yamux") if go_directory else None
    if yamux:
        found.append(Go("yamux", [yamux], seconds))
        versions["yamux"] = run([yamux, "version"]).strip()
    return found, versions
