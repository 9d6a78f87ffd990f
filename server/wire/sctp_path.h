/* sctp_path: how much may be under way to the peer, and how long to wait for it (RFC 9260 sections
 * 6.3 and 7.2). Internal to wire/sctp*.
 *
 *     bytes
 *       │        ╱│ loss: half       cwnd    what may be under way
 *       │    ╱╱╱  │   ╱╱╱╱╱          flight  what is
 *       │  ╱      │╱╱                ssthresh  from here on it grows slowly
 *       │╱                           time out: one packet, and slow start again
 *
 * Threads  one at a time.
 * Memory   the caller's. */
#ifndef RINGSIDE_WIRE_SCTP_PATH_H
#define RINGSIDE_WIRE_SCTP_PATH_H

#include <stdbool.h>
#include <stdint.h>

struct sctp_path {
    uint32_t cwnd, ssthresh, flight, partial; /* bytes */
    uint32_t srtt_us, rttvar_us, rto_us;      /* srtt is 0 until something was measured */
};

void sctp_path_init(struct sctp_path *path, uint32_t peer_window);

/* A round trip was measured. */
void sctp_path_measured(struct sctp_path *path, uint64_t rtt_ns);

/* The cumulative acknowledgement moved on, outside of fast recovery. `full`: the window was used up
 * before it came. */
void sctp_path_acked(struct sctp_path *path, uint32_t bytes, bool full);

/* A packet was lost, and others behind it arrived. */
void sctp_path_lost(struct sctp_path *path);

/* Goes on with what was measured before, as if each answer since had come in time. */
void sctp_path_resume(struct sctp_path *path, uint32_t srtt_us, uint32_t rttvar_us);

/* No data was acknowledged in time; or something else was not answered. The next wait is twice as
 * long. */
void sctp_path_timed_out(struct sctp_path *path);
void sctp_path_waited(struct sctp_path *path);

/* Nothing was sent for so long: the window is worth less (section 7.2.1). */
void sctp_path_idle(struct sctp_path *path, uint64_t idle_ns);

/* No more than a few packets leave at once behind an acknowledgement (section 6.1 D). */
void sctp_path_no_burst(struct sctp_path *path);

uint64_t sctp_path_rto_ns(const struct sctp_path *path);

#endif
