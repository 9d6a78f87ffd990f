/* peer: another server, and how to speak to it.
 *
 *     bench/peers/NAME/peer.ini ─► peer_read ─► peer_start ─► struct server, struct load_protocol
 *     --peer-url, --peer-…      ─► peer_of_urls ──┘
 *
 * Idea     Everything that a peer has of its own stands in its manifest (bench/peers/README.md):
 *          what must be installed, the command line, the path, the messages that subscribe, and how
 *          a message is published. So the bench has no code for any one server, and a new peer
 *          needs none.
 * Threads  one.
 * Memory   a peer is one block from peer_read to peer_free; the load points into it.
 * Bounds   PEER_TEXT_MAX for each text, PEER_MESSAGES_MAX messages each way.
 * Errors   0 or negative errno, after a sentence on standard error. */
#pragma once

#include "experiment/bench.h"
#include "experiment/peer_text.h"

enum {
    PEER_TEXT_MAX = 1024,
    PEER_MESSAGES_MAX = 4,
    PEER_TITLE_MAX = 96,
};

struct peer_message {
    char bytes[PEER_TEXT_MAX];
    bool binary;
};

/* What is said on one connection: as in the manifest, then filled in. */
struct peer_side {
    char path[LOAD_TARGET_MAX];
    char fields[LOAD_FIELDS_MAX];
    struct peer_message texts[PEER_MESSAGES_MAX];
    unsigned count;
    char bytes[PEER_MESSAGES_MAX][PEER_TEXT_MAX]; /* of the texts, filled in */
};

struct peer {
    char name[RESULT_NAME_MAX];
    char title[PEER_TITLE_MAX];
    char folder[PEER_TEXT_MAX]; /* of the manifest; empty: given by URLs */
    char version[RESULT_VERSION_MAX];

    /* the manifest */
    char version_command[PEER_TEXT_MAX];
    char needs[PEER_TEXT_MAX]; /* files, and commands, which have no slash */
    char config[PEER_TEXT_MAX];
    char command[PEER_TEXT_MAX];
    char ready[LOAD_TARGET_MAX]; /* a path that answers 200; empty: the port accepts */
    char visit[LOAD_TARGET_MAX]; /* a path that is answered on both ports, plain and TLS; such a
                                    peer is for `handshakes`, and has no subscribers */
    char address[64];            /* of a server that runs already; empty: command */
    char publish_address[64];    /* likewise, if it is another one */
    struct peer_side subscribe, publish;
    struct peer_message send; /* with @payload@ */
    const struct protocol *publish_by;
    const struct protocol *transport; /* of its subscribers; NULL: WebSocket */

    /* filled in */
    struct load_message subscribe_messages[PEER_MESSAGES_MAX], greeting[PEER_MESSAGES_MAX];
    char sent[PEER_TEXT_MAX];
    struct load_protocol protocol;
};

/* Reads bench/peers/NAME/peer.ini, or the file `name` when there is a slash in it. Says what must
 * be installed, and with which command, when the peer is not there. */
int peer_read(struct bench *bench, const char *name, struct peer **ret);

/* Whether it is there and installed, without a word. */
bool peer_installed(struct bench *bench, const char *name);

/* A peer that runs already, given by URLs. */
int peer_of_urls(const struct options *options, struct peer **ret);

void peer_free(struct peer *peer);

/* Starts it pinned like every server, for so many connections, and fills in its protocol; or takes
 * the one that runs. */
int peer_start(struct bench *bench, struct peer *peer, uint32_t connections, struct server **ret);

/* ---- shared by the files of peer ---- */

/* Takes one line of a manifest. Returns 0, or -EINVAL with the reason. */
int peer_set(struct peer *peer, const char *section, const char *name, const char *value, char *why,
             size_t why_size);

/* Checks that nothing is missing. */
int peer_check(const struct peer *peer, char *why, size_t why_size);
