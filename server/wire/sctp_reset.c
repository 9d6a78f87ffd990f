/* Streams that begin anew, which is how a data channel is closed (RFC 6525, RFC 8831 section 6.7).
 *
 * An end asks to reset what it sends: behind the last message both count that stream from 0 again.
 * One request is under way at a time, for all streams that are ripe then. */
#include <assert.h>
#include <errno.h>

#include "wire/octets.h"
#include "wire/sctp_internal.h"

enum {
    REQUEST_SIZE = 12, /* of an outgoing reset, ahead of its streams: numbers of both, last TSN */
    RESPONSE_SIZE = 8,
};

enum result {
    NOTHING_TO_DO = 0,
    PERFORMED = 1,
    DENIED = 2,
    BAD_SEQUENCE = 5,
    IN_PROGRESS = 6,
};

static_assert(SCTP_STREAMS_MAX <= 16, "a set of streams is 16 bits");

int sctp_reset(struct sctp *sctp, uint16_t stream)
{
    if (sctp->state != SCTP_ESTABLISHED)
        return -ENOTCONN;
    if (stream >= sctp->own_streams)
        return -EINVAL;
    if (!sctp->peer_resets)
        return -EOPNOTSUPP;
    if (!(sctp->reset_asked >> stream & 1))
        sctp->reset_wanted |= (uint16_t)(1 << stream);
    sctp_reset_look(sctp);
    return 0;
}

/* ---- the peer asks ---- */

static void peer_reset_perform(struct sctp *sctp)
{
    uint16_t streams = sctp->peer_reset_streams;
    sctp->peer_reset_streams = 0;
    sctp->peer_reset_result = PERFORMED;
    for (uint16_t i = 0; i < sctp->peer_streams && !sctp->ended; i++)
        if (streams >> i & 1) {
            sctp->peer_ssn[i] = 0;
            sctp->ops->reset(sctp, i);
        }
}

/* Which streams a request names: none means all. */
static uint16_t streams_named(const struct sctp *sctp, const struct sctp_chunk *request)
{
    uint16_t streams = 0;
    for (size_t at = REQUEST_SIZE; at + 2 <= request->len; at += 2) {
        uint16_t stream = octets_get16(request->value + at);
        if (stream < sctp->peer_streams)
            streams |= (uint16_t)(1 << stream);
    }
    return request->len == REQUEST_SIZE ? UINT16_MAX : streams;
}

/* A number that is the next is a new request; the one before is the same again. */
static bool sequence_taken(struct sctp *sctp, uint32_t sequence)
{
    if (sequence != sctp->peer_reset_sequence)
        return false;
    sctp->peer_reset_sequence++;
    return true;
}

static void outgoing_taken(struct sctp *sctp, const struct sctp_chunk *request)
{
    if (request->len < REQUEST_SIZE)
        return;
    uint32_t sequence = octets_get32(request->value);
    sctp->pending |= SCTP_SAY_RESPONSE;
    if (!sequence_taken(sctp, sequence)) {
        if (sequence + 1 != sctp->peer_reset_sequence)
            sctp->peer_reset_result = BAD_SEQUENCE;
        return;
    }
    sctp->peer_reset_streams = streams_named(sctp, request);
    sctp->peer_reset_tsn = octets_get32(request->value + 8);
    sctp->peer_reset_result = IN_PROGRESS;
    if (!sctp_before(sctp->peer_tsn, sctp->peer_reset_tsn))
        peer_reset_perform(sctp);
}

/* Requests that data channels have no use for are answered so. */
static void other_taken(struct sctp *sctp, const struct sctp_chunk *request)
{
    if (request->len < 4)
        return;
    sctp->pending |= SCTP_SAY_RESPONSE;
    if (sequence_taken(sctp, octets_get32(request->value)))
        sctp->peer_reset_result = DENIED;
}

/* ---- the peer answers ---- */

static void response_taken(struct sctp *sctp, const struct sctp_chunk *response, uint64_t now_ns)
{
    if (response->len < RESPONSE_SIZE || sctp->reset_asked == 0 ||
        octets_get32(response->value) != sctp->reset_sequence)
        return;
    uint32_t result = octets_get32(response->value + 4);
    sctp->errors = 0;
    if (result == IN_PROGRESS) {
        sctp->reset_at = now_ns + sctp_path_rto_ns(&sctp->path);
        return;
    }
    uint16_t streams = sctp->reset_asked;
    sctp->reset_asked = 0;
    sctp->reset_sequence++;
    sctp->reset_at = SCTP_NEVER;
    for (uint16_t i = 0; i < sctp->own_streams && !sctp->ended; i++)
        if (streams >> i & 1 && result <= PERFORMED) {
            sctp->next_ssn[i] = 0;
            sctp->ops->reusable(sctp, i);
        }
    sctp_reset_look(sctp);
}

