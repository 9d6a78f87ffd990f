/* queue_held: deliveries of which nobody reads the disk: their events are in memory.
 *
 *   add ─► waits ─► taken ─► done ──────────► nothing, or one row is deleted
 *                      └──► later, dead ────► rows of tables, as others have
 *
 * An event that is held has one row, events.held: the endpoints that are still to have it. It is
 * written by the next commit, if it is not delivered before that; and once more, or deleted, by
 * the commit behind each change. All that a commit wrote counts when it has succeeded
 * (queue_held_wrote); until then memory has it, so nothing is read back when one fails. */
#include "courier/queue_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

enum held_state {
    HELD_WAITS,
    HELD_TAKEN,
    HELD_LATER, /* to be a row of deliveries */
    HELD_DEAD,  /* to be a row of dead */
    HELD_DONE,
    HELD_GONE, /* and all that is on disk */
};

/* For one endpoint. */
struct held {
    struct held_event *event;
    struct queue_line *line;  /* NULL: it has left it */
    struct held *prev, *next; /* of the line, the first first */
    int64_t endpoint, next_ms;
    const char *why;
    unsigned attempt;
    enum held_state state;
};

struct held_event {
    uint64_t seq;
    int64_t born_ms;
    struct held_event *prev, *next; /* of those that the next commit writes */
    size_t body_len;
    unsigned count, left; /* deliveries; those that wait or are taken */
    bool on_disk, dirty;
    bool rested; /* tables have had it besides */
    struct held each[];
    /* and the body */
};

static char *body_of(struct held_event *event)
{
    return (char *)&event->each[event->count];
}

static size_t bytes_of(const struct held_event *event)
{
    return sizeof *event + event->count * sizeof event->each[0] + event->body_len;
}

/* ---- lines ---- */

/* The macros are long, not these functions. NOLINTBEGIN(readability-function-size) */

struct queue_line *queue_line_find(const struct queue *queue, int64_t endpoint)
{
    struct queue_line *line = NULL;
    if (queue->line && queue->line->endpoint == endpoint)
        return queue->line;
    HASH_FIND(hh, queue->lines, &endpoint, sizeof endpoint, line);
    return line;
}

struct queue_line *queue_line_make(struct queue *queue, int64_t endpoint)
{
    struct queue_line *line = queue_line_find(queue, endpoint);
    if (!line) {
        line = calloc(1, sizeof *line);
        if (!line)
            return NULL;
        line->endpoint = endpoint;
        HASH_ADD(hh, queue->lines, endpoint, sizeof line->endpoint, line);
        if (!line->hh.tbl) {
            free(line);
            return NULL;
        }
    }
    queue->line = line;
    return line;
}

/* ---- events ---- */

static void dirty(struct queue *queue, struct held_event *event)
{
    if (!event->dirty)
        DL_APPEND(queue->dirty, event);
    event->dirty = true;
}

static void clean(struct queue *queue, struct held_event *event)
{
    if (event->dirty)
        DL_DELETE(queue->dirty, event);
    event->dirty = false;
}

static void event_free(struct queue *queue, struct held_event *event)
{
    clean(queue, event);
    for (unsigned i = 0; i < event->count; i++) {
        struct held *held = &event->each[i];
        if (!held->line)
            continue;
        held->line->held_count--;
        queue->held_count--;
        DL_DELETE(held->line->first, held);
    }
    queue->held_bytes -= (int64_t)bytes_of(event);
    free(event);
}

/* NOLINTEND(readability-function-size) */

/* ---- what the next commit makes a row ---- */

static int64_t later_of(const struct queue *queue, const struct queue_line *line)
{
    return line->later_commit == queue->commits ? line->later_ms : INT64_MAX;
}

static void later_note(const struct queue *queue, struct queue_line *line, int64_t next_ms)
{
    int64_t before_ms = later_of(queue, line);
    line->later_ms = next_ms < before_ms ? next_ms : before_ms;
    line->later_commit = queue->commits;
}

/* ---- adding ---- */

