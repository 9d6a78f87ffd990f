/* What the peer says that it has got (RFC 9260 sections 6.2.1, 6.3 and 7.2), and what follows from
 * it: RFC 3758 section 3.5 for what was given up.
 *
 *     acked_tsn   given_up_tsn                                   next_tsn
 *        │ given up  │ under way │ arrived │ lost │ under way       │
 *        └───────────┴── sent ───────────────────────────────────── ┘ */
#include <stdlib.h>

#include "wire/octets.h"
#include "wire/sctp_internal.h"

enum {
    SACK_SIZE = 12,
    MISSED_MAX = 3, /* reports until a TSN counts as lost (section 7.2.4) */
};

/* What one SACK brings. */
struct harvest {
    uint32_t bytes;   /* newly acknowledged */
    uint32_t highest; /* the highest TSN that is */
    bool any;
};

static void harvest_add(struct harvest *harvest, uint32_t tsn, uint32_t len)
{
    harvest->bytes += len;
    if (!harvest->any || sctp_before(harvest->highest, tsn))
        harvest->highest = tsn;
    harvest->any = true;
}

/* A TSN has arrived that was not known to have. */
static void arrived(struct sctp *sctp, struct sctp_sent *sent, struct harvest *harvest,
                    uint64_t now_ns)
{
    if (sent->fate == SCTP_UNDER_WAY)
        sctp->path.flight -= sent->len;
    if (sent->fate == SCTP_LOST)
        sctp->lost_count--;
    sctp->arrived_count++;
    if (sctp->rtt_at != 0 && sctp->rtt_tsn == sent->tsn) {
        sctp_path_measured(&sctp->path, now_ns - sctp->rtt_at);
        sctp->rtt_at = 0;
    }
    if (sent->fate != SCTP_GIVEN_UP)
        harvest_add(harvest, sent->tsn, sent->len);
    sent->fate = SCTP_ARRIVED;
}

static void acked_pop(struct sctp *sctp, uint32_t tsn, struct harvest *harvest, uint64_t now_ns)
{
    while (sctp->sent && !sctp_before(tsn, sctp->sent->tsn)) {
        struct sctp_sent *sent = sctp->sent;
        if (sent->fate != SCTP_ARRIVED)
            arrived(sctp, sent, harvest, now_ns);
        sctp->arrived_count--;
        sctp->sent = sent->next;
        if (!sctp->sent)
            sctp->sent_end = NULL;
        sctp->send_bytes -= (uint32_t)sizeof *sent;
        sctp_unref(sctp, sent->message);
        free(sent);
    }
    sctp->acked_tsn = tsn;
}

/* Whether one of the blocks of a SACK has the TSN. They are in order; `at` remembers where. */
static bool in_blocks(const uint8_t *blocks, unsigned count, unsigned *at, uint32_t base,
                      uint32_t tsn)
{
    while (*at < count && sctp_before(base + octets_get16(blocks + 4 * *at + 2), tsn))
        ++*at;
    return *at < count && !sctp_before(tsn, base + octets_get16(blocks + 4 * *at));
}

/* What has arrived out of turn, and what no longer has: the peer may take that back. */
static void blocks_taken(struct sctp *sctp, const uint8_t *blocks, unsigned count,
                         struct harvest *harvest, uint64_t now_ns)
{
    unsigned at = 0;
    if (count == 0 && sctp->arrived_count == 0)
        return;
    for (struct sctp_sent *sent = sctp->sent; sent; sent = sent->next) {
        bool has = in_blocks(blocks, count, &at, sctp->acked_tsn, sent->tsn);
        if (!has && at == count && sent->fate != SCTP_ARRIVED)
            continue;
        if (has && sent->fate != SCTP_ARRIVED) {
            arrived(sctp, sent, harvest, now_ns);
        } else if (!has && sent->fate == SCTP_ARRIVED) {
            bool given_up = sent->message->given_up;
            sent->fate = given_up ? SCTP_GIVEN_UP : SCTP_LOST;
            sctp->lost_count += !given_up;
            sctp->arrived_count--;
        }
    }
}

/* Section 7.2.4, but that a TSN that was sent again counts as missed only by what was sent behind
 * it that time: so it can be found lost a second time without waiting for the timer. */
static void missed_count(struct sctp *sctp, const struct harvest *harvest)
{
    bool lost = false;
    for (struct sctp_sent *sent = sctp->sent; sent && sctp_before(sent->tsn, harvest->highest);
         sent = sent->next) {
        bool behind = sent->transmissions == 1 || !sctp_before(harvest->highest, sent->before);
        if (sent->fate != SCTP_UNDER_WAY || !behind || ++sent->missed < MISSED_MAX)
            continue;
        if (sent->transmissions > sent->message->effort.retransmits) {
            sctp_give_up(sctp, sent->message);
        } else {
            sctp_lost(sctp, sent);
            lost = true;
        }
    }
    if (!lost)
        return;
    sctp->resend_now = true;
    if (!sctp->recovering) {
        sctp_path_lost(&sctp->path);
        sctp->recovering = true;
        sctp->recovery_tsn = sctp->next_tsn - 1;
    }
}

/* A message's pieces go together, those that have arrived too: usrsctp would take the rest of them
 * for a message. */
