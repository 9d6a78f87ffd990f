/* webhooks_push: what a courier at full load does to the push path of the same server.
 *
 *   the server's CPU    shard ──► a message to all subscribers, at a rate
 *   the clients' CPU    publisher, subscribers │ courier ──► receivers, when it is under load
 *
 * Turns with the courier at rest and with more to deliver than it can alternate. An event is for
 * many endpoints, so that few of them, which a shard has to take, are full load. Whatever is no
 * shard, and the receivers, which are a process of their own, leave the CPU to publisher and
 * subscribers when these want it: what is told is what the shards feel. */
#include "experiment/webhooks_push.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "experiment/field.h"
#include "measure/clock.h"
#include "measure/cpus.h"
#include "output/figure.h"

enum {
    SUBSCRIBERS = 400,

    NICE_LAST = 19,
    WAIT_US = 2000,
    TEXT_MAX = 64,
};

static const double MESSAGES_PER_S = 50, EVENTS_PER_S = 600;
static const int64_t SLICE_NS = 50 * NS_PER_MS, DRAIN_NS = (int64_t)60 * NS_PER_S;

enum {
    AT_REST,
    AT_LOAD,
    PARTS,
};

/* Between this process and that of the receivers. */
struct orders {
    atomic_bool load, leave;
    atomic_bool at_rest; /* all that was posted has arrived */
    _Atomic uint64_t delivered;
};

struct push {
    struct bench *bench;
    struct field field;
    struct server *server;
    struct webhooks_loop *loop;
    struct webhooks_set *set;
    struct orders *orders;
    pid_t child;
    cpu_set_t shards;
    struct contestant *contestants[PARTS];
    json_t *shard_cpu_s[PARTS], *delivered[PARTS];
};

/* ---- threads of the server ---- */

/* Tells the thread ids of the server, and whether each is a shard, which has its CPUs. */
static void threads_each(const struct push *push, void (*each)(void *, pid_t, bool), void *context)
{
    char path[TEXT_MAX];
    const struct dirent *entry;
    snprintf(path, sizeof path, "/proc/%d/task", (int)push->server->process.pid);
    DIR *tasks = opendir(path);
    while (tasks && (entry = readdir(tasks)) != NULL) {
        cpu_set_t cpus;
        pid_t thread = (pid_t)strtol(entry->d_name, NULL, 10);
        if (thread > 0 && sched_getaffinity(thread, sizeof cpus, &cpus) == 0)
            each(context, thread, CPU_EQUAL(&cpus, &push->shards));
    }
    if (tasks)
        closedir(tasks);
}

static void stand_back(void *context, pid_t thread, bool is_shard)
{
    (void)context;
    if (!is_shard)
        setpriority(PRIO_PROCESS, (id_t)thread, NICE_LAST);
}

struct used_by_shards {
    pid_t process;
    int64_t ns;
};

static void shard_add(void *context, pid_t thread, bool is_shard)
{
    struct used_by_shards *used = context;
    char path[TEXT_MAX];
    char text[TEXT_MAX] = "";
    if (!is_shard)
        return;
    snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", (int)used->process, (int)thread);
    FILE *file = fopen(path, "r");
    if (file && fgets(text, sizeof text, file))
        used->ns += strtoll(text, NULL, 10);
    if (file)
        fclose(file);
}

static int64_t shards_cpu_ns(const struct push *push)
{
    struct used_by_shards used = {push->server->process.pid, 0};
    threads_each(push, shard_add, &used);
    return used.ns;
}

/* ---- the receivers' process ---- */

static int receive(struct push *push)
{
    struct orders *orders = push->orders;
    const uint64_t each = webhooks_push_endpoints(push->bench->options) / WEBHOOKS_PUSH_CHANNELS;
    int err = 0;
    while (err == 0 && !atomic_load(&orders->leave)) {
        if (atomic_load(&orders->load)) {
            atomic_store(&orders->at_rest, false);
            err = webhooks_loop_post(push->loop, push->set, 1, EVENTS_PER_S, SLICE_NS);
        } else {
            err = webhooks_loop_await(push->loop, push->set, each * push->set->accepted, SLICE_NS);
            atomic_store(&orders->at_rest, push->set->came >= each * push->set->accepted);
        }
        atomic_store(&orders->delivered, push->set->came);
    }
    return err;
}

