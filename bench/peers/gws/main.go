// A broadcast server on gws, with one publisher: what comes in on /pub goes to everybody on /sub,
// by the Broadcaster of its documentation.
//
//	gws HOST:PORT CPUS
//	gws --version
package main

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"

	"github.com/lxzan/gws"
)

// subscribers are all that broadcast writes to. What they say themselves is dropped.
type subscribers struct {
	gws.BuiltinEventHandler
	mutex   sync.Mutex
	sockets map[*gws.Conn]struct{}
}

func (s *subscribers) OnOpen(socket *gws.Conn) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.sockets[socket] = struct{}{}
}

func (s *subscribers) OnClose(socket *gws.Conn, _ error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.sockets, socket)
}

func (s *subscribers) OnMessage(_ *gws.Conn, message *gws.Message) { message.Close() }

// broadcast frames the payload once, and hands the frame to every socket's own queue.
func (s *subscribers) broadcast(opcode gws.Opcode, payload []byte) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	broadcaster := gws.NewBroadcaster(opcode, payload)
	defer broadcaster.Close()
	for socket := range s.sockets {
		_ = broadcaster.Broadcast(socket)
	}
}

type publisher struct {
	gws.BuiltinEventHandler
	subscribers *subscribers
}

func (p *publisher) OnMessage(_ *gws.Conn, message *gws.Message) {
	// A copy: the queues keep the payload for longer than the message lives.
	payload := append([]byte(nil), message.Bytes()...)
	p.subscribers.broadcast(message.Opcode, payload)
	message.Close()
}

func serve(address string) error {
	everybody := &subscribers{sockets: make(map[*gws.Conn]struct{})}
	option := &gws.ServerOption{} // permessage-deflate is off by default
	publish := gws.NewUpgrader(&publisher{subscribers: everybody}, option)
	server := gws.NewServer(everybody, option)
	server.OnError = func(net.Conn, error) {} // no log
	server.OnRequest = func(conn net.Conn, reader *bufio.Reader, request *http.Request) {
		upgrader := server.GetUpgrader()
		if request.URL.Path == "/pub" {
			upgrader = publish
		}
		if socket, err := upgrader.UpgradeFromConn(conn, reader, request); err == nil {
			socket.ReadLoop()
		}
	}
	return server.Run(address)
}

func printVersion() {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "github.com/lxzan/gws" {
			fmt.Printf("gws %s, %s\n", module.Version, runtime.Version())
		}
	}
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		printVersion()
		return
	}
	if len(os.Args) != 3 {
		log.Fatal("usage: gws HOST:PORT CPUS | gws --version")
	}
	cpus, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	runtime.GOMAXPROCS(cpus)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-stop
		os.Exit(0)
	}()
	log.Fatal(serve(os.Args[1]))
}
