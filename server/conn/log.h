/* log: what happened to which client, a line each, for the operator who asks for it: `log`.
 *
 *   shard 0 ─ lane ──┐
 *   shard 1 ─ lane ──┼─► the writer's thread: lines ─► stderr, or log_file
 *   main    ─ lane ──┘
 *
 * Idea     A shard notes what happened, and does nothing else: no text, no system call, no wait.
 *          The writer looks ten times a second. What a second brings beyond log_lines_per_s is
 *          suppressed, but for the first of each reason; what the writer is too slow for is lost.
 *          Both are counted, and the writer says in a line how many there were.
 * Threads  log_create to log_free, and log_server, on main's; log_counts on any; all others on the
 *          shard's whose event it is.
 * Memory   A record on the heap for each line, until it is written; 16 bytes for each slot, for the
 *          client's address.
 * Bounds   A lane for each shard, log_lines_per_s, and as many lines again as there are reasons.
 * Errors   log_create: negative errno, with a sentence in `why`. */
#pragma once

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "conn/close_reason.h"
#include "conn/log_line.h"
#include "conn/refusal.h"

struct conn;
struct http_request;
struct log;
struct settings;
struct shard;

/* `*ret` is NULL when none is asked for. */
int log_create(struct log **ret, const struct settings *settings, char *why, size_t why_size);
/* Starts to write. Returns 0 or negative errno. */
int log_start(struct log *log);
/* Writes what is left, as far as somebody takes it within a second. Accepts NULL. */
void log_end(struct log *log);
void log_free(struct log *log);

/* Opens log_file anew, soon: the old one may have been moved. Accepts NULL. */
void log_reopen(struct log *log);

/* Of the server itself. `text` may be "". Accepts NULL. */
void log_server(struct log *log, enum log_event event, const char *text);

struct log_counts {
    uint64_t written;
    uint64_t suppressed; /* beyond log_lines_per_s */
    uint64_t lost;       /* for which there was no room, no memory, or no disk */
};
void log_counts(const struct log *log, struct log_counts *ret);

/* ---- of a shard with a log ---- */

/* Returns 0 or -ENOMEM. */
int log_shard_init(struct shard *shard);
void log_shard_done(struct shard *shard);

/* Whose the connection is: by its socket, a proxy's header, or the connection that carries it. */
void log_accepted(struct shard *shard, struct conn *conn);
/* NULL: a proxy that does not say. One that is trusted is from now on LINK_TRUSTED. */
void log_client(struct shard *shard, struct conn *conn, const struct in6_addr *client);
void log_carried(struct shard *shard, const struct conn *stream, uint32_t carrier);

/* A request is looked at; what is refused of the connection until the next one is refused to it. */
void log_request(struct shard *shard, const struct conn *conn, const struct http_request *request);
void log_request_gone(struct shard *shard);

void log_closed(struct shard *shard, const struct conn *conn, enum close_reason reason);

/* Counts a refusal, of a shard with or without a log. */
void log_refusal(struct shard *shard, const struct conn *conn, enum refusal refusal);
