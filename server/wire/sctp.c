#include "wire/sctp.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/octets.h"
#include "wire/sctp_internal.h"

enum {
    TAG_SIZE = 4,
    HEARTBEAT_INFO = 1, /* the parameter of a heartbeat; ours has nothing in it but its size */
    HEARTBEAT_SIZE = 8,
};

void sctp_init(struct sctp *sctp, const struct sctp_settings *settings, const struct sctp_ops *ops,
               uint16_t own_and_peer_port, uint32_t tag, uint32_t first_tsn)
{
    assert(tag != 0 && settings->receive_bytes_max / 2 >= settings->message_bytes_max);
    *sctp = (struct sctp){
        .settings = settings,
        .ops = ops,
        .peer_port = own_and_peer_port,
        .own_tag = tag,
        .first_tsn = first_tsn,
        .next_tsn = first_tsn,
        .acked_tsn = first_tsn - 1,
        .given_up_tsn = first_tsn - 1,
        .reset_sequence = first_tsn,
        .retransmit_at = SCTP_NEVER,
        .sack_at = SCTP_NEVER,
        .reset_at = SCTP_NEVER,
        .heartbeat_at = SCTP_NEVER,
    };
}

void sctp_done(struct sctp *sctp)
{
    sctp_send_done(sctp);
    sctp_held_done(sctp);
    free(sctp->gaps);
    free(sctp->echo);
    sctp->gaps = NULL;
    sctp->echo = NULL;
}

void sctp_connect(struct sctp *sctp, uint64_t now_ns)
{
    assert(sctp->state == SCTP_CLOSED && !sctp->ended);
    sctp_path_init(&sctp->path, 0);
    sctp->state = SCTP_COOKIE_WAIT;
    sctp->pending = SCTP_SAY_INIT;
    sctp->retransmit_at = now_ns + sctp_path_rto_ns(&sctp->path);
}

void sctp_end(struct sctp *sctp, enum sctp_end why)
{
    if (sctp->ended)
        return;
    sctp->ended = (uint8_t)why;
    sctp->state = SCTP_CLOSED;
    sctp->pending = 0;
    sctp->retransmit_at = sctp->sack_at = sctp->reset_at = sctp->heartbeat_at = SCTP_NEVER;
}

void sctp_fail(struct sctp *sctp, enum sctp_end why)
{
    if (sctp->ended)
        return;
    sctp_end(sctp, why);
    sctp->pending = sctp->peer_known ? SCTP_SAY_ABORT : 0;
}

void sctp_abort(struct sctp *sctp)
{
    sctp_fail(sctp, SCTP_END_ABORT);
}

void sctp_echo_keep(struct sctp *sctp, const uint8_t *bytes, size_t len)
{
    struct sctp_echo *echo = malloc(sizeof *echo + len);
    free(sctp->echo);
    sctp->echo = echo;
    if (!echo)
        return;
    echo->len = len;
    memcpy(echo->bytes, bytes, len);
}

/* ---- the end ---- */

static bool shutting_down(const struct sctp *sctp)
{
    return sctp->state >= SCTP_SHUTDOWN_PENDING;
}

/* Goes on with the end when all that was sent has arrived (section 9.2). */
static void shutdown_look(struct sctp *sctp, uint64_t now_ns)
{
    if (!sctp_all_sent(sctp))
        return;
    if (sctp->state == SCTP_SHUTDOWN_PENDING) {
        sctp->state = SCTP_SHUTDOWN_SENT;
        sctp->pending |= SCTP_SAY_SHUTDOWN;
    } else if (sctp->state == SCTP_SHUTDOWN_RECEIVED) {
        sctp->state = SCTP_SHUTDOWN_ACK_SENT;
        sctp->pending |= SCTP_SAY_SHUTDOWN_ACK;
    } else {
        return;
    }
    sctp->retransmit_at = now_ns + sctp_path_rto_ns(&sctp->path);
}

