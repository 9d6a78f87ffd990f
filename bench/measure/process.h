/* process: a server that the bench starts, watches and ends.
 *
 * Idea     A server is a process of its own, so that its CPU time and memory are the kernel's
 * account and not ours. It is in a process group of its own: Ctrl-C reaches only the bench, which
 *          ends what it started in order. Should the bench be killed, the kernel kills the servers.
 * Threads  start and stop on the main thread; reading CPU and memory on any.
 * Memory   in place; a memory file holds what the process writes.
 * Bounds   PROCESSES_MAX at a time. */
#pragma once

#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

enum {
    PROCESSES_MAX = 16,
    PROCESS_NAME_MAX = 32,
};

struct process {
    pid_t pid; /* 0: not running, or not ours to stop */
    clockid_t cpu_clock;
    int output_fd; /* what it writes */
    bool foreign;  /* found running at an address: neither pinned nor stopped by us */
    char name[PROCESS_NAME_MAX];
};

/* Starts argv[0] on the given CPUs. Returns 0 or negative errno. */
int process_start(struct process *process, const char *name, char *const argv[],
                  const cpu_set_t *cpus);

/* Takes a running server into account by the process that listens on `address`, if /proc tells. */
void process_adopt(struct process *process, const char *name, const struct sockaddr_in *address);

/* Waits until GET /healthz answers 200. Returns 0, -ECHILD when the process has ended, or -ETIME.
 */
int process_wait_healthy(struct process *process, const struct sockaddr_in *address,
                         unsigned patience_ms);

/* Ends it with SIGTERM, with SIGKILL after `grace_ms`. Returns 0 when it left with status 0, else
 * the status as waitpid gives it. Of a process that is not ours, or not running, 0. */
int process_stop(struct process *process, unsigned grace_ms);

/* Forgets what a stopped process wrote. */
void process_done(struct process *process);

/* Ends all that still run; for exit paths. */
void process_stop_all(void);

/* Signals all that still run; for signal handlers. */
void process_kill_all(int number);

bool process_alive(struct process *process);

/* The last lines that it wrote, into `text`. */
void process_output_tail(const struct process *process, char *text, size_t size);

/* User and system time of all its threads; 0 when unknown. */
int64_t process_cpu_ns(const struct process *process);

/* Resident bytes: from smaps_rollup, which is exact, or from statm, which is cheap. 0: unknown. */
uint64_t process_rss_bytes(const struct process *process);
uint64_t process_rss_bytes_rough(const struct process *process);

/* A port of 127.0.0.1 that nobody listens on, outside the range that the kernel gives to clients.
 * Returns 0 when there is none. */
uint16_t process_free_port(void);
