package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/xtaci/smux"
)

// env holds the flags that all commands share.
type env struct {
	command          string
	listen, remote   string
	config           smux.Config
	keepalive        time.Duration
	keepaliveTimeout time.Duration
	timeout          time.Duration
	exitOnStdin      bool
	sessions         int
	start            time.Time
}

func (e *env) flags(fs *flag.FlagSet, k kind) {
	e.config = *smux.DefaultConfig()
	limit := time.Minute
	if k == server || k == relay {
		limit = 10 * time.Minute
		listen := "127.0.0.1:0"
		fs.StringVar(&e.listen, "l", listen, "listen on `ADDR`: host:port (port 0 = any) or unix:PATH")
		fs.BoolVar(&e.exitOnStdin, "exit-on-stdin", false, "end when standard input ends")
	}
	if k == server {
		fs.IntVar(&e.sessions, "sessions", 0, "end after `N` sessions have ended (0 = never)")
	}
	if k == client || k == relay {
		fs.StringVar(&e.remote, "r", "", "connect to `ADDR`: host:port or unix:PATH")
	}
	fs.IntVar(&e.config.Version, "v", e.config.Version, "protocol `VERSION`, 1 or 2")
	fs.IntVar(&e.config.MaxReceiveBuffer, "buf", e.config.MaxReceiveBuffer, "MaxReceiveBuffer, `BYTES`")
	fs.IntVar(&e.config.MaxStreamBuffer, "streambuf", e.config.MaxStreamBuffer, "MaxStreamBuffer, `BYTES`")
	fs.IntVar(&e.config.MaxFrameSize, "frame", e.config.MaxFrameSize, "MaxFrameSize, `BYTES`")
	fs.DurationVar(&e.keepalive, "keepalive", e.config.KeepAliveInterval, "interval of NOP frames, 0 = keepalive off")
	fs.DurationVar(&e.keepaliveTimeout, "keepalive-timeout", 0, "dead peer after this time (0 = three intervals)")
	fs.DurationVar(&e.timeout, "timeout", limit, "give up with exit code 3 after this time (0 = never)")
}

// check completes the settings after the flags were parsed.
func (e *env) check(fs *flag.FlagSet, k kind) error {
	if fs.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if (k == client || k == relay) && e.remote == "" {
		return errors.New("-r ADDR is missing")
	}
	if e.keepalive == 0 {
		e.config.KeepAliveDisabled = true
	} else {
		e.config.KeepAliveInterval = e.keepalive
		e.config.KeepAliveTimeout = e.keepaliveTimeout
		if e.keepaliveTimeout == 0 {
			e.config.KeepAliveTimeout = 3 * e.keepalive
		}
	}
	return smux.VerifyConfig(&e.config)
}

// listener opens the listening socket and tells the parent where it is.
func (e *env) listener() (net.Listener, error) {
	n, a := network(e.listen)
	ln, err := net.Listen(n, a)
	if n == "unix" && errors.Is(err, syscall.EADDRINUSE) {
		// A socket file that nobody listens on is left over from a killed process.
		if probe, derr := net.Dial(n, a); derr == nil {
			probe.Close()
			return nil, err
		}
		os.Remove(a)
		ln, err = net.Listen(n, a)
	}
	if err != nil {
		return nil, err
	}
	if n == "unix" {
		fmt.Printf("listening unix:%s\n", a)
	} else {
		fmt.Printf("listening %s\n", ln.Addr())
	}
	return ln, nil
}

// stdinEnd returns a channel that is closed when standard input ends, nil if nobody asked.
func (e *env) stdinEnd() <-chan struct{} {
	if !e.exitOnStdin {
		return nil
	}
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(ended)
	}()
	return ended
}

// connect makes one session in the client role.
func (e *env) connect() (*smux.Session, error) {
	conn, err := dial(e.remote)
	if err != nil {
		return nil, err
	}
	config := e.config
	return smux.Client(conn, &config)
}

// serve accepts connections, runs handle on a session for each, and ends on standard input's
// end or after -sessions sessions. The summary is reported at the end.
func (e *env) serve(t *tally, handle func(sess *smux.Session)) error {
	return e.serveConns(t, func(conn net.Conn) {
		config := e.config
		sess, err := smux.Server(conn, &config)
		if err != nil {
			t.fail("session: %v", err)
			return
		}
		defer sess.Close()
		handle(sess)
	})
}

// serveConns is serve one level below: for plain connections.
func (e *env) serveConns(t *tally, handle func(conn net.Conn)) error {
	ln, err := e.listener()
	if err != nil {
		return err
	}
	defer ln.Close()
	ended := make(chan struct{}, 64)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				handle(conn)
				conn.Close()
				ended <- struct{}{}
			}()
		}
	}()
	stdin := e.stdinEnd()
	for n := 0; e.sessions == 0 || n < e.sessions; {
		select {
		case <-ended:
			n++
			t.sessions.Add(1)
		case <-stdin:
			e.report(t.fields())
			return t.err()
		}
	}
	e.report(t.fields())
	return t.err()
}

// handleStreams accepts streams until the session ends and runs handle on each. An error of
// handle is counted; the stream is closed in any case. It returns when all handlers are done.
func handleStreams(sess *smux.Session, t *tally, handle func(st *smux.Stream) error) {
	var running sync.WaitGroup
	for {
		st, err := sess.AcceptStream()
		if err != nil {
			if !isEnd(err) {
				t.note("session ended: %v", err)
				t.sessionErrors.Add(1)
			}
			break
		}
		t.streams.Add(1)
		running.Add(1)
		go func() {
			defer running.Done()
			defer st.Close() // also keeps st alive: a collected stream is closed by some releases
			if err := handle(st); err != nil {
				t.fail("stream %d: %v", st.ID(), err)
			}
		}()
	}
	// The transport is gone, but data that arrived before is still worth reading. A writer that
	// waits for window would wait for ever, hence the limit.
	done := make(chan struct{})
	go func() {
		running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(time.Second):
		sess.Close()
		<-done
	}
}

// halfCloser is what smux streams have from 1.5.54 on, and TCP and Unix connections always.
type halfCloser interface{ CloseWrite() error }

func canCloseWrite() bool {
	var st any = (*smux.Stream)(nil)
	_, ok := st.(halfCloser)
	return ok
}

// closeWrite half-closes a stream, or says that this release cannot.
func closeWrite(st any) error {
	h, ok := st.(halfCloser)
	if !ok {
		return errSkip
	}
	return h.CloseWrite()
}

// finish reports a client's result and turns it into its exit code.
func (e *env) finish(t *tally) error {
	e.report(t.fields())
	return t.err()
}
