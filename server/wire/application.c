#include "wire/application.h"

#include <assert.h>
#include <errno.h>

#include "wire/json_out.h"
#include "wire/json_scan.h"

const char *application_hook_name(enum application_hook hook)
{
#define HOOK_NAME(NAME, name) #name,
    static const char *const names[] = {APPLICATION_HOOKS(HOOK_NAME)};
    return names[hook];
}

/* ---- questions ---- */

#define FRONT  "{\"client\":\""
#define MIDDLE "\",\"protocol\":\"json\",\"encoding\":\"json\""

/* Room for all that stands between the parts. */
#define AROUND                                                                                     \
    (sizeof FRONT "\",\"transport\":\"" MIDDLE ",\"user\":\"\",\"channel\":\"\",\"method\":"       \
                  ",\"name\":,\"version\":,\"meta\":,\"data\":}")

size_t application_question_size(const struct application_question *question)
{
    return AROUND + question->client.len + question->transport.len +
           json_string_size(question->user) + question->meta.len + question->channel.len +
           question->method.len + question->name.len + question->version.len + question->data.len;
}

static void json_write(struct out *out, struct span name, struct span json)
{
    if (json.len == 0)
        return;
    out_span(out, name);
    out_span(out, json);
}

void application_question_write(struct out *out, const struct application_question *question)
{
    out_text(out, FRONT);
    out_span(out, question->client);
    out_text(out, "\",\"transport\":\"");
    out_span(out, question->transport);
    out_text(out, MIDDLE);
    if (question->has_user) {
        out_text(out, ",\"user\":");
        assert(json_string_size(question->user) <= (size_t)(out->end - out->at));
        out->at += json_string_write(out->at, question->user);
    }
    if (question->channel.len > 0) {
        out_text(out, ",\"channel\":\"");
        out_span(out, question->channel);
        out_text(out, "\"");
    }
    json_write(out, SPAN(",\"method\":"), question->method);
    json_write(out, SPAN(",\"name\":"), question->name);
    json_write(out, SPAN(",\"version\":"), question->version);
    json_write(out, SPAN(",\"meta\":"), question->meta);
    json_write(out, SPAN(",\"data\":"), question->data);
    out_text(out, "}");
}

/* ---- verdicts ---- */

enum field_type {
    FIELD_STRING,
    FIELD_JSON,
    FIELD_OBJECT,
    FIELD_LIST,
    FIELD_NUMBER,
    FIELD_CODE,
    FIELD_BOOL,
};

struct field {
    struct span name;
    enum field_type type;
    size_t at;
};

