#include "experiment/peer_start.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    WORDS_MAX = 64,
    PLACES_MAX = 15,
    CONFIG_MAX = 16384,
    VERSION_PATIENCE_MS = 10000,
};

static const char CHANNEL[] = "bench";

/* What there is to fill in, ended by a name of NULL. */
struct places {
    char root[PEER_TEXT_MAX]; /* of everybody's products */
    char here[PEER_TEXT_MAX], products[PEER_TEXT_MAX], run[PEER_TEXT_MAX], config[PEER_TEXT_MAX];
    char address[64], host[INET_ADDRSTRLEN], port[8], connections[16], cpus[16];
    char tls_address[64];
    struct peer_value rows[PLACES_MAX];
    struct peer_values values;
};

/* ---- places ---- */

static void places_init(struct places *places, const struct bench *bench, const struct peer *peer)
{
    *places = (struct places){.values.payload_bytes = bench->options->message_bytes};
    snprintf(places->here, PEER_TEXT_MAX, "%s", peer->folder);
    snprintf(places->root, PEER_TEXT_MAX, "%.900s/../../peers", bench->folder);
    snprintf(places->products, PEER_TEXT_MAX, "%.950s/%s", places->root, peer->name);
    snprintf(places->run, PEER_TEXT_MAX, "%.1000s/run", places->products);
    places->rows[0] = (struct peer_value){"here", places->here};
    places->rows[1] = (struct peer_value){"products", places->products};
    places->values.rows = places->rows;
}

static void places_add(struct places *places, const char *name, const char *value)
{
    unsigned count = 0;
    while (places->rows[count].name)
        count++;
    places->rows[count] = (struct peer_value){name, value};
}

/* Of a server that is to have TLS. */
static void places_add_tls(struct places *places, const struct server *server,
                           const struct certificate *certificate)
{
    snprintf(places->tls_address, sizeof places->tls_address, "%s:%u", places->host,
             ntohs(server->tls_address.sin_port));
    places_add(places, "tls_address", places->tls_address);
    places_add(places, "chain", certificate->chain);
    places_add(places, "key", certificate->key);
}

/* All that is known once there is a server with an address. */
static void places_complete(struct places *places, const struct server *server, unsigned cpus,
                            uint32_t connections)
{
    inet_ntop(AF_INET, &server->address.sin_addr, places->host, sizeof places->host);
    snprintf(places->port, sizeof places->port, "%u", ntohs(server->address.sin_port));
    snprintf(places->address, sizeof places->address, "%s:%s", places->host, places->port);
    snprintf(places->connections, sizeof places->connections, "%u", connections);
    snprintf(places->cpus, sizeof places->cpus, "%u", cpus);
    places_add(places, "run", places->run);
    places_add(places, "config", places->config);
    places_add(places, "address", places->address);
    places_add(places, "host", places->host);
    places_add(places, "port", places->port);
    places_add(places, "connections", places->connections);
    places_add(places, "cpus", places->cpus);
    places_add(places, "channel", CHANNEL);
}

static int fill(const struct places *places, const struct peer *peer, const char *text,
                enum peer_escapes escapes, char *buf, size_t size)
{
    char why[BENCH_WHY_MAX];
    int len =
        peer_text_fill(span_from(text), &places->values, escapes, buf, size, NULL, why, sizeof why);
    return len < 0 ? bench_fail(len, "the manifest of %s: %.80s: %s", peer->name, text, why) : len;
}

int peer_fill_place(const struct bench *bench, const struct peer *peer, const char *text,
                    char ret[PEER_TEXT_MAX])
{
    struct places places;
    places_init(&places, bench, peer);
    int len = fill(&places, peer, text, PEER_PLAIN, ret, PEER_TEXT_MAX);
    return len < 0 ? len : 0;
}

/* ---- commands ---- */

int peer_find_command(const char *products, const char *name, char ret[PEER_TEXT_MAX])
{
    char folders[4096 + PEER_TEXT_MAX];
    const char *path = getenv("PATH");
    snprintf(folders, sizeof folders, "%s:%s:/usr/sbin:/sbin", products,
             path ? path : "/usr/bin:/bin");
    char *rest = folders;
    for (char *folder; (folder = strsep(&rest, ":"));) {
        int len = snprintf(ret, PEER_TEXT_MAX, "%s/%s", folder, name);
        if (*folder && len < PEER_TEXT_MAX && access(ret, X_OK) == 0)
            return 0;
    }
    return -ENOENT;
}

