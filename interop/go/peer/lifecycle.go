package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xtaci/smux"
)

// The commands of this file are about how streams begin and end.

func greeting(id uint32) string { return fmt.Sprintf("hello %d\n", id) }

func speakFirstServer(fs *flag.FlagSet) runner {
	return func(e *env) error {
		var t tally
		return e.serve(&t, func(sess *smux.Session) {
			handleStreams(sess, &t, func(st *smux.Stream) error {
				n, err := io.WriteString(st, greeting(st.ID()))
				t.bytes.Add(int64(n))
				return err
			})
		})
	}
}

func speakFirstClient(fs *flag.FlagSet) runner {
	c := fs.Int("c", 1, "open `N` streams")
	parallel := fs.Int("parallel", 1, "have `P` of them open at once")
	wait := fs.Duration("wait", 2*time.Second, "a stream without greeting or end after this time is lost")
	allow := fs.Int64("allow-lost", 0, "tolerate `N` lost streams: openers up to 1.5.57 drop what comes too soon")
	return func(e *env) error {
		sess, err := e.connect()
		if err != nil {
			return err
		}
		defer sess.Close()
		var t tally
		var lost atomic.Int64
		forEach(*c, *parallel, func(i int) {
			st, err := sess.OpenStream()
			if err != nil {
				t.fail("open of stream %d: %v", i, err)
				return
			}
			defer st.Close()
			t.streams.Add(1)
			st.SetReadDeadline(time.Now().Add(*wait))
			got, err := io.ReadAll(onlyReader{st})
			t.bytes.Add(int64(len(got)))
			want := greeting(st.ID())
			switch {
			case string(got) == want && err == nil:
			case isTimeout(err), err == nil && len(got) == 0:
				lost.Add(1)
				t.note("stream %d: lost: got %q, %v", st.ID(), got, err)
			default:
				t.fail("stream %d: got %q, %v; expected %q", st.ID(), got, err, want)
			}
		})
		if n := lost.Load(); n > *allow {
			t.fail("%d of %d streams lost their greeting or their end", n, *c)
		}
		f := t.fields()
		f["lost"] = lost.Load()
		e.report(f)
		return t.err()
	}
}

func isTimeout(err error) bool {
	return err != nil && (errors.Is(err, smux.ErrTimeout) || err.Error() == smux.ErrTimeout.Error())
}

func openerServer(fs *flag.FlagSet) runner {
	c := fs.Int("c", 1, "open `N` streams in each session")
	parallel := fs.Int("parallel", 1, "have `P` of them open at once")
	m := fs.Int("m", 10, "do `M` round trips on each")
	size := fs.Int("size", 64, "`BYTES` of a message")
	return func(e *env) error {
		var t tally
		return e.serve(&t, func(sess *smux.Session) {
			var own sync.WaitGroup
			own.Add(1)
			go func() {
				defer own.Done()
				t.echoStreams(sess, *c, *parallel, *m, *size, true, false)
				t.note("session: own %d streams done", *c)
			}()
			handleStreams(sess, &t, func(st *smux.Stream) error { return echo(st, &t) })
			sess.Close()
			own.Wait()
		})
	}
}

func acceptClient(fs *flag.FlagSet) runner {
	expect := fs.Int64("expect", 0, "end when `N` streams of the server are done (0 = when the session ends)")
	c := fs.Int("c", 0, "meanwhile open `N` own echo streams")
	parallel := fs.Int("parallel", 1, "have `P` of them open at once")
	m := fs.Int("m", 10, "write `M` messages on each")
	size := fs.Int("size", 64, "`BYTES` of a message")
	return func(e *env) error {
		sess, err := e.connect()
		if err != nil {
			return err
		}
		defer sess.Close()
		var t tally
		var accepted atomic.Int64
		enough := make(chan struct{})
		ended := make(chan struct{})
		go func() {
			handleStreams(sess, &t, func(st *smux.Stream) error {
				err := echo(st, &t)
				if accepted.Add(1) == *expect {
					close(enough)
				}
				return err
			})
			close(ended)
		}()
		t.echoStreams(sess, *c, *parallel, *m, *size, true, false)
		select {
		case <-enough:
		case <-ended:
		}
		if n := accepted.Load(); n < *expect {
			t.fail("session ended after %d of %d streams", n, *expect)
		}
		f := t.fields()
		f["accepted"] = accepted.Load()
		e.report(f)
		return t.err()
	}
}

const (
	clientFirst = "client-first"
	serverFirst = "server-first"
)

func halfcloseServer(fs *flag.FlagSet) runner {
	reply := fs.Uint64("reply", 8, "reply with `BYTES`")
	order := fs.String("order", clientFirst, "client-first: reply after the client's end; server-first: reply and half-close at once, then read")
	return func(e *env) error {
		if *order != clientFirst && *order != serverFirst {
			return fmt.Errorf("-order %s: expected %s or %s", *order, clientFirst, serverFirst)
		}
		if *order == serverFirst && !canCloseWrite() {
			return errSkip
		}
		var t tally
		return e.serve(&t, func(sess *smux.Session) {
			handleStreams(sess, &t, func(st *smux.Stream) error {
				if *order == serverFirst {
					if _, err := sendPattern(st, uint64(st.ID()), *reply, copyBuffer, &t); err != nil {
						return err
					}
					if err := closeWrite(st); err != nil {
						return err
					}
				}
				if _, err := receivePattern(st, untilEnd, &t); err != nil {
					return err
				}
				if *order == clientFirst {
					_, err := sendPattern(st, uint64(st.ID()), *reply, copyBuffer, &t)
					return err
				}
				return nil
			})
		})
	}
}

