package main

import (
	"flag"
	"io"
	"net"

	"github.com/xtaci/smux"
)

type smuxLink struct{ *smux.Session }

func (l smuxLink) open() (io.ReadWriteCloser, error) {
	st, err := l.OpenStream()
	if err != nil {
		return nil, err // not st: a nil *Stream in an interface is not nil
	}
	return st, nil
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

func benchClient(fs *flag.FlagSet) runner {
	w := &workload{}
	w.flags(fs)
	return func(e *env) error {
		if err := w.complete(); err != nil {
			return err
		}
		var l link = rawLink{e.remote}
		if !w.raw {
			sess, err := e.connect()
			if err != nil {
				return err
			}
			defer sess.Close()
			l = smuxLink{sess}
		}
		figures, err := w.measure(l, false)
		if err == nil {
			e.report(figures)
		}
		return err
	}
}

func benchSelf(fs *flag.FlagSet) runner {
	w := &workload{}
	w.selfFlags(fs)
	return func(e *env) error {
		serve := func(conn net.Conn, t *tally) {
			config := e.config
			sess, err := smux.Server(conn, &config)
			if err != nil {
				return
			}
			defer sess.Close()
			handleStreams(sess, t, func(st *smux.Stream) error { return benchServe(st, t) })
		}
		connect := func(addr string) (link, error) {
			e.remote = addr
			sess, err := e.connect()
			if err != nil {
				return nil, err
			}
			return smuxLink{sess}, nil
		}
		figures, err := w.measureSelf(serve, connect)
		if err == nil {
			e.report(figures)
		}
		return err
	}
}
