package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/xtaci/smux"
)

// The subject of smuxspec on the Go library; tests/spec/README.md says what it has to do.

// A release without CloseWrite cannot do half; without an abort, nobody can.
var specVerbs = map[string]func(v *visit){
	"open": (*visit).open, "send": (*visit).send, "close": (*visit).close,
	"hold": (*visit).hold, "release": (*visit).release, "sink": (*visit).sink,
	"twice": (*visit).twice, "outcome": (*visit).outcome, "noaccept": (*visit).noAccept,
	"end": (*visit).end, "half": (*visit).half,
}

// room is a session and what its streams share.
type room struct {
	sess     *smux.Session
	released chan struct{} // closed by the verb release
	release  sync.Once
	accept   sync.RWMutex // held for reading while nothing may be accepted
}

// visit is a stream; rest is what follows the verb.
type visit struct {
	room *room
	st   *smux.Stream
	in   *bufio.Reader
	rest string
	e    *env
}

func (v *visit) say(format string, args ...any) { fmt.Fprintf(v.st, format, args...) }

// number reads the first argument.
func (v *visit) number() int {
	word, _, _ := strings.Cut(v.rest, " ")
	n, _ := strconv.Atoi(word)
	return n
}

// outcomes is what readers saw, to be asked for in another session.
var outcomes struct {
	sync.Mutex
	texts map[string]string
}

func putOutcome(token string, n int64, err error) {
	end := "error"
	if err == nil {
		end = "eof"
	}
	outcomes.Lock()
	defer outcomes.Unlock()
	if outcomes.texts == nil {
		outcomes.texts = map[string]string{}
	}
	outcomes.texts[token] = fmt.Sprintf("bytes=%d end=%s why=%v\n", n, end, err)
}

// drain reads to the end and counts.
func (v *visit) drain() (int64, error) { return io.Copy(io.Discard, onlyReader{v.in}) }

func (v *visit) echo() { io.CopyBuffer(onlyWriter{v.st}, onlyReader{v.in}, make([]byte, copyBuffer)) }

// onlyWriter hides ReadFrom, onlyReader hides WriteTo: plain Read and Write are what is tested.
type onlyWriter struct{ io.Writer }

func (v *visit) hello() {
	verbs := ""
	for name := range specVerbs {
		if name != "half" || canCloseWrite() {
			verbs += name + ","
		}
	}
	v.say("name=go-smux-%s connections=%d verbs=%shello keepalive_ms=%d timeout_ms=%d budget=%d stream_buffer=%d\n",
		smuxVersion(), specConnections, verbs, v.e.config.KeepAliveInterval.Milliseconds(),
		v.e.config.KeepAliveTimeout.Milliseconds(), v.e.config.MaxReceiveBuffer, v.e.config.MaxStreamBuffer)
}

func (v *visit) open() {
	_, greeting, _ := strings.Cut(v.rest, " ")
	for i := v.number(); i > 0; i-- {
		st, err := v.room.sess.OpenStream()
		if err != nil {
			break
		}
		go func() {
			defer st.Close()
			if greeting != "" {
				io.WriteString(st, greeting)
			}
			io.CopyBuffer(onlyWriter{st}, onlyReader{st}, make([]byte, copyBuffer))
		}()
	}
	v.say("ok\n")
}

// write sends the pattern of the verbs.
func (v *visit) write() error {
	at, n := 0, v.number()
	buf := make([]byte, copyBuffer)
	for at < n {
		part := buf
		if n-at < len(part) {
			part = part[:n-at]
		}
		for i := range part {
			part[i] = byte(0x80 | (at ^ at>>8 ^ at>>16))
			at++
		}
		if _, err := v.st.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// send tells under its second argument, if there is one, that all has been taken.
func (v *visit) send() {
	err := v.write()
	if _, token, found := strings.Cut(v.rest, " "); found {
		putOutcome(token, int64(v.number()), err)
	}
	if closeWrite(v.st) == nil {
		v.drain()
	}
}

func (v *visit) close() { v.write() }

func (v *visit) half() {
	closeWrite(v.st)
	<-v.room.released
	n, err := v.drain()
	putOutcome(v.rest, n, err)
}

func (v *visit) hold() {
	var limit <-chan time.Time
	if ms := v.number(); ms > 0 {
		limit = time.After(time.Duration(ms) * time.Millisecond)
	}
	select {
	case <-v.room.released:
		v.echo()
	case <-limit:
	}
}

func (v *visit) release() {
	v.room.release.Do(func() { close(v.room.released) })
	v.say("ok\n")
}

func (v *visit) sink() {
	n, err := v.drain()
	putOutcome(v.rest, n, err)
	v.say("end %d\n", n)
}

func (v *visit) twice() {
	n, _ := v.drain()
	v.say("end %d\n", n)
	<-v.room.released
	n, _ = v.drain()
	v.say("late %d\n", n)
}

func (v *visit) outcome() {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		outcomes.Lock()
		text, known := outcomes.texts[v.rest]
		outcomes.Unlock()
		if known {
			v.say("%s", text)
			return
		}
	}
	v.say("unknown\n")
}

func (v *visit) noAccept() {
	v.room.accept.RLock()
	defer v.room.accept.RUnlock()
	v.say("ok\n")
	v.echo()
}

func (v *visit) end() { v.room.sess.Close() }

// serve does what the first line says, or echoes.
func (v *visit) serve() {
	first, err := v.in.Peek(1)
	if err != nil {
		return
	}
	if first[0] != '!' {
		v.echo()
		return
	}
	line, err := v.in.ReadString('\n')
	if err != nil {
		return
	}
	verb, rest, _ := strings.Cut(strings.Trim(line, "!\n"), " ")
	v.rest = rest
	if run := specVerbs[verb]; run != nil {
		run(v)
	} else if verb == "hello" {
		v.hello()
	} else {
		v.say("no verb %s\n", verb)
	}
}

// specSession serves a session until it ends, and closes it when its streams have ended, too. Some
// never would, such as a writer without window, hence the limit.
func (e *env) specSession(sess *smux.Session) {
	r := &room{sess: sess, released: make(chan struct{})}
	var running sync.WaitGroup
	for {
		r.accept.Lock()
		r.accept.Unlock()
		st, err := sess.AcceptStream()
		if err != nil {
			break
		}
		running.Add(1)
		go func() {
			defer running.Done()
			defer st.Close()
			// The buffer is as small as can be, so that what is not read stays in the library.
			v := &visit{room: r, st: st, in: bufio.NewReaderSize(st, 16), e: e}
			v.serve()
		}()
	}
	r.release.Do(func() { close(r.released) })
	done := make(chan struct{})
	go func() {
		running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(specLinger):
	}
	sess.Close()
}

func specServer(fs *flag.FlagSet) runner {
	return func(e *env) error {
		var t tally
		return e.serve(&t, e.specSession)
	}
}

const (
	specConnections = 32
	specLinger      = time.Second
)

func specClient(fs *flag.FlagSet) runner {
	return func(e *env) error {
		for i := 0; i < specConnections; i++ {
			go func() {
				for {
					sess, err := e.connect()
					if err != nil {
						time.Sleep(20 * time.Millisecond)
						continue
					}
					e.specSession(sess)
				}
			}()
		}
		e.exitOnStdin = true
		<-e.stdinEnd()
		return nil
	}
}
