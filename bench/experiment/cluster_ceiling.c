#include "experiment/cluster_ceiling.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "experiment/caller.h"
#include "measure/clock.h"

enum {
    ARGUMENTS_MAX = CEILING_WORDS_MAX + 16,
    TRIES = 5, /* the first publish of a node may carry the script as a whole */
    FIRST_COUNT = 5000,
    COUNT_MAX = 50000000,
    PATIENCE_S = 10,
    SAID_MAX = 64 * 1024,
    HEAD_MAX = 256,
};

#define PROGRAM "/usr/bin/redis-benchmark"
#define CHANNEL "bench-ceiling"

/* ---- what a node sends ---- */

static int publish(const struct cluster *cluster)
{
    const uint32_t size = cluster->bench->options->message_bytes;
    struct caller caller;
    char *text = malloc(HEAD_MAX + size);
    assert(text);
    int len = snprintf(text, HEAD_MAX,
                       "POST /publish?channel=" CHANNEL " HTTP/1.1\r\nHost: bench\r\n"
                       "Content-Length: %u\r\n\r\n",
                       size);
    memset(text + len, 'x', size);
    int status = caller_connect(&caller, &cluster->addresses[0], NULL, PATIENCE_S);
    if (status == 0)
        status = caller_say(&caller, text, (size_t)len + size);
    if (status == 0)
        status = caller_answered(&caller);
    caller_hang_up(&caller);
    free(text);
    return status == 200 ? 0 : status < 0 ? status : -EPROTO;
}

static int dial(const struct sockaddr_in *address)
{
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0)
        return fd;
    int err = -errno;
    close(fd);
    return err;
}

/* The next line of it, without its end. */
static int line_read(FILE *file, char *line, size_t size)
{
    if (!fgets(line, (int)size, file))
        return -EIO;
    size_t len = strlen(line);
    if (len == 0 || line[len - 1] != '\n')
        return -EMSGSIZE;
    line[len - 1 - (len > 1 && line[len - 2] == '\r')] = '\0';
    return 0;
}

/* Of a word in quotes, as MONITOR writes them: \n, \", \x00. Returns where it ends, or NULL. */
static char *word_unquote(char *at, char **out)
{
    static const char escapes[] = "n\nr\rt\ta\ab\b";
    while (*at && *at != '"') {
        char c = *at++;
        const char *known = NULL;
        if (c == '\\' && *at == 'x' && at[1] && at[2]) {
            const char digits[] = {at[1], at[2], '\0'};
            c = (char)strtoul(digits, NULL, 16);
            at += 3;
        } else if (c == '\\' && *at) {
            known = strchr(escapes, *at);
            c = known && (known - escapes) % 2 == 0 ? known[1] : *at;
            at++;
        }
        *(*out)++ = c ? c : '0';
    }
    if (*at != '"')
        return NULL;
    *(*out)++ = '\0';
    return at + 1;
}

/* The words of a line, in place. Returns how many; 0: it is no command. */
static unsigned words_read(char *line, const char *ret[CEILING_WORDS_MAX + 1])
{
    unsigned count = 0;
    char *at = strstr(line, "] \"");
    if (!at)
        return 0;
    for (at += 2; *at == '"' && count < CEILING_WORDS_MAX; at += *at == ' ') {
        char *out = at;
        ret[count++] = at;
        at = word_unquote(at + 1, &out);
        if (!at)
            return 0;
    }
    ret[count] = NULL;
    return *at == '\0' ? count : 0;
}

static int overhear(struct ceiling *ceiling, FILE *file)
{
    int err = line_read(file, ceiling->text, CEILING_TEXT_MAX);
    for (int tries = 0; err == 0 && tries < TRIES; tries++) {
        err = publish(ceiling->cluster);
        for (bool own = false; err == 0 && !own;) {
            err = line_read(file, ceiling->text, CEILING_TEXT_MAX);
            own = err == 0 && strstr(ceiling->text, CHANNEL) && !strstr(ceiling->text, " lua] ");
            if (own && words_read(ceiling->text, ceiling->words[CEILING_SCRIPT]) > 0 &&
                strcasecmp(ceiling->words[CEILING_SCRIPT][0], "evalsha") == 0)
                return 0;
        }
    }
    return err < 0 ? err : -EPROTO;
}

/* As many bytes as the script publishes: a line with epoch, offset and time, and the message. */
static char *plain_make(uint32_t size)
{
    static const char head[] = "0123456789abcdef 123456 1700000000000\n1..";
    char *item = malloc(sizeof head + size);
    assert(item);
    memcpy(item, head, sizeof head - 1);
    memset(item + sizeof head - 1, 'x', size);
    item[sizeof head - 1 + size] = '\0';
    return item;
}

