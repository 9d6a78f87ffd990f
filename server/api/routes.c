/* routes: every path of the server, and every transport. */
#include "api/api.h"
#include "transport/transports.h"

#define GET  (1U << HTTP_GET)
#define HEAD (1U << HTTP_HEAD)
#define POST (1U << HTTP_POST)

const struct route server_routes[] = {
    {"/publish", POST, "POST, OPTIONS", publish_open},
    {"/poll", GET, "GET, OPTIONS", poll_open},
    {"/longpoll", GET, "GET, OPTIONS", longpoll_open},
    {"/sse", GET, "GET, OPTIONS", sse_open},
    {"/ws", GET, "GET, OPTIONS", websocket_open},
    {"/echo", GET, "GET, OPTIONS", echo_open},
    {"/metrics", GET | HEAD, "GET, HEAD, OPTIONS", metrics_open},
    {"/healthz", GET | HEAD, "GET, HEAD, OPTIONS", health_open},
    {"/", GET | HEAD, "GET, HEAD, OPTIONS", page_open},
    {0},
};

const struct transport *const server_transports[TRANSPORT_COUNT] = {
    [TRANSPORT_HTTP] = &http_transport, [TRANSPORT_PUBLISH] = &publish_transport,
    [TRANSPORT_POLL] = &poll_transport, [TRANSPORT_LONGPOLL] = &longpoll_transport,
    [TRANSPORT_SSE] = &sse_transport,   [TRANSPORT_WEBSOCKET] = &websocket_transport,
    [TRANSPORT_ECHO] = &echo_transport,
};
