"""What bench/compare, bench/figures and bench/check share."""
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


class Failure(Exception):
    """A measurement that did not work, in words for the user."""


def run(command, timeout=300, environment=None):
    """Runs a program, with these variables besides ours, and returns its standard output."""
    text = " ".join(map(str, command))
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True,
                              timeout=timeout, env={**os.environ, **(environment or {})})
    except OSError as error:
        raise Failure(f"cannot start {command[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise Failure(f"{text}: not done after {timeout} s") from error
    if done.returncode != 0:
        raise Failure(f"{text}: status {done.returncode}: " + done.stderr.strip())
    return done.stdout
