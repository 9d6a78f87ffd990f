/* peer: where one comes from: a manifest, or URLs; and whether it is installed. */
#include "experiment/peer.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "experiment/peer_start.h"

static const char PAYLOAD_ALONE[] = "@payload@";

void peer_free(struct peer *peer)
{
    free(peer);
}

/* What may be left out of a manifest. */
static int complete(struct peer *peer, const char *where)
{
    char why[BENCH_WHY_MAX];
    if (!peer->publish.path[0])
        snprintf(peer->publish.path, sizeof peer->publish.path, "%s", peer->subscribe.path);
    if (!peer->send.bytes[0])
        snprintf(peer->send.bytes, sizeof peer->send.bytes, "%s", PAYLOAD_ALONE);
    if (!peer->title[0])
        snprintf(peer->title, sizeof peer->title, "%s", peer->name);
    int err = peer_check(peer, why, sizeof why);
    return err < 0 ? bench_fail(err, "%s: %s", where, why) : 0;
}

/* ---- a manifest ---- */

/* bench/peers/NAME, or the folder of the file that was named; and the name of the contestant, which
 * is that of the folder. */
static int find(struct peer *peer, const char *name, char path[PEER_TEXT_MAX])
{
    const char *slash = strrchr(name, '/');
    int len =
        slash ? snprintf(peer->folder, PEER_TEXT_MAX, "%.*s", (int)(slash - name), name)
              : snprintf(peer->folder, PEER_TEXT_MAX, "%s/bench/peers/%s", BENCH_SOURCE_ROOT, name);
    int path_len = slash ? snprintf(path, PEER_TEXT_MAX, "%s", name)
                         : snprintf(path, PEER_TEXT_MAX, "%.1000s/peer.ini", peer->folder);
    if (len >= PEER_TEXT_MAX || path_len >= PEER_TEXT_MAX)
        return bench_fail(-ENAMETOOLONG, "%s: too long for a path", name);
    const char *last = strrchr(peer->folder, '/');
    snprintf(peer->name, sizeof peer->name, "%.40s", last ? last + 1 : peer->folder);
    if (access(path, R_OK) == 0)
        return 0;
    return slash ? bench_fail(-ENOENT, "cannot read %s: %s", path, strerror(errno))
                 : bench_fail(-ENOENT,
                              "there is no peer '%s' in bench/peers/; `ls bench/peers` "
                              "lists them, and a path names a manifest elsewhere",
                              name);
}

struct reading {
    struct peer *peer;
    char why[BENCH_WHY_MAX];
};

static int take_line(void *user, const char *section, const char *name, const char *value)
{
    struct reading *reading = user;
    return reading->why[0] == '\0' &&
           peer_set(reading->peer, section, name, value, reading->why, sizeof reading->why) == 0;
}

static int read_manifest(struct peer *peer, const char *path)
{
    struct reading reading = {.peer = peer};
    int line = ini_parse(path, take_line, &reading);
    if (line < 0)
        return bench_fail(-EIO, "cannot read %s: %s", path, strerror(errno));
    if (line > 0)
        return bench_fail(-EINVAL, "%s:%d: %s", path, line,
                          reading.why[0] ? reading.why
                                         : "not a line of the form name = value, of at most 199 "
                                           "characters");
    return complete(peer, path);
}

/* A file, or a command. */
static bool is_there(const char *products, const char *need)
{
    char path[PEER_TEXT_MAX];
    return strchr(need, '/') ? access(need, F_OK) == 0
                             : peer_find_command(products, need, path) == 0;
}

/* The first thing that it needs and that is not there, in `needs`; empty: all is there. Returns 0
 * or negative errno. */
static int find_missing(const struct bench *bench, const struct peer *peer,
                        char needs[PEER_TEXT_MAX], const char **ret)
{
    char products[PEER_TEXT_MAX], *rest = needs;
    int err = peer_fill_place(bench, peer, "@products@", products);
    if (err == 0)
        err = peer_fill_place(bench, peer, peer->needs, needs);
    *ret = "";
    for (char *need; err == 0 && !**ret && (need = strsep(&rest, " "));)
        if (*need && !is_there(products, need))
            *ret = need;
    return err;
}

