#include "phantom/segment.h"

#include <assert.h>
#include <string.h>

enum {
    IP_HEAD = 20,
    TCP_HEAD = 20,
    PROTOCOL_TCP = 6,
    TIME_TO_LIVE = 64,
    IP_DONT_FRAGMENT = 0x4000,
    IP_FRAGMENT_MASK = 0x3fff, /* more to come, or not the first */
    CHECKSUM_AT = IP_HEAD + 16,
    OPTION_END = 0,
    OPTION_NOTHING = 1,
    OPTION_MSS = 2,
    OPTION_SCALE = 3,
    OPTION_SACK_PERMITTED = 4,
    OPTION_SACK = 5,
    OPTION_TIMESTAMP = 8,
};

static uint16_t get16(const char *bytes)
{
    const unsigned char *at = (const unsigned char *)bytes;
    return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const char *bytes)
{
    return (uint32_t)get16(bytes) << 16 | get16(bytes + 2);
}

static void put16(char *out, uint16_t value)
{
    out[0] = (char)(value >> 8);
    out[1] = (char)value;
}

static void put32(char *out, uint32_t value)
{
    put16(out, (uint16_t)(value >> 16));
    put16(out + 2, (uint16_t)value);
}

/* ---- checksums: RFC 1071 ---- */

static uint64_t sum_add(uint64_t sum, const char *bytes, size_t len)
{
    for (; len >= 2; bytes += 2, len -= 2)
        sum += get16(bytes);
    return len > 0 ? sum + (uint16_t)((unsigned char)*bytes << 8) : sum;
}

static uint16_t sum_fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)sum;
}

static uint64_t sum_pseudo(uint32_t from, uint32_t to, size_t tcp_len)
{
    return (uint64_t)(from >> 16) + (from & 0xffff) + (to >> 16) + (to & 0xffff) + PROTOCOL_TCP +
           tcp_len;
}

static bool checksum_right(const char *packet, size_t ip_head, size_t total)
{
    uint64_t sum = sum_pseudo(get32(packet + 12), get32(packet + 16), total - ip_head);
    return sum_fold(sum_add(sum, packet + ip_head, total - ip_head)) == 0xffff;
}

void segment_checksum_write(char *packet, size_t len)
{
    assert(len >= SEGMENT_HEAD_MIN);
    uint16_t sum = (uint16_t)~sum_fold(sum_add(0, packet + IP_HEAD, len - IP_HEAD));
    put16(packet + CHECKSUM_AT, sum);
}

/* ---- reading ---- */

static void sacks_parse(struct segment *segment, const char *option, size_t len)
{
    for (size_t at = 2; at + 8 <= len && segment->sack_count < SEGMENT_SACKS_MAX; at += 8)
        segment->sacks[segment->sack_count++] =
            (struct segment_sack){get32(option + at), get32(option + at + 4)};
}

static void option_parse(struct segment *segment, const char *option, size_t size)
{
    if (*option == OPTION_MSS && size == 4) {
        segment->mss = get16(option + 2);
    } else if (*option == OPTION_SACK_PERMITTED && size == 2) {
        segment->sack_permitted = true;
    } else if (*option == OPTION_SCALE && size == 3) {
        uint8_t scale = (uint8_t)option[2];
        segment->scaled = true;
        segment->scale = scale < SEGMENT_SCALE_MAX ? scale : SEGMENT_SCALE_MAX;
    } else if (*option == OPTION_TIMESTAMP && size == 10) {
        segment->timed = true;
        segment->time = get32(option + 2);
        segment->echo = get32(option + 6);
    } else if (*option == OPTION_SACK) {
        sacks_parse(segment, option, size);
    }
}

/* An option whose length is wrong ends the list: what is before it counts. */
static void options_parse_all(struct segment *segment, const char *options, size_t len)
{
    size_t at = 0;
    while (at < len && options[at] != OPTION_END) {
        if (options[at] == OPTION_NOTHING) {
            at++;
            continue;
        }
        size_t size = at + 1 < len ? (unsigned char)options[at + 1] : 0;
        if (size < 2 || size > len - at)
            return;
        option_parse(segment, options + at, size);
        at += size;
    }
}

static int ip_parse(const char *packet, size_t len, size_t *ret_head, size_t *ret_total)
{
    if (len < 1 || (unsigned char)packet[0] >> 4 != 4)
        return -SEGMENT_NOT_IPV4;
    if (len < IP_HEAD)
        return -SEGMENT_CUT;
    *ret_head = (size_t)((unsigned char)packet[0] & 15) * 4;
    *ret_total = get16(packet + 2);
    if (*ret_head < IP_HEAD || *ret_total < *ret_head)
        return -SEGMENT_HEADER;
    if (*ret_total > len)
        return -SEGMENT_CUT;
    if (get16(packet + 6) & IP_FRAGMENT_MASK)
        return -SEGMENT_FRAGMENT;
    if ((unsigned char)packet[9] != PROTOCOL_TCP)
        return -SEGMENT_NOT_TCP;
    return 0;
}

