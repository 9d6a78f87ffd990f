// Shared by the programs of this folder.
package main

import (
	"context"
	"net"
	"sync"
)

// sockets remembers the last connection of the SDK, so that it can be cut. After Disconnect and Connect, what
// reads from the first connection may find out late that it has ended, and the SDK then ends the second.
type sockets struct {
	sync.Mutex
	last net.Conn
}

func (s *sockets) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	s.Lock()
	s.last = conn
	s.Unlock()
	return conn, err
}

func (s *sockets) cut() {
	s.Lock()
	defer s.Unlock()
	if err := s.last.Close(); err != nil {
		panic(err)
	}
}
