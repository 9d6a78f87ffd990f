/* cacheable: what lets clients and caches not carry the same answer to a poll twice (RFC 9110
 * sections 8.8.3 and 15.4.5; RFC 9111).
 *
 *   GET /poll?channel=c&since=P   If-None-Match: W/"5f3a00c29b1e77d0"
 *   304                           the answer would be the same
 *   200                           ETag, and with poll_s_maxage a cache may give it to others
 *
 * Threads  The shard's.
 * Memory   What a request asked for: some 40 bytes as conn_extra's transport_state, only if it did.
 */
#pragma once

#include "conn/shard.h"
#include "http/params.h"
#include "transport/json.h"
#include "wire/http.h"

#define CACHEABLE_NOT "Cache-Control: no-store\r\n"

enum {
    CACHEABLE_FIELDS_MAX = 192,
};

/* Remembers what a request to /poll is satisfied with. Returns 0 or -ENOMEM. */
int cacheable_begin(struct shard *shard, struct conn *conn, const struct http_request *request,
                    const struct params *params);

/* Whether the client has this answer already; the memory is given back. */
bool cacheable_unchanged(struct conn *conn, const struct json_answer *answer);

/* Likewise, without an answer. */
void cacheable_end(struct conn *conn);

/* Writes the fields of an answer that a cache goes by, also of those that none may keep; returns
 * their length. */
size_t cacheable_fields(const struct shard *shard, const struct conn *conn,
                        const struct json_answer *answer, char buf[CACHEABLE_FIELDS_MAX]);
