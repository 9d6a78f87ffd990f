/* session_internal: what the files of this folder have for each other.
 *
 * Threads  The shard's. */
#pragma once

#include "auth/jwt.h"
#include "conf/namespaces.h"
#include "core/message.h"
#include "courier/events.h"
#include "session/session.h"
#include "transport/encoder.h"
#include "wire/centrifuge.h"

/* ---- speak.c: what it says, in what carries it ---- */

/* A whole reply, or a ping. May end the connection. */
void session_send(struct shard *shard, struct conn *conn, struct span text, enum send_kind kind);
/* The same, as SEND_ANSWER. */
void session_send_text(struct shard *shard, struct conn *conn, struct span text);
/* A push, {"channel":…} or another, as its client is told it; as SEND_CONTROL. */
void session_push(struct shard *shard, struct conn *conn, struct span push);

/* The same for a long text: begins one of at most `room` bytes, and sends what was written there.
 * NULL when memory is out; then the connection has ended. */
char *session_text_begin(struct shard *shard, struct conn *conn, size_t room);
void session_text_send(struct shard *shard, struct conn *conn, char *text, size_t len,
                       enum send_kind kind, unsigned messages);

/* How messages are given to it. */
struct encoding session_encoding(const struct conn *conn);

/* Says why it ends, where its transport has no words of its own, and ends the answer. */
void session_say_goodbye(struct shard *shard, struct conn *conn, enum close_reason reason);
/* The same, and ends the connection. */
void session_fail(struct shard *shard, struct conn *conn, enum close_reason reason);
/* With a code and at most WS_REASON_MAX bytes of somebody else. */
void session_fail_as(struct shard *shard, struct conn *conn, enum close_reason reason,
                     unsigned code, struct span words);

/* ---- centrifuge.c ---- */

/* What of a request's head is told its application: asking.h. Returns 0, or why it is refused. */
int session_fields_keep(struct asking **ret, const struct shard *shard,
                        const struct http_request *request);

/* Does what a frame's commands ask, a line each. */
void session_commands(struct shard *shard, struct conn *conn, struct span payload);
/* The one request of a client that only listens. */
void session_connect(struct shard *shard, struct conn *conn, struct span request);
/* Whether it is one. */
bool session_connect_valid(struct span request);
/* A heartbeat is due. */
void session_beat(struct shard *shard, struct conn *conn);

/* ---- emulation.c ---- */

enum {
    SESSION_PROOF_LEN = 32,
    SESSION_NAME_LEN = SESSION_ID_LEN + SESSION_PROOF_LEN,
    SESSION_NODE_LEN = 16,
};

/* Its stream goes one way: what its client says comes by itself. */
static inline bool session_is_emulated(const struct conn *conn)
{
    bool stream =
        conn->transport == TRANSPORT_SESSION_LINES || conn->transport == TRANSPORT_SESSION_EVENTS;
    return stream && !(conn->role & ROLE_ONE_WAY);
}

/* Writes the name by which its own client knows it: its id, which others may see, and a proof. */
void session_name_write(const struct shard *shard, const struct conn *conn,
                        char ret[SESSION_NAME_LEN]);
void session_node_write(const struct shard *shard, char ret[SESSION_NODE_LEN]);

/* ---- commands.c ---- */

/* Does what a command asks. May end the connection. */
void session_command(struct shard *shard, struct conn *conn,
                     const struct centrifuge_command *command);

/* Subscribes it in its client's stead, who is told by a push; nothing where it is subscribed. Ends
 * then, 0: never. Returns 0, -ENOSPC, -ENOBUFS or -ENOMEM. */
int session_subscribe(struct shard *shard, struct conn *conn, struct span name,
                      const struct hub_since *since, int64_t ends_s);

/* The rest of subscribe, for a client that may: until then, 0: always. May end the connection. */
void session_subscribe_as(struct shard *shard, struct conn *conn,
                          const struct centrifuge_command *command, struct span name,
                          int64_t ends_s);

/* A message of a client. */
struct session_draft {
    struct span data;
    bool utf8, skip_history, delta;
    struct span tags;           /* an object of strings; empty: none */
    struct message_terms terms; /* zeros: none */
};
/* The rest of publish, for a client that may. */
void session_publish_as(struct shard *shard, struct conn *conn, uint32_t id, struct span name,
                        const struct session_draft *draft);

/* It lives on these claims: a token's, or its application's. */
void session_lives_on(struct shard *shard, struct conn *conn, const struct jwt_claims *claims);
/* As struct transport has it. */
void session_signed_off(struct shard *shard, struct conn *conn, enum close_reason reason);

/* Answers connect: with the channels that it began with, members of an object, and with JSON of its
 * application; or none. */
void session_connected(struct shard *shard, struct conn *conn, uint32_t id, int64_t ends_s,
                       struct span subs, struct span data);

/* ---- connecting.c: the channels that a session begins with ----
 *
 *   connect ─► those of its token, or that it asks for ─► all have answered ─► its result, live */

/* Subscribes it to its channels, and answers when all are there, with `data` of its application: at
 * once, if it has none. May end the connection. */
void connecting_begin(struct shard *shard, struct conn *conn,
                      const struct centrifuge_command *command, const struct jwt_claims *claims,
                      struct span data);
