/* routes: every path of the server, and every transport. */
#include "api/api.h"
#include "transport/transports.h"

#define GET  (1U << HTTP_GET)
#define HEAD (1U << HTTP_HEAD)
#define POST (1U << HTTP_POST)

const struct route server_routes[] = {
    {"/publish", POST, "POST, OPTIONS", publish_open, NULL},
    {"/poll", GET, "GET, OPTIONS", poll_open, http_shed},
    {"/longpoll", GET, "GET, OPTIONS", longpoll_open, http_shed},
    {"/sse", GET, "GET, OPTIONS", sse_open, sse_shed},
    {"/ws", GET, "GET, OPTIONS", websocket_open, http_shed},
    {"/echo", GET, "GET, OPTIONS", echo_open, http_shed},
    {"/metrics", GET | HEAD, "GET, HEAD, OPTIONS", metrics_open, NULL},
    {"/healthz", GET | HEAD, "GET, HEAD, OPTIONS", health_open, NULL},
    {"/", GET | HEAD, "GET, HEAD, OPTIONS", page_open, NULL},
    {0},
};

const struct transport *const server_transports[TRANSPORT_COUNT] = {
    [TRANSPORT_HTTP] = &http_transport, [TRANSPORT_PUBLISH] = &publish_transport,
    [TRANSPORT_POLL] = &poll_transport, [TRANSPORT_LONGPOLL] = &longpoll_transport,
    [TRANSPORT_SSE] = &sse_transport,   [TRANSPORT_WEBSOCKET] = &websocket_transport,
    [TRANSPORT_ECHO] = &echo_transport,
};
