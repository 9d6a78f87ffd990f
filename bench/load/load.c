/* load: making and ending it, and its counters. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "core/pages.h"
#include "load/backlog.h"
#include "load/engine.h"
#include "load/packed.h"
#include "load/quic.h"
#include "load/rtc.h"
#include "phantom/phantom.h"

enum {
    HANDSHAKE_TIMEOUT_MS = 10000,
    PROGRESS_MS = 1000,
    POLL_INTERVAL_MS = 1000,
    ABORTS_AT_ONCE = 1024,
};
/* Stashes are mapped, not touched: this bounds the mapping where events are large. */
#define STASH_AREA_MAX (UINT64_C(1) << 33)

static const char *const failure_names[LOAD_FAIL_COUNT] = {
    [LOAD_FAIL_REFUSED] = "refused",
    [LOAD_FAIL_ADDRESS] = "address_in_use",
    [LOAD_FAIL_CONNECT] = "connect",
    [LOAD_FAIL_TIMEOUT] = "timeout",
    [LOAD_FAIL_TLS] = "tls",
    [LOAD_FAIL_STATUS] = "http_status",
    [LOAD_FAIL_SHED] = "shed",
    [LOAD_FAIL_HTTP] = "http",
    [LOAD_FAIL_WEBSOCKET] = "websocket",
    [LOAD_FAIL_JSON] = "json",
    [LOAD_FAIL_EVENT_LONG] = "event_long",
    [LOAD_FAIL_STASH] = "no_stash",
    [LOAD_FAIL_BACKLOG] = "send_backlog",
    [LOAD_FAIL_CLOSE_FRAME] = "close_frame",
    [LOAD_FAIL_END] = "end",
    [LOAD_FAIL_RESET] = "reset",
};

const char *load_failure_name(enum load_failure failure)
{
    assert(failure < LOAD_FAIL_COUNT);
    return failure_names[failure];
}

/* ---- checking what was asked for ---- */

static int refuse(char *why, size_t why_size, unsigned group, const char *reason)
{
    snprintf(why, why_size, "load group %u: %s", group, reason);
    return -EINVAL;
}

static bool longer(const char *text, size_t most)
{
    return text && strlen(text) > most;
}

static int protocol_check(const struct load_protocol *protocol, unsigned group, char *why,
                          size_t why_size)
{
    if (longer(protocol->path, LOAD_TARGET_MAX - POSITION_SIZE_MAX - 16) ||
        longer(protocol->publish_path, LOAD_TARGET_MAX - 1))
        return refuse(why, why_size, group, "a path is too long");
    if (longer(protocol->fields, LOAD_FIELDS_MAX) ||
        longer(protocol->publish_fields, LOAD_FIELDS_MAX))
        return refuse(why, why_size, group, "the fields of a request head are too long");
    return 0;
}

/* Whether the channels and kinds that are asked for go together with the rest. */
static bool mix_possible(const struct load_group_config *config)
{
    uint32_t parts = 0;
    for (unsigned i = 0; i < config->kind_count; i++) {
        const struct load_kind *kind = &config->kinds[i];
        if (i == LOAD_KINDS_MAX || kind->bytes < PAYLOAD_HEAD_SIZE ||
            kind->bytes > config->payload_bytes || kind->parts == 0 || kind->parts > LOAD_CYCLE_MAX)
            return false;
        parts += kind->parts;
    }
    bool posts = !config->publish || config->publish->is & PROTOCOL_ANSWERS;
    return parts <= LOAD_CYCLE_MAX &&
           (config->channels == 0 ||
            (posts && !config->protocol && config->channels <= LOAD_CHANNELS_MAX &&
             config->channels <= config->clients));
}

