package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"

	"github.com/xtaci/smux"
)

// untilEnd in the length field means: as much as comes before the end of the stream.
const untilEnd = math.MaxUint64

// sendPattern writes n bytes of the pattern in writes of chunk bytes and returns their SHA-256.
func sendPattern(w io.Writer, seed, n uint64, chunk int, t *tally) ([]byte, error) {
	sum := sha256.New()
	source := newPattern(seed)
	buf := make([]byte, chunk)
	for left := n; left > 0; {
		b := buf
		if uint64(len(b)) > left {
			b = b[:left]
		}
		source.Read(b)
		sum.Write(b)
		if _, err := w.Write(b); err != nil {
			return nil, fmt.Errorf("write with %d of %d bytes to go: %w", left, n, err)
		}
		t.bytes.Add(int64(len(b)))
		left -= uint64(len(b))
	}
	return sum.Sum(nil), nil
}

// receivePattern checks n bytes of the pattern, or all until the end, and returns their SHA-256.
func receivePattern(r io.Reader, n uint64, t *tally) ([]byte, error) {
	if n != untilEnd {
		r = &io.LimitedReader{R: r, N: int64(n)}
	}
	sum := sha256.New()
	var check checker
	got, err := io.CopyBuffer(io.MultiWriter(sum, &check), onlyReader{r}, make([]byte, copyBuffer))
	t.bytes.Add(got)
	if err != nil {
		return nil, fmt.Errorf("after %d bytes: %w", got, err)
	}
	if n != untilEnd && uint64(got) != n {
		return nil, fmt.Errorf("end of stream after %d of %d bytes", got, n)
	}
	return sum.Sum(nil), nil
}

// onlyReader hides WriteTo, so that data really goes through Read.
type onlyReader struct{ io.Reader }

// sink is the receiving end of a transfer: length, payload; answers with the digest.
func sink(st *smux.Stream, t *tally) error {
	n, err := readLength(st)
	if err != nil {
		return err
	}
	sum, err := receivePattern(st, n, t)
	if err != nil {
		return err
	}
	if _, err := st.Write(sum); err != nil {
		return fmt.Errorf("write of the digest: %w", err)
	}
	if n == untilEnd {
		return nil
	}
	// How the stream ends is not judged: a client that has its digest may close all at once.
	if rest, _ := io.Copy(io.Discard, onlyReader{st}); rest != 0 {
		return fmt.Errorf("%d bytes after the payload", rest)
	}
	return nil
}

func readLength(r io.Reader) (uint64, error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, fmt.Errorf("read of the length: %w", err)
	}
	return binary.LittleEndian.Uint64(head[:]), nil
}

func writeLength(w io.Writer, n uint64) error {
	var head [8]byte
	binary.LittleEndian.PutUint64(head[:], n)
	if _, err := w.Write(head[:]); err != nil {
		return fmt.Errorf("write of the length: %w", err)
	}
	return nil
}

// expectDigest reads 32 bytes and compares.
func expectDigest(r io.Reader, want []byte) error {
	got := make([]byte, sha256.Size)
	if _, err := io.ReadFull(r, got); err != nil {
		return fmt.Errorf("read of the digest: %w", err)
	}
	if !bytes.Equal(got, want) {
		return errors.New("the digests differ")
	}
	return nil
}

func sinkServer(fs *flag.FlagSet) runner {
	return func(e *env) error {
		var t tally
		return e.serve(&t, func(sess *smux.Session) {
			handleStreams(sess, &t, func(st *smux.Stream) error { return sink(st, &t) })
		})
	}
}

