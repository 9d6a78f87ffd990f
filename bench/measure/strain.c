#include "measure/strain.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "measure/clock.h"
#include "measure/cpus.h"
#include "measure/fields.h"

/* The columns of a line "cpu0 user nice system idle iowait irq softirq steal …". Time of guests is
 * in user and nice already. */
enum {
    COLUMN_IDLE = 4,
    COLUMN_IOWAIT = 5,
    COLUMN_SOFTIRQ = 7,
    COLUMN_STEAL = 8,
    COLUMNS = 9,
};

static void add_line(struct strain_cpus *sum, char *const *fields)
{
    for (unsigned i = 1; i < COLUMNS; i++) {
        uint64_t ticks = 0;
        field_number(fields[i], 10, &ticks);
        sum->all += ticks;
        sum->idle += i == COLUMN_IDLE || i == COLUMN_IOWAIT ? ticks : 0;
        sum->softirq += i == COLUMN_SOFTIRQ ? ticks : 0;
        sum->steal += i == COLUMN_STEAL ? ticks : 0;
    }
}

/* The number in "cpu12"; -1 for the line of all CPUs and for others. */
static long cpu_of(const char *name)
{
    char *end;
    if (strncmp(name, "cpu", 3) != 0)
        return -1;
    long cpu = strtol(name + 3, &end, 10);
    return end > name + 3 && *end == '\0' && cpu < CPU_SETSIZE ? cpu : -1;
}

static void read_cpus(const struct strain_mark *mark, struct strain_cpus *ret_server,
                      struct strain_cpus *ret_client)
{
    char line[512], *fields[COLUMNS];
    cpu_set_t server, client;
    *ret_server = *ret_client = (struct strain_cpus){0};
    if (cpus_parse(&server, mark->server_list) < 0 || cpus_parse(&client, mark->client_list) < 0)
        return;
    FILE *file = fopen("/proc/stat", "re");
    while (file && fgets(line, sizeof line, file)) {
        if (fields_split(line, fields, COLUMNS) < COLUMNS || strncmp(fields[0], "cpu", 3) != 0)
            break; /* what follows are interrupts: long lines */
        long cpu = cpu_of(fields[0]);
        if (cpu >= 0 && CPU_ISSET((size_t)cpu, &server))
            add_line(ret_server, fields);
        if (cpu >= 0 && CPU_ISSET((size_t)cpu, &client))
            add_line(ret_client, fields);
    }
    if (file)
        fclose(file);
}

/* ---- ksoftirqd ---- */

/* The thread ksoftirqd/N of each CPU; 0: not found, as in a container. They live as long as the
 * machine. */
static pid_t softirqd[CPU_SETSIZE];

static void softirqd_find(void)
{
    DIR *dir = opendir("/proc");
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        static const char prefix[] = "ksoftirqd/";
        char path[300], comm[32] = "";
        uint64_t pid, cpu;
        snprintf(path, sizeof path, "/proc/%s/comm", entry->d_name);
        FILE *file = field_number(entry->d_name, 10, &pid) ? fopen(path, "re") : NULL;
        if (file && fgets(comm, sizeof comm, file) && strncmp(comm, prefix, strlen(prefix)) == 0) {
            comm[strcspn(comm, "\n")] = '\0';
            if (field_number(comm + strlen(prefix), 10, &cpu) && cpu < CPU_SETSIZE)
                softirqd[cpu] = (pid_t)pid;
        }
        if (file)
            fclose(file);
    }
    if (dir)
        closedir(dir);
}

static int64_t softirqd_ns(const char *list)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    cpu_set_t cpus;
    int64_t sum_ns = 0;
    pthread_once(&once, softirqd_find);
    if (cpus_parse(&cpus, list) < 0)
        return -1;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &cpus))
            continue;
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/schedstat", (int)softirqd[cpu]);
        uint64_t ran_ns = softirqd[cpu] > 0 ? fields_read_number(path, 0, UINT64_MAX) : UINT64_MAX;
        if (ran_ns == UINT64_MAX)
            return -1;
        sum_ns += (int64_t)ran_ns;
    }
    return sum_ns;
}

