#include "kafka/mapping.h"

#include <errno.h>
#include <stdio.h>

#include "conf/settings.h"
#include "hub/hub.h"
#include "wire/json_out.h"
#include "wire/out.h"
#include "wire/utf8.h"

/* ---- names ---- */

const char *kafka_refusal_name(enum kafka_refusal refusal)
{
    static const char *const names[KAFKA_REFUSAL_COUNT] = {
#define NAME(upper, lower, sentence) [KAFKA_##upper] = #lower,
        KAFKA_REFUSALS(NAME)
#undef NAME
    };
    return names[refusal];
}

const char *kafka_refusal_sentence(enum kafka_refusal refusal)
{
    static const char *const sentences[KAFKA_REFUSAL_COUNT] = {
#define SENTENCE(upper, lower, sentence) [KAFKA_##upper] = (sentence),
        KAFKA_REFUSALS(SENTENCE)
#undef SENTENCE
    };
    return sentences[refusal];
}

/* ---- settings ---- */

static const char topic_bytes[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

/* What stands between two braces. Returns false when it is nothing. */
static bool part_read(struct kafka_part *ret, struct span inside)
{
    static const struct span header = SPAN_INIT("header:");
    if (span_equal(inside, SPAN("topic")))
        ret->kind = KAFKA_TOPIC;
    else if (span_equal(inside, SPAN("partition")))
        ret->kind = KAFKA_PARTITION;
    else if (span_equal(inside, SPAN("key")))
        ret->kind = KAFKA_KEY;
    else if (inside.len > header.len && memcmp(inside.ptr, header.ptr, header.len) == 0)
        *ret = (struct kafka_part){KAFKA_HEADER, span_skip(inside, header.len)};
    else
        return false;
    return true;
}

static int template_read(struct kafka_template *ret, struct span text, char *why, size_t why_size)
{
    *ret = (struct kafka_template){0};
    for (struct span rest = text; rest.len > 0; ret->count++) {
        if (ret->count == KAFKA_PARTS_MAX)
            goto bad;
        struct kafka_part *part = &ret->parts[ret->count];
        const char *open = memchr(rest.ptr, '{', rest.len);
        size_t plain = open ? (size_t)(open - rest.ptr) : rest.len;
        if (plain > 0) {
            *part = (struct kafka_part){KAFKA_TEXT, span_of(rest.ptr, plain)};
            if (plain > CHANNEL_NAME_MAX || !hub_name_valid(rest.ptr, plain))
                goto bad;
            rest = span_skip(rest, plain);
            continue;
        }
        const char *close = memchr(rest.ptr, '}', rest.len);
        size_t len = close ? (size_t)(close - rest.ptr) : 0;
        if (len == 0 || !part_read(part, span_of(rest.ptr + 1, len - 1)))
            goto bad;
        rest = span_skip(rest, len + 1);
    }
    if (ret->count > 0)
        return 0;
bad:
    snprintf(why, why_size,
             "%.*s: makes no channel's name: a template has {topic}, {partition}, {key} and "
             "{header:NAME} among what a name may have, at most %d parts",
             (int)text.len, text.ptr, KAFKA_PARTS_MAX);
    return -EINVAL;
}

bool mapping_topic_is_good(struct span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] == '\0' || !strchr(topic_bytes, name.ptr[i]))
            return false;
    return name.len > 0 && name.len <= KAFKA_TOPIC_MAX;
}

/* glibc writes out what is repeated, and each repetition of a repetition doubles it: 34 of `+` took
 * gigabytes, 180 of `*` seconds. */
static bool is_small_pattern(const char *pattern)
{
    unsigned repeated = 0;
    bool before = false, repeats;
    for (; *pattern != '\0'; pattern++, before = repeats) {
        repeats = *pattern == '*' || *pattern == '+' || *pattern == '?';
        repeated += *pattern == '+';
        if (*pattern == '{' || (before && repeats))
            return false;
    }
    return repeated <= KAFKA_PATTERN_PLUS_MAX;
}

static int topic_name_read(struct kafka_topic *ret, struct span name, char *why, size_t why_size)
{
    ret->is_pattern = name.len > 0 && name.ptr[0] == '^';
    if (name.len == 0 || name.len > KAFKA_TOPIC_MAX)
        goto bad;
    memcpy(ret->name, name.ptr, name.len);
    ret->name[name.len] = '\0';
    if (!ret->is_pattern && !mapping_topic_is_good(name))
        goto bad;
    if (ret->is_pattern && (!is_small_pattern(ret->name) ||
                            regcomp(&ret->pattern, ret->name, REG_EXTENDED | REG_NOSUB) != 0)) {
        ret->is_pattern = false;
        goto bad;
    }
    return 0;
bad:
    snprintf(why, why_size,
             "kafka_topics: %.*s: is no topic: 1 to %d of A-Z a-z 0-9 . _ -, or a regular "
             "expression that begins with ^ and has no {, no ** or the like, and at most %d of +",
             (int)name.len, name.ptr, KAFKA_TOPIC_MAX, KAFKA_PATTERN_PLUS_MAX);
    return -EINVAL;
}

