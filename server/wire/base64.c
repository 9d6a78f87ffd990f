#include "wire/base64.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(char *buf, struct span bytes)
{
    const uint8_t *in = (const uint8_t *)bytes.ptr;
    char *out = buf;
    for (size_t left = bytes.len; left > 0; in += 3, out += 4) {
        uint32_t group = (uint32_t)in[0] << 16;
        group |= left > 1 ? (uint32_t)in[1] << 8 : 0;
        group |= left > 2 ? in[2] : 0;
        out[0] = alphabet[group >> 18];
        out[1] = alphabet[group >> 12 & 63];
        out[2] = left > 1 ? alphabet[group >> 6 & 63] : '=';
        out[3] = left > 2 ? alphabet[group & 63] : '=';
        left -= left < 3 ? left : 3;
    }
    return (size_t)(out - buf);
}

static int sextet(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Reads four characters, of which the last `padding` stand for nothing and carry no bits. */
static int group_decode(const char *in, size_t padding)
{
    int group = 0;
    for (size_t i = 0; i < 4; i++) {
        int value = i < 4 - padding ? sextet(in[i]) : in[i] == '=' ? 0 : -1;
        if (value < 0)
            return -EINVAL;
        group = group << 6 | value;
    }
    return group & ((1 << 8 * padding) - 1) ? -EINVAL : group;
}

static size_t padding_count(struct span text)
{
    if (text.len == 0 || text.ptr[text.len - 1] != '=')
        return 0;
    return text.ptr[text.len - 2] == '=' ? 2 : 1;
}

int base64_decode(char *buf, size_t size, struct span text)
{
    if (text.len % 4 != 0)
        return -EINVAL;
    size_t padding = padding_count(text);
    size_t count = text.len / 4 * 3 - padding;
    if (count > size || count > INT_MAX)
        return -ENOBUFS;
    char *out = buf;
    for (size_t i = 0; i < text.len; i += 4) {
        size_t none = i + 4 == text.len ? padding : 0;
        int group = group_decode(text.ptr + i, none);
        if (group < 0)
            return group;
        for (size_t k = 0; k < 3 - none; k++)
            *out++ = (char)(group >> 8 * (2 - k));
    }
    return (int)count;
}

static const char url_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t base64url_encode(char *buf, struct span bytes)
{
    char *out = buf;
    for (size_t at = 0; at < bytes.len; at += 3) {
        size_t left = bytes.len - at < 3 ? bytes.len - at : 3;
        uint32_t group = 0;
        for (size_t k = 0; k < 3; k++)
            group = group << 8 | (k < left ? (uint8_t)bytes.ptr[at + k] : 0U);
        for (size_t k = 0; k <= left; k++)
            *out++ = url_alphabet[group >> (18 - 6 * k) & 63];
    }
    return (size_t)(out - buf);
}

static int url_sextet(char c)
{
    return c == '-' ? 62 : c == '_' ? 63 : c == '+' || c == '/' ? -1 : sextet(c);
}

/* Reads up to four characters; the bits behind the last whole byte are 0. */
static int url_group_decode(const char *in, size_t count)
{
    int group = 0;
    for (size_t i = 0; i < 4; i++) {
        int value = i < count ? url_sextet(in[i]) : 0;
        if (value < 0)
            return -EINVAL;
        group = group << 6 | value;
    }
    return group & ((1 << 8 * (4 - count)) - 1) ? -EINVAL : group;
}

int base64url_decode(char *buf, size_t size, struct span text)
{
    if (text.len % 4 == 1)
        return -EINVAL;
    size_t count = text.len / 4 * 3 + (text.len % 4 > 0 ? text.len % 4 - 1 : 0);
    if (count > size || count > INT_MAX)
        return -ENOBUFS;
    char *out = buf;
    for (size_t i = 0; i < text.len; i += 4) {
        size_t characters = text.len - i < 4 ? text.len - i : 4;
        int group = url_group_decode(text.ptr + i, characters);
        if (group < 0)
            return group;
        for (size_t k = 0; k + 1 < characters; k++)
            *out++ = (char)(group >> 8 * (2 - k));
    }
    return (int)count;
}
