/* queue_open: the file of the queue: made, checked, set aside when it is damaged. */
#include "courier/queue_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS INT64_C(1000000)

enum {
    PATH_ROOM = 1200,
    APPLICATION = 0x52534451, /* RSDQ */
    VERSION = 3,
    VERSION_WITHOUT_SUM = 2,
    VERSION_WITHOUT_HELD = 1,
    SEQ_KEPT = 1 << 20,             /* numbers that a run keeps for itself */
    DOWN_MS_MAX = 24 * 3600 * 1000, /* what the clock goes on by while the server is not there */
    MS_PER_S = 1000,
};

/* Of 4 KiB, in the log beside the file until they are moved there: that takes two fsyncs, for which
 * the courier waits. */
#define CHECKPOINT_PAGES "4000"

static const char schema[] =
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE endpoints(number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
    " text TEXT NOT NULL, from_file INTEGER NOT NULL, state INTEGER NOT NULL);"
    "CREATE TABLE events(seq INTEGER PRIMARY KEY, held BLOB, born INTEGER, body BLOB NOT NULL,"
    " sum INTEGER);"
    "CREATE TABLE deliveries(seq INTEGER NOT NULL, endpoint INTEGER NOT NULL,"
    " next INTEGER NOT NULL, born INTEGER NOT NULL, attempt INTEGER NOT NULL, key INTEGER,"
    " PRIMARY KEY(seq, endpoint)) WITHOUT ROWID;"
    "CREATE INDEX deliveries_due ON deliveries(endpoint, next, seq);"
    "CREATE INDEX deliveries_key ON deliveries(endpoint, key, seq) WHERE key IS NOT NULL;"
    "CREATE TABLE dead(seq INTEGER NOT NULL, endpoint INTEGER NOT NULL, died INTEGER NOT NULL,"
    " attempt INTEGER NOT NULL, why TEXT NOT NULL, PRIMARY KEY(seq, endpoint)) WITHOUT ROWID;"
    "CREATE INDEX dead_endpoint ON dead(endpoint, seq);";

static int64_t wall_ms(void)
{
    return (int64_t)time(NULL) * MS_PER_S;
}

static int64_t pragma(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement;
    int64_t value = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

/* Whether the file is sound: all of it is read. */
static bool is_sound(sqlite3 *db)
{
    sqlite3_stmt *statement;
    bool sound = false;
    if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        const char *said = (const char *)sqlite3_column_text(statement, 0);
        sound = said && strcmp(said, "ok") == 0;
    }
    sqlite3_finalize(statement);
    return sound;
}

static bool execute(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

static bool make(sqlite3 *db)
{
    char sql[128];
    snprintf(sql, sizeof sql, "PRAGMA application_id=%d; PRAGMA user_version=%d;", APPLICATION,
             VERSION);
    return execute(db, "BEGIN IMMEDIATE") && execute(db, schema) && execute(db, sql) &&
           execute(db, "COMMIT");
}

/* Events of before have no sum, and are not held against one. */
static bool renew(sqlite3 *db, int64_t version)
{
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA user_version=%d; COMMIT", VERSION);
    return execute(db, "BEGIN IMMEDIATE") &&
           (version > VERSION_WITHOUT_HELD ||
            execute(db, "ALTER TABLE events ADD COLUMN held BLOB;"
                        "ALTER TABLE events ADD COLUMN born INTEGER")) &&
           execute(db, "ALTER TABLE events ADD COLUMN sum INTEGER") && execute(db, sql);
}

enum found {
    FOUND_GOOD,
    FOUND_DAMAGED,
    FOUND_FOREIGN, /* a file of somebody else, or of another version */
    FOUND_TAKEN,
    FOUND_BROKEN, /* it cannot be opened or written */
};

static enum found found_of(sqlite3 *db)
{
    switch (sqlite3_errcode(db) & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return FOUND_DAMAGED;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return FOUND_TAKEN;
    default:
        return FOUND_BROKEN;
    }
}

/* Exclusively, so that the index of its log is not shared and two servers cannot have one file. */
static enum found look(sqlite3 *db)
{
    if (!execute(db, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
                     "PRAGMA synchronous=FULL; PRAGMA foreign_keys=OFF;"
                     "BEGIN IMMEDIATE; COMMIT"))
        return found_of(db);
    int64_t application = pragma(db, "PRAGMA application_id");
    int64_t version = pragma(db, "PRAGMA user_version");
    int64_t tables = pragma(db, "SELECT count(*) FROM sqlite_schema");
    if (application == 0 && version == 0 && tables == 0)
        return make(db) ? FOUND_GOOD : found_of(db);
    if (tables < 0 || (application == APPLICATION && !is_sound(db)))
        return FOUND_DAMAGED;
    if (application == APPLICATION &&
        (version == VERSION_WITHOUT_HELD || version == VERSION_WITHOUT_SUM))
        return renew(db, version) ? FOUND_GOOD : found_of(db);
    return application == APPLICATION && version == VERSION ? FOUND_GOOD : FOUND_FOREIGN;
}

/* With what lies beside it. */
static int set_aside(const char *path, char *aside, size_t size)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    char from[PATH_ROOM], to[PATH_ROOM];
    snprintf(aside, size, "%s.damaged-%lld", path, (long long)time(NULL));
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(from, sizeof from, "%s%s", path, ends[i]);
        snprintf(to, sizeof to, "%s%s", aside, ends[i]);
        if (rename(from, to) < 0 && errno != ENOENT)
            return -errno;
    }
    return 0;
}