static int group_check(const struct load_group_config *config, unsigned group, char *why,
                       size_t why_size)
{
    bool echoes = config->transport->is & PROTOCOL_ECHOES;
    bool publishes = config->publish || echoes;
    if (config->clients == 0)
        return refuse(why, why_size, group, "no clients");
    if (config->streams > LOAD_STREAMS_MAX ||
        (config->streams > 1 && !(config->transport->is & PROTOCOL_STREAMS)))
        return refuse(why, why_size, group, "more streams on a connection than it has");
    if (config->streams > LOAD_DATAGRAMS_MAX && config->transport->is & PROTOCOL_LOSSY)
        return refuse(why, why_size, group, "at most 64 subscribers by datagrams on a connection");
    if (config->publish && !config->publish->publish)
        return refuse(why, why_size, group, "nothing is published by that protocol");
    if (!config->channel || strlen(config->channel) > LOAD_NAME_MAX)
        return refuse(why, why_size, group, "the channel's name is missing or too long");
    if (publishes && config->payload_bytes < PAYLOAD_HEAD_SIZE)
        return refuse(why, why_size, group, "messages need at least 34 bytes, for number and time");
    if (longer(config->fields, LOAD_FIELDS_MAX))
        return refuse(why, why_size, group, "the fields of a request head are too long");
    if (!mix_possible(config))
        return refuse(why, why_size, group,
                      "channels need a POST to publish and at least a client each; kinds, 34 "
                      "bytes to payload_bytes and at most 64 parts in all");
    if (echoes && config->payload_bytes > LOAD_ECHO_BYTES_MAX)
        return refuse(why, why_size, group, "echoed messages are at most 65536 bytes");
    return config->protocol ? protocol_check(config->protocol, group, why, why_size) : 0;
}

/* ---- groups ---- */

static uint32_t links_of(const struct load_group_config *config)
{
    uint32_t streams = config->streams ? config->streams : 1;
    return (config->clients + streams - 1) / streams;
}

static void path_write(char path[LOAD_TARGET_MAX], const char *given, const char *format,
                       const char *channel)
{
    const char *at = strstr(format, "%s");
    if (given)
        snprintf(path, LOAD_TARGET_MAX, "%s", given);
    else if (at)
        snprintf(path, LOAD_TARGET_MAX, "%.*s%s%s", (int)(at - format), format, channel, at + 2);
    else
        snprintf(path, LOAD_TARGET_MAX, "%s", format);
}

static void host_write(char host[LOAD_HOST_MAX], const struct sockaddr_in *target)
{
    char address[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &target->sin_addr, address, sizeof address);
    snprintf(host, LOAD_HOST_MAX, "%s:%u", address, ntohs(target->sin_port));
}

/* What each request of the group says. */
static void texts_write(struct group *group)
{
    const struct load_group_config *config = &group->config;
    const struct protocol *transport = config->transport;
    const struct load_protocol *other = &group->protocol;
    path_write(group->path, other->path, transport->path, config->channel);
    path_write(group->join_path, other->path,
               transport->join_path ? transport->join_path : transport->path, config->channel);
    path_write(group->publish_path, other->publish_path,
               config->publish ? config->publish->path : "", config->channel);
    snprintf(group->fields, sizeof group->fields, "%s%s",
             transport->fields ? transport->fields : "",
             other->fields    ? other->fields
             : config->fields ? config->fields
                              : "");
    host_write(group->host, &config->target);
    host_write(group->publish_host, &group->publish_target);
}

static int group_init(struct group *group, const struct load_group_config *config, uint32_t first,
                      uint32_t first_link)
{
    group->config = *config;
    if (config->protocol)
        group->protocol = *config->protocol;
    group->publish_target = group->protocol.publish_target.sin_family
                                ? group->protocol.publish_target
                            : config->publish_target.sin_family ? config->publish_target
                                                                : config->target;
    group->first = first;
    group->first_link = first_link;
    group->streams = config->streams ? config->streams : 1;
    group->links = links_of(config);
    if (group->config.poll_interval_ms == 0)
        group->config.poll_interval_ms = POLL_INTERVAL_MS;
    snprintf(group->channel, sizeof group->channel, "%s", config->channel);
    texts_write(group);
    if (config->token_secret)
        token_key_init(&group->token_key, span_from(config->token_secret));
    group->corrected = histogram_create();
    group->uncorrected = histogram_create();
    if (!group->corrected || !group->uncorrected || channels_init(group) < 0)
        return -ENOMEM;
    return config->publish ? publisher_init(group) : 0;
}

