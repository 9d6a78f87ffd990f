#include "measure/process.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "measure/clock.h"
#include "measure/fields.h"
#include "measure/http_get.h"

enum {
    POLL_MS = 2,
    STATUS_LOST = -1, /* somebody else waited for it */
};

static struct process *running[PROCESSES_MAX];

static void running_add(struct process *process)
{
    for (int i = 0; i < PROCESSES_MAX; i++) {
        if (!running[i]) {
            running[i] = process;
            return;
        }
    }
    assert(!"PROCESSES_MAX");
}

static void running_remove(const struct process *process)
{
    for (int i = 0; i < PROCESSES_MAX; i++)
        if (running[i] == process)
            running[i] = NULL;
}

static void sleep_ms(unsigned ms)
{
    const struct timespec time = {ms / 1000, (long)(ms % 1000) * NS_PER_MS};
    nanosleep(&time, NULL);
}

/* ---- start ---- */

/* Many distributions start programs with 1,024 descriptors and let them have more. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* In the child. The parent may have died before the death signal was asked for. */
static void become(char *const argv[], const cpu_set_t *cpus, int output_fd, pid_t parent)
{
    const struct sched_param usual = {0};
    sigset_t none;
    sigemptyset(&none);
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    sched_setaffinity(0, sizeof *cpus, cpus);
    sched_setscheduler(0, SCHED_OTHER, &usual);
    raise_descriptors();
    sigprocmask(SIG_SETMASK, &none, NULL);
    dup2(output_fd, STDOUT_FILENO);
    dup2(output_fd, STDERR_FILENO);
    execv(argv[0], argv);
    dprintf(STDERR_FILENO, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

int process_start(struct process *process, const char *name, char *const argv[],
                  const cpu_set_t *cpus)
{
    *process = (struct process){.output_fd = memfd_create(name, MFD_CLOEXEC)};
    snprintf(process->name, sizeof process->name, "%s", name);
    if (process->output_fd < 0)
        return -errno;
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        become(argv, cpus, process->output_fd, parent);
    if (pid < 0 || clock_getcpuclockid(pid, &process->cpu_clock) != 0) {
        close(process->output_fd);
        return -EAGAIN;
    }
    process->pid = pid;
    setpgid(pid, pid); /* the child does it too: whoever comes first */
    running_add(process);
    return 0;
}

/* ---- its group ---- */

/* In the guard. It holds nothing of the bench's but the end of a pipe, which the bench never writes
 * to: the read ends when the bench does, however that came about. */
static void guard(int read_fd, pid_t group)
{
    char byte;
    ssize_t got;
    setpgid(0, 0);
    dup2(read_fd, STDIN_FILENO);
    close_range(STDIN_FILENO + 1, ~0U, 0);
    do
        got = read(STDIN_FILENO, &byte, sizeof byte);
    while (got < 0 && errno == EINTR);
    kill(-group, SIGKILL);
    _exit(0);
}

int process_guard(struct process *process)
{
    int fds[2];
    assert(process->pid > 0 && process->guard == 0);
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    pid_t pid = fork();
    if (pid == 0)
        guard(fds[0], process->pid);
    close(fds[0]);
    if (pid < 0) {
        close(fds[1]);
        return -EAGAIN;
    }
    process->guard = pid;
    process->guard_fd = fds[1];
    return 0;
}

static void guard_dismiss(struct process *process)
{
    if (process->guard == 0)
        return;
    kill(process->guard, SIGKILL);
    while (waitpid(process->guard, NULL, 0) < 0 && errno == EINTR)
        ;
    close(process->guard_fd);
    process->guard = 0;
}

int process_family(struct process *process)
{
    int err = 0;
    DIR *dir = opendir("/proc");
    process->worker_count = 0;
    for (struct dirent *entry; dir && err == 0 && (entry = readdir(dir));) {
        struct process_worker worker = {.pid = (pid_t)strtol(entry->d_name, NULL, 10)};
        if (worker.pid <= 0 || worker.pid == process->pid || getpgid(worker.pid) != process->pid ||
            clock_getcpuclockid(worker.pid, &worker.cpu_clock) != 0)
            continue;
        if (process->worker_count < PROCESS_WORKERS_MAX)
            process->workers[process->worker_count++] = worker;
        else
            err = -ENOSPC;
    }
    if (dir)
        closedir(dir);
    return err < 0 ? err : (int)process->worker_count;
}

/* ---- a server that somebody else started ---- */

/* Whether a line of /proc/net/tcp is a socket that listens on the address, as hex "ADDRESS:PORT".
 */
static bool listens_on(char *const *fields, const struct sockaddr_in *address)
{
    enum {
        LOCAL = 1,
        STATE = 3
    };
    char here[32], anywhere[32];
    snprintf(here, sizeof here, "%08X:%04X", address->sin_addr.s_addr, ntohs(address->sin_port));
    snprintf(anywhere, sizeof anywhere, "00000000:%04X", ntohs(address->sin_port));
    return strcmp(fields[STATE], "0A") == 0 &&
           (strcmp(fields[LOCAL], here) == 0 || strcmp(fields[LOCAL], anywhere) == 0);
}

/* The inode of the socket that listens on the address; 0: none. */
static uint64_t listener_inode(const struct sockaddr_in *address)
{
    enum {
        INODE = 9,
        FIELDS = 10
    };
    char line[512], *fields[FIELDS];
    uint64_t found = 0;
    FILE *file = fopen("/proc/net/tcp", "re");
    while (file && found == 0 && fgets(line, sizeof line, file))
        if (fields_split(line, fields, FIELDS) == FIELDS && listens_on(fields, address))
            field_number(fields[INODE], 10, &found);
    if (file)
        fclose(file);
    return found;
}

static bool holds_inode(pid_t pid, uint64_t inode)
{
    char path[64], want[64], link[64];
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    snprintf(want, sizeof want, "socket:[%" PRIu64 "]", inode);
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && !found && (entry = readdir(dir));) {
        ssize_t len = readlinkat(dirfd(dir), entry->d_name, link, sizeof link - 1);
        link[len > 0 ? len : 0] = '\0';
        found = strcmp(link, want) == 0;
    }
    if (dir)
        closedir(dir);
    return found;
}

void process_adopt(struct process *process, const char *name, const struct sockaddr_in *address)
{
    *process = (struct process){.output_fd = -1, .foreign = true};
    snprintf(process->name, sizeof process->name, "%s", name);
    uint64_t inode = listener_inode(address);
    DIR *dir = inode ? opendir("/proc") : NULL;
    for (struct dirent *entry; dir && !process->pid && (entry = readdir(dir));) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && holds_inode(pid, inode) &&
            clock_getcpuclockid(pid, &process->cpu_clock) == 0)
            process->pid = pid;
    }
    if (dir)
        closedir(dir);
}

