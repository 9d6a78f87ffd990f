/* channels: a group's clients and messages spread over many channels, and kinds of messages.
 *
 *     number     1    2    3    4    5    6    7  …        3 channels
 *     channel    0    1    2    0    1    2    0
 *     sequence   1    1    1    2    2    2    3           what the ledger of a client counts
 *     kind      k[0] k[1] k[2] k[1] k[2] k[0] k[2]         cycle k of 3: each channel goes through
 *                                                          it, and they do not do so in step */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load/engine.h"

/* The kinds of one cycle, as evenly mixed as their parts allow: at each place the one that is most
 * behind its share. */
static void cycle_make(struct group *group)
{
    const struct load_group_config *config = &group->config;
    const struct load_kind single = {config->payload_bytes, 1};
    const struct load_kind *kinds = config->kind_count > 0 ? config->kinds : &single;
    unsigned count = config->kind_count > 0 ? config->kind_count : 1;
    uint32_t given[LOAD_KINDS_MAX] = {0}, total = 0;
    for (unsigned i = 0; i < count; i++)
        total += kinds[i].parts;
    assert(total > 0 && total <= LOAD_CYCLE_MAX);
    for (uint32_t at = 0; at < total; at++) {
        unsigned most = 0;
        int64_t behind = INT64_MIN;
        for (unsigned i = 0; i < count; i++) {
            int64_t lacks = (int64_t)kinds[i].parts * (at + 1) - (int64_t)given[i] * total;
            if (lacks > behind && given[i] < kinds[i].parts) {
                behind = lacks;
                most = i;
            }
        }
        given[most]++;
        group->cycle[at] = kinds[most].bytes;
    }
    group->cycle_count = total;
}

int channels_init(struct group *group)
{
    group->channels = group->config.channels > 0 ? group->config.channels : 1;
    group->channel_ready = calloc(group->channels, sizeof *group->channel_ready);
    cycle_make(group);
    group->config.kinds = NULL; /* the caller's again */
    return group->channel_ready ? 0 : -ENOMEM;
}

uint32_t channel_of_subscriber(const struct load *load, const struct subscriber *subscriber)
{
    const struct group *group = &load->groups[subscriber->group];
    return (subscriber_index(load, subscriber) - group->first) % group->channels;
}

uint32_t channel_last(const struct load *load, const struct subscriber *subscriber)
{
    const struct group *group = &load->groups[subscriber->group];
    uint32_t published = group->publisher.number;
    return published / group->channels +
           (published % group->channels > channel_of_subscriber(load, subscriber));
}

void ready_enter(struct load *load, const struct subscriber *subscriber)
{
    struct group *group = group_of(load, subscriber);
    group->ready++;
    group->channel_ready[channel_of_subscriber(load, subscriber)]++;
}

void ready_leave(struct load *load, const struct subscriber *subscriber)
{
    struct group *group = group_of(load, subscriber);
    uint32_t channel = channel_of_subscriber(load, subscriber);
    group->ready--;
    group->channel_ready[channel]--;
    uint64_t next = (uint64_t)(subscriber->place.expected - 1) * group->channels + channel + 1;
    flights_leave(&group->flights, next, group->channels);
}

uint32_t expected_of_number(const struct group *group, uint32_t number)
{
    return group->channel_ready[channel_of_number(group, number)];
}

uint32_t bytes_of_number(const struct group *group, uint32_t number)
{
    uint32_t at = channel_of_number(group, number) + sequence_of_number(group, number) - 1;
    return group->cycle[at % group->cycle_count];
}

size_t channel_suffix_write(char buf[CHANNEL_SUFFIX_MAX], uint32_t channel)
{
    char text[CHANNEL_SUFFIX_MAX + 1];
    int len = snprintf(text, sizeof text, "-%u", channel);
    assert(len > 0 && len <= CHANNEL_SUFFIX_MAX);
    memcpy(buf, text, (size_t)len);
    return (size_t)len;
}
