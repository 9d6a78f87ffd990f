/* queue: statements, transactions, events and deliveries. */
#include "courier/queue_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROW_BYTES = 128,  /* of what a delivery takes with its indexes */
    CUT_EVENTS = 256, /* of the oldest that go at a time */
    CUTS_MAX = 64,    /* for one event */
    HEX_TAG = 8,
    HEX_SEQ = 12,
};

/* When one is due that waits for another of its key. */
#define BEHIND_MS INT64_MAX

/* ---- statements ---- */

int queue_prepare(struct queue *queue)
{
    static const char *const texts[] = {
#define TEXT(NAME, sql) sql,
        QUEUE_STATEMENTS(TEXT)
#undef TEXT
    };
    for (unsigned i = 0; i < QUEUE_STATEMENT_COUNT; i++)
        if (sqlite3_prepare_v3(queue->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &queue->statements[i], NULL) != SQLITE_OK)
            return -EIO;
    queue->changes = queue->commits = 1;
    queue->stats.waiting = queue_number_of(queue, queue->statements[QUEUE_COUNT_DELIVERIES], 0);
    queue->stats.dead = queue_number_of(queue, queue->statements[QUEUE_COUNT_DEAD], 0);
    return queue->err;
}

sqlite3_stmt *queue_bind(struct queue *queue, enum queue_statement which, unsigned count,
                         const int64_t *values)
{
    sqlite3_stmt *statement = queue->statements[which];
    for (unsigned i = 0; i < count; i++)
        sqlite3_bind_int64(statement, (int)i + 1, values[i]);
    return statement;
}

int queue_fail(struct queue *queue, int code)
{
    int err = -EIO;
    if ((code & 0xff) == SQLITE_FULL)
        err = -ENOSPC;
    else if ((code & 0xff) == SQLITE_NOMEM)
        err = -ENOMEM;
    if (queue->err == 0)
        queue->err = err;
    return err;
}

int queue_run(struct queue *queue, sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);
    sqlite3_reset(statement);
    return code == SQLITE_DONE || code == SQLITE_ROW ? 0 : queue_fail(queue, code);
}

int64_t queue_number_of(struct queue *queue, sqlite3_stmt *statement, int64_t fallback)
{
    int code = sqlite3_step(statement);
    int64_t value = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : fallback;
    sqlite3_reset(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        queue_fail(queue, code);
    return value;
}

int queue_meta_put(struct queue *queue, const char *name, int64_t value)
{
    sqlite3_stmt *statement = queue->statements[QUEUE_META_PUT];
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, value);
    return queue_run(queue, statement);
}

int64_t queue_meta_get(struct queue *queue, const char *name, int64_t fallback)
{
    sqlite3_stmt *statement = queue->statements[QUEUE_META_GET];
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    return queue_number_of(queue, statement, fallback);
}

/* ---- transactions ---- */

static void size_look(struct queue *queue)
{
    int64_t pages = queue_number_of(queue, queue->statements[QUEUE_PAGES], 0);
    int64_t unused = queue_number_of(queue, queue->statements[QUEUE_FREE_PAGES], 0);
    queue->stats.bytes = (pages - unused) * queue->page_bytes;
    queue->added = 0;
}

int queue_begin(struct queue *queue)
{
    if (queue->begun)
        return queue->err;
    queue->err = 0;
    queue->before = queue->stats;
    if (queue_run(queue, queue->statements[QUEUE_BEGIN]) < 0)
        return queue->err;
    queue->begun = true;
    size_look(queue);
    return queue->err;
}

static int held_begin(struct queue *queue)
{
    int err = queue->dirty ? queue_begin(queue) : queue->err;
    return err == 0 && queue->dirty ? queue_held_write(queue) : err;
}

int queue_commit(struct queue *queue)
{
    int err = held_begin(queue);
    if (queue->begun) {
        if (err == 0)
            queue_meta_put(queue, "clock", queue->clock_ms);
        if (queue->err == 0)
            queue_run(queue, queue->statements[QUEUE_COMMIT]);
        err = queue->err;
        if (err < 0) {
            queue_run(queue, queue->statements[QUEUE_ROLLBACK]);
            struct queue_stats *stats = &queue->stats, *before = &queue->before;
            stats->waiting = before->waiting;
            stats->dead = before->dead;
            queue_all_changed(queue);
        }
    }
    if (err == 0)
        queue_held_wrote(queue);
    else
        queue_held_failed(queue);
    queue->begun = false;
    queue->err = 0;
    return err;
}

