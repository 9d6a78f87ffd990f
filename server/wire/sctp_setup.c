/* How an association begins (RFC 9260 section 5):
 *
 *     active    COOKIE_WAIT       COOKIE_ECHOED          ESTABLISHED
 *                INIT │            ▲ │ COOKIE ECHO        ▲
 *                     ▼   INIT ACK │ ▼         COOKIE ACK │
 *     passive   CLOSED                        ESTABLISHED
 *
 * The cookie is there to keep nothing for who does not answer. Below DTLS the peer has answered
 * already, so what INIT says is kept at once, and the cookie only has to be the one that was given.
 * Two that both send INIT answer each other's, and the first cookie that comes opens it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/octets.h"
#include "wire/sctp_internal.h"

enum {
    INIT_SIZE = 16, /* tag, window, streams out, streams in, first TSN */
    COOKIE_SIZE = 8,
    EXTENSIONS_SIZE = 2,
    PARAMETERS_SIZE = SCTP_CHUNK_HEAD + SCTP_CHUNK_HEAD + EXTENSIONS_SIZE,
};

static void cookie_of(const struct sctp *sctp, uint8_t ret[COOKIE_SIZE])
{
    octets_put32(ret, sctp->own_tag);
    octets_put32(ret + 4, sctp->peer_tag);
}

void sctp_init_write(struct sctp *sctp, struct sctp_writer *writer, bool ack)
{
    size_t len = INIT_SIZE + PARAMETERS_SIZE + (ack ? SCTP_CHUNK_HEAD + COOKIE_SIZE : 0);
    uint8_t *at = sctp_chunk_write(writer, ack ? SCTP_INIT_ACK : SCTP_INIT, 0, len);
    octets_put32(at, sctp->own_tag);
    octets_put32(at + 4, sctp->settings->receive_bytes_max);
    octets_put16(at + 8, SCTP_STREAMS_MAX);
    octets_put16(at + 10, SCTP_STREAMS_MAX);
    octets_put32(at + 12, sctp->first_tsn);
    at += INIT_SIZE;
    if (ack) {
        cookie_of(sctp, sctp_parameter_write(at, SCTP_STATE_COOKIE, COOKIE_SIZE));
        at += SCTP_CHUNK_HEAD + COOKIE_SIZE;
    }
    at = sctp_parameter_write(at, SCTP_FORWARD_TSN_SUPPORTED, 0);
    at = sctp_parameter_write(at, SCTP_SUPPORTED_EXTENSIONS, EXTENSIONS_SIZE);
    at[0] = SCTP_RE_CONFIG;
    at[1] = SCTP_FORWARD_TSN;
}

static void extensions_take(struct sctp *sctp, const struct sctp_chunk *parameter)
{
    for (size_t i = 0; i < parameter->len; i++) {
        sctp->peer_resets |= parameter->value[i] == SCTP_RE_CONFIG;
        sctp->peer_forgets |= parameter->value[i] == SCTP_FORWARD_TSN;
    }
}

/* The parameters behind the fixed part. Returns false if they are none, or the cookie of an INIT
 * ACK is missing. */
static bool parameters_take(struct sctp *sctp, struct sctp_reader parameters, bool ack)
{
    struct sctp_chunk parameter;
    int found;
    bool cookie = false;
    while ((found = sctp_parameter_next(&parameter, &parameters)) == 1) {
        if (parameter.type == SCTP_FORWARD_TSN_SUPPORTED) {
            sctp->peer_forgets = true;
        } else if (parameter.type == SCTP_SUPPORTED_EXTENSIONS) {
            extensions_take(sctp, &parameter);
        } else if (parameter.type == SCTP_STATE_COOKIE && ack) {
            cookie = parameter.len <= SCTP_ECHO_MAX;
            if (cookie)
                sctp_echo_keep(sctp, parameter.value, parameter.len);
        }
    }
    return found == 0 && (!ack || cookie);
}

static uint16_t streams_of(const uint8_t *at)
{
    uint16_t streams = octets_get16(at);
    return streams < SCTP_STREAMS_MAX ? streams : SCTP_STREAMS_MAX;
}

/* Returns false when it is none that may begin an association. */
static bool init_read(struct sctp *sctp, const struct sctp_chunk *chunk, bool ack)
{
    if (chunk->len < INIT_SIZE || octets_get32(chunk->value) == 0)
        return false;
    sctp->peer_tag = octets_get32(chunk->value);
    sctp->peer_window = octets_get32(chunk->value + 4);
    sctp->peer_streams = streams_of(chunk->value + 8);
    sctp->own_streams = streams_of(chunk->value + 10);
    sctp->peer_tsn = octets_get32(chunk->value + 12) - 1;
    sctp->peer_reset_sequence = sctp->peer_tsn + 1;
    sctp->peer_known = true;
    sctp->peer_forgets = sctp->peer_resets = false;
    struct sctp_reader parameters = {chunk->value + INIT_SIZE, chunk->len - INIT_SIZE};
    return parameters_take(sctp, parameters, ack) && sctp->peer_streams > 0 &&
           sctp->own_streams > 0;
}

/* Of an association that stands, INIT changes nothing: below DTLS a peer that has lost its memory
 * comes by another one. */
void sctp_init_taken(struct sctp *sctp, const struct sctp_chunk *chunk, bool ack, uint64_t now_ns)
{
    if (sctp->state >= SCTP_ESTABLISHED || (ack && sctp->state != SCTP_COOKIE_WAIT))
        return;
    if (!init_read(sctp, chunk, ack)) {
        sctp_fail(sctp, SCTP_END_PROTOCOL);
        return;
    }
    if (!ack) {
        sctp->pending |= SCTP_SAY_INIT_ACK;
        return;
    }
    if (!sctp->echo) {
        sctp_fail(sctp, SCTP_END_MEMORY);
        return;
    }
    sctp->state = SCTP_COOKIE_ECHOED;
    sctp->errors = 0;
    sctp->pending |= SCTP_SAY_COOKIE;
    sctp->retransmit_at = now_ns + sctp_path_rto_ns(&sctp->path);
}

static void established(struct sctp *sctp, uint64_t now_ns)
{
    sctp->state = SCTP_ESTABLISHED;
    sctp->errors = 0;
    sctp->retransmit_at = SCTP_NEVER;
    sctp->pending &= SCTP_SAY_COOKIE_ACK;
    free(sctp->echo);
    sctp->echo = NULL;
    sctp_path_init(&sctp->path, sctp->peer_window);
    if (sctp->settings->heartbeat_ms > 0)
        sctp->heartbeat_at = now_ns + (uint64_t)sctp->settings->heartbeat_ms * SCTP_MS;
}

/* Again in an association that stands: the answer was lost. */
void sctp_cookie_taken(struct sctp *sctp, const struct sctp_chunk *chunk, uint64_t now_ns)
{
    uint8_t cookie[COOKIE_SIZE];
    cookie_of(sctp, cookie);
    if (!sctp->peer_known || chunk->len != COOKIE_SIZE ||
        memcmp(cookie, chunk->value, COOKIE_SIZE) != 0)
        return;
    sctp->pending |= SCTP_SAY_COOKIE_ACK;
    if (sctp->state < SCTP_ESTABLISHED)
        established(sctp, now_ns);
}

void sctp_cookie_acked(struct sctp *sctp, uint64_t now_ns)
{
    if (sctp->state == SCTP_COOKIE_ECHOED)
        established(sctp, now_ns);
}