/* ---- health ---- */

static bool accepts(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool connected = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0;
    if (fd >= 0)
        close(fd);
    return connected;
}

static bool answers(const struct sockaddr_in *address, const char *path)
{
    char body[256];
    struct http_get get;
    http_get_init(&get, address);
    int status = http_get(&get, path, body, sizeof body);
    http_get_done(&get);
    return status == 200;
}

int process_wait_ready(struct process *process, const struct sockaddr_in *address, const char *path,
                       unsigned patience_ms)
{
    int64_t end_ns = clock_now_ns() + (int64_t)patience_ms * NS_PER_MS;
    while (clock_now_ns() < end_ns) {
        if (!process->foreign && !process_alive(process))
            return -ECHILD;
        if (path ? answers(address, path) : accepts(address))
            return 0;
        sleep_ms(10);
    }
    return -ETIME;
}

/* ---- stop ---- */

bool process_alive(struct process *process)
{
    siginfo_t info = {0};
    if (process->pid == 0)
        return false;
    if (process->foreign)
        return kill(process->pid, 0) == 0;
    return waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0;
}

int process_stop(struct process *process, unsigned grace_ms)
{
    int status;
    if (process->pid == 0 || process->foreign)
        return 0;
    int64_t end_ns = clock_now_ns() + (int64_t)grace_ms * NS_PER_MS;
    kill(process->pid, SIGTERM);
    while (process_alive(process)) {
        if (clock_now_ns() > end_ns)
            kill(process->pid, SIGKILL);
        sleep_ms(POLL_MS);
    }
    running_remove(process);
    /* Until it is waited for, the number of the group is its own. */
    kill(-process->pid, SIGKILL);
    if (waitpid(process->pid, &status, 0) != process->pid)
        status = STATUS_LOST;
    guard_dismiss(process);
    process->pid = 0;
    process->worker_count = 0;
    return status;
}

int process_finish(struct process *process, unsigned patience_ms)
{
    int64_t end_ns = clock_now_ns() + (int64_t)patience_ms * NS_PER_MS;
    while (process_alive(process) && clock_now_ns() < end_ns)
        sleep_ms(POLL_MS);
    return process_stop(process, 0);
}

