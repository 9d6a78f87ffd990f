/* namespaces: what holds for the channels whose names begin alike.
 *
 *   [namespace]                   [namespace news]                [namespace news:local]
 *   allow_publish = server        history_messages = 10           latest_state = on
 *     all channels                  news:…                          news:local:…
 *
 * Idea     A channel belongs to the namespace with the longest name that its own begins with, up to
 *          a ':'; else to the one without a name. What a namespace does not set is as in the one
 *          without a name, whichever stands first in the file.
 * Threads  Filled before the shards start, read-only afterwards.
 * Memory   Inside struct settings.
 * Bounds   NAMESPACES_MAX with a name; NAMESPACE_NAME_MAX bytes each. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/span.h"

enum {
    NAMESPACES_MAX = 64,
    NAMESPACE_NAME_MAX = 64,
};

/* Who may do something. Each may also do what those before it may. */
enum who {
    WHO_ANONYMOUS,  /* everybody                                                     */
    WHO_SIGNED_ON,  /* a client with a token                                         */
    WHO_SUBSCRIBER, /* one that is subscribed to the channel; to subscribe: one whose token names
                       the channel */
    WHO_SERVER,     /* whoever has an API key                                        */
};

/* Which messages may be told by what has changed since the one before, to who asks for that. */
enum deltas {
    DELTAS_OFF,
    DELTAS_ASKED, /* those whose publisher says so */
    DELTAS_ALL,
};

/* What becomes of live messages for a reader that is behind: slow_reader, or as set there. */
enum own_policy {
    OWN_POLICY_COMMON,
    OWN_POLICY_DISCONNECT,
    OWN_POLICY_DROP_OLDEST,
    OWN_POLICY_KEEP_LATEST,
};

/* X(type, name, default, minimum, maximum, unit, reason), as in conf/settings.h. */
#define NAMESPACE_TABLE(X)                                                                         \
    X(NUMBER, history_messages, -1, -1, 1000000, "count",                                          \
      "Messages that a channel keeps for recovery. -1: history_messages_max.")                     \
    X(NUMBER, history_bytes, -1, -1, 1099511627776, "bytes",                                       \
      "Bytes of messages that a channel keeps. -1: history_bytes_max.")                            \
    X(NUMBER, history_age_ms, -1, -1, 86400000, "ms",                                              \
      "A message is forgotten after this. -1: history_age_ms of all channels.")                    \
    X(SWITCH, recovery, true, 0, 1, "on/off",                                                      \
      "Who comes back with a position gets what it missed. off: it is told that it cannot.")       \
    X(SWITCH, latest_state, false, 0, 1, "on/off",                                                 \
      "Only the newest message counts: a replay is that one, and whoever has it has all.")         \
    X(SWITCH, presence, false, 0, 1, "on/off", "Who is subscribed can be asked for.")              \
    X(NUMBER, presence_age_ms, 60000, 1000, 86400000, "ms",                                        \
      "A client that was not heard of for so long is not present any more.")                       \
    X(SWITCH, join_leave, false, 0, 1, "on/off", "Subscribers are told who comes and goes.")       \
    X(WHO, allow_subscribe, WHO_ANONYMOUS, 0, 3, "anonymous, signed_on, subscriber or server",     \
      "Who may subscribe, and poll. subscriber: whose token names the channel; such a token is "   \
      "always enough.")                                                                            \
    X(WHO, allow_publish, WHO_ANONYMOUS, 0, 3, "anonymous, signed_on, subscriber or server",       \
      "Who may publish.")                                                                          \
    X(WHO, allow_history, WHO_SUBSCRIBER, 0, 3, "anonymous, signed_on, subscriber or server",      \
      "Who may ask for the history of a channel by itself.")                                       \
    X(WHO, allow_presence, WHO_SUBSCRIBER, 0, 3, "anonymous, signed_on, subscriber or server",     \
      "Who may ask who is present.")                                                               \
    X(SWITCH, user_limited, false, 0, 1, "on/off",                                                 \
      "A channel whose name has a '#' is for the users that stand behind it, separated by "        \
      "commas: dialog#42,43.")                                                                     \
    X(OWN_POLICY, slow_reader, OWN_POLICY_COMMON, 0, 3,                                            \
      "common, disconnect, drop_oldest or keep_latest",                                            \
      "What becomes of live messages for a reader that is behind. common: slow_reader of all "     \
      "channels.")                                                                                 \
    X(DELTAS, delta, DELTAS_ASKED, 0, 2, "off, asked or all",                                      \
      "Who subscribes with delta=fossil is told what changed since the message before. asked: of " \
      "messages that are published with delta=1.")                                                 \
    X(NUMBER, publishes_per_s, 0, 0, 10000000, "count",                                            \
      "Messages published to one channel each second; more are refused. 0: any number.")           \
    X(SWITCH, proxy_subscribe, false, 0, 1, "on/off",                                              \
      "An application is asked who may subscribe, at proxy_subscribe_endpoint: clients of the "    \
      "Centrifuge protocol without a token for the channel. All others need one.")                 \
    X(SWITCH, proxy_publish, false, 0, 1, "on/off",                                                \
      "Likewise who may publish what, at proxy_publish_endpoint. Others than these clients need "  \
      "an API key.")                                                                               \
    X(SWITCH, proxy_sub_refresh, false, 0, 1, "on/off",                                            \
      "Likewise whether a subscription goes on, at proxy_sub_refresh_endpoint.")                   \
    X(SWITCH, ephemeral, false, 0, 1, "on/off",                                                    \
      "What is published there is for those who are subscribed at the moment, as of typing or "    \
      "of read receipts: it has no offset, and no history keeps it.")

