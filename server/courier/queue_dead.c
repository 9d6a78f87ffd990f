/* queue_dead: what was given up: listed, given another try, thrown away. */
#include "courier/queue_internal.h"

/* The last event of a span: one, or all. */
static int64_t last_of(const struct queue_which *which)
{
    return which->seq > 0 ? (int64_t)which->seq : INT64_MAX;
}

int queue_dead_list(struct queue *queue, const struct queue_which *which, int64_t now_ms,
                    queue_dead_told *told, void *context)
{
    bool of_one = which->seq > 0;
    sqlite3_stmt *statement =
        QUEUE_BIND(queue, which->endpoint ? QUEUE_DEAD_LIST_OF : QUEUE_DEAD_LIST, which->endpoint,
                   (int64_t)(of_one ? which->seq : which->after), last_of(which),
                   of_one ? 0 : which->after_endpoint, which->limit);
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        const struct queue_dead dead = {
            .seq = (uint64_t)sqlite3_column_int64(statement, 0),
            .endpoint = sqlite3_column_int64(statement, 1),
            .age_ms = now_ms - sqlite3_column_int64(statement, 2),
            .attempt = (unsigned)sqlite3_column_int(statement, 3),
            .why = span_of((const char *)sqlite3_column_text(statement, 4),
                           (size_t)sqlite3_column_bytes(statement, 4)),
            .body = span_of(sqlite3_column_blob(statement, 5),
                            (size_t)sqlite3_column_bytes(statement, 5)),
        };
        told(context, &dead);
    }
    sqlite3_reset(statement);
    return code == SQLITE_DONE ? 0 : queue_fail(queue, code);
}

int queue_dead_endpoints(struct queue *queue, const struct queue_which *which,
                         queue_number_told *told, void *context)
{
    return queue_numbers_tell(queue,
                              QUEUE_BIND(queue, QUEUE_DEAD_ENDPOINTS, which->endpoint,
                                         (int64_t)which->seq, last_of(which)),
                              told, context);
}

static int throw_away(struct queue *queue, enum queue_statement what,
                      const struct queue_which *which)
{
    return queue_run(queue,
                     QUEUE_BIND(queue, what, which->endpoint, (int64_t)which->seq, last_of(which)));
}

int queue_dead_replay(struct queue *queue, const struct queue_which *which, int64_t now_ms)
{
    int err = queue_begin(queue);
    queue_all_changed(queue);
    if (err == 0)
        err = queue_run(queue, QUEUE_BIND(queue, QUEUE_DEAD_REPLAY, which->endpoint,
                                          (int64_t)which->seq, last_of(which), now_ms));
    if (err < 0)
        return err;
    queue->stats.waiting += sqlite3_changes(queue->db);
    err = throw_away(queue, QUEUE_DEAD_PURGE, which);
    int count = sqlite3_changes(queue->db);
    queue->stats.dead -= count;
    return err < 0 ? err : count;
}

int queue_dead_purge(struct queue *queue, const struct queue_which *which)
{
    int err = queue_begin(queue);
    if (err == 0)
        err = throw_away(queue, QUEUE_DEAD_EVENTS, which);
    if (err == 0)
        err = throw_away(queue, QUEUE_DEAD_PURGE, which);
    if (err < 0)
        return err;
    int count = sqlite3_changes(queue->db);
    queue->stats.dead -= count;
    return count;
}
