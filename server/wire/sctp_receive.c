/* Which TSNs have come (RFC 9260 section 6.2).
 *
 *     peer_tsn
 *        │     ┌ came[0] ┐       ┌ came[1] ┐
 *   ─────┘     └─────────┘       └─────────┘        what is between them is missing */
#include <stdlib.h>
#include <string.h>

#include "wire/octets.h"
#include "wire/sctp_internal.h"

enum {
    SACK_SIZE = 12,
};

enum verdict {
    NEW,
    TWICE,
    NO_ROOM, /* one more gap than can be kept: as if it had not come */
};

/* ---- TSNs ---- */

static void gap_close(struct sctp_gaps *gaps, unsigned at)
{
    gaps->count--;
    memmove(&gaps->came[at], &gaps->came[at + 1], (gaps->count - at) * sizeof gaps->came[0]);
}

/* Moves peer_tsn over what has come behind it. */
static void gaps_join(struct sctp *sctp)
{
    struct sctp_gaps *gaps = sctp->gaps;
    while (gaps && gaps->count > 0 && !sctp_before(sctp->peer_tsn + 1, gaps->came[0].first)) {
        if (sctp_before(sctp->peer_tsn, gaps->came[0].last))
            sctp->peer_tsn = gaps->came[0].last;
        gap_close(gaps, 0);
    }
    if (gaps && gaps->count == 0) {
        free(gaps);
        sctp->gaps = NULL;
        sctp->pending |= SCTP_SAY_SACK; /* the peer learns soon that all has come */
    }
}

/* A TSN that is not the next. */
static enum verdict gap_note(struct sctp *sctp, uint32_t tsn)
{
    unsigned at = 0;
    if (!sctp->gaps)
        sctp->gaps = calloc(1, sizeof *sctp->gaps);
    struct sctp_gaps *gaps = sctp->gaps;
    if (!gaps)
        return NO_ROOM;
    while (at < gaps->count && sctp_before(gaps->came[at].last + 1, tsn))
        at++;
    if (at < gaps->count && !sctp_before(tsn + 1, gaps->came[at].first)) {
        if (!sctp_before(tsn, gaps->came[at].first) && !sctp_before(gaps->came[at].last, tsn))
            return TWICE;
        if (tsn + 1 == gaps->came[at].first)
            gaps->came[at].first = tsn;
        else
            gaps->came[at].last = tsn;
        if (at + 1 < gaps->count && gaps->came[at].last + 1 == gaps->came[at + 1].first) {
            gaps->came[at].last = gaps->came[at + 1].last;
            gap_close(gaps, at + 1);
        }
        return NEW;
    }
    if (gaps->count == SCTP_GAPS_MAX)
        return NO_ROOM;
    memmove(&gaps->came[at + 1], &gaps->came[at], (gaps->count - at) * sizeof gaps->came[0]);
    gaps->came[at].first = gaps->came[at].last = tsn;
    gaps->count++;
    return NEW;
}

static enum verdict tsn_note(struct sctp *sctp, uint32_t tsn)
{
    if (!sctp_before(sctp->peer_tsn, tsn))
        return TWICE;
    if (tsn != sctp->peer_tsn + 1)
        return gap_note(sctp, tsn);
    sctp->peer_tsn = tsn;
    return NEW;
}

/* ---- DATA ---- */

/* A TSN out of turn that would need more than its share is taken for lost; the next one is what all
 * others wait for, and always has room. */
static bool has_room(const struct sctp *sctp, const struct sctp_piece *piece)
{
    if (piece->tsn == sctp->peer_tsn + 1)
        return true;
    return sctp->held_bytes + sizeof(struct sctp_fragment) + piece->bytes.len <=
               sctp->settings->receive_bytes_max &&
           sctp->held_count < SCTP_HELD_MAX && piece->tsn - sctp->peer_tsn < SCTP_TSN_WINDOW;
}

void sctp_data_taken(struct sctp *sctp, const struct sctp_chunk *chunk)
{
    if (chunk->len <= SCTP_DATA_HEAD) {
        sctp_fail(sctp, SCTP_END_PROTOCOL);
        return;
    }
    struct sctp_piece piece = {
        .tsn = octets_get32(chunk->value),
        .stream = octets_get16(chunk->value + 4),
        .ssn = octets_get16(chunk->value + 6),
        .payload = octets_get32(chunk->value + 8),
        .flags = chunk->flags,
        .bytes = {(const char *)chunk->value + SCTP_DATA_HEAD, chunk->len - SCTP_DATA_HEAD},
    };
    sctp->pending |= SCTP_GOT_DATA | (chunk->flags & SCTP_FLAG_I ? SCTP_SAY_SACK : 0);
    enum verdict verdict = has_room(sctp, &piece) ? tsn_note(sctp, piece.tsn) : NO_ROOM;
    if (verdict != NEW || sctp->gaps)
        sctp->pending |= SCTP_SAY_SACK;
    if (verdict != NEW)
        return;
    gaps_join(sctp);
    if (piece.stream < sctp->peer_streams)
        sctp_piece_taken(sctp, &piece);
}

/* RFC 3758 section 3.6: the peer has given up all that is missing up to there. */
void sctp_forward_taken(struct sctp *sctp, const struct sctp_chunk *chunk)
{
    if (chunk->len < 4 || chunk->len % 4 != 0) {
        sctp_fail(sctp, SCTP_END_PROTOCOL);
        return;
    }
    uint32_t tsn = octets_get32(chunk->value);
    sctp->pending |= SCTP_SAY_SACK;
    if (!sctp_before(sctp->peer_tsn, tsn) || tsn - sctp->peer_tsn > SCTP_TSN_WINDOW)
        return;
    sctp->peer_tsn = tsn;
    gaps_join(sctp);
    for (size_t at = 4; at < chunk->len && !sctp->ended; at += 4) {
        uint16_t stream = octets_get16(chunk->value + at);
        if (stream < sctp->peer_streams)
            sctp_stream_skipped(sctp, stream, octets_get16(chunk->value + at + 2));
    }
    if (!sctp->ended)
        sctp_pieces_forgotten(sctp, tsn);
}

/* ---- SACK ---- */

void sctp_sack_write(struct sctp *sctp, struct sctp_writer *writer)
{
    unsigned count = sctp->gaps ? sctp->gaps->count : 0;
    uint32_t room = sctp->held_bytes < sctp->settings->receive_bytes_max
                        ? sctp->settings->receive_bytes_max - sctp->held_bytes
                        : 0;
    uint8_t *at = sctp_chunk_write(writer, SCTP_SACK, 0, SACK_SIZE + 4 * (size_t)count);
    octets_put32(at, sctp->peer_tsn);
    octets_put32(at + 4, room);
    octets_put16(at + 8, (uint16_t)count);
    for (unsigned i = 0; i < count; i++) {
        octets_put16(at + SACK_SIZE + 4 * (size_t)i,
                     (uint16_t)(sctp->gaps->came[i].first - sctp->peer_tsn));
        octets_put16(at + SACK_SIZE + 4 * (size_t)i + 2,
                     (uint16_t)(sctp->gaps->came[i].last - sctp->peer_tsn));
    }
    sctp->packets_unacked = 0;
    sctp->sack_at = SCTP_NEVER;
}