void sctp_close(struct sctp *sctp)
{
    if (sctp->state == SCTP_ESTABLISHED)
        sctp->state = SCTP_SHUTDOWN_PENDING;
    else if (!shutting_down(sctp))
        sctp_fail(sctp, SCTP_END_ABORT);
}

static void shutdown_taken(struct sctp *sctp, const struct sctp_chunk *chunk, uint64_t now_ns)
{
    if (sctp->state < SCTP_ESTABLISHED || chunk->len != 4)
        return;
    sctp_acked_up_to(sctp, octets_get32(chunk->value), now_ns);
    if (sctp->state == SCTP_SHUTDOWN_SENT) {
        sctp->state = SCTP_SHUTDOWN_ACK_SENT;
        sctp->pending |= SCTP_SAY_SHUTDOWN_ACK;
        sctp->retransmit_at = now_ns + sctp_path_rto_ns(&sctp->path);
    } else if (sctp->state == SCTP_SHUTDOWN_ACK_SENT) {
        sctp->pending |= SCTP_SAY_SHUTDOWN_ACK;
    } else {
        sctp->state = SCTP_SHUTDOWN_RECEIVED;
    }
}

static void shutdown_acked(struct sctp *sctp)
{
    if (sctp->state != SCTP_SHUTDOWN_SENT && sctp->state != SCTP_SHUTDOWN_ACK_SENT)
        return;
    sctp_end(sctp, SCTP_END_SHUTDOWN);
    sctp->pending = SCTP_SAY_SHUTDOWN_COMPLETE;
}

/* ---- input ---- */

/* Of several between two packets the last is answered. */
static void heartbeat_taken(struct sctp *sctp, const struct sctp_chunk *chunk)
{
    if (chunk->len > SCTP_ECHO_MAX)
        return;
    sctp_echo_keep(sctp, chunk->value, chunk->len);
    sctp->pending &= (uint16_t)~SCTP_SAY_HEARTBEAT_ACK;
    sctp->pending |= sctp->echo ? SCTP_SAY_HEARTBEAT_ACK : 0;
}

/* Returns false where the rest of the packet is not to be looked at. */
static bool control_taken(struct sctp *sctp, const struct sctp_chunk *chunk, uint64_t now_ns)
{
    switch (chunk->type) {
    case SCTP_INIT_ACK:
        sctp_init_taken(sctp, chunk, true, now_ns);
        return true;
    case SCTP_COOKIE_ECHO:
        sctp_cookie_taken(sctp, chunk, now_ns);
        return true;
    case SCTP_COOKIE_ACK:
        sctp_cookie_acked(sctp, now_ns);
        return true;
    case SCTP_SHUTDOWN:
        shutdown_taken(sctp, chunk, now_ns);
        return true;
    case SCTP_SHUTDOWN_ACK:
        shutdown_acked(sctp);
        return true;
    case SCTP_SHUTDOWN_COMPLETE:
        if (sctp->state == SCTP_SHUTDOWN_ACK_SENT)
            sctp_end(sctp, SCTP_END_SHUTDOWN);
        return true;
    case SCTP_ABORT:
        sctp_end(sctp, SCTP_END_ABORTED);
        return true;
    case SCTP_ERROR:
        return true;
    default:
        return (chunk->type & 0x80) != 0; /* section 3.2: skip it, or the whole rest */
    }
}

/* What counts only while the association stands. */
static bool standing_taken(struct sctp *sctp, const struct sctp_chunk *chunk, uint64_t now_ns)
{
    switch (chunk->type) {
    case SCTP_DATA:
        sctp_data_taken(sctp, chunk);
        return true;
    case SCTP_SACK:
        sctp_sack_taken(sctp, chunk, now_ns);
        return true;
    case SCTP_FORWARD_TSN:
        sctp_forward_taken(sctp, chunk);
        return true;
    case SCTP_HEARTBEAT:
        heartbeat_taken(sctp, chunk);
        return true;
    case SCTP_HEARTBEAT_ACK:
        sctp->errors = 0;
        return true;
    case SCTP_RE_CONFIG:
        sctp_reconfig_taken(sctp, chunk, now_ns);
        return true;
    default:
        return control_taken(sctp, chunk, now_ns);
    }
}