int segment_parse(struct segment *ret, const char *packet, size_t len, bool vouched)
{
    size_t ip_head, total;
    int err = ip_parse(packet, len, &ip_head, &total);
    if (err < 0)
        return err;
    if (total - ip_head < TCP_HEAD)
        return -SEGMENT_CUT;
    const char *tcp = packet + ip_head;
    size_t head = (size_t)((unsigned char)tcp[12] >> 4) * 4;
    if (head < TCP_HEAD || head > total - ip_head)
        return -SEGMENT_HEADER;
    if (!vouched && !checksum_right(packet, ip_head, total))
        return -SEGMENT_CHECKSUM;
    *ret = (struct segment){
        .from = get32(packet + 12),
        .to = get32(packet + 16),
        .from_port = get16(tcp),
        .to_port = get16(tcp + 2),
        .seq = get32(tcp + 4),
        .ack = get32(tcp + 8),
        .flags = (uint8_t)tcp[13],
        .window = get16(tcp + 14),
        .bytes = tcp + head,
        .len = total - ip_head - head,
    };
    options_parse_all(ret, tcp + TCP_HEAD, head - TCP_HEAD);
    return 0;
}

/* ---- writing ---- */

static size_t sacks_write(char *out, const struct segment *segment)
{
    const unsigned most = SEGMENT_SACKS_MAX - segment->timed;
    const unsigned count = segment->sack_count < most ? segment->sack_count : most;
    if (count == 0)
        return 0;
    out[0] = out[1] = OPTION_NOTHING;
    out[2] = OPTION_SACK;
    out[3] = (char)(2 + 8 * count);
    for (unsigned i = 0; i < count; i++) {
        put32(out + 4 + 8 * (size_t)i, segment->sacks[i].from);
        put32(out + 8 + 8 * (size_t)i, segment->sacks[i].to);
    }
    return 4 + 8 * (size_t)count;
}

static size_t options_write(char *out, const struct segment *segment)
{
    size_t len = 0;
    if (segment->mss != 0) {
        out[len] = OPTION_MSS;
        out[len + 1] = 4;
        put16(out + len + 2, segment->mss);
        len += 4;
    }
    if (segment->sack_permitted) {
        memcpy(out + len, (char[]){OPTION_NOTHING, OPTION_NOTHING, OPTION_SACK_PERMITTED, 2}, 4);
        len += 4;
    }
    if (segment->timed) {
        memcpy(out + len, (char[]){OPTION_NOTHING, OPTION_NOTHING, OPTION_TIMESTAMP, 10}, 4);
        put32(out + len + 4, segment->time);
        put32(out + len + 8, segment->echo);
        len += SEGMENT_TIMESTAMP;
    }
    if (segment->scaled) {
        memcpy(out + len, (char[]){OPTION_NOTHING, OPTION_SCALE, 3, (char)segment->scale}, 4);
        len += 4;
    }
    return len + sacks_write(out + len, segment);
}

size_t segment_head_write(char out[SEGMENT_HEAD_MAX], const struct segment *segment)
{
    char *tcp = out + IP_HEAD;
    assert(segment->sack_count <= SEGMENT_SACKS_MAX);
    size_t tcp_head = TCP_HEAD + options_write(tcp + TCP_HEAD, segment);
    size_t total = IP_HEAD + tcp_head + segment->len;
    assert(total <= UINT16_MAX && IP_HEAD + tcp_head <= SEGMENT_HEAD_MAX);
    memset(out, 0, IP_HEAD);
    out[0] = 0x45;
    put16(out + 2, (uint16_t)total);
    put16(out + 6, IP_DONT_FRAGMENT);
    out[8] = TIME_TO_LIVE;
    out[9] = PROTOCOL_TCP;
    put32(out + 12, segment->from);
    put32(out + 16, segment->to);
    put16(out + 10, (uint16_t)~sum_fold(sum_add(0, out, IP_HEAD)));
    put16(tcp, segment->from_port);
    put16(tcp + 2, segment->to_port);
    put32(tcp + 4, segment->seq);
    put32(tcp + 8, segment->ack);
    tcp[12] = (char)(tcp_head / 4 << 4);
    tcp[13] = (char)segment->flags;
    put16(tcp + 14, segment->window);
    put16(tcp + 16, sum_fold(sum_pseudo(segment->from, segment->to, total - IP_HEAD)));
    put16(tcp + 18, 0);
    return IP_HEAD + tcp_head;
}
