/* centrifuge: the JSON form of the Centrifuge client protocol: commands in, replies and pushes out.
 *
 *   in    {"id":2,"subscribe":{"channel":"news","recover":true,"epoch":"5f3a","offset":17}} LF …
 *   out   {"id":2,"subscribe":{…}} LF {"push":{"channel":"news","pub":{"data":…,"offset":18}}} LF …
 *
 * Several commands may stand in one frame, each on a line. They are scanned without a tree: a
 * command is what its members point at. An empty one, {}, is the answer to a ping, which is an
 * empty reply.
 *
 * Threads  any.
 * Memory   the caller's; spans point into the text.
 * Bounds   JSON_DEPTH_MAX, CENTRIFUGE_ID_MAX; of a frame and its commands the caller's.
 * Errors   CENTRIFUGE_BAD: not a command, by its form. The connection cannot go on.
 * Source   github.com/centrifugal/protocol, definitions/client.proto */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/out.h"
#include "wire/span.h"

enum {
    CENTRIFUGE_BAD = -1,
};
#define CENTRIFUGE_ID_MAX UINT32_MAX

/* X(NAME, member) */
#define CENTRIFUGE_METHODS(X)                                                                      \
    X(CONNECT, connect)                                                                            \
    X(SUBSCRIBE, subscribe)                                                                        \
    X(UNSUBSCRIBE, unsubscribe)                                                                    \
    X(PUBLISH, publish)                                                                            \
    X(PRESENCE, presence)                                                                          \
    X(PRESENCE_STATS, presence_stats)                                                              \
    X(HISTORY, history)                                                                            \
    X(PING, ping)                                                                                  \
    X(SEND, send)                                                                                  \
    X(RPC, rpc)                                                                                    \
    X(REFRESH, refresh)                                                                            \
    X(SUB_REFRESH, sub_refresh)

#define CENTRIFUGE_METHOD_ENUM(NAME, member) CENTRIFUGE_##NAME,
enum centrifuge_method {
    CENTRIFUGE_METHODS(CENTRIFUGE_METHOD_ENUM) CENTRIFUGE_PONG,
};

/* What a command says. Members that it has not are empty, zero and false; those of other methods
 * than its own may be there, and mean nothing. */
struct centrifuge_command {
    uint32_t id; /* 0: wants no reply */
    enum centrifuge_method method;
    struct span channel, token, epoch; /* strings, with their escapes */
    struct span data;                  /* any JSON, as it lies there */
    struct span delta;                 /* likewise: of a subscription "fossil", of a publish true */
    struct span subs;                  /* likewise, of connect: by channel */
    struct span app_name, app_version; /* likewise, of connect: what the client is */
    struct span rpc_method;            /* likewise */
    struct span channels, commands;    /* likewise, of the server API: lists */
    struct span b64data, user, client, session, pattern; /* of the server API: strings */
    struct span disconnect, whitelist;                   /* of the server API: an object, a list */
    uint64_t offset;
    struct span tags, idempotency_key, version_epoch; /* of the server API */
    uint64_t expire_at, version;                      /* likewise; the former in seconds */
    uint32_t limit;                                   /* of a history; UINT32_MAX: none */
    bool recover, positioned, recoverable, join_leave, reverse;
    bool since; /* of a history, or to recover_since: epoch and offset were given */
    bool expired, skip_history;
};

/* Takes the next command's line off `rest`. Returns false when there is none; empty lines are
 * passed over. */
bool centrifuge_line_next(struct span *rest, struct span *ret_line);

/* Reads one command. Returns 0 or CENTRIFUGE_BAD. */
int centrifuge_command_read(struct centrifuge_command *ret, struct span line);

/* Reads the request of a connect alone. Returns likewise. */
int centrifuge_connect_read(struct centrifuge_command *ret, struct span object);

/* Reads a request alone: that of a command, or of the server API. Returns likewise. */
int centrifuge_request_read(struct centrifuge_command *ret, struct span object);

/* ---- errors: {"id":1,"error":{"code":103,"message":"permission denied"}} ---- */

