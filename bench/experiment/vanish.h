/* vanish: peers that fall silent without a word, as a lost battery looks to a server: nothing is
 * acknowledged, nothing ended.
 *
 * Idea     A socket filter that drops everything comes before TCP, and needs no rights: the peer's
 *          kernel does not even answer. It wants a descriptor: these are no clients of the load.
 * Threads  one.
 * Memory   vanish_open to vanish_free. Of TLS nothing is kept: who never hears or says a word again
 *          needs no keys.
 * Bounds   RLIMIT_NOFILE; CALLER_PATIENCE_S for each answer. */
#pragma once

#include <netinet/in.h>
#include <stdint.h>

enum vanish_kind {
    VANISH_WEBSOCKET, /* up, on a channel where nothing is published */
    VANISH_SSE,       /* likewise */
    VANISH_HALF_HEAD, /* in the middle of its request head */
    VANISH_COUNT,
};

struct vanish;
struct tls_client;

/* Connects `count` of them, of all kinds in turn, and waits for their handshakes; with `tls` over
 * TLS. Returns 0 or negative errno. */
int vanish_open(struct vanish **ret, const struct sockaddr_in *address,
                const struct tls_client *tls, uint32_t count);

/* How many are of a kind. */
uint32_t vanish_of(const struct vanish *vanish, enum vanish_kind kind);

/* From now on they hear and say nothing. Returns 0 or negative errno. */
int vanish_silence(struct vanish *vanish);

/* Closes them by reset, of which nothing is heard where their server has ended them already. */
void vanish_end(struct vanish *vanish);

/* Likewise, where that is not done yet. Accepts NULL. */
void vanish_free(struct vanish *vanish);
