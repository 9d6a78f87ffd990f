#include "wire/position.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>

#include "wire/digits.h"

/* Both take the number off the front of `text`, and leave what follows it. */
static bool hex_take(struct span *text, uint64_t *ret)
{
    size_t count = 0;
    for (*ret = 0; count < text->len && count <= DIGITS_HEX_MAX; count++) {
        char c = text->ptr[count];
        bool letter = c >= 'a' && c <= 'f';
        if (!letter && (c < '0' || c > '9'))
            break;
        *ret = *ret << 4 | (unsigned)(letter ? c - 'a' + 10 : c - '0');
    }
    if (count == 0 || count > DIGITS_HEX_MAX || text->ptr[0] == '0')
        return false;
    *text = span_skip(*text, count);
    return true;
}

static bool decimal_take(struct span *text, uint64_t *ret)
{
    size_t count = 0;
    for (*ret = 0; count < text->len; count++) {
        char c = text->ptr[count];
        if (c < '0' || c > '9')
            break;
        if (__builtin_mul_overflow(*ret, 10, ret) ||
            __builtin_add_overflow(*ret, (unsigned)(c - '0'), ret))
            return false;
    }
    if (count == 0 || (count > 1 && text->ptr[0] == '0'))
        return false;
    *text = span_skip(*text, count);
    return true;
}

static bool char_take(struct span *text, char c)
{
    if (text->len == 0 || text->ptr[0] != c)
        return false;
    *text = span_skip(*text, 1);
    return true;
}

int position_parse(struct position *ret, size_t max, struct span token)
{
    assert(max <= INT_MAX);
    for (size_t count = 0;; count++) {
        struct position position;
        if (!hex_take(&token, &position.epoch) || !char_take(&token, '.') ||
            !decimal_take(&token, &position.offset))
            return -EINVAL;
        if (count == max)
            return -E2BIG;
        ret[count] = position;
        if (token.len == 0)
            return (int)count + 1;
        if (!char_take(&token, '~'))
            return -EINVAL;
    }
}

size_t position_size(const struct position *positions, size_t count)
{
    assert(count > 0);
    size_t size = count - 1;
    for (size_t i = 0; i < count; i++)
        size += digits_hex_size(positions[i].epoch) + 1 + digits_decimal_size(positions[i].offset);
    return size;
}

size_t position_write(char *buf, const struct position *positions, size_t count)
{
    char *at = buf;
    assert(count > 0);
    for (size_t i = 0; i < count; i++) {
        assert(positions[i].epoch != 0);
        if (i > 0)
            *at++ = '~';
        at += digits_hex_write(at, positions[i].epoch);
        *at++ = '.';
        at += digits_decimal_write(at, positions[i].offset);
    }
    return (size_t)(at - buf);
}