/* TOPIC, or TOPIC=TEMPLATE. */
static int topic_read(struct kafka_mapping *mapping, struct span item, const char *channel,
                      char *why, size_t why_size)
{
    if (mapping->count == KAFKA_TOPICS_MAX) {
        snprintf(why, why_size, "kafka_topics: more than %d", KAFKA_TOPICS_MAX);
        return -EINVAL;
    }
    struct kafka_topic *topic = &mapping->topics[mapping->count];
    const char *equals = memchr(item.ptr, '=', item.len);
    struct span name = equals ? span_of(item.ptr, (size_t)(equals - item.ptr)) : item;
    struct span text = equals ? span_skip(item, name.len + 1) : span_from(channel);
    int err = template_read(&topic->template, text, why, why_size);
    if (err == 0)
        err = topic_name_read(topic, name, why, why_size);
    if (err == 0)
        mapping->count++;
    return err;
}

static int tag_read(struct kafka_mapping *mapping, struct span name, char *why, size_t why_size)
{
    if (span_equal(name, SPAN("*"))) {
        mapping->all_tags = true;
        return 0;
    }
    if (mapping->tags_count == KAFKA_TAGS_MAX || !utf8_valid(name)) {
        snprintf(why, why_size, "kafka_tags: more than %d names, or one that is no UTF-8",
                 KAFKA_TAGS_MAX);
        return -EINVAL;
    }
    mapping->tags[mapping->tags_count++] = name;
    return 0;
}

int mapping_read(struct kafka_mapping *ret, const struct settings *settings, char *why,
                 size_t why_size)
{
    int err = 0;
    *ret = (struct kafka_mapping){.message_bytes_max = (uint64_t)settings->message_bytes_max};
    for (const char *at = settings->kafka_topics; err == 0 && *(at += strspn(at, " ")) != '\0';) {
        struct span item = span_of(at, strcspn(at, " "));
        err = topic_read(ret, item, settings->kafka_channel, why, why_size);
        at += item.len;
    }
    for (const char *at = settings->kafka_tags; err == 0 && *(at += strspn(at, " ")) != '\0';) {
        struct span item = span_of(at, strcspn(at, " "));
        err = tag_read(ret, item, why, why_size);
        at += item.len;
    }
    if (err == 0 && ret->count == 0) {
        snprintf(why, why_size, "kafka_brokers needs kafka_topics: nothing would be read");
        err = -EINVAL;
    }
    if (err < 0)
        mapping_done(ret);
    return err;
}

void mapping_done(struct kafka_mapping *mapping)
{
    for (unsigned i = 0; i < mapping->count; i++)
        if (mapping->topics[i].is_pattern)
            regfree(&mapping->topics[i].pattern);
    mapping->count = 0;
}

const struct kafka_template *mapping_of(const struct kafka_mapping *mapping, const char *topic)
{
    for (unsigned i = 0; i < mapping->count; i++)
        if (!mapping->topics[i].is_pattern && strcmp(mapping->topics[i].name, topic) == 0)
            return &mapping->topics[i].template;
    for (unsigned i = 0; i < mapping->count; i++)
        if (mapping->topics[i].is_pattern &&
            regexec(&mapping->topics[i].pattern, topic, 0, NULL, 0) == 0)
            return &mapping->topics[i].template;
    return NULL;
}

void mapping_glob(char ret[KAFKA_GLOB_BYTES], const struct kafka_template *template,
                  const char *topic, int32_t partition)
{
    struct out out = out_begin(ret, KAFKA_GLOB_BYTES - 1);
    for (unsigned i = 0; i < template->count; i++) {
        const struct kafka_part *part = &template->parts[i];
        switch (part->kind) {
        case KAFKA_TEXT:
            out_span(&out, part->text);
            break;
        case KAFKA_TOPIC:
            out_span(&out, span_from(topic));
            break;
        case KAFKA_PARTITION:
            out_decimal(&out, (uint64_t)partition);
            break;
        case KAFKA_KEY:
        case KAFKA_HEADER:
            out_text(&out, "*");
            break;
        }
    }
    int len = out_end(&out);
    ret[len < 0 ? 0 : len] = '\0';
}

/* It goes back to the last * alone: what one takes more another need not. */
bool mapping_glob_has(const char *glob, struct span name)
{
    const char *star = NULL;
    size_t at = 0, behind = 0; /* what the last * takes ends before `behind` */
    while (at < name.len || *glob != '\0') {
        if (*glob == '*') {
            star = glob++;
            behind = ++at;
        } else if (at < name.len && *glob != '\0' && *glob == name.ptr[at]) {
            glob++;
            at++;
        } else if (star && behind < name.len) {
            glob = star + 1;
            at = ++behind;
        } else {
            return false;
        }
    }
    return at == name.len;
}