/* X(NAME, code, temporary, message) */
#define CENTRIFUGE_ERRORS(X)                                                                       \
    X(INTERNAL, 100, true, "internal server error")                                                \
    X(UNAUTHORIZED, 101, false, "unauthorized")                                                    \
    X(UNKNOWN_CHANNEL, 102, false, "unknown channel")                                              \
    X(PERMISSION_DENIED, 103, false, "permission denied")                                          \
    X(METHOD_NOT_FOUND, 104, false, "method not found")                                            \
    X(ALREADY_SUBSCRIBED, 105, false, "already subscribed")                                        \
    X(LIMIT_EXCEEDED, 106, false, "limit exceeded")                                                \
    X(BAD_REQUEST, 107, false, "bad request")                                                      \
    X(NOT_AVAILABLE, 108, false, "not available")                                                  \
    X(TOKEN_EXPIRED, 109, false, "token expired")                                                  \
    X(EXPIRED, 110, false, "expired")                                                              \
    X(TOO_MANY_REQUESTS, 111, true, "too many requests")                                           \
    X(UNRECOVERABLE, 112, false, "unrecoverable position")

#define CENTRIFUGE_ERROR_ENUM(NAME, code, temporary, message) CENTRIFUGE_ERROR_##NAME,
enum centrifuge_error {
    CENTRIFUGE_ERRORS(CENTRIFUGE_ERROR_ENUM) CENTRIFUGE_ERROR_COUNT,
};

enum {
    CENTRIFUGE_REPLY_MAX = 160, /* of one that is an error, or says nothing */
};

unsigned centrifuge_error_code(enum centrifuge_error error);
const char *centrifuge_error_message(enum centrifuge_error error);

/* {"code":…,"message":…}, as replies and the answers of the server API have it. */
void centrifuge_error_write(struct out *out, enum centrifuge_error error);
/* A whole reply with it. */
void centrifuge_reply_error(struct out *out, uint32_t id, enum centrifuge_error error);

/* A reply up to its result, {"id":7,"history":, which is to follow with a } behind. */
void centrifuge_reply_begin(struct out *out, uint32_t id, enum centrifuge_method method);
/* One without anything to say: {"id":7,"unsubscribe":{}}. */
void centrifuge_reply_empty(struct out *out, uint32_t id, enum centrifuge_method method);

/* ---- publications: {"data":…,"offset":18} ---- */

enum centrifuge_form {
    CENTRIFUGE_JSON,  /* embedded; line ends, which are blanks there, become spaces */
    CENTRIFUGE_TEXT,  /* UTF-8 that is no JSON: a string */
    CENTRIFUGE_BYTES, /* {"base64":"…"} */
};

/* How the data is given. Who subscribes with deltas is given each as a string: what is in it is
 * the base of the next one. */
enum centrifuge_coding {
    CENTRIFUGE_PLAIN,
    CENTRIFUGE_STRING, /* "{\"a\":1}": a string of the JSON that it is otherwise */
    CENTRIFUGE_DELTA,  /* `data` is what changed of that, a text: a string, and "delta":true */
};

struct centrifuge_publication {
    struct span data;
    enum centrifuge_form form;
    enum centrifuge_coding coding;
    uint64_t offset;   /* 0: it has none */
    struct span more;  /* members behind them: ,"tags":{…} */
    struct span event; /* of a push: join or leave, of whom `data` tells; empty: a publication */
};

/* What bytes are to a client of this protocol. */
enum centrifuge_form centrifuge_form_of(struct span data);

/* {"client":…,"user":…,"conn_info":…}; `info` is JSON, or empty. */
size_t centrifuge_client_room(struct span client, struct span user, struct span info);
void centrifuge_client_write(struct out *out, struct span client, struct span user,
                             struct span info);

size_t centrifuge_publication_size(const struct centrifuge_publication *publication);
void centrifuge_publication_write(struct out *out,
                                  const struct centrifuge_publication *publication);

/* Makes spaces of the line ends of JSON: between its values they are blanks, and in its strings
 * there are none. */
void centrifuge_unbreak(char *json, size_t len);

/* A whole push with it, without the line feed. `channel` needs no escapes. */
size_t centrifuge_push_size(struct span channel, const struct centrifuge_publication *publication);
void centrifuge_push_write(struct out *out, struct span channel,
                           const struct centrifuge_publication *publication);

/* The same as a client that only listens is told it, without {"push":…} around. */
size_t centrifuge_bare_push_size(struct span channel,
                                 const struct centrifuge_publication *publication);
void centrifuge_bare_push_write(struct out *out, struct span channel,
                                const struct centrifuge_publication *publication);

/* ---- what stands beside the frames ---- */

/* {"session":"…","node":"…","data":"…"}: commands for a client whose stream only goes one way, by a
 * request of their own. Strings, with their escapes; `data` stands for what would be a frame. */
struct centrifuge_emulation {
    struct span session, node, data;
};

/* Returns 0 or CENTRIFUGE_BAD. */
int centrifuge_emulation_read(struct centrifuge_emulation *ret, struct span body);
