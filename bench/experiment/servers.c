/* servers: starting and ending what is measured. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/build_info.h"
#include "core/ring.h"
#include "experiment/bench.h"
#include "experiment/secret.h"
#include "experiment/socketless.h"
#include "measure/http_get.h"
#include "measure/memory.h"
#include "measure/ports.h"
#include "output/number.h"

enum {
    READY_PATIENCE_MS = 20000,
    STOP_GRACE_MS = 15000,
    ARGUMENTS_MAX = 64,
    UDP_SETTING_MAX = 32,
    ARGUMENTS_BYTES_MAX = 8192,
    DESCRIPTORS_OWN = 32,
    PATH_CONNECTIONS_SPARE = 16, /* health checks, and what has not closed yet */
    BYTES_SPARE = 256 * 1024 * 1024,
    MEMORY_LOOK_MS = 100,
    MEMORY_STILL = 20, /* looks that find no more of it */
    MEMORY_STEP_BYTES = 4 * 1024 * 1024,
};

static struct server *server_add(struct bench *bench)
{
    if (bench->server_count == BENCH_SERVERS_MAX)
        return NULL;
    struct server *server = &bench->servers[bench->server_count++];
    *server = (struct server){.process.output_fd = -1, .held_fds = {-1, -1}, .ready = "/healthz"};
    return server;
}

/* A program of our own, in the build tree or where it is installed: beside this one, or, where
 * people have no use for it, in libexec. */
static const char *program_path(const struct bench *bench, const char *in_build, const char *name,
                                char path[BENCH_PATH_MAX])
{
    snprintf(path, BENCH_PATH_MAX, "%.3000s/%s", bench->folder, in_build);
    if (access(path, X_OK) != 0)
        snprintf(path, BENCH_PATH_MAX, "%.3000s/%s", bench->folder, name);
    if (access(path, X_OK) != 0)
        snprintf(path, BENCH_PATH_MAX, "%.3000s/../libexec/ringside/%s", bench->folder, name);
    return access(path, X_OK) == 0 ? path : NULL;
}

static int wait_until_ready(struct server *server)
{
    char tail[BENCH_WHY_MAX];
    int err =
        process_wait_ready(&server->process, &server->address, server->ready, READY_PATIENCE_MS);
    if (err == 0)
        return 0;
    process_output_tail(&server->process, tail, sizeof tail);
    bench_fail(err, "%s %s%s%s%s", server->process.name,
               err == -ECHILD  ? "has ended at once"
               : server->ready ? "does not answer "
                               : "does not accept connections",
               err != -ECHILD && server->ready ? server->ready : "", tail[0] ? ". It said:\n" : "",
               tail);
    process_stop(&server->process, STOP_GRACE_MS);
    process_done(&server->process);
    return err;
}

/* Subscribers connect to the server, or to relays in front of it: one for each of its ports. */
static int reach(struct bench *bench, struct server *server, uint32_t connections)
{
    const uint32_t rtt_ms = bench->options->rtt_ms;
    server->reach = server->address;
    server->tls_reach = server->tls_address;
    if (rtt_ms == 0 || bench->phantom) /* which has the round trip in its own network */
        return 0;
    int err = bench_path_start(bench, server, false, rtt_ms, connections, &server->reach);
    if (err < 0 || server->tls_address.sin_family == 0)
        return err;
    return bench_path_start(bench, server, true, rtt_ms, connections, &server->tls_reach);
}

/* Workers of a peer are there when it is ready, or soon after. */
static int gather(struct server *server)
{
    int err = server->peer ? process_family(&server->process) : 0;
    return err < 0 ? bench_fail(err, "%s has more than %d processes", server->process.name,
                                PROCESS_WORKERS_MAX)
                   : 0;
}

int bench_server_launch(struct bench *bench, struct server *server, const char *name,
                        char *const argv[], uint32_t connections)
{
    cpu_set_t cpus;
    const char *asked = server->beside_clients || bench->beside_clients
                            ? bench->options->client_cpus
                            : bench->options->server_cpus;
    int err = cpus_parse(&cpus, asked);
    if (err < 0)
        return bench_fail(err, "these CPUs cannot be used: %s", asked);
    server->cpus = (unsigned)CPU_COUNT(&cpus);
    err = process_start(&server->process, name, argv, &cpus);
    if (err < 0)
        return bench_fail(err, "cannot start %s: %s", argv[0], strerror(-err));
    if (server->peer)
        err = process_guard(&server->process);
    if (err < 0)
        return bench_fail(err, "cannot guard %s: %s", argv[0], strerror(-err));
    err = wait_until_ready(server);
    if (err == 0)
        err = gather(server);
    return err < 0 ? err : reach(bench, server, connections);
}

