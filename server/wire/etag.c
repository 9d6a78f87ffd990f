#include "wire/etag.h"

#include "wire/chars.h"
#include "wire/out.h"

enum {
    TAG_DIGITS = 16,
};

void etag_write(char buf[ETAG_SIZE], uint64_t tag)
{
    memcpy(buf, "W/\"", 3);
    for (unsigned i = 0; i < TAG_DIGITS; i++)
        buf[3 + i] = "0123456789abcdef"[tag >> 4 * (TAG_DIGITS - 1 - i) & 15];
    buf[ETAG_SIZE - 1] = '"';
}

/* Returns false when it cannot be one of ours. */
static bool tag_read(struct span opaque, uint64_t *ret)
{
    *ret = 0;
    for (size_t i = 0; i < opaque.len; i++) {
        int digit = chars_hex(opaque.ptr[i]);
        if (digit < 0 || (opaque.ptr[i] >= 'A' && opaque.ptr[i] <= 'F'))
            return false;
        *ret = *ret << 4 | (uint64_t)digit;
    }
    return opaque.len == TAG_DIGITS;
}

static bool starts_with(struct span span, struct span prefix)
{
    return span.len >= prefix.len && memcmp(span.ptr, prefix.ptr, prefix.len) == 0;
}

/* Takes the next tag off the list, without its quotes. Returns false at the end of it. */
static bool tag_next(struct span *list, struct span *ret_opaque)
{
    while (list->len > 0 && (*list->ptr == ' ' || *list->ptr == '\t' || *list->ptr == ','))
        *list = span_skip(*list, 1);
    if (starts_with(*list, SPAN("W/")))
        *list = span_skip(*list, 2);
    if (!starts_with(*list, SPAN("\"")))
        return false;
    *list = span_skip(*list, 1);
    const char *end = list->len > 0 ? memchr(list->ptr, '"', list->len) : NULL;
    if (!end)
        return false;
    *ret_opaque = span_of(list->ptr, (size_t)(end - list->ptr));
    *list = span_skip(*list, ret_opaque->len + 1);
    return true;
}

void etags_add(struct etags *etags, struct span value)
{
    struct span opaque;
    uint64_t tag;
    etags->any |= span_equal(value, SPAN("*"));
    while (tag_next(&value, &opaque))
        if (tag_read(opaque, &tag) && etags->count < ETAGS_MAX)
            etags->list[etags->count++] = tag;
}

bool etags_have(const struct etags *etags, uint64_t tag)
{
    for (unsigned i = 0; i < etags->count; i++)
        if (etags->list[i] == tag)
            return true;
    return etags->any;
}
