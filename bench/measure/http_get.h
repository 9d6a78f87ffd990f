/* http_get: asks a server something while a run goes on: /healthz, /metrics.
 *
 * Idea     One connection, kept alive: a server whose table has filled up since still answers those
 *          who are in it.
 * Threads  any; a call waits for its answer, HTTP_GET_PATIENCE_S at most for each read.
 * Memory   in place.
 * Bounds   heads up to HTTP_GET_HEAD_MAX, bodies up to what the caller gives; bodies need a
 *          Content-Length. */
#pragma once

#include <netinet/in.h>
#include <stddef.h>

enum {
    HTTP_GET_HEAD_MAX = 4096,
    HTTP_GET_PATIENCE_S = 1,
    HTTP_GET_METRICS_MAX = 256 * 1024, /* room for a page of /metrics */
};

struct http_get {
    struct sockaddr_in address;
    int fd; /* -1: not connected */
};

/* Connects nobody yet. */
void http_get_init(struct http_get *get, const struct sockaddr_in *address);
void http_get_done(struct http_get *get);

/* Gets `path`, connecting first, or again, where that is needed. The body is ended by a NUL.
 * Returns the status, or negative errno: -EMSGSIZE when it does not fit, -EPROTO when it is not an
 * answer with a length. */
int http_get(struct http_get *get, const char *path, char *body, size_t size);