func halfcloseClient(fs *flag.FlagSet) runner {
	send := fs.Uint64("send", 8, "send `BYTES`")
	reply := fs.Int64("reply", 8, "expect `BYTES`")
	c := fs.Int("c", 1, "use `N` streams at once")
	delay := fs.Duration("delay", 200*time.Millisecond, "read only so long after the half-close")
	before := fs.Duration("before", 0, "half-close only so long after the data")
	return func(e *env) error {
		if !canCloseWrite() {
			return errSkip
		}
		return e.onStreams(*c, func(st *smux.Stream, t *tally) error {
			if _, err := sendPattern(st, uint64(st.ID()), *send, copyBuffer, t); err != nil {
				return err
			}
			time.Sleep(*before)
			if err := closeWrite(st); err != nil {
				return fmt.Errorf("half-close: %w", err)
			}
			time.Sleep(*delay)
			had := &tally{}
			if _, err := receivePattern(st, untilEnd, had); err != nil {
				return err
			}
			if got := had.bytes.Load(); got != *reply {
				return fmt.Errorf("reply has %d bytes, expected %d", got, *reply)
			}
			t.bytes.Add(*reply)
			return nil
		})
	}
}

func openClient(fs *flag.FlagSet) runner {
	c := fs.Int("c", 1, "open `N` streams")
	wait := fs.Duration("wait", time.Second, "look so long for ends and data")
	ended := fs.Int64("expect-ended", -1, "`N` streams must be ended by the server (-1 = any number)")
	probe := fs.Bool("probe", false, "afterwards one more stream must echo")
	return func(e *env) error {
		sess, err := e.connect()
		if err != nil {
			return err
		}
		defer sess.Close()
		var t tally
		var eof, data, quiet atomic.Int64
		var looking sync.WaitGroup
		for i := 0; i < *c; i++ {
			st, err := sess.OpenStream()
			if err != nil {
				t.fail("open of stream %d: %v", i, err)
				break
			}
			t.streams.Add(1)
			looking.Add(1)
			go func() {
				defer looking.Done()
				defer st.Close()
				st.SetReadDeadline(time.Now().Add(*wait))
				var one [1]byte
				switch n, err := st.Read(one[:]); {
				case n > 0:
					data.Add(1)
				case errors.Is(err, io.EOF):
					eof.Add(1)
				case isTimeout(err):
					quiet.Add(1)
				default:
					t.fail("stream %d: %v", st.ID(), err)
				}
			}()
		}
		looking.Wait()
		if *ended >= 0 && eof.Load() != *ended {
			t.fail("%d streams were ended, expected %d", eof.Load(), *ended)
		}
		if *probe {
			t.echoStreams(sess, 1, 1, 1, 64, false, false)
		}
		f := t.fields()
		f["ended"], f["data"], f["quiet"] = eof.Load(), data.Load(), quiet.Load()
		e.report(f)
		return t.err()
	}
}

func noacceptServer(fs *flag.FlagSet) runner {
	after := fs.Duration("after", 0, "accept and echo after this time (0 = never)")
	return func(e *env) error {
		var t tally
		return e.serve(&t, func(sess *smux.Session) {
			if *after > 0 {
				time.Sleep(*after)
				handleStreams(sess, &t, func(st *smux.Stream) error { return echo(st, &t) })
				return
			}
			// The session does not tell when its transport is gone; keepalive closes it, and
			// without keepalive it lasts as long as this process.
			for !sess.IsClosed() {
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
}

func closerServer(fs *flag.FlagSet) runner {
	after := fs.Int64("after", 1000, "read `BYTES` of a stream, then close it")
	return func(e *env) error {
		var t tally
		return e.serve(&t, func(sess *smux.Session) {
			handleStreams(sess, &t, func(st *smux.Stream) error {
				n, err := io.CopyN(io.Discard, onlyReader{st}, *after)
				t.bytes.Add(n)
				if !isEnd(err) {
					return err
				}
				return nil
			})
		})
	}
}

func closerClient(fs *flag.FlagSet) runner {
	c := fs.Int("c", 1, "close `N` streams")
	parallel := fs.Int("parallel", 1, "have `P` of them open at once")
	after := fs.Int64("after", 1000, "read `BYTES`, then close")
	n := fs.Uint64("bytes", 1<<20, "ask for `BYTES`")
	return func(e *env) error {
		sess, err := e.connect()
		if err != nil {
			return err
		}
		defer sess.Close()
		var t tally
		open := func(i int, f func(st *smux.Stream) error) {
			st, err := sess.OpenStream()
			if err == nil {
				t.streams.Add(1)
				err = f(st)
				st.Close()
			}
			if err != nil {
				t.fail("stream %d: %v", i, err)
			}
		}
		forEach(*c, *parallel, func(i int) {
			open(i, func(st *smux.Stream) error {
				if err := writeLength(st, *n); err != nil {
					return err
				}
				var check checker
				got, err := io.CopyN(&check, onlyReader{st}, *after)
				t.bytes.Add(got)
				return err
			})
		})
		// The session must have survived: a whole transfer still works.
		open(*c, func(st *smux.Stream) error { return fetch(st, *n, &t) })
		return e.finish(&t)
	}
}
