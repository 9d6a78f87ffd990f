/* peer_manifest: one line of a manifest at a time, by a table of what there is. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "experiment/peer.h"

enum key_kind {
    KEY_TEXT,     /* once */
    KEY_WORDS,    /* more lines of it are appended with a blank */
    KEY_FIELD,    /* of a request head; any number */
    KEY_PROTOCOL, /* likewise, by its name */
    KEY_MESSAGE,  /* text, in order; any number */
    KEY_BINARY,   /* likewise */
    KEY_SEND,     /* text with @payload@ */
    KEY_SEND_BINARY,
    KEY_PUBLISH_BY,
    KEY_TRANSPORT,
    KEY_INSTALLER, /* for bench/peers/install alone */
};

struct key {
    const char *section, *name;
    enum key_kind kind;
    size_t at, size;
};

#define AT(member) offsetof(struct peer, member), sizeof((struct peer *)0)->member

static const struct key keys[] = {
    {"peer", "title", KEY_TEXT, AT(title)},
    {"peer", "version", KEY_WORDS, AT(version_command)},
    {"install", "needs", KEY_WORDS, AT(needs)},
    {"install", "apt", KEY_INSTALLER, 0, 0},
    {"install", "npm", KEY_INSTALLER, 0, 0},
    {"install", "link", KEY_INSTALLER, 0, 0},
    {"install", "pip", KEY_INSTALLER, 0, 0},
    {"install", "go", KEY_INSTALLER, 0, 0},
    {"install", "cargo", KEY_INSTALLER, 0, 0},
    {"install", "by_hand", KEY_INSTALLER, 0, 0},
    {"server", "config", KEY_TEXT, AT(config)},
    {"server", "command", KEY_WORDS, AT(command)},
    {"server", "ready", KEY_TEXT, AT(ready)},
    {"server", "address", KEY_TEXT, AT(address)},
    {"handshake", "path", KEY_TEXT, AT(visit)},
    {"subscribe", "transport", KEY_TRANSPORT, 0, 0},
    {"subscribe", "path", KEY_TEXT, AT(subscribe.path)},
    {"subscribe", "protocol", KEY_PROTOCOL, AT(subscribe)},
    {"subscribe", "field", KEY_FIELD, AT(subscribe)},
    {"subscribe", "message", KEY_MESSAGE, AT(subscribe)},
    {"subscribe", "binary", KEY_BINARY, AT(subscribe)},
    {"publish", "by", KEY_PUBLISH_BY, 0, 0},
    {"publish", "address", KEY_TEXT, AT(publish_address)},
    {"publish", "path", KEY_TEXT, AT(publish.path)},
    {"publish", "protocol", KEY_PROTOCOL, AT(publish)},
    {"publish", "field", KEY_FIELD, AT(publish)},
    {"publish", "message", KEY_MESSAGE, AT(publish)},
    {"publish", "binary", KEY_BINARY, AT(publish)},
    {"publish", "send", KEY_SEND, 0, 0},
    {"publish", "send_binary", KEY_SEND_BINARY, 0, 0},
};

/* ---- values ---- */

static int set_text(char *text, size_t size, const char *value, bool append, char *why,
                    size_t why_size)
{
    size_t len = strlen(text);
    if (len > 0 && !append) {
        snprintf(why, why_size, "it is given twice");
        return -EINVAL;
    }
    int count = snprintf(text + len, size - len, "%s%s", len > 0 ? " " : "", value);
    if (count >= 0 && (size_t)count < size - len)
        return 0;
    snprintf(why, why_size, "it is longer than %zu bytes", size - 1);
    return -EINVAL;
}

static int add_field(struct peer_side *side, const char *prefix, const char *value, char *why,
                     size_t why_size)
{
    size_t len = strlen(side->fields), room = sizeof side->fields - len;
    int count = snprintf(side->fields + len, room, "%s%s\r\n", prefix, value);
    if (count >= 0 && (size_t)count < room)
        return 0;
    snprintf(why, why_size, "all fields of a request head are at most %d bytes", LOAD_FIELDS_MAX);
    return -EINVAL;
}

static int add_message(struct peer_side *side, const char *value, bool binary, char *why,
                       size_t why_size)
{
    if (side->count == PEER_MESSAGES_MAX) {
        snprintf(why, why_size, "at most %d messages each way", PEER_MESSAGES_MAX);
        return -EINVAL;
    }
    struct peer_message *message = &side->texts[side->count++];
    message->binary = binary;
    return set_text(message->bytes, sizeof message->bytes, value, false, why, why_size);
}

