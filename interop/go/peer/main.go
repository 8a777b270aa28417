// Command gopeer is the Go side of the interoperability tests of libsmux: servers, clients,
// benchmarks and a small tunnel on top of github.com/xtaci/smux. The same source is compiled
// against several releases of that library, so it uses only what all of them have; what only
// some have (CloseWrite) is looked for at run time.
//
// Exit codes: 0 all right, 1 something was wrong, 2 usage, 3 time limit, 77 not possible with
// this release of the Go library.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"time"
)

const (
	exitFailure = 1
	exitUsage   = 2
	exitTimeout = 3
	exitSkip    = 77
)

// errSkip says that the linked smux release lacks what the command needs.
var errSkip = errors.New("this smux release has no CloseWrite")

// kind tells which end of a connection a command is, and so which flags it has.
type kind int

const (
	server kind = iota
	client
	relay // listens and dials
	alone // neither
)

// runner is a command with its flags parsed.
type runner func(e *env) error

// command is one subcommand. setup registers the command's own flags and returns what runs it.
type command struct {
	name  string
	kind  kind
	help  string
	setup func(fs *flag.FlagSet) runner
}

var commands = []command{
	{"echo-server", server, "echo every accepted stream until its end", echoServer},
	{"echo-client", client, "messages to an echo server, compared with what comes back", echoClient},
	{"ping-client", client, "round trips on one stream of an echo server", pingClient},
	{"sink-server", server, "check bulk data, answer with its SHA-256", sinkServer},
	{"source-client", client, "send bulk data to a sink server", sourceClient},
	{"source-server", server, "send the bulk data a stream asks for", sourceServer},
	{"sink-client", client, "ask a source server for bulk data and check it", sinkClient},
	{"duplex-server", server, "bulk data both ways at once, neither waiting for the other", duplexServer},
	{"duplex-client", client, "the same as a client", duplexClient},
	{"speak-first-server", server, "greet on each accepted stream and close it", speakFirstServer},
	{"speak-first-client", client, "open streams, write nothing, expect the greeting", speakFirstClient},
	{"opener-server", server, "open streams towards the client, ping-pong on each; echoes accepted ones too", openerServer},
	{"accept-client", client, "echo the streams that the server opens", acceptClient},
	{"halfclose-server", server, "read until the end, then reply (or the other way round)", halfcloseServer},
	{"halfclose-client", client, "send, half-close, read the reply late", halfcloseClient},
	{"slow-server", server, "echo server that does not read the first streams of a session", slowServer},
	{"slow-client", client, "one echo stream is not read while others must move", slowClient},
	{"noaccept-server", server, "accept sessions but no streams", noacceptServer},
	{"open-client", client, "open streams and look which of them the server ends at once", openClient},
	{"closer-server", server, "close each stream after some bytes, while the peer still writes", closerServer},
	{"closer-client", client, "close streams of a source server in the middle of their data", closerClient},
	{"spec-server", server, "subject of smuxspec (tests/spec)", specServer},
	{"spec-client", client, "the same as a client; keeps 32 connections up until standard input ends", specClient},
	{"app-server", server, "do with each stream what its first byte says, as the victims of tests/attack", appServer},
	{"bench-server", server, "far end of bench-client", benchServer},
	{"bench-client", client, "measure against bench-server", benchClient},
	{"bench-self", alone, "measure with both ends in this process", benchSelf},
	{"tunnel-server", server, "connect each accepted stream to a target", tunnelServer},
	{"tunnel-client", relay, "carry local connections as streams", tunnelClient},
}

func main() {
	if len(os.Args) < 2 {
		usage(os.Stderr)
		os.Exit(exitUsage)
	}
	switch os.Args[1] {
	case "version":
		fmt.Printf("gopeer smux=%s go=%s closewrite=%t\n", smuxVersion(), runtime.Version(), canCloseWrite())
		return
	case "help", "-h", "-help", "--help":
		usage(os.Stdout)
		return
	}
	for _, c := range commands {
		if c.name == os.Args[1] {
			os.Exit(run(c, os.Args[2:]))
		}
	}
	fmt.Fprintf(os.Stderr, "gopeer: no command %q, see gopeer help\n", os.Args[1])
	os.Exit(exitUsage)
}

func usage(w io.Writer) {
	fmt.Fprintf(w, "usage: gopeer COMMAND [flags]; gopeer COMMAND -h lists the flags\n\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-20s %s\n", c.name, c.help)
	}
	fmt.Fprintf(w, "  %-20s %s\n", "version", "linked smux release, Go release, whether CloseWrite exists")
}

// run parses the flags, arms the time limit and runs one command; it returns the exit code.
func run(c command, args []string) int {
	fs := flag.NewFlagSet("gopeer "+c.name, flag.ContinueOnError)
	e := &env{command: c.name}
	e.flags(fs, c.kind)
	body := c.setup(fs)
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return exitUsage
	}
	if err := e.check(fs, c.kind); err != nil {
		fmt.Fprintf(os.Stderr, "gopeer %s: %v\n", c.name, err)
		return exitUsage
	}
	if e.timeout > 0 {
		time.AfterFunc(e.timeout, func() {
			fmt.Fprintf(os.Stderr, "gopeer %s: not done after %v\n", c.name, e.timeout)
			os.Exit(exitTimeout)
		})
	}
	e.start = time.Now()
	err := body(e)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errSkip):
		fmt.Fprintf(os.Stderr, "gopeer %s: skipped: %v\n", c.name, err)
		return exitSkip
	default:
		fmt.Fprintf(os.Stderr, "gopeer %s: %v\n", c.name, err)
		return exitFailure
	}
}

// report prints one line of JSON with the command's figures on standard output.
func (e *env) report(fields map[string]any) {
	fields["command"] = e.command
	fields["smux"] = smuxVersion()
	fields["version"] = e.config.Version
	if _, set := fields["seconds"]; !set {
		fields["seconds"] = time.Since(e.start).Seconds()
	}
	line, err := json.Marshal(fields)
	if err != nil {
		panic(err) // only numbers, strings and booleans are put in
	}
	fmt.Println(string(line))
}

// smuxVersion returns the release of xtaci/smux that was linked.
func smuxVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == "github.com/xtaci/smux" {
				return dep.Version
			}
		}
	}
	return "unknown"
}