/* An order is kept by rows. */
static bool may_hold(struct queue *queue, const struct queue_target *targets, unsigned count,
                     size_t bytes)
{
    if (count > QUEUE_HELD_TARGETS_MAX ||
        queue->held_bytes + (int64_t)bytes > queue->config.bytes_max / QUEUE_HELD_SHARE ||
        queue->held_bytes + (int64_t)bytes > QUEUE_HELD_BYTES_MAX)
        return false;
    for (unsigned i = 0; i < count; i++)
        if (targets[i].key != 0 || !queue_line_make(queue, targets[i].endpoint))
            return false;
    return true;
}

/* What is for one that does not answer, or has many before it, is at rest from its beginning: it
 * takes no room from what is on its way. */
static void held_init(struct queue *queue, struct held_event *event, struct held *held,
                      const struct queue_target *target)
{
    struct queue_line *line = queue_line_find(queue, target->endpoint);
    held->event = event;
    held->endpoint = target->endpoint;
    held->next_ms = target->next_ms;
    if (target->rests || line->held_count >= QUEUE_HELD_OF_LINE_MAX) {
        held->state = HELD_LATER;
        event->rested = true;
        later_note(queue, line, held->next_ms);
        return;
    }
    held->line = line;
    line->held_count++;
    DL_APPEND(line->first, held);
    queue->held_count++;
    event->left++;
}

bool queue_held_add(struct queue *queue, uint64_t seq, struct span body,
                    const struct queue_target *targets, unsigned count, int64_t now_ms)
{
    size_t bytes = sizeof(struct held_event) + count * sizeof(struct held) + body.len;
    struct held_event *event = may_hold(queue, targets, count, bytes) ? calloc(1, bytes) : NULL;
    if (!event)
        return false;
    event->seq = seq;
    event->born_ms = now_ms;
    event->body_len = body.len;
    event->count = count;
    memcpy(body_of(event), body.ptr, body.len);
    for (unsigned i = 0; i < count; i++)
        held_init(queue, event, &event->each[i], &targets[i]);
    queue->held_bytes += (int64_t)bytes;
    dirty(queue, event);
    return true;
}

/* ---- deliveries ---- */

static struct held *held_find(const struct queue *queue, int64_t endpoint, uint64_t seq)
{
    const struct queue_line *line = queue_line_find(queue, endpoint);
    struct held *held = NULL;
    if (line)
        DL_FOREACH (line->first, held)
            if (held->event->seq == seq)
                break;
    return held;
}

bool queue_held_due(const struct queue_line *line, int64_t now_ms, queue_row_take *take,
                    void *context)
{
    struct held *held;
    DL_FOREACH (line->first, held) {
        if (held->state != HELD_WAITS || held->next_ms > now_ms)
            continue;
        struct held_event *event = held->event;
        const struct queue_row row = {
            .seq = event->seq,
            .born_ms = event->born_ms,
            .body = span_of(body_of(event), event->body_len),
            .held = true,
        };
        held->state = HELD_TAKEN;
        if (!take(context, &row))
            return false;
    }
    return true;
}

int64_t queue_held_next(const struct queue *queue, const struct queue_line *line)
{
    const int64_t later_ms = later_of(queue, line);
    const struct held *held;
    DL_FOREACH (line->first, held)
        if (held->state == HELD_WAITS)
            return held->next_ms < later_ms ? held->next_ms : later_ms;
    return later_ms;
}

void queue_give_back(struct queue *queue, int64_t endpoint, uint64_t seq)
{
    struct held *held = held_find(queue, endpoint, seq);
    if (held && held->state == HELD_TAKEN)
        held->state = HELD_WAITS;
}

/* It leaves its line, and the next commit writes why. */
static void leave(struct queue *queue, struct held *held, enum held_state state)
{
    struct held_event *event = held->event;
    assert(held->state <= HELD_TAKEN);
    held->state = state;
    held->line->held_count--;
    DL_DELETE(held->line->first, held);
    held->line = NULL;
    queue->held_count--;
    event->left--;
    event->rested |= state != HELD_DONE;
    if (event->left == 0 && !event->rested && !event->on_disk)
        event_free(queue, event);
    else
        dirty(queue, event);
}

