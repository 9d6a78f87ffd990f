#include "courier/reach.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PORT_MAX = 65535,
};

/* RFC 6890 and its registries, IPv4; and what is not globally reachable of it. */
static const char *const special_ipv4[] = {
    "0.0.0.0/8",     "10.0.0.0/8",      "100.64.0.0/10",  "127.0.0.0/8",    "169.254.0.0/16",
    "172.16.0.0/12", "192.0.0.0/24",    "192.0.2.0/24",   "192.88.99.0/24", "192.168.0.0/16",
    "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",    "240.0.0.0/4",
};

/* Of IPv6 only 2000::/3 is given to anybody. What of it carries an IPv4 address inside, or is for
 * documents, is refused, too. */
static const char *const special_ipv6[] = {
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "3fff::/20",
};
#define GIVEN_IPV6 "2000::/3"

static bool in_range(const struct in6_addr *address, const char *text)
{
    struct address_range range;
    bool good = address_range_read(&range, span_from(text));
    assert(good);
    return address_in_range(address, &range);
}

static bool in_any(const struct in6_addr *address, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (in_range(address, list[i]))
            return true;
    return false;
}

bool reach_is_special(const struct in6_addr *address)
{
    if (IN6_IS_ADDR_V4MAPPED(address))
        return in_any(address, special_ipv4, sizeof special_ipv4 / sizeof special_ipv4[0]);
    return !in_range(address, GIVEN_IPV6) ||
           in_any(address, special_ipv6, sizeof special_ipv6 / sizeof special_ipv6[0]);
}

/* ---- reading ---- */

static bool name_is_good(struct span name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = span_lower(name.ptr[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_'))
            return false;
    }
    /* Digits at its end make it an address, or nothing. */
    char last = name.len > 0 ? name.ptr[name.len - 1] : '0';
    return name.len <= REACH_NAME_MAX && (last < '0' || last > '9');
}

static int host_add(struct reach *reach, struct span text, char *why, size_t why_size)
{
    bool full = reach->range_count == REACH_RANGES_MAX || reach->name_count == REACH_NAMES_MAX;
    if (!full && address_range_read(&reach->ranges[reach->range_count], text)) {
        reach->range_count++;
        return 0;
    }
    if (!full && name_is_good(text)) {
        char *name = reach->names[reach->name_count++];
        memcpy(name, text.ptr, text.len);
        name[text.len] = '\0';
        return 0;
    }
    snprintf(why, why_size,
             full ? "courier_private: too many at %.*s"
                  : "courier_private: %.*s is no address, no range as 10.0.0.0/8, and no name",
             (int)text.len, text.ptr);
    return -EINVAL;
}

static int ports_add(struct reach *reach, struct span text, char *why, size_t why_size)
{
    char copy[16] = "", *end = copy;
    if (text.len < sizeof copy)
        memcpy(copy, text.ptr, text.len);
    long first = strtol(copy, &end, 10), last = first;
    if (*end == '-')
        last = strtol(end + 1, &end, 10);
    if (*end != '\0' || first < 1 || last < first || last > PORT_MAX ||
        reach->port_count == REACH_PORTS_MAX) {
        snprintf(why, why_size,
                 "courier_ports: %.*s is no port and no span as 8000-8999, or one too many",
                 (int)text.len, text.ptr);
        return -EINVAL;
    }
    reach->ports[reach->port_count++] = (struct reach_ports){(uint16_t)first, (uint16_t)last};
    return 0;
}

static int list_read(struct reach *reach, const char *list,
                     int (*add)(struct reach *, struct span, char *, size_t), char *why,
                     size_t why_size)
{
    int err = 0;
    while (err == 0 && *list != '\0') {
        size_t len = strcspn(list, " ");
        if (len > 0)
            err = add(reach, span_of(list, len), why, why_size);
        list += len + (list[len] == ' ');
    }
    return err;
}

int reach_read(struct reach *ret, const char *hosts, const char *ports, bool plain, char *why,
               size_t why_size)
{
    *ret = (struct reach){.plain = plain};
    int err = list_read(ret, hosts, host_add, why, why_size);
    return err == 0 ? list_read(ret, ports, ports_add, why, why_size) : err;
}

/* ---- asking ---- */

static bool is_named(const struct reach *reach, const struct in6_addr *address, struct span host)
{
    for (unsigned i = 0; i < reach->range_count; i++)
        if (address_in_range(address, &reach->ranges[i]))
            return true;
    for (unsigned i = 0; i < reach->name_count; i++)
        if (span_equal_nocase(span_from(reach->names[i]), host))
            return true;
    return false;
}

bool reach_allows(const struct reach *reach, const struct in6_addr *address, struct span host,
                  bool tls)
{
    if (is_named(reach, address, host))
        return true;
    return (tls || reach->plain) && !reach_is_special(address);
}

bool reach_allows_port(const struct reach *reach, uint16_t port)
{
    for (unsigned i = 0; i < reach->port_count; i++)
        if (port >= reach->ports[i].first && port <= reach->ports[i].last)
            return true;
    return false;
}
