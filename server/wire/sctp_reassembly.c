/* How pieces become messages (RFC 9260 sections 6.5, 6.6 and 6.9).
 *
 * Pieces that wait are one list in the order of their TSNs. A message is a run in it without a gap,
 * from a B bit to an E bit, of one stream and one kind. A run ends where either changes: what was
 * given up may lack its end, and must not swallow what comes behind it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "wire/sctp_internal.h"

struct run {
    struct sctp_fragment *first, *last;
    uint32_t len;
};

/* ---- the list ---- */

static uint32_t cost_of(const struct sctp_fragment *fragment)
{
    return (uint32_t)sizeof *fragment + fragment->len;
}

static void held_remove(struct sctp *sctp, struct sctp_fragment *fragment)
{
    if (fragment->prev)
        fragment->prev->next = fragment->next;
    else
        sctp->held = fragment->next;
    if (fragment->next)
        fragment->next->prev = fragment->prev;
    else
        sctp->held_end = fragment->prev;
    sctp->held_bytes -= cost_of(fragment);
    sctp->held_count--;
}

/* Most come in order, so it is looked for from the end. */
static void held_insert(struct sctp *sctp, struct sctp_fragment *fragment)
{
    struct sctp_fragment *before = sctp->held_end;
    while (before && sctp_before(fragment->tsn, before->tsn))
        before = before->prev;
    fragment->prev = before;
    fragment->next = before ? before->next : sctp->held;
    if (before)
        before->next = fragment;
    else
        sctp->held = fragment;
    if (fragment->next)
        fragment->next->prev = fragment;
    else
        sctp->held_end = fragment;
    sctp->held_bytes += cost_of(fragment);
    sctp->held_count++;
}

void sctp_held_done(struct sctp *sctp)
{
    for (struct sctp_fragment *fragment = sctp->held, *next; fragment; fragment = next) {
        next = fragment->next;
        sctp->held_bytes -= cost_of(fragment);
        free(fragment);
    }
    sctp->held = sctp->held_end = NULL;
    sctp->held_count = 0;
    assert(sctp->held_bytes == 0);
}

/* More than the window and one message beside it waits only where the peer does not keep to the
 * window, or to the order of its own messages. */
static struct sctp_fragment *hold(struct sctp *sctp, const struct sctp_piece *piece)
{
    const struct sctp_settings *settings = sctp->settings;
    size_t size = sizeof(struct sctp_fragment) + piece->bytes.len;
    if (sctp->held_bytes + size > settings->receive_bytes_max + 2 * settings->message_bytes_max ||
        sctp->held_count >= 2 * SCTP_HELD_MAX) {
        sctp_fail(sctp, SCTP_END_SIZE);
        return NULL;
    }
    struct sctp_fragment *fragment = malloc(size);
    if (!fragment) {
        sctp_fail(sctp, SCTP_END_MEMORY);
        return NULL;
    }
    *fragment = (struct sctp_fragment){
        .tsn = piece->tsn,
        .payload = piece->payload,
        .len = (uint32_t)piece->bytes.len,
        .stream = piece->stream,
        .ssn = piece->ssn,
        .flags = piece->flags,
    };
    memcpy(fragment->bytes, piece->bytes.ptr, piece->bytes.len);
    held_insert(sctp, fragment);
    return fragment;
}

/* ---- runs ---- */

static bool joins(const struct sctp_fragment *a, const struct sctp_fragment *b)
{
    return a->tsn + 1 == b->tsn && a->stream == b->stream &&
           ((a->flags ^ b->flags) & SCTP_FLAG_U) == 0 &&
           (a->flags & SCTP_FLAG_U || a->ssn == b->ssn) && !(a->flags & SCTP_FLAG_E) &&
           !(b->flags & SCTP_FLAG_B);
}

/* The run that a piece is in. Returns whether it is a whole message. */
static bool run_of(struct run *ret, struct sctp_fragment *fragment)
{
    *ret = (struct run){fragment, fragment, fragment->len};
    while (ret->first->prev && joins(ret->first->prev, ret->first)) {
        ret->first = ret->first->prev;
        ret->len += ret->first->len;
    }
    while (ret->last->next && joins(ret->last, ret->last->next)) {
        ret->last = ret->last->next;
        ret->len += ret->last->len;
    }
    return (ret->first->flags & SCTP_FLAG_B) && (ret->last->flags & SCTP_FLAG_E);
}

static void tell(struct sctp *sctp, const struct sctp_fragment *of, struct span bytes)
{
    const struct sctp_message message = {
        .stream = of->stream,
        .unordered = (of->flags & SCTP_FLAG_U) != 0,
        .payload = of->payload,
        .bytes = bytes,
    };
    sctp->ops->message(sctp, &message);
}

/* Takes a whole message out of the list and gives it to the owner. Nothing of the list may be kept
 * over this: the owner may end the association. */