static int check_installed(const struct bench *bench, const struct peer *peer)
{
    char needs[PEER_TEXT_MAX];
    const char *need;
    int err = find_missing(bench, peer, needs, &need);
    return *need ? bench_fail(-ENOENT,
                              "the peer %s is not installed: there is no %s. To install it: "
                              "bench/peers/install %s",
                              peer->name, need, peer->name)
                 : err;
}

bool peer_installed(struct bench *bench, const char *name)
{
    char path[PEER_TEXT_MAX], needs[PEER_TEXT_MAX];
    const char *need;
    struct peer *peer = calloc(1, sizeof *peer);
    bool installed = peer && find(peer, name, path) == 0 && read_manifest(peer, path) == 0 &&
                     find_missing(bench, peer, needs, &need) == 0 && !*need;
    peer_free(peer);
    return installed;
}

int peer_read(struct bench *bench, const char *name, struct peer **ret)
{
    char path[PEER_TEXT_MAX];
    struct peer *peer = *ret = calloc(1, sizeof *peer);
    if (!peer)
        return -ENOMEM;
    int err = find(peer, name, path);
    if (err == 0)
        err = read_manifest(peer, path);
    return err == 0 ? check_installed(bench, peer) : err;
}

/* ---- URLs ---- */

/* "ws://HOST:PORT/PATH" */
static int take_url(const char *url, const char *scheme, char *address, size_t address_size,
                    char *path, size_t path_size)
{
    size_t scheme_len = strlen(scheme);
    if (strncmp(url, scheme, scheme_len) != 0)
        return -EINVAL;
    const char *host = url + scheme_len;
    size_t len = strcspn(host, "/");
    if (len == 0 || len >= address_size || strlen(host + len) >= path_size)
        return -EINVAL;
    snprintf(address, address_size, "%.*s", (int)len, host);
    snprintf(path, path_size, "%s", host[len] ? host + len : "/");
    return 0;
}

static int take_publish_url(struct peer *peer, const char *url)
{
    char *address = peer->publish_address, *path = peer->publish.path;
    const size_t address_size = sizeof peer->publish_address, size = sizeof peer->publish.path;
    peer->publish_by = &protocol_websocket;
    if (take_url(url, "ws://", address, address_size, path, size) == 0)
        return 0;
    peer->publish_by = &protocol_post;
    if (take_url(url, "http://", address, address_size, path, size) == 0)
        return 0;
    return bench_fail(-EINVAL, "%s: needs ws://HOST:PORT/PATH or http://HOST:PORT/PATH", url);
}

static int take_texts(struct peer *peer, const struct options *options)
{
    char why[BENCH_WHY_MAX] = "";
    int err = 0;
    for (unsigned i = 0; err == 0 && i < options->peer_subscribe_count; i++)
        err = peer_set(peer, "subscribe", "message", options->peer_subscribe[i], why, sizeof why);
    if (err == 0 && options->peer_publish)
        err = peer_set(peer, "publish", "send", options->peer_publish, why, sizeof why);
    return err < 0 ? bench_fail(err, "%s", why) : 0;
}

int peer_of_urls(const struct options *options, struct peer **ret)
{
    struct peer *peer = *ret = calloc(1, sizeof *peer);
    if (!peer)
        return -ENOMEM;
    int err = take_url(options->peer_url, "ws://", peer->address, sizeof peer->address,
                       peer->subscribe.path, sizeof peer->subscribe.path);
    if (err < 0)
        return bench_fail(err, "%s: needs ws://HOST:PORT/PATH", options->peer_url);
    snprintf(peer->name, sizeof peer->name, "%.40s", peer->address);
    err = take_publish_url(peer, options->peer_publish_url ? options->peer_publish_url
                                                           : options->peer_url);
    if (err == 0)
        err = take_texts(peer, options);
    return err == 0 ? complete(peer, options->peer_url) : err;
}
