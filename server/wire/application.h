/* application: what an application is asked over HTTP, and its verdicts: the JSON of Centrifugo's
 * HTTP proxy.
 *
 *   out   {"client":"…","transport":"websocket","protocol":"json","encoding":"json","user":"7",
 *          "channel":"news","data":{…}}
 *   in    {"result":{…}}  or  {"error":{"code":403,"message":"no","temporary":false}}
 *                         or  {"disconnect":{"code":4501,"reason":"gone"}}
 *
 * An answer is read without a tree: a verdict is what its members point at. One that says more than
 * one of the three is taken as Centrifugo takes it: disconnect before error before result. Members
 * that are not known are passed over, null is none, and one of the wrong kind spoils the answer.
 *
 * Threads  any.
 * Memory   the caller's; spans point into the answer.
 * Bounds   JSON_DEPTH_MAX, APPLICATION_WORDS_MAX bytes of a message or a reason as it lies there.
 * Source   github.com/centrifugal/centrifugo, internal/proxyproto/proxy.proto */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/out.h"
#include "wire/span.h"

enum {
    APPLICATION_WORDS_MAX = 1024,
};

/* X(NAME, name): what it is asked about. */
#define APPLICATION_HOOKS(X)                                                                       \
    X(CONNECT, connect)                                                                            \
    X(REFRESH, refresh)                                                                            \
    X(SUBSCRIBE, subscribe)                                                                        \
    X(PUBLISH, publish)                                                                            \
    X(SUB_REFRESH, sub_refresh)                                                                    \
    X(RPC, rpc)

#define APPLICATION_HOOK_ENUM(NAME, name) APPLICATION_##NAME,
enum application_hook {
    APPLICATION_HOOKS(APPLICATION_HOOK_ENUM) APPLICATION_HOOK_COUNT,
};

const char *application_hook_name(enum application_hook hook);

/* What is asked: JSON as it lies there, but for the first three. Empty ones are left out. */
struct application_question {
    struct span client, transport; /* without anything to escape */
    struct span user;              /* any text */
    bool has_user;                 /* of all but connect */
    struct span channel;           /* a string with its escapes */
    struct span meta, data, name, version, method;
};

size_t application_question_size(const struct application_question *question);
/* Writes it: at most application_question_size bytes. */
void application_question_write(struct out *out, const struct application_question *question);

enum verdict_kind {
    VERDICT_RESULT,
    VERDICT_ERROR,
    VERDICT_DISCONNECT,
};

struct verdict {
    enum verdict_kind kind;
    bool has_result; /* of VERDICT_RESULT: it is there, if empty */
    uint32_t code;   /* of the other two */
    bool temporary;
    struct span words; /* of the other two: a string with its escapes */

    /* Of a result. Strings with their escapes: */
    struct span user, b64info, b64data, idempotency_key, version_epoch;
    /* any JSON; strings with their quotes: */
    struct span info, data, meta, channels, subs, tags;
    uint64_t expire_at, version;
    bool expired, skip_history, delta;
};

/* Reads an answer. Returns 0, or -EINVAL: it is none. */
int verdict_read(struct verdict *ret, struct span answer);

/* Whether the code of a disconnect is one that a WebSocket may be closed with. */
static inline bool verdict_code_is_good(uint32_t code)
{
    return code >= 3000 && code < 5000;
}
