/* routes: every path of the server, and every transport. */
#include "api/api.h"
#include "auth/held.h"
#include "api/server_api.h"
#include "api/turn.h"
#include "carrier/http2.h"
#include "carrier/quic.h"
#include "carrier/rtc.h"
#include "courier/webhooks.h"
#include "session/session.h"
#include "transport/mercure.h"
#include "transport/transports.h"
#include "transport/webtransport.h"

#define GET    (1U << HTTP_GET)
#define HEAD   (1U << HTTP_HEAD)
#define POST   (1U << HTTP_POST)
#define DELETE (1U << HTTP_DELETE)

/* POST /api/METHOD */
#define API_ROUTE(METHOD, name)                                                                    \
    {"/api/" #name, FOR_PUBLISHERS, POST, "POST, OPTIONS", server_api_open, NULL, false},

#define WEBHOOK_ROUTE(NAME, name)                                                                  \
    {"/api/webhook/" #name, FOR_PUBLISHERS, POST, "POST, OPTIONS", webhooks_open, NULL, false},

/* Those of them that the operator's page asks for. */
#define WEBHOOK_PAGE_ROUTE(name)                                                                   \
    {"/admin/webhook/" #name, FOR_OPERATOR, POST, "POST, OPTIONS", webhooks_open, NULL, false},

const struct route server_routes[] = {
    {"/publish", FOR_PUBLISHERS, POST, "POST, OPTIONS", publish_open, NULL, false},
    {"/ticket", FOR_TOKENS, POST, "POST, OPTIONS", ticket_open, NULL, false},
    {"/revoke", FOR_TOKENS, POST, "POST, OPTIONS", revoke_open, NULL, false},
    {"/poll", FOR_CLIENTS, GET | HEAD, "GET, HEAD, OPTIONS", poll_open, http_shed, false},
    {"/longpoll", FOR_CLIENTS, GET | HEAD, "GET, HEAD, OPTIONS", longpoll_open, http_shed, false},
    {"/sse", FOR_CLIENTS, GET | HEAD, "GET, HEAD, OPTIONS", sse_open, sse_shed, false},
    {"/ws", FOR_CLIENTS, GET | HEAD, "GET, HEAD, OPTIONS", websocket_open, http_shed, true},
    {"/echo", FOR_CLIENTS, GET | HEAD, "GET, HEAD, OPTIONS", echo_open, http_shed, true},
    {"/wt", FOR_CLIENTS, GET, "GET, OPTIONS", wt_open, http_shed, true},
    {"/connection/websocket", FOR_CLIENTS, GET | HEAD, "GET, HEAD, OPTIONS", session_open,
     http_shed, true},
    {"/connection/uni_websocket", FOR_CLIENTS, GET | HEAD, "GET, HEAD, OPTIONS",
     session_open_one_way, http_shed, true},
    {"/connection/webtransport", FOR_CLIENTS, GET, "GET, OPTIONS", webtransport_open, http_shed,
     true},
    {"/connection/http_stream", FOR_CLIENTS, POST, "POST, OPTIONS", session_open_lines, http_shed,
     false},
    {"/connection/uni_http_stream", FOR_CLIENTS, POST, "POST, OPTIONS", session_open_lines_one_way,
     http_shed, false},
    {"/connection/sse", FOR_CLIENTS, GET | HEAD | POST, "GET, HEAD, POST, OPTIONS",
     session_open_events, sse_shed, false},
    {"/connection/uni_sse", FOR_CLIENTS, GET | HEAD | POST, "GET, HEAD, POST, OPTIONS",
     session_open_events_one_way, sse_shed, false},
    {"/emulation", FOR_CLIENTS, POST, "POST, OPTIONS", emulation_open, NULL, false},
    {"/.well-known/mercure", FOR_CLIENTS, GET | HEAD | POST, "GET, HEAD, POST, OPTIONS",
     mercure_open, sse_shed, false},
    {"/.well-known/mercure/subscriptions", FOR_CLIENTS, GET | HEAD, "GET, HEAD, OPTIONS",
     mercure_list_open, NULL, false},
    {"/.well-known/mercure/subscriptions/*", FOR_CLIENTS, GET | HEAD, "GET, HEAD, OPTIONS",
     mercure_list_open, NULL, false},
    {"/hook/*", FOR_HOOKS, POST, "POST, OPTIONS", hook_open, NULL, false},
    {"/rtc", FOR_CLIENTS, POST, "POST, OPTIONS", rtc_offer_open, NULL, false},
    {"/rtc/*", FOR_CLIENTS, DELETE, "DELETE, OPTIONS", rtc_delete_open, NULL, false},
    {"/turn", FOR_CLIENTS, GET | HEAD, "GET, HEAD, OPTIONS", turn_open, NULL, false},
    {"/metrics", FOR_METRICS, GET | HEAD, "GET, HEAD, OPTIONS", metrics_open, NULL, false},
    {"/healthz", FOR_HEALTH, GET | HEAD, "GET, HEAD, OPTIONS", health_open, NULL, false},
    {"/", FOR_VISITORS, GET | HEAD, "GET, HEAD, OPTIONS", page_open, NULL, false},
    {"/page.js", FOR_VISITORS, GET | HEAD, "GET, HEAD, OPTIONS", page_open, NULL, false},
    {"/page.css", FOR_VISITORS, GET | HEAD, "GET, HEAD, OPTIONS", page_open, NULL, false},
    {"/admin", FOR_OPERATOR, GET | HEAD, "GET, HEAD, OPTIONS", page_open, NULL, false},
    {"/admin.js", FOR_OPERATOR, GET | HEAD, "GET, HEAD, OPTIONS", page_open, NULL, false},
    {"/admin/webhooks.js", FOR_OPERATOR, GET | HEAD, "GET, HEAD, OPTIONS", page_open, NULL, false},
    {"/admin.css", FOR_OPERATOR, GET | HEAD, "GET, HEAD, OPTIONS", page_open, NULL, false},
    {"/admin/events", FOR_OPERATOR, GET | HEAD, "GET, HEAD, OPTIONS", watch_open, NULL, false},
    WEBHOOK_PAGE_ROUTE(list) WEBHOOK_PAGE_ROUTE(dead) WEBHOOK_PAGE_ROUTE(show)
        WEBHOOK_PAGE_ROUTE(replay) WEBHOOK_PAGE_ROUTE(purge) WEBHOOK_OPS(WEBHOOK_ROUTE)
            API_METHODS(API_ROUTE){0},
};

const struct transport *const server_transports[TRANSPORT_COUNT] = {
    [TRANSPORT_HTTP] = &http_transport,
    [TRANSPORT_PUBLISH] = &publish_transport,
    [TRANSPORT_POLL] = &poll_transport,
    [TRANSPORT_LONGPOLL] = &longpoll_transport,
    [TRANSPORT_OPENING] = &opening_transport,
    [TRANSPORT_ANSWER] = &answer_transport,
    [TRANSPORT_SSE] = &sse_transport,
    [TRANSPORT_WEBSOCKET] = &websocket_transport,
    [TRANSPORT_ECHO] = &echo_transport,
    [TRANSPORT_WT] = &wt_transport,
    [TRANSPORT_WT_TARGET] = &wt_target_transport,
    [TRANSPORT_WT_MESSAGE] = &wt_message_transport,
    [TRANSPORT_HTTP2] = &http2_transport,
    [TRANSPORT_HELD] = &held_transport,
    [TRANSPORT_REVOKE] = &revoke_transport,
    [TRANSPORT_QUIC] = &quic_transport,
    [TRANSPORT_RTC] = &rtc_transport,
    [TRANSPORT_RTC_OFFER] = &rtc_offer_transport,
    [TRANSPORT_SERVER_API] = &server_api_transport,
    [TRANSPORT_SESSION] = &session_transport,
    [TRANSPORT_SESSION_LINES] = &session_lines_transport,
    [TRANSPORT_SESSION_EVENTS] = &session_events_transport,
    [TRANSPORT_WEBTRANSPORT] = &webtransport_transport,
    [TRANSPORT_SESSION_TUNNEL] = &session_tunnel_transport,
    [TRANSPORT_EMULATION] = &emulation_transport,
    [TRANSPORT_WATCH] = &watch_transport,
    [TRANSPORT_MERCURE] = &mercure_transport,
    [TRANSPORT_MERCURE_LIST] = &mercure_list_transport,
    [TRANSPORT_MERCURE_PUBLISH] = &mercure_publish_transport,
    [TRANSPORT_HOOK] = &hook_transport,
    [TRANSPORT_WEBHOOKS] = &webhooks_transport,
};
