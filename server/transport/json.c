#include "transport/json.h"

#include "hub/hub.h"
#include "wire/base64.h"
#include "wire/json_out.h"

#define CHANNEL   "{\"channel\":\""
#define OFFSET    "\",\"offset\":"
#define DATA      ",\"data\":"
#define BASE64    ",\"base64\":true"
#define POSITION  "\"position\":\""
#define MESSAGES  "\",\"messages\":["
#define RECOVERED "],\"recovered\":"

enum {
    FIXED_SIZE = sizeof CHANNEL - 1 + sizeof OFFSET - 1 + sizeof DATA - 1,
};

static struct span payload_of(const struct message *message)
{
    return span_of(message_payload(message), message->payload_len);
}

/* Everything but the closing brace. */
static size_t open_size(const struct message *message)
{
    size_t size = FIXED_SIZE + message->name_len + digits_decimal_size(message->offset);
    if (message->utf8)
        return size + json_string_size(payload_of(message));
    return size + 2 + BASE64_SIZE((size_t)message->payload_len) + sizeof BASE64 - 1;
}

static void open_write(struct out *out, const struct message *message)
{
    out_text(out, CHANNEL);
    out_span(out, span_of(message_name(message), message->name_len));
    out_text(out, OFFSET);
    out_decimal(out, message->offset);
    out_text(out, DATA);
    if (message->utf8) {
        out->at += json_string_write(out->at, payload_of(message));
        return;
    }
    out_text(out, "\"");
    out->at += base64_encode(out->at, payload_of(message));
    out_text(out, "\"" BASE64);
}

size_t json_message_size(const struct message *message)
{
    return open_size(message) + 1;
}

void json_message_write(struct out *out, const struct message *message)
{
    open_write(out, message);
    out_text(out, "}");
}

unsigned json_fit(struct message *const *messages, unsigned count, uint64_t bytes_max)
{
    uint64_t bytes = 0;
    unsigned fit = 0;
    for (; fit < count && fit < HUB_REPLY_MESSAGES_MAX; fit++) {
        bytes += json_message_size(messages[fit]) + 1;
        if (bytes > bytes_max && fit > 0)
            break;
    }
    return fit;
}

size_t json_envelope_size(const struct message *message, const struct position *positions,
                          size_t count)
{
    return open_size(message) + sizeof("," POSITION "\"}") - 1 + position_size(positions, count);
}

void json_envelope_write(struct out *out, const struct message *message,
                         const struct position *positions, size_t count)
{
    open_write(out, message);
    out_text(out, "," POSITION);
    out->at += position_write(out->at, positions, count);
    out_text(out, "\"}");
}

size_t json_answer_size(const struct json_answer *answer)
{
    size_t size = sizeof("{" POSITION MESSAGES RECOVERED "}\n") - 1;
    size += position_size(answer->positions, answer->position_count);
    size += answer->recovered ? 4 : 5;
    for (unsigned i = 0; i < answer->message_count; i++)
        size += json_message_size(answer->messages[i]) + (i > 0);
    return size;
}

void json_answer_write(struct out *out, const struct json_answer *answer)
{
    out_text(out, "{" POSITION);
    out->at += position_write(out->at, answer->positions, answer->position_count);
    out_text(out, MESSAGES);
    for (unsigned i = 0; i < answer->message_count; i++) {
        if (i > 0)
            out_text(out, ",");
        json_message_write(out, answer->messages[i]);
    }
    out_text(out, RECOVERED);
    out_span(out, answer->recovered ? SPAN("true") : SPAN("false"));
    out_text(out, "}\n");
}
