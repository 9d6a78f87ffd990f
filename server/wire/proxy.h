/* proxy: the header in which a proxy says who connected to it, ahead of all else on a connection
 * (HAProxy's PROXY protocol, versions 1 and 2).
 *
 *   1   PROXY TCP4 192.0.2.7 203.0.113.9 56324 443 CR LF
 *       PROXY UNKNOWN whatever CR LF
 *
 *   2   ┌─ signature: 12 bytes ─┬ 2, command ┬ family ┬ length: 2 ┬─ addresses, ports ─┬─ TLVs ─┐
 *       │ CR LF CR LF 0 CR LF QUIT LF        │        │           │                    │ skipped│
 *       └───────────────────────┴────────────┴────────┴───────────┴────────────────────┴────────┘
 *
 * Idea     The whole header is there, or it is asked for again with more: it is short, and comes in
 *          one segment. What cannot become one is refused at its first wrong byte, so that a client
 *          which sends none is not waited for.
 * Threads  any.
 * Memory   the caller's.
 * Bounds   107 bytes for version 1 (its section 2.1), PROXY_HEAD_MAX for version 2.
 * Errors   by name; none of them leaves anything to go on with. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

enum {
    PROXY_HEAD_MAX = 2048, /* room for the name of a certificate and a proxy's own values */
};

struct proxy_head {
    bool named;             /* false: the proxy speaks for itself, or does not know for whom */
    struct in6_addr source; /* of the client, where it is named */
    unsigned missing;
};

enum proxy_error {
    PROXY_NONE = -1,    /* begins as neither version does                                  */
    PROXY_LINE = -2,    /* 1: longer than 107 bytes, or not fields parted by single spaces */
    PROXY_ADDRESS = -3, /* 1: an address or port that is none                              */
    PROXY_VERSION = -4, /* 2: another version, or a command that does not exist            */
    PROXY_FAMILY = -5,  /* 2: not a stream between addresses                               */
    PROXY_LENGTH = -6,  /* 2: longer than PROXY_HEAD_MAX, or too short for its addresses   */
};

/* Returns the length of the header that the bytes begin with, 0 when more are needed to tell, with
 * `missing` of them at least, or an enum proxy_error. Who receives no more than that each time has
 * nothing of what follows in its hands when the header is complete. */
int proxy_parse(struct proxy_head *ret, const char *bytes, size_t len);
