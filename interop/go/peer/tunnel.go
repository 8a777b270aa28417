package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/xtaci/smux"
)

// pump relays between a stream and a connection until both directions have ended. Where the
// release can half-close, the end of one direction is passed on alone; else it ends both.
func pump(st *smux.Stream, conn net.Conn, t *tally) {
	half := canCloseWrite()
	var both sync.WaitGroup
	direction := func(dst io.ReadWriteCloser, src io.Reader) {
		defer both.Done()
		n, err := io.Copy(dst, src)
		t.bytes.Add(n)
		if half && (err == nil || errors.Is(err, io.EOF)) { // WriteTo of some releases returns EOF
			if closeWrite(dst) == nil {
				return
			}
		}
		st.Close()
		conn.Close()
	}
	both.Add(2)
	go direction(conn, st)
	go direction(st, conn)
	both.Wait()
	st.Close()
	conn.Close()
}

func tunnelServer(fs *flag.FlagSet) runner {
	target := fs.String("t", "", "connect each stream to `ADDR`")
	return func(e *env) error {
		if *target == "" {
			return errors.New("-t ADDR is missing")
		}
		var t tally
		return e.serve(&t, func(sess *smux.Session) {
			handleStreams(sess, &t, func(st *smux.Stream) error {
				conn, err := dial(*target)
				if err != nil {
					return err
				}
				pump(st, conn, &t)
				return nil
			})
		})
	}
}

// uplink is one of the tunnel client's sessions; it is made when needed and again when it died.
type uplink struct {
	mu   sync.Mutex
	sess *smux.Session
}

// open returns a stream of a living session, dialling for up to retry.
func (u *uplink) open(e *env, retry time.Duration) (*smux.Stream, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for give := time.Now().Add(retry); ; time.Sleep(50 * time.Millisecond) {
		if u.sess == nil || u.sess.IsClosed() {
			sess, err := e.connect()
			if err != nil {
				if time.Now().After(give) {
					return nil, err
				}
				continue
			}
			u.sess = sess
			go closeWhenDead(sess)
		}
		st, err := u.sess.OpenStream()
		if err == nil {
			return st, nil
		}
		u.sess.Close()
		if time.Now().After(give) {
			return nil, err
		}
	}
}

// closeWhenDead closes a session whose transport failed, which the library leaves open. Streams
// that the server opens have no place in this tunnel and are closed.
func closeWhenDead(sess *smux.Session) {
	for {
		st, err := sess.AcceptStream()
		if err != nil {
			sess.Close()
			return
		}
		st.Close()
	}
}

func tunnelClient(fs *flag.FlagSet) runner {
	n := fs.Int("conn", 1, "use `N` sessions, in turn")
	retry := fs.Duration("retry", 5*time.Second, "for a new connection, try so long to reach the server")
	return func(e *env) error {
		if *n < 1 {
			return fmt.Errorf("-conn %d: expected at least 1", *n)
		}
		var t tally
		uplinks := make([]uplink, *n)
		var turn int
		var mu sync.Mutex
		return e.serveConns(&t, func(conn net.Conn) {
			mu.Lock()
			u := &uplinks[turn%*n]
			turn++
			mu.Unlock()
			st, err := u.open(e, *retry)
			if err != nil {
				t.fail("open: %v", err)
				return
			}
			t.streams.Add(1)
			pump(st, conn, &t)
		})
	}
}
