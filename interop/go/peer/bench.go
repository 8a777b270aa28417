package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/xtaci/smux"
)

// A bench stream starts with five bytes: what the server shall do, and the message size (LE).
// serviceCount: messages of that size follow, each beginning with 1, the last one with 0; the
// server then answers with the number of payload bytes it got (8 bytes, LE). serviceEcho: bytes
// come back until the end. serviceDiscard: what comes until the end is dropped.
const (
	serviceCount   = 'B'
	serviceEcho    = 'E'
	serviceDiscard = 'D'
)

// link is where bench streams come from: a smux session, or for -raw a connection for each.
type link interface {
	open() (io.ReadWriteCloser, error)
	Close() error
}

type smuxLink struct{ *smux.Session }

func (l smuxLink) open() (io.ReadWriteCloser, error) {
	st, err := l.OpenStream()
	if err != nil {
		return nil, err // not st: a nil *Stream in an interface is not nil
	}
	return st, nil
}

type rawLink struct{ addr string }

func (l rawLink) open() (io.ReadWriteCloser, error) { return dial(l.addr) }
func (l rawLink) Close() error                      { return nil }

// benchServe is the server's side of one bench stream.
func benchServe(st io.ReadWriter, t *tally) error {
	var head [5]byte
	if _, err := io.ReadFull(st, head[:]); err != nil {
		if isGone(err) {
			return nil
		}
		return err
	}
	switch size := int(binary.LittleEndian.Uint32(head[1:])); {
	case head[0] == serviceEcho && size > 0:
		if size > copyBuffer {
			size = copyBuffer
		}
		// No larger than needed: idle streams are there to measure the library's memory.
		return echoWith(st, make([]byte, size), t)
	case head[0] == serviceCount && size > 0:
		return countMessages(st, size, t)
	case head[0] == serviceDiscard:
		_, err := io.Copy(io.Discard, st)
		return err
	default:
		return fmt.Errorf("unknown bench request % x", head)
	}
}

func countMessages(st io.ReadWriter, size int, t *tally) error {
	buf := make([]byte, 128<<10)
	var total uint64
	next := 0 // where in the coming data the next message begins
	for last := false; !last || next > 0; {
		n, err := st.Read(buf)
		if err != nil {
			return fmt.Errorf("after %d bytes: %w", total, err)
		}
		total += uint64(n)
		t.bytes.Add(int64(n))
		for next < n {
			last = buf[next] == 0
			next += size
		}
		next -= n
	}
	var reply [8]byte
	binary.LittleEndian.PutUint64(reply[:], total)
	_, err := st.Write(reply[:])
	return err
}

func benchServer(fs *flag.FlagSet) runner {
	raw := fs.Bool("raw", false, "plain connections instead of smux, one for each stream")
	return func(e *env) error {
		var t tally
		if *raw {
			return e.serveConns(&t, func(conn net.Conn) { rawServe(conn, &t) })
		}
		return e.serve(&t, func(sess *smux.Session) {
			handleStreams(sess, &t, func(st *smux.Stream) error { return benchServe(st, &t) })
		})
	}
}

func rawServe(conn net.Conn, t *tally) {
	t.streams.Add(1)
	if err := benchServe(conn, t); err != nil {
		t.fail("connection: %v", err)
	}
}

// workload is what the flags of bench-client and bench-self ask for.
type workload struct {
	mode    string
	streams int
	seconds float64
	size    int
	raw     bool
}

func (w *workload) flags(fs *flag.FlagSet) {
	fs.StringVar(&w.mode, "mode", "bulk", "`MODE`: bulk, small (many short writes), pingpong, churn (open, echo, close), open (open, five bytes, close), idle")
	fs.IntVar(&w.streams, "streams", 1, "use `N` streams at once")
	fs.Float64Var(&w.seconds, "seconds", 3, "measure for `T` seconds")
	fs.IntVar(&w.size, "size", 0, "`BYTES` of a message (0 = 131072 for bulk, 1 for idle, else 64)")
	fs.BoolVar(&w.raw, "raw", false, "plain connections instead of smux, one for each stream")
}