static bool stands(const struct sctp *sctp)
{
    return sctp->state >= SCTP_ESTABLISHED;
}

/* Who sends one of these stands: has taken the cookie, if its answer was lost. */
static bool says_standing(const struct sctp_chunk *chunk)
{
    return chunk->type == SCTP_DATA || chunk->type == SCTP_SACK || chunk->type == SCTP_HEARTBEAT ||
           chunk->type == SCTP_HEARTBEAT_ACK;
}

static bool chunk_taken(struct sctp *sctp, const struct sctp_chunk *chunk, uint64_t now_ns)
{
    if (!stands(sctp) && says_standing(chunk)) {
        if (sctp->state != SCTP_COOKIE_ECHOED)
            return true;
        sctp_cookie_acked(sctp, now_ns);
    }
    return stands(sctp) ? standing_taken(sctp, chunk, now_ns) : control_taken(sctp, chunk, now_ns);
}

/* Section 8.5: the own tag; 0 in a packet of INIT; the peer's own where the T bit says so. */
static bool tag_right(const struct sctp *sctp, const struct sctp_head *head,
                      const struct sctp_chunk *first)
{
    bool reflected = (first->type == SCTP_ABORT || first->type == SCTP_SHUTDOWN_COMPLETE) &&
                     (first->flags & SCTP_FLAG_T) != 0;
    if (first->type == SCTP_INIT)
        return head->tag == 0;
    return head->tag == (reflected ? sctp->peer_tag : sctp->own_tag) && head->tag != 0;
}

static void chunks_taken(struct sctp *sctp, struct sctp_chunk *chunk, struct sctp_reader *rest,
                         uint64_t now_ns)
{
    unsigned count = 0;
    int found = 1;
    while (found == 1 && ++count <= SCTP_CHUNKS_MAX && chunk_taken(sctp, chunk, now_ns) &&
           !sctp->ended)
        found = sctp_chunk_next(chunk, rest);
    if (found < 0)
        sctp_fail(sctp, SCTP_END_PROTOCOL);
}

/* A peer is asked whether it is there when nothing has come from it for so long. */
static void heartbeat_later(struct sctp *sctp, uint64_t now_ns)
{
    if (sctp->settings->heartbeat_ms > 0)
        sctp->heartbeat_at = now_ns + (uint64_t)sctp->settings->heartbeat_ms * SCTP_MS;
}

/* Every second packet is acknowledged at once, one alone after a while (section 6.2). */
static void sack_consider(struct sctp *sctp, uint64_t now_ns)
{
    if (!(sctp->pending & SCTP_GOT_DATA))
        return;
    sctp->pending &= (uint16_t)~SCTP_GOT_DATA;
    if (++sctp->packets_unacked >= SCTP_UNACKED_MAX || sctp->state != SCTP_ESTABLISHED)
        sctp->pending |= SCTP_SAY_SACK;
    else
        sctp->sack_at = now_ns + (uint64_t)SCTP_SACK_DELAY_MS * SCTP_MS;
}

