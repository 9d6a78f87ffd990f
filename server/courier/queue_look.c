/* queue_look: endpoints in the order of their ids, and what each has. */
#include "courier/queue_internal.h"

int queue_numbers_tell(struct queue *queue, sqlite3_stmt *statement, queue_number_told *told,
                       void *context)
{
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW)
        told(context, sqlite3_column_int64(statement, 0));
    sqlite3_reset(statement);
    return code == SQLITE_DONE ? 0 : queue_fail(queue, code);
}

int queue_endpoints_after(struct queue *queue, struct span after, unsigned limit,
                          queue_number_told *told, void *context)
{
    sqlite3_stmt *statement = queue->statements[QUEUE_ENDPOINTS_AFTER];
    sqlite3_bind_text(statement, 1, after.len > 0 ? after.ptr : "", (int)after.len, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, limit);
    int err = queue_numbers_tell(queue, statement, told, context);
    sqlite3_clear_bindings(statement);
    return err;
}

void queue_endpoint_count(struct queue *queue, int64_t number, unsigned *ret_waiting,
                          unsigned *ret_dead)
{
    const struct queue_line *line = queue_line_find(queue, number);
    *ret_waiting = (line ? line->held_count : 0) +
                   (unsigned)queue_number_of(
                       queue, QUEUE_BIND(queue, QUEUE_WAITING_OF, number, QUEUE_COUNTED_MAX), 0);
    if (*ret_waiting > QUEUE_COUNTED_MAX)
        *ret_waiting = QUEUE_COUNTED_MAX;
    *ret_dead = (unsigned)queue_number_of(
        queue, QUEUE_BIND(queue, QUEUE_DEAD_OF, number, QUEUE_COUNTED_MAX), 0);
}
