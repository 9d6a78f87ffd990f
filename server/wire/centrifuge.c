#include "wire/centrifuge.h"

#include <assert.h>

#include "wire/base64.h"
#include "wire/json_out.h"
#include "wire/json_scan.h"
#include "wire/utf8.h"

/* ---- commands ---- */

static const struct span methods[] = {
#define METHOD(NAME, member) SPAN_INIT(#member),
    CENTRIFUGE_METHODS(METHOD)
#undef METHOD
};

static_assert(sizeof methods / sizeof methods[0] == CENTRIFUGE_PONG, "a name for each");

bool centrifuge_line_next(struct span *rest, struct span *ret_line)
{
    while (rest->len > 0 && (rest->ptr[0] == '\n' || rest->ptr[0] == '\r'))
        *rest = span_skip(*rest, 1);
    if (rest->len == 0)
        return false;
    const char *end = memchr(rest->ptr, '\n', rest->len);
    *ret_line = span_of(rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len);
    *rest = span_skip(*rest, ret_line->len);
    return true;
}

/* What a member of a request is read as. */
enum field_type {
    FIELD_STRING,
    FIELD_ANY,
    FIELD_BOOL,
    FIELD_OFFSET,
    FIELD_LIMIT,
    FIELD_SINCE,
};

struct field {
    struct span name;
    enum field_type type;
    bool of_server;
    size_t at;
};

/* `of_server`: of the server API alone; a client's member of that name is another, and passed over.
 */