int ceiling_learn(struct ceiling *ceiling, const struct cluster *cluster)
{
    static const char monitor[] = "MONITOR\r\n";
    *ceiling = (struct ceiling){.cluster = cluster, .text = malloc(CEILING_TEXT_MAX)};
    assert(ceiling->text);
    int fd = dial(&cluster->engine_address);
    int err = fd < 0 ? fd : 0;
    if (err == 0 && send(fd, monitor, sizeof monitor - 1, MSG_NOSIGNAL) < 0)
        err = -errno;
    FILE *file = err == 0 ? fdopen(fd, "r") : NULL;
    if (file)
        err = overhear(ceiling, file);
    if (file)
        fclose(file);
    else if (fd >= 0)
        close(fd);
    const char **plain = ceiling->words[CEILING_PLAIN];
    plain[0] = "publish";
    plain[1] = CHANNEL;
    plain[2] = plain_make(cluster->bench->options->message_bytes);
    return err < 0 ? bench_fail(err, "what a node sends to the engine was not heard: %s",
                                strerror(-err))
                   : 0;
}

void ceiling_done(struct ceiling *ceiling)
{
    free((char *)(uintptr_t)ceiling->words[CEILING_PLAIN][2]);
    free(ceiling->text);
    *ceiling = (struct ceiling){0};
}

/* ---- again and again ---- */

/* "evalsha …: 12345.67 requests per second, p50=…", behind what it said meanwhile. */
static double rate_said(const struct process *process)
{
    static const char label[] = " requests per second";
    char *said = calloc(1, SAID_MAX);
    double rate = 0;
    assert(said);
    off_t size = lseek(process->output_fd, 0, SEEK_END);
    off_t from = size > SAID_MAX - 1 ? size - (SAID_MAX - 1) : 0;
    if (pread(process->output_fd, said, SAID_MAX - 1, from) > 0) {
        char *found = strstr(said, label), *next = found;
        while (next && (next = strstr(next + 1, label)))
            found = next;
        while (found && found > said && found[-1] != ' ')
            found--;
        rate = found ? strtod(found, NULL) : 0;
    }
    free(said);
    return rate;
}

static int benchmark(struct ceiling *ceiling, enum ceiling_kind kind, uint32_t depth,
                     uint64_t count, double *ret_per_s)
{
    const struct cluster *cluster = ceiling->cluster;
    char host[INET_ADDRSTRLEN], port[8], many[24], pipeline[16], connections[16];
    const char *argv[ARGUMENTS_MAX] = {PROGRAM, "-h", host,     "-p", port,        "-n",
                                       many,    "-P", pipeline, "-c", connections, "-q"};
    struct process process;
    cpu_set_t cpus;
    unsigned words = 12;
    inet_ntop(AF_INET, &cluster->engine_address.sin_addr, host, sizeof host);
    snprintf(port, sizeof port, "%u", ntohs(cluster->engine_address.sin_port));
    snprintf(many, sizeof many, "%lu", (unsigned long)count);
    snprintf(pipeline, sizeof pipeline, "%u", depth);
    snprintf(connections, sizeof connections, "%u", cluster->count);
    for (unsigned i = 0; ceiling->words[kind][i]; i++)
        argv[words++] = ceiling->words[kind][i];
    argv[words] = NULL;
    int err = cpus_parse(&cpus, cluster->bench->options->client_cpus);
    if (err == 0)
        err = process_start(&process, "redis-benchmark", (char *const *)argv, &cpus);
    if (err < 0)
        return bench_fail(err, "cannot start %s: %s", PROGRAM, strerror(-err));
    int status = process_finish(&process, UINT32_MAX / 2);
    *ret_per_s = rate_said(&process);
    process_done(&process);
    return status == 0 && *ret_per_s > 0
               ? 0
               : bench_fail(-EIO, "%s ended with status %d", PROGRAM, status);
}

int ceiling_run(struct ceiling *ceiling, enum ceiling_kind kind, uint32_t depth,
                int64_t duration_ns, struct ceiling_turn *ret)
{
    const struct process *engine = &ceiling->cluster->engine;
    double per_s = 0;
    int err = 0;
    if (ceiling->per_s[kind] == 0)
        err = benchmark(ceiling, kind, depth, FIRST_COUNT, &ceiling->per_s[kind]);
    if (err < 0)
        return err;
    double count = ceiling->per_s[kind] * (double)duration_ns / NS_PER_S;
    ret->count = count < FIRST_COUNT ? FIRST_COUNT
                 : count > COUNT_MAX ? COUNT_MAX
                                     : (uint64_t)count;
    int64_t cpu_ns = process_cpu_ns(engine);
    err = benchmark(ceiling, kind, depth, ret->count, &per_s);
    if (err < 0)
        return err;
    ret->engine_cpu_ns = process_cpu_ns(engine) - cpu_ns;
    ret->elapsed_ns = (int64_t)((double)ret->count / per_s * NS_PER_S);
    ceiling->per_s[kind] = per_s;
    return 0;
}
