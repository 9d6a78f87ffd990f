#include "experiment/cluster_nodes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "measure/ports.h"

enum {
    ENGINE_PLACE, /* of the lab; the nodes follow */
    NODE_PLACE,
    ENGINE_PORT = 6379,
    NODE_PORT = 8080,
    READY_MS = 20000,
    GRACE_MS = 10000,
    ADDRESS_MAX = 32,
    FOLDERS_OPEN = 8,
};

/* ---- words ---- */

__attribute__((format(printf, 2, 3))) static void word(struct cluster_command *command,
                                                       const char *format, ...)
{
    va_list arguments;
    assert(command->count < CLUSTER_WORDS_MAX);
    char *into = command->words[command->count];
    va_start(arguments, format);
    int len = vsnprintf(into, CLUSTER_WORD_MAX, format, arguments);
    va_end(arguments);
    assert(len < CLUSTER_WORD_MAX);
    command->argv[command->count++] = into;
    command->argv[command->count] = NULL;
}

static void begin(const struct lab *lab, unsigned place, struct cluster_command *command)
{
    const char *prefix[LAB_PREFIX_MAX + 1];
    command->count = 0;
    lab_prefix(lab, place, prefix);
    for (unsigned i = 0; prefix[i]; i++)
        word(command, "%s", prefix[i]);
    command->argv[command->count++] = command->program;
}

static void address_text(const struct sockaddr_in *address, char ret[ADDRESS_MAX])
{
    char host[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &address->sin_addr, host, sizeof host);
    snprintf(ret, ADDRESS_MAX, "%s:%u", host, ntohs(address->sin_port));
}

/* ---- the engine ---- */

static void redis_words(struct cluster_command *command, const char *host, unsigned port,
                        const char *folder, const char *fsync)
{
    word(command, "--port");
    word(command, "%u", port);
    word(command, "--bind");
    word(command, "%s", host);
    word(command, "--protected-mode");
    word(command, "no");
    word(command, "--dir");
    word(command, "%s", folder);
    word(command, "--save");
    word(command, "%s", "");
    word(command, "--appendonly");
    word(command, strcmp(fsync, "no") != 0 ? "yes" : "no");
    word(command, "--appendfsync");
    word(command, "%s", fsync);
}

/* It writes at once, and syncs by itself. */
static void nats_words(struct cluster_command *command, const char *host, unsigned port,
                       const char *folder)
{
    word(command, "-a");
    word(command, "%s", host);
    word(command, "-p");
    word(command, "%u", port);
    word(command, "-js");
    word(command, "-sd");
    word(command, "%s", folder);
}

static void engine_words(struct cluster *cluster)
{
    const struct options *options = cluster->bench->options;
    struct cluster_command *command = &cluster->engine_command;
    const bool redis = strcmp(options->broker, "redis") == 0;
    const unsigned port = ntohs(cluster->engine_address.sin_port);
    char host[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &cluster->engine_address.sin_addr, host, sizeof host);
    snprintf(command->program, sizeof command->program,
             redis ? "/usr/bin/redis-server" : "/usr/sbin/nats-server");
    begin(&cluster->lab, ENGINE_PLACE, command);
    if (redis)
        redis_words(command, host, port, cluster->folder, options->fsync);
    else
        nats_words(command, host, port, cluster->folder);
}

int cluster_start_engine(struct cluster *cluster)
{
    char tail[BENCH_WHY_MAX];
    cpu_set_t cpus;
    int err = cpus_parse(&cpus, cluster->bench->options->engine_cpus);
    if (err == 0)
        err = process_start(&cluster->engine, cluster->bench->options->broker,
                            cluster->engine_command.argv, &cpus);
    if (err < 0)
        return bench_fail(err, "the engine cannot be started: %s", strerror(-err));
    err = process_wait_ready(&cluster->engine, &cluster->engine_address, NULL, READY_MS);
    if (err == 0)
        return 0;
    process_output_tail(&cluster->engine, tail, sizeof tail);
    return bench_fail(err, "%s does not start: is it installed? It said:\n%s",
                      cluster->engine_command.program, tail);
}

void cluster_kill_engine(struct cluster *cluster)
{
    kill(cluster->engine.pid, SIGKILL);
    process_stop(&cluster->engine, GRACE_MS);
    process_done(&cluster->engine);
}

static int engine_begin(struct cluster *cluster)
{
    snprintf(cluster->folder, sizeof cluster->folder, "/tmp/ringside-engine-XXXXXX");
    if (!mkdtemp(cluster->folder)) {
        int err = -errno;
        cluster->folder[0] = '\0';
        return bench_fail(err, "no folder for the engine's files: %s", strerror(-err));
    }
    if (cluster->lab.apart) {
        cluster->engine_address = lab_address(&cluster->lab, ENGINE_PLACE, ENGINE_PORT);
    } else {
        cluster->engine_held_fd = ports_hold(INADDR_LOOPBACK, &cluster->engine_address);
        if (cluster->engine_held_fd < 0)
            return bench_fail(cluster->engine_held_fd, "no port is to be had");
    }
    engine_words(cluster);
    return cluster_start_engine(cluster);
}

