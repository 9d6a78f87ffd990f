// The official Go SDK of Centrifugo, as it is published, with deltas: prints what it got, one JSON
// array a line, loses its connection and comes back when a line is written to it.
//
//	centrifuge_delta <ws url> <channel>
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"sync"
	"time"

	"github.com/centrifugal/centrifuge-go"
)

var out sync.Mutex

func say(event ...any) {
	out.Lock()
	defer out.Unlock()
	line, err := json.Marshal(event)
	must(err)
	os.Stdout.Write(append(line, '\n'))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	var connections sockets
	client := centrifuge.NewJsonClient(os.Args[1], centrifuge.Config{
		NetDialContext:    connections.dial,
		MinReconnectDelay: 20 * time.Millisecond,
	})
	sub, err := client.NewSubscription(os.Args[2], centrifuge.SubscriptionConfig{
		Delta: centrifuge.DeltaTypeFossil,
	})
	must(err)
	sub.OnSubscribed(func(e centrifuge.SubscribedEvent) { say("subscribed", e.WasRecovering, e.Recovered) })
	sub.OnPublication(func(e centrifuge.PublicationEvent) { say("publication", json.RawMessage(e.Data)) })
	sub.OnError(func(e centrifuge.SubscriptionErrorEvent) { say("error", e.Error.Error()) })
	must(sub.Subscribe())
	must(client.Connect())
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		say("cut")
		connections.cut()
	}
}
