/* rtc_offer: an offer and its answer, as RFC 9725 has them; and the end that a client asks for.
 *
 *   POST /rtc, application/sdp ─► 201, application/sdp, Location: /rtc/NAME PASSWORD
 *   DELETE /rtc/NAME PASSWORD ─► a call to the shard that the name says ─► 200
 *
 * The shard that is asked has the peer: its own port is in the answer. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/rtc_internal.h"
#include "http/body.h"
#include "hub/call.h"
#include "wire/out.h"

#define PATH           SPAN("/rtc/")
#define LOCATION       SPAN("Location: /rtc/")
#define LOCATION_SHOWN SPAN("Access-Control-Expose-Headers: Location\r\n")

/* ---- the answer ---- */

static void answer(struct shard *shard, struct conn *conn, struct rtc *rtc,
                   const struct sdp_offer *offer)
{
    const struct rtc_library *library = shard->server->rtc;
    char name[RTC_NAME_LEN], password[RTC_PASSWORD_LEN], end[RTC_PASSWORD_LEN];
    char text[SDP_ANSWER_MAX], fields[256];
    rtc_name_write(rtc, name);
    rtc_password_write(shard, name, false, password);
    rtc_password_write(shard, name, true, end);
    struct sdp_answer said = {
        .mid = offer->mid,
        .ufrag = {name, sizeof name},
        .password = {password, sizeof password},
        .address_count = library->address_count,
        .port = library->ports[shard->index],
        .sctp_port = offer->sctp_port,
        .message_bytes_max = RTC_MESSAGE_MAX,
        .session = rtc_line(rtc)->generation,
    };
    memcpy(said.fingerprint, dtls_identity_fingerprint(library->dtls), sizeof said.fingerprint);
    memcpy(said.addresses, library->addresses, sizeof said.addresses);
    int len = sdp_answer_write(text, sizeof text, &said);
    struct out out = out_begin(fields, sizeof fields);
    out_span(&out, LOCATION);
    out_span(&out, span_of(name, sizeof name));
    out_span(&out, span_of(end, sizeof end));
    out_text(&out, "\r\n");
    out_span(&out, LOCATION_SHOWN);
    int fields_len = out_end(&out);
    assert(len > 0 && fields_len > 0);
    http_answer(shard, conn, 201, SPAN("application/sdp"), span_of(text, (size_t)len),
                span_of(fields, (size_t)fields_len));
}

static void refuse(struct shard *shard, struct conn *conn, enum refusal refusal)
{
    http_error(shard, conn, refusal);
    if (conn->state == CONN_OPEN)
        http_next(shard, conn);
}

/* What the request brought, until its body is there. */
static char *authorization_take(struct conn *conn)
{
    char *authorization = conn->extra ? conn->extra->transport_state : NULL;
    if (authorization) {
        conn->extra->transport_state = NULL;
        conn->extra->state_bytes = 0;
    }
    return authorization;
}

static void offer_whole(struct shard *shard, struct conn *conn, struct span body)
{
    struct sdp_offer offer;
    char *authorization = authorization_take(conn);
    int err = sdp_offer_read(&offer, body);
    struct rtc *rtc = err == 0 ? rtc_begin(rtc_port_of(shard), &offer, authorization) : NULL;
    if (!rtc) {
        refuse(shard, conn,
               err < 0 ? (enum refusal)(REFUSAL_OFFER_SYNTAX - 1 - err) : REFUSAL_RTC_FULL);
        return;
    }
    struct conn *line = rtc_line(rtc);
    line->listener = conn->listener;
    if (shard->clients)
        shard->clients[rtc->carrier.slot] = shard->clients[conn_slot(shard, conn)];
    answer(shard, conn, rtc, &offer);
    if (conn->state == CONN_OPEN)
        http_next(shard, conn);
}

/* ---- the end ---- */

struct farewell {
    struct call call;
    char name[RTC_NAME_LEN];
};

static void farewell_drop(struct call *call)
{
    free(call);
}

static void farewell_run(void *target, struct call *call)
{
    struct shard *shard = target;
    const struct farewell *farewell = (struct farewell *)call;
    struct rtc *rtc = rtc_port_of(shard)
                          ? rtc_named(shard, span_of(farewell->name, sizeof farewell->name))
                          : NULL;
    call->err = rtc ? 0 : -ENOENT;
    if (rtc)
        rtc_end(rtc, CLOSE_DONE);
    hub_answer(shard->hub, call);
}

static void farewell_done(void *asker, struct call *call)
{
    struct shard *shard = asker;
    struct conn *conn = conn_of_ticket(shard, &call->ticket);
    int err = call->err;
    free(call);
    if (!conn)
        return;
    if (err < 0) {
        refuse(shard, conn, REFUSAL_NO_PEER);
        return;
    }
    http_answer(shard, conn, 204, (struct span){0}, (struct span){0}, (struct span){0});
    if (conn->state == CONN_OPEN)
        http_next(shard, conn);
}

