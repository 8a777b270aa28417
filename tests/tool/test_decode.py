"""smux decode: frames from files, hex text and standard input.

ctest-timeout: 60
"""
import json
import random

from libtunnel import *

SYN = "02 00 00 00 03 00 00 00"
HELLO = "02 02 05 00 03 00 00 00 68 65 6c 6c 6f"
UPD = "02 04 08 00 03 00 00 00 05 00 00 00 00 00 01 00"
FIN = "02 01 00 00 03 00 00 00"
NOP = "02 03 00 00 00 00 00 00"


def decode(data, *options):
    if isinstance(data, str):
        return run_tool("decode", "--hex", *options, stdin=data.encode())
    return run_tool("decode", *options, stdin=data)


def raw(*texts):
    return bytes.fromhex("".join(texts))


@test
def text():
    status, out, err = decode(" ".join([NOP, SYN, HELLO, UPD, FIN]))
    expect((status, err), (0, ""), "status and messages")
    lines = [line.split() for line in out.splitlines()]
    expect(lines, [
        ["0", "-", "v2", "NOP", "stream=0", "len=0"],
        ["8", "client", "v2", "SYN", "stream=3", "len=0"],
        ["16", "client", "v2", "PSH", "stream=3", "len=5"],
        ["29", "client", "v2", "UPD", "stream=3", "len=8", "consumed=5", "window=65536"],
        ["45", "client", "v2", "FIN", "stream=3", "len=0"]], "lines")


@test
def raw_bytes_from_file_and_standard_input():
    data = raw(SYN, HELLO, FIN)
    _, expected, _ = decode(" ".join([SYN, HELLO, FIN]))
    with tempfile.NamedTemporaryFile() as f:
        f.write(data)
        f.flush()
        expect(run_tool("decode", f.name), (0, expected, ""), "from a file")
    expect(run_tool("decode", stdin=data), (0, expected, ""), "from standard input")
    expect(run_tool("decode", "-", stdin=data), (0, expected, ""), "from -")


@test
def hex_forms():
    _, expected, _ = decode(SYN)
    for form in ("0200000003000000", "02:00:00:00:03:00:00:00", "02,00,00,00\n03,00,00,00\n",
                 "# a comment\n02 00 00 00 # more\n03 00 00 00", "02 0\n0 00 00 03 00 00 00"):
        expect(decode(form), (0, expected, ""), "form %r" % form)


@test
def json_lines():
    _, out, _ = decode(" ".join([SYN, UPD]), "--json-lines")
    expect([json.loads(line) for line in out.splitlines()], [
        {"offset": 0, "sender": "client", "version": 2, "cmd": "SYN", "stream": 3, "len": 0},
        {"offset": 8, "sender": "client", "version": 2, "cmd": "UPD", "stream": 3, "len": 8,
         "consumed": 5, "window": 65536}], "objects")


@test
def sender_by_parity():
    _, out, _ = decode("01 00 00 00 02 00 00 00")
    expect_in("server  v1", out, "server opens even ids")


@test
def violations_are_shown_and_checked():
    for bad, why in (("01 01 04 00 03 00 00 00 aa aa aa aa", "SYN, FIN and NOP must have length 0"),
                     ("01 04 08 00 03 00 00 00" + " 00" * 8, "UPD does not exist in version 1"),
                     ("02 04 04 00 03 00 00 00" + " 00" * 4, "UPD must have length 8")):
        good = "%s 00 00 00 05 00 00 00" % bad[:2]
        status, out, _ = decode(bad + " " + good)
        expect(status, 0, "status without --check")
        expect_in(why, out, "explanation")
        expect(len(out.splitlines()), 2, "frames, the one behind the violation included")
        status, out, err = decode(bad + " " + good, "--check")
        expect((status, len(out.splitlines())), (65, 1), "status and frames with --check")
        expect_in("offset 0: " + why, err, "message")