/* One of them has answered, without an error. */
void connecting_subscribed(struct shard *shard, struct conn *conn, const struct hub_reply *reply);
/* Keeps what is live in one before all are. */
void connecting_hold(struct shard *shard, struct conn *conn, struct frame frame, unsigned messages);
/* Frees what it keeps; for any session. */
void connecting_end(struct shard *shard, struct conn *conn);

/* ---- answers.c ---- */

/* ,"data":… of its application; nothing where there is none. */
void session_data_write(struct out *out, struct span data);

/* {"recoverable":true,…}, with what it missed. */
void session_subscription_write(const struct shard *shard, const struct conn *conn, struct out *out,
                                const struct hub_reply *reply);

void session_reply_empty(struct shard *shard, struct conn *conn, uint32_t id,
                         enum centrifuge_method method);
void session_reply_error(struct shard *shard, struct conn *conn, uint32_t id,
                         enum centrifuge_error error);

/* A server that drains has said goodbye: an answer that comes behind that has nobody to go to. */
bool session_has_left(const struct conn *conn);

/* So many answers wait for it that it is given no more large ones. */
bool session_owes_much(const struct shard *shard, const struct conn *conn);

/* As struct transport has them. */
void session_subscribed(struct shard *shard, struct conn *conn, const struct hub_reply *reply);
void session_read(struct shard *shard, struct conn *conn, const struct hub_reply *reply);
void session_published(struct shard *shard, struct conn *conn, const struct ticket *ticket, int err,
                       uint64_t epoch, uint64_t offset);
void session_deliver(struct shard *shard, struct conn *conn, uint32_t subscription,
                     const struct hub_batch *batch);

void session_events(struct shard *shard, struct conn *conn, uint32_t subscription,
                    const struct hub_batch *batch);

/* Tells its client that it is not subscribed any more, with one of the protocol's codes. */
void session_push_unsubscribe(struct shard *shard, struct conn *conn, struct span channel,
                              unsigned code, struct span reason);

/* Takes a subscription back. */
void session_unsubscribe(struct shard *shard, struct conn *conn, uint32_t subscription);

/* ---- replay.c: a replay that is longer than a part ----
 *
 *   part queued, and a gap noted ─► all has left ─► hub_resume ─► next part … ─► live */

/* The subscription has more to give behind the position. Returns 0 or -ENOMEM. */
int replay_note(struct session *session, uint32_t subscription, uint64_t epoch, uint64_t offset);
void replay_forget(struct session *session, uint32_t subscription);
/* Asks for the next part, now or when what is queued has left. May end the connection. */
void replay_go_on(struct shard *shard, struct conn *conn);
/* As struct transport has it. */
void replay_drained(struct shard *shard, struct conn *conn);

/* ---- person.c ---- */

/* user and info, as its token has them. */
struct person {
    uint16_t user_len;
    uint16_t info_len; /* JSON; 0: none */
    uint16_t meta_len; /* likewise */
    char text[];
};

/* Makes the session that of the token's user; `meta`: that is kept, too. Returns 0 or -ENOMEM; then
 * it is as before. */
int person_take(struct session *session, const struct jwt_claims *claims, bool meta);

/* Tells webhooks; `data` is JSON. */
void session_event(struct shard *shard, enum server_event event, struct span channel,
                   struct span data);
/* Likewise of a client that has come or goes. */
void session_tell(struct shard *shard, const struct conn *conn, enum server_event event);

struct span person_user(const struct session *session);
struct span person_info(const struct session *session);
struct span person_meta(const struct session *session);

/* "expires":true,"ttl":N of what ends then, with `before` in front; nothing when it does not. */
void ttl_write(const struct shard *shard, struct out *out, struct span before, int64_t ends_s);

/* The subscription ends then, 0: never. Returns 0 or -ENOMEM. */
int subscription_ends(struct session *session, uint32_t subscription, int64_t ends_s);
/* When it does; 0: never. */
int64_t subscription_end_of(const struct session *session, uint32_t subscription);
/* By the name of its channel, a string with escapes, if it is still there. */
void session_subscription_lasts(struct shard *shard, struct conn *conn, struct span channel,
                                int64_t ends_s);
void session_subscription_expired(struct shard *shard, struct conn *conn, struct span channel);
/* Takes back the subscriptions that have ended, and says so; or asks the application. */
void subscriptions_expire(struct shard *shard, struct conn *conn);

/* ---- permits.c: what a client may do in a channel ---- */

/* Whether it is among those for a channel, `subscribed` or not: whoever is has been let in. */
bool session_is(const struct session *session, const struct namespace *namespace,
                struct span channel, enum who who, bool subscribed);

/* Whether it may subscribe. Returns 0, and when that ends (0: never); SESSION_ASK: its application
 * is to be asked; or an enum centrifuge_error, negative and less one. */
enum {
    SESSION_ASK = 1,
};
int session_may_subscribe(struct shard *shard, struct conn *conn, struct span channel,
                          struct span token, int64_t *ret_ends_s);

/* Verifies a token of a subscription. Returns likewise. */
int session_token_for(struct shard *shard, struct conn *conn, struct span channel,
                      struct span token, int64_t *ret_ends_s);