static int64_t used(const struct queue *queue)
{
    return queue->stats.bytes + queue->added + queue->held_bytes;
}

bool queue_is_changed(const struct queue *queue)
{
    return queue->begun || queue->dirty;
}

void queue_stats_read(const struct queue *queue, struct queue_stats *ret)
{
    *ret = queue->stats;
    ret->bytes = used(queue);
    ret->waiting += queue->held_count;
}

/* ---- room ---- */

bool queue_has_room(struct queue *queue)
{
    const struct queue_config *config = &queue->config;
    int64_t most = config->bytes_max - config->bytes_max / QUEUE_SPARE;
    if (used(queue) > most && !queue_is_changed(queue))
        size_look(queue); /* what the last commit gave back */
    return config->drop_oldest || used(queue) <= most;
}

void queue_try(struct queue *queue)
{
    queue_begin(queue);
}

/* The oldest events go, whoever has not had them. Returns false when there are none. */
static bool cut(struct queue *queue)
{
    int64_t seq = queue_number_of(queue, QUEUE_BIND(queue, QUEUE_OLDEST, CUT_EVENTS), -1);
    if (seq < 0)
        seq = INT64_MAX;
    queue_all_changed(queue);
    queue_run(queue, QUEUE_BIND(queue, QUEUE_CUT_DELIVERIES, seq));
    int gone = sqlite3_changes(queue->db);
    queue->stats.dropped += (uint64_t)gone;
    queue->stats.waiting -= gone;
    queue_run(queue, QUEUE_BIND(queue, QUEUE_CUT_DEAD, seq));
    gone = sqlite3_changes(queue->db);
    queue->stats.dead_purged += (uint64_t)gone;
    queue->stats.dead -= gone;
    queue_run(queue, QUEUE_BIND(queue, QUEUE_CUT_EVENTS, seq));
    gone = sqlite3_changes(queue->db);
    size_look(queue);
    return gone > 0 && queue->err == 0;
}

/* Returns 0 or -ENOSPC, which is no error of the transaction. */
static int room_make(struct queue *queue, int64_t bytes)
{
    if (used(queue) + bytes > queue->config.bytes_max)
        size_look(queue); /* what is done since has left room */
    for (int i = 0; queue->config.drop_oldest && i < CUTS_MAX; i++)
        if (used(queue) + bytes <= queue->config.bytes_max || !cut(queue))
            break;
    if (queue->err < 0)
        return queue->err;
    return used(queue) + bytes <= queue->config.bytes_max ? 0 : -ENOSPC;
}

/* ---- endpoints ---- */

int queue_endpoints(struct queue *queue, queue_endpoint_told *told, void *context)
{
    sqlite3_stmt *statement = queue->statements[QUEUE_ENDPOINTS];
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct span text = span_of((const char *)sqlite3_column_text(statement, 1),
                                   (size_t)sqlite3_column_bytes(statement, 1));
        told(context, sqlite3_column_int64(statement, 0), text,
             sqlite3_column_int(statement, 2) != 0, sqlite3_column_int(statement, 3));
    }
    sqlite3_reset(statement);
    return code == SQLITE_DONE ? 0 : queue_fail(queue, code);
}

int queue_endpoint_put(struct queue *queue, const char *id, struct span text, bool from_file,
                       int state, int64_t *ret_number)
{
    int err = queue_begin(queue);
    if (err == 0)
        err = room_make(queue, (int64_t)text.len + ROW_BYTES);
    if (err < 0)
        return err;
    sqlite3_stmt *statement = queue->statements[QUEUE_ENDPOINT_PUT];
    sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, text.ptr, (int)text.len, SQLITE_STATIC);
    sqlite3_bind_int(statement, 3, from_file);
    sqlite3_bind_int(statement, 4, state);
    int64_t number = 0;
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW)
        number = sqlite3_column_int64(statement, 0);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    if (code != SQLITE_DONE)
        return queue_fail(queue, code);
    queue->added += (int64_t)text.len + ROW_BYTES;
    *ret_number = number;
    return 0;
}