static int set_send(struct peer *peer, const char *value, bool binary, char *why, size_t why_size)
{
    peer->send.binary = binary;
    if (strstr(value, "@payload@"))
        return set_text(peer->send.bytes, sizeof peer->send.bytes, value, false, why, why_size);
    snprintf(why, why_size, "it needs a place for @payload@");
    return -EINVAL;
}

static int set_publish_by(struct peer *peer, const char *value, char *why, size_t why_size)
{
    peer->publish_by = strcmp(value, "websocket") == 0 ? &protocol_websocket
                       : strcmp(value, "post") == 0    ? &protocol_post
                                                       : NULL;
    if (peer->publish_by)
        return 0;
    snprintf(why, why_size, "there are websocket and post");
    return -EINVAL;
}

static int set_transport(struct peer *peer, const char *value, char *why, size_t why_size)
{
    peer->transport = strcmp(value, "websocket") == 0 ? &protocol_websocket
                      : strcmp(value, "sse") == 0     ? &protocol_sse
                                                      : NULL;
    if (peer->transport)
        return 0;
    snprintf(why, why_size, "there are websocket and sse");
    return -EINVAL;
}

static int set_key(struct peer *peer, const struct key *key, const char *value, char *why,
                   size_t why_size)
{
    void *at = (char *)peer + key->at;
    switch (key->kind) {
    case KEY_TEXT:
        return set_text(at, key->size, value, false, why, why_size);
    case KEY_WORDS:
        return set_text(at, key->size, value, true, why, why_size);
    case KEY_FIELD:
        return add_field(at, "", value, why, why_size);
    case KEY_PROTOCOL:
        return add_field(at, "Sec-WebSocket-Protocol: ", value, why, why_size);
    case KEY_MESSAGE:
        return add_message(at, value, false, why, why_size);
    case KEY_BINARY:
        return add_message(at, value, true, why, why_size);
    case KEY_SEND:
        return set_send(peer, value, false, why, why_size);
    case KEY_SEND_BINARY:
        return set_send(peer, value, true, why, why_size);
    case KEY_PUBLISH_BY:
        return set_publish_by(peer, value, why, why_size);
    case KEY_TRANSPORT:
        return set_transport(peer, value, why, why_size);
    case KEY_INSTALLER:
        return 0;
    }
    return -EINVAL;
}

int peer_set(struct peer *peer, const char *section, const char *name, const char *value, char *why,
             size_t why_size)
{
    char reason[256] = "";
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (strcmp(keys[i].section, section) != 0 || strcmp(keys[i].name, name) != 0)
            continue;
        int err = set_key(peer, &keys[i], value, reason, sizeof reason);
        if (err < 0)
            snprintf(why, why_size, "%s of [%s]: %s", name, section, reason);
        return err;
    }
    snprintf(why, why_size,
             "there is no %s in [%s] of a manifest; bench/peers/README.md lists "
             "what there is",
             name, section);
    return -EINVAL;
}

/* ---- the whole ---- */

int peer_check(const struct peer *peer, char *why, size_t why_size)
{
    const char *missing = NULL;
    bool visited = peer->visit[0] != '\0';
    if (!peer->command[0] && !peer->address[0])
        missing = "neither a command nor an address in [server]";
    else if (peer->command[0] && peer->address[0])
        missing = "a command and an address in [server], where one of them is wanted";
    else if (visited && (peer->address[0] || peer->subscribe.path[0]))
        missing = "a [handshake], which goes with a command and without [subscribe]";
    else if (visited)
        missing = NULL;
    else if (!peer->subscribe.path[0])
        missing = "no path in [subscribe]";
    else if (!peer->publish_by)
        missing = "no by in [publish]: websocket or post";
    else if (!peer->publish.path[0])
        missing = "no path in [publish]";
    else if (peer->transport == &protocol_sse && peer->subscribe.count > 0)
        missing = "messages in [subscribe], which only a WebSocket can send";
    else if (peer->publish_by == &protocol_post && peer->publish.count > 0)
        missing = "messages in [publish], which only a WebSocket can send";
    if (!missing)
        return 0;
    snprintf(why, why_size, "there is %s", missing);
    return -EINVAL;
}
