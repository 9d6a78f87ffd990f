/* log_writer: the thread that makes lines of what was noted, and main's side of the log. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "conn/counters.h"
#include "conn/log_internal.h"

#define LOOK_NS     INT64_C(100000000)
#define FAREWELL_NS INT64_C(1000000000)

enum {
    TAKEN = 64, /* records at a time */
    WRITTEN_MAX =
        4096, /* a pipe that poll calls writable takes so much without waiting (PIPE_BUF) */
    WAIT_WRITABLE_MS = 100,
    FILE_MODE = 0640,
};

/* What is written next, and whose time is taken how. */
struct writer {
    struct log *log;
    int64_t to_unix_ns; /* from the shards' clock */
    int64_t end_ns;     /* when it gives up, once it is to end */
    size_t len;
    unsigned lines;
    uint64_t suppressed; /* told so far */
    uint64_t lost;
    bool fails; /* to write, since the last time that it did */
    char text[WRITTEN_MAX];
};

int64_t log_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t unix_offset_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - log_clock_ns();
}

void log_push(struct log *log, unsigned source, struct log_record *record)
{
    union log_slot slot = {.record = record};
    if (lane_push(log->lanes, source, log->sources, &slot) < 0) {
        counter_add(&log->source[source].lost, 1);
        free(record);
        return;
    }
    lane_flush(log->lanes, source, log->sources);
}

/* ---- writing ---- */

static bool is_over(const struct writer *writer)
{
    return writer->end_ns != 0 && log_clock_ns() >= writer->end_ns;
}

/* Waits as long as nobody reads; the shards do not. */
static bool wait_writable(struct writer *writer)
{
    struct pollfd look = {.fd = writer->log->fd, .events = POLLOUT};
    for (;;) {
        if (poll(&look, 1, WAIT_WRITABLE_MS) > 0)
            return look.revents & POLLOUT;
        if (atomic_load(&writer->log->ending) && writer->end_ns == 0)
            writer->end_ns = log_clock_ns() + FAREWELL_NS;
        if (is_over(writer))
            return false;
    }
}

/* A file that takes less than all is on a disk that is full. Said when it begins, and not for each
 * line: nobody looks for a sentence among what is lost. */
static bool written_whole(struct writer *writer)
{
    ssize_t took = write(writer->log->fd, writer->text, writer->len);
    bool whole = took == (ssize_t)writer->len;
    if (!whole && !writer->fails && writer->log->file[0] != '\0')
        fprintf(stderr,
                "ringside-server: log_file %s: %s; lines are lost, and counted "
                "(ringside_log_lines_total), until it can be written\n",
                writer->log->file, strerror(took < 0 ? errno : ENOSPC));
    writer->fails = !whole;
    return whole;
}

static void write_out(struct writer *writer)
{
    struct log *log = writer->log;
    if (writer->len == 0)
        return;
    bool written = wait_writable(writer) && written_whole(writer);
    counter_add(written ? &log->written : &log->unwritten, writer->lines);
    writer->len = 0;
    writer->lines = 0;
}

static void add(struct writer *writer, const struct log_record *record)
{
    if (writer->len + LOG_LINE_MAX > sizeof writer->text)
        write_out(writer);
    writer->len += log_line(writer->text + writer->len, writer->log->format, record);
    writer->lines++;
}

static void take(struct writer *writer, unsigned source)
{
    struct log *log = writer->log;
    union log_slot slots[TAKEN];
    unsigned count;
    do {
        bool starved;
        count = lane_pop(log->lanes, source, log->sources, slots, TAKEN, &starved);
        for (unsigned i = 0; i < count; i++) {
            slots[i].record->at_ns += writer->to_unix_ns;
            add(writer, slots[i].record);
            free(slots[i].record);
        }
    } while (count == TAKEN && !is_over(writer));
}

static void tell_suppressed(struct writer *writer)
{
    struct log_counts counts;
    log_counts(writer->log, &counts);
    if (counts.suppressed == writer->suppressed && counts.lost == writer->lost)
        return;
    add(writer, &(struct log_record){
                    .at_ns = log_clock_ns() + writer->to_unix_ns,
                    .event = LOG_SUPPRESSED,
                    .suppressed = counts.suppressed - writer->suppressed,
                    .lost = counts.lost - writer->lost,
                });
    writer->suppressed = counts.suppressed;
    writer->lost = counts.lost;
}

static int open_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, FILE_MODE);
    return fd < 0 ? -errno : fd;
}

