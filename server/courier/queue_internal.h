/* queue_internal: the queue from inside.
 *
 *   queue_open.c   the file: made, checked, set aside
 *   queue.c        statements, transactions, events and deliveries
 *   queue_held.c   deliveries that are in memory
 *   queue_dead.c   what was given up
 *   queue_look.c   endpoints in their order, and what each has
 *
 * Threads  The courier's. */
#pragma once

#include "courier/queue.h"

#include <sqlite3.h>
#include <xxhash.h>

/* uthash's own falls through from case to case in a way that clang warns of. */
#define HASH_FUNCTION(key, len, hash) ((hash) = (unsigned)XXH3_64bits((key), (len)))
#define HASH_NONFATAL_OOM             1
#include <uthash.h>

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
    X(ENDPOINTS_AFTER, "SELECT number FROM endpoints WHERE id > ?1 ORDER BY id LIMIT ?2")          \
    X(WAITING_OF, "SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE endpoint = ?1 LIMIT ?2)")  \
    X(DEAD_OF, "SELECT count(*) FROM (SELECT 1 FROM dead WHERE endpoint = ?1 LIMIT ?2)")           \
    X(ENDPOINT_PUT,                                                                                \
      "INSERT INTO endpoints(id, text, from_file, state) VALUES(?1, ?2, ?3, ?4) "                  \
      "ON CONFLICT(id) DO UPDATE SET text = ?2, from_file = ?3, state = ?4 RETURNING number")      \
    X(ENDPOINT_REMOVE, "DELETE FROM endpoints WHERE number = ?1")                                  \
    X(ENDPOINT_DELIVERIES, "DELETE FROM deliveries WHERE endpoint = ?1")                           \
    X(ENDPOINT_DEAD, "DELETE FROM dead WHERE endpoint = ?1")                                       \
    /* Events that nobody else has, before what that endpoint has goes. */                         \
    X(ENDPOINT_EVENTS, "DELETE FROM events WHERE held IS NULL AND seq IN ("                        \
                       "SELECT seq FROM deliveries WHERE endpoint = ?1 "                           \
                       "UNION SELECT seq FROM dead WHERE endpoint = ?1) AND NOT EXISTS "           \
                       "(SELECT 1 FROM deliveries d "                                              \
                       "WHERE d.seq = events.seq AND d.endpoint <> ?1) AND NOT EXISTS "            \
                       "(SELECT 1 FROM dead d WHERE d.seq = events.seq AND d.endpoint <> ?1)")     \
    X(EVENT_ADD, "INSERT INTO events(seq, held, body, born, sum) VALUES(?1, ?2, ?3, ?4, ?5)")      \
    X(EVENT_HELD, "UPDATE events SET held = ?2 WHERE seq = ?1")                                    \
    X(EVENT_DELETE, "DELETE FROM events WHERE seq = ?1")                                           \
    X(EVENT_FORGET, "DELETE FROM events WHERE seq = ?1 AND held IS NULL AND NOT EXISTS "           \
                    "(SELECT 1 FROM deliveries WHERE seq = ?1) AND NOT EXISTS "                    \
                    "(SELECT 1 FROM dead WHERE seq = ?1)")                                         \
    X(HELD_NEXT, "SELECT seq, born, held FROM events WHERE seq > ?1 AND held IS NOT NULL "         \
                 "ORDER BY seq LIMIT 1")                                                           \
    X(DELIVERY_RETURN, "INSERT OR IGNORE INTO deliveries(seq, endpoint, next, born, attempt) "     \
                       "SELECT ?1, ?2, ?3, ?4, 0 WHERE EXISTS "                                    \
                       "(SELECT 1 FROM endpoints WHERE number = ?2)")                              \
    X(DELIVERY_REST, "INSERT OR REPLACE INTO deliveries(seq, endpoint, next, born, attempt) "      \
                     "VALUES(?1, ?2, ?3, ?4, ?5)")                                                 \
    X(DELIVERY_ADD, "INSERT INTO deliveries(seq, endpoint, next, born, attempt, key) "             \
                    "VALUES(?1, ?2, ?3, ?4, 0, ?5)")                                               \
    X(KEY_IS_THERE, "SELECT 1 FROM deliveries WHERE endpoint = ?1 AND key = ?2 LIMIT 1")           \
    X(KEY_FIRST,                                                                                   \
      "SELECT seq, next FROM deliveries WHERE endpoint = ?1 AND key = ?2 ORDER BY seq LIMIT 1")    \
    X(DUE, "SELECT d.seq, d.born, d.key, d.attempt, e.body, e.sum FROM deliveries d "              \
           "JOIN events e ON e.seq = d.seq WHERE d.endpoint = ?1 AND d.next <= ?2 "                \
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
    X(CUT_EVENTS, "DELETE FROM events WHERE seq < ?1 AND held IS NULL")                            \
    X(DEAD_OLDEST, "SELECT seq, endpoint FROM dead ORDER BY seq, endpoint LIMIT 1")                \
    X(DEAD_REMOVE, "DELETE FROM dead WHERE seq = ?1 AND endpoint = ?2")                            \
    /* Those of one endpoint, or all (?1 is 0), of a span of events. */                            \
    X(DEAD_LIST,                                                                                   \
      "SELECT d.seq, d.endpoint, d.died, d.attempt, d.why, e.body FROM dead d JOIN events e "      \
      "ON e.seq = d.seq WHERE ?1 = 0 AND d.seq >= ?2 AND d.seq <= ?3 "                             \
      "AND (d.seq > ?2 OR d.endpoint > ?4) "                                                       \
      "ORDER BY d.seq, d.endpoint LIMIT ?5")                                                       \
    X(DEAD_LIST_OF,                                                                                \
      "SELECT d.seq, d.endpoint, d.died, d.attempt, d.why, e.body FROM dead d JOIN events e "      \
      "ON e.seq = d.seq WHERE d.endpoint = ?1 AND d.seq >= ?2 AND d.seq <= ?3 "                    \
      "AND (d.seq > ?2 OR d.endpoint > ?4) "                                                       \
      "ORDER BY d.seq LIMIT ?5")                                                                   \
    X(DEAD_ENDPOINTS, "SELECT DISTINCT endpoint FROM dead "                                        \
                      "WHERE (?1 = 0 OR endpoint = ?1) AND seq >= ?2 AND seq <= ?3")               \
    X(DEAD_REPLAY, "INSERT OR IGNORE INTO deliveries(seq, endpoint, next, born, attempt, key) "    \
                   "SELECT seq, endpoint, ?4, ?4, 0, NULL FROM dead "                              \
                   "WHERE (?1 = 0 OR endpoint = ?1) AND seq >= ?2 AND seq <= ?3")                  \
    /* Events that nobody else has, before those letters go. */                                    \
    X(DEAD_EVENTS,                                                                                 \
      "DELETE FROM events WHERE held IS NULL AND seq IN (SELECT seq FROM dead "                    \
      "WHERE (?1 = 0 OR endpoint = ?1) AND seq >= ?2 AND seq <= ?3) "                              \
      "AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.seq = events.seq) AND NOT EXISTS "       \
      "(SELECT 1 FROM dead d WHERE d.seq = events.seq AND ?1 <> 0 AND d.endpoint <> ?1)")          \
    X(DEAD_PURGE, "DELETE FROM dead "                                                              \
                  "WHERE (?1 = 0 OR endpoint = ?1) AND seq >= ?2 AND seq <= ?3")

#define QUEUE_STATEMENT_ENUM(NAME, sql) QUEUE_##NAME,
enum queue_statement {
    QUEUE_STATEMENTS(QUEUE_STATEMENT_ENUM) QUEUE_STATEMENT_COUNT,
};

enum {
    QUEUE_HELD_BYTES_MAX = 16 << 20,
    QUEUE_HELD_SHARE = 8, /* of bytes_max, at most: one in so many */
    QUEUE_HELD_OF_LINE_MAX = 64,
    QUEUE_HELD_TARGETS_MAX = 64,
};

struct held;
struct held_event;

/* What the queue knows of an endpoint without asking SQLite. */
struct queue_line {
    int64_t endpoint;
    struct held *first;
    unsigned held_count;
    /* When the first is due that the next commit makes a row, as of that commit. */
    int64_t later_ms;
    uint64_t later_commit;
    /* When the first of its rows is due, beyond so many: as of that change of rows. */
    uint64_t rest_changes;
    unsigned rest_beyond;
    int64_t rest_ms;
    UT_hash_handle hh;
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
    struct queue_line *lines, *line; /* all, and the last one that was made or found for adding */
    struct held_event *dirty;        /* for the next commit */
    int64_t held_bytes, held_count;
    uint64_t commits;                 /* that succeeded, and 1 */
    uint64_t changes;                 /* of rows of deliveries, by what may touch any endpoint's */
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

/* Binds what is written of an event that was not there: its body, and when it came. */
void queue_bind_event(sqlite3_stmt *statement, uint64_t seq, struct span body, int64_t born_ms);
/* Steps one that gives no row, and resets it. Remembers an error for the transaction. */
int queue_run(struct queue *queue, sqlite3_stmt *statement);
/* Steps one for its first integer; `fallback` where there is no row. */
int64_t queue_number_of(struct queue *queue, sqlite3_stmt *statement, int64_t fallback);
/* Steps one for the first integer of each row. */
int queue_numbers_tell(struct queue *queue, sqlite3_stmt *statement, queue_number_told *told,
                       void *context);
/* Remembers an error of SQLite for the transaction. */
int queue_fail(struct queue *queue, int code);
/* Before a change. Returns 0, or the error that the transaction has. */
int queue_begin(struct queue *queue);
int queue_meta_put(struct queue *queue, const char *name, int64_t value);
int64_t queue_meta_get(struct queue *queue, const char *name, int64_t fallback);
/* Rows of an endpoint, or of any, have changed: when the first is due is to be asked. */
void queue_rest_changed(struct queue *queue, int64_t endpoint);
void queue_all_changed(struct queue *queue);
/* A dead letter: its row. */
int queue_dead_add(struct queue *queue, int64_t seq, int64_t endpoint, unsigned attempt,
                   const char *why);

/* ---- queue_held.c ---- */

struct queue_line *queue_line_find(const struct queue *queue, int64_t endpoint);
/* NULL: memory is out. */
struct queue_line *queue_line_make(struct queue *queue, int64_t endpoint);

/* Holds an event, if it is one that is held and there is room. */
bool queue_held_add(struct queue *queue, uint64_t seq, struct span body,
                    const struct queue_target *targets, unsigned count, int64_t now_ms);
/* Gives out what is due; returns false when `take` did. */
bool queue_held_due(const struct queue_line *line, int64_t now_ms, queue_row_take *take,
                    void *context);
int64_t queue_held_next(const struct queue *queue, const struct queue_line *line);
/* Return false when it is not held. */
bool queue_held_done(struct queue *queue, int64_t endpoint, uint64_t seq);
bool queue_held_later(struct queue *queue, int64_t endpoint, uint64_t seq, unsigned attempt,
                      int64_t next_ms);
bool queue_held_bury(struct queue *queue, int64_t endpoint, uint64_t seq, unsigned attempt,
                     const char *why);
/* Returns how many. */
unsigned queue_held_bury_all(struct queue *queue, int64_t endpoint, const char *why);

/* In a commit: writes; and when it has succeeded, or failed. */
int queue_held_write(struct queue *queue);
void queue_held_wrote(struct queue *queue);
void queue_held_failed(struct queue *queue);

int queue_held_expand(struct queue *queue);
void queue_held_free(struct queue *queue);
