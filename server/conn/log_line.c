#include "conn/log_line.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "wire/json_out.h"
#include "wire/out.h"

#define NS_PER_S  INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

enum {
    TIME_MAX = 64,
    VALUE_MAX = LOG_TEXT_MAX * JSON_ESCAPE_MAX + 2,
};

struct line {
    struct out out;
    enum log_format format;
};

#define EVENT_NAME(NAME, name) [LOG_##NAME] = #name,
static const char *const event_names[] = {LOG_EVENTS(EVENT_NAME)};

static void key(struct line *line, const char *name)
{
    if (line->format == LOG_JSON) {
        if (line->out.at == line->out.start)
            out_text(&line->out, "{\"");
        else
            out_text(&line->out, ",\"");
        out_span(&line->out, span_from(name));
        out_text(&line->out, "\":");
    } else {
        if (line->out.at != line->out.start)
            out_text(&line->out, " ");
        out_span(&line->out, span_from(name));
        out_text(&line->out, "=");
    }
}

/* Whether a reader of logfmt would take it for more or less than one value. */
static bool wants_quotes(struct span value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] <= ' ' || value.ptr[i] == '"' || value.ptr[i] == '=' ||
            value.ptr[i] == '\\')
            return true;
    return value.len == 0;
}

static void text(struct line *line, const char *name, struct span value)
{
    char quoted[VALUE_MAX];
    key(line, name);
    assert(value.len <= LOG_TEXT_MAX);
    if (line->format == LOG_JSON || wants_quotes(value))
        value = span_of(quoted, json_string_write(quoted, value));
    out_span(&line->out, value);
}

static void number(struct line *line, const char *name, uint64_t value)
{
    key(line, name);
    out_decimal(&line->out, value);
}

static void when(struct line *line, int64_t at_ns)
{
    char at[TIME_MAX];
    time_t seconds = (time_t)(at_ns / NS_PER_S);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    size_t len = strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%S", &parts);
    int more = snprintf(at + len, sizeof at - len, ".%03dZ", (int)(at_ns % NS_PER_S / NS_PER_MS));
    text(line, "time", span_of(at, len + (size_t)more));
}

static void client(struct line *line, const struct in6_addr *address)
{
    char name[INET6_ADDRSTRLEN];
    bool is_v4 = IN6_IS_ADDR_V4MAPPED(address);
    if (IN6_IS_ADDR_UNSPECIFIED(address))
        return;
    const void *bytes = is_v4 ? (const void *)(address->s6_addr + 12) : address;
    if (inet_ntop(is_v4 ? AF_INET : AF_INET6, bytes, name, sizeof name))
        text(line, "client", span_from(name));
}

static void of_client(struct line *line, const struct log_record *record)
{
    char name[TIME_MAX];
    int len =
        snprintf(name, sizeof name, "%u.%u.%u", record->shard, record->slot, record->generation);
    text(line, "conn", span_of(name, (size_t)len));
    client(line, &record->client);
    text(line, "port", span_from(record->port));
    text(line, "transport", span_from(record->transport));
    if (record->is_stream)
        number(line, "stream", 1);
    text(line, "reason", span_from(record->reason));
    if (record->status != 0)
        number(line, "status", record->status);
    if (record->request.path_len > 0)
        text(line, "path", span_of(record->request.path, record->request.path_len));
    if (record->request.id_len > 0)
        text(line, "request", span_of(record->request.id, record->request.id_len));
}

size_t log_line(char *buf, enum log_format format, const struct log_record *record)
{
    struct line line = {.out = out_begin(buf, LOG_LINE_MAX), .format = format};
    when(&line, record->at_ns);
    text(&line, "event", span_from(event_names[record->event]));
    if (record->event == LOG_REFUSED || record->event == LOG_CLOSED)
        of_client(&line, record);
    if (record->event == LOG_SUPPRESSED) {
        number(&line, "suppressed", record->suppressed);
        number(&line, "lost", record->lost);
    }
    if (record->text[0] != '\0')
        text(&line, record->event == LOG_START ? "version" : "text", span_from(record->text));
    if (format == LOG_JSON)
        out_text(&line.out, "}\n");
    else
        out_text(&line.out, "\n");
    int len = out_end(&line.out);
    assert(len > 0 && "LOG_LINE_MAX holds any record");
    return (size_t)len;
}
