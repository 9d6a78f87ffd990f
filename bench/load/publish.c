#include "load/publish.h"

#include "load/engine.h"
#include "load/payload.h"
#include "wire/mask.h"

enum {
    KEY_MULTIPLIER = 0x9E3779B1,
};

void publish_key(uint32_t link, uint8_t ret_key[4])
{
    uint32_t mixed = (link + 1) * (uint32_t)KEY_MULTIPLIER;
    memcpy(ret_key, &mixed, sizeof mixed);
}

size_t message_size(const struct group *group, uint32_t number)
{
    return group->protocol.before.len + bytes_of_number(group, number) + group->protocol.after.len;
}

size_t message_write(const struct group *group, char *out, uint32_t number, int64_t intended_ns)
{
    const struct load_message *before = &group->protocol.before, *after = &group->protocol.after;
    uint32_t size = bytes_of_number(group, number);
    if (before->len > 0)
        memcpy(out, before->bytes, before->len);
    payload_write(out + before->len, size, number, (uint64_t)intended_ns,
                  group->config.transport->is & PROTOCOL_PACKED);
    if (after->len > 0)
        memcpy(out + before->len + size, after->bytes, after->len);
    return before->len + size + after->len;
}

size_t publish_frame(const struct load *load, const struct group *group, char *out, uint32_t number,
                     int64_t intended_ns)
{
    struct ws_frame_head head = {
        .length = message_size(group, number),
        .opcode = group->protocol.before.binary ? WS_BINARY : WS_TEXT,
        .fin = true,
        .masked = true,
    };
    publish_key(load->publisher_links_first + group_number(load, group), head.key);
    size_t len = ws_frame_head_write(out, &head);
    size_t size = message_write(group, out + len, number, intended_ns);
    mask_apply(out + len, size, head.key);
    return len + size;
}

static struct span post_target(const struct group *group, uint32_t number,
                               char buf[LOAD_TARGET_MAX])
{
    struct span path = span_from(group->publish_path);
    if (group->config.channels == 0)
        return path;
    assert(path.len + CHANNEL_SUFFIX_MAX <= LOAD_TARGET_MAX);
    memcpy(buf, path.ptr, path.len);
    return span_of(buf, path.len +
                            channel_suffix_write(buf + path.len, channel_of_number(group, number)));
}

size_t publish_post(const struct load *load, const struct group *group, char *out, uint32_t number,
                    int64_t intended_ns)
{
    (void)load;
    const char *fields = group->protocol.publish_fields;
    char target[LOAD_TARGET_MAX];
    const struct http_request_head head = {
        .method = SPAN("POST"),
        .target = post_target(group, number, target),
        .host = span_from(group->publish_host),
        .framing = HTTP_FRAMING_LENGTH,
        .content_length = message_size(group, number),
        .content_type = fields ? (struct span){0} : SPAN("text/plain"),
        .extra = fields ? span_from(fields) : (struct span){0},
    };
    int len = http_request_head_write(out, REQUEST_HEAD_MAX, &head);
    assert(len > 0);
    return (size_t)len + message_write(group, out + len, number, intended_ns);
}
