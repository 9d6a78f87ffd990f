#include "wire/address.h"

#include <arpa/inet.h>

#include "wire/chars.h"

/* ::ffff:0:0/96 (RFC 4291 section 2.5.5.2), and 64:ff9b::/96, as which IPv4 comes through a
 * translator (RFC 6052 section 2.1). */
static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
static const uint8_t translated[12] = {[1] = 0x64, [2] = 0xff, [3] = 0x9b};

enum {
    MAPPED_BITS = 8 * sizeof mapped,
    PORT_MAX = 65535,
};

static struct in6_addr map_ipv4(const void *ipv4)
{
    struct in6_addr address;
    memcpy(address.s6_addr, mapped, sizeof mapped);
    memcpy(address.s6_addr + sizeof mapped, ipv4, sizeof(struct in_addr));
    return address;
}

bool address_read(struct in6_addr *ret, struct span text)
{
    char string[INET6_ADDRSTRLEN];
    struct in6_addr ipv6;
    struct in_addr ipv4;
    if (text.len == 0 || text.len >= sizeof string || memchr(text.ptr, '\0', text.len))
        return false;
    memcpy(string, text.ptr, text.len);
    string[text.len] = '\0';
    if (inet_pton(AF_INET, string, &ipv4) == 1)
        *ret = map_ipv4(&ipv4);
    else if (inet_pton(AF_INET6, string, &ipv6) == 1)
        *ret = ipv6;
    else
        return false;
    return true;
}

/* Returns the value, or -1: more than `max`, a leading zero, no digit. */
static long number_read(struct span text, long max)
{
    long value = 0;
    if (!chars_all(text, CHAR_DIGIT) || (text.len > 1 && text.ptr[0] == '0'))
        return -1;
    for (size_t i = 0; i < text.len && value <= max; i++)
        value = 10 * value + (text.ptr[i] - '0');
    return value <= max ? value : -1;
}

bool address_port(struct span text)
{
    return number_read(text, PORT_MAX) >= 0;
}

static bool is_mapped(const struct in6_addr *address)
{
    return memcmp(address->s6_addr, mapped, sizeof mapped) == 0;
}

bool address_range_read(struct address_range *ret, struct span text)
{
    struct address_range range = {.bits = 128};
    const char *slash = memchr(text.ptr, '/', text.len);
    struct span before = {text.ptr, slash ? (size_t)(slash - text.ptr) : text.len};
    if (text.len == 0 || !address_read(&range.address, before))
        return false;
    if (slash) {
        bool dotted = memchr(before.ptr, ':', before.len) == NULL;
        long first = dotted ? MAPPED_BITS : 0;
        long bits = number_read(span_skip(text, before.len + 1), 128 - first);
        if (bits < 0)
            return false;
        range.bits = (uint8_t)(first + bits);
    }
    for (unsigned bit = range.bits; bit < 128; bit++)
        if (range.address.s6_addr[bit / 8] & 0x80 >> bit % 8)
            return false;
    *ret = range;
    return true;
}

bool address_in_range(const struct in6_addr *address, const struct address_range *range)
{
    unsigned whole = range->bits / 8, left = range->bits % 8;
    if (memcmp(address->s6_addr, range->address.s6_addr, whole) != 0)
        return false;
    uint8_t differing = left ? address->s6_addr[whole] ^ range->address.s6_addr[whole] : 0;
    return (differing & (0xff00 >> left & 0xff)) == 0;
}

struct in6_addr address_of(const struct sockaddr *socket)
{
    const struct sockaddr_in *ipv4 = (const void *)socket;
    const struct sockaddr_in6 *ipv6 = (const void *)socket;
    if (socket->sa_family == AF_INET)
        return map_ipv4(&ipv4->sin_addr);
    return socket->sa_family == AF_INET6 ? ipv6->sin6_addr : in6addr_any;
}

static uint64_t big_endian(const uint8_t *bytes, unsigned count)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* No network is given out of ::/8 (RFC 4291 section 2.4), so IPv4 has keys there that no IPv6
 * network has; neither has ::1. */
uint64_t address_key(const struct in6_addr *address)
{
    const uint8_t *bytes = address->s6_addr;
    if (is_mapped(address) || memcmp(bytes, translated, sizeof translated) == 0)
        return UINT64_C(0xffff) << 32 | big_endian(bytes + sizeof mapped, 4);
    uint64_t network = big_endian(bytes, 8);
    return network != 0 ? network : 1;
}
