/* queue_internal: the queue from inside.
 *
 *   queue_open.c   the file: made, checked, set aside
 *   queue.c        statements, transactions, events and deliveries
 *   queue_dead.c   what was given up
 *
 * Threads  The courier's. */
#pragma once

#include "courier/queue.h"

#include <sqlite3.h>

/* X(NAME, SQL) */
#define QUEUE_STATEMENTS(X)                                                                        \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    X(COMMIT, "COMMIT")                                                                            \
    X(ROLLBACK, "ROLLBACK")                                                                        \
    X(PAGES, "PRAGMA page_count")                                                                  \
    X(FREE_PAGES, "PRAGMA freelist_count")                                                         \
    X(META_PUT, "INSERT OR REPLACE INTO meta(name, value) VALUES(?1, ?2)")                         \
    X(META_GET, "SELECT value FROM meta WHERE name = ?1")                                          \
    X(COUNT_DELIVERIES, "SELECT count(*) FROM deliveries")                                         \
    X(COUNT_DEAD, "SELECT count(*) FROM dead")                                                     \
    X(ENDPOINTS, "SELECT number, text, from_file, state FROM endpoints")                           \
    X(ENDPOINT_PUT,                                                                                \
      "INSERT INTO endpoints(id, text, from_file, state) VALUES(?1, ?2, ?3, ?4) "                  \
      "ON CONFLICT(id) DO UPDATE SET text = ?2, from_file = ?3, state = ?4 RETURNING number")      \
    X(ENDPOINT_REMOVE, "DELETE FROM endpoints WHERE number = ?1")                                  \
    X(ENDPOINT_DELIVERIES, "DELETE FROM deliveries WHERE endpoint = ?1")                           \
    X(ENDPOINT_DEAD, "DELETE FROM dead WHERE endpoint = ?1")                                       \
    X(ORPHANS, "DELETE FROM events WHERE seq NOT IN (SELECT seq FROM deliveries) "                 \
               "AND seq NOT IN (SELECT seq FROM dead)")                                            \
    X(EVENT_ADD, "INSERT INTO events(seq, body) VALUES(?1, ?2)")                                   \
    X(EVENT_FORGET, "DELETE FROM events WHERE seq = ?1 AND NOT EXISTS "                            \
                    "(SELECT 1 FROM deliveries WHERE seq = ?1) AND NOT EXISTS "                    \
                    "(SELECT 1 FROM dead WHERE seq = ?1)")                                         \
    X(DELIVERY_ADD, "INSERT INTO deliveries(seq, endpoint, next, born, attempt, key) "             \
                    "VALUES(?1, ?2, ?3, ?4, 0, ?5)")                                               \
    X(KEY_IS_THERE, "SELECT 1 FROM deliveries WHERE endpoint = ?1 AND key = ?2 LIMIT 1")           \
    X(KEY_FIRST,                                                                                   \
      "SELECT seq, next FROM deliveries WHERE endpoint = ?1 AND key = ?2 ORDER BY seq LIMIT 1")    \
    X(DUE, "SELECT d.seq, d.born, d.key, d.attempt, e.body FROM deliveries d JOIN events e "       \
           "ON e.seq = d.seq WHERE d.endpoint = ?1 AND d.next <= ?2 "                              \
           "ORDER BY d.next, d.seq LIMIT ?3")                                                      \
    X(NEXT,                                                                                        \
      "SELECT next FROM deliveries WHERE endpoint = ?1 ORDER BY next, seq LIMIT 1 OFFSET ?2")      \
    X(DELIVERY_LATER,                                                                              \
      "UPDATE deliveries SET next = ?3, attempt = ?4 WHERE seq = ?1 AND endpoint = ?2")            \
    X(DELIVERY_NEXT, "UPDATE deliveries SET next = ?3 WHERE seq = ?1 AND endpoint = ?2")           \
    X(DELIVERY_DONE, "DELETE FROM deliveries WHERE seq = ?1 AND endpoint = ?2")                    \
    X(BURY, "INSERT OR REPLACE INTO dead(seq, endpoint, died, attempt, why) "                      \
            "VALUES(?1, ?2, ?3, ?4, ?5)")                                                          \
    X(BURY_ALL, "INSERT OR REPLACE INTO dead(seq, endpoint, died, attempt, why) "                  \
                "SELECT seq, endpoint, ?2, attempt, ?3 FROM deliveries WHERE endpoint = ?1")       \
    X(OLDEST, "SELECT seq FROM events ORDER BY seq LIMIT 1 OFFSET ?1")                             \
    X(CUT_DELIVERIES, "DELETE FROM deliveries WHERE seq < ?1")                                     \
    X(CUT_DEAD, "DELETE FROM dead WHERE seq < ?1")                                                 \
    X(CUT_EVENTS, "DELETE FROM events WHERE seq < ?1")                                             \
    X(DEAD_OLDEST, "SELECT seq, endpoint FROM dead ORDER BY seq, endpoint LIMIT 1")                \
    X(DEAD_REMOVE, "DELETE FROM dead WHERE seq = ?1 AND endpoint = ?2")                            \
    X(DEAD_LIST,                                                                                   \
      "SELECT d.seq, d.endpoint, d.died, d.attempt, d.why, e.body FROM dead d JOIN events e "      \
      "ON e.seq = d.seq WHERE d.seq > ?3 AND (?1 = 0 OR d.endpoint = ?1) "                         \
      "AND (?2 = 0 OR d.seq = ?2) ORDER BY d.seq, d.endpoint LIMIT ?4")                            \
    X(DEAD_REPLAY, "INSERT OR IGNORE INTO deliveries(seq, endpoint, next, born, attempt, key) "    \
                   "SELECT seq, endpoint, ?3, ?3, 0, NULL FROM dead "                              \
                   "WHERE (?1 = 0 OR endpoint = ?1) AND (?2 = 0 OR seq = ?2)")                     \
    X(DEAD_PURGE, "DELETE FROM dead WHERE (?1 = 0 OR endpoint = ?1) AND (?2 = 0 OR seq = ?2)")