static void run_deliver(struct sctp *sctp, const struct run *run)
{
    struct sctp_fragment *first = run->first;
    char *bytes = first == run->last ? (char *)first->bytes : malloc(run->len);
    uint32_t at = 0;
    if (!bytes) {
        sctp_fail(sctp, SCTP_END_MEMORY);
        return;
    }
    for (struct sctp_fragment *fragment = first, *next; at < run->len; fragment = next) {
        next = fragment->next;
        if (bytes != (char *)first->bytes)
            memcpy(bytes + at, fragment->bytes, fragment->len);
        at += fragment->len;
        held_remove(sctp, fragment);
        if (fragment != first)
            free(fragment);
    }
    tell(sctp, first, span_of(bytes, run->len));
    if (bytes != (char *)first->bytes)
        free(bytes);
    free(first);
}

/* The whole message of a stream with this number, or with one up to it. */
static bool ordered_find(struct run *ret, struct sctp *sctp, uint16_t stream, uint16_t ssn)
{
    for (struct sctp_fragment *at = sctp->held; at; at = at->next)
        if (at->stream == stream && at->ssn == ssn && at->flags & SCTP_FLAG_B &&
            !(at->flags & SCTP_FLAG_U) && run_of(ret, at))
            return true;
    return false;
}

/* Gives what waited for its turn on the stream. */
static void ordered_go_on(struct sctp *sctp, uint16_t stream)
{
    struct run run;
    while (sctp->held && !sctp->ended && ordered_find(&run, sctp, stream, sctp->peer_ssn[stream])) {
        sctp->peer_ssn[stream]++;
        run_deliver(sctp, &run);
    }
}

/* ---- pieces ---- */

/* A whole message whose turn it is goes by without being held. */
static bool straight(struct sctp *sctp, const struct sctp_piece *piece)
{
    uint8_t whole = SCTP_FLAG_B | SCTP_FLAG_E;
    bool unordered = (piece->flags & SCTP_FLAG_U) != 0;
    if ((piece->flags & whole) != whole || piece->bytes.len > sctp->settings->message_bytes_max)
        return false;
    return unordered || piece->ssn == sctp->peer_ssn[piece->stream];
}

void sctp_piece_taken(struct sctp *sctp, const struct sctp_piece *piece)
{
    bool unordered = (piece->flags & SCTP_FLAG_U) != 0;
    if (straight(sctp, piece)) {
        const struct sctp_message message = {piece->stream, unordered, piece->payload,
                                             piece->bytes};
        sctp->peer_ssn[piece->stream] += !unordered;
        sctp->ops->message(sctp, &message);
        if (!unordered)
            ordered_go_on(sctp, piece->stream);
        return;
    }
    struct run run;
    struct sctp_fragment *fragment = hold(sctp, piece);
    if (!fragment)
        return;
    bool whole = run_of(&run, fragment);
    if (run.len > sctp->settings->message_bytes_max)
        sctp_fail(sctp, SCTP_END_SIZE);
    else if (whole && unordered)
        run_deliver(sctp, &run);
    else if (whole)
        ordered_go_on(sctp, piece->stream);
}

/* ---- what the peer has given up ---- */

/* Messages of the stream up to this number: those that are whole are given, the others will never
 * be. */
void sctp_stream_skipped(struct sctp *sctp, uint16_t stream, uint16_t ssn)
{
    bool skipped = false;
    while (!sctp->ended && !sctp_ssn_before(ssn, sctp->peer_ssn[stream])) {
        struct run run;
        bool waits = false;
        /* The first that is there: the numbers between need not be counted one by one. */
        uint16_t first = (uint16_t)(ssn + 1);
        for (struct sctp_fragment *at = sctp->held; at; at = at->next)
            if (at->stream == stream && at->flags & SCTP_FLAG_B && !(at->flags & SCTP_FLAG_U) &&
                !sctp_ssn_before(at->ssn, sctp->peer_ssn[stream]) &&
                sctp_ssn_before(at->ssn, first) && run_of(&run, at)) {
                first = at->ssn;
                waits = true;
            }
        skipped = true;
        sctp->peer_ssn[stream] = first;
        if (waits)
            ordered_go_on(sctp, stream);
    }
    if (skipped)
        ordered_go_on(sctp, stream);
}

/* Pieces up to there whose message is not whole, and never will be. */
void sctp_pieces_forgotten(struct sctp *sctp, uint32_t up_to)
{
    struct sctp_fragment *at = sctp->held;
    while (at && !sctp_before(up_to, at->tsn)) {
        struct run run;
        bool whole = run_of(&run, at);
        struct sctp_fragment *behind = run.last->next;
        for (struct sctp_fragment *next; !whole && run.first != behind; run.first = next) {
            next = run.first->next;
            held_remove(sctp, run.first);
            free(run.first);
        }
        at = behind;
    }
}
