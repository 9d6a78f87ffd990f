#include "tls/names.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

enum {
    DER_SEQUENCE = 0x30,
    DER_OID = 0x06,
    DER_BOOLEAN = 0x01,
    DER_OCTETS = 0x04,
    DER_EXTENSIONS = 0xa3, /* [3], constructed */
    DER_DNS_NAME = 0x82,   /* [2], primitive   */
};

struct bytes {
    const unsigned char *at;
    size_t len;
};

/* Takes one element off the front of `in`. Returns its tag, or -1 when it is broken or missing. */
static int der_next(struct bytes *in, struct bytes *ret)
{
    if (in->len < 2)
        return -1;
    int tag = in->at[0];
    size_t len = in->at[1], head = 2;
    if (len >= 0x80) {
        size_t octets = len - 0x80;
        if (octets == 0 || octets > 3 || in->len < 2 + octets)
            return -1;
        len = 0;
        for (size_t i = 0; i < octets; i++)
            len = len << 8 | in->at[head++];
    }
    if (len > in->len - head)
        return -1;
    *ret = (struct bytes){in->at + head, len};
    *in = (struct bytes){in->at + head + len, in->len - head - len};
    return tag;
}

/* Skips elements until one with this tag. */
static bool der_find(struct bytes *in, int tag, struct bytes *ret)
{
    int found;
    while ((found = der_next(in, ret)) >= 0)
        if (found == tag)
            return true;
    return false;
}

/* The value of the subjectAltName extension; empty when there is none. */
static struct bytes alternative_names(struct bytes extensions)
{
    static const unsigned char subject_alt_name[] = {0x55, 0x1d, 0x11};
    struct bytes extension, oid, value;
    while (der_next(&extensions, &extension) == DER_SEQUENCE) {
        if (der_next(&extension, &oid) != DER_OID)
            break;
        if (oid.len == sizeof subject_alt_name &&
            memcmp(oid.at, subject_alt_name, sizeof subject_alt_name) == 0 &&
            der_find(&extension, DER_OCTETS, &value))
            return value;
    }
    return (struct bytes){NULL, 0};
}

int names_of_certificate(const unsigned char *der, size_t len, char *area, size_t size,
                         size_t *ret_len)
{
    struct bytes in = {der, len}, certificate, body, wrapped, extensions, names, name;
    *ret_len = 0;
    if (der_next(&in, &certificate) != DER_SEQUENCE ||
        der_next(&certificate, &body) != DER_SEQUENCE)
        return -EINVAL;
    if (!der_find(&body, DER_EXTENSIONS, &wrapped) ||
        der_next(&wrapped, &extensions) != DER_SEQUENCE)
        return 0;
    struct bytes value = alternative_names(extensions);
    if (der_next(&value, &names) != DER_SEQUENCE)
        return 0;
    while (der_find(&names, DER_DNS_NAME, &name)) {
        if (name.len == 0 || *ret_len + name.len + 1 > size || memchr(name.at, 0, name.len))
            continue;
        memcpy(area + *ret_len, name.at, name.len);
        area[*ret_len + name.len] = '\0';
        *ret_len += name.len + 1;
    }
    return 0;
}

bool names_match(const char *name, const char *server_name)
{
    if (strncmp(name, "*.", 2) != 0)
        return strcasecmp(name, server_name) == 0;
    const char *dot = strchr(server_name, '.');
    return dot && dot != server_name && strcasecmp(name + 1, dot) == 0;
}
