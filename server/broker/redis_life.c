/* redis_life: whose data Redis has. A promise of what it has acknowledged is one of a life: from
 * when a server becomes a master to when it ends, or follows another one.
 *
 * The life is `master_replid`, which Redis makes anew when it starts as a master, and when it
 * becomes one. A master that follows another one, and becomes a master again, is the same process
 * with the same links, and may lack the end of what it has acknowledged. So it is looked at while
 * it is used, scripts are told what was seen and when, and look by themselves when that is too long
 * ago. Who has found another life has all joined again: what was asked in the moment before that
 * may have been given places of the old one, and is found to be by the first who asks again. */
#include "broker/redis_internal.h"

#include <errno.h>
#include <string.h>

#define NS_PER_MS INT64_C(1000000)

enum {
    LOOK_BUSY_MS = 200, /* so that scripts need not: below REDIS_TRUST_MS by more than they wait */
    LOOK_IDLE_MS = 1000,
};

static int send_look(struct redis *redis, bool whole)
{
    const char *text = script_texts[redis_in_cluster(redis)][SCRIPT_LOOK];
    const struct span words[] = {
        span_from(whole ? "EVAL" : "EVALSHA"),
        span_from(whole ? text : redis->greeting.shas[SCRIPT_LOOK]),
        SPAN("0"),
    };
    if (redis->commands_sent.count == SENT_MAX)
        return 0;
    int err = redis_link_send(&redis->commands, words, sizeof words / sizeof *words);
    if (err < 0)
        return err;
    sent_add(&redis->commands_sent, (struct sent){.kind = SENT_LOOK, .whole = whole});
    redis->looks = true;
    redis->life_ns = redis->now_ns;
    return 0;
}

int redis_look(struct redis *redis)
{
    bool busy = redis->queue.count > 0 || redis->commands_sent.count > 0;
    int64_t wait_ms = busy ? LOOK_BUSY_MS : LOOK_IDLE_MS;
    if (redis->looks || redis->now_ns - redis->life_ns < wait_ms * NS_PER_MS)
        return 0;
    return send_look(redis, false);
}

void redis_looked(struct redis *redis, const struct sent *sent, const redisReply *reply)
{
    redis->looks = false;
    if (reply->type == REDIS_REPLY_ERROR) {
        bool unknown = strncmp(reply->str, "NOSCRIPT", 8) == 0 && !sent->whole;
        if (!unknown || send_look(redis, true) < 0)
            redis_count(&redis->counters.errors);
        return;
    }
    int found = redis_life_read(&redis->greeting, reply);
    if (found < 0)
        redis_count(&redis->counters.foreign);
    if (found <= 0)
        return;
    redis_count(&redis->counters.replaced);
    redis->resets = 0;
}
