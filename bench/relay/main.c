/* ringside-relay: puts a round-trip time between clients and a server. ringside-bench starts it for
 * --rtt-ms; by hand:
 *
 *     ringside-relay --listen 127.0.0.1:7000 --to 127.0.0.1:8080 --rtt-ms 150 --jitter-ms 10 */
#include <argp.h>
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "measure/clock.h"
#include "relay/relay.h"

enum {
    BACKLOG = 4096,
    DESCRIPTORS_OWN = 16,
    WINDOW_DEFAULT = 64 * 1024,
    CONNECTIONS_DEFAULT = 4096,
    MS_MAX = 60000,
    KEY_LISTEN = 1000,
    KEY_TO,
    KEY_RTT,
    KEY_JITTER,
    KEY_SEED,
    KEY_CONNECTIONS,
    KEY_WINDOW,
};

static volatile bool stop;

static void on_signal(int number)
{
    (void)number;
    stop = true;
}

struct arguments {
    struct sockaddr_in listen;
    struct relay_config config;
};

static const struct argp_option rows[] = {
    {"listen", KEY_LISTEN, "ADDRESS:PORT", 0, "Where clients connect to", 0},
    {"to", KEY_TO, "ADDRESS:PORT", 0, "The server", 0},
    {"rtt-ms", KEY_RTT, "MS", 0, "The round-trip time; half of it each way", 0},
    {"jitter-ms", KEY_JITTER, "MS", 0, "Each read waits up to so much longer (default: 0)", 0},
    {"seed", KEY_SEED, "N", 0, "Of the jitter (default: 1)", 0},
    {"connections", KEY_CONNECTIONS, "N", 0,
     "At most; further ones are reset and counted (default: 4096)", 0},
    {"window-bytes", KEY_WINDOW, "BYTES", 0,
     "What one direction of a connection may hold, a power of two (default: 65536)", 0},
    {0},
};

static struct sockaddr_in address_of(struct argp_state *state, const char *text)
{
    char host[INET_ADDRSTRLEN] = "", *end;
    size_t len = strcspn(text, ":");
    struct sockaddr_in address = {.sin_family = AF_INET};
    unsigned long port = text[len] == ':' ? strtoul(text + len + 1, &end, 10) : 0;
    if (port > 0 && port <= UINT16_MAX && *end == '\0' && len < sizeof host)
        memcpy(host, text, len);
    address.sin_port = htons((uint16_t)port);
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
        argp_error(state, "%s: needs an IPv4 address and a port, as 127.0.0.1:7000", text);
    return address;
}

static int64_t ms_of(struct argp_state *state, const char *text)
{
    char *end;
    double ms = strtod(text, &end);
    if (end == text || *end != '\0' || !(ms >= 0 && ms <= MS_MAX))
        argp_error(state, "%s: needs milliseconds from 0 to %d", text, MS_MAX);
    return (int64_t)(ms * NS_PER_MS);
}

static uint32_t number_of(struct argp_state *state, const char *text, uint32_t most)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || *text == '-' || value == 0 || value > most)
        argp_error(state, "%s: needs a whole number from 1 to %u", text, most);
    return (uint32_t)value;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    struct relay_config *config = &arguments->config;
    switch (key) {
    case KEY_LISTEN:
        arguments->listen = address_of(state, text);
        return 0;
    case KEY_TO:
        config->to = address_of(state, text);
        return 0;
    case KEY_RTT:
        config->rtt_ns = ms_of(state, text);
        return 0;
    case KEY_JITTER:
        config->jitter_ns = ms_of(state, text);
        return 0;
    case KEY_SEED:
        config->seed = strtoull(text, NULL, 10);
        return 0;
    case KEY_CONNECTIONS:
        config->connections = number_of(state, text, RELAY_CONNECTIONS_MAX);
        return 0;
    case KEY_WINDOW:
        config->window_bytes = number_of(state, text, RELAY_WINDOW_MAX);
        if (config->window_bytes & (config->window_bytes - 1))
            argp_error(state, "%s: the window must be a power of two", text);
        return 0;
    case ARGP_KEY_END:
        if (arguments->listen.sin_port == 0 || config->to.sin_port == 0)
            argp_error(state, "--listen and --to are needed");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int descriptors_check(uint32_t connections)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_max == RLIM_INFINITY || 2 * connections + DESCRIPTORS_OWN <= limit.rlim_max)
        return 0;
    fprintf(stderr,
            "ringside-relay: %u connections need two descriptors each, and RLIMIT_NOFILE allows "
            "%lu; raise it with `ulimit -Hn`, or ask for fewer with --connections\n",
            connections, (unsigned long)limit.rlim_max);
    return -EMFILE;
}

static int listen_on(const struct sockaddr_in *address)
{
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        bind(fd, (const struct sockaddr *)address, sizeof *address) == 0 &&
        listen(fd, BACKLOG) == 0)
        return fd;
    int err = -errno;
    close(fd);
    return err;
}

/* One line, for whoever reads along and for the bench. */
static void say(const struct relay *relay)
{
    const struct relay_stats *stats = relay_stats(relay);
    const struct histogram *late = relay_late(relay);
    printf("relay: accepted=%" PRIu64 " refused=%" PRIu64 " unreachable=%" PRIu64
           " up_bytes=%" PRIu64 " down_bytes=%" PRIu64 " full=%" PRIu64 " writes=%" PRIu64
           " late_p50_ns=%" PRIu64 " late_p99_ns=%" PRIu64 " late_max_ns=%" PRIu64 "\n",
           stats->accepted, stats->refused, stats->unreachable, stats->bytes[0], stats->bytes[1],
           stats->full, histogram_count(late), histogram_percentile(late, 50),
           histogram_percentile(late, 99), histogram_max(late));
}

static int fail(const char *what, int err)
{
    fprintf(stderr, "ringside-relay: %s: %s\n", what, strerror(-err));
    return 1;
}

int main(int argc, char **argv)
{
    const struct argp argp = {
        .options = rows,
        .parser = parse,
        .doc = "A TCP relay that delays each direction by half a round-trip time, in order.\v"
               "SIGTERM ends it; it then prints what it carried and how late it was.",
    };
    struct arguments arguments = {
        .config = {.seed = 1, .connections = CONNECTIONS_DEFAULT, .window_bytes = WINDOW_DEFAULT},
    };
    const struct sigaction action = {.sa_handler = on_signal};
    struct relay *relay = NULL;
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    if (descriptors_check(arguments.config.connections) < 0)
        return 1;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    prctl(PR_SET_TIMERSLACK, 1); /* nanosecond: else the kernel adds up to 50 us to each wait */
    int fd = listen_on(&arguments.listen);
    if (fd < 0)
        return fail("cannot listen", fd);
    int err = relay_create(&relay, &arguments.config, fd);
    if (err == 0)
        err = relay_run(relay, &stop);
    if (relay)
        say(relay);
    relay_free(relay);
    close(fd);
    return err < 0 ? fail("io_uring (Linux 6.1 or newer is needed)", err) : 0;
}
