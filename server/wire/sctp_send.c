#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/octets.h"
#include "wire/sctp_internal.h"

enum {
    PIECE_MIN = 256, /* a message is not cut for less room than that */
};

static uint32_t cost_of(const struct sctp_queued *message)
{
    return (uint32_t)sizeof *message + message->len;
}

/* ---- the queue ---- */

int sctp_send(struct sctp *sctp, const struct sctp_message *message, struct sctp_effort effort)
{
    size_t len = message->bytes.len;
    if (sctp->state != SCTP_ESTABLISHED)
        return -ENOTCONN;
    if (message->stream >= sctp->own_streams || len == 0)
        return -EINVAL;
    if (len > sctp->settings->message_bytes_max)
        return -EMSGSIZE;
    if ((sctp->reset_wanted | sctp->reset_asked) >> message->stream & 1)
        return -EBUSY;
    if (sctp->send_bytes + sizeof(struct sctp_queued) + len > sctp->settings->send_bytes_max)
        return -ENOBUFS;
    struct sctp_queued *queued = malloc(sizeof *queued + len);
    if (!queued)
        return -ENOMEM;
    *queued = (struct sctp_queued){
        .effort = sctp->peer_forgets ? effort : SCTP_RELIABLE,
        .payload = message->payload,
        .len = (uint32_t)len,
        .stream = message->stream,
        .unordered = message->unordered,
    };
    memcpy(queued->bytes, message->bytes.ptr, len);
    if (sctp->queue_end)
        sctp->queue_end->next = queued;
    else
        sctp->queue = queued;
    sctp->queue_end = queued;
    sctp->send_bytes += cost_of(queued);
    return 0;
}

static void queue_pop(struct sctp *sctp)
{
    struct sctp_queued *message = sctp->queue;
    sctp->queue = message->next;
    if (!sctp->queue)
        sctp->queue_end = NULL;
    message->next = NULL;
}

static void message_free(struct sctp *sctp, struct sctp_queued *message)
{
    sctp->send_bytes -= cost_of(message);
    free(message);
}

/* One TSN less. Only the first of the queue is cut, so whatever else has TSNs is out of it. */
void sctp_unref(struct sctp *sctp, struct sctp_queued *message)
{
    assert(message->refs > 0);
    if (--message->refs == 0 && message != sctp->queue)
        message_free(sctp, message);
}

void sctp_send_done(struct sctp *sctp)
{
    for (struct sctp_sent *sent = sctp->sent, *next; sent; sent = next) {
        next = sent->next;
        sctp->send_bytes -= (uint32_t)sizeof *sent;
        sctp_unref(sctp, sent->message);
        free(sent);
    }
    while (sctp->queue) {
        struct sctp_queued *message = sctp->queue;
        queue_pop(sctp);
        message_free(sctp, message);
    }
    sctp->sent = sctp->sent_end = NULL;
    assert(sctp->send_bytes == 0);
}

bool sctp_all_sent(const struct sctp *sctp)
{
    return !sctp->sent && !sctp->queue;
}

/* Whether all that was queued on these streams has TSNs. */
bool sctp_stream_sent(const struct sctp *sctp, uint16_t streams)
{
    for (const struct sctp_queued *message = sctp->queue; message; message = message->next)
        if (streams >> message->stream & 1)
            return false;
    return true;
}

/* ---- TSNs ---- */

/* The next TSN for `len` bytes of the message. NULL when the heap is full. */
static struct sctp_sent *tsn_take(struct sctp *sctp, struct sctp_queued *message, uint32_t len)
{
    struct sctp_sent *sent = malloc(sizeof *sent);
    if (!sent)
        return NULL;
    bool end = message->cut + len == message->len;
    *sent = (struct sctp_sent){
        .message = message,
        .tsn = sctp->next_tsn++,
        .at = message->cut,
        .len = len,
        .flags = (uint8_t)((message->cut == 0 ? SCTP_FLAG_B : 0) | (end ? SCTP_FLAG_E : 0) |
                           (message->unordered ? SCTP_FLAG_U : 0)),
    };
    if (!message->begun && !message->unordered)
        message->ssn = sctp->next_ssn[message->stream]++;
    message->begun = true;
    message->cut += len;
    message->refs++;
    if (sctp->sent_end)
        sctp->sent_end->next = sent;
    else
        sctp->sent = sent;
    sctp->sent_end = sent;
    sctp->send_bytes += (uint32_t)sizeof *sent;
    return sent;
}