static int choose_address(const struct bench *bench, struct sockaddr_in *address, int *held_fd,
                          char *text, size_t size)
{
    char host[INET_ADDRSTRLEN];
    int fd = ports_hold(socketless_host(bench), address);
    if (fd < 0)
        return bench_fail(fd, "no port is to be had: %s", strerror(-fd));
    *held_fd = fd;
    inet_ntop(AF_INET, &address->sin_addr, host, sizeof host);
    snprintf(text, size, "%s:%u", host, ntohs(address->sin_port));
    return 0;
}

static void give_back(int *held_fd)
{
    if (*held_fd >= 0)
        close(*held_fd);
    *held_fd = -1;
}

struct server *bench_server_place(struct bench *bench, char *address, size_t size)
{
    struct server *server = server_add(bench);
    if (!server)
        bench_fail(-ENOSPC, "too many servers in one run");
    return server &&
                   choose_address(bench, &server->address, &server->held_fds[0], address, size) == 0
               ? server
               : NULL;
}

struct server *bench_server_at(struct bench *bench, const struct sockaddr_in *address)
{
    struct server *server = server_add(bench);
    if (!server)
        bench_fail(-ENOSPC, "too many servers in one run");
    else
        server->address = *address;
    return server;
}

const char *bench_server_program(const struct bench *bench, char path[BENCH_PATH_MAX])
{
    const char *found = bench->options->server ? bench->options->server
                                               : program_path(bench, "../server/ringside-server",
                                                              "ringside-server", path);
    if (!found)
        bench_fail(-ENOENT, "there is no ringside-server beside this program; `./build.sh build` "
                            "makes one, --server names another");
    return found;
}

int bench_server_adopt(struct bench *bench, struct server *server, const char *name,
                       uint32_t connections)
{
    char text[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &server->address.sin_addr, text, sizeof text);
    process_adopt(&server->process, name, &server->address);
    if (server->process.pid == 0)
        result_note(&bench->result,
                    "The server at %s:%u is not a process of this machine that we may look at: its "
                    "CPU time and memory are unknown.",
                    text, ntohs(server->address.sin_port));
    else
        result_note(&bench->result,
                    "The server at %s:%u ran already and was not pinned by the bench.", text,
                    ntohs(server->address.sin_port));
    cpu_set_t cpus;
    if (server->process.pid > 0 && sched_getaffinity(server->process.pid, sizeof cpus, &cpus) == 0)
        server->cpus = (unsigned)CPU_COUNT(&cpus);
    int err = wait_until_ready(server);
    return err < 0 ? err : reach(bench, server, connections);
}

int bench_server_tls_place(struct bench *bench, struct server *server)
{
    char text[32];
    int err = certificate_make(&bench->certificate);
    return err == 0 ? choose_address(bench, &server->tls_address, &server->held_fds[1], text,
                                     sizeof text)
                    : err;
}

/* The settings of a server with a TLS port. */
struct tls_settings {
    char listen[64];
    char certificates[2 * WAY_FILE_MAX + 32];
};

static int tls_settings(struct bench *bench, struct server *server, struct tls_settings *ret)
{
    const struct certificate *certificate = &bench->certificate;
    int err = bench_server_tls_place(bench, server);
    if (err < 0)
        return err;
    char host[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &server->tls_address.sin_addr, host, sizeof host);
    snprintf(ret->listen, sizeof ret->listen, "tls_listen=%s:%u", host,
             ntohs(server->tls_address.sin_port));
    snprintf(ret->certificates, sizeof ret->certificates, "tls_certificates=%s:%s",
             certificate->chain, certificate->key);
    return 0;
}

/* What the server says that it was built from; one from before it said so leaves nothing. */
static void note_source(struct bench *bench, const struct server *server)
{
    static const char label[] = "\nringside_build_info{";
    char *source = bench->result.server_source;
    struct http_get get;
    char *text = malloc(HTTP_GET_METRICS_MAX);
    http_get_init(&get, &server->address);
    int status = text ? http_get(&get, "/metrics", text, HTTP_GET_METRICS_MAX) : -ENOMEM;
    const char *found = status == 200 ? strstr(text, label) : NULL;
    found = found ? strstr(found, "commit=\"") : NULL;
    if (found)
        sscanf(found, "commit=\"%63[^\"]", source);
    http_get_done(&get);
    free(text);
    if (found && strcmp(source, build_source) != 0)
        result_note(&bench->result, "The server was built from %s, the bench from %s.", source,
                    build_source);
}