func (w *workload) complete() error {
	if w.size == 0 {
		w.size = map[string]int{"bulk": 128 << 10, "idle": 1}[w.mode]
		if w.size == 0 {
			w.size = 64
		}
	}
	if w.size < 0 || w.streams < 1 {
		return errors.New("-size and -streams must be positive")
	}
	if benchModes[w.mode] == nil {
		return fmt.Errorf("-mode %q: expected bulk, small, pingpong, churn, open or idle", w.mode)
	}
	return nil
}

// result is what one worker measured.
type result struct {
	bytes, ops int64
	latency    histogram
}

// benchModes has the worker of each mode: one stream's work until the deadline.
var benchModes = map[string]func(w *workload, l link, deadline time.Time, r *result) error{
	"bulk":     (*workload).count,
	"small":    (*workload).count,
	"pingpong": (*workload).pingpong,
	"churn":    (*workload).churn,
	"open":     (*workload).openClose,
	"idle":     (*workload).idle,
}

// start opens a stream and sends its request.
func (w *workload) start(l link, service byte) (io.ReadWriteCloser, error) {
	st, err := l.open()
	if err != nil {
		return nil, err
	}
	head := [5]byte{service}
	binary.LittleEndian.PutUint32(head[1:], uint32(w.size))
	if _, err := st.Write(head[:]); err != nil {
		st.Close()
		return nil, err
	}
	return st, nil
}

// count writes messages one way until the deadline; what counts is what the server got.
func (w *workload) count(l link, deadline time.Time, r *result) error {
	st, err := w.start(l, serviceCount)
	if err != nil {
		return err
	}
	defer st.Close()
	message := make([]byte, w.size)
	message[0] = 1
	// The clock is looked at about every 64 KiB, so that it does not cost what it measures.
	batch := 1 + (64<<10)/w.size
	for message[0] == 1 {
		for i := 1; i < batch; i++ {
			if _, err := st.Write(message); err != nil {
				return err
			}
		}
		if time.Now().After(deadline) {
			message[0] = 0
		}
		if _, err := st.Write(message); err != nil {
			return err
		}
		r.ops += int64(batch)
	}
	var reply [8]byte
	if _, err := io.ReadFull(st, reply[:]); err != nil {
		return err
	}
	r.bytes = int64(binary.LittleEndian.Uint64(reply[:]))
	if want := r.ops * int64(w.size); r.bytes != want {
		return fmt.Errorf("server counted %d bytes, %d were written", r.bytes, want)
	}
	return nil
}

func (w *workload) pingpong(l link, deadline time.Time, r *result) error {
	st, err := w.start(l, serviceEcho)
	if err != nil {
		return err
	}
	defer st.Close()
	buf := make([]byte, w.size)
	for begin := time.Now(); begin.Before(deadline); {
		if err := roundTrip(st, buf); err != nil {
			return err
		}
		now := time.Now()
		r.latency.add(now.Sub(begin))
		r.ops++
		begin = now
	}
	r.bytes = 2 * r.ops * int64(w.size)
	return nil
}

func (w *workload) churn(l link, deadline time.Time, r *result) error {
	buf := make([]byte, w.size)
	for begin := time.Now(); begin.Before(deadline); {
		st, err := w.start(l, serviceEcho)
		if err != nil {
			return err
		}
		err = roundTrip(st, buf)
		st.Close()
		if err != nil {
			return err
		}
		now := time.Now()
		r.latency.add(now.Sub(begin))
		r.ops++
		begin = now
	}
	r.bytes = 2 * r.ops * int64(w.size)
	return nil
}

// openClose opens streams, sends no more than the request on each, and closes it at once. A last
// stream is echoed: then the server has taken up all those before.
func (w *workload) openClose(l link, deadline time.Time, r *result) error {
	for time.Now().Before(deadline) {
		st, err := w.start(l, serviceDiscard)
		if err != nil {
			return err
		}
		if err := st.Close(); err != nil {
			return err
		}
		r.ops++
	}
	r.bytes = 5 * r.ops
	st, err := w.start(l, serviceEcho)
	if err != nil {
		return err
	}
	defer st.Close()
	return roundTrip(st, make([]byte, w.size))
}