void sctp_lost(struct sctp *sctp, struct sctp_sent *sent)
{
    assert(sent->fate == SCTP_UNDER_WAY);
    sent->fate = SCTP_LOST;
    sent->missed = 0;
    sctp->lost_count++;
    sctp->path.flight -= sent->len;
    if (sctp->rtt_at != 0 && sctp->rtt_tsn == sent->tsn)
        sctp->rtt_at = 0; /* whose answer it will be, nobody could tell */
}

static void piece_give_up(struct sctp *sctp, struct sctp_sent *sent)
{
    if (sent->fate == SCTP_UNDER_WAY)
        sctp_lost(sctp, sent);
    if (sent->fate != SCTP_LOST)
        return;
    sent->fate = SCTP_GIVEN_UP;
    sctp->lost_count--;
}

/* RFC 3758 section 3.5. What has begun takes one TSN more, for an end that is never sent: without
 * it the peer would take the next message's pieces for those of this one. */
void sctp_give_up(struct sctp *sctp, struct sctp_queued *message)
{
    message->given_up = true;
    for (struct sctp_sent *sent = sctp->sent; sent; sent = sent->next)
        if (sent->message == message)
            piece_give_up(sctp, sent);
    if (message != sctp->queue)
        return;
    if (message->begun) {
        struct sctp_sent *end = tsn_take(sctp, message, message->len - message->cut);
        if (!end) {
            sctp_fail(sctp, SCTP_END_MEMORY);
            return;
        }
        end->fate = SCTP_GIVEN_UP;
        end->len = 0;
    }
    queue_pop(sctp);
    if (message->refs == 0)
        message_free(sctp, message);
}

static bool too_late(const struct sctp_queued *message, uint64_t now_ns)
{
    return message->effort.until_ns <= now_ns;
}

/* ---- DATA ---- */

static void piece_write(struct sctp *sctp, struct sctp_writer *writer, struct sctp_sent *sent,
                        uint64_t now_ns)
{
    const struct sctp_queued *message = sent->message;
    uint8_t *at = sctp_chunk_write(writer, SCTP_DATA, sent->flags, SCTP_DATA_HEAD + sent->len);
    octets_put32(at, sent->tsn);
    octets_put16(at + 4, message->stream);
    octets_put16(at + 6, message->ssn);
    octets_put32(at + 8, message->payload);
    memcpy(at + SCTP_DATA_HEAD, message->bytes + sent->at, sent->len);
    sent->fate = SCTP_UNDER_WAY;
    sent->before = sctp->next_tsn;
    sent->transmissions++;
    sctp_path_left(&sctp->path, sent->len);
    sctp->sent_at = now_ns;
    if (sctp->rtt_at == 0 && sent->transmissions == 1) {
        sctp->rtt_tsn = sent->tsn;
        sctp->rtt_at = now_ns;
    }
    if (sctp->retransmit_at == SCTP_NEVER)
        sctp->retransmit_at = now_ns + sctp_path_rto_ns(&sctp->path);
}

/* Whether so many bytes may leave now. What is under way may pass the congestion window by less
 * than a packet; of a peer without room one piece asks whether it has some (section 6.1). */
static bool window_open(const struct sctp *sctp, uint32_t len)
{
    const struct sctp_path *path = &sctp->path;
    return sctp_path_open(path) && (path->flight == 0 || path->flight + len <= sctp->peer_window);
}

