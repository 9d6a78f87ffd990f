/* A message's commands, and bytes as a publication: what is written is JSON, on one line, of the
 * size that was said, and says what it was. */
#include <stdlib.h>

#include "fuzz.h"
#include "wire/base64.h"
#include "wire/centrifuge.h"
#include "wire/json_scan.h"

/* What a span of a command points at lies in its line. */
static void inside(struct span part, struct span line)
{
    assert(part.len == 0 || (part.ptr >= line.ptr && part.ptr + part.len <= line.ptr + line.len));
}

static void commands(struct span text)
{
    struct span rest = text, line;
    struct centrifuge_command command;
    while (centrifuge_line_next(&rest, &line)) {
        assert(line.len > 0 && !memchr(line.ptr, '\n', line.len));
        inside(line, text);
        if (centrifuge_command_read(&command, line) < 0)
            continue;
        inside(command.channel, line);
        inside(command.token, line);
        inside(command.epoch, line);
        inside(command.data, line);
        assert(command.data.len == 0 || json_valid(command.data));
        assert(command.method <= CENTRIFUGE_PONG);
        assert(command.id != 0 || command.method == CENTRIFUGE_PONG ||
               command.method == CENTRIFUGE_SEND);
    }
    assert(rest.len == 0);
}

/* Commands in a string: what it stands for is no longer than it is. */
static void emulation(struct span text)
{
    struct centrifuge_emulation emulation;
    struct centrifuge_command connect;
    if (centrifuge_connect_read(&connect, text) == 0)
        inside(connect.subs, text);
    if (centrifuge_emulation_read(&emulation, text) < 0)
        return;
    inside(emulation.session, text);
    inside(emulation.node, text);
    inside(emulation.data, text);
    char *area = malloc(emulation.data.len + 1);
    assert(area);
    size_t len = json_string_decode(area, emulation.data);
    assert(len <= emulation.data.len);
    commands(span_of(area, len));
    free(area);
}

/* A request of the server API, which has members that a client's has not. */
static void request(struct span text)
{
    struct centrifuge_command request;
    if (centrifuge_request_read(&request, text) < 0)
        return;
    const struct span strings[] = {request.user,    request.client,          request.session,
                                   request.pattern, request.idempotency_key, request.version_epoch,
                                   request.b64data, request.channel,         request.epoch};
    const struct span values[] = {request.data,       request.tags,      request.channels,
                                  request.disconnect, request.whitelist, request.commands};
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++)
        inside(strings[i], text);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        inside(values[i], text);
        assert(values[i].len == 0 || json_valid(values[i]));
    }
}

/* The member of the push that has the publication, and of that the data. */
static struct json_member member_of(struct span object, struct span name)
{
    struct json_members members = json_members_begin(object);
    struct json_member member, found = {0};
    int more;
    while ((more = json_members_next(&members, &member)) > 0)
        if (json_string_is(member.name, name))
            found = member;
    assert(more == 0 && found.name.ptr);
    return found;
}

static void check_data(const struct json_member *data, struct span bytes, enum centrifuge_form form)
{
    char *area = malloc(data->value.len + 1);
    assert(area);
    if (form == CENTRIFUGE_TEXT) {
        assert(data->kind == JSON_IS_STRING && json_string_is(data->value, bytes));
    } else if (form == CENTRIFUGE_BYTES) {
        struct span text = member_of(data->value, SPAN("base64")).value;
        int len = base64_decode(area, data->value.len, text);
        assert(len >= 0 && span_equal(span_of(area, (size_t)len), bytes));
    }
    free(area);
}

/* A string, of which that of JSON, and that of a delta, is as it was. */
static void check_string(const struct json_member *data, struct span bytes,
                         const struct centrifuge_publication *publication)
{
    assert(data->kind == JSON_IS_STRING);
    if (publication->coding == CENTRIFUGE_DELTA || publication->form == CENTRIFUGE_JSON)
        assert(json_string_is(data->value, bytes));
}

static void publication(struct span bytes, enum centrifuge_coding coding)
{
    const struct centrifuge_publication publication = {
        .data = bytes, .form = centrifuge_form_of(bytes), .coding = coding, .offset = bytes.len};
    if (coding == CENTRIFUGE_DELTA && publication.form == CENTRIFUGE_BYTES)
        return;
    size_t size = centrifuge_push_size(SPAN("a:b"), &publication);
    char *area = malloc(size);
    assert(area);
    struct out out = out_begin(area, size);
    centrifuge_push_write(&out, SPAN("a:b"), &publication);
    assert(!out.overflow && out.at == out.end);
    struct span push = span_of(area, size);
    assert(!memchr(push.ptr, '\n', push.len) && !memchr(push.ptr, '\r', push.len));
    /* What is as deep as may be is a little deeper inside of a push. */
    if (json_valid(push)) {
        struct json_member pub = member_of(member_of(push, SPAN("push")).value, SPAN("pub"));
        struct json_member data = member_of(pub.value, SPAN("data"));
        if (coding == CENTRIFUGE_PLAIN)
            check_data(&data, bytes, publication.form);
        else
            check_string(&data, bytes, &publication);
    } else {
        assert(publication.form == CENTRIFUGE_JSON && coding == CENTRIFUGE_PLAIN);
    }
    for (size_t room = 0; room < size; room += 1 + size / 16) {
        out = out_begin(area, room);
        centrifuge_push_write(&out, SPAN("a:b"), &publication);
        assert(out.overflow);
    }
    free(area);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = fuzz_input(data, size);
    request(text);
    commands(text);
    emulation(text);
    publication(text, CENTRIFUGE_PLAIN);
    publication(text, CENTRIFUGE_STRING);
    publication(text, CENTRIFUGE_DELTA);
    return 0;
}