/* ---- a stretch of time ---- */

void strain_begin(struct strain_mark *mark, const struct process *server, const char *server_cpus,
                  const char *client_cpus)
{
    *mark = (struct strain_mark){
        .server = server, .server_list = server_cpus, .client_list = client_cpus};
    mark->began_ns = clock_now_ns();
    read_cpus(mark, &mark->server_cpus, &mark->client_cpus);
    mark->now_ns = clock_now_ns();
    mark->softirqd_ns = softirqd_ns(server_cpus);
    mark->server_cpu_ns = process_cpu_ns(server);
    mark->server_wait_ns = process_wait_ns(server);
    mark->client_wait_ns = process_thread_wait_ns();
}

static double share(uint64_t before, uint64_t after, const struct strain_cpus *from,
                    const struct strain_cpus *to)
{
    if (to->all <= from->all) /* shorter than a tick, or unknown */
        return to->all == 0 ? -1 : 0;
    return (double)(after > before ? after - before : 0) / (double)(to->all - from->all);
}

static struct strain_side side(int64_t before_ns, int64_t after_ns, const struct strain_cpus *from,
                               const struct strain_cpus *to)
{
    return (struct strain_side){
        .waited_ns = before_ns < 0 || after_ns < before_ns ? -1 : after_ns - before_ns,
        .softirq = share(from->softirq, to->softirq, from, to),
        .steal = share(from->steal, to->steal, from, to),
    };
}

/* CPUs that the clients have too, or a server that the bench did not pin to them, are no measure of
 * the server. */
static bool has_its_own(const struct strain_mark *mark, cpu_set_t *ret)
{
    cpu_set_t client, both;
    if (mark->server->foreign || cpus_parse(ret, mark->server_list) < 0 ||
        cpus_parse(&client, mark->client_list) < 0)
        return false;
    CPU_AND(&both, ret, &client);
    return CPU_COUNT(&both) == 0;
}

/* Idle time is what the kernel measures best: what is busy may be sampled by ticks. */
static int64_t core_ns(const struct strain_mark *mark, const struct strain_cpus *to, int64_t now_ns)
{
    cpu_set_t cpus;
    const struct strain_cpus *from = &mark->server_cpus;
    int64_t tick_ns = NS_PER_S / sysconf(_SC_CLK_TCK);
    if (!has_its_own(mark, &cpus) || to->all == 0)
        return -1;
    int64_t given_ns = (now_ns - mark->now_ns) * CPU_COUNT(&cpus);
    int64_t gone = (int64_t)(to->idle + to->steal) - (int64_t)(from->idle + from->steal);
    int64_t busy_ns = given_ns - gone * tick_ns;
    return busy_ns > 0 ? busy_ns : 0;
}

void strain_end(const struct strain_mark *mark, struct strain *ret)
{
    struct strain_cpus server, client;
    int64_t process_ns = process_cpu_ns(mark->server) - mark->server_cpu_ns;
    int64_t daemon_ns = softirqd_ns(mark->server_list);
    int64_t now_ns = clock_now_ns();
    read_cpus(mark, &server, &client);
    ret->known = true;
    ret->cost = (struct strain_cost){
        .process_ns = process_ns,
        .softirqd_ns = mark->softirqd_ns < 0 || daemon_ns < 0 ? -1 : daemon_ns - mark->softirqd_ns,
        .core_ns = core_ns(mark, &server, now_ns),
    };
    ret->server =
        side(mark->server_wait_ns, process_wait_ns(mark->server), &mark->server_cpus, &server);
    ret->client = side(mark->client_wait_ns, process_thread_wait_ns(), &mark->client_cpus, &client);
    ret->elapsed_ns = clock_now_ns() - mark->began_ns;
}
