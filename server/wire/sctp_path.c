#include "wire/sctp_path.h"

#include "wire/sctp_packet.h"

enum {
    MTU = SCTP_PACKET_MAX,
    BURST_PACKETS = 4,
    RTO_FIRST_US = 1000000,
    RTO_MIN_US = 400000, /* above the 200 ms for which a peer may hold its acknowledgement back */
    RTO_MAX_US = 10000000,
    IDLE_HALVINGS_MAX = 16,
    ROUNDS_TO_IDLE = 2,
};

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t most(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

void sctp_path_init(struct sctp_path *path, uint32_t peer_window)
{
    *path = (struct sctp_path){
        .cwnd = least(4 * MTU, most(2 * MTU, 4404)),
        .ssthresh = most(peer_window, 2 * MTU),
        .burst = UINT32_MAX,
        .rto_us = RTO_FIRST_US,
    };
}

void sctp_path_measured(struct sctp_path *path, uint64_t rtt_ns)
{
    uint32_t rtt = rtt_ns / 1000 > RTO_MAX_US ? RTO_MAX_US : (uint32_t)(rtt_ns / 1000);
    if (path->srtt_us == 0) {
        path->srtt_us = most(rtt, 1);
        path->rttvar_us = rtt / 2;
    } else {
        uint32_t off = path->srtt_us > rtt ? path->srtt_us - rtt : rtt - path->srtt_us;
        path->rttvar_us = path->rttvar_us - path->rttvar_us / 4 + off / 4;
        path->srtt_us = most(path->srtt_us - path->srtt_us / 8 + rtt / 8, 1);
    }
    sctp_path_resume(path, path->srtt_us, path->rttvar_us);
}

void sctp_path_resume(struct sctp_path *path, uint32_t srtt_us, uint32_t rttvar_us)
{
    path->srtt_us = srtt_us;
    path->rttvar_us = rttvar_us;
    path->rto_us =
        srtt_us == 0 ? RTO_FIRST_US : least(most(srtt_us + 4 * rttvar_us, RTO_MIN_US), RTO_MAX_US);
}

void sctp_path_acked(struct sctp_path *path, uint32_t bytes, bool full)
{
    if (path->cwnd <= path->ssthresh) {
        if (full)
            path->cwnd += least(bytes, MTU);
        return;
    }
    path->partial += bytes;
    if (path->partial >= path->cwnd) {
        path->partial = full ? path->partial - path->cwnd : 0;
        if (full)
            path->cwnd += MTU;
    }
}

void sctp_path_lost(struct sctp_path *path)
{
    path->ssthresh = most(path->cwnd / 2, 4 * MTU);
    path->cwnd = path->ssthresh;
    path->partial = 0;
}

void sctp_path_timed_out(struct sctp_path *path)
{
    path->ssthresh = most(path->cwnd / 2, 4 * MTU);
    path->cwnd = MTU;
    path->partial = 0;
    sctp_path_waited(path);
}

void sctp_path_waited(struct sctp_path *path)
{
    path->rto_us = least(path->rto_us * 2, RTO_MAX_US);
}

void sctp_path_idle(struct sctp_path *path, uint64_t idle_ns)
{
    uint64_t times = idle_ns / sctp_path_rto_ns(path);
    if (idle_ns / 1000 > (uint64_t)ROUNDS_TO_IDLE * path->srtt_us)
        path->burst = least(path->burst, BURST_PACKETS * MTU);
    for (uint64_t i = 0; i < times && i < IDLE_HALVINGS_MAX; i++)
        path->cwnd = least(path->cwnd, most(path->cwnd / 2, 4 * MTU));
}

void sctp_path_answered(struct sctp_path *path, uint32_t flight_before)
{
    path->burst = path->answered ? least(path->burst, UINT32_MAX - MTU) + MTU
                                 : flight_before + BURST_PACKETS * MTU;
    path->answered = true;
}

void sctp_path_left(struct sctp_path *path, uint32_t bytes)
{
    path->flight += bytes;
    path->answered = false;
}

bool sctp_path_open(const struct sctp_path *path)
{
    return path->flight == 0 || (path->flight < path->cwnd && path->flight < path->burst);
}

uint64_t sctp_path_rto_ns(const struct sctp_path *path)
{
    return (uint64_t)path->rto_us * 1000;
}