static bool passes(const struct sctp_sent *sent)
{
    return sent->fate == SCTP_GIVEN_UP || (sent->fate == SCTP_ARRIVED && sent->message->given_up);
}

/* RFC 3758 section 3.5, C2 and C3. */
void sctp_given_up_advance(struct sctp *sctp, uint64_t now_ns)
{
    uint32_t before = sctp->given_up_tsn;
    if (sctp_before(sctp->given_up_tsn, sctp->acked_tsn))
        sctp->given_up_tsn = sctp->acked_tsn;
    for (const struct sctp_sent *sent = sctp->sent; sent; sent = sent->next) {
        if (sctp_before(sctp->given_up_tsn + 1, sent->tsn))
            break;
        if (passes(sent))
            sctp->given_up_tsn = sent->tsn;
        else if (sent->tsn == sctp->given_up_tsn + 1)
            break;
    }
    if (!sctp_before(sctp->acked_tsn, sctp->given_up_tsn) || sctp->given_up_tsn == before)
        return;
    sctp->pending |= SCTP_SAY_FORWARD;
    if (sctp->retransmit_at == SCTP_NEVER)
        sctp->retransmit_at = now_ns + sctp_path_rto_ns(&sctp->path);
}

/* The cumulative acknowledgement. */
static void acked_up_to(struct sctp *sctp, uint32_t tsn, struct harvest *harvest, uint64_t now_ns)
{
    if (!sctp_before(sctp->acked_tsn, tsn) || !sctp_before(tsn, sctp->next_tsn))
        return;
    acked_pop(sctp, tsn, harvest, now_ns);
    sctp->errors = 0;
    /* What was sent again measures nothing, and would leave the wait as long as it had grown: on a
     * bad path each further loss would cost the longest. That it arrived is enough. */
    sctp_path_resume(&sctp->path, sctp->path.srtt_us, sctp->path.rttvar_us);
    sctp->retransmit_at = sctp->sent ? now_ns + sctp_path_rto_ns(&sctp->path) : SCTP_NEVER;
}

void sctp_acked_up_to(struct sctp *sctp, uint32_t tsn, uint64_t now_ns)
{
    struct harvest harvest = {.any = false};
    acked_up_to(sctp, tsn, &harvest, now_ns);
}

/* Returns false for what is no SACK, or is of TSNs that were never used. */
static bool sack_right(const struct sctp *sctp, const struct sctp_chunk *chunk)
{
    if (chunk->len < SACK_SIZE)
        return false;
    size_t blocks = octets_get16(chunk->value + 8), twice = octets_get16(chunk->value + 10);
    return chunk->len == SACK_SIZE + 4 * (blocks + twice) &&
           sctp_before(octets_get32(chunk->value), sctp->next_tsn);
}

void sctp_sack_taken(struct sctp *sctp, const struct sctp_chunk *chunk, uint64_t now_ns)
{
    struct harvest harvest = {.any = false};
    if (!sack_right(sctp, chunk)) {
        sctp_fail(sctp, SCTP_END_PROTOCOL);
        return;
    }
    uint32_t tsn = octets_get32(chunk->value), before = sctp->acked_tsn;
    const uint32_t flight = sctp->path.flight;
    bool full = flight + SCTP_PACKET_MAX > sctp->path.cwnd;
    if (sctp_before(tsn, before))
        return; /* overtaken by a later one */
    acked_up_to(sctp, tsn, &harvest, now_ns);
    sctp->peer_window = octets_get32(chunk->value + 4);
    if (sctp->peer_window < SCTP_PACKET_MAX)
        sctp->errors = 0; /* it answers, but has no room (section 6.1 A) */
    if (sctp->recovering && !sctp_before(sctp->acked_tsn, sctp->recovery_tsn))
        sctp->recovering = false;
    blocks_taken(sctp, chunk->value + SACK_SIZE, octets_get16(chunk->value + 8), &harvest, now_ns);
    if (harvest.any)
        missed_count(sctp, &harvest);
    if (sctp->acked_tsn != before && !sctp->recovering)
        sctp_path_acked(&sctp->path, harvest.bytes, full);
    sctp_path_answered(&sctp->path, flight);
    sctp_given_up_advance(sctp, now_ns);
    if (sctp_before(sctp->acked_tsn, sctp->given_up_tsn))
        sctp->pending |= SCTP_SAY_FORWARD;
}

/* Section 6.3.3: all that is under way counts as lost. */
void sctp_retransmit_timeout(struct sctp *sctp, uint64_t now_ns)
{
    sctp_path_timed_out(&sctp->path);
    sctp->recovering = false;
    for (struct sctp_sent *sent = sctp->sent; sent; sent = sent->next) {
        if (sent->fate != SCTP_UNDER_WAY)
            continue;
        if (sent->transmissions > sent->message->effort.retransmits)
            sctp_give_up(sctp, sent->message);
        else
            sctp_lost(sctp, sent);
    }
    sctp_given_up_advance(sctp, now_ns);
    if (sctp_before(sctp->acked_tsn, sctp->given_up_tsn))
        sctp->pending |= SCTP_SAY_FORWARD;
    sctp->retransmit_at = sctp_all_sent(sctp) ? SCTP_NEVER : now_ns + sctp_path_rto_ns(&sctp->path);
}
