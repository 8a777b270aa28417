package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"
)

// What this file measures is the same for every multiplexer: ../yamux has it, and the files it
// needs, as symbolic links.

// A bench stream starts with five bytes: what the server shall do, and the message size (LE).
// serviceCount: messages of that size follow, each beginning with 1, the last one with 0; the
// server then answers with the number of payload bytes it got (8 bytes, LE). serviceEcho: bytes
// come back until the end. serviceDiscard: what comes until the end is dropped.
const (
	serviceCount   = 'B'
	serviceEcho    = 'E'
	serviceDiscard = 'D'
)

// Bulk streams beside the ping-pong of mode loaded, and their message size.
const (
	loadedStreams = 8
	bulkSize      = 128 << 10
)

// link is where bench streams come from: a session, or for -raw a connection for each.
type link interface {
	open() (io.ReadWriteCloser, error)
	Close() error
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

func rawServe(conn net.Conn, t *tally) {
	t.streams.Add(1)
	if err := benchServe(conn, t); err != nil {
		t.fail("connection: %v", err)
	}
}

// workload is what the flags of a bench command ask for.
type workload struct {
	mode    string
	streams int
	seconds float64
	size    int
	raw     bool
	unix    bool
}

func (w *workload) flags(fs *flag.FlagSet) {
	fs.StringVar(&w.mode, "mode", "bulk", "`MODE`: bulk, small (many short writes), turns (one writer, short writes on all streams in turn), pingpong, loaded (pingpong beside 8 bulk streams), churn (open, echo, close), open (open, five bytes, close), idle")
	fs.IntVar(&w.streams, "streams", 1, "use `N` streams at once")
	fs.Float64Var(&w.seconds, "seconds", 3, "measure for `T` seconds")
	fs.IntVar(&w.size, "size", 0, "`BYTES` of a message (0 = 131072 for bulk, 1 for idle, else 64)")
	fs.BoolVar(&w.raw, "raw", false, "plain connections instead of a session, one for each stream")
}

// selfFlags has what only makes sense with both ends in one process.
func (w *workload) selfFlags(fs *flag.FlagSet) {
	w.flags(fs)
	fs.BoolVar(&w.unix, "unix", false, "over a Unix socket instead of loopback TCP")
}

func (w *workload) complete() error {
	if w.size == 0 {
		w.size = map[string]int{"bulk": bulkSize, "idle": 1}[w.mode]
		if w.size == 0 {
			w.size = 64
		}
	}
	if w.size < 0 || w.streams < 1 {
		return errors.New("-size and -streams must be positive")
	}
	if benchModes[w.mode] == nil {
		return fmt.Errorf("-mode %q: expected bulk, small, turns, pingpong, loaded, churn, open or idle", w.mode)
	}
	return nil
}

// result is what one worker measured.
type result struct {
	bytes, ops int64
	latency    histogram
}

// benchModes has the worker of each mode: one stream's work until the deadline. In mode turns a
// single worker has all streams.
var benchModes = map[string]func(w *workload, l link, deadline time.Time, r *result) error{
	"bulk":     (*workload).count,
	"small":    (*workload).count,
	"turns":    (*workload).turns,
	"pingpong": (*workload).pingpong,
	"loaded":   (*workload).pingpong,
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

// counted reads what the server of a serviceCount stream got and compares.
func counted(st io.Reader, want int64) (int64, error) {
	var reply [8]byte
	if _, err := io.ReadFull(st, reply[:]); err != nil {
		return 0, err
	}
	got := int64(binary.LittleEndian.Uint64(reply[:]))
	if got != want {
		return got, fmt.Errorf("server counted %d bytes, %d were written", got, want)
	}
	return got, nil
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
	r.bytes, err = counted(st, r.ops*int64(w.size))
	return err
}

// turns writes a message on each of its streams in turn until the deadline.
func (w *workload) turns(l link, deadline time.Time, r *result) error {
	streams := make([]io.ReadWriteCloser, w.streams)
	for i := range streams {
		st, err := w.start(l, serviceCount)
		if err != nil {
			return err
		}
		defer st.Close()
		streams[i] = st
	}
	message := make([]byte, w.size)
	message[0] = 1
	rounds := int64(0)
	for message[0] == 1 {
		if time.Now().After(deadline) {
			message[0] = 0
		}
		for _, st := range streams {
			if _, err := st.Write(message); err != nil {
				return err
			}
		}
		rounds++
	}
	for _, st := range streams {
		got, err := counted(st, rounds*int64(w.size))
		if err != nil {
			return err
		}
		r.bytes += got
	}
	r.ops = rounds * int64(w.streams)
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

// crew is the workers of one measurement and what they found.
type crew struct {
	results []result
	running sync.WaitGroup
	mu      sync.Mutex
	err     error
}

// start lets a worker do w for each of the results.
func (c *crew) start(w *workload, l link, deadline time.Time, results []result) {
	for i := range results {
		r := &results[i]
		c.running.Add(1)
		go func() {
			defer c.running.Done()
			if err := benchModes[w.mode](w, l, deadline, r); err != nil {
				c.mu.Lock()
				c.err = err
				c.mu.Unlock()
			}
		}()
	}
}

// measure runs the workload over l and returns the figures. CPU time and memory are those of
// this process, which has both ends when bothEnds is set.
func (w *workload) measure(l link, bothEnds bool) (map[string]any, error) {
	debug.FreeOSMemory()
	rssBefore, before := rss(), resourcesUsed()
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
	c := &crew{}
	workers := w.streams
	if w.mode == "turns" {
		workers = 1
	}
	measured := make([]result, workers)
	background := []result{}
	if w.mode == "loaded" {
		background = make([]result, loadedStreams)
		c.start(&workload{mode: "bulk", size: bulkSize}, l, deadline, background)
	}
	c.start(w, l, deadline, measured)
	c.running.Wait()
	seconds := time.Since(begin).Seconds()
	used := resourcesUsed().since(before)
	if w.mode != "idle" {
		peak = rss()
	}
	if c.err != nil {
		return nil, fmt.Errorf("a stream failed: %w", c.err)
	}
	total := &result{}
	perStream := make([]int64, 0, len(measured)+len(background))
	for i := range measured {
		total.ops += measured[i].ops
		total.latency.merge(&measured[i].latency)
		perStream = append(perStream, measured[i].bytes)
	}
	for i := range background {
		perStream = append(perStream, background[i].bytes)
	}
	for _, n := range perStream {
		total.bytes += n
	}
	f := map[string]any{
		"ok": true, "mode": w.mode, "raw": w.raw, "unix": w.unix, "both_ends": bothEnds,
		"streams": w.streams, "size": w.size, "bytes": total.bytes, "ops": total.ops, "seconds": seconds,
		"bytes_per_s": float64(total.bytes) / seconds, "ops_per_s": float64(total.ops) / seconds,
		"p50_us": total.latency.quantile(0.50), "p99_us": total.latency.quantile(0.99),
		"cpu_s": used.user + used.system, "cpu_user_s": used.user,
		"context_switches": used.switches, "rss_bytes": peak,
	}
	if w.mode == "idle" {
		f["rss_per_stream"] = (peak - rssBefore) / int64(w.streams)
	} else {
		f["per_stream_bytes"] = perStream
	}
	if total.latency.total > 0 {
		f["histogram"] = total.latency.list()
	}
	return f, nil
}

// measureSelf measures with both ends in this process: serve is the server's side of a
// connection, connect makes the client's session.
func (w *workload) measureSelf(serve func(conn net.Conn, t *tally), connect func(addr string) (link, error)) (map[string]any, error) {
	if err := w.complete(); err != nil {
		return nil, err
	}
	ln, addr, cleanup, err := w.listenSelf()
	if err != nil {
		return nil, err
	}
	defer cleanup()
	if w.raw {
		serve = rawServe
		connect = func(addr string) (link, error) { return rawLink{addr}, nil }
	}
	go func() {
		var t tally
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn, &t)
			}()
		}
	}()
	l, err := connect(addr)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return w.measure(l, true)
}

func (w *workload) listenSelf() (ln net.Listener, addr string, cleanup func(), err error) {
	if !w.unix {
		if ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, "", nil, err
		}
		return ln, ln.Addr().String(), func() { ln.Close() }, nil
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, "", nil, err
	}
	path := filepath.Join(dir, "s")
	if ln, err = net.Listen("unix", path); err != nil {
		os.RemoveAll(dir)
		return nil, "", nil, err
	}
	return ln, "unix:" + path, func() { ln.Close(); os.RemoveAll(dir) }, nil
}

// resources is what this process has taken: processor time in seconds, and how often one of its
// threads gave its processor to another.
type resources struct {
	user, system float64
	switches     int64
}

func resourcesUsed() resources {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return resources{}
	}
	return resources{
		user:     time.Duration(u.Utime.Nano()).Seconds(),
		system:   time.Duration(u.Stime.Nano()).Seconds(),
		switches: int64(u.Nvcsw) + int64(u.Nivcsw),
	}
}

func (u resources) since(before resources) resources {
	return resources{u.user - before.user, u.system - before.system, u.switches - before.switches}
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