struct words {
    char text[PEER_TEXT_MAX], program[PEER_TEXT_MAX];
    char *argv[WORDS_MAX];
};

/* Splits at blanks, and finds the program. */
static int words_of(struct words *words, const struct places *places, const struct peer *peer,
                    const char *command)
{
    unsigned count = 0;
    int len = fill(places, peer, command, PEER_PLAIN, words->text, sizeof words->text);
    if (len < 0)
        return len;
    char *rest = words->text;
    for (char *word; (word = strsep(&rest, " "));)
        if (*word && count < WORDS_MAX - 1)
            words->argv[count++] = word;
    words->argv[count] = NULL;
    if (count == 0)
        return bench_fail(-EINVAL, "the manifest of %s: a command is empty", peer->name);
    if (strchr(words->argv[0], '/'))
        return 0;
    if (peer_find_command(places->products, words->argv[0], words->program) < 0)
        return bench_fail(-ENOENT, "%s: there is no %s on the PATH", peer->name, words->argv[0]);
    words->argv[0] = words->program;
    return 0;
}

/* Lines and tabs become blanks, and none is left at the end. */
static void make_line(char *text)
{
    size_t len = strlen(text);
    while (len > 0 && (unsigned char)text[len - 1] <= ' ')
        text[--len] = '\0';
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = ' ';
}

/* What the version command prints. It is for the reader, so failing is no error. */
static void read_version(const struct bench *bench, const struct places *places, struct peer *peer)
{
    struct words words;
    struct process process;
    cpu_set_t cpus;
    snprintf(peer->version, sizeof peer->version, "unknown");
    if (!peer->version_command[0] || words_of(&words, places, peer, peer->version_command) < 0 ||
        cpus_parse(&cpus, bench->options->server_cpus) < 0 ||
        process_start(&process, "version", words.argv, &cpus) < 0)
        return;
    if (process_finish(&process, VERSION_PATIENCE_MS) == 0)
        process_output_tail(&process, peer->version, sizeof peer->version);
    process_done(&process);
    make_line(peer->version);
}

/* ---- config ---- */

static int read_file(const char *path, char *buf, size_t size)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return -errno;
    size_t len = fread(buf, 1, size - 1, file);
    bool whole = feof(file);
    fclose(file);
    buf[len] = '\0';
    return whole ? 0 : -EFBIG;
}

static int write_file(const char *path, const char *text, size_t len)
{
    FILE *file = fopen(path, "we");
    if (!file)
        return -errno;
    bool written = fwrite(text, 1, len, file) == len;
    return fclose(file) == 0 && written ? 0 : -EIO;
}

static int make_folders(const struct places *places)
{
    if ((mkdir(places->root, 0755) < 0 && errno != EEXIST) ||
        (mkdir(places->products, 0755) < 0 && errno != EEXIST) ||
        (mkdir(places->run, 0755) < 0 && errno != EEXIST))
        return bench_fail(-errno, "cannot make %s: %s", places->run, strerror(errno));
    return 0;
}

/* Writes the config, filled in, into the run's folder. */
static int make_config(struct places *places, const struct peer *peer)
{
    static char text[CONFIG_MAX], filled[CONFIG_MAX + 4096];
    char path[PEER_TEXT_MAX];
    if (!peer->config[0])
        return 0;
    snprintf(path, sizeof path, "%.700s/%.300s", peer->folder, peer->config);
    const char *slash = strrchr(peer->config, '/'); /* another peer's */
    snprintf(places->config, sizeof places->config, "%.700s/%.300s", places->run,
             slash ? slash + 1 : peer->config);
    int err = read_file(path, text, sizeof text);
    if (err < 0)
        return bench_fail(err, "cannot read %s: %s", path, strerror(-err));
    int len = fill(places, peer, text, PEER_PLAIN, filled, sizeof filled);
    if (len < 0)
        return len;
    err = write_file(places->config, filled, (size_t)len);
    return err < 0 ? bench_fail(err, "cannot write %s: %s", places->config, strerror(-err)) : 0;
}

/* ---- protocol ---- */

static int fill_in_place(const struct places *places, const struct peer *peer, char *text,
                         size_t size)
{
    char filled[PEER_TEXT_MAX];
    int len = fill(places, peer, text, PEER_PLAIN, filled, size);
    if (len >= 0)
        memcpy(text, filled, (size_t)len + 1);
    return len < 0 ? len : 0;
}

