/* process: a server that the bench starts, watches and ends.
 *
 * Idea     A server is a process of its own, so that its CPU time and memory are the kernel's
 * account and not ours. It is in a process group of its own: Ctrl-C reaches only the bench, which
 *          ends what it started in order. Should the bench be killed, the kernel kills the servers.
 *          A server may have workers: those it has at process_family count as one with it, and what
 *          is left of its group when it has ended is killed. The kernel's help reaches only the
 *          server itself, so process_guard leaves a process behind that kills the group when the
 *          bench is gone.
 * Threads  start and stop on the main thread; reading CPU and memory on any.
 * Memory   in place; a memory file holds what the process writes.
 * Bounds   PROCESSES_MAX at a time, each with PROCESS_WORKERS_MAX workers. */
#pragma once

#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

enum {
    PROCESSES_MAX = 48,
    PROCESS_NAME_MAX = 32,
    PROCESS_WORKERS_MAX = 31,
};

/* A process whose CPU time and memory count. */
struct process_worker {
    pid_t pid;
    clockid_t cpu_clock;
};

struct process {
    pid_t pid; /* 0: not running, or not ours to stop */
    clockid_t cpu_clock;
    struct process_worker workers[PROCESS_WORKERS_MAX];
    unsigned worker_count;
    pid_t guard;   /* 0: none */
    int guard_fd;  /* as long as it is open, the guard waits */
    int output_fd; /* what it writes */
    bool foreign;  /* found running at an address: neither pinned nor stopped by us */
    char name[PROCESS_NAME_MAX];
};

/* Starts argv[0] on the given CPUs. Returns 0 or negative errno. */
int process_start(struct process *process, const char *name, char *const argv[],
                  const cpu_set_t *cpus);

/* Leaves a process behind that kills the server and its whole group should the bench end without
 * process_stop. Returns 0 or negative errno. */
int process_guard(struct process *process);

/* Counts the processes of the server's group as its workers from now on. Returns how many, or
 * -ENOSPC when there are more than PROCESS_WORKERS_MAX. */
int process_family(struct process *process);

/* Takes a running server into account by the process that listens on `address`, if /proc tells. */
void process_adopt(struct process *process, const char *name, const struct sockaddr_in *address);

/* Waits until GET `path` answers 200, or, for NULL, until a connection is accepted. Returns 0,
 * -ECHILD when the process has ended, or -ETIME. */
int process_wait_ready(struct process *process, const struct sockaddr_in *address, const char *path,
                       unsigned patience_ms);

/* Ends it with SIGTERM, with SIGKILL after `grace_ms`, and then what is left of its group. Returns
 * 0 when it left with status 0, else the status as waitpid gives it. Of a process that is not ours,
 * or not running, 0. */
int process_stop(struct process *process, unsigned grace_ms);

/* Waits until it ends by itself, at most `patience_ms`, then stops it; the status as above. */
int process_finish(struct process *process, unsigned patience_ms);

/* Forgets what a stopped process wrote. */
void process_done(struct process *process);

/* Ends all that still run; for exit paths. */
void process_stop_all(void);

/* Signals all that still run; for signal handlers. */
void process_kill_all(int number);

bool process_alive(struct process *process);

/* The last lines that it wrote, into `text`. */
void process_output_tail(const struct process *process, char *text, size_t size);

/* User and system time of all its threads, and of its workers; 0 when unknown. */
int64_t process_cpu_ns(const struct process *process);

/* How long its threads could have run and did not, because something else had the CPU; since they
 * began. -1: unknown. And the same for the calling thread. */
int64_t process_wait_ns(const struct process *process);
int64_t process_thread_wait_ns(void);

/* Resident bytes: from smaps_rollup, which is exact, or from statm, which is cheap. 0: unknown. */
uint64_t process_rss_bytes(const struct process *process);
uint64_t process_rss_bytes_rough(const struct process *process);
/* The most that was ever resident; of workers the sum of each one's most. 0: unknown. */
uint64_t process_peak_bytes(const struct process *process);
