#include "experiment/stream.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load/payload.h"

enum {
    PART_MAX = 256,
    BYTES_MAX = 16 * 1024 * 1024,
    RATE_MAX = 1000000,
};

/* What Chromium sends with a request of a page's script, and a session's cookie. */
static const char BROWSER_FIELDS[] =
    "Pragma: no-cache\r\n"
    "Cache-Control: no-cache\r\n"
    "sec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n"
    "sec-ch-ua-mobile: ?0\r\n"
    "sec-ch-ua-platform: \"Linux\"\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/130.0.0.0 Safari/537.36\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-Mode: cors\r\n"
    "Sec-Fetch-Dest: empty\r\n"
    "Referer: http://localhost/dashboard\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: en-US,en;q=0.9\r\n"
    "Cookie: session=3f9a0c5d7be14286a1d2c3b4e5f60718; theme=dark\r\n";
static_assert(sizeof BROWSER_FIELDS <= LOAD_FIELDS_MAX, "a request head has room for them");

__attribute__((format(printf, 3, 4))) static int refuse(char *why, size_t size, const char *format,
                                                        ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, size, format, arguments);
    va_end(arguments);
    return -EINVAL;
}

static bool whole(const char *text, uint32_t low, uint32_t high, uint32_t *ret)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    *ret = (uint32_t)value;
    return end != text && *end == '\0' && errno == 0 && *text != '-' && value >= low &&
           value <= high;
}

/* "48x5,200x1" */
static int parse_kinds(struct stream *stream, const char *text, char *why, size_t size)
{
    const char *at = text;
    uint32_t parts = 0;
    stream->kind_count = 0;
    stream->bytes = 0;
    do {
        char *end;
        at += *at == ',';
        unsigned long bytes = strtoul(at, &end, 10);
        unsigned long of = *end == 'x' ? strtoul(end + 1, &end, 10) : 0;
        if (bytes < PAYLOAD_HEAD_SIZE || bytes > BYTES_MAX || of == 0 || of > LOAD_CYCLE_MAX ||
            (*end && *end != ',') || stream->kind_count == LOAD_KINDS_MAX)
            return refuse(why, size, "kinds=%s: needs up to %d of BYTESxPARTS, from %d bytes", text,
                          LOAD_KINDS_MAX, PAYLOAD_HEAD_SIZE);
        stream->kinds[stream->kind_count++] = (struct load_kind){(uint32_t)bytes, (uint32_t)of};
        stream->bytes = bytes > stream->bytes ? (uint32_t)bytes : stream->bytes;
        parts += (uint32_t)of;
        at = end;
    } while (*at);
    return parts <= LOAD_CYCLE_MAX
               ? 0
               : refuse(why, size, "kinds=%s: at most %d parts together", text, LOAD_CYCLE_MAX);
}

static int parse_number(struct stream *stream, const char *name, const char *value, char *why,
                        size_t size)
{
    const struct {
        const char *name;
        uint32_t *at, low, high;
    } numbers[] = {
        {"subscribers", &stream->subscribers, 1, OPTIONS_CLIENTS_MAX},
        {"channels", &stream->channels, 1, LOAD_CHANNELS_MAX},
        {"size", &stream->bytes, PAYLOAD_HEAD_SIZE, BYTES_MAX},
        {"poll-ms", &stream->poll_interval_ms, 10, 3600 * 1000},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strcmp(numbers[i].name, name) == 0)
            return whole(value, numbers[i].low, numbers[i].high, numbers[i].at)
                       ? 0
                       : refuse(why, size, "%s=%s: needs a whole number from %u to %u", name, value,
                                numbers[i].low, numbers[i].high);
    return refuse(why, size,
                  "there is no '%s' in a stream: there are name, transport, subscribers, channels, "
                  "size, kinds, rate, poll-ms, headers, state and cache",
                  name);
}

/* One of two words. */
static int parse_word(bool *ret, const char *name, const char *value, const char *no,
                      const char *yes, char *why, size_t size)
{
    *ret = strcmp(value, yes) == 0;
    return *ret || strcmp(value, no) == 0
               ? 0
               : refuse(why, size, "%s=%s: there are %s and %s", name, value, no, yes);
}

static int parse_part(struct stream *stream, const char *name, const char *value, char *why,
                      size_t size)
{
    char *end;
    if (strcmp(name, "name") == 0) {
        snprintf(stream->name, sizeof stream->name, "%s", value);
        return 0;
    }
    if (strcmp(name, "transport") == 0)
        return (stream->transport = protocol_find(value, strlen(value)))
                   ? 0
                   : refuse(why, size, "transport=%s: there are %s", value, options_transports());
    if (strcmp(name, "rate") == 0) {
        stream->rate_per_s = strtod(value, &end);
        return end != value && *end == '\0' && stream->rate_per_s > 0 &&
                       stream->rate_per_s <= RATE_MAX
                   ? 0
                   : refuse(why, size, "rate=%s: needs a rate above 0", value);
    }
    if (strcmp(name, "kinds") == 0)
        return parse_kinds(stream, value, why, size);
    if (strcmp(name, "headers") == 0)
        return parse_word(&stream->browser, name, value, "plain", "browser", why, size);
    if (strcmp(name, "state") == 0)
        return parse_word(&stream->state, name, value, "no", "yes", why, size);
    if (strcmp(name, "cache") == 0)
        return parse_word(&stream->cache, name, value, "no", "yes", why, size);
    return parse_number(stream, name, value, why, size);
}

int stream_parse(struct stream *ret, const char *text, char *why, size_t why_size)
{
    *ret = (struct stream){.transport = &protocol_websocket,
                           .subscribers = 1000,
                           .channels = 1,
                           .bytes = 128,
                           .rate_per_s = 1};
    int err = 0;
    while (err == 0 && *(text += strspn(text, " "))) {
        char part[PART_MAX];
        size_t len = strcspn(text, " ");
        snprintf(part, sizeof part, "%.*s", (int)len, text);
        char *equals = strchr(part, '=');
        if (len >= sizeof part || !equals)
            return refuse(why, why_size, "'%s' is not of the form part=value", part);
        *equals = '\0';
        err = parse_part(ret, part, equals + 1, why, why_size);
        text += len;
    }
    if (err == 0 && !ret->name[0])
        return refuse(why, why_size, "a stream needs a name=");
    if (err == 0 && ret->cache && ret->transport != &protocol_poll)
        return refuse(why, why_size,
                      "%s: only answers to polls can be kept: cache=yes needs "
                      "transport=poll",
                      ret->name);
    if (err == 0 && ret->channels > ret->subscribers)
        return refuse(why, why_size, "%s: %u channels need at least as many subscribers", ret->name,
                      ret->channels);
    return err;
}

void stream_apply(const struct stream *stream, struct load_group_config *group)
{
    group->channels = stream->channels > 1 ? stream->channels : 0;
    group->payload_bytes = stream->bytes;
    group->kinds = stream->kinds;
    group->kind_count = stream->kind_count;
    group->since_start = stream->state;
    if (stream->poll_interval_ms > 0)
        group->poll_interval_ms = stream->poll_interval_ms;
    if (stream->browser)
        group->fields = BROWSER_FIELDS;
    if (stream->channels > 1)
        group->publish = &protocol_post;
}
