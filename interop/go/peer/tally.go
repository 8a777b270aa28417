package main

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
)

// tally counts what a command did and the failures it saw. It is safe for concurrent use.
type tally struct {
	sessions, streams, bytes, errors atomic.Int64
	sessionErrors                    atomic.Int64 // sessions that did not end in the ordinary way

	mu     sync.Mutex
	first  string
	logged int
}

const maxLogged = 20

// note writes a line to standard error; only the first ones, a flood helps nobody.
func (t *tally) note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.logged++; t.logged <= maxLogged {
		fmt.Fprintf(os.Stderr, "gopeer: "+format+"\n", args...)
	}
}

// fail counts a failure and keeps the text of the first.
func (t *tally) fail(format string, args ...any) {
	t.errors.Add(1)
	t.note(format, args...)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first == "" {
		t.first = fmt.Sprintf(format, args...)
	}
}

func (t *tally) fields() map[string]any {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := map[string]any{
		"ok":      t.errors.Load() == 0,
		"streams": t.streams.Load(),
		"bytes":   t.bytes.Load(),
		"errors":  t.errors.Load(),
	}
	if n := t.sessions.Load(); n > 0 {
		f["sessions"] = n
	}
	if n := t.sessionErrors.Load(); n > 0 {
		f["session_errors"] = n
	}
	if t.first != "" {
		f["first_error"] = t.first
	}
	return f
}

func (t *tally) err() error {
	if n := t.errors.Load(); n > 0 {
		return fmt.Errorf("%d failed", n)
	}
	return nil
}

// forEach calls f for 0..n-1, at most parallel calls at a time.
func forEach(n, parallel int, f func(i int)) {
	if parallel < 1 {
		parallel = 1
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for w := 0; w < parallel && w < n; w++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				f(i)
			}
		}()
	}
	wg.Wait()
}