static sqlite3 *connect(const char *path)
{
    sqlite3 *db = NULL;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600); /* secrets are in it */
    if (fd >= 0)
        close(fd);
    if (fd >= 0 &&
        sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK)
        return db;
    sqlite3_close(db);
    return NULL;
}

static int refuse(const char *path, enum found found, sqlite3 *db, char *why, size_t why_size)
{
    const char *said = db ? sqlite3_errmsg(db) : strerror(errno), *help = "";
    if (found == FOUND_BROKEN)
        help = "; its folder must be there, the server's user able to write in it, and room left";
    if (found == FOUND_TAKEN)
        said = "another server has it";
    else if (found == FOUND_FOREIGN)
        said = "is no queue of webhooks of this version";
    else if (found == FOUND_DAMAGED)
        said = "is damaged, and cannot be set aside";
    snprintf(why, why_size, "webhook_queue = %s: %s%s", path, said, help);
    sqlite3_close(db);
    return found == FOUND_TAKEN ? -EBUSY : -EIO;
}

/* Returns 1 when one was set aside. */
static int db_open(sqlite3 **ret, const char *path, char *why, size_t why_size)
{
    char aside[PATH_ROOM];
    bool damaged = false;
    sqlite3 *db = connect(path);
    enum found found = db ? look(db) : FOUND_BROKEN;
    if (found == FOUND_DAMAGED) {
        sqlite3_close(db);
        damaged = true;
        db = set_aside(path, aside, sizeof aside) == 0 ? connect(path) : NULL;
        found = db ? look(db) : FOUND_DAMAGED;
    }
    if (found != FOUND_GOOD)
        return refuse(path, found, db, why, why_size);
    if (damaged)
        snprintf(why, why_size,
                 "webhook_queue = %s was damaged, and is now %s; a new one begins without its "
                 "events and endpoints",
                 path, aside);
    *ret = db;
    return damaged;
}

/* It goes on where it stood: by the time that the server was not there, as far as the wall clock
 * can be believed. */
static void clock_begin(struct queue *queue)
{
    int64_t saved = queue_meta_get(queue, "clock", 0);
    int64_t now = wall_ms();
    if (saved == 0 || (now > saved && now - saved < DOWN_MS_MAX))
        queue->clock_ms = now;
    else
        queue->clock_ms = now > saved ? saved + DOWN_MS_MAX : saved;
    queue->heard_ns = -1;
}

int64_t queue_clock(struct queue *queue, int64_t monotonic_ns)
{
    if (queue->heard_ns < 0)
        queue->heard_ns = monotonic_ns;
    int64_t more_ms = (monotonic_ns - queue->heard_ns) / NS_PER_MS;
    queue->clock_ms += more_ms;
    queue->heard_ns += more_ms * NS_PER_MS;
    return queue->clock_ms;
}

/* Numbers that this run may give: none of them has been given, or will be after it. */
static int numbers_begin(struct queue *queue)
{
    uint64_t tag = (uint64_t)queue_meta_get(queue, "tag", 0);
    if (tag == 0 && getrandom(&tag, sizeof tag, 0) != sizeof tag)
        return -EIO;
    queue->tag = tag;
    queue->next_seq = (uint64_t)queue_meta_get(queue, "seq", 1);
    queue->seq_end = queue->next_seq + SEQ_KEPT;
    int err = queue_held_expand(queue);
    if (err == 0)
        err = queue_meta_put(queue, "tag", (int64_t)tag);
    if (err == 0)
        err = queue_meta_put(queue, "seq", (int64_t)queue->seq_end);
    return err == 0 ? queue_commit(queue) : err;
}

int queue_open(struct queue **ret, const struct queue_config *config, char *why, size_t why_size)
{
    struct queue *queue = calloc(1, sizeof *queue);
    if (!queue)
        return -ENOMEM;
    queue->config = *config;
    int damaged = db_open(&queue->db, config->path, why, why_size);
    if (damaged < 0) {
        free(queue);
        return damaged;
    }
    queue->page_bytes = pragma(queue->db, "PRAGMA page_size");
    int err = queue_prepare(queue);
    if (err == 0) {
        clock_begin(queue);
        err = numbers_begin(queue);
    }
    /* From here on who wants to know that it is on the disk asks for that (courier/syncer.h). */
    if (err == 0 && !execute(queue->db, "PRAGMA synchronous=NORMAL;"
                                        "PRAGMA wal_autocheckpoint=" CHECKPOINT_PAGES))
        err = -EIO;
    if (err < 0) {
        snprintf(why, why_size, "webhook_queue = %s: %s", config->path, sqlite3_errmsg(queue->db));
        queue_close(queue);
        return err;
    }
    *ret = queue;
    return damaged;
}

void queue_close(struct queue *queue)
{
    if (!queue)
        return;
    queue_held_free(queue);
    for (unsigned i = 0; i < QUEUE_STATEMENT_COUNT; i++)
        sqlite3_finalize(queue->statements[i]);
    sqlite3_close(queue->db);
    free(queue);
}

/* More numbers, in the transaction of the event that needs them. */
uint64_t queue_number(struct queue *queue)
{
    if (queue->next_seq == queue->seq_end && queue_begin(queue) == 0 &&
        queue_meta_put(queue, "seq", (int64_t)(queue->seq_end + SEQ_KEPT)) == 0)
        queue->seq_end += SEQ_KEPT;
    return queue->next_seq++;
}
