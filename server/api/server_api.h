/* server_api: POST /api/METHOD, as the server libraries of Centrifugo call it.
 *
 *   body ─► items ─► hub, each with a ticket of its place ─► answers ─► all there: one JSON
 *
 *   publish, history, presence …  one item
 *   broadcast                     one for each channel: a publish
 *   batch                         one for each command
 *
 * Idea     An API key says that it is a server that asks, or the operator's listener does. What is
 *          wrong with one item is said in its answer, with status 200.
 * Threads  The shard's.
 * Memory   In conn_extra while it is answered.
 * Bounds   message_bytes_max a body, API_ITEMS_MAX items, API_ANSWER_MAX of their answers;
 *          body_timeout_ms for the body.
 * Source   github.com/centrifugal/centrifugo, the HTTP API of version 5 and later */
#pragma once

#include "http/exchange.h"
#include "wire/centrifuge.h"

struct nodes_heard;

enum {
    API_ITEMS_MAX = 1024,
    API_ANSWER_MAX = 8 << 20,
};

/* X(METHOD, name) */
#define API_METHODS(X)                                                                             \
    X(PUBLISH, publish)                                                                            \
    X(BROADCAST, broadcast)                                                                        \
    X(HISTORY, history)                                                                            \
    X(INFO, info)                                                                                  \
    X(BATCH, batch)                                                                                \
    X(SUBSCRIBE, subscribe)                                                                        \
    X(UNSUBSCRIBE, unsubscribe)                                                                    \
    X(DISCONNECT, disconnect)                                                                      \
    X(REFRESH, refresh)                                                                            \
    X(PRESENCE, presence)                                                                          \
    X(PRESENCE_STATS, presence_stats)                                                              \
    X(HISTORY_REMOVE, history_remove)                                                              \
    X(CHANNELS, channels)                                                                          \
    X(RPC, rpc)

#define API_METHOD_ENUM(METHOD, name) API_##METHOD,
enum api_method {
    API_METHODS(API_METHOD_ENUM) API_METHOD_COUNT,
};

struct api_answer {
    char *text; /* a result, or an error; NULL: not there yet */
    uint32_t len;
    uint8_t method; /* enum api_method */
    bool failed;
};

/* A request that is being answered; in conn_extra. */
struct api_call {
    uint8_t method; /* enum api_method */
    bool asked;     /* the body is whole: waits for the hub */
    unsigned count, left;
    size_t bytes; /* of the answers */
    struct api_answer *answers;
};

/* Begins an item: what it asks for has its answer by and by. */
void api_item(struct shard *shard, const struct conn *conn, struct api_call *call, unsigned at,
              enum api_method method, const struct centrifuge_command *request);

void api_publish(struct shard *shard, const struct conn *conn, struct api_call *call, unsigned at,
                 const struct centrifuge_command *request, struct span name);
void api_order(struct shard *shard, const struct conn *conn, struct api_call *call, unsigned at,
               enum api_method method, const struct centrifuge_command *request);
void api_info(struct shard *shard, const struct conn *conn, struct api_call *call, unsigned at);
void api_channels(struct shard *shard, const struct conn *conn, struct api_call *call, unsigned at,
                  const struct centrifuge_command *request);

/* What other nodes ask; answered by and by. */
void channels_heard(struct shard *shard, struct nodes_heard *heard);
void info_heard(struct shard *shard, struct nodes_heard *heard);

/* Gives an item its answer, which is copied; or an error in its place. */
void api_result(struct api_call *call, unsigned at, struct span text);
void api_error(struct api_call *call, unsigned at, enum centrifuge_error error);

/* As struct transport has them, for an item's place in the ticket. */
void api_item_published(struct api_call *call, unsigned at, int err, uint64_t epoch,
                        uint64_t offset);
void api_item_read(struct api_call *call, unsigned at, const struct hub_reply *reply);

/* Answers the request when all its items have been. */
void api_respond_if_all(struct shard *shard, struct conn *conn);
