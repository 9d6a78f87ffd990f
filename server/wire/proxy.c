#include "wire/proxy.h"

#include <stdint.h>

#include "wire/address.h"

enum {
    LINE_MAX_BYTES = 107,
    HEAD2_SIZE = 16, /* ahead of the addresses */
    SHORTEST = sizeof "PROXY UNKNOWN\r\n" - 1,
    COMMAND_LOCAL = 0x20,
    COMMAND_PROXY = 0x21,
    FAMILY_UNKNOWN = 0x00,
    FAMILY_TCP4 = 0x11,
    FAMILY_TCP6 = 0x21,
    FAMILY_UNIX = 0x31,
};

static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";
#define SIGNATURE span_of(signature, sizeof signature - 1)
#define WORD      SPAN("PROXY ")

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Whether as much as there is of the bytes is the beginning of that. */
static bool begins(struct span bytes, struct span with)
{
    size_t len = bytes.len < with.len ? bytes.len : with.len;
    return memcmp(bytes.ptr, with.ptr, len) == 0;
}

/* ---- version 1 ---- */

/* The field up to the next space, or to the end of the line. */
static struct span field_take(struct span *line)
{
    const char *space = memchr(line->ptr, ' ', line->len);
    struct span field = {line->ptr, space ? (size_t)(space - line->ptr) : line->len};
    *line = span_skip(*line, space ? field.len + 1 : field.len);
    return field;
}

static bool endpoint_read(struct in6_addr *ret, struct span text, bool ipv4)
{
    bool dotted = memchr(text.ptr, ':', text.len) == NULL;
    return dotted == ipv4 && address_read(ret, text);
}

/* Source and destination, source port and destination port. */
static int endpoints_parse(struct proxy_head *ret, struct span line, bool ipv4)
{
    struct in6_addr destination;
    struct span from = field_take(&line), to = field_take(&line);
    struct span from_port = field_take(&line), to_port = line;
    if (!endpoint_read(&ret->source, from, ipv4) || !endpoint_read(&destination, to, ipv4) ||
        !address_port(from_port) || !address_port(to_port))
        return PROXY_ADDRESS;
    ret->named = true;
    return 0;
}

/* Behind "PROXY ". */
static int line_parse(struct proxy_head *ret, struct span line)
{
    struct span family = field_take(&line);
    if (span_equal(family, SPAN("UNKNOWN")))
        return 0;
    bool ipv4 = span_equal(family, SPAN("TCP4"));
    if (!ipv4 && !span_equal(family, SPAN("TCP6")))
        return PROXY_LINE;
    return endpoints_parse(ret, line, ipv4);
}

/* The least that is missing of a line: the rest of the field that it breaks off in, those behind it
 * with their spaces, and its end. */
static unsigned line_missing(struct span line)
{
    static const unsigned least[] = {4, 2, 2, 1, 1}; /* TCP4 :: :: 0 0 */
    unsigned missing = line.len > 0 && line.ptr[line.len - 1] == '\r' ? 1 : 2, fields = 0;
    if (line.len < WORD.len)
        return SHORTEST - (unsigned)line.len;
    line = span_skip(line, WORD.len);
    bool known = line.len > 0 && line.ptr[0] == 'T';
    for (size_t i = 0; i < line.len; i++)
        fields += line.ptr[i] == ' ';
    if (!known)
        return line.len == 0 ? SHORTEST - (unsigned)WORD.len : missing;
    if (fields < COUNT_OF(least) && line.ptr[line.len - 1] == ' ')
        missing += least[fields];
    for (unsigned i = fields + 1; i < COUNT_OF(least); i++)
        missing += 1 + least[i];
    return missing;
}

static int version1_parse(struct proxy_head *ret, struct span bytes)
{
    size_t most = bytes.len < LINE_MAX_BYTES ? bytes.len : LINE_MAX_BYTES;
    const char *end = memchr(bytes.ptr, '\n', most);
    if (!end && bytes.len >= LINE_MAX_BYTES)
        return PROXY_LINE;
    ret->missing = end ? 0 : line_missing(bytes);
    if (!end)
        return 0;
    size_t len = (size_t)(end - bytes.ptr);
    if (end[-1] != '\r' || len <= WORD.len)
        return PROXY_LINE;
    int err = line_parse(ret, span_of(bytes.ptr + WORD.len, len - 1 - WORD.len));
    return err < 0 ? err : (int)len + 1;
}

/* ---- version 2 ---- */

/* The least that the addresses of a family take, or an error. */
static int family_size(uint8_t family)
{
    switch (family) {
    case FAMILY_UNKNOWN:
        return 0;
    case FAMILY_TCP4:
        return 2 * 4 + 2 * 2;
    case FAMILY_TCP6:
        return 2 * 16 + 2 * 2;
    case FAMILY_UNIX:
        return 2 * 108;
    default:
        return PROXY_FAMILY;
    }
}

static void source_take(struct proxy_head *ret, uint8_t family, const uint8_t *addresses)
{
    ret->named = family == FAMILY_TCP4 || family == FAMILY_TCP6;
    if (family == FAMILY_TCP6) {
        memcpy(&ret->source, addresses, sizeof ret->source);
    } else if (family == FAMILY_TCP4) {
        struct sockaddr_in ipv4 = {.sin_family = AF_INET};
        memcpy(&ipv4.sin_addr, addresses, sizeof ipv4.sin_addr);
        ret->source = address_of((const struct sockaddr *)&ipv4);
    }
}

static int version2_parse(struct proxy_head *ret, struct span bytes)
{
    const uint8_t *at = (const uint8_t *)bytes.ptr;
    if (bytes.len > SIGNATURE.len && at[12] != COMMAND_LOCAL && at[12] != COMMAND_PROXY)
        return PROXY_VERSION;
    ret->missing = HEAD2_SIZE - (unsigned)bytes.len;
    if (bytes.len < HEAD2_SIZE)
        return 0;
    int size = at[14] << 8 | at[15];
    bool local = at[12] == COMMAND_LOCAL;
    int least = local ? 0 : family_size(at[13]);
    if (least < 0)
        return least;
    if (size < least || HEAD2_SIZE + size > PROXY_HEAD_MAX)
        return PROXY_LENGTH;
    ret->missing = (unsigned)(HEAD2_SIZE + size - (int)bytes.len);
    if (bytes.len < HEAD2_SIZE + (size_t)size)
        return 0;
    ret->missing = 0;
    if (!local)
        source_take(ret, at[13], at + HEAD2_SIZE);
    return HEAD2_SIZE + size;
}

int proxy_parse(struct proxy_head *ret, const char *bytes, size_t len)
{
    struct span input = {bytes, len};
    *ret = (struct proxy_head){.missing = SHORTEST};
    if (len == 0)
        return 0;
    if (begins(input, SIGNATURE))
        return version2_parse(ret, input);
    if (begins(input, WORD))
        return version1_parse(ret, input);
    return PROXY_NONE;
}