bool queue_held_done(struct queue *queue, int64_t endpoint, uint64_t seq)
{
    struct held *held = held_find(queue, endpoint, seq);
    if (held)
        leave(queue, held, HELD_DONE);
    return held != NULL;
}

bool queue_held_later(struct queue *queue, int64_t endpoint, uint64_t seq, unsigned attempt,
                      int64_t next_ms)
{
    struct held *held = held_find(queue, endpoint, seq);
    if (held) {
        held->attempt = attempt;
        held->next_ms = next_ms;
        later_note(queue, held->line, next_ms);
        leave(queue, held, HELD_LATER);
    }
    return held != NULL;
}

bool queue_held_bury(struct queue *queue, int64_t endpoint, uint64_t seq, unsigned attempt,
                     const char *why)
{
    struct held *held = held_find(queue, endpoint, seq);
    if (held) {
        held->attempt = attempt;
        held->why = why;
        leave(queue, held, HELD_DEAD);
    }
    return held != NULL;
}

void queue_rest(struct queue *queue, int64_t endpoint)
{
    const struct queue_line *line = queue_line_find(queue, endpoint);
    struct held *held, *next;
    DL_FOREACH_SAFE((line ? line->first : NULL), held, next)
    if (held->state == HELD_WAITS)
        queue_held_later(queue, endpoint, held->event->seq, 0, held->next_ms);
}

unsigned queue_held_bury_all(struct queue *queue, int64_t endpoint, const char *why)
{
    const struct queue_line *line = queue_line_find(queue, endpoint);
    unsigned count = 0;
    for (; line && line->first; count++) {
        line->first->why = why;
        leave(queue, line->first, HELD_DEAD);
    }
    return count;
}

/* The macros are long, and the analyzer does not see that what is freed has left its lists.
 * NOLINTBEGIN(readability-function-size, clang-analyzer-unix.Malloc) */

static void line_forget(struct queue *queue, struct queue_line *line)
{
    assert(!line->first);
    if (queue->line == line)
        queue->line = NULL;
    HASH_DEL(queue->lines, line);
    free(line);
}

/* NOLINTEND(readability-function-size, clang-analyzer-unix.Malloc) */

void queue_endpoint_forget(struct queue *queue, int64_t endpoint)
{
    struct queue_line *line = queue_line_find(queue, endpoint);
    while (line && line->first)
        leave(queue, line->first, HELD_DONE);
    if (line)
        line_forget(queue, line);
}

/* ---- on disk ---- */

static int row_write(struct queue *queue, struct held *held)
{
    struct held_event *event = held->event;
    const int64_t seq = (int64_t)event->seq;
    int err = 0;
    if (held->state == HELD_LATER) {
        err = queue_run(queue, QUEUE_BIND(queue, QUEUE_DELIVERY_REST, seq, held->endpoint,
                                          held->next_ms, event->born_ms, held->attempt));
        queue->stats.waiting += err == 0;
    } else if (held->state == HELD_DEAD) {
        err = queue_dead_add(queue, seq, held->endpoint, held->attempt, held->why);
    }
    return err;
}

/* Who is still to have it. */
static int event_row_write(struct queue *queue, struct held_event *event)
{
    int64_t left[QUEUE_HELD_TARGETS_MAX];
    unsigned count = 0;
    for (unsigned i = 0; i < event->count; i++)
        if (event->each[i].state <= HELD_TAKEN)
            left[count++] = event->each[i].endpoint;
    assert(count == event->left);
    sqlite3_stmt *statement =
        QUEUE_BIND(queue, event->on_disk ? QUEUE_EVENT_HELD : QUEUE_EVENT_ADD, (int64_t)event->seq);
    if (count > 0)
        sqlite3_bind_blob64(statement, 2, left, count * sizeof left[0], SQLITE_STATIC);
    else
        sqlite3_bind_null(statement, 2);
    if (!event->on_disk) {
        queue_bind_event(statement, event->seq, span_of(body_of(event), event->body_len),
                         event->born_ms);
    }
    int err = queue_run(queue, statement);
    sqlite3_clear_bindings(statement);
    return err;
}