// idle opens a stream, proves that it works, and keeps it until the deadline.
func (w *workload) idle(l link, deadline time.Time, r *result) error {
	st, err := w.start(l, serviceEcho)
	if err != nil {
		return err
	}
	defer st.Close()
	if err := roundTrip(st, make([]byte, w.size)); err != nil {
		return err
	}
	r.ops++
	time.Sleep(time.Until(deadline))
	return nil
}

// measure runs the workload over l and reports. Its CPU time and memory are those of this
// process, which for bench-self has both ends.
func (w *workload) measure(e *env, l link, bothEnds bool) error {
	debug.FreeOSMemory()
	rssBefore, cpuBefore := rss(), cpuSeconds()
	begin := time.Now()
	deadline := begin.Add(time.Duration(w.seconds * float64(time.Second)))
	var peak int64
	if w.mode == "idle" {
		// Memory is looked at shortly before the end, when all streams are open.
		time.AfterFunc(time.Until(deadline)*9/10, func() {
			debug.FreeOSMemory()
			peak = rss()
		})
	}
	results := make([]result, w.streams)
	errs := make(chan error, w.streams)
	var wg sync.WaitGroup
	for i := range results {
		r := &results[i]
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := benchModes[w.mode](w, l, deadline, r); err != nil {
				errs <- err
			}
		}()
	}
	wg.Wait()
	seconds := time.Since(begin).Seconds()
	cpu := cpuSeconds() - cpuBefore
	if w.mode != "idle" {
		peak = rss()
	}
	select {
	case err := <-errs:
		return fmt.Errorf("%d of %d streams failed: %w", len(errs)+1, w.streams, err)
	default:
	}
	total := &result{}
	for i := range results {
		total.bytes += results[i].bytes
		total.ops += results[i].ops
		total.latency.merge(&results[i].latency)
	}
	f := map[string]any{
		"ok": true, "mode": w.mode, "raw": w.raw, "both_ends": bothEnds,
		"streams": w.streams, "size": w.size, "bytes": total.bytes, "ops": total.ops, "seconds": seconds,
		"bytes_per_s": float64(total.bytes) / seconds, "ops_per_s": float64(total.ops) / seconds,
		"p50_us": total.latency.quantile(0.50), "p99_us": total.latency.quantile(0.99),
		"cpu_s": cpu, "rss_bytes": peak,
	}
	if w.mode == "idle" {
		f["rss_per_stream"] = (peak - rssBefore) / int64(w.streams)
	}
	e.report(f)
	return nil
}

func benchClient(fs *flag.FlagSet) runner {
	w := &workload{}
	w.flags(fs)
	return func(e *env) error {
		if err := w.complete(); err != nil {
			return err
		}
		if w.raw {
			return w.measure(e, rawLink{e.remote}, false)
		}
		sess, err := e.connect()
		if err != nil {
			return err
		}
		defer sess.Close()
		return w.measure(e, smuxLink{sess}, false)
	}
}

func benchSelf(fs *flag.FlagSet) runner {
	w := &workload{}
	w.flags(fs)
	return func(e *env) error {
		if err := w.complete(); err != nil {
			return err
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer ln.Close()
		go func() {
			var t tally
			for {
				conn, err := ln.Accept()
				if err != nil {
					return
				}
				go func() {
					defer conn.Close()
					if w.raw {
						rawServe(conn, &t)
						return
					}
					config := e.config
					sess, err := smux.Server(conn, &config)
					if err != nil {
						return
					}
					defer sess.Close()
					handleStreams(sess, &t, func(st *smux.Stream) error { return benchServe(st, &t) })
				}()
			}
		}()
		e.remote = ln.Addr().String()
		if w.raw {
			return w.measure(e, rawLink{e.remote}, true)
		}
		sess, err := e.connect()
		if err != nil {
			return err
		}
		defer sess.Close()
		return w.measure(e, smuxLink{sess}, true)
	}
}

// cpuSeconds returns the user and system time of this process.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// rss returns the resident memory of this process, 0 where /proc is missing.
func rss() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident int64
	if _, err := fmt.Fscan(strings.NewReader(string(text)), &size, &resident); err != nil {
		return 0
	}
	return resident * int64(os.Getpagesize())
}