int sctp_input(struct sctp *sctp, uint64_t now_ns, const uint8_t *packet, size_t len)
{
    struct sctp_head head;
    struct sctp_reader rest;
    struct sctp_chunk chunk;
    int err = sctp_packet_read(&head, &rest, packet, len);
    if (err < 0)
        return err;
    if (head.source != sctp->peer_port || head.destination != sctp->peer_port)
        return SCTP_PORT;
    if (sctp_chunk_next(&chunk, &rest) != 1)
        return SCTP_LENGTH;
    if (!tag_right(sctp, &head, &chunk))
        return SCTP_TAG;
    if (sctp->ended == SCTP_END_SHUTDOWN && chunk.type == SCTP_SHUTDOWN_ACK)
        sctp->pending = SCTP_SAY_SHUTDOWN_COMPLETE; /* the one before was lost */
    if (sctp->ended)
        return 0;
    if (chunk.type == SCTP_INIT) {
        if (rest.left == 0) /* section 6.10: alone in its packet */
            sctp_init_taken(sctp, &chunk, false, now_ns);
        return 0;
    }
    uint32_t acked = sctp->acked_tsn, came = sctp->peer_tsn;
    chunks_taken(sctp, &chunk, &rest, now_ns);
    if (sctp->acked_tsn != acked || sctp->peer_tsn != came)
        sctp_reset_look(sctp);
    sack_consider(sctp, now_ns);
    shutdown_look(sctp, now_ns);
    if (stands(sctp))
        heartbeat_later(sctp, now_ns);
    return 0;
}

/* ---- timers ---- */

/* Says again what was not answered. Of the two halves of the set-up the second is said again: the
 * peer has forgotten nothing, and INIT would begin another association. */
static void control_again(struct sctp *sctp, uint64_t now_ns)
{
    static const uint16_t again[] = {
        [SCTP_COOKIE_WAIT] = SCTP_SAY_INIT,
        [SCTP_COOKIE_ECHOED] = SCTP_SAY_COOKIE,
        [SCTP_SHUTDOWN_SENT] = SCTP_SAY_SHUTDOWN,
        [SCTP_SHUTDOWN_ACK_SENT] = SCTP_SAY_SHUTDOWN_ACK,
    };
    sctp->pending |= again[sctp->state];
    sctp_path_timed_out(&sctp->path);
    sctp->retransmit_at = now_ns + sctp_path_rto_ns(&sctp->path);
}

static void retransmit_due(struct sctp *sctp, uint64_t now_ns)
{
    bool data = sctp->state == SCTP_ESTABLISHED || sctp->state == SCTP_SHUTDOWN_PENDING ||
                sctp->state == SCTP_SHUTDOWN_RECEIVED;
    if (++sctp->errors > SCTP_ERRORS_MAX)
        sctp_fail(sctp, SCTP_END_TIMEOUT);
    else if (data)
        sctp_retransmit_timeout(sctp, now_ns);
    else
        control_again(sctp, now_ns);
}

/* Each one that has no answer counts; the first packet of the peer that acknowledges something, or
 * its answer, counts them anew. */
static void heartbeat_due(struct sctp *sctp, uint64_t now_ns)
{
    if (++sctp->errors > SCTP_ERRORS_MAX) {
        sctp_fail(sctp, SCTP_END_TIMEOUT);
        return;
    }
    sctp->pending |= SCTP_SAY_HEARTBEAT;
    heartbeat_later(sctp, now_ns);
}

void sctp_timer(struct sctp *sctp, uint64_t now_ns)
{
    if (sctp->retransmit_at <= now_ns)
        retransmit_due(sctp, now_ns);
    if (sctp->sack_at <= now_ns) {
        sctp->pending |= SCTP_SAY_SACK;
        sctp->sack_at = SCTP_NEVER;
    }
    if (sctp->reset_at <= now_ns)
        sctp_reset_timeout(sctp, now_ns);
    if (sctp->heartbeat_at <= now_ns)
        heartbeat_due(sctp, now_ns);
    shutdown_look(sctp, now_ns);
}

uint64_t sctp_deadline(const struct sctp *sctp)
{
    uint64_t at = sctp->retransmit_at < sctp->sack_at ? sctp->retransmit_at : sctp->sack_at;
    at = sctp->reset_at < at ? sctp->reset_at : at;
    return sctp->heartbeat_at < at ? sctp->heartbeat_at : at;
}

/* ---- output ---- */

static bool take(struct sctp *sctp, uint16_t what)
{
    bool wanted = (sctp->pending & what) != 0;
    sctp->pending &= (uint16_t)~what;
    return wanted;
}

