package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// pattern is the payload of the bulk commands: word 0 is the seed, word k the k-th output of
// SplitMix64 started with the seed, each word as eight little endian bytes. A receiver learns
// the seed from the first eight bytes, so that every stream can carry different data and a mix-up
// of streams is seen.
type pattern struct {
	state   uint64
	started bool
	word    [8]byte
	left    int // bytes of word not yet used
}

func newPattern(seed uint64) *pattern { return &pattern{state: seed} }

func (p *pattern) next() uint64 {
	if !p.started {
		p.started = true
		return p.state
	}
	p.state += 0x9e3779b97f4a7c15
	z := p.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Read fills b; it never fails and never ends.
func (p *pattern) Read(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if p.left == 0 {
			for ; len(b) >= 8; b = b[8:] {
				binary.LittleEndian.PutUint64(b, p.next())
			}
			if len(b) == 0 {
				break
			}
			binary.LittleEndian.PutUint64(p.word[:], p.next())
			p.left = 8
		}
		c := copy(b, p.word[8-p.left:])
		p.left -= c
		b = b[c:]
	}
	return n, nil
}

// checker compares what is written to it with the pattern whose seed comes first.
type checker struct {
	n    int64 // bytes seen
	seed [8]byte
	want *pattern
	buf  []byte
}

func (c *checker) Write(b []byte) (int, error) {
	total := len(b)
	if c.n < 8 {
		k := copy(c.seed[c.n:], b)
		c.n += int64(k)
		if b = b[k:]; c.n < 8 {
			return total, nil
		}
		c.want = newPattern(binary.LittleEndian.Uint64(c.seed[:]))
		c.want.next()
		c.buf = make([]byte, 32<<10)
	}
	for len(b) > 0 {
		want := c.buf
		if len(want) > len(b) {
			want = want[:len(b)]
		}
		c.want.Read(want)
		if !bytes.Equal(want, b[:len(want)]) {
			i := 0
			for want[i] == b[i] {
				i++
			}
			return 0, fmt.Errorf("payload byte %d is %#02x, expected %#02x", c.n+int64(i), b[i], want[i])
		}
		c.n += int64(len(want))
		b = b[len(want):]
	}
	return total, nil
}
