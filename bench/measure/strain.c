#include "measure/strain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure/cpus.h"
#include "measure/fields.h"

/* The columns of a line "cpu0 user nice system idle iowait irq softirq steal …". Time of guests is
 * in user and nice already. */
enum {
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

void strain_begin(struct strain_mark *mark, const struct process *server, const char *server_cpus,
                  const char *client_cpus)
{
    *mark = (struct strain_mark){
        .server = server, .server_list = server_cpus, .client_list = client_cpus};
    read_cpus(mark, &mark->server_cpus, &mark->client_cpus);
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

void strain_end(const struct strain_mark *mark, struct strain *ret)
{
    struct strain_cpus server, client;
    read_cpus(mark, &server, &client);
    ret->known = true;
    ret->server =
        side(mark->server_wait_ns, process_wait_ns(mark->server), &mark->server_cpus, &server);
    ret->client = side(mark->client_wait_ns, process_thread_wait_ns(), &mark->client_cpus, &client);
}