int queue_endpoint_remove(struct queue *queue, int64_t number)
{
    int err = queue_begin(queue);
    queue_rest_changed(queue, number);
    if (err == 0)
        err = queue_run(queue, QUEUE_BIND(queue, QUEUE_ENDPOINT_EVENTS, number));
    if (err == 0)
        err = queue_run(queue, QUEUE_BIND(queue, QUEUE_ENDPOINT_DELIVERIES, number));
    if (err == 0) {
        queue->stats.waiting -= sqlite3_changes(queue->db);
        err = queue_run(queue, QUEUE_BIND(queue, QUEUE_ENDPOINT_DEAD, number));
    }
    if (err == 0)
        queue->stats.dead -= sqlite3_changes(queue->db);
    return err == 0 ? queue_run(queue, QUEUE_BIND(queue, QUEUE_ENDPOINT_REMOVE, number)) : err;
}

/* ---- when rows are due ---- */

void queue_rest_changed(struct queue *queue, int64_t endpoint)
{
    struct queue_line *line = queue_line_find(queue, endpoint);
    if (line)
        line->rest_changes = 0;
}

void queue_all_changed(struct queue *queue)
{
    queue->changes++;
}

static int64_t rest_next(struct queue *queue, struct queue_line *line, unsigned beyond)
{
    if (line->rest_changes == queue->changes && line->rest_beyond == beyond)
        return line->rest_ms;
    line->rest_ms =
        queue_number_of(queue, QUEUE_BIND(queue, QUEUE_NEXT, line->endpoint, beyond), INT64_MAX);
    line->rest_changes = queue->changes;
    line->rest_beyond = beyond;
    return line->rest_ms;
}

/* ---- events ---- */

size_t queue_id_write(const struct queue *queue, uint64_t seq, char ret[QUEUE_ID_MAX])
{
    int len = snprintf(ret, QUEUE_ID_MAX, "evt_%08x%012llx", (unsigned)queue->tag,
                       (unsigned long long)seq);
    assert(len > 0 && len < QUEUE_ID_MAX);
    return (size_t)len;
}

bool queue_id_read(const struct queue *queue, struct span id, uint64_t *ret)
{
    char own[QUEUE_ID_MAX], text[QUEUE_ID_MAX] = "";
    if (id.len < strlen("evt_") + HEX_TAG + HEX_SEQ || id.len >= sizeof text)
        return false;
    memcpy(text, id.ptr, id.len);
    *ret = strtoull(text + strlen("evt_") + HEX_TAG, NULL, 16);
    return span_equal(span_of(own, queue_id_write(queue, *ret, own)), id);
}

static int target_add(struct queue *queue, uint64_t seq, const struct queue_target *target,
                      int64_t now_ms)
{
    int64_t next_ms = target->next_ms;
    if (target->key != 0 &&
        queue_number_of(queue, QUEUE_BIND(queue, QUEUE_KEY_IS_THERE, target->endpoint, target->key),
                        0))
        next_ms = BEHIND_MS;
    sqlite3_stmt *statement = QUEUE_BIND(queue, QUEUE_DELIVERY_ADD, (int64_t)seq, target->endpoint,
                                         next_ms, now_ms, target->key);
    if (target->key == 0)
        sqlite3_bind_null(statement, 5);
    queue->stats.waiting++;
    queue_rest_changed(queue, target->endpoint);
    return queue_run(queue, statement);
}

/* Of the body, and whose it is. */
static int64_t sum_of(uint64_t seq, struct span body)
{
    return (int64_t)XXH3_64bits_withSeed(body.ptr, body.len, seq);
}

void queue_bind_event(sqlite3_stmt *statement, uint64_t seq, struct span body, int64_t born_ms)
{
    sqlite3_bind_blob64(statement, 3, body.ptr, body.len, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 4, born_ms);
    sqlite3_bind_int64(statement, 5, sum_of(seq, body));
}