static int groups_init(struct load *load, const struct load_config *config)
{
    load->groups = calloc(config->group_count, sizeof *load->groups);
    if (!load->groups)
        return -ENOMEM;
    load->group_count = config->group_count;
    uint32_t first = 0, first_link = 0;
    for (unsigned i = 0; i < config->group_count; i++) {
        int err = group_init(&load->groups[i], &config->groups[i], first, first_link);
        if (err < 0)
            return err;
        first += config->groups[i].clients;
        first_link += load->groups[i].links;
    }
    return 0;
}

/* ---- links and subscribers ---- */

static void group_number_set(struct load *load, unsigned number)
{
    const struct group *group = &load->groups[number];
    for (uint32_t i = 0; i < group->config.clients; i++)
        load->subscribers[group->first + i].group = (uint8_t)number;
    for (uint32_t i = 0; i < group->links; i++)
        load->links[group->first_link + i].group = (uint8_t)number;
    load->subscribers[load->publishers_first + number].group = (uint8_t)number;
    group_publisher(load, group)->group = (uint8_t)number;
}

static int clients_init(struct load *load)
{
    bool states = false;
    load->links = pages_map(load->link_count * sizeof *load->links);
    load->subscribers = pages_map(load->subscriber_count * sizeof *load->subscribers);
    if (!load->links || !load->subscribers)
        return -ENOMEM;
    for (unsigned g = 0; g < load->group_count; g++) {
        group_number_set(load, g);
        states |= load->groups[g].config.transport->closed != NULL;
    }
    if (states)
        load->states = pages_map(load->link_count * sizeof *load->states);
    return states && !load->states ? -ENOMEM : 0;
}

static int buffers_init(struct load *load, const struct load_config *config)
{
    size_t bytes = STASH_BYTES_MIN;
    for (unsigned i = 0; i < load->group_count; i++) {
        const struct load_group_config *group = &load->groups[i].config;
        size_t held = group->transport->held_bytes;
        if (held > 0 && held + group->payload_bytes > bytes)
            bytes = held + group->payload_bytes;
    }
    uint64_t count = config->stashes ? config->stashes : LOAD_STASHES;
    uint64_t count_max = STASH_AREA_MAX / (sizeof(struct stash) + bytes);
    load->scratch = malloc(bytes);
    load->receive_area = malloc((size_t)RECEIVE_BATCH * RECEIVE_STRIDE);
    if (!load->scratch || !load->receive_area || outbox_init(&load->outbox, load->link_count) < 0)
        return -ENOMEM;
    return stashes_init(&load->stashes, (uint32_t)(count < count_max ? count : count_max), bytes);
}

static int tls_init(struct load *load)
{
    struct secure_config config = {
        .links = load->link_count,
        .groups = load->group_count,
        .stashes = load->stashes.count,
    };
    bool wanted = false;
    for (unsigned i = 0; i < load->group_count; i++) {
        const struct load_group_config *group = &load->groups[i].config;
        wanted |= group->tls != NULL;
        config.own |= group->tls && group->tls_resume == LOAD_RESUME_OWN;
        config.shared |= group->tls && group->tls_resume == LOAD_RESUME_SHARED;
    }
    return wanted ? secure_create(&load->secure, &config) : 0;
}

/* ---- the whole ---- */

/* Without sockets nothing of a run before is left at an address, and all addresses have memory of
 * their own: twice as many as connections, so that one that comes back is not the one that left. */