static int child_start(struct push *push)
{
    push->orders =
        mmap(NULL, sizeof *push->orders, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (push->orders == MAP_FAILED)
        return bench_fail(-errno, "no memory to share: %s", strerror(errno));
    push->child = fork();
    if (push->child < 0)
        return bench_fail(-errno, "no process for the receivers: %s", strerror(errno));
    if (push->child > 0)
        return 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpriority(PRIO_PROCESS, 0, NICE_LAST);
    _exit(receive(push) < 0);
}

static int child_end(struct push *push, int err)
{
    int status = 0;
    if (push->child <= 0)
        return err;
    atomic_store(&push->orders->leave, true);
    if (waitpid(push->child, &status, 0) == push->child && status != 0 && err == 0)
        err = bench_fail(-EIO, "the receivers' process failed");
    return err;
}

/* ---- turns ---- */

static int settle(struct push *push, bool load)
{
    const int64_t end_ns = clock_now_ns() + DRAIN_NS;
    atomic_store(&push->orders->load, load);
    while (load == atomic_load(&push->orders->at_rest)) {
        if (bench_interrupted())
            return -EINTR;
        if (clock_now_ns() > end_ns || waitpid(push->child, NULL, WNOHANG) != 0)
            return bench_fail(-ETIME, "the courier does not deliver what was accepted");
        usleep(WAIT_US);
    }
    return 0;
}

static int turn(void *context, unsigned at, unsigned round, bool counted)
{
    struct push *push = context;
    const struct load_mode mode = {.rate_per_s = MESSAGES_PER_S};
    int err = settle(push, at == AT_LOAD);
    const int64_t cpu_ns = shards_cpu_ns(push);
    const uint64_t delivered = atomic_load(&push->orders->delivered);
    if (err == 0)
        err = field_one_turn(&push->field, 0, &mode, push->contestants[at], round, counted);
    if (err == 0 && counted) {
        json_array_append_new(push->shard_cpu_s[at], figure_seconds(shards_cpu_ns(push) - cpu_ns));
        json_array_append_new(push->delivered[at],
                              figure_count(atomic_load(&push->orders->delivered) - delivered));
    }
    return err;
}

static int play(struct push *push)
{
    static const char *const workloads[PARTS] = {"push, courier at rest",
                                                 "push, courier at full load"};
    struct field *field = &push->field;
    for (int part = 0; part < PARTS; part++) {
        push->contestants[part] = field_contestant(field, 0, workloads[part]);
        push->shard_cpu_s[part] = json_array();
        push->delivered[part] = json_array();
    }
    int err = field_take_turns(field, PARTS, turn, push);
    for (int part = 0; part < PARTS; part++)
        contestant_figure(push->contestants[part], "beside",
                          json_pack("{s:o, s:o}", "shard_cpu_s", push->shard_cpu_s[part],
                                    "delivered", push->delivered[part]));
    return err;
}

uint32_t webhooks_push_endpoints(const struct options *options)
{
    uint32_t endpoints = options->endpoints - options->endpoints % WEBHOOKS_PUSH_CHANNELS;
    return endpoints > 0 ? endpoints : WEBHOOKS_PUSH_CHANNELS;
}

int webhooks_push(struct bench *bench, struct webhooks_loop *loop, struct webhooks_set *set,
                  struct server *server)
{
    static struct push push;
    push = (struct push){.bench = bench, .loop = loop, .set = set, .server = server};
    int err = cpus_parse(&push.shards, bench->options->server_cpus);
    if (err < 0)
        return err;
    threads_each(&push, stand_back, NULL);
    err = child_start(&push);
    field_init(&push.field, bench);
    field_add(&push.field, "websocket", KIND_TRANSPORT, &protocol_websocket, server, SUBSCRIBERS);
    if (err == 0)
        err = field_open(&push.field);
    if (err == 0)
        err = play(&push);
    err = child_end(&push, err);
    field_close(&push.field);
    if (err == 0)
        result_note(&bench->result,
                    "Push: %d subscribers, %.0f messages/s. Shards have the server's CPUs for "
                    "themselves; courier, receivers, publisher and subscribers are on the "
                    "clients', the latter before the others.",
                    SUBSCRIBERS, MESSAGES_PER_S);
    return err;
}