#define QUEUE_STATEMENT_ENUM(NAME, sql) QUEUE_##NAME,
enum queue_statement {
    QUEUE_STATEMENTS(QUEUE_STATEMENT_ENUM) QUEUE_STATEMENT_COUNT,
};

struct queue {
    struct queue_config config;
    sqlite3 *db;
    sqlite3_stmt *statements[QUEUE_STATEMENT_COUNT];
    bool begun;
    int err;           /* of the transaction that has begun */
    uint64_t tag;      /* of this file, in the ids of its events */
    uint64_t next_seq; /* the next event's */
    uint64_t seq_end;  /* those below this are kept for this run */
    int64_t clock_ms, heard_ns;
    int64_t page_bytes;
    int64_t added;                    /* bytes since the size was looked at */
    struct queue_stats stats, before; /* now, and when the transaction began */
};

/* Prepares all, and reads what is kept beside the tables. Returns 0 or negative errno. */
int queue_prepare(struct queue *queue);

/* A statement with its integers bound: of those that are NULL nothing else is. */
sqlite3_stmt *queue_bind(struct queue *queue, enum queue_statement which, unsigned count,
                         const int64_t *values);
#define QUEUE_BIND(queue, which, ...)                                                              \
    queue_bind((queue), (which), sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t),               \
               (int64_t[]){__VA_ARGS__})

/* Steps one that gives no row, and resets it. Remembers an error for the transaction. */
int queue_run(struct queue *queue, sqlite3_stmt *statement);
/* Steps one for its first integer; `fallback` where there is no row. */
int64_t queue_number_of(struct queue *queue, sqlite3_stmt *statement, int64_t fallback);
/* Remembers an error of SQLite for the transaction. */
int queue_fail(struct queue *queue, int code);
/* Before a change. Returns 0, or the error that the transaction has. */
int queue_begin(struct queue *queue);
int queue_meta_put(struct queue *queue, const char *name, int64_t value);
int64_t queue_meta_get(struct queue *queue, const char *name, int64_t fallback);