static void sources_of_phantom(struct load_config *config, uint32_t links)
{
    const uint32_t ports = 50000;
    uint32_t addresses = (uint32_t)((uint64_t)links * 2 / ports) + 2;
    if (!config->phantom || config->address_count != 0)
        return;
    config->first_address.s_addr = htonl(PHANTOM_CLIENTS);
    config->address_count = addresses < PHANTOM_ADDRESSES_MAX ? addresses : PHANTOM_ADDRESSES_MAX;
}

static int sources_begin(struct load *load, const struct load_config *given)
{
    uint32_t start;
    struct load_config config = *given;
    if (getrandom(&start, sizeof start, 0) != sizeof start)
        return -EIO;
    sources_of_phantom(&config, load->link_count);
    int err = sources_init(&load->sources, &config, start);
    return err == 0 && sources_count(&load->sources) < load->link_count ? -EADDRNOTAVAIL : err;
}

/* A ring whose sockets are the kernel's, or lines of a phantom. */
static int ring_begin(struct load *load, const struct load_config *config, char *why,
                      size_t why_size)
{
    const struct sources *sources = &load->sources;
    const struct ring_config ring = {.capacity = load->link_count, .client = true};
    const struct phantom_ring_config phantom = {
        .slots = load->link_count,
        .near = load->publisher_links_first,
        .first_address = sources->first_address,
        .address_count = sources->address_count,
        .port_first = sources->port_first,
        .port_count = sources->port_count,
    };
    return config->phantom
               ? phantom_ring_create(&load->ring, config->phantom, &phantom, why, why_size)
               : ring_uring_create(&load->ring, &ring, why, why_size);
}

/* Whether bare connects can be bounded by those that nobody has accepted. The kernel's clients do
 * without; others are too fast for it. */
static int backlog_begin(struct load *load, const struct load_config *config, char *why,
                         size_t why_size)
{
    int err = 0;
    for (unsigned i = 0; i < load->group_count; i++) {
        const struct group *group = &load->groups[i];
        if (!group_is(group, PROTOCOL_BARE))
            continue;
        if (load->opener.backlog_fd < 0)
            load->opener.backlog_fd = backlog_open();
        err = load->opener.backlog_fd < 0
                  ? load->opener.backlog_fd
                  : backlog_waiting(load->opener.backlog_fd, &group->config.target);
    }
    if (err >= 0 || !config->phantom)
        return 0;
    snprintf(why, why_size,
             "this kernel does not say how many connections wait to be accepted (inet_diag), and "
             "bare connects of clients without sockets would overrun that queue: leave them out "
             "(--against none), or use --clients kernel");
    return err;
}

static bool any_is(const struct load *load, unsigned trait)
{
    for (unsigned i = 0; i < load->group_count; i++)
        if (group_is(&load->groups[i], trait))
            return true;
    return false;
}

static int networks_create(struct load *load)
{
    int err = 0;
    for (unsigned i = 0; err == 0 && i < load->group_count; i++) {
        struct group *group = &load->groups[i];
        if (group_is(group, PROTOCOL_UDP) && network_wanted(&group->config.network))
            err = network_create(&group->network, &group->config.network, group->links);
    }
    return err;
}

static int parts_init(struct load *load, const struct load_config *config, char *why,
                      size_t why_size)
{
    int err = groups_init(load, config);
    if (err == 0)
        err = clients_init(load);
    if (err == 0)
        err = buffers_init(load, config);
    if (err == 0)
        err = tls_init(load);
    if (err < 0) {
        snprintf(why, why_size, "no memory for %u clients", load->link_count);
        return err;
    }
    err = sources_begin(load, config);
    if (err < 0) {
        snprintf(why, why_size, "%u clients need more source addresses and ports than were given",
                 load->link_count);
        return err;
    }
    opener_init(load);
    opener_start(load, 0, 0, 0);
    err = backlog_begin(load, config, why, why_size);
    if (err == 0)
        err = ring_begin(load, config, why, why_size);
    if (err == 0)
        err = networks_create(load);
    if (err == 0 && any_is(load, PROTOCOL_QUIC))
        err = quic_port_create(load, why, why_size);
    if (err == 0 && any_is(load, PROTOCOL_RTC))
        err = rtc_port_create(load, why, why_size);
    return err;
}