int queue_event_add(struct queue *queue, uint64_t seq, struct span body,
                    const struct queue_target *targets, unsigned count, int64_t now_ms)
{
    int64_t bytes = (int64_t)body.len + (int64_t)ROW_BYTES * (count + 1);
    if (used(queue) + bytes <= queue->config.bytes_max &&
        queue_held_add(queue, seq, body, targets, count, now_ms))
        return 0;
    int err = queue_begin(queue);
    if (err == 0)
        err = room_make(queue, bytes);
    if (err < 0)
        return err;
    sqlite3_stmt *statement = QUEUE_BIND(queue, QUEUE_EVENT_ADD, (int64_t)seq);
    sqlite3_bind_null(statement, 2);
    queue_bind_event(statement, seq, body, now_ms);
    err = queue_run(queue, statement);
    sqlite3_clear_bindings(statement);
    for (unsigned i = 0; i < count && err == 0; i++)
        err = target_add(queue, seq, &targets[i], now_ms);
    queue->added += bytes;
    return err;
}

/* ---- deliveries ---- */

static int rest_due(struct queue *queue, int64_t endpoint, int64_t now_ms, unsigned limit,
                    queue_row_take *take, void *context, bool *more)
{
    sqlite3_stmt *statement = QUEUE_BIND(queue, QUEUE_DUE, endpoint, now_ms, limit);
    while (*more && sqlite3_step(statement) == SQLITE_ROW) {
        struct queue_row row = {
            .seq = (uint64_t)sqlite3_column_int64(statement, 0),
            .born_ms = sqlite3_column_int64(statement, 1),
            .key = sqlite3_column_int64(statement, 2),
            .attempt = (unsigned)sqlite3_column_int(statement, 3),
            .body = span_of(sqlite3_column_blob(statement, 4),
                            (size_t)sqlite3_column_bytes(statement, 4)),
        };
        row.damaged = sqlite3_column_type(statement, 5) != SQLITE_NULL &&
                      sqlite3_column_int64(statement, 5) != sum_of(row.seq, row.body);
        *more = take(context, &row);
    }
    int code = sqlite3_reset(statement);
    return code == SQLITE_OK ? 0 : queue_fail(queue, code);
}

int queue_due(struct queue *queue, int64_t endpoint, const struct queue_when *when,
              queue_row_take *take, void *context)
{
    struct queue_line *line = queue_line_make(queue, endpoint);
    bool more = true;
    int err = 0;
    if (!line)
        return -ENOMEM;
    if (rest_next(queue, line, when->under_way) <= when->now_ms)
        err = rest_due(queue, endpoint, when->now_ms, when->under_way + when->limit, take, context,
                       &more);
    if (more && err == 0)
        queue_held_due(line, when->now_ms, take, context);
    return err;
}

int64_t queue_next(struct queue *queue, int64_t endpoint, unsigned under_way)
{
    struct queue_line *line = queue_line_make(queue, endpoint);
    if (!line)
        return queue->clock_ms;
    int64_t rest_ms = rest_next(queue, line, under_way), held_ms = queue_held_next(queue, line);
    return rest_ms < held_ms ? rest_ms : held_ms;
}