static const struct call_ops farewell_ops = {
    .run = farewell_run, .done = farewell_done, .drop = farewell_drop};

/* Whether the path ends with a name and what its owner knows of it. */
static bool is_proven(const struct shard *shard, struct span id)
{
    char end[RTC_PASSWORD_LEN];
    uint8_t differs = 0;
    if (id.len != RTC_ID_LEN || rtc_name_shard(id) >= shard->server->shard_count)
        return false;
    rtc_password_write(shard, id.ptr, true, end);
    for (size_t i = 0; i < sizeof end; i++)
        differs |= (uint8_t)(end[i] ^ id.ptr[RTC_NAME_LEN + i]);
    return differs == 0;
}

void rtc_delete_open(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    struct span path = exchange->request->path;
    struct span id = path.len > PATH.len ? span_skip(path, PATH.len) : (struct span){0};
    if (!shard->server->rtc) {
        http_error(shard, conn, REFUSAL_RTC_OFF);
        return;
    }
    if (!is_proven(shard, id)) {
        http_error(shard, conn, REFUSAL_NO_PEER);
        return;
    }
    struct farewell *farewell = malloc(sizeof *farewell);
    if (farewell) {
        farewell->call = (struct call){.ops = &farewell_ops, .ticket = conn_ticket(shard, conn, 0)};
        memcpy(farewell->name, id.ptr, sizeof farewell->name);
    }
    conn_hand_over(conn, TRANSPORT_RTC_OFFER);
    conn_timer(shard, conn, shard->settings->body_timeout_ms);
    if (farewell && hub_call(shard->hub, rtc_name_shard(id), &farewell->call) == 0)
        return;
    free(farewell);
    http_refuse(shard, conn, REFUSAL_OVERLOADED);
}

/* ---- the transport of a request ---- */

static void offer_body(struct shard *shard, struct conn *conn, struct span piece, bool last)
{
    http_body_collect(shard, conn, piece, last, offer_whole);
}

/* The answer to a call always comes. */
static bool offer_input_ended(struct shard *shard, struct conn *conn)
{
    (void)shard;
    return http_body_ended(conn);
}

static void offer_give_up(struct shard *shard, struct conn *conn)
{
    if (!http_body_ended(conn))
        http_give_up(shard, conn);
}

static void offer_timer(struct shard *shard, struct conn *conn)
{
    if (!http_body_ended(conn))
        http_refuse(shard, conn, REFUSAL_BODY_TIMEOUT);
}

static void offer_drain(struct shard *shard, struct conn *conn)
{
    if (http_body_ended(conn))
        http_drain(shard, conn);
    else
        http_refuse(shard, conn, REFUSAL_DRAINING);
}

static void offer_closed(struct shard *shard, struct conn *conn)
{
    (void)shard;
    free(authorization_take(conn));
}

/* Keeps the token until the body is there. Returns false when memory is out. */
static bool authorization_keep(struct conn *conn, const struct http_request *request)
{
    const struct http_field *field = http_field_single(&request->fields, SPAN("authorization"));
    if (!field || field->value.len == 0)
        return true;
    struct conn_extra *extra = conn_extra(conn);
    char *kept = extra ? strndup(field->value.ptr, field->value.len) : NULL;
    if (!kept)
        return false;
    extra->transport_state = kept;
    extra->state_bytes = (uint32_t)field->value.len;
    return true;
}

static bool is_sdp(const struct http_request *request)
{
    const struct http_field *type = http_field_single(&request->fields, SPAN("content-type"));
    if (!type)
        return false;
    const char *end = memchr(type->value.ptr, ';', type->value.len);
    size_t len = end ? (size_t)(end - type->value.ptr) : type->value.len;
    while (len > 0 && type->value.ptr[len - 1] == ' ')
        len--;
    return span_equal_nocase(span_of(type->value.ptr, len), SPAN("application/sdp"));
}

void rtc_offer_open(struct shard *shard, struct conn *conn, struct exchange *exchange)
{
    if (!shard->server->rtc || !rtc_port_of(shard)) {
        http_refuse(shard, conn, REFUSAL_RTC_OFF);
        return;
    }
    if (!is_sdp(exchange->request)) {
        http_refuse(shard, conn, REFUSAL_OFFER_TYPE);
        return;
    }
    if (!authorization_keep(conn, exchange->request)) {
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
        return;
    }
    conn_hand_over(conn, TRANSPORT_RTC_OFFER);
    if (http_body_begin(shard, conn, exchange, SDP_OFFER_MAX) &&
        conn->transport == TRANSPORT_RTC_OFFER)
        conn_timer(shard, conn, shard->settings->body_timeout_ms);
}

const struct transport rtc_offer_transport = {
    .name = "rtc_offer",
    .input = http_body_input,
    .body = offer_body,
    .input_ended = offer_input_ended,
    .give_up = offer_give_up,
    .timer = offer_timer,
    .drain = offer_drain,
    .closed = offer_closed,
};