#define NAMESPACE_FIELD_NUMBER(name)     int64_t name;
#define NAMESPACE_FIELD_SWITCH(name)     bool name;
#define NAMESPACE_FIELD_WHO(name)        enum who name;
#define NAMESPACE_FIELD_OWN_POLICY(name) enum own_policy name;
#define NAMESPACE_FIELD_DELTAS(name)     enum deltas name;
#define NAMESPACE_FIELD(type, name, ...) NAMESPACE_FIELD_##type(name)

struct namespace
{
    NAMESPACE_TABLE(NAMESPACE_FIELD)
    uint32_t set; /* a bit for each row: not as in the one without a name */
    uint8_t index;
    uint8_t name_len;
    char name[NAMESPACE_NAME_MAX];
};

struct namespaces {
    struct namespace list[1 + NAMESPACES_MAX]; /* the first is the one without a name */
    unsigned count;
};

void namespaces_default(struct namespaces *namespaces);

/* Whether a line's section is a namespace's, and of which name. */
bool namespaces_section(const char *section, struct span *ret_name);

/* Sets a value of a namespace, which comes to be. 0, or -EINVAL with a line in `why`. */
int namespaces_set(struct namespaces *namespaces, struct span name, const char *key,
                   const char *value, char *why, size_t why_size);

/* The namespace of a channel. Linear in the number of namespaces: ask once for a channel. */
const struct namespace *namespace_of(const struct namespaces *namespaces, struct span channel);

/* Whether the user is one of those that a channel's name is for; also when it is for everybody,
 * which is when its namespace is not user_limited, or it has no '#'. */
bool namespace_lets_user(const struct namespace *namespace, struct span channel, struct span user);

/* Whether the channel's name says whom it is for. */
bool namespace_is_limited(const struct namespace *namespace, struct span channel);

/* Who may subscribe, or publish, where no application is asked. */
static inline enum who namespace_subscribers(const struct namespace *namespace)
{
    return namespace->proxy_subscribe && namespace->allow_subscribe < WHO_SUBSCRIBER
               ? WHO_SUBSCRIBER
               : namespace->allow_subscribe;
}

static inline enum who namespace_publishers(const struct namespace *namespace)
{
    return namespace->proxy_publish ? WHO_SERVER : namespace->allow_publish;
}

/* What the other settings have: keys of tokens, and where an application is asked. */
struct namespaces_have {
    bool tokens, subscribe, publish, sub_refresh;
};

/* Checks what nobody could ever do: without keys of tokens nobody signs on. 0, or -EINVAL with a
 * line in `why`. */
int namespaces_check(const struct namespaces *namespaces, const struct namespaces_have *have,
                     char *why, size_t why_size);

/* Says on stderr what only a server may do, and none could. Returns how many there are. */
unsigned namespaces_warn(const struct namespaces *namespaces);

void namespaces_print(const struct namespaces *namespaces);