static int arguments_add(const char **argv, int count, const char *const *list, size_t len)
{
    for (size_t i = 0; i < len; i++)
        argv[count++] = list[i];
    return count;
}

/* What transports over UDP need. A connection is a stream of its port, and so is each of its
 * requests or channels. Returns how many arguments there are then. */
static int udp_set(const struct options *options, uint32_t connections, const char **argv,
                   int count, char streams[UDP_SETTING_MAX])
{
    snprintf(streams, UDP_SETTING_MAX, "streams_max=%u",
             2 * (connections + connections / BENCH_CONNECTIONS_SHARE + BENCH_CONNECTIONS_SLACK));
    const char *const both[] = {"--set", streams};
    const char *const quic[] = {"--set", "http3=on"};
    const char *const rtc[] = {"--set", "rtc_address=127.0.0.1",  "--set", "rtc_port=0",
                               "--set", "rtc_handshakes_max=4096"};
    if (ways_have(options, PROTOCOL_UDP))
        count = arguments_add(argv, count, both, sizeof both / sizeof both[0]);
    if (ways_have(options, PROTOCOL_QUIC))
        count = arguments_add(argv, count, quic, sizeof quic / sizeof quic[0]);
    if (ways_have(options, PROTOCOL_RTC))
        count = arguments_add(argv, count, rtc, sizeof rtc / sizeof rtc[0]);
    return count;
}

int bench_server_start(struct bench *bench, uint32_t connections, const char *const *extra,
                       struct server **ret)
{
    const struct options *options = bench->options;
    struct server *server = *ret = server_add(bench);
    char path[BENCH_PATH_MAX], listen[32], shards[16], most[16], streams[UDP_SETTING_MAX];
    struct tls_settings tls;
    const char *argv[ARGUMENTS_MAX];
    int count = 0;
    if (!server)
        return bench_fail(-ENOSPC, "too many servers in one run");
    if (options->address) {
        server->address = options->target;
        server->tls_address = options->tls_target;
        if ((options->tls || ways_have(options, PROTOCOL_QUIC)) && !options->tls_address)
            return bench_fail(
                -EINVAL, "--tls, and transports over QUIC, need --tls-address beside --address");
        int adopted = bench_server_adopt(bench, server, "ringside-server", connections);
        if (adopted == 0)
            note_source(bench, server);
        return adopted;
    }
    argv[count] = bench_server_program(bench, path);
    if (!argv[count++])
        return -ENOENT;
    int err = choose_address(bench, &server->address, &server->held_fds[0], listen, sizeof listen);
    if (err < 0)
        return err;
    snprintf(shards, sizeof shards, "%u", options->shards);
    snprintf(most, sizeof most, "%u",
             connections + connections / BENCH_CONNECTIONS_SHARE + BENCH_CONNECTIONS_SLACK);
    const char *const fixed[] = {
        "--listen",          listen, "--cpus", options->server_cpus,  "--shards", shards,
        "--max-connections", most,   "--set",  "websocket_publish=on"};
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        argv[count++] = fixed[i];
    for (; extra && *extra; extra++) {
        argv[count++] = "--set";
        argv[count++] = *extra;
    }
    if (options->tls || ways_have(options, PROTOCOL_QUIC)) {
        err = tls_settings(bench, server, &tls);
        if (err < 0)
            return err;
        argv[count++] = "--set";
        argv[count++] = tls.listen;
        argv[count++] = "--set";
        argv[count++] = tls.certificates;
    }
    count = udp_set(options, connections, argv, count, streams);
    if (options->tokens) {
        (void)secret_of_run();
        argv[count++] = "--set";
        argv[count++] = secret_setting;
    }
    for (unsigned i = 0; i < options->set_count; i++) {
        argv[count++] = "--set";
        argv[count++] = options->sets[i];
    }
    argv[count] = NULL;
    err = bench_server_launch(bench, server, "ringside-server", (char *const *)argv, connections);
    if (err == 0)
        note_source(bench, server);
    return err;
}

/* The arguments of a process that runs, as it was given them; in `area`. Returns 0 or -EIO. */
static int arguments_of(pid_t pid, char area[ARGUMENTS_BYTES_MAX], char *argv[ARGUMENTS_MAX])
{
    char path[32];
    unsigned count = 0;
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    FILE *file = fopen(path, "re");
    size_t len = file ? fread(area, 1, ARGUMENTS_BYTES_MAX - 1, file) : 0;
    if (file)
        fclose(file);
    area[len] = '\0';
    for (size_t at = 0; at < len && count < ARGUMENTS_MAX - 1; at += strlen(area + at) + 1)
        argv[count++] = area + at;
    argv[count] = NULL;
    return count > 0 && count < ARGUMENTS_MAX - 1 && len < ARGUMENTS_BYTES_MAX - 1 ? 0 : -EIO;
}

