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
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct sctp_path {
    uint32_t cwnd, ssthresh, flight, partial; /* bytes */
    uint32_t burst; /* what may be under way until the next acknowledgement, besides */
    bool answered;  /* an acknowledgement has come since a packet left */
    uint32_t srtt_us, rttvar_us, rto_us; /* srtt is 0 until something was measured */
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

/* An acknowledgement came, before which so much was under way. Behind it only a few packets more
 * than that may be at once (section 6.1 D), and one more for each that came with it: a sender that
 * hears of a whole window at once has not to begin anew. */
void sctp_path_answered(struct sctp_path *path, uint32_t flight_before);

/* So much more is under way. */
void sctp_path_left(struct sctp_path *path, uint32_t bytes);

/* Whether more may be. */
bool sctp_path_open(const struct sctp_path *path);

uint64_t sctp_path_rto_ns(const struct sctp_path *path);