static void timing_init(struct load *load, const struct load_config *config)
{
    load->now_ns = engine_clock_ns();
    load->handshake_timeout_ms =
        config->handshake_timeout_ms ? config->handshake_timeout_ms : HANDSHAKE_TIMEOUT_MS;
    load->progress = config->progress;
    load->progress_context = config->context;
    load->progress_ns =
        (config->progress_ms ? config->progress_ms : PROGRESS_MS) * INT64_C(1000000);
    load->progress_due_ns = load->now_ns + load->progress_ns;
}

int load_create(struct load **ret, const struct load_config *config, char *why, size_t why_size)
{
    uint64_t clients = 0, links = 0;
    if (config->group_count == 0 || config->group_count > LOAD_GROUPS_MAX)
        return refuse(why, why_size, 0, "there must be 1 to 64 groups");
    for (unsigned i = 0; i < config->group_count; i++) {
        int err = group_check(&config->groups[i], i, why, why_size);
        if (err < 0)
            return err;
        clients += config->groups[i].clients;
        links += links_of(&config->groups[i]);
    }
    if (clients > UINT32_MAX / 2)
        return refuse(why, why_size, 0, "too many clients");
    struct load *load = calloc(1, sizeof *load);
    if (!load)
        return -ENOMEM;
    load->publishers_first = (uint32_t)clients;
    load->publisher_links_first = (uint32_t)links;
    load->subscriber_count = (uint32_t)clients + config->group_count;
    load->link_count = (uint32_t)links + config->group_count;
    load->opener.backlog_fd = -1;
    timing_init(load, config);
    int err = parts_init(load, config, why, why_size);
    if (err < 0) {
        load_free(load);
        return err;
    }
    *ret = load;
    return 0;
}

/* Submits the resets and drops what they complete. */
static void drop_events(struct load *load)
{
    struct ring_event event;
    ring_wait(load->ring, 0);
    while (ring_next(load->ring, &event))
        ;
}

static void abort_all(struct load *load)
{
    unsigned queued = 0;
    for (uint32_t i = 0; i < load->link_count; i++) {
        struct link *link = &load->links[i];
        if (!link_open(link))
            continue;
        if (link_secure(load, link))
            secure_end(load, link);
        bool no_socket = link_is_quic(load, link) || link_is_detached(load, link);
        if (link_protocol(load, link)->closed)
            link_protocol(load, link)->closed(load, link);
        if (no_socket)
            continue;
        ring_abort(load->ring, i);
        if (++queued % ABORTS_AT_ONCE == 0)
            drop_events(load);
    }
    quic_flush(load);
    rtc_flush(load);
    drop_events(load);
}

void load_free(struct load *load)
{
    if (!load)
        return;
    if (load->ring)
        abort_all(load);
    quic_port_free(load);
    rtc_port_free(load);
    ring_free(load->ring);
    secure_free(load->secure);
    pages_unmap(load->links, load->link_count * sizeof *load->links);
    pages_unmap(load->subscribers, load->subscriber_count * sizeof *load->subscribers);
    pages_unmap(load->states, load->link_count * sizeof *load->states);
    for (unsigned i = 0; i < load->group_count; i++) {
        network_free(load->groups[i].network);
        histogram_free(load->groups[i].corrected);
        histogram_free(load->groups[i].uncorrected);
        free(load->groups[i].publisher.buffer);
        packed_free(load->groups[i].packed);
        free(load->groups[i].channel_ready);
    }
    free(load->groups);
    stashes_done(&load->stashes);
    free(load->scratch);
    free(load->receive_area);
    outbox_done(&load->outbox);
    if (load->opener.backlog_fd >= 0)
        close(load->opener.backlog_fd);
    free(load);
}