int bench_server_restart(struct bench *bench, struct server *server)
{
    char area[ARGUMENTS_BYTES_MAX], name[PROCESS_NAME_MAX], *argv[ARGUMENTS_MAX];
    cpu_set_t cpus;
    struct process *process = &server->process;
    if (process->pid == 0 || process->foreign || arguments_of(process->pid, area, argv) < 0)
        return bench_fail(-ESRCH, "the server cannot be restarted: it is not ours");
    memcpy(name, process->name, sizeof name);
    int status = process_stop(process, STOP_GRACE_MS);
    process_done(process);
    if (status != 0)
        return bench_fail(-EIO, "%s ended with status %d", name, status);
    int err = cpus_parse(&cpus, bench->options->server_cpus);
    if (err == 0)
        err = process_start(process, name, argv, &cpus);
    return err < 0 ? bench_fail(err, "cannot start %s: %s", argv[0], strerror(-err))
                   : wait_until_ready(server);
}

bool bench_bare_fits(enum bare_loop loop, uint32_t connections)
{
    struct rlimit limit;
    return (loop == BARE_URING && ring_is_direct()) || getrlimit(RLIMIT_NOFILE, &limit) < 0 ||
           connections + DESCRIPTORS_OWN <= limit.rlim_max;
}

int bench_bare_start(struct bench *bench, enum bare_loop loop, uint32_t connections,
                     struct server **ret)
{
    struct server *server = *ret = server_add(bench);
    char path[BENCH_PATH_MAX], listen[32], most[16];
    if (!server)
        return bench_fail(-ENOSPC, "too many servers in one run");
    const char *program = program_path(bench, "ceiling/ringside-ceiling", "ringside-ceiling", path);
    if (!program)
        return bench_fail(-ENOENT, "there is no ringside-ceiling beside this program; "
                                   "`./build.sh build` makes one");
    int err = choose_address(bench, &server->address, &server->held_fds[0], listen, sizeof listen);
    if (err < 0)
        return err;
    snprintf(most, sizeof most, "%u", connections + 4);
    const char *const argv[] = {program, bare_loop_name(loop), listen, most, NULL};
    return bench_server_launch(bench, server, bare_loop_name(loop), (char *const *)argv,
                               connections);
}

int bench_server_stop(struct server *server)
{
    char tail[BENCH_WHY_MAX];
    for (unsigned i = 0; i < 2; i++)
        give_back(&server->held_fds[i]);
    if (server->process.pid == 0 || server->process.foreign)
        return 0;
    int status = process_stop(&server->process, STOP_GRACE_MS);
    process_output_tail(&server->process, tail, sizeof tail);
    process_done(&server->process);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    if (server->peer && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM)
        return 0;
    if (WIFSIGNALED(status))
        bench_fail(-EIO, "%s died of signal %d (%s). It said:\n%s", server->process.name,
                   WTERMSIG(status), strsignal(WTERMSIG(status)), tail);
    else
        bench_fail(-EIO, "%s ended with status %d. It said:\n%s", server->process.name,
                   WEXITSTATUS(status), tail);
    return -EIO;
}

int bench_server_end(struct bench *bench, struct server *server, int err)
{
    if (!server)
        return err;
    int stopped = bench_server_stop(server);
    bench->server_count--;
    return err ? err : stopped;
}

/* ---- relays ---- */

static int path_launch(struct bench *bench, struct path *path, const char *ready,
                       char *const argv[])
{
    cpu_set_t cpus;
    char tail[BENCH_WHY_MAX];
    int err = cpus_parse(&cpus, bench->options->client_cpus);
    if (err == 0)
        err = process_start(&path->process, "ringside-relay", argv, &cpus);
    if (err < 0)
        return bench_fail(err, "cannot start %s: %s", argv[0], strerror(-err));
    err = process_wait_ready(&path->process, &path->address, ready, READY_PATIENCE_MS);
    if (err == 0)
        return 0;
    process_output_tail(&path->process, tail, sizeof tail);
    return bench_fail(err, "the relay carries nothing%s%s", tail[0] ? ". It said:\n" : "", tail);
}

