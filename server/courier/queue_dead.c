/* queue_dead: what was given up: listed, given another try, thrown away. */
#include "courier/queue_internal.h"

int queue_dead_list(struct queue *queue, const struct queue_which *which, int64_t now_ms,
                    queue_dead_told *told, void *context)
{
    sqlite3_stmt *statement = QUEUE_BIND(queue, QUEUE_DEAD_LIST, which->endpoint,
                                         (int64_t)which->seq, (int64_t)which->after, which->limit);
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

int queue_dead_replay(struct queue *queue, const struct queue_which *which, int64_t now_ms)
{
    int err = queue_begin(queue);
    queue_all_changed(queue);
    if (err == 0)
        err = queue_run(queue, QUEUE_BIND(queue, QUEUE_DEAD_REPLAY, which->endpoint,
                                          (int64_t)which->seq, now_ms));
    if (err < 0)
        return err;
    queue->stats.waiting += sqlite3_changes(queue->db);
    err =
        queue_run(queue, QUEUE_BIND(queue, QUEUE_DEAD_PURGE, which->endpoint, (int64_t)which->seq));
    int count = sqlite3_changes(queue->db);
    queue->stats.dead -= count;
    return err < 0 ? err : count;
}

int queue_dead_purge(struct queue *queue, const struct queue_which *which)
{
    int err = queue_begin(queue);
    if (err == 0)
        err = queue_run(queue,
                        QUEUE_BIND(queue, QUEUE_DEAD_PURGE, which->endpoint, (int64_t)which->seq));
    if (err < 0)
        return err;
    int count = sqlite3_changes(queue->db);
    queue->stats.dead -= count;
    err = queue_run(queue, queue->statements[QUEUE_ORPHANS]);
    return err < 0 ? err : count;
}