void sctp_reconfig_taken(struct sctp *sctp, const struct sctp_chunk *chunk, uint64_t now_ns)
{
    struct sctp_reader parameters = {chunk->value, chunk->len};
    struct sctp_chunk parameter;
    while (!sctp->ended && sctp_parameter_next(&parameter, &parameters) == 1) {
        if (parameter.type == SCTP_OUTGOING_RESET)
            outgoing_taken(sctp, &parameter);
        else if (parameter.type == SCTP_RECONFIG_RESPONSE)
            response_taken(sctp, &parameter, now_ns);
        else if (parameter.type == SCTP_INCOMING_RESET || parameter.type == SCTP_TSN_RESET ||
                 parameter.type == SCTP_ADD_OUTGOING || parameter.type == SCTP_ADD_INCOMING)
            other_taken(sctp, &parameter);
    }
}

/* ---- this end asks ---- */

void sctp_reset_look(struct sctp *sctp)
{
    if (sctp->peer_reset_streams != 0 && !sctp_before(sctp->peer_tsn, sctp->peer_reset_tsn)) {
        peer_reset_perform(sctp);
        sctp->pending |= SCTP_SAY_RESPONSE;
    }
    if (sctp->reset_wanted == 0 || sctp->reset_asked != 0 ||
        !sctp_stream_sent(sctp, sctp->reset_wanted))
        return;
    sctp->reset_asked = sctp->reset_wanted;
    sctp->reset_wanted = 0;
    sctp->pending |= SCTP_SAY_RESET;
}

void sctp_reset_timeout(struct sctp *sctp, uint64_t now_ns)
{
    /* While data waits too, its timer counts for both. */
    if (sctp->retransmit_at == SCTP_NEVER) {
        sctp_path_waited(&sctp->path);
        if (++sctp->errors > SCTP_ERRORS_MAX) {
            sctp_fail(sctp, SCTP_END_TIMEOUT);
            return;
        }
    }
    sctp->pending |= SCTP_SAY_RESET;
    sctp->reset_at = now_ns + sctp_path_rto_ns(&sctp->path);
}

static size_t request_size(const struct sctp *sctp)
{
    return REQUEST_SIZE + 2 * (size_t)__builtin_popcount(sctp->reset_asked);
}

static void request_write(const struct sctp *sctp, uint8_t *at)
{
    uint8_t *value = sctp_parameter_write(at, SCTP_OUTGOING_RESET, request_size(sctp));
    octets_put32(value, sctp->reset_sequence);
    octets_put32(value + 4, sctp->peer_reset_sequence - 1);
    octets_put32(value + 8, sctp->next_tsn - 1);
    value += REQUEST_SIZE;
    for (unsigned i = 0; i < SCTP_STREAMS_MAX; i++)
        if (sctp->reset_asked >> i & 1) {
            octets_put16(value, (uint16_t)i);
            value += 2;
        }
}

/* Both in one chunk: RFC 6525 section 3.1 has an answer beside a request, but no two chunks. */
void sctp_reconfig_write(struct sctp *sctp, struct sctp_writer *writer, uint64_t now_ns)
{
    bool request = (sctp->pending & SCTP_SAY_RESET) != 0 && sctp->reset_asked != 0;
    bool response = (sctp->pending & SCTP_SAY_RESPONSE) != 0;
    size_t answer_size = response ? SCTP_CHUNK_HEAD + RESPONSE_SIZE : 0;
    size_t len = answer_size + (request ? SCTP_CHUNK_HEAD + request_size(sctp) : 0);
    sctp->pending &= (uint16_t) ~(SCTP_SAY_RESET | SCTP_SAY_RESPONSE);
    if (len == 0)
        return;
    uint8_t *at = sctp_chunk_write(writer, SCTP_RE_CONFIG, 0, len);
    if (response) {
        uint8_t *value = sctp_parameter_write(at, SCTP_RECONFIG_RESPONSE, RESPONSE_SIZE);
        octets_put32(value, sctp->peer_reset_sequence - 1);
        octets_put32(value + 4, sctp->peer_reset_result);
    }
    if (request) {
        request_write(sctp, at + answer_size);
        sctp->reset_at = now_ns + sctp_path_rto_ns(&sctp->path);
    }
}
