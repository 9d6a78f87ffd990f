/* peer: another server, and how to speak to it.
 *
 *     bench/peers/NAME/peer.ini ─┐ peers/peer.py
 *     --peer-url, --peer-…      ─┴─► peer_read ─► peer_start ─► struct server, struct load_protocol
 *
 * Idea     Everything that a peer has of its own stands in its manifest (bench/peers/README.md):
 *          what must be installed, the command line, the path, the messages that subscribe, and how
 *          a message is published. So the bench has no code for any one server, and a new peer
 *          needs none. Manifests are read and filled in by a program, bench/peers/peer.py, before
 *          the turns begin.
 * Threads  one.
 * Memory   a peer is one block from peer_read to peer_free; the load points into it.
 * Bounds   those of peer.py, and PEER_WORDS_MAX.
 * Errors   0 or negative errno, after a sentence on standard error. */
#pragma once

#include <jansson.h>

#include "experiment/bench.h"

enum {
    PEER_MESSAGES_MAX = 4, /* each way */
    PEER_WORDS_MAX = 64,
    PEER_BYTES_MAX = 16384, /* of all messages */
};

struct peer {
    char name[RESULT_NAME_MAX];
    char version[RESULT_VERSION_MAX];
    const char *ready; /* a path that answers 200; NULL: the port accepts */
    const char *visit; /* a path that is answered on both ports, plain and TLS; such a peer is for
                          `handshakes`, and has no subscribers. NULL: it is none */
    bool caches;       /* such a peer stands before a server, and has no subscribers of its own */
    const struct protocol *transport; /* of its subscribers */
    const struct protocol *publish_by;

    json_t *asked; /* of peer.py */
    json_t *told;  /* its answer, whose texts are pointed to */
    char bytes[PEER_BYTES_MAX];
    size_t byte_count;
    struct load_message subscribe_messages[PEER_MESSAGES_MAX], greeting[PEER_MESSAGES_MAX];
    struct load_protocol protocol; /* from peer_start on */
};

/* Reads bench/peers/NAME/peer.ini, or the file `name` when there is a slash in it. Says what must
 * be installed, and with which command, when the peer is not there. */
int peer_read(const char *name, struct peer **ret);

/* Whether it is there and installed, without a word. */
bool peer_installed(const char *name);

/* A peer that runs already, given by URLs. */
int peer_of_urls(struct bench *bench, struct peer **ret);

/* Accepts NULL. */
void peer_free(struct peer *peer);

/* Starts it pinned like every server, for so many connections, and fills in its protocol; or takes
 * the one that runs. */
int peer_start(struct bench *bench, struct peer *peer, uint32_t connections, struct server **ret);

/* Starts one that caches, on the CPUs of the clients, before a server. */
int peer_start_before(struct bench *bench, struct peer *peer, const struct server *behind,
                      uint32_t connections, struct server **ret);