/* ---- nodes ---- */

static int node_words(struct cluster *cluster, struct cluster_node *node, unsigned index,
                      uint32_t connections, const char *const *settings)
{
    const struct options *options = cluster->bench->options;
    struct cluster_command *command = &node->command;
    char listen[ADDRESS_MAX], engine[ADDRESS_MAX], path[BENCH_PATH_MAX];
    const char *program = bench_server_program(cluster->bench, path);
    if (!program)
        return -ENOENT;
    snprintf(command->program, sizeof command->program, "%s", program);
    address_text(&node->server->address, listen);
    address_text(&cluster->engine_address, engine);
    begin(&cluster->lab, NODE_PLACE + index, command);
    word(command, "--listen");
    word(command, "%s", listen);
    word(command, "--cpus");
    word(command, "%s", options->server_cpus);
    word(command, "--shards");
    word(command, "%u", options->shards);
    word(command, "--max-connections");
    word(command, "%u", connections + BENCH_CONNECTIONS_SLACK);
    word(command, "--set");
    word(command, "%s=%s", options->broker, engine);
    if (strcmp(options->broker, "nats") == 0) {
        word(command, "--set");
        word(command, "nats_durable=%s", strcmp(options->fsync, "no") != 0 ? "on" : "off");
    }
    for (; *settings; settings++) {
        word(command, "--set");
        word(command, "%s", *settings);
    }
    for (unsigned i = 0; i < options->set_count; i++) {
        word(command, "--set");
        word(command, "%s", options->sets[i]);
    }
    return 0;
}

static int node_begin(struct cluster *cluster, unsigned index, uint32_t connections,
                      const char *const *settings)
{
    struct cluster_node *node = &cluster->nodes[index];
    char text[ADDRESS_MAX], name[PROCESS_NAME_MAX];
    if (cluster->lab.apart) {
        struct sockaddr_in address = lab_address(&cluster->lab, NODE_PLACE + index, NODE_PORT);
        node->server = bench_server_at(cluster->bench, &address);
    } else {
        node->server = bench_server_place(cluster->bench, text, sizeof text);
    }
    if (!node->server)
        return -ENOSPC;
    cluster->count++;
    cluster->addresses[index] = node->server->address;
    int err = node_words(cluster, node, index, connections, settings);
    snprintf(name, sizeof name, "node-%u", index + 1);
    return err < 0 ? err
                   : bench_server_launch(cluster->bench, node->server, name, node->command.argv,
                                         connections);
}

void cluster_kill_node(struct cluster *cluster, unsigned node)
{
    struct process *process = &cluster->nodes[node].server->process;
    kill(process->pid, SIGKILL);
    process_stop(process, GRACE_MS);
    process_done(process);
}

int cluster_start_node(struct cluster *cluster, unsigned index)
{
    struct cluster_node *node = &cluster->nodes[index];
    char name[PROCESS_NAME_MAX];
    snprintf(name, sizeof name, "node-%u", index + 1);
    return bench_server_launch(cluster->bench, node->server, name, node->command.argv, 0);
}

int cluster_cut(struct cluster *cluster, unsigned node, bool cut)
{
    return lab_cut(&cluster->lab, ENGINE_PLACE, NODE_PLACE + node, cut);
}

int64_t cluster_nodes_cpu_ns(const struct cluster *cluster)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < cluster->count; i++)
        sum += process_cpu_ns(&cluster->nodes[i].server->process);
    return sum;
}

/* ---- all ---- */

int cluster_start(struct cluster *cluster, struct bench *bench, uint32_t connections,
                  const char *const *settings)
{
    *cluster = (struct cluster){.bench = bench, .engine_held_fd = -1, .engine.output_fd = -1};
    int err = lab_begin(&cluster->lab, 1 + bench->options->nodes);
    if (err == 0)
        err = engine_begin(cluster);
    for (unsigned i = 0; err == 0 && i < bench->options->nodes; i++)
        err = node_begin(cluster, i, connections, settings);
    return err;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static void folder_remove(const char *folder)
{
    if (folder[0] != '\0' && nftw(folder, remove_one, FOLDERS_OPEN, FTW_DEPTH | FTW_PHYS) != 0)
        bench_fail(-EIO, "%s could not be removed", folder);
}

int cluster_stop(struct cluster *cluster, int err)
{
    for (unsigned i = cluster->count; i > 0; i--)
        err = bench_server_end(cluster->bench, cluster->nodes[i - 1].server, err);
    process_stop(&cluster->engine, GRACE_MS);
    process_done(&cluster->engine);
    if (cluster->engine_held_fd >= 0)
        close(cluster->engine_held_fd);
    folder_remove(cluster->folder);
    lab_end(&cluster->lab);
    return err;
}
