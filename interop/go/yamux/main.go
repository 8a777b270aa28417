// Command yamuxbench measures github.com/hashicorp/yamux, with both ends in one process, exactly
// as `gopeer bench-self` measures smux: the files that are symbolic links are gopeer's.
//
// Exit codes: 0 all right, 1 something was wrong, 2 usage, 3 time limit.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/hashicorp/yamux"
)

type yamuxLink struct{ *yamux.Session }

func (l yamuxLink) open() (io.ReadWriteCloser, error) {
	st, err := l.OpenStream()
	if err != nil {
		return nil, err
	}
	return st, nil
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "version" {
		fmt.Printf("yamuxbench yamux=%s go=%s\n", yamuxVersion(), runtime.Version())
		return
	}
	fs := flag.NewFlagSet("yamuxbench", flag.ContinueOnError)
	w := &workload{}
	w.selfFlags(fs)
	config := yamux.DefaultConfig()
	config.LogOutput = io.Discard // it logs the end of each session as an error
	window := fs.Uint("streambuf", uint(config.MaxStreamWindowSize), "MaxStreamWindowSize, `BYTES`")
	timeout := fs.Duration("timeout", time.Minute, "give up with exit code 3 after this time (0 = never)")
	if err := fs.Parse(os.Args[1:]); errors.Is(err, flag.ErrHelp) {
		return
	} else if err != nil || fs.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "usage: yamuxbench [flags]; -h lists them")
		os.Exit(2)
	}
	config.MaxStreamWindowSize = uint32(*window)
	if *timeout > 0 {
		time.AfterFunc(*timeout, func() {
			fmt.Fprintf(os.Stderr, "yamuxbench: not done after %v\n", *timeout)
			os.Exit(3)
		})
	}
	if err := measure(w, config); err != nil {
		fmt.Fprintln(os.Stderr, "yamuxbench:", err)
		os.Exit(1)
	}
}

func measure(w *workload, config *yamux.Config) error {
	figures, err := w.measureSelf(
		func(conn net.Conn, t *tally) { serve(conn, config, t) },
		func(addr string) (link, error) {
			conn, err := dial(addr)
			if err != nil {
				return nil, err
			}
			sess, err := yamux.Client(conn, config)
			if err != nil {
				return nil, err
			}
			return yamuxLink{sess}, nil
		})
	if err != nil {
		return err
	}
	figures["yamux"] = yamuxVersion()
	return json.NewEncoder(os.Stdout).Encode(figures)
}

// serve takes up the streams of one session until it ends.
func serve(conn net.Conn, config *yamux.Config, t *tally) {
	sess, err := yamux.Server(conn, config)
	if err != nil {
		t.fail("session: %v", err)
		return
	}
	for {
		st, err := sess.AcceptStream()
		if err != nil {
			return
		}
		t.streams.Add(1)
		go func() {
			defer st.Close()
			if err := benchServe(st, t); err != nil && !errors.Is(err, yamux.ErrConnectionReset) && !errors.Is(err, yamux.ErrSessionShutdown) {
				t.fail("stream %d: %v", st.StreamID(), err)
			}
		}()
	}
}

// yamuxVersion returns the release of hashicorp/yamux that was linked.
func yamuxVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == "github.com/hashicorp/yamux" {
				return dep.Version
			}
		}
	}
	return "unknown"
}
