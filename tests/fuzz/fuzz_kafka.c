/* A record of Kafka, whatever its template, key and headers say: what is published has a channel's
 * name, among those that its template may make, and tags that are JSON in one line, and is refused
 * by name otherwise. The input is lines: a topic's template, names of tags, a key, and headers, a
 * name and a value each. */
#include <stdio.h>
#include <stdlib.h>

#include "conf/settings.h"
#include "fuzz.h"
#include "hub/hub.h"
#include "kafka/mapping.h"
#include "wire/json_scan.h"

enum {
    HEADERS_MAX = 16,
};

static struct span line_take(struct span *rest)
{
    const char *end = rest->len > 0 ? memchr(rest->ptr, '\n', rest->len) : NULL;
    struct span line = span_of(rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len);
    *rest = span_skip(*rest, line.len + (end ? 1 : 0));
    return line;
}

static void setting_write(char *field, size_t size, struct span text)
{
    size_t len = text.len < size ? text.len : size - 1;
    memcpy(field, text.ptr, len);
    field[len] = '\0';
}

static void draft_holds(const struct kafka_draft *draft, const struct kafka_mapping *mapping)
{
    assert(hub_name_valid(draft->channel, draft->channel_len));
    struct span more = span_of(draft->more, draft->more_len);
    static const struct span head = SPAN_INIT(",\"tags\":");
    if (more.len == 0)
        return;
    assert(mapping->tags_count > 0 || mapping->all_tags);
    assert(more.len <= MESSAGE_MORE_MAX && more.len > head.len);
    assert(memcmp(more.ptr, head.ptr, head.len) == 0);
    assert(!memchr(more.ptr, '\n', more.len) && !memchr(more.ptr, '\r', more.len));
    struct json_members members = json_members_begin(span_skip(more, head.len));
    struct json_member member;
    int found;
    while ((found = json_members_next(&members, &member)) > 0)
        assert(member.kind == JSON_IS_STRING);
    assert(found == 0);
}

/* What is only text is the channel; what is only the key is the key. */
static void plain_holds(const struct kafka_draft *draft, const struct kafka_template *template,
                        const struct kafka_record *record)
{
    struct span channel = span_of(draft->channel, draft->channel_len);
    const struct kafka_part *first = &template->parts[0];
    if (template->count == 1 && first->kind == KAFKA_TEXT)
        assert(span_equal(channel, first->text));
    if (template->count == 1 && first->kind == KAFKA_KEY)
        assert(span_equal(channel, record->key));
}

static bool glob_has(const char *glob, struct span name)
{
    if (*glob == '\0' || name.len == 0)
        return *glob == '\0' && name.len == 0;
    if (*glob == '*')
        return glob_has(glob + 1, span_skip(name, 1)) || glob_has(glob, span_skip(name, 1));
    return *glob == name.ptr[0] && glob_has(glob + 1, span_skip(name, 1));
}

/* What a record makes is among what any may make; and it is the same as the simplest way of asking,
 * which takes long where names do. */
static void glob_holds(const struct kafka_draft *draft, const struct kafka_template *template,
                       const struct kafka_record *record)
{
    char glob[KAFKA_GLOB_BYTES];
    mapping_glob(glob, template, "t", record->partition);
    if (draft)
        assert(mapping_glob_has(glob, span_of(draft->channel, draft->channel_len)));
    struct span name = record->key.len > 12 ? span_of(record->key.ptr, 12) : record->key;
    assert(mapping_glob_has(glob, name) == glob_has(glob, name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct settings settings;
    static struct kafka_mapping mapping;
    struct kafka_header headers[HEADERS_MAX];
    struct kafka_draft draft;
    char why[512], key[KAFKA_KEY_BYTES];
    struct span rest = fuzz_input(data, size);
    settings_default(&settings);
    setting_write(settings.kafka_topics, sizeof settings.kafka_topics, line_take(&rest));
    setting_write(settings.kafka_tags, sizeof settings.kafka_tags, line_take(&rest));
    struct kafka_record record = {
        .topic = SPAN("t"), .key = line_take(&rest), .value = SPAN("x"), .headers = headers};
    while (rest.len > 0 && record.headers_count < HEADERS_MAX) {
        struct span name = line_take(&rest);
        headers[record.headers_count++] = (struct kafka_header){name, line_take(&rest)};
    }
    if (mapping_read(&mapping, &settings, why, sizeof why) < 0)
        return 0;
    const struct kafka_template *template = mapping_of(&mapping, "t");
    if (template) {
        enum kafka_refusal refusal = mapping_draft(&draft, &mapping, template, &record);
        if (refusal == KAFKA_TAKEN) {
            draft_holds(&draft, &mapping);
            plain_holds(&draft, template, &record);
            glob_holds(&draft, template, &record);
        } else {
            assert(kafka_refusal_name(refusal) && kafka_refusal_sentence(refusal));
            glob_holds(NULL, template, &record);
        }
        assert(mapping_key(key, &record) <= sizeof key);
    }
    mapping_done(&mapping);
    return 0;
}
