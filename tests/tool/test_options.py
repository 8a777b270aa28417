"""The command line: what is wrong with it is said, with the documented exit code.

ctest-timeout: 60
"""
from libtunnel import *

TARGET = ("-t", "127.0.0.1:80")
REMOTE = ("-r", "127.0.0.1:29900")


def refused(args, status, *parts):
    got, out, err = run_tool(*args)
    expect(got, status, "exit status of %s" % " ".join(map(str, args)))
    for part in parts:
        expect_in(part, err, " ".join(map(str, args)))
    expect(out, "", "standard output")


@test
def usage_errors():
    refused([], 64, "usage:")
    refused(["serve"], 64, 'unknown command "serve"')
    refused(["server", "--lisen", "x"], 64, "unknown option --lisen: did you mean --listen?")
    refused(["server", "-xyz"], 64, "unknown option --xyz")
    refused(["client", "--retry", "3"], 64, "option --retry is ambiguous")
    refused(["server", "--target"], 64, "option --target needs a value: ADDR")
    refused(["server", "--bench=1"], 64, "option --bench takes no value")
    refused(["server", *TARGET, "extra"], 64, 'unexpected word "extra"')
    refused(["server"], 64, "no target: add --target ADDR")
    refused(["server", "--bench", *TARGET], 64, "leave out --target")
    refused(["client"], 64, "no server: add --remote ADDR")


@test
def options_of_other_commands():
    """Never taken for abbreviations: `server --conn 4` would set --connect-timeout."""
    for args, message in (
            (["server", *TARGET, "--conn", "4"], "option --conn belongs to client, not to server"),
            (["server", *TARGET, "--conn=4"], "option --conn belongs to client, not to server"),
            (["server", *TARGET, "-conn", "4"], "option -conn belongs to client, not to server"),
            (["server", *TARGET, "--conn"], "option --conn belongs to client, not to server"),
            (["bench", "--conn", "4"], "option --conn belongs to client, not to bench"),
            (["client", *REMOTE, "--rate", "5"], "option --rate belongs to bench, not to client"),
            (["server", "-r", "x"], "option -r belongs to client and bench, not to server"),
            (["decode", "-c", "x"], "option -c belongs to server and client, not to decode"),
            (["decode", "--json", "x"], "option --json belongs to bench, not to decode"),
            (["decode", "--keepalive", "1"],
             "option --keepalive belongs to server, client and bench, not to decode")):
        refused(args, 64, message)
    # A value is no option, and a shortened option of the command itself is still one.
    refused(["server", "--target", "--conn", "--connect-t", "0"], 64,
            "--connect-timeout 0: out of range")


@test
def hints_name_only_what_may_be_meant():
    for word, meant in (("lisen", "listen"), ("lsiten", "listen"), ("strembuf", "streambuf"),
                        ("keepalvie-timeot", "keepalive-timeout"), ("confog", "config")):
        refused(["server", "--" + word, "1"], 64,
                "unknown option --%s: did you mean --%s?" % (word, meant))
    for word in ("lost", "bogus", "taxget-port", "speed", "x1"):
        _, _, err = run_tool("server", "--" + word, "1")
        expect(err, "smux: unknown option --%s: see smux help server\n" % word, "message")


@test
def bad_values():
    refused(["server", *TARGET, "--framesize", "70000"], 64,
            "--framesize 70000: out of range, expected 1 to 65535")
    refused(["server", *TARGET, "--streambuf", "2MB5"], 64, "--streambuf 2MB5: not a size")
    refused(["server", *TARGET, "--keepalive", "10 s"], 64, "--keepalive 10 s: not a time")
    refused(["server", *TARGET, "--half-close", "yes"], 64, "--half-close yes: expected on or off")
    refused(["client", *REMOTE, "--smuxver", "auto"], 64, "--smuxver auto: expected 1 or 2")
    refused(["server", *TARGET, "--smuxver", "3"], 64, "--smuxver 3: expected 1, 2 or auto")
    refused(["client", *REMOTE, "--insecure=all"], 64, "expected session, forward or status")
    refused(["client", *REMOTE, "--conn", "0"], 64, "--conn 0: out of range, expected 1 to 1024")
    refused(["server", *TARGET, "--max-memory", "4GiB"], 64, "--max-memory 4GiB: ", "less than 4 GiB")
    refused(["client", *REMOTE, "--conn", "99999999999"], 64,
            "--conn 99999999999: not a number from 0 to 4294967294")


@test
def settings_that_contradict_each_other():
    refused(["server", *TARGET, "--streambuf", "8MiB"], 78,
            "--streambuf must not be larger than --smuxbuf")
    refused(["server", *TARGET, "--keepalive", "60"], 78,
            "--keepalive-timeout must not be shorter than --keepalive")


