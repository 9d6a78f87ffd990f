/* script: the texts of an attack, filled in for one server.
 *
 *     @get@ @post@ @subscribe@   its paths   @upgrade@   the head of a WebSocket handshake
 *     @channels@          channel=abuse-0&…    @names@     32 names that nobody has used yet
 *     @stream@ @same@     four bytes: the next stream of an HTTP/2 connection, and that one again
 *
 * Threads  any, after script_init.
 * Memory   script_init to script_done.
 * Errors   0 or negative errno, after a sentence on standard error. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abuse/attack.h"

struct attack_target;

struct script {
    char opening[ATTACK_TEXT_MAX];
    size_t opening_len;
    char *text; /* with its bulk */
    size_t len;
    bool numbered; /* it has a number or a stream: each connection sends a copy of its own */
};

int script_init(struct script *script, const struct attack *attack,
                const struct attack_target *target);
void script_done(struct script *script);

/* A copy on the heap. */
char *script_copy(const struct script *script, size_t *ret_len);

/* Writes a number into all its places in a copy, and into those of streams the ones that come
 * next, of which `*streams` have been used. They begin with 3: `opening` may have the first. */
void script_number(const struct script *script, char *copy, uint64_t number, uint32_t *streams);
