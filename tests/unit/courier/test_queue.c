/* The queue on disk: numbers, order by key, transactions, dead letters, what a new run finds. */
#include "courier/queue.h"

#include <errno.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#define S(seconds) (INT64_C(1000000000) * (seconds))

static char folder[] = "/tmp/queue-XXXXXX", path[64];

static struct queue *open_queue(int64_t dead_max)
{
    const struct queue_config config = {
        .path = path, .bytes_max = 1 << 20, .dead_max = dead_max, .drop_oldest = false};
    struct queue *queue;
    char why[256] = "";
    if (queue_open(&queue, &config, why, sizeof why) != 0)
        fail_msg("%s", why);
    int64_t number = 0;
    assert_int_equal(queue_endpoint_put(queue, "one", SPAN("{}"), false, 0, &number), 0);
    assert_int_equal(number, 1);
    assert_int_equal(queue_commit(queue), 0);
    return queue;
}

static void remove_files(void)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    char name[80];
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        unlink(name);
    }
}

static int begin(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/queue", folder);
    remove_files();
    return 0;
}

static uint64_t add(struct queue *queue, int64_t endpoint, int64_t key, int64_t now_ms)
{
    const struct queue_target target = {endpoint, now_ms, key, false};
    uint64_t seq = queue_number(queue);
    assert_int_equal(queue_event_add(queue, seq, SPAN("{}"), &target, 1, now_ms), 0);
    return seq;
}

struct seen {
    uint64_t seqs[16];
    unsigned count;
};

static bool take(void *context, const struct queue_row *row)
{
    struct seen *seen = context;
    assert_int_equal(row->body.len, 2);
    seen->seqs[seen->count++] = row->seq;
    return seen->count < 16;
}

static struct seen due(struct queue *queue, int64_t endpoint, int64_t now_ms)
{
    struct seen seen = {.count = 0};
    assert_int_equal(queue_due(queue, endpoint, &(struct queue_when){now_ms, 0, 16}, take, &seen),
                     0);
    return seen;
}

static void test_a_new_run_goes_on(void **state)
{
    (void)state;
    struct queue *queue = open_queue(10);
    int64_t now_ms = queue_clock(queue, S(1));
    char id[QUEUE_ID_MAX];
    uint64_t kept = add(queue, 1, 0, now_ms), read;
    assert_int_equal(queue_commit(queue), 0);
    uint64_t lost = add(queue, 1, 0, now_ms);
    size_t len = queue_id_write(queue, kept, id);
    assert_true(queue_id_read(queue, span_of(id, len), &read) && read == kept);
    queue_close(queue);
    queue = open_queue(10);
    int64_t later_ms = queue_clock(queue, S(1));
    assert_true(later_ms >= now_ms);
    struct seen seen = due(queue, 1, later_ms);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.seqs[0], kept);
    assert_true(queue_number(queue) > lost);
    assert_true(queue_id_read(queue, span_of(id, len), &read) && read == kept);
    assert_false(queue_id_read(queue, SPAN("evt_0123456789abcdef01234567"), &read));
    queue_close(queue);
}

static void test_order_by_key(void **state)
{
    (void)state;
    struct queue *queue = open_queue(10);
    uint64_t first = add(queue, 1, 7, 1000), second = add(queue, 1, 7, 1000);
    uint64_t other = add(queue, 1, 8, 1000), third = add(queue, 1, 7, 1000);
    struct seen seen = due(queue, 1, 1000);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.seqs[0], first);
    assert_int_equal(seen.seqs[1], other);
    assert_int_equal(queue_later(queue, 1, first, 1, 5000), 0);
    assert_int_equal(due(queue, 1, 4000).count, 1);
    assert_int_equal(queue_next(queue, 1, 1), 5000);
    assert_int_equal(queue_done(queue, 1, first, 7, 5000), 0);
    assert_int_equal(due(queue, 1, 5000).seqs[1], second);
    assert_int_equal(queue_bury(queue, 1, second, 7, 3, "status", 5000), 0);
    assert_int_equal(due(queue, 1, 5000).seqs[1], third);
    assert_int_equal(queue_commit(queue), 0);
    queue_close(queue);
}

static void dead_told(void *context, const struct queue_dead *dead)
{
    struct seen *seen = context;
    seen->seqs[seen->count++] = dead->seq;
}

static void test_dead_letters_are_bounded(void **state)
{
    (void)state;
    struct queue *queue = open_queue(3);
    struct seen seen = {.count = 0};
    const struct queue_which all = {.limit = 10};
    struct queue_stats stats;
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(queue_bury(queue, 1, add(queue, 1, 0, 0), 0, 1, "status", 0), 0);
    assert_int_equal(queue_commit(queue), 0);
    queue_stats_read(queue, &stats);
    assert_int_equal(stats.dead, 3);
    assert_int_equal(stats.dead_purged, 2);
    assert_int_equal(queue_dead_list(queue, &all, 0, dead_told, &seen), 0);
    assert_int_equal(seen.count, 3);
    assert_int_equal(queue_dead_replay(queue, &all, 10), 3);
    assert_int_equal(due(queue, 1, 10).count, 3);
    assert_int_equal(queue_bury_all(queue, 1, "gone", 10), 3);
    assert_int_equal(queue_dead_purge(queue, &all), 3);
    queue_stats_read(queue, &stats);
    assert_int_equal(stats.dead, 0);
    assert_int_equal(stats.waiting, 0);
    assert_int_equal(queue_commit(queue), 0);
    queue_close(queue);
}

