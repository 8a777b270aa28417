package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"
)

const copyBuffer = 64 << 10

// network splits an address into what package net wants.
func network(addr string) (string, string) {
	if path := strings.TrimPrefix(addr, "unix:"); path != addr {
		return "unix", path
	}
	return "tcp", addr
}

func dial(addr string) (net.Conn, error) {
	n, a := network(addr)
	return net.DialTimeout(n, a, 10*time.Second)
}

// isEnd tells whether err is how a session ends in the ordinary way.
func isEnd(err error) bool {
	return err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, net.ErrClosed)
}

// isGone tells whether a write failed because the peer has left, politely or not.
func isGone(err error) bool {
	return isEnd(err) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// echoWith sends back what arrives, through buf, until the peer ends the stream.
func echoWith(st io.ReadWriter, buf []byte, t *tally) error {
	for {
		n, err := st.Read(buf)
		if n > 0 {
			t.bytes.Add(int64(n))
			if _, werr := st.Write(buf[:n]); werr != nil {
				if isGone(werr) {
					return nil // a peer that closes both ways does not want its echo
				}
				return fmt.Errorf("echo write: %w", werr)
			}
		}
		if err != nil {
			if isGone(err) {
				return nil
			}
			return fmt.Errorf("echo read: %w", err)
		}
	}
}

// roundTrip writes buf and reads as many bytes back into it.
func roundTrip(st io.ReadWriter, buf []byte) error {
	if _, err := st.Write(buf); err != nil {
		return err
	}
	_, err := io.ReadFull(st, buf)
	return err
}