/* ---- records ---- */

/* The last of that name. */
static struct span header_of(const struct kafka_record *record, struct span name)
{
    for (unsigned i = record->headers_count; i-- > 0;)
        if (span_equal(record->headers[i].name, name))
            return record->headers[i].value;
    return (struct span){0};
}

/* Returns false when the record has not what is wanted. */
static bool part_write(struct out *out, const struct kafka_part *part,
                       const struct kafka_record *record)
{
    struct span text = part->text;
    switch (part->kind) {
    case KAFKA_PARTITION:
        out_decimal(out, (uint64_t)record->partition);
        return true;
    case KAFKA_TEXT:
        break;
    case KAFKA_TOPIC:
        text = record->topic;
        break;
    case KAFKA_KEY:
        text = record->key;
        break;
    case KAFKA_HEADER:
        text = header_of(record, part->text);
        break;
    }
    out_span(out, text);
    return text.len > 0;
}

static enum kafka_refusal channel_write(struct kafka_draft *draft,
                                        const struct kafka_template *template,
                                        const struct kafka_record *record)
{
    struct out out = out_begin(draft->channel, sizeof draft->channel);
    for (unsigned i = 0; i < template->count; i++)
        if (!part_write(&out, &template->parts[i], record))
            return KAFKA_NO_CHANNEL;
    int len = out_end(&out);
    if (len < 0 || !hub_name_valid(draft->channel, (size_t)len))
        return KAFKA_BAD_CHANNEL;
    draft->channel_len = (size_t)len;
    return KAFKA_TAKEN;
}

static bool string_write(struct out *out, struct span text)
{
    if (!utf8_valid(text) || json_string_size(text) > (size_t)(out->end - out->at))
        return false;
    out->at += json_string_write(out->at, text);
    return true;
}

static bool tag_write(struct out *out, bool *first, struct span name, struct span value)
{
    out_span(out, *first ? SPAN(",\"tags\":{") : SPAN(","));
    *first = false;
    if (!string_write(out, name))
        return false;
    out_text(out, ":");
    return string_write(out, value);
}

/* An object has a name once: of several headers the last. */
static bool is_last(const struct kafka_record *record, unsigned at)
{
    for (unsigned i = at + 1; i < record->headers_count; i++)
        if (span_equal(record->headers[i].name, record->headers[at].name))
            return false;
    return true;
}

static enum kafka_refusal tags_write(struct kafka_draft *draft, const struct kafka_mapping *mapping,
                                     const struct kafka_record *record)
{
    struct out out = out_begin(draft->more, sizeof draft->more);
    bool first = true, good = true;
    for (unsigned i = 0; mapping->all_tags && good && i < record->headers_count; i++)
        if (is_last(record, i))
            good = tag_write(&out, &first, record->headers[i].name, record->headers[i].value);
    for (unsigned i = 0; !mapping->all_tags && good && i < mapping->tags_count; i++) {
        struct span value = header_of(record, mapping->tags[i]);
        if (value.ptr)
            good = tag_write(&out, &first, mapping->tags[i], value);
    }
    if (!first)
        out_text(&out, "}");
    int len = out_end(&out);
    draft->more_len = len < 0 ? 0 : (size_t)len;
    return good && len >= 0 ? KAFKA_TAKEN : KAFKA_BAD_TAGS;
}

enum kafka_refusal mapping_draft(struct kafka_draft *ret, const struct kafka_mapping *mapping,
                                 const struct kafka_template *template,
                                 const struct kafka_record *record)
{
    ret->channel_len = ret->more_len = 0;
    if (!record->value.ptr)
        return KAFKA_NO_VALUE;
    if (record->value.len > mapping->message_bytes_max)
        return KAFKA_TOO_LARGE;
    enum kafka_refusal refusal = channel_write(ret, template, record);
    if (refusal == KAFKA_TAKEN)
        refusal = tags_write(ret, mapping, record);
    return refusal;
}

size_t mapping_key(char ret[KAFKA_KEY_BYTES], const struct kafka_record *record)
{
    struct out out = out_begin(ret, KAFKA_KEY_BYTES);
    out_span(&out, record->topic);
    out_text(&out, "\0");
    out_span(&out, span_of((const char *)&record->partition, sizeof record->partition));
    out_span(&out, span_of((const char *)&record->offset, sizeof record->offset));
    out_span(&out, span_of((const char *)&record->time_ms, sizeof record->time_ms));
    int len = out_end(&out);
    assert(len > 0);
    return (size_t)len;
}