#define FIELD(name, type, of_server)                                                               \
    {                                                                                              \
        SPAN_INIT(#name), type, of_server, offsetof(struct centrifuge_command, name)               \
    }
static const struct field fields[] = {
    FIELD(channel, FIELD_STRING, false),
    FIELD(data, FIELD_ANY, false),
    FIELD(delta, FIELD_ANY, false),
    FIELD(token, FIELD_STRING, false),
    FIELD(epoch, FIELD_STRING, false),
    FIELD(offset, FIELD_OFFSET, false),
    FIELD(limit, FIELD_LIMIT, false),
    FIELD(recover, FIELD_BOOL, false),
    FIELD(positioned, FIELD_BOOL, false),
    FIELD(recoverable, FIELD_BOOL, false),
    FIELD(join_leave, FIELD_BOOL, false),
    FIELD(reverse, FIELD_BOOL, false),
    FIELD(since, FIELD_SINCE, false),
    FIELD(subs, FIELD_ANY, false),
    {SPAN_INIT("recover_since"), FIELD_SINCE, true, 0},
    FIELD(channels, FIELD_ANY, true),
    FIELD(commands, FIELD_ANY, true),
    FIELD(b64data, FIELD_STRING, true),
    FIELD(user, FIELD_STRING, true),
    FIELD(client, FIELD_STRING, true),
    FIELD(session, FIELD_STRING, true),
    FIELD(pattern, FIELD_STRING, true),
    FIELD(disconnect, FIELD_ANY, true),
    FIELD(whitelist, FIELD_ANY, true),
    FIELD(expire_at, FIELD_OFFSET, true),
    FIELD(expired, FIELD_BOOL, true),
    FIELD(tags, FIELD_ANY, true),
    FIELD(idempotency_key, FIELD_STRING, true),
    FIELD(version, FIELD_OFFSET, true),
    FIELD(version_epoch, FIELD_STRING, true),
    FIELD(skip_history, FIELD_BOOL, true),
    /* Behind the server's of the same name. */
    {SPAN_INIT("name"), FIELD_ANY, false, offsetof(struct centrifuge_command, app_name)},
    {SPAN_INIT("version"), FIELD_ANY, false, offsetof(struct centrifuge_command, app_version)},
    {SPAN_INIT("method"), FIELD_ANY, false, offsetof(struct centrifuge_command, rpc_method)},
};

static int request_read(struct centrifuge_command *ret, struct span object, bool of_server);

static int bool_read(bool *ret, const struct json_member *member)
{
    *ret = member->kind == JSON_IS_TRUE;
    return *ret || member->kind == JSON_IS_FALSE ? 0 : CENTRIFUGE_BAD;
}

/* Negative ones stand for none at all. */
static int limit_read(uint32_t *ret, struct span number)
{
    uint64_t limit = UINT32_MAX;
    if (number.ptr[0] == '-') {
        *ret = UINT32_MAX;
        return json_number_read(span_skip(number, 1), &limit) ? 0 : CENTRIFUGE_BAD;
    }
    if (!json_number_read(number, &limit) || limit > INT32_MAX)
        return CENTRIFUGE_BAD;
    *ret = (uint32_t)limit;
    return 0;
}

static int field_read(struct centrifuge_command *command, const struct field *field,
                      const struct json_member *member)
{
    void *place = (char *)command + field->at;
    switch (field->type) {
    case FIELD_STRING:
        *(struct span *)place = member->value;
        return member->kind == JSON_IS_STRING ? 0 : CENTRIFUGE_BAD;
    case FIELD_ANY:
        *(struct span *)place = member->value;
        if (member->kind == JSON_IS_STRING) /* with its quotes */
            *(struct span *)place = span_of(member->value.ptr - 1, member->value.len + 2);
        return 0;
    case FIELD_BOOL:
        return bool_read(place, member);
    case FIELD_OFFSET:
        return member->kind == JSON_IS_NUMBER && json_number_read(member->value, place)
                   ? 0
                   : CENTRIFUGE_BAD;
    case FIELD_LIMIT:
        return member->kind == JSON_IS_NUMBER ? limit_read(place, member->value) : CENTRIFUGE_BAD;
    case FIELD_SINCE:
        if (command->since || member->kind != JSON_IS_OBJECT)
            return CENTRIFUGE_BAD;
        command->since = true;
        return request_read(command, member->value, field->of_server);
    }
    return CENTRIFUGE_BAD;
}

static const struct field *field_of(struct span name, bool of_server)
{
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if ((of_server || !fields[i].of_server) && json_string_is(name, fields[i].name))
            return &fields[i];
    return NULL;
}

/* Reads the members of a request. null stands for what is not there; others than those in the table
 * are passed over. */
static int request_read(struct centrifuge_command *ret, struct span object, bool of_server)
{
    struct json_members members = json_members_begin(object);
    struct json_member member;
    int found;
    while ((found = json_members_next(&members, &member)) > 0) {
        const struct field *field = field_of(member.name, of_server);
        bool any = field && field->type == FIELD_ANY;
        if (field && (any || member.kind != JSON_IS_NULL) && field_read(ret, field, &member) < 0)
            return CENTRIFUGE_BAD;
    }
    return found == 0 ? 0 : CENTRIFUGE_BAD;
}

int centrifuge_connect_read(struct centrifuge_command *ret, struct span object)
{
    *ret = (struct centrifuge_command){.method = CENTRIFUGE_CONNECT};
    return request_read(ret, object, false);
}

int centrifuge_request_read(struct centrifuge_command *ret, struct span object)
{
    *ret = (struct centrifuge_command){0};
    return request_read(ret, object, true);
}

static int method_of(struct span name)
{
    for (int i = 0; i < CENTRIFUGE_PONG; i++)
        if (json_string_is(name, methods[i]))
            return i;
    return CENTRIFUGE_BAD;
}

static int id_read(uint32_t *ret, const struct json_member *member)
{
    uint64_t id;
    if (member->kind != JSON_IS_NUMBER || !json_number_read(member->value, &id) ||
        id > CENTRIFUGE_ID_MAX)
        return CENTRIFUGE_BAD;
    *ret = (uint32_t)id;
    return 0;
}

/* A member of the command itself: its number, or its one request. */
static int part_read(struct centrifuge_command *command, const struct json_member *member)
{
    if (json_string_is(member->name, SPAN("id")))
        return id_read(&command->id, member);
    int method = method_of(member->name);
    if (method < 0 || member->kind == JSON_IS_NULL)
        return 0;
    if (command->method != CENTRIFUGE_PONG || member->kind != JSON_IS_OBJECT)
        return CENTRIFUGE_BAD;
    command->method = (enum centrifuge_method)method;
    return request_read(command, member->value, false);
}

int centrifuge_command_read(struct centrifuge_command *ret, struct span line)
{
    struct json_members members = json_members_begin(line);
    struct json_member member;
    int found;
    *ret = (struct centrifuge_command){.method = CENTRIFUGE_PONG};
    while ((found = json_members_next(&members, &member)) > 0)
        if (part_read(ret, &member) < 0)
            return CENTRIFUGE_BAD;
    bool has_id = ret->id != 0;
    bool wants_none = ret->method == CENTRIFUGE_PONG || ret->method == CENTRIFUGE_SEND;
    if (found < 0 || (!has_id && !wants_none) || (has_id && ret->method == CENTRIFUGE_PONG))
        return CENTRIFUGE_BAD;
    return 0;
}

/* ---- replies ---- */

struct error_row {
    unsigned code;
    bool temporary;
    const char *message;
};

#define ROW(NAME, code, temporary, message) {code, temporary, message},
static const struct error_row errors[] = {CENTRIFUGE_ERRORS(ROW)};
#undef ROW

unsigned centrifuge_error_code(enum centrifuge_error error)
{
    return errors[error].code;
}

const char *centrifuge_error_message(enum centrifuge_error error)
{
    return errors[error].message;
}

void centrifuge_error_write(struct out *out, enum centrifuge_error error)
{
    out_text(out, "{\"code\":");
    out_decimal(out, errors[error].code);
    out_text(out, ",\"message\":\"");
    out_span(out, span_from(errors[error].message));
    if (errors[error].temporary)
        out_text(out, "\",\"temporary\":true}");
    else
        out_text(out, "\"}");
}

static void id_write(struct out *out, uint32_t id)
{
    out_text(out, "{\"id\":");
    out_decimal(out, id);
}

void centrifuge_reply_error(struct out *out, uint32_t id, enum centrifuge_error error)
{
    id_write(out, id);
    out_text(out, ",\"error\":");
    centrifuge_error_write(out, error);
    out_text(out, "}");
}

void centrifuge_reply_begin(struct out *out, uint32_t id, enum centrifuge_method method)
{
    assert(method < CENTRIFUGE_PONG);
    id_write(out, id);
    out_text(out, ",\"");
    out_span(out, methods[method]);
    out_text(out, "\":");
}

void centrifuge_reply_empty(struct out *out, uint32_t id, enum centrifuge_method method)
{
    centrifuge_reply_begin(out, id, method);
    out_text(out, "{}}");
}

/* ---- clients ---- */

#define CLIENT    "{\"client\":\""
#define USER      "\",\"user\":"
#define CONN_INFO ",\"conn_info\":"

size_t centrifuge_client_room(struct span client, struct span user, struct span info)
{
    return sizeof CLIENT USER CONN_INFO "}" + client.len + json_string_size(user) + info.len;
}

void centrifuge_client_write(struct out *out, struct span client, struct span user,
                             struct span info)
{
    out_text(out, CLIENT);
    out_span(out, client);
    out_text(out, USER);
    if (json_string_size(user) > (size_t)(out->end - out->at))
        out->overflow = true;
    if (!out->overflow)
        out->at += json_string_write(out->at, user);
    if (info.len > 0) {
        out_text(out, CONN_INFO);
        out_span(out, info);
    }
    out_text(out, "}");
}

/* ---- publications ---- */

#define DATA         "{\"data\":"
#define OFFSET       ",\"offset\":"
#define BASE64_FRONT "{\"base64\":\""
#define BASE64_BACK  "\"}"
#define PUSH         "{\"push\":"
#define CHANNEL      "{\"channel\":\""
#define PUB          "\",\"pub\":"
#define EVENT        "\",\""
#define INFO         "\":{\"info\":"
#define DELTA        ",\"delta\":true"
#define LENGTH(text) (sizeof(text) - 1)

/* The same inside a string. */
#define STRING_FRONT        "\"\\\""
#define STRING_BACK         "\\\"\""
#define STRING_BASE64_FRONT "\"{\\\"base64\\\":\\\""
#define STRING_BASE64_BACK  "\\\"}\""

enum {
    PIECE_BYTES = 256,
};

enum centrifuge_form centrifuge_form_of(struct span data)
{
    if (json_valid(data))
        return CENTRIFUGE_JSON;
    return utf8_valid(data) ? CENTRIFUGE_TEXT : CENTRIFUGE_BYTES;
}

/* A string of a string: "\"text\"". Without `out` it is only measured. */
static size_t string_twice(struct out *out, struct span text)
{
    char bytes[PIECE_BYTES];
    size_t size = LENGTH(STRING_FRONT) + LENGTH(STRING_BACK);
    if (out)
        out_text(out, STRING_FRONT);
    while (text.len > 0) {
        struct span piece = span_of(bytes, json_escape(bytes, sizeof bytes, &text));
        size += json_string_size(piece) - 2;
        if (out)
            out->at += json_escape(out->at, (size_t)(out->end - out->at), &piece);
    }
    if (out)
        out_text(out, STRING_BACK);
    return size;
}

static size_t string_size(const struct centrifuge_publication *publication)
{
    struct span data = publication->data;
    if (publication->coding == CENTRIFUGE_DELTA || publication->form == CENTRIFUGE_JSON)
        return json_string_size(data);
    if (publication->form == CENTRIFUGE_TEXT)
        return string_twice(NULL, data);
    return LENGTH(STRING_BASE64_FRONT) + BASE64_SIZE(data.len) + LENGTH(STRING_BASE64_BACK);
}

static void string_write(struct out *out, const struct centrifuge_publication *publication)
{
    struct span data = publication->data;
    if (publication->coding == CENTRIFUGE_DELTA || publication->form == CENTRIFUGE_JSON) {
        out->at += json_string_write(out->at, data);
    } else if (publication->form == CENTRIFUGE_TEXT) {
        string_twice(out, data);
    } else {
        out_text(out, STRING_BASE64_FRONT);
        out->at += base64_encode(out->at, data);
        out_text(out, STRING_BASE64_BACK);
    }
}

static size_t data_size(const struct centrifuge_publication *publication)
{
    if (publication->coding != CENTRIFUGE_PLAIN)
        return string_size(publication);
    switch (publication->form) {
    case CENTRIFUGE_JSON:
        return publication->data.len;
    case CENTRIFUGE_TEXT:
        return json_string_size(publication->data);
    case CENTRIFUGE_BYTES:
        break;
    }
    return LENGTH(BASE64_FRONT) + BASE64_SIZE(publication->data.len) + LENGTH(BASE64_BACK);
}

void centrifuge_unbreak(char *json, size_t len)
{
    for (char *at = json; (at = memchr(at, '\n', (size_t)(json + len - at)));)
        *at++ = ' ';
    for (char *at = json; (at = memchr(at, '\r', (size_t)(json + len - at)));)
        *at++ = ' ';
}

static void json_write(struct out *out, struct span data)
{
    char *at = out->at;
    out_span(out, data);
    if (!out->overflow)
        centrifuge_unbreak(at, data.len);
}

static void data_write(struct out *out, const struct centrifuge_publication *publication)
{
    struct span data = publication->data;
    if (data_size(publication) > (size_t)(out->end - out->at))
        out->overflow = true;
    if (out->overflow)
        return;
    if (publication->coding != CENTRIFUGE_PLAIN) {
        string_write(out, publication);
        return;
    }
    switch (publication->form) {
    case CENTRIFUGE_JSON:
        json_write(out, data);
        break;
    case CENTRIFUGE_TEXT:
        out->at += json_string_write(out->at, data);
        break;
    case CENTRIFUGE_BYTES:
        out_text(out, BASE64_FRONT);
        out->at += base64_encode(out->at, data);
        out_text(out, BASE64_BACK);
        break;
    }
}

size_t centrifuge_publication_size(const struct centrifuge_publication *publication)
{
    size_t size = LENGTH(DATA) + data_size(publication) + 1;
    if (publication->offset > 0)
        size += LENGTH(OFFSET) + digits_decimal_size(publication->offset);
    if (publication->coding == CENTRIFUGE_DELTA)
        size += LENGTH(DELTA);
    return size + publication->more.len;
}

void centrifuge_publication_write(struct out *out, const struct centrifuge_publication *publication)
{
    out_text(out, DATA);
    data_write(out, publication);
    if (publication->offset > 0) {
        out_text(out, OFFSET);
        out_decimal(out, publication->offset);
    }
    if (publication->coding == CENTRIFUGE_DELTA)
        out_text(out, DELTA);
    out_span(out, publication->more);
    out_text(out, "}");
}

size_t centrifuge_push_size(struct span channel, const struct centrifuge_publication *publication)
{
    return LENGTH(PUSH) + centrifuge_bare_push_size(channel, publication) + 1;
}

void centrifuge_push_write(struct out *out, struct span channel,
                           const struct centrifuge_publication *publication)
{
    out_text(out, PUSH);
    centrifuge_bare_push_write(out, channel, publication);
    out_text(out, "}");
}

size_t centrifuge_bare_push_size(struct span channel,
                                 const struct centrifuge_publication *publication)
{
    size_t size = LENGTH(CHANNEL) + channel.len + 1;
    if (publication->event.len == 0)
        return size + LENGTH(PUB) + centrifuge_publication_size(publication);
    return size + LENGTH(EVENT) + publication->event.len + LENGTH(INFO) + data_size(publication) +
           1;
}

void centrifuge_bare_push_write(struct out *out, struct span channel,
                                const struct centrifuge_publication *publication)
{
    out_text(out, CHANNEL);
    out_span(out, channel);
    if (publication->event.len == 0) {
        out_text(out, PUB);
        centrifuge_publication_write(out, publication);
    } else {
        out_text(out, EVENT);
        out_span(out, publication->event);
        out_text(out, INFO);
        data_write(out, publication);
        out_text(out, "}");
    }
    out_text(out, "}");
}

/* ---- what stands beside the frames ---- */

int centrifuge_emulation_read(struct centrifuge_emulation *ret, struct span body)
{
    struct json_members members = json_members_begin(body);
    struct json_member member;
    int found;
    *ret = (struct centrifuge_emulation){0};
    while ((found = json_members_next(&members, &member)) > 0) {
        struct span *field = json_string_is(member.name, SPAN("session")) ? &ret->session
                             : json_string_is(member.name, SPAN("node"))  ? &ret->node
                             : json_string_is(member.name, SPAN("data"))  ? &ret->data
                                                                          : NULL;
        if (field && member.kind != JSON_IS_STRING)
            return CENTRIFUGE_BAD;
        if (field)
            *field = member.value;
    }
    return found == 0 ? 0 : CENTRIFUGE_BAD;
}