static void open_anew(struct log *log)
{
    if (log->file[0] == '\0' || !atomic_exchange(&log->reopening, false))
        return;
    int fd = open_file(log->file);
    if (fd < 0) {
        fprintf(stderr, "ringside-server: log_file %s: %s; the one that is open is kept\n",
                log->file, strerror(-fd));
        return;
    }
    close(log->fd);
    log->fd = fd;
}

static void look(struct writer *writer)
{
    writer->to_unix_ns = unix_offset_ns();
    open_anew(writer->log);
    for (unsigned source = 0; source < writer->log->sources; source++)
        take(writer, source);
    write_out(writer);
}

static void *run(void *context)
{
    struct writer writer = {.log = context};
    const unsigned looks_per_s = 1000000000 / LOOK_NS;
    for (unsigned looks = 0; !atomic_load(&writer.log->ending); looks++) {
        bell_wait(&writer.log->bell, LOOK_NS);
        look(&writer);
        if (looks % looks_per_s == 0)
            tell_suppressed(&writer);
    }
    if (writer.end_ns == 0)
        writer.end_ns = log_clock_ns() + FAREWELL_NS;
    look(&writer);
    tell_suppressed(&writer);
    write_out(&writer);
    return NULL;
}

/* ---- main's ---- */

static int destination(struct log *log, char *why, size_t why_size)
{
    log->fd = log->file[0] == '\0' ? STDERR_FILENO : open_file(log->file);
    if (log->fd >= 0)
        return 0;
    snprintf(why, why_size,
             "log_file %s: %s; its folder must be there, and the server's user able to write in it",
             log->file, strerror(-log->fd));
    return log->fd;
}

int log_create(struct log **ret, const struct settings *settings, char *why, size_t why_size)
{
    unsigned sources = (unsigned)settings->shards + 1;
    *ret = NULL;
    if (settings->log == LOG_OFF)
        return 0;
    struct log *log =
        aligned_alloc(_Alignof(struct log), sizeof *log + sources * sizeof log->source[0]);
    if (!log) {
        snprintf(why, why_size, "log: memory is out");
        return -ENOMEM;
    }
    memset(log, 0, sizeof *log + sources * sizeof log->source[0]);
    log->format = settings->log;
    log->file = settings->log_file;
    log->sources = sources;
    /* A shard has its part, and no less than a line. */
    log->per_second = (uint64_t)settings->log_lines_per_s / (uint64_t)settings->shards;
    if (log->per_second == 0)
        log->per_second = 1;
    int err = destination(log, why, why_size);
    if (err < 0) {
        free(log);
        return err;
    }
    log->lanes = lane_set_create(sources + 1, lane_slots(sources + 1));
    if (!log->lanes || bell_init(&log->bell) < 0) {
        snprintf(why, why_size, "log: memory or descriptors are out");
        lane_set_free(log->lanes);
        free(log);
        return -ENOMEM;
    }
    *ret = log;
    return 0;
}

int log_start(struct log *log)
{
    if (!log)
        return 0;
    int err = -pthread_create(&log->thread, NULL, run, log);
    log->is_running = err == 0;
    return err;
}

void log_end(struct log *log)
{
    if (!log || !log->is_running)
        return;
    log_server(log, LOG_END, "");
    atomic_store(&log->ending, true);
    bell_ring(&log->bell);
    pthread_join(log->thread, NULL);
    log->is_running = false;
}

void log_free(struct log *log)
{
    if (!log)
        return;
    union log_slot slot;
    bool starved;
    for (unsigned source = 0; source < log->sources; source++)
        while (lane_pop(log->lanes, source, log->sources, &slot, 1, &starved) > 0)
            free(slot.record);
    if (log->fd != STDERR_FILENO)
        close(log->fd);
    bell_done(&log->bell);
    lane_set_free(log->lanes);
    free(log);
}

void log_reopen(struct log *log)
{
    if (!log)
        return;
    atomic_store(&log->reopening, true);
    bell_ring(&log->bell);
}

void log_server(struct log *log, enum log_event event, const char *text)
{
    if (!log)
        return;
    struct log_record *record = calloc(1, sizeof *record);
    if (!record) {
        counter_add(&log->source[log->sources - 1].lost, 1);
        return;
    }
    record->at_ns = log_clock_ns();
    record->event = event;
    snprintf(record->text, sizeof record->text, "%s", text);
    log_push(log, log->sources - 1, record);
}

void log_counts(const struct log *log, struct log_counts *ret)
{
    *ret = (struct log_counts){
        .written = counter_read(&log->written),
        .lost = counter_read(&log->unwritten),
    };
    for (unsigned i = 0; i < log->sources; i++) {
        ret->suppressed += counter_read(&log->source[i].suppressed);
        ret->lost += counter_read(&log->source[i].lost);
    }
}