@test
def what_ends_the_framing():
    for bad, why in ((SYN + " 01 03 00 00 00 00 00 00", "offset 8: version 1 in a version 2 stream"),
                     (SYN + " 02 05 00 00 00 00 00 00", "offset 8: unknown command 5"),
                     ("47 45 54 20 2f 20 48 54", 'this is not smux: first bytes "GET / HT" look like text'),
                     ("16 03 01 02 00 01 00 01", "look like TLS"),
                     (b"SSH-2.0-OpenSSH\r\n".hex(), "look like SSH")):
        status, _, err = decode(bad)
        expect(status, 65, "status of %r" % bad)
        expect_in(why, err, "message")


@test
def truncated_input():
    status, out, _ = decode(HELLO[:-3])
    expect(status, 0, "a capture may end anywhere")
    expect_in("the input ends inside this frame", out, "note")
    expect(decode(HELLO[:-3], "--check")[0], 65, "with --check")
    status, out, _ = decode("02 00 00")
    expect(status, 0, "inside a header")
    expect_in("the input ends inside this header", out, "note")
    expect(decode(b""), (0, "", ""), "nothing at all")


@test
def unusable_input():
    status, _, err = decode("02 00 xx")
    expect(status, 65, "status")
    expect_in("standard input:1: this is not hexadecimal", err, "message")
    for options in ([], ["--check"]):
        for text, line in (("02 0", 1), (SYN + "\n\n# a comment\n02 0\n\n# end\n", 4),
                           (SYN + HELLO + "\n" + HELLO[:-1], 2)):
            status, out, err = decode(text, *options)
            expect((status, err), (65, "smux: standard input:%d: the last byte has only one digit\n"
                                   % line), "an odd number of digits in %r" % text)
            expect("the input ends" in out, False, "a frame of what is no input: %r" % out)
        status, _, err = decode(SYN + "# x\n02 x", *options)
        expect((status, err), (65, "smux: standard input:2: this is not hexadecimal\n"), "messages")
    status, _, err = run_tool("decode", "/no/such/file")
    expect(status, 66, "status")
    expect_in("cannot open /no/such/file", err, "message")
    expect(run_tool("decode", "/"), (65, "", "smux: cannot read /: is a directory\n"), "a directory")


@test
def quotes_in_an_excerpt():
    """The text is a value in quotes that contains an excerpt in quotes."""
    status, out, err = decode(b'A"B \\ C\x1b')
    expect(status, 65, "status")
    why = r'this is not smux: first bytes "A\x22B \x5c C\x1b"'
    expect(err, "smux: offset 0: %s\n" % why, "message")
    value = re.search(r' error=("(?:[^"\\]|\\.)*")$', out.rstrip("\n"))
    expect_in("error=", out, "text")
    expect(value is not None and json.loads(value.group(1)), why, "value of error= in %r" % out)
    expect(json.loads(decode(b'A"B \\ C\x1b', "--json-lines")[1])["error"], why, "in JSON")


@test
def large_payload_and_many_frames():
    frame = bytes.fromhex("0202ffff03000000") + b"x" * 65535
    status, out, _ = decode(raw(SYN) + frame * 50)
    expect((status, len(out.splitlines())), (0, 51), "status and frames")
    expect_in("%d  client  v2  PSH" % (8 + 49 * len(frame)), out, "last offset")


@test
def random_bytes_end_in_order():
    seed = int(os.environ.get("SEED", str(int(time.time()))))
    generator = random.Random(seed)
    for _ in range(200 * PERCENT // 100):
        frames = b"".join(generator.choice([raw(SYN), raw(HELLO), raw(UPD), raw(FIN), raw(NOP)])
                          for _ in range(generator.randrange(8)))
        data = frames + generator.randbytes(generator.randrange(40))
        options = generator.sample(["--json-lines", "--check"], generator.randrange(3))
        status, out, err = decode(data, *options)
        if status not in (0, 65) or "Sanitizer" in err or (status == 65) != ("offset" in err):
            raise AssertionError("SEED=%d: status %d, %r for %s" % (seed, status, err, data.hex()))
        if "--json-lines" in options:
            for line in out.splitlines():
                json.loads(line)


run()
