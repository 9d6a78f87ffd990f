// The official Centrifuge SDK of Go, as it is published: does what an application would, and prints
// what it saw, one JSON array a line.
//
//	main <url> <url to publish at> <token> <next token>
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"sort"
	"time"

	"github.com/centrifugal/centrifuge-go"
)

const channel = "room:1"

var patience = 30 * time.Second

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func say(words ...any) {
	line, err := json.Marshal(words)
	check(err)
	fmt.Println(string(line))
}

func publish(url, text string) {
	answer, err := http.Post(url, "application/json", bytes.NewBufferString(text))
	check(err)
	check(answer.Body.Close())
}

func next[T any](events chan T, what string) T {
	select {
	case event := <-events:
		return event
	case <-time.After(patience):
		check(fmt.Errorf("waited for %s", what))
		panic("not reached")
	}
}

func main() {
	url, publishURL, token, nextToken := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	var connections sockets
	refreshed := make(chan string, 16)
	client := centrifuge.NewJsonClient(url, centrifuge.Config{
		Token:             token,
		NetDialContext:    connections.dial,
		MinReconnectDelay: 20 * time.Millisecond,
		HandshakeTimeout:  patience,
		ReadTimeout:       patience,
		GetToken: func(centrifuge.ConnectionTokenEvent) (string, error) {
			refreshed <- "refreshed"
			return nextToken, nil
		},
	})
	defer client.Close()
	client.OnError(func(event centrifuge.ErrorEvent) {
		fmt.Fprintln(os.Stderr, event.Error)
	})
	client.OnDisconnected(func(event centrifuge.DisconnectedEvent) {
		fmt.Fprintln(os.Stderr, event.Code, event.Reason)
	})

	subscribed := make(chan centrifuge.SubscribedEvent, 16)
	publications := make(chan centrifuge.PublicationEvent, 16)
	lost := make(chan centrifuge.SubscribingEvent, 16)
	subscription, err := client.NewSubscription(channel)
	check(err)
	subscription.OnSubscribed(func(e centrifuge.SubscribedEvent) { subscribed <- e })
	subscription.OnPublication(func(e centrifuge.PublicationEvent) { publications <- e })
	subscription.OnSubscribing(func(e centrifuge.SubscribingEvent) { lost <- e })
	check(subscription.Subscribe())
	next(lost, "the first try to subscribe")
	check(client.Connect())

	context, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	event := next(subscribed, "the subscription")
	say("subscribed", event.WasRecovering, event.Recovered)
	_, err = subscription.Publish(context, []byte(`{"by":"the client"}`))
	check(err)
	say("publication", json.RawMessage(next(publications, "its own").Data))
	publish(publishURL, `{"by":"http"}`)
	say("publication", json.RawMessage(next(publications, "the other").Data))

	history, err := subscription.History(context, centrifuge.WithHistoryLimit(-1))
	check(err)
	say("history", len(history.Publications), history.Offset)
	presence, err := subscription.Presence(context)
	check(err)
	users := []string{}
	for _, one := range presence.Clients {
		users = append(users, one.User)
	}
	sort.Strings(users)
	say("presence", users)
	stats, err := subscription.PresenceStats(context)
	check(err)
	say("presence_stats", stats.NumClients, stats.NumUsers)

	connections.cut()
	next(lost, "the loss")
	publish(publishURL, `{"by":"http","while":"away"}`)
	event = next(subscribed, "the subscription again")
	say("subscribed", event.WasRecovering, event.Recovered)
	say("publication", json.RawMessage(next(publications, "what was missed").Data))

	say(next(refreshed, "the end of the token"))
	publish(publishURL, `{"by":"http","behind":"the refresh"}`)
	say("publication", json.RawMessage(next(publications, "what follows").Data))
}