/* What was lost, in order. After a fast retransmission one packet leaves whatever the window. */
static void lost_write(struct sctp *sctp, struct sctp_writer *writer, uint64_t now_ns)
{
    bool regardless = sctp->resend_now;
    sctp->resend_now = false;
    for (struct sctp_sent *sent = sctp->sent; sent && sctp->lost_count > 0; sent = sent->next) {
        if (sent->fate != SCTP_LOST)
            continue;
        if (too_late(sent->message, now_ns)) {
            sctp_give_up(sctp, sent->message);
            continue;
        }
        if (sctp_packet_room(writer) < SCTP_DATA_HEAD + sent->len)
            return;
        if (!regardless && !window_open(sctp, sent->len))
            return;
        sctp->lost_count--;
        piece_write(sctp, writer, sent, now_ns);
    }
}

/* How much of the message goes into this packet; 0: none, it waits for the next. */
static uint32_t piece_size(const struct sctp_writer *writer, const struct sctp_queued *message)
{
    size_t room = sctp_packet_room(writer), left = message->len - message->cut;
    if (room <= SCTP_DATA_HEAD)
        return 0;
    room -= SCTP_DATA_HEAD;
    if (left <= room)
        return (uint32_t)left;
    return room < PIECE_MIN ? 0 : (uint32_t)room;
}

static void new_write(struct sctp *sctp, struct sctp_writer *writer, uint64_t now_ns)
{
    while (sctp->queue && !sctp->ended) {
        struct sctp_queued *message = sctp->queue;
        if (too_late(message, now_ns)) {
            sctp_give_up(sctp, message);
            continue;
        }
        uint32_t len = piece_size(writer, message);
        if (len == 0 || !window_open(sctp, len))
            return;
        struct sctp_sent *sent = tsn_take(sctp, message, len);
        if (!sent) {
            sctp_fail(sctp, SCTP_END_MEMORY);
            return;
        }
        if (message->cut == message->len)
            queue_pop(sctp);
        piece_write(sctp, writer, sent, now_ns);
    }
}

bool sctp_data_ready(const struct sctp *sctp)
{
    return (sctp->queue || sctp->lost_count > 0) && window_open(sctp, SCTP_DATA_HEAD);
}

void sctp_data_write(struct sctp *sctp, struct sctp_writer *writer, uint64_t now_ns)
{
    if (sctp->state != SCTP_ESTABLISHED && sctp->state != SCTP_SHUTDOWN_PENDING &&
        sctp->state != SCTP_SHUTDOWN_RECEIVED)
        return;
    bool something = sctp->queue || sctp->lost_count > 0;
    if (something && sctp->path.flight == 0 && now_ns > sctp->sent_at)
        sctp_path_idle(&sctp->path, now_ns - sctp->sent_at);
    if (sctp->lost_count > 0)
        lost_write(sctp, writer, now_ns);
    if (sctp->lost_count == 0)
        new_write(sctp, writer, now_ns);
    sctp_given_up_advance(sctp, now_ns);
}

/* ---- FORWARD TSN (RFC 3758 section 3.2) ---- */

void sctp_forward_write(struct sctp *sctp, struct sctp_writer *writer)
{
    uint16_t streams = 0, last[SCTP_STREAMS_MAX];
    size_t len = 4;
    if (!sctp_before(sctp->acked_tsn, sctp->given_up_tsn))
        return;
    for (const struct sctp_sent *sent = sctp->sent;
         sent && !sctp_before(sctp->given_up_tsn, sent->tsn); sent = sent->next) {
        if (sent->message->unordered)
            continue;
        streams |= (uint16_t)(1 << sent->message->stream);
        last[sent->message->stream] = sent->message->ssn;
    }
    len += 4 * (size_t)__builtin_popcount(streams);
    if (sctp_packet_room(writer) < len) {
        sctp->pending |= SCTP_SAY_FORWARD;
        return;
    }
    uint8_t *at = sctp_chunk_write(writer, SCTP_FORWARD_TSN, 0, len);
    octets_put32(at, sctp->given_up_tsn);
    for (unsigned i = 0; i < SCTP_STREAMS_MAX; i++)
        if (streams >> i & 1) {
            at += 4;
            octets_put16(at, (uint16_t)i);
            octets_put16(at + 2, last[i]);
        }
}