static int event_write(struct queue *queue, struct held_event *event)
{
    const int64_t seq = (int64_t)event->seq;
    if (event->left == 0 && !event->rested)
        return queue_run(queue, QUEUE_BIND(queue, QUEUE_EVENT_DELETE, seq));
    int err = event_row_write(queue, event);
    for (unsigned i = 0; i < event->count && err == 0; i++)
        err = row_write(queue, &event->each[i]);
    if (err == 0 && event->left == 0)
        err = queue_run(queue, QUEUE_BIND(queue, QUEUE_EVENT_FORGET, seq));
    return err;
}

int queue_held_write(struct queue *queue)
{
    struct held_event *event;
    int err = 0;
    DL_FOREACH (queue->dirty, event)
        if (err == 0)
            err = event_write(queue, event);
    return err;
}

void queue_held_wrote(struct queue *queue)
{
    queue->commits++;
    while (queue->dirty) {
        struct held_event *event = queue->dirty;
        for (unsigned i = 0; i < event->count; i++) {
            struct held *held = &event->each[i];
            if (held->state == HELD_LATER)
                queue_rest_changed(queue, held->endpoint);
            if (held->state > HELD_TAKEN)
                held->state = HELD_GONE;
        }
        event->on_disk = true;
        assert(event->dirty);
        clean(queue, event);
        if (event->left == 0)
            event_free(queue, event);
    }
}

/* What never was on disk was not accepted. The rest is tried again. */
void queue_held_failed(struct queue *queue)
{
    struct held_event *event, *next;
    DL_FOREACH_SAFE(queue->dirty, event, next)
    {
        assert(event->dirty);
        if (!event->on_disk)
            event_free(queue, event);
    }
}

/* What was held when another run ended is at rest. */
int queue_held_expand(struct queue *queue)
{
    sqlite3_stmt *next = QUEUE_BIND(queue, QUEUE_HELD_NEXT, 0);
    int err = queue_begin(queue);
    while (err == 0 && sqlite3_step(next) == SQLITE_ROW) {
        const int64_t seq = sqlite3_column_int64(next, 0), born_ms = sqlite3_column_int64(next, 1);
        const char *left = sqlite3_column_blob(next, 2);
        const size_t count = (size_t)sqlite3_column_bytes(next, 2) / sizeof(int64_t);
        for (size_t i = 0; i < count && err == 0; i++) {
            int64_t endpoint;
            memcpy(&endpoint, left + i * sizeof endpoint, sizeof endpoint);
            err = queue_run(queue, QUEUE_BIND(queue, QUEUE_DELIVERY_RETURN, seq, endpoint,
                                              queue->clock_ms, born_ms));
            queue->stats.waiting += sqlite3_changes(queue->db);
        }
        sqlite3_reset(next);
        if (err == 0) {
            sqlite3_bind_null(QUEUE_BIND(queue, QUEUE_EVENT_HELD, seq), 2);
            err = queue_run(queue, queue->statements[QUEUE_EVENT_HELD]);
        }
        if (err == 0)
            err = queue_run(queue, QUEUE_BIND(queue, QUEUE_EVENT_FORGET, seq));
        next = QUEUE_BIND(queue, QUEUE_HELD_NEXT, seq);
    }
    sqlite3_reset(next);
    return err == 0 ? queue->err : err;
}

/* NOLINTBEGIN(clang-analyzer-unix.Malloc) likewise */
void queue_held_free(struct queue *queue)
{
    struct queue_line *line, *next;
    HASH_ITER (hh, queue->lines, line, next) {
        while (line->first)
            event_free(queue, line->first->event);
        line_forget(queue, line);
    }
    while (queue->dirty)
        event_free(queue, queue->dirty);
}
/* NOLINTEND(clang-analyzer-unix.Malloc) */