/* What goes alone in its packet. Returns whether there is something. */
static bool alone_write(struct sctp *sctp, struct sctp_writer *writer)
{
    if (take(sctp, SCTP_SAY_ABORT))
        sctp_chunk_write(writer, SCTP_ABORT, 0, 0);
    else if (take(sctp, SCTP_SAY_SHUTDOWN_COMPLETE))
        sctp_chunk_write(writer, SCTP_SHUTDOWN_COMPLETE, 0, 0);
    else if (take(sctp, SCTP_SAY_INIT))
        sctp_init_write(sctp, writer, false);
    else if (take(sctp, SCTP_SAY_INIT_ACK))
        sctp_init_write(sctp, writer, true);
    else if (take(sctp, SCTP_SAY_COOKIE))
        memcpy(sctp_chunk_write(writer, SCTP_COOKIE_ECHO, 0, sctp->echo->len), sctp->echo->bytes,
               sctp->echo->len);
    else
        return false;
    return true;
}

static void heartbeat_write(struct sctp *sctp, struct sctp_writer *writer)
{
    if (take(sctp, SCTP_SAY_HEARTBEAT)) {
        uint8_t *value = sctp_chunk_write(writer, SCTP_HEARTBEAT, 0, HEARTBEAT_SIZE);
        sctp_parameter_write(value, HEARTBEAT_INFO, HEARTBEAT_SIZE - SCTP_CHUNK_HEAD);
    }
    if (!(sctp->pending & SCTP_SAY_HEARTBEAT_ACK) || sctp->echo->len > sctp_packet_room(writer))
        return;
    take(sctp, SCTP_SAY_HEARTBEAT_ACK);
    memcpy(sctp_chunk_write(writer, SCTP_HEARTBEAT_ACK, 0, sctp->echo->len), sctp->echo->bytes,
           sctp->echo->len);
    free(sctp->echo);
    sctp->echo = NULL;
}

static void control_write(struct sctp *sctp, struct sctp_writer *writer, uint64_t now_ns)
{
    if (take(sctp, SCTP_SAY_COOKIE_ACK))
        sctp_chunk_write(writer, SCTP_COOKIE_ACK, 0, 0);
    if (take(sctp, SCTP_SAY_SACK) || (sctp->packets_unacked > 0 && sctp_data_ready(sctp)))
        sctp_sack_write(sctp, writer);
    if (sctp->pending & (SCTP_SAY_RESET | SCTP_SAY_RESPONSE))
        sctp_reconfig_write(sctp, writer, now_ns);
    if (take(sctp, SCTP_SAY_FORWARD))
        sctp_forward_write(sctp, writer);
    heartbeat_write(sctp, writer);
    if (take(sctp, SCTP_SAY_SHUTDOWN))
        octets_put32(sctp_chunk_write(writer, SCTP_SHUTDOWN, 0, TAG_SIZE), sctp->peer_tsn);
    if (take(sctp, SCTP_SAY_SHUTDOWN_ACK))
        sctp_chunk_write(writer, SCTP_SHUTDOWN_ACK, 0, 0);
}

size_t sctp_output(struct sctp *sctp, uint64_t now_ns, uint8_t packet[SCTP_PACKET_MAX])
{
    struct sctp_writer writer;
    struct sctp_head head = {
        .source = sctp->peer_port,
        .destination = sctp->peer_port,
        .tag = sctp->pending & SCTP_SAY_INIT ? 0 : sctp->peer_tag,
    };
    shutdown_look(sctp, now_ns);
    sctp_packet_begin(&writer, packet, SCTP_PACKET_MAX, &head);
    if (!alone_write(sctp, &writer) && stands(sctp)) {
        control_write(sctp, &writer, now_ns);
        sctp_data_write(sctp, &writer, now_ns);
    }
    return sctp_packet_end(&writer);
}
