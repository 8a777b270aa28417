package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/xtaci/smux"
)

// echo sends back what arrives until the peer ends the stream. A transport that breaks is no
// failure here: Go resets it when it closes with unread frames, and the client knows what it got.
func echo(st io.ReadWriter, t *tally) error { return echoWith(st, make([]byte, copyBuffer), t) }

func echoServer(fs *flag.FlagSet) runner {
	return func(e *env) error {
		var t tally
		return e.serve(&t, func(sess *smux.Session) {
			handleStreams(sess, &t, func(st *smux.Stream) error { return echo(st, &t) })
		})
	}
}

// exchange writes m messages of size bytes and compares what comes back. The two directions run
// at once; with lockstep each message waits for the echo of the one before.
func exchange(st io.ReadWriter, seed uint64, m, size int, lockstep bool) error {
	sent := make(chan error, 1)
	turn := make(chan struct{}, 1)
	go func() {
		out := newPattern(seed)
		buf := make([]byte, size)
		for i := 0; i < m; i++ {
			out.Read(buf)
			if _, err := st.Write(buf); err != nil {
				sent <- fmt.Errorf("write of message %d: %w", i, err)
				return
			}
			if lockstep {
				<-turn
			}
		}
		sent <- nil
	}()
	want, got, in := make([]byte, size), make([]byte, size), newPattern(seed)
	for i := 0; i < m; i++ {
		in.Read(want)
		if _, err := io.ReadFull(st, got); err != nil {
			select {
			case werr := <-sent:
				if werr != nil {
					return werr
				}
			default:
			}
			return fmt.Errorf("read of message %d: %w", i, err)
		}
		if !bytes.Equal(want, got) {
			return fmt.Errorf("message %d came back changed", i)
		}
		if lockstep {
			turn <- struct{}{}
		}
	}
	return <-sent
}

func echoClient(fs *flag.FlagSet) runner {
	c := fs.Int("c", 1, "open `N` streams")
	parallel := fs.Int("parallel", 1, "have `P` of them open at once")
	m := fs.Int("m", 1, "write `M` messages on each")
	size := fs.Int("size", 64, "`BYTES` of a message")
	lockstep := fs.Bool("lockstep", false, "wait for each echo before the next message")
	eof := fs.Bool("eof", false, "half-close after the data and expect the server's end of stream (smux 1.5.54 and later)")
	return func(e *env) error {
		if *eof && !canCloseWrite() {
			return errSkip
		}
		sess, err := e.connect()
		if err != nil {
			return err
		}
		defer sess.Close()
		var t tally
		t.echoStreams(sess, *c, *parallel, *m, *size, *lockstep, *eof)
		return e.finish(&t)
	}
}

// echoStreams opens n streams to an echo peer and runs an exchange on each.
func (t *tally) echoStreams(sess *smux.Session, n, parallel, m, size int, lockstep, eof bool) {
	forEach(n, parallel, func(i int) {
		st, err := sess.OpenStream()
		if err != nil {
			t.fail("open of stream %d: %v", i, err)
			return
		}
		defer st.Close()
		t.streams.Add(1)
		err = exchange(st, uint64(i)+1, m, size, lockstep)
		if err == nil && eof {
			err = expectEnd(st)
		}
		if err != nil {
			t.fail("stream %d: %v", st.ID(), err)
			return
		}
		t.bytes.Add(2 * int64(m) * int64(size))
	})
}

// expectEnd half-closes st and wants the end of the other direction, without data.
func expectEnd(st *smux.Stream) error {
	if err := closeWrite(st); err != nil {
		return fmt.Errorf("half-close: %w", err)
	}
	var one [1]byte
	if n, err := st.Read(one[:]); n != 0 || !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the half-close: %d bytes, %v; expected the end", n, err)
	}
	return nil
}

func pingClient(fs *flag.FlagSet) runner {
	c := fs.Int("c", 1000, "do `N` round trips")
	size := fs.Int("size", 64, "`BYTES` of a message")
	return func(e *env) error {
		sess, err := e.connect()
		if err != nil {
			return err
		}
		defer sess.Close()
		st, err := sess.OpenStream()
		if err != nil {
			return err
		}
		defer st.Close()
		var h histogram
		buf := make([]byte, *size)
		for i := 0; i < *c; i++ {
			begin := time.Now()
			if err := roundTrip(st, buf); err != nil {
				return fmt.Errorf("round trip %d: %w", i, err)
			}
			h.add(time.Since(begin))
		}
		e.report(map[string]any{
			"ok": true, "pings": *c, "size": *size,
			"p50_us": h.quantile(0.50), "p90_us": h.quantile(0.90),
			"p99_us": h.quantile(0.99), "max_us": h.quantile(1),
		})
		return nil
	}
}