void process_done(struct process *process)
{
    assert(process->foreign || process->pid == 0);
    if (process->output_fd >= 0)
        close(process->output_fd);
    process->output_fd = -1;
}

void process_stop_all(void)
{
    for (int i = 0; i < PROCESSES_MAX; i++)
        if (running[i])
            process_stop(running[i], 3000);
}

void process_kill_all(int number)
{
    for (int i = 0; i < PROCESSES_MAX; i++)
        if (running[i] && running[i]->pid > 0)
            kill(-running[i]->pid, number);
}

void process_output_tail(const struct process *process, char *text, size_t size)
{
    assert(size > 1);
    off_t end = process->output_fd >= 0 ? lseek(process->output_fd, 0, SEEK_END) : 0;
    off_t want = end < (off_t)size - 1 ? end : (off_t)size - 1;
    ssize_t got = want > 0 ? pread(process->output_fd, text, (size_t)want, end - want) : 0;
    text[got > 0 ? got : 0] = '\0';
}

/* ---- what it costs ---- */

int64_t process_cpu_ns(const struct process *process)
{
    int64_t sum_ns = process->pid > 0 ? clock_read_ns(process->cpu_clock) : 0;
    for (unsigned i = 0; i < process->worker_count; i++)
        sum_ns += clock_read_ns(process->workers[i].cpu_clock);
    return sum_ns;
}

/* "run wait slices" of a thread: nanoseconds that it ran, that it waited, and how often it ran. */
static int64_t wait_of(const char *path)
{
    enum {
        WAIT = 1
    };
    uint64_t wait_ns = fields_read_number(path, WAIT, UINT64_MAX);
    return wait_ns == UINT64_MAX ? -1 : (int64_t)wait_ns;
}

int64_t process_thread_wait_ns(void)
{
    return wait_of("/proc/thread-self/schedstat");
}

static int64_t wait_ns_of(pid_t pid)
{
    char path[64];
    int64_t sum_ns = -1;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *dir = pid > 0 ? opendir(path) : NULL;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char file[128];
        snprintf(file, sizeof file, "%.40s/%.40s/schedstat", path, entry->d_name);
        int64_t wait_ns = entry->d_name[0] == '.' ? -1 : wait_of(file);
        if (wait_ns >= 0)
            sum_ns = (sum_ns < 0 ? 0 : sum_ns) + wait_ns;
    }
    if (dir)
        closedir(dir);
    return sum_ns;
}

int64_t process_wait_ns(const struct process *process)
{
    int64_t sum_ns = wait_ns_of(process->pid);
    for (unsigned i = 0; sum_ns >= 0 && i < process->worker_count; i++) {
        int64_t wait_ns = wait_ns_of(process->workers[i].pid);
        sum_ns = wait_ns < 0 ? -1 : sum_ns + wait_ns;
    }
    return sum_ns;
}

/* A line "name: 1234 kB" of a file of the process. */
static uint64_t bytes_of(pid_t pid, const char *file_name, const char *name)
{
    char path[64], line[256];
    uint64_t kib = 0;
    size_t len = strlen(name);
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file_name);
    FILE *file = fopen(path, "re");
    while (file && kib == 0 && fgets(line, sizeof line, file))
        if (strncmp(line, name, len) == 0)
            kib = strtoull(line + len, NULL, 10);
    if (file)
        fclose(file);
    return kib * 1024;
}

static uint64_t rss_bytes_of(pid_t pid)
{
    return bytes_of(pid, "smaps_rollup", "Rss:");
}

static uint64_t peak_bytes_of(pid_t pid)
{
    return bytes_of(pid, "status", "VmHWM:");
}

static uint64_t rss_bytes_rough_of(pid_t pid)
{
    enum {
        RESIDENT = 1
    };
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    return fields_read_number(path, RESIDENT, 0) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t family_sum(const struct process *process, uint64_t (*figure)(pid_t pid))
{
    uint64_t sum = process->pid > 0 ? figure(process->pid) : 0;
    for (unsigned i = 0; i < process->worker_count; i++)
        sum += figure(process->workers[i].pid);
    return sum;
}

uint64_t process_rss_bytes(const struct process *process)
{
    return family_sum(process, rss_bytes_of);
}

uint64_t process_rss_bytes_rough(const struct process *process)
{
    return family_sum(process, rss_bytes_rough_of);
}

uint64_t process_peak_bytes(const struct process *process)
{
    return family_sum(process, peak_bytes_of);
}