func sourceClient(fs *flag.FlagSet) runner {
	n := fs.Uint64("bytes", 1<<20, "`BYTES` of payload on each stream")
	streams := fs.Int("streams", 1, "use `K` streams at once")
	chunk := fs.Int("chunk", copyBuffer, "`BYTES` of a write")
	eof := fs.Bool("eof", false, "mark the end by half-close, not by the length (smux 1.5.54 and later)")
	return func(e *env) error {
		if *eof && !canCloseWrite() {
			return errSkip
		}
		return e.onStreams(*streams, func(st *smux.Stream, t *tally) error {
			head := *n
			if *eof {
				head = untilEnd
			}
			if err := writeLength(st, head); err != nil {
				return err
			}
			sum, err := sendPattern(st, uint64(st.ID()), *n, *chunk, t)
			if err != nil {
				return err
			}
			if *eof {
				if err := closeWrite(st); err != nil {
					return err
				}
			}
			return expectDigest(st, sum)
		})
	}
}

// onStreams connects, runs f on n streams at once and reports.
func (e *env) onStreams(n int, f func(st *smux.Stream, t *tally) error) error {
	sess, err := e.connect()
	if err != nil {
		return err
	}
	defer sess.Close()
	var t tally
	forEach(n, n, func(i int) {
		st, err := sess.OpenStream()
		if err != nil {
			t.fail("open of stream %d: %v", i, err)
			return
		}
		defer st.Close()
		t.streams.Add(1)
		if err := f(st, &t); err != nil {
			t.fail("stream %d: %v", st.ID(), err)
		}
	})
	return e.finish(&t)
}

func sourceServer(fs *flag.FlagSet) runner {
	chunk := fs.Int("chunk", copyBuffer, "`BYTES` of a write")
	return func(e *env) error {
		var t tally
		return e.serve(&t, func(sess *smux.Session) {
			handleStreams(sess, &t, func(st *smux.Stream) error {
				n, err := readLength(st)
				if err != nil {
					return err
				}
				sum, err := sendPattern(st, uint64(st.ID()), n, *chunk, &t)
				if err == nil {
					_, err = st.Write(sum)
				}
				if isGone(err) {
					return nil // the client had enough
				}
				return err
			})
		})
	}
}

func sinkClient(fs *flag.FlagSet) runner {
	n := fs.Uint64("bytes", 1<<20, "`BYTES` of payload on each stream")
	streams := fs.Int("streams", 1, "use `K` streams at once")
	return func(e *env) error {
		return e.onStreams(*streams, func(st *smux.Stream, t *tally) error { return fetch(st, *n, t) })
	}
}

// fetch asks a source server for n bytes and checks them and their digest.
func fetch(st *smux.Stream, n uint64, t *tally) error {
	if err := writeLength(st, n); err != nil {
		return err
	}
	sum, err := receivePattern(st, n, t)
	if err != nil {
		return err
	}
	return expectDigest(st, sum)
}

// duplex sends n bytes and receives as many. Neither direction waits for the other, so a hang is
// not the application's fault, as it can be with echo.
func duplex(st *smux.Stream, n uint64, t *tally) error {
	sent := make(chan error, 1)
	go func() {
		_, err := sendPattern(st, uint64(st.ID()), n, copyBuffer, t)
		sent <- err
	}()
	if _, err := receivePattern(st, n, t); err != nil {
		return err
	}
	return <-sent
}

func duplexServer(fs *flag.FlagSet) runner {
	return func(e *env) error {
		var t tally
		return e.serve(&t, func(sess *smux.Session) {
			handleStreams(sess, &t, func(st *smux.Stream) error {
				n, err := readLength(st)
				if err != nil {
					return err
				}
				return duplex(st, n, &t)
			})
		})
	}
}

func duplexClient(fs *flag.FlagSet) runner {
	n := fs.Uint64("bytes", 1<<20, "`BYTES` of payload each way on each stream")
	streams := fs.Int("streams", 1, "use `K` streams at once")
	return func(e *env) error {
		return e.onStreams(*streams, func(st *smux.Stream, t *tally) error {
			if err := writeLength(st, *n); err != nil {
				return err
			}
			if err := duplex(st, *n, t); err != nil {
				return err
			}
			// The server may still be reading; its end says that it is done.
			rest, err := io.Copy(io.Discard, onlyReader{st})
			if rest != 0 || err != nil {
				return fmt.Errorf("after the payload: %d bytes, %v; expected the end", rest, err)
			}
			return nil
		})
	}
}
