/* tcp: the client's side of many TCP connections, as a function of segments and time.
 *
 *     tcp_open ─► SYN ─► SYN+ACK ─► TCP_CONNECTED ─► tcp_write, tcp_read ─► tcp_close, tcp_abort
 *     tcp_input ◄─ a segment      tcp_advance ◄─ the time      calls.send ─► a segment
 *
 * Idea     A connection that has nothing under way is a line of 24 bytes: what comes next, both
 *          ways. All else (bytes that nobody has read or acknowledged, what came out of order, a
 *          timer) is a flow, lent from a pool while it is needed. No I/O and no clock in here: what
 *          comes, goes and passes are arguments, so that a seeded network can stand in for one.
 * Source   RFC 9293 (states, section 3.10), 5961 (resets), 6298 (time-outs), 5681 (slow start,
 *          third duplicate), 2018 (SACK, of what was received), 1122 section 4.2.3.2 (late
 *          acknowledgements), and where it is asked for 7323: timestamps with PAWS, window scale.
 *          Without that a window is at most 65,535 bytes.
 * Slots    0 … slots-1 are the caller's. A connection that is closed with something under way goes
 *          on in a line of its own, so that its slot is free at once.
 * Watches  as in core/ring.h: each is answered by one event.
 * Threads  the owner's.
 * Memory   Lines, and four bytes for each source address and port; eight for each line with
 *          timestamps or window scale; the pools are touched as far as they were ever needed.
 * Bounds   TCP_SEND_MAX unsent and unacknowledged bytes of a connection, its window unread,
 *          TCP_STORE_MAX pieces out of order, TCP_TRIES_MAX time-outs in a row, the orphans given
 *          at creation, TCP_DELAYED late acknowledgements, the chunks given at creation. What
 *          finds no room is not taken, as on a network that loses it, and is counted.
 * Errors   0 or a count; negative errno. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "phantom/segment.h"

struct tcp;

#define TCP_NOBODY UINT32_MAX

enum {
    TCP_SEND_MAX = 256 * 1024,
    TCP_STORE_MAX = 64,
    TCP_TRIES_MAX = 15, /* as Linux: tcp_retries2 */
    TCP_DELAYED = 1 << 17,
    TCP_SERVERS_MAX = 255,
    TCP_PAYLOADS_MAX = 40, /* pieces of a segment's payload */
    TCP_DELAY_MS = 40,     /* of an acknowledgement */
    TCP_QUICK = 16,        /* segments acknowledged one by one, until the client answers one */
    TCP_SCALE = 5,         /* of own windows, which are 2 MiB with it */
};

enum tcp_event {
    TCP_CONNECTED, /* res: 0, or why not; then the slot is free */
    TCP_READABLE,
    TCP_WRITABLE,
};

enum tcp_watch {
    TCP_WATCH_READ = 1,
    TCP_WATCH_WRITE = 2,
};

struct tcp_calls {
    void *context;
    /* A segment of that line leaves (TCP_NOBODY: of none, an answer to a stranger). Its payload of
     * segment->len bytes is in pieces, which are only good during the call. What is longer than
     * `mss` goes in several packets. */
    void (*send)(void *context, uint32_t line, const struct segment *segment,
                 const struct iovec *payload, unsigned count, uint16_t mss);
    /* A closed connection goes on in a line of its own. NULL: nobody asks. */
    void (*moved)(void *context, uint32_t from, uint32_t to);
    void (*event)(void *context, enum tcp_event event, uint32_t slot, int32_t res);
};

struct tcp_config {
    uint32_t slots;
    uint32_t orphans;       /* closed ones that go on: at most so many */
    uint32_t chunks;        /* of 2 KiB, for all that is unread or unacknowledged */
    uint32_t first_address; /* sources; host order */
    uint32_t address_count;
    uint16_t port_first;
    uint32_t port_count;
    uint16_t mtu;
    bool large; /* the path takes segments of up to 64 KiB, and cuts them */
    bool sack;  /* says what it received out of order */
    bool timestamps, window_scale;
    struct tcp_calls calls;
};

/* Running totals. */
struct tcp_counters {
    uint64_t segments_in, segments_out;
    uint64_t bytes_in, bytes_out;
    uint64_t retransmitted; /* segments of ours, sent again */
    uint64_t again;         /* segments that held only what was received before */
    uint64_t out_of_order;
    uint64_t strangers;   /* segments for no connection: answered by a reset */
    uint64_t no_room;     /* segments not taken: a pool was empty, or too much out of order */
    uint64_t unexpected;  /* segments that no state wants */
    uint64_t given_up;    /* connections whose segments nobody acknowledged */
    uint32_t chunks_most; /* at one time */
};

/* Returns 0 and the connections, which tcp_free frees, or -ENOMEM. */
int tcp_create(struct tcp **ret, const struct tcp_config *config);
/* Sends nothing. Accepts NULL. */
void tcp_free(struct tcp *tcp);

/* Whatever is called from now on happens at this time, which never goes back. */
void tcp_time(struct tcp *tcp, int64_t now_ns);

/* A segment has come. */
void tcp_input(struct tcp *tcp, const struct segment *segment);

/* Whose segment it is: a slot, or the line of a closed one, less than tcp_lines; or TCP_NOBODY. */
uint32_t tcp_owner(const struct tcp *tcp, const struct segment *segment);
uint32_t tcp_lines(const struct tcp_config *config);

/* What is due by the clock: segments again, and late acknowledgements. */
void tcp_advance(struct tcp *tcp);
/* Nanoseconds until something may be due, at most `most_ns`. */
int64_t tcp_wait_ns(const struct tcp *tcp, int64_t most_ns);

/* Opens a connection in a free slot from a source of the range, which no other one has. Returns 0:
 * TCP_CONNECTED follows; or -EADDRNOTAVAIL, -EADDRINUSE or -ENOBUFS. */
int tcp_open(struct tcp *tcp, uint32_t slot, const struct sockaddr_in *from,
             const struct sockaddr_in *to);

/* Bytes taken, fewer than there are when it is full (-EAGAIN: none); 0 at the end of the stream;
 * or why there is no connection any longer. */
ptrdiff_t tcp_read(struct tcp *tcp, uint32_t slot, char *out, size_t len);
ptrdiff_t tcp_write(struct tcp *tcp, uint32_t slot, const char *bytes, size_t len);

void tcp_watch(struct tcp *tcp, uint32_t slot, enum tcp_watch watch);
/* The event comes at once, with -ECANCELED. */
void tcp_unwatch(struct tcp *tcp, uint32_t slot, enum tcp_watch watch);

/* FIN behind what was written. Returns 0 or -ENOTCONN. */
int tcp_shutdown(struct tcp *tcp, uint32_t slot);
/* It falls silent, as one whose cable was pulled: nothing leaves any longer, and nothing is heard.
 * The slot is the caller's until it is closed, of which nobody hears either. */
void tcp_silence(struct tcp *tcp, uint32_t slot);
/* RST. Watches fire; one that is connecting has its TCP_CONNECTED, and its slot is free. */
void tcp_abort(struct tcp *tcp, uint32_t slot);
/* The slot is free: FIN, or RST where something was not read. */
void tcp_close(struct tcp *tcp, uint32_t slot);

const struct tcp_counters *tcp_counters(const struct tcp *tcp);
/* How many connections have something under way: flows lent. */
uint32_t tcp_flows(const struct tcp *tcp);
/* Whether all that is lent belongs to somebody: walks everything, for tests. */
bool tcp_sound(const struct tcp *tcp);
