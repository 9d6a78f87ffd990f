/* budgets: what a shard may hold for its clients, one row for each kind. docs/OPERATING.md has a
 * line for each.
 *
 * Idea     Every byte that is held for a client is charged to its connection and to its shard. When
 *          a budget is spent, the connection that has held most for longest is closed, by name, and
 *          then the next: see core/budget.h. One whose input is given up can still be told so, one
 *          whose socket is full cannot.
 * Threads  The shard's.
 * Bounds   The settings. What one connection may hold is bounded where it is held: conn/conn.h,
 *          conn/send_queue.h, http/exchange.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct conn;
struct shard;

/* X(NAME, setting, gauge, close reason, what is held, when it is spent) */
#define BUDGETS(X)                                                                                 \
    X(KEPT, queue_total_bytes_max, kept_bytes, QUEUE_TOTAL,                                        \
      "payloads of messages that are still to be written into answers, for full sockets",          \
      "the one that has kept most waiting for longest is closed")                                  \
    X(INPUT, input_total_bytes_max, input_bytes, INPUT_TOTAL,                                      \
      "received, and no whole request or message yet: heads, bodies, fragments, records, hellos; " \
      "and how far they have come",                                                                \
      "what the connection that has held most for longest holds is given up: 503, 1013, an alert") \
    X(OUTPUT, queue_total_bytes_max, queue_bytes, QUEUE_TOTAL,                                     \
      "made, and not taken by a socket yet: answers, replays, messages, control frames",           \
      "of those whose socket is full, the one that has kept most waiting for longest is closed")   \
    X(HTTP2, http2_total_bytes_max, http2_bytes, HTTP2_TOTAL,                                      \
      "taken by the HTTP/2 library: sessions, streams, tables of fields, frames to send",          \
      "the connection that has held most for longest is closed")                                   \
    X(QUIC, quic_total_bytes_max, quic_bytes, QUIC_TOTAL,                                          \
      "QUIC connections: what the library takes, and what is sent and not acknowledged",           \
      "new connections are refused; the one that has held most for longest is closed")             \
    X(RTC, rtc_total_bytes_max, rtc_bytes, RTC_TOTAL,                                              \
      "peers of WebRTC: handshakes, what is sent and not acknowledged, pieces of messages",        \
      "new peers are refused; the one that has held most for longest is closed")

#define BUDGET_ENUM(NAME, ...) BUDGET_##NAME,
enum budget_kind {
    BUDGETS(BUDGET_ENUM) BUDGET_COUNT
};

/* Whether more is held of this kind than may be. */
bool budgets_spent(const struct shard *shard, enum budget_kind kind);

/* Closes connections until it is not, or nobody is charged any more. */
void budgets_relieve(struct shard *shard, enum budget_kind kind);

/* Charges what a connection holds of its input now; may close it, or others. */
void budgets_charge_input(struct shard *shard, struct conn *conn);

/* Charges what waits for a connection's full socket, and what is kept for it. */
void budgets_charge_output(struct shard *shard, struct conn *conn);

/* Shows all of them in /metrics. */
void budgets_show(struct shard *shard);
