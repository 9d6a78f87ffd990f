#include "experiment/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config.h"
#include "output/places.h"

static const char program[] = "peers/peer.py";

/* ---- the program that reads manifests ---- */

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text && text[0] ? text : NULL;
}

/* Runs it with its question as an argument. NULL: it did not work. */
static json_t *run_program(const char *question)
{
    char path[PLACES_PATH_MAX];
    int ends[2];
    json_t *told = NULL;
    places_path(program, path);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return NULL;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        execl(BENCH_PYTHON, BENCH_PYTHON, path, question, (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    if (pid > 0) {
        told = json_loadfd(ends[0], 0, NULL);
        waitpid(pid, NULL, 0);
    }
    close(ends[0]);
    return told;
}

static int ask(struct peer *peer)
{
    char *question = json_dumps(peer->asked, 0);
    json_decref(peer->told);
    peer->told = question ? run_program(question) : NULL;
    free(question);
    const char *error = text_of(peer->told, "error");
    char path[PLACES_PATH_MAX];
    if (error)
        return bench_fail(-EINVAL, "%s", error);
    return peer->told ? 0
                      : bench_fail(-EIO, "peers are read by a program that does not run: %s %s",
                                   BENCH_PYTHON, places_path(program, path));
}

/* ---- reading ---- */

void peer_free(struct peer *peer)
{
    if (!peer)
        return;
    json_decref(peer->asked);
    json_decref(peer->told);
    free(peer);
}

/* Takes the reference to what is asked. */
static int read_asked(json_t *asked, struct peer **ret)
{
    char root[PLACES_PATH_MAX];
    struct peer *peer = *ret = calloc(1, sizeof *peer);
    if (!peer) {
        json_decref(asked);
        return -ENOMEM;
    }
    json_object_set_new(asked, "root", json_string(places_path("peers-installed", root)));
    peer->asked = asked;
    int err = ask(peer);
    if (err < 0)
        return err;
    const char *transport = text_of(peer->told, "transport");
    const char *by = text_of(peer->told, "publish_by");
    snprintf(peer->name, sizeof peer->name, "%s", text_of(peer->told, "name"));
    peer->visit = text_of(peer->told, "visit");
    peer->caches = text_of(peer->told, "cache") != NULL;
    peer->transport = strcmp(transport, "longpoll") == 0
                          ? &protocol_longpoll_since
                          : protocol_find(transport, strlen(transport));
    peer->publish_by = strcmp(by, "post") == 0 ? &protocol_post : &protocol_websocket;
    return 0;
}

int peer_read(const char *name, struct peer **ret)
{
    int err = read_asked(json_pack("{s:s}", "name", name), ret);
    const char *missing = err == 0 ? text_of((*ret)->told, "missing") : NULL;
    return missing ? bench_fail(-ENOENT,
                                "the peer %s is not installed: there is no %s. To install it: "
                                "bench/peers/install %s",
                                (*ret)->name, missing, (*ret)->name)
                   : err;
}

bool peer_installed(const char *name)
{
    struct peer *peer;
    bool installed =
        read_asked(json_pack("{s:s}", "name", name), &peer) == 0 && !text_of(peer->told, "missing");
    peer_free(peer);
    return installed;
}

int peer_of_urls(struct bench *bench, struct peer **ret)
{
    const struct options *options = bench->options;
    json_t *texts = json_array();
    for (unsigned i = 0; i < options->peer_subscribe_count; i++)
        json_array_append_new(texts, json_string(options->peer_subscribe[i]));
    return read_asked(json_pack("{s:s, s:s*, s:s*, s:o}", "url", options->peer_url, "publish_url",
                                options->peer_publish_url, "publish", options->peer_publish,
                                "subscribe", texts),
                      ret);
}

/* ---- what was filled in ---- */

static unsigned digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static struct load_message message_of(struct peer *peer, const json_t *told)
{
    const char *hex = json_string_value(json_object_get(told, "hex"));
    char *bytes = peer->bytes + peer->byte_count;
    size_t len = 0;
    for (; hex && hex[0] && hex[1] && peer->byte_count < PEER_BYTES_MAX; hex += 2) {
        bytes[len++] = (char)(digit(hex[0]) << 4 | digit(hex[1]));
        peer->byte_count++;
    }
    return (struct load_message){bytes, len, json_is_true(json_object_get(told, "binary"))};
}

static unsigned messages_of(struct peer *peer, const json_t *side,
                            struct load_message ret[PEER_MESSAGES_MAX])
{
    const json_t *list = json_object_get(side, "messages");
    unsigned count = 0;
    for (; count < json_array_size(list) && count < PEER_MESSAGES_MAX; count++)
        ret[count] = message_of(peer, json_array_get(list, count));
    return count;
}

static int take_protocol(struct peer *peer)
{
    const json_t *subscribe = json_object_get(peer->told, "subscribe");
    const json_t *publish = json_object_get(peer->told, "publish");
    const char *address = text_of(peer->told, "publish_address");
    peer->byte_count = 0;
    peer->protocol = (struct load_protocol){
        .path = peer->visit ? peer->visit : text_of(subscribe, "path"),
        .fields = text_of(subscribe, "fields"),
        .subscribe = peer->subscribe_messages,
        .subscribe_count = messages_of(peer, subscribe, peer->subscribe_messages),
        .embedded = !peer->visit,
        .publish_path = text_of(publish, "path"),
        .publish_fields = text_of(publish, "fields"),
        .greeting = peer->greeting,
        .greeting_count = messages_of(peer, publish, peer->greeting),
        .before = message_of(peer, json_object_get(peer->told, "before")),
        .after = message_of(peer, json_object_get(peer->told, "after")),
    };
    if (!address || options_address(address, &peer->protocol.publish_target) == 0)
        return 0;
    return bench_fail(-EINVAL, "%s: %s: needs an IPv4 address and a port", peer->name, address);
}

/* ---- start ---- */

static void place_add(json_t *places, const char *name, const struct sockaddr_in *of)
{
    char host[INET_ADDRSTRLEN], text[64];
    inet_ntop(AF_INET, &of->sin_addr, host, sizeof host);
    snprintf(text, sizeof text, "%s:%u", host, ntohs(of->sin_port));
    json_object_set_new(places, name, json_string(text));
}

static json_t *places_of(const struct bench *bench, const struct server *server,
                         const struct server *behind, uint32_t connections)
{
    char host[INET_ADDRSTRLEN];
    cpu_set_t cpus;
    int port = ntohs(server->address.sin_port);
    int count = cpus_parse(&cpus, bench->options->server_cpus) == 0 ? CPU_COUNT(&cpus) : 1;
    inet_ntop(AF_INET, &server->address.sin_addr, host, sizeof host);
    json_t *places = json_pack("{s:s, s:i, s:i, s:i, s:i}", "host", host, "port", port,
                               "connections", (int)(connections + BENCH_CONNECTIONS_SLACK), "cpus",
                               count, "payload_bytes", (int)bench->options->message_bytes);
    place_add(places, "address", &server->address);
    if (behind)
        place_add(places, "upstream", &behind->address);
    if (server->tls_address.sin_port == 0)
        return places;
    place_add(places, "tls_address", &server->tls_address);
    json_object_set_new(places, "chain", json_string(bench->certificate.chain));
    json_object_set_new(places, "key", json_string(bench->certificate.key));
    return places;
}

static int launch(struct bench *bench, struct peer *peer, struct server *server,
                  uint32_t connections)
{
    const json_t *words = json_object_get(peer->told, "argv");
    char *argv[PEER_WORDS_MAX] = {NULL};
    for (size_t i = 0; i < json_array_size(words) && i < PEER_WORDS_MAX - 1; i++)
        argv[i] = (char *)json_string_value(json_array_get(words, i));
    snprintf(peer->version, sizeof peer->version, "%s", text_of(peer->told, "version"));
    return bench_server_launch(bench, server, peer->name, argv, connections);
}

static int start(struct bench *bench, struct peer *peer, const struct server *behind,
                 uint32_t connections, struct server **ret)
{
    char address[32];
    const char *running = text_of(peer->told, "address");
    struct server *server = *ret = bench_server_place(bench, address, sizeof address);
    if (!server)
        return -ENOSPC;
    if (running && options_address(running, &server->address) < 0)
        return bench_fail(-EINVAL, "%s: needs an IPv4 address and a port, as 127.0.0.1:8080",
                          running);
    const bool runs = running != NULL;
    int err = peer->visit ? bench_server_tls_place(bench, server) : 0;
    if (err == 0) {
        json_object_set_new(peer->asked, "places", places_of(bench, server, behind, connections));
        err = ask(peer);
    }
    if (err < 0)
        return err;
    server->peer = true;
    server->beside_clients = behind != NULL;
    peer->ready = server->ready = text_of(peer->told, "ready");
    peer->visit = text_of(peer->told, "visit");
    err = peer->caches ? 0 : take_protocol(peer);
    if (err < 0)
        return err;
    return runs ? bench_server_adopt(bench, server, peer->name, connections)
                : launch(bench, peer, server, connections);
}

int peer_start(struct bench *bench, struct peer *peer, uint32_t connections, struct server **ret)
{
    return start(bench, peer, NULL, connections, ret);
}

int peer_start_before(struct bench *bench, struct peer *peer, const struct server *behind,
                      uint32_t connections, struct server **ret)
{
    return start(bench, peer, behind, connections, ret);
}