static int fill_side(const struct places *places, struct peer *peer, struct peer_side *side,
                     struct load_message *messages)
{
    int err = fill_in_place(places, peer, side->path, sizeof side->path);
    if (err == 0)
        err = fill_in_place(places, peer, side->fields, sizeof side->fields);
    for (unsigned i = 0; err == 0 && i < side->count; i++) {
        const struct peer_message *from = &side->texts[i];
        int len = fill(places, peer, from->bytes, PEER_ESCAPED, side->bytes[i], PEER_TEXT_MAX);
        err = len < 0 ? len : 0;
        messages[i] =
            (struct load_message){side->bytes[i], len > 0 ? (size_t)len : 0, from->binary};
    }
    return err;
}

/* The two parts of what is sent, around the payload. */
static int fill_send(const struct places *places, struct peer *peer)
{
    char why[BENCH_WHY_MAX];
    struct load_protocol *protocol = &peer->protocol;
    size_t before;
    int len = peer_text_fill(span_from(peer->send.bytes), &places->values, PEER_ESCAPED, peer->sent,
                             sizeof peer->sent, &before, why, sizeof why);
    if (len < 0)
        return bench_fail(len, "the manifest of %s: send of [publish]: %s", peer->name, why);
    protocol->before = (struct load_message){peer->sent, before, peer->send.binary};
    protocol->after =
        (struct load_message){peer->sent + before, (size_t)len - before, peer->send.binary};
    return 0;
}

static int fill_protocol(const struct places *places, struct peer *peer)
{
    int err = fill_side(places, peer, &peer->subscribe, peer->subscribe_messages);
    if (err == 0)
        err = fill_side(places, peer, &peer->publish, peer->greeting);
    if (err < 0)
        return err;
    peer->protocol = (struct load_protocol){
        .path = peer->subscribe.path,
        .fields = peer->subscribe.fields[0] ? peer->subscribe.fields : NULL,
        .subscribe = peer->subscribe_messages,
        .subscribe_count = peer->subscribe.count,
        .embedded = true,
        .publish_path = peer->publish.path,
        .publish_fields = peer->publish.fields[0] ? peer->publish.fields : NULL,
        .greeting = peer->greeting,
        .greeting_count = peer->publish.count,
    };
    if (peer->publish_address[0])
        err = options_address(peer->publish_address, &peer->protocol.publish_target);
    if (err < 0)
        return bench_fail(err, "%s: %s: needs an IPv4 address and a port", peer->name,
                          peer->publish_address);
    return fill_send(places, peer);
}

/* ---- start ---- */

static int launch(struct bench *bench, struct peer *peer, struct places *places,
                  struct server *server, uint32_t connections)
{
    struct words words;
    int err = make_folders(places);
    if (err == 0)
        err = make_config(places, peer);
    if (err == 0)
        err = words_of(&words, places, peer, peer->command);
    if (err < 0)
        return err;
    read_version(bench, places, peer);
    return bench_server_launch(bench, server, peer->name, words.argv, connections);
}

int peer_start(struct bench *bench, struct peer *peer, uint32_t connections, struct server **ret)
{
    struct places places;
    char address[32];
    cpu_set_t cpus;
    struct server *server = *ret = bench_server_place(bench, address, sizeof address);
    if (!server)
        return -ENOSPC;
    int err = cpus_parse(&cpus, bench->options->server_cpus);
    if (err == 0 && peer->address[0])
        err = options_address(peer->address, &server->address);
    if (err < 0)
        return bench_fail(err, "%s: needs an IPv4 address and a port, as 127.0.0.1:8080",
                          peer->address);
    server->peer = true;
    server->ready = peer->ready[0] ? peer->ready : NULL;
    places_init(&places, bench, peer);
    places_complete(&places, server, (unsigned)CPU_COUNT(&cpus),
                    connections + BENCH_CONNECTIONS_SLACK);
    if (peer->visit[0]) {
        err = bench_server_tls_place(bench, server);
        places_add_tls(&places, server, &bench->certificate);
        peer->protocol.path = peer->visit;
    } else {
        err = fill_protocol(&places, peer);
    }
    if (err < 0)
        return err;
    return peer->address[0] ? bench_server_adopt(bench, server, peer->name, connections)
                            : launch(bench, peer, &places, server, connections);
}
