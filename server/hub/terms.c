#include "hub/terms.h"

#include <errno.h>
#include <stdlib.h>

#include "hub/hub_internal.h"

static struct repeats *repeats_of(struct hub *hub, const struct message_terms *terms)
{
    return terms->lasting ? &hub->home.lasting : &hub->home.repeats;
}

static int key_check(struct hub *hub, struct message *message, const struct message_terms *terms)
{
    struct repeats *repeats = repeats_of(hub, terms);
    const struct repeat *before = repeats_find(repeats, message->hash, terms->key, hub->now_ns);
    if (!before)
        return repeats_reserve(repeats);
    message->epoch = before->epoch;
    message->offset = before->offset;
    counter_add(&hub->counters.repeated, 1);
    return 1;
}

static int version_check(struct hub *hub, struct channel_home *channel, struct message *message,
                         const struct message_terms *terms)
{
    struct channel_version *has = channel->version;
    if (!has) {
        channel->version = calloc(1, sizeof *channel->version);
        return channel->version ? 0 : -ENOMEM;
    }
    bool same = terms->version_epoch == 0 || terms->version_epoch == has->epoch;
    if (!same || terms->version > has->version)
        return 0;
    message->epoch = channel->epoch;
    message->offset = channel->offset;
    counter_add(&hub->counters.outdated, 1);
    return 1;
}

int terms_check(struct hub *hub, struct channel_home *channel, struct message *message)
{
    if (!message->has_terms)
        return 0;
    const struct message_terms terms = message_terms(message);
    int found = terms.key != 0 ? key_check(hub, message, &terms) : 0;
    if (found == 0 && terms.version != 0)
        found = version_check(hub, channel, message, &terms);
    return found;
}

void terms_keep(struct hub *hub, struct channel_home *channel, const struct message *message)
{
    if (!message->has_terms)
        return;
    const struct message_terms terms = message_terms(message);
    if (terms.version != 0)
        *channel->version = (struct channel_version){terms.version, terms.version_epoch};
    if (terms.key == 0)
        return;
    const struct repeat repeat = {
        .channel = message->hash,
        .key = terms.key,
        .epoch = message->epoch,
        .offset = message->kind == MESSAGE_PUBLICATION ? message->offset : 0,
        .until_ns = time_after(hub->now_ns,
                               terms.lasting ? hub->config->lasting_ns : hub->config->repeats_ns),
    };
    repeats_add(repeats_of(hub, &terms), &repeat);
}