/* The one behind it of the same key has its turn. */
static int key_go_on(struct queue *queue, int64_t endpoint, int64_t key, int64_t now_ms)
{
    if (key == 0)
        return 0;
    sqlite3_stmt *statement = QUEUE_BIND(queue, QUEUE_KEY_FIRST, endpoint, key);
    int code = sqlite3_step(statement);
    int64_t seq = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    int64_t next = code == SQLITE_ROW ? sqlite3_column_int64(statement, 1) : 0;
    sqlite3_reset(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return queue_fail(queue, code);
    if (seq == 0 || next != BEHIND_MS)
        return 0;
    return queue_run(queue, QUEUE_BIND(queue, QUEUE_DELIVERY_NEXT, seq, endpoint, now_ms));
}

static int leave(struct queue *queue, int64_t endpoint, uint64_t seq, int64_t key, int64_t now_ms)
{
    int err = queue_run(queue, QUEUE_BIND(queue, QUEUE_DELIVERY_DONE, (int64_t)seq, endpoint));
    if (err == 0)
        queue->stats.waiting -= sqlite3_changes(queue->db);
    queue_rest_changed(queue, endpoint);
    return err == 0 ? key_go_on(queue, endpoint, key, now_ms) : err;
}

int queue_done(struct queue *queue, int64_t endpoint, uint64_t seq, int64_t key, int64_t now_ms)
{
    if (queue_held_done(queue, endpoint, seq))
        return 0;
    int err = queue_begin(queue);
    if (err == 0)
        err = leave(queue, endpoint, seq, key, now_ms);
    if (err == 0)
        err = queue_run(queue, QUEUE_BIND(queue, QUEUE_EVENT_FORGET, (int64_t)seq));
    return err;
}

int queue_later(struct queue *queue, int64_t endpoint, uint64_t seq, unsigned attempt,
                int64_t next_ms)
{
    if (queue_held_later(queue, endpoint, seq, attempt, next_ms))
        return 0;
    int err = queue_begin(queue);
    if (err < 0)
        return err;
    queue_rest_changed(queue, endpoint);
    return queue_run(
        queue, QUEUE_BIND(queue, QUEUE_DELIVERY_LATER, (int64_t)seq, endpoint, next_ms, attempt));
}

/* ---- giving up ---- */

static int dead_trim(struct queue *queue)
{
    while (queue->err == 0 && queue->stats.dead > queue->config.dead_max) {
        sqlite3_stmt *statement = queue->statements[QUEUE_DEAD_OLDEST];
        if (sqlite3_step(statement) != SQLITE_ROW) {
            sqlite3_reset(statement);
            break;
        }
        int64_t seq = sqlite3_column_int64(statement, 0);
        int64_t endpoint = sqlite3_column_int64(statement, 1);
        sqlite3_reset(statement);
        queue_run(queue, QUEUE_BIND(queue, QUEUE_DEAD_REMOVE, seq, endpoint));
        queue_run(queue, QUEUE_BIND(queue, QUEUE_EVENT_FORGET, seq));
        queue->stats.dead--;
        queue->stats.dead_purged++;
    }
    return queue->err;
}

int queue_dead_add(struct queue *queue, int64_t seq, int64_t endpoint, unsigned attempt,
                   const char *why)
{
    sqlite3_stmt *statement =
        QUEUE_BIND(queue, QUEUE_BURY, seq, endpoint, queue->clock_ms, attempt);
    sqlite3_bind_text(statement, 5, why, -1, SQLITE_STATIC);
    int err = queue_run(queue, statement);
    queue->stats.dead++;
    return err == 0 ? dead_trim(queue) : err;
}

int queue_bury(struct queue *queue, int64_t endpoint, uint64_t seq, int64_t key, unsigned attempt,
               const char *why, int64_t now_ms)
{
    if (queue_held_bury(queue, endpoint, seq, attempt, why))
        return 0;
    int err = queue_begin(queue);
    int64_t waiting = queue->stats.waiting;
    if (err == 0)
        err = leave(queue, endpoint, seq, key, now_ms);
    if (err < 0 || waiting == queue->stats.waiting)
        return err; /* it has been dropped meanwhile */
    return queue_dead_add(queue, (int64_t)seq, endpoint, attempt, why);
}

int queue_bury_all(struct queue *queue, int64_t endpoint, const char *why, int64_t now_ms)
{
    int err = queue_begin(queue);
    if (err < 0)
        return err;
    sqlite3_stmt *statement = QUEUE_BIND(queue, QUEUE_BURY_ALL, endpoint, now_ms);
    sqlite3_bind_text(statement, 3, why, -1, SQLITE_STATIC);
    err = queue_run(queue, statement);
    int count = sqlite3_changes(queue->db);
    queue->stats.dead += count;
    if (err == 0)
        err = queue_run(queue, QUEUE_BIND(queue, QUEUE_ENDPOINT_DELIVERIES, endpoint));
    queue->stats.waiting -= sqlite3_changes(queue->db);
    queue_rest_changed(queue, endpoint);
    if (err == 0)
        err = dead_trim(queue);
    return err < 0 ? err : count + (int)queue_held_bury_all(queue, endpoint, why);
}