@test
def bad_addresses():
    for text, why in (("host", "has no port"), ("host:", "has no port"),
                      ("1:2:3", "write an IPv6 address as [ADDRESS]:PORT"),
                      ("[::1]", "expected [ADDRESS]:PORT"), ("[1.2.3.4]:5", "not an IPv6 address"),
                      ("host:70000", "number up to 65535"), ("host:http", "number up to 65535"),
                      ("unix:", "is empty"), ("@", "is empty"), ("/" + "x" * 200, "too long"),
                      ("fd:x", "expected fd:NUMBER"), ("systemd", "not available in this build"),
                      ("host:3000-4000", "port ranges are not available in this build")):
        refused(["client", "-r", "127.0.0.1:1", "-l", text], 64, "--listen %s: " % text, why)
    refused(["client", "-r", "-"], 64, "only TCP and Unix sockets")
    refused(["server", "-t", "fd:7"], 64, "only TCP and Unix sockets")
    refused(["server", "-t", "127.0.0.1:0"], 64, "--target 127.0.0.1:0: port 0 is only for listening")
    refused(["client", "-r", "host:0"], 64, "--remote host:0: port 0 is only for listening")


@test
def not_in_this_build():
    for option in ("--psk-file", "--tls-cert", "--tls-key", "--tls-ca", "--tls-name", "--tls-pin",
                   "--alpn", "--status", "--config", "-c"):
        refused(["server", *TARGET, option, "x"], 64, option if option != "-c" else "--config",
                "is not available in this build")
    for option in ("-L", "-R", "-D", "--proxy", "--autoexpire"):
        refused(["client", *REMOTE, option, "x"], 64, option, "is not available in this build")
    refused(["server", *TARGET, "--allow", "x:1"], 64, "--allow is not available in this build")
    for command in ("check", "keygen", "top", "ctl", "completion"):
        refused([command], 64, "the command %s is not available in this build" % command)


@test
def kcptun_options():
    for option in (["--key", "secret"], ["--crypt", "aes"], ["--QPP"], ["--QPPCount", "61"]):
        refused(["client", *REMOTE, *option], 78,
                option[0] + " is used only by the KCP transport", "leave it out")
    refused(["client", *REMOTE, "--comp", "snappy"], 64, "not available in this build")
    # Accepted ones end here because the listener is outside loopback.
    status, _, err = run_tool("server", "-l", ":0", *TARGET, "-mode", "fast3", "--mtu", "1350",
                              "-nocomp", "--crypt", "none", "--datashard=10")
    expect(status, 78, "exit status")
    for option in ("--mode", "--mtu", "--datashard"):
        expect_in(option + ": KCP only, ignored", err, "notice")
    expect("--nocomp" in err or "--crypt" in err, False, "a word about what is the case anyway")


@test
def kcptun_key_in_the_environment():
    env = dict(os.environ, KCPTUN_KEY="secret")
    status, _, err = run_tool("client", *REMOTE, env=env)
    expect(status, 78, "exit status")
    expect_in("KCPTUN_KEY is used only by the KCP transport", err, "message")


@test
def one_dash_or_two_and_kcptun_names():
    process = Process([tool(), "client", "-localaddr", "127.0.0.1:0",
                       "--remoteaddr=127.0.0.1:%d" % free_port(), "-smuxver=1", "-conn", "2", "-log-level",
                       "debug"])
    listening(process)
    for setting in ("smuxver value=1", "conn value=2"):
        expect_in("config option=" + setting, process.log(), "settings")


@test
def plaintext_outside_loopback_is_refused():
    refused(["server", "-l", "0.0.0.0:0", *TARGET], 78, "refusing to listen on 0.0.0.0:0 without TLS",
            "--insecure=session")
    refused(["server", *TARGET], 78, "refusing to listen on 0.0.0.0:29900", "listen on loopback",
            "--insecure=session on a network you trust")
    out = " ".join(run_tool("server", "--help")[1].split())
    for part in ("outside loopback, as the default, only with --insecure=session [:29900]",
                 "refused without --insecure=session", "listen on 127.0.0.1:29900"):
        expect_in(part, out, "help of server")
    refused(["server", "-l", "[::]:0", *TARGET, "--insecure=forward"], 78, "refusing to listen")
    refused(["client", "-l", ":0", *REMOTE], 78, "refusing to listen on 0.0.0.0:0",
            "--insecure=forward")
    process = Process([tool(), "server", "-l", "0.0.0.0:0", *TARGET, "--insecure=session"])
    process.wait_log("warn .*not encrypted and outside loopback")
    process = Process([tool(), "client", "-l", ":0", *REMOTE, "--insecure"])
    process.wait_log("warn .*not encrypted and outside loopback")


