package main

import (
	"flag"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xtaci/smux"
)

func slowServer(fs *flag.FlagSet) runner {
	stalled := fs.Int64("stalled", 1, "do not read the first `N` streams of a session")
	release := fs.Duration("release", 0, "read and echo them after this time (0 = never)")
	return func(e *env) error {
		var t tally
		return e.serve(&t, func(sess *smux.Session) {
			over := make(chan struct{})
			go func() {
				for !sess.IsClosed() {
					time.Sleep(20 * time.Millisecond)
				}
				close(over)
			}()
			var n atomic.Int64
			handleStreams(sess, &t, func(st *smux.Stream) error {
				if n.Add(1) <= *stalled {
					if *release == 0 {
						<-over
						return nil
					}
					time.Sleep(*release)
				}
				return echo(st, &t)
			})
		})
	}
}

// slowClient writes to some streams without reading their echo, so that both directions of them
// stall, and meanwhile wants others to work. With -drain the stalled ones are read in the end and
// must have lost nothing.
func slowClient(fs *flag.FlagSet) runner {
	stalled := fs.Int("stalled", 1, "leave `N` streams unread")
	stall := fs.Int64("stall-bytes", 1<<20, "write at most `BYTES` to each of them; v1 has no window: stay below both receive buffers")
	c := fs.Int("c", 8, "meanwhile move data on `N` streams at once")
	n := fs.Int("bytes", 1<<20, "`BYTES` each of them sends and gets back")
	settle := fs.Duration("settle", 300*time.Millisecond, "let the stalled streams fill up first")
	drain := fs.Bool("drain", true, "read the stalled streams in the end")
	return func(e *env) error {
		sess, err := e.connect()
		if err != nil {
			return err
		}
		defer sess.Close()
		var t tally
		var written atomic.Int64
		var slow sync.WaitGroup
		streams := make([]*smux.Stream, *stalled)
		for i := range streams {
			st, err := sess.OpenStream()
			if err != nil {
				return err
			}
			streams[i] = st
			slow.Add(1)
			go func() {
				defer slow.Done()
				source := newPattern(uint64(st.ID()))
				buf := make([]byte, 4096)
				for left := *stall; left > 0; left -= int64(len(buf)) {
					if left < int64(len(buf)) {
						buf = buf[:left]
					}
					source.Read(buf)
					if _, err := st.Write(buf); err != nil {
						if *drain {
							t.fail("stalled stream %d: write: %v", st.ID(), err)
						}
						return
					}
					written.Add(int64(len(buf)))
				}
			}()
		}
		time.Sleep(*settle)
		before := written.Load()
		const message = 16 << 10
		begin := time.Now()
		t.echoStreams(sess, *c, *c, (*n+message-1)/message, message, false, false)
		moved := time.Since(begin)
		if *drain {
			for _, st := range streams {
				var check checker
				if got, err := io.CopyN(&check, onlyReader{st}, *stall); err != nil {
					t.fail("stalled stream %d: after %d of %d bytes: %v", st.ID(), got, *stall, err)
				}
			}
			slow.Wait()
		}
		for _, st := range streams {
			st.Close()
		}
		f := t.fields()
		f["stalled_at"] = before
		f["moved_seconds"] = moved.Seconds()
		e.report(f)
		if err := t.err(); err != nil {
			return fmt.Errorf("beside %d stalled bytes: %w", before, err)
		}
		return nil
	}
}