#define FIELD(name, type)                                                                          \
    {                                                                                              \
        SPAN_INIT(#name), type, offsetof(struct verdict, name)                                     \
    }
static const struct field result_fields[] = {
    FIELD(user, FIELD_STRING),       FIELD(info, FIELD_JSON),
    FIELD(b64info, FIELD_STRING),    FIELD(data, FIELD_JSON),
    FIELD(b64data, FIELD_STRING),    FIELD(meta, FIELD_JSON),
    FIELD(channels, FIELD_LIST),     FIELD(subs, FIELD_OBJECT),
    FIELD(tags, FIELD_OBJECT),       FIELD(idempotency_key, FIELD_STRING),
    FIELD(version, FIELD_NUMBER),    FIELD(version_epoch, FIELD_STRING),
    FIELD(expire_at, FIELD_NUMBER),  FIELD(expired, FIELD_BOOL),
    FIELD(skip_history, FIELD_BOOL), FIELD(delta, FIELD_BOOL),
};
static const struct field error_fields[] = {
    FIELD(code, FIELD_CODE),
    {SPAN_INIT("message"), FIELD_STRING, offsetof(struct verdict, words)},
    FIELD(temporary, FIELD_BOOL),
};
static const struct field disconnect_fields[] = {
    FIELD(code, FIELD_CODE),
    {SPAN_INIT("reason"), FIELD_STRING, offsetof(struct verdict, words)},
};

static bool code_read(uint32_t *ret, const struct json_member *member)
{
    uint64_t code;
    if (member->kind != JSON_IS_NUMBER || !json_number_read(member->value, &code) ||
        code > UINT32_MAX)
        return false;
    *ret = (uint32_t)code;
    return true;
}

/* Returns false when it is of another kind. */
static bool field_read(struct verdict *verdict, const struct field *field,
                       const struct json_member *member)
{
    void *place = (char *)verdict + field->at;
    switch (field->type) {
    case FIELD_STRING:
        *(struct span *)place = member->value;
        return member->kind == JSON_IS_STRING;
    case FIELD_JSON:
        *(struct span *)place = member->value;
        if (member->kind == JSON_IS_STRING) /* with its quotes */
            *(struct span *)place = span_of(member->value.ptr - 1, member->value.len + 2);
        return true;
    case FIELD_OBJECT:
        *(struct span *)place = member->value;
        return member->kind == JSON_IS_OBJECT;
    case FIELD_LIST:
        *(struct span *)place = member->value;
        return member->kind == JSON_IS_LIST;
    case FIELD_NUMBER:
        return member->kind == JSON_IS_NUMBER && json_number_read(member->value, place);
    case FIELD_CODE:
        return code_read(place, member);
    case FIELD_BOOL:
        *(bool *)place = member->kind == JSON_IS_TRUE;
        return member->kind == JSON_IS_TRUE || member->kind == JSON_IS_FALSE;
    }
    return false;
}

static int object_read(struct verdict *verdict, const struct field *fields, size_t count,
                       struct span object)
{
    struct json_members members = json_members_begin(object);
    struct json_member member;
    int found;
    while ((found = json_members_next(&members, &member)) > 0)
        for (size_t i = 0; i < count && member.kind != JSON_IS_NULL; i++)
            if (json_string_is(member.name, fields[i].name) &&
                !field_read(verdict, &fields[i], &member))
                return -EINVAL;
    return found < 0 ? -EINVAL : 0;
}

#define OBJECT_READ(verdict, fields, object)                                                       \
    object_read(verdict, fields, sizeof(fields) / sizeof(fields)[0], object)

/* The three that an answer may have; empty: not there. */
struct parts {
    struct span result, error, disconnect;
};

static int parts_read(struct parts *ret, struct span answer)
{
    struct json_members members = json_members_begin(answer);
    struct json_member member;
    int found;
    *ret = (struct parts){0};
    while ((found = json_members_next(&members, &member)) > 0) {
        struct span *part = json_string_is(member.name, SPAN("result"))       ? &ret->result
                            : json_string_is(member.name, SPAN("error"))      ? &ret->error
                            : json_string_is(member.name, SPAN("disconnect")) ? &ret->disconnect
                                                                              : NULL;
        if (!part || member.kind == JSON_IS_NULL)
            continue;
        if (member.kind != JSON_IS_OBJECT)
            return -EINVAL;
        *part = member.value;
    }
    return found < 0 ? -EINVAL : 0;
}

int verdict_read(struct verdict *ret, struct span answer)
{
    struct parts parts;
    *ret = (struct verdict){.kind = VERDICT_RESULT};
    int err = parts_read(&parts, answer);
    if (err < 0)
        return err;
    if (parts.disconnect.len > 0) {
        ret->kind = VERDICT_DISCONNECT;
        err = OBJECT_READ(ret, disconnect_fields, parts.disconnect);
        if (err == 0 && !verdict_code_is_good(ret->code))
            err = -EINVAL;
    } else if (parts.error.len > 0) {
        ret->kind = VERDICT_ERROR;
        err = OBJECT_READ(ret, error_fields, parts.error);
        if (err == 0 && ret->code == 0)
            err = -EINVAL;
    } else if (parts.result.len > 0) {
        ret->has_result = true;
        err = OBJECT_READ(ret, result_fields, parts.result);
    }
    return err == 0 && ret->words.len > APPLICATION_WORDS_MAX ? -EINVAL : err;
}