@test
def client_warns_about_plaintext_outside_loopback():
    address = own_address()
    target = Target(echo)
    process = Process([tool(), "server", "-l", address + ":0", "-t", format_address(target.address),
                       "--insecure=session"])
    remote = listening(process)
    outside = client(remote)
    outside.wait_log("warn .*outside loopback and the connection is not encrypted")


@test
def port_in_use():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        for args in (["server", "-l", "127.0.0.1:%d" % port, *TARGET],
                     ["client", "-l", "127.0.0.1:%d" % port, *REMOTE]):
            refused(args, 73, "cannot listen on 127.0.0.1:%d: address in use" % port)


@test
def listen_address_of_another_machine():
    refused(["client", "-l", "203.0.113.77:1234", "--insecure", *REMOTE], 73,
            "cannot listen on 203.0.113.77:1234")
    refused(["client", "-l", "no-such-host.invalid:1234", *REMOTE], 73,
            "cannot listen on no-such-host.invalid:1234")
    refused(["client", "-l", "/no/such/directory/socket", *REMOTE], 73,
            "cannot listen on /no/such/directory/socket")


@test
def log_file_that_cannot_be_opened():
    refused(["server", *TARGET, "--log", "/no/such/directory/log"], 73,
            "cannot open the log /no/such/directory/log")


@test
def help_fits_and_shows_defaults():
    for topic in ("server", "client", "decode", "addresses", "exit-codes", "signals"):
        status, out, err = run_tool("help", topic)
        expect((status, err), (0, ""), "help " + topic)
        for line in out.splitlines():
            if len(line) > 80:
                raise AssertionError("help %s: line of %d columns: %r" % (topic, len(line), line))
    for command in ("server", "client", "decode"):
        expect(run_tool(command, "--help"), run_tool("help", command), "both ways to help")
    _, out, _ = run_tool("client", "-h")
    for part in ("[0]", "[4MiB]", "[32768]", "--keepalive TIME", "[127.0.0.1:12948]"):
        expect_in(part, out, "help of client")
    expect(run_tool("help", "nonsense")[0], 64, "unknown topic")


@test
def man_page_is_clean():
    need("mandoc")
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", ROOT + "/man/smux.1"],
                          capture_output=True, text=True)
    expect((done.returncode, done.stdout), (0, ""), "mandoc")


@test
def version():
    status, out, _ = run_tool("version")
    expect(status, 0, "exit status")
    expect_in("libsmux ", out, "version")
    for args in (["-v"], ["--version"], ["server", "-v"], ["client", "--version"]):
        expect(run_tool(*args)[0], 0, "exit status of %s" % args)


@test
def output_that_cannot_be_written():
    if not os.path.exists("/dev/full"):
        raise Skip("no /dev/full")
    with open("/dev/full", "w") as full:
        done = subprocess.run([tool(), "version"], stdout=full, stderr=subprocess.PIPE)
    expect(done.returncode, 74, "exit status")


@test
def every_option_is_in_the_man_page():
    with open(os.path.join(ROOT, "man/smux.1")) as f:
        page = f.read().replace("\\-", "-").replace("\\", "")
    documented = set(re.findall(r"\bFl ((?:-|\w)[\w-]*)", page))
    options = {line.split()[1] for line in run_tool("help", "options")[1].splitlines()}
    options |= set(re.findall(r"^  (?:-\w, |    )(--[\w-]+)", run_tool("help", "bench")[1], re.M))
    expect(len(options) > 80, True, "number of options")
    missing = sorted(option for option in options if option[1:] not in documented)
    expect(missing, [], "options that man/smux.1 does not list")


def messages(path):
    """The first pieces of text of every usage_error() of a file, up to what is filled in."""
    with open(path) as f:
        source = re.sub(r'"\s*"', "", f.read())
    for text in re.findall(r'usage_error\(\s*"([^"%]{12,})', source):
        yield text.replace("\\", "").rstrip()


@test
def messages_are_in_the_man_page():
    with open(os.path.join(ROOT, "man/smux.1")) as f:
        page = f.read().split(".Sh DIAGNOSTICS")[1].replace('""', '"')
    directory = os.path.join(ROOT, "tools/smux")
    found = [text for name in sorted(os.listdir(directory)) if name.endswith(".c")
             for text in messages(os.path.join(directory, name))]
    expect(len(found) > 15, True, "number of messages, %s" % found)
    expect([text for text in found if text not in page], [], "messages that man/smux.1 does not list")


run()