static void test_a_full_queue_refuses(void **state)
{
    (void)state;
    static char body[100000];
    struct queue *queue = open_queue(3);
    const struct queue_target target = {1, 0, 0, false};
    int err = 0;
    unsigned count = 0;
    for (; err == 0 && count < 20; count++)
        err =
            queue_event_add(queue, queue_number(queue), span_of(body, sizeof body), &target, 1, 0);
    assert_int_equal(err, -ENOSPC);
    assert_in_range(count, 5, 12);
    assert_int_equal(queue_commit(queue), 0);
    queue_close(queue);
}

static int64_t in_file(const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return value;
}

static void change_file(const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static bool take_damaged(void *context, const struct queue_row *row)
{
    uint64_t *damaged = context;
    if (row->damaged)
        *damaged = row->seq;
    return true;
}

static uint64_t damaged_of(struct queue *queue, int64_t now_ms)
{
    uint64_t seq = 0;
    assert_int_equal(queue_due(queue, 1, &(struct queue_when){now_ms, 0, 16}, take_damaged, &seq),
                     0);
    return seq;
}

/* Whether it was held in memory, or a row from the start: both are read from rows by a new run. */
static void test_a_body_that_the_disk_changed(void **state)
{
    (void)state;
    for (int64_t key = 0; key < 2; key++) {
        begin(NULL);
        struct queue *queue = open_queue(10);
        int64_t now_ms = queue_clock(queue, S(1));
        add(queue, 1, key, now_ms);
        uint64_t changed = add(queue, 1, 0, now_ms);
        add(queue, 1, 2 * key, now_ms);
        assert_int_equal(queue_commit(queue), 0);
        queue_close(queue);
        char sql[96];
        snprintf(sql, sizeof sql, "UPDATE events SET body = x'7b7c' WHERE seq = %d", (int)changed);
        change_file(sql);
        queue = open_queue(10);
        assert_int_equal(damaged_of(queue, queue_clock(queue, S(1))), changed);
        queue_close(queue);
    }
}

/* A file as each older version left it, with an event that waits. */
static void test_files_of_older_versions(void **state)
{
    static const char *const older[] = {
        "ALTER TABLE events DROP COLUMN sum; PRAGMA user_version=2;",
        "ALTER TABLE events DROP COLUMN sum; ALTER TABLE events DROP COLUMN held;"
        "ALTER TABLE events DROP COLUMN born; PRAGMA user_version=1;",
    };
    (void)state;
    for (unsigned i = 0; i < sizeof older / sizeof older[0]; i++) {
        begin(NULL);
        struct queue *queue = open_queue(10);
        int64_t now_ms = queue_clock(queue, S(1));
        uint64_t waits = add(queue, 1, 7, now_ms);
        assert_int_equal(queue_commit(queue), 0);
        queue_close(queue);
        change_file(older[i]);
        queue = open_queue(10);
        uint64_t fresh = add(queue, 1, 0, now_ms);
        assert_int_equal(queue_commit(queue), 0);
        struct seen seen = due(queue, 1, queue_clock(queue, S(1)));
        assert_int_equal(seen.count, 2);
        assert_int_equal(seen.seqs[0], waits);
        assert_int_equal(seen.seqs[1], fresh);
        assert_int_equal(damaged_of(queue, queue_clock(queue, S(1))), 0);
        queue_close(queue);
        assert_int_equal(in_file("PRAGMA user_version"), 3);
    }
}

static int64_t waiting(const struct queue *queue)
{
    struct queue_stats stats;
    queue_stats_read(queue, &stats);
    return stats.waiting;
}

static void test_held(void **state)
{
    (void)state;
    struct queue *queue = open_queue(10);
    int64_t now_ms = queue_clock(queue, S(1));
    uint64_t quick = add(queue, 1, 0, now_ms), slow = add(queue, 1, 0, now_ms);
    uint64_t fails = add(queue, 1, 0, now_ms), dies = add(queue, 1, 0, now_ms);
    assert_int_equal(waiting(queue), 4);
    struct seen seen = due(queue, 1, now_ms);
    assert_int_equal(seen.count, 4);
    assert_int_equal(seen.seqs[0], quick);
    assert_int_equal(due(queue, 1, now_ms).count, 0); /* each is given out once */
    assert_int_equal(queue_next(queue, 1, 0), INT64_MAX);
    assert_int_equal(queue_done(queue, 1, quick, 0, now_ms), 0);
    assert_int_equal(queue_commit(queue), 0);
    assert_false(queue_is_changed(queue));
    assert_int_equal(queue_later(queue, 1, fails, 1, now_ms + 60000), 0);
    assert_int_equal(queue_next(queue, 1, 0), now_ms + 60000);
    assert_int_equal(queue_bury(queue, 1, dies, 0, 2, "status", now_ms), 0);
    queue_give_back(queue, 1, slow);
    assert_int_equal(due(queue, 1, now_ms).seqs[0], slow);
    assert_int_equal(queue_commit(queue), 0);
    assert_int_equal(waiting(queue), 2);
    assert_int_equal(queue_next(queue, 1, 0), now_ms + 60000);
    assert_int_equal(due(queue, 1, now_ms + 60000).seqs[0], fails);
    queue_close(queue); /* with one under way */
    assert_int_equal(in_file("SELECT count(*) FROM events"), 3);
    assert_int_equal(in_file("SELECT count(*) FROM events WHERE held IS NOT NULL"), 1);
    queue = open_queue(10);
    assert_int_equal(waiting(queue), 2);
    now_ms = queue_clock(queue, S(1));
    assert_int_equal(due(queue, 1, now_ms).seqs[0], slow);
    assert_int_equal(queue_done(queue, 1, slow, 0, now_ms), 0);
    assert_int_equal(queue_done(queue, 1, fails, 0, now_ms), 0);
    assert_int_equal(queue_commit(queue), 0);
    queue_close(queue);
    assert_int_equal(in_file("SELECT count(*) FROM events"), 1);
    assert_int_equal(in_file("SELECT count(*) FROM dead"), 1);
}

static void test_held_for_several(void **state)
{
    (void)state;
    struct queue *queue = open_queue(10);
    int64_t second = 0;
    assert_int_equal(queue_endpoint_put(queue, "two", SPAN("{}"), false, 0, &second), 0);
    const struct queue_target targets[] = {{1, 0, 0, false}, {second, 0, 0, false}};
    uint64_t seq = queue_number(queue);
    assert_int_equal(queue_event_add(queue, seq, SPAN("{}"), targets, 2, 0), 0);
    assert_int_equal(queue_commit(queue), 0);
    assert_int_equal(due(queue, 1, 0).count, 1);
    assert_int_equal(queue_done(queue, 1, seq, 0, 0), 0);
    assert_int_equal(queue_commit(queue), 0);
    queue_close(queue);
    queue = open_queue(10);
    assert_int_equal(waiting(queue), 1);
    assert_int_equal(due(queue, second, queue_clock(queue, S(1))).count, 1);
    assert_int_equal(queue_endpoint_remove(queue, second), 0);
    queue_endpoint_forget(queue, second);
    assert_int_equal(queue_commit(queue), 0);
    assert_int_equal(waiting(queue), 0);
    queue_close(queue);
    assert_int_equal(in_file("SELECT count(*) FROM events"), 0);
}

static void test_one_that_does_not_answer_is_not_held_for(void **state)
{
    (void)state;
    struct queue *queue = open_queue(10);
    int64_t second = 0;
    assert_int_equal(queue_endpoint_put(queue, "two", SPAN("{}"), false, 0, &second), 0);
    const struct queue_target targets[] = {{1, 7, 0, false}, {second, 7, 0, true}};
    uint64_t seq = queue_number(queue);
    assert_int_equal(queue_event_add(queue, seq, SPAN("{}"), targets, 2, 0), 0);
    uint64_t waits = add(queue, 1, 0, 9);
    assert_int_equal(queue_next(queue, second, 0), 7);
    assert_int_equal(due(queue, 1, 7).seqs[0], seq);
    queue_rest(queue, 1);
    assert_int_equal(queue_next(queue, 1, 0), 9);
    assert_int_equal(queue_done(queue, 1, seq, 0, 7), 0);
    assert_int_equal(queue_commit(queue), 0);
    assert_int_equal(waiting(queue), 2);
    assert_int_equal(due(queue, second, 7).seqs[0], seq);
    assert_int_equal(due(queue, 1, 9).seqs[0], waits);
    assert_int_equal(queue_done(queue, second, seq, 0, 7), 0);
    assert_int_equal(queue_done(queue, 1, waits, 0, 7), 0);
    assert_int_equal(queue_commit(queue), 0);
    queue_close(queue);
    assert_int_equal(in_file("SELECT count(*) FROM events"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_a_new_run_goes_on, begin),
        cmocka_unit_test_setup(test_order_by_key, begin),
        cmocka_unit_test_setup(test_dead_letters_are_bounded, begin),
        cmocka_unit_test_setup(test_a_full_queue_refuses, begin),
        cmocka_unit_test_setup(test_a_body_that_the_disk_changed, begin),
        cmocka_unit_test_setup(test_files_of_older_versions, begin),
        cmocka_unit_test_setup(test_held, begin),
        cmocka_unit_test_setup(test_held_for_several, begin),
        cmocka_unit_test_setup(test_one_that_does_not_answer_is_not_held_for, begin),
    };
    if (!mkdtemp(folder))
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    remove_files();
    rmdir(folder);
    return failed;
}