int bench_path_start(struct bench *bench, const struct server *server, bool tls, uint32_t rtt_ms,
                     uint32_t connections, struct sockaddr_in *ret)
{
    if (bench->path_count == BENCH_PATHS_MAX)
        return bench_fail(-ENOSPC, "too many relays in one run");
    struct path *path = &bench->paths[bench->path_count];
    char program[BENCH_PATH_MAX], listen[32], to[32], rtt[32], jitter[32], most[16];
    const struct sockaddr_in *port = tls ? &server->tls_address : &server->address;
    *path = (struct path){.held_fd = -1, .rtt_ms = rtt_ms, .tls = tls};
    if (!program_path(bench, "relay/ringside-relay", "ringside-relay", program))
        return bench_fail(-ENOENT, "there is no ringside-relay beside this program; "
                                   "`./build.sh build` makes one");
    int err = choose_address(bench, &path->address, &path->held_fd, listen, sizeof listen);
    if (err < 0)
        return err;
    char host[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &port->sin_addr, host, sizeof host);
    snprintf(to, sizeof to, "%s:%u", host, ntohs(port->sin_port));
    snprintf(rtt, sizeof rtt, "%u", rtt_ms);
    snprintf(jitter, sizeof jitter, "%u", bench->options->jitter_ms);
    snprintf(most, sizeof most, "%u", connections + PATH_CONNECTIONS_SPARE);
    const char *const argv[] = {program, "--listen",    listen, "--to",          to,   "--rtt-ms",
                                rtt,     "--jitter-ms", jitter, "--connections", most, NULL};
    bench->path_count++;
    *ret = path->address;
    /* Nothing is asked in plain text where TLS is spoken. */
    return path_launch(bench, path, tls ? NULL : server->ready, (char *const *)argv);
}

/* A figure of the line that a relay ends with; -1: it is not there. */
static double figure_of(const char *line, const char *name)
{
    const char *at = strstr(line, name);
    return at ? strtod(at + strlen(name), NULL) : -1;
}

int bench_path_stop(struct bench *bench, struct path *path)
{
    char tail[BENCH_WHY_MAX], p50[NUMBER_TEXT_MAX], p99[NUMBER_TEXT_MAX];
    if (path->process.pid == 0)
        return 0;
    give_back(&path->held_fd);
    int status = process_stop(&path->process, STOP_GRACE_MS);
    process_output_tail(&path->process, tail, sizeof tail);
    process_done(&path->process);
    double p50_ns = figure_of(tail, "late_p50_ns="), p99_ns = figure_of(tail, "late_p99_ns=");
    if (status != 0 || p50_ns < 0 || p99_ns < 0)
        return bench_fail(-EIO, "the relay ended with status %d. It said:\n%s", status, tail);
    result_note(&bench->result,
                "The relay for a round trip of %u ms%s wrote half of what it carried within %s of "
                "its time, and 99 %% within %s.",
                path->rtt_ms, path->tls ? " over TLS" : "", number_time(p50, p50_ns),
                number_time(p99, p99_ns));
    return 0;
}

/* The kernel frees what a contestant before held behind the last close: for millions of sockets it
 * takes seconds. Waits as long as memory comes back and is not enough. */
static uint64_t memory_there(uint64_t needed)
{
    uint64_t there = memory_available_bytes();
    for (unsigned still = 0; there < needed && still < MEMORY_STILL; still++) {
        poll(NULL, 0, MEMORY_LOOK_MS);
        uint64_t now = memory_available_bytes();
        if (now > there + MEMORY_STEP_BYTES)
            still = 0;
        there = now > there ? now : there;
    }
    return there;
}

int bench_memory_check(const struct bench *bench, uint64_t connections, uint64_t over_quic)
{
    const bool socketless = bench->phantom != NULL;
    const uint64_t each = socketless ? BENCH_BYTES_SOCKETLESS : BENCH_BYTES_PER_CONNECTION;
    uint64_t needed = connections * each + over_quic * BENCH_BYTES_QUIC + BYTES_SPARE;
    uint64_t there = memory_there(needed);
    if (there == 0 || needed <= there)
        return 0;
    double share =
        there > BYTES_SPARE ? (double)(there - BYTES_SPARE) / (double)(needed - BYTES_SPARE) : 0;
    uint64_t fit = (uint64_t)(share * (double)connections);
    return bench_fail(-ENOMEM,
                      "%s of %lu connections need about %lu MiB, and %lu MiB are free: "
                      "about %lu connections fit. Ask for fewer, or stop other programs",
                      socketless ? "the server's ends" : "both ends", (unsigned long)connections,
                      (unsigned long)(needed >> 20), (unsigned long)(there >> 20),
                      (unsigned long)fit);
}
