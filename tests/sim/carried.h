/* carried: what a client says in HTTP/1.1 as a stream of HTTP/2 or HTTP/3 has it, and the way back.
 */
#pragma once

#include "client.h"

enum {
    CARRIED_FIELDS_MAX = 16,
};

struct carried_request {
    struct http_request request;  /* points into what was asked */
    const struct http_field *key; /* of a WebSocket; NULL: it asks for none */
    bool has_body;
    size_t size; /* of all of it */
};

struct carried_field {
    struct span name, value;
    char lower[32];
};

/* The first request of `out`, whose body is added to `body`. Returns false when it has not come
 * whole; then nothing has changed. */
bool carried_take(const struct bytes *out, struct bytes *body, struct carried_request *ret);

/* Its fields; of a WebSocket those of an extended CONNECT. Returns how many there are. */
size_t carried_fields(const struct carried_request *asked, struct span scheme,
                      struct carried_field ret[CARRIED_FIELDS_MAX]);

/* The head of an answer; `ends`: it has no body. */
void carried_head(struct bytes *in, int status, bool ends);
/* A WebSocket is open. */
void carried_open(struct bytes *in, const char key[WS_KEY_SIZE]);
/* A piece of a body, and behind its last one. */
void carried_piece(struct bytes *in, const void *bytes, size_t len);
void carried_end(struct bytes *in);
