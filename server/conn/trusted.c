#include "conn/trusted.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int range_add(struct trusted *trusted, struct span text, char *why, size_t why_size)
{
    if (trusted->count == TRUSTED_MAX) {
        snprintf(why, why_size, "trusted_proxies: more than %d", TRUSTED_MAX);
        return -EINVAL;
    }
    if (address_range_read(&trusted->ranges[trusted->count], text)) {
        trusted->count++;
        return 0;
    }
    snprintf(why, why_size,
             "trusted_proxies: %.*s is no address, and no range such as 10.0.0.0/8 or "
             "2001:db8::/32, whose other bits are 0",
             (int)text.len, text.ptr);
    return -EINVAL;
}

int trusted_read(struct trusted *ret, const char *list, char *why, size_t why_size)
{
    *ret = (struct trusted){0};
    int err = 0;
    while (err == 0 && *list != '\0') {
        size_t len = strcspn(list, " ");
        if (len > 0)
            err = range_add(ret, span_of(list, len), why, why_size);
        list += len + (list[len] == ' ');
    }
    return err;
}

bool trusted_is(const struct trusted *trusted, const struct in6_addr *address)
{
    for (unsigned i = 0; trusted && i < trusted->count; i++)
        if (address_in_range(address, &trusted->ranges[i]))
            return true;
    return false;
}
