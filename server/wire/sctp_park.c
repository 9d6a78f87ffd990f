/* What an association is while nothing happens: numbers, and what was measured of the path. All
 * that is under way, or due, is not in it, so only one without any of that can be parked. */
#include <assert.h>

#include "wire/sctp_internal.h"

enum {
    SENT_AT_SHIFT = 24,
};

/* What was heard, and is not said yet, or waits for the peer. */
static bool is_settled(const struct sctp *sctp)
{
    return !sctp->pending && sctp->packets_unacked == 0 && !sctp->reset_wanted &&
           !sctp->reset_asked && !sctp->peer_reset_streams && !sctp->resend_now;
}

static bool nothing_is_held(const struct sctp *sctp)
{
    return !sctp->queue && !sctp->sent && !sctp->held && !sctp->gaps && !sctp->echo;
}

bool sctp_idle(const struct sctp *sctp)
{
    return sctp->state == SCTP_ESTABLISHED && nothing_is_held(sctp) && is_settled(sctp) &&
           sctp_deadline(sctp) == SCTP_NEVER;
}

static uint16_t counted(const struct sctp *sctp)
{
    uint16_t streams = 0;
    for (unsigned i = 0; i < SCTP_STREAMS_MAX; i++)
        if (sctp->next_ssn[i] != 0 || sctp->peer_ssn[i] != 0)
            streams |= (uint16_t)(1 << i);
    return streams;
}

size_t sctp_parked_size(const struct sctp *sctp)
{
    struct sctp_parked *parked;
    return sizeof *parked + (size_t)__builtin_popcount(counted(sctp)) * sizeof parked->numbers[0];
}

void sctp_park(const struct sctp *sctp, struct sctp_parked *ret)
{
    assert(sctp_idle(sctp) && sctp->acked_tsn + 1 == sctp->next_tsn);
    *ret = (struct sctp_parked){
        .sent_at = (uint32_t)(sctp->sent_at >> SENT_AT_SHIFT),
        .peer_tag = sctp->peer_tag,
        .own_tag = sctp->own_tag,
        .peer_window = sctp->peer_window,
        .next_tsn = sctp->next_tsn,
        .peer_tsn = sctp->peer_tsn,
        .reset_sequence = sctp->reset_sequence,
        .peer_reset_sequence = sctp->peer_reset_sequence,
        .cwnd = sctp->path.cwnd,
        .ssthresh = sctp->path.ssthresh,
        .srtt_us = sctp->path.srtt_us,
        .rttvar_us = sctp->path.rttvar_us,
        .peer_port = sctp->peer_port,
        .own_streams = (uint8_t)sctp->own_streams,
        .peer_streams = (uint8_t)sctp->peer_streams,
        .peer_reset_result = (uint8_t)sctp->peer_reset_result,
        .peer_forgets = sctp->peer_forgets,
        .peer_resets = sctp->peer_resets,
        .counted = counted(sctp),
    };
    for (unsigned i = 0, at = 0; i < SCTP_STREAMS_MAX; i++)
        if (ret->counted >> i & 1) {
            ret->numbers[at].next = sctp->next_ssn[i];
            ret->numbers[at++].peer = sctp->peer_ssn[i];
        }
}

void sctp_wake(struct sctp *sctp, const struct sctp_settings *settings, const struct sctp_ops *ops,
               const struct sctp_parked *parked)
{
    sctp_init(sctp, settings, ops, parked->peer_port, parked->own_tag, parked->next_tsn);
    sctp->next_tsn = parked->next_tsn;
    sctp->acked_tsn = sctp->given_up_tsn = parked->next_tsn - 1;
    sctp->peer_tag = parked->peer_tag;
    sctp->peer_window = parked->peer_window;
    sctp->peer_tsn = parked->peer_tsn;
    sctp->reset_sequence = parked->reset_sequence;
    sctp->peer_reset_sequence = parked->peer_reset_sequence;
    sctp->peer_reset_result = parked->peer_reset_result;
    sctp->sent_at = (uint64_t)parked->sent_at << SENT_AT_SHIFT;
    sctp->own_streams = parked->own_streams;
    sctp->peer_streams = parked->peer_streams;
    sctp->peer_forgets = parked->peer_forgets;
    sctp->peer_resets = parked->peer_resets;
    sctp->peer_known = true;
    sctp->state = SCTP_ESTABLISHED;
    sctp_path_init(&sctp->path, parked->peer_window);
    sctp->path.cwnd = parked->cwnd;
    sctp->path.ssthresh = parked->ssthresh;
    sctp_path_resume(&sctp->path, parked->srtt_us, parked->rttvar_us);
    for (unsigned i = 0, at = 0; i < SCTP_STREAMS_MAX; i++)
        if (parked->counted >> i & 1) {
            sctp->next_ssn[i] = parked->numbers[at].next;
            sctp->peer_ssn[i] = parked->numbers[at++].peer;
        }
}
