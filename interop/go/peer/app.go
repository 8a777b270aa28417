package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/xtaci/smux"
)

// appServer does with each stream what its first byte says, as the victims of the attack suite do
// (tests/attack/app.h): E echoes, H holds, S sends without end, F ends its side and reads the
// rest. A goroutine for each stream, as Go programs have it.
//
// Each line on standard input is answered with a line of JSON: sessions, streams, heap, goroutines.
func appServer(fs *flag.FlagSet) runner {
	return func(e *env) error {
		var t tally
		var sessions, streams atomic.Int64
		e.exitOnStdin = false // the commands are read here
		go func() {
			for in := bufio.NewScanner(os.Stdin); in.Scan(); {
				e.report(memory(sessions.Load(), streams.Load()))
			}
			e.report(memory(sessions.Load(), streams.Load()))
			os.Exit(0)
		}()
		return e.serveConns(&t, func(conn net.Conn) {
			sessions.Add(1)
			defer sessions.Add(-1)
			serveApp(conn, e.config, &streams)
		})
	}
}

// memory is what the program has and holds; the heap as of the last collection, which it forces.
func memory(sessions, streams int64) map[string]any {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return map[string]any{
		"sessions": sessions, "streams": streams, "heap": m.HeapAlloc, "goroutines": runtime.NumGoroutine(),
	}
}

// serveApp serves one session until AcceptStream fails. That does not close the connection; the
// program does, as most programs do.
func serveApp(conn net.Conn, config smux.Config, streams *atomic.Int64) {
	sess, err := smux.Server(conn, &config)
	if err != nil {
		return
	}
	defer sess.Close()
	for {
		st, err := sess.AcceptStream()
		if err != nil {
			if !isEnd(err) {
				fmt.Fprintf(os.Stderr, "gopeer: session ended: %v\n", err)
			}
			return
		}
		streams.Add(1)
		go func() {
			defer streams.Add(-1)
			defer st.Close()
			doAsTold(st, sess)
		}()
	}
}

func doAsTold(st *smux.Stream, sess *smux.Session) {
	var what [1]byte
	if _, err := io.ReadFull(st, what[:]); err != nil {
		return
	}
	switch what[0] {
	case 'H':
		for !sess.IsClosed() { // older releases have no channel for it
			time.Sleep(100 * time.Millisecond)
		}
	case 'S':
		buf := make([]byte, 16<<10)
		for {
			if _, err := st.Write(buf); err != nil {
				return
			}
		}
	case 'F':
		if closeWrite(st) == nil {
			io.Copy(io.Discard, st)
		}
	default:
		var t tally
		echo(st, &t)
	}
}
