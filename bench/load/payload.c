#include "load/payload.h"

#include <assert.h>

enum {
    HEX_DIGITS = 16,
    SECOND_AT = HEX_DIGITS + 1,
};

static void hex_write(char *buf, uint64_t value)
{
    for (int i = HEX_DIGITS - 1; i >= 0; i--, value >>= 4)
        buf[i] = "0123456789abcdef"[value & 15];
    buf[HEX_DIGITS] = ' ';
}

/* Sixteen lower-case digits and a space. The digits are judged together at the end: there is one
 * branch for all of them. */
static bool hex_read(const char *text, uint64_t *ret)
{
    uint64_t value = 0;
    unsigned bad = 0;
    for (int i = 0; i < HEX_DIGITS; i++) {
        unsigned c = (unsigned char)text[i];
        unsigned digit = c - '0', letter = c - 'a';
        unsigned nibble = digit < 10 ? digit : letter + 10;
        bad |= digit >= 10 && letter >= 6;
        value = value << 4 | (nibble & 15);
    }
    if (bad || text[HEX_DIGITS] != ' ')
        return false;
    *ret = value;
    return true;
}

void payload_write(char *buf, size_t size, uint64_t number, uint64_t intended_ns)
{
    assert(size >= PAYLOAD_HEAD_SIZE);
    hex_write(buf, number);
    hex_write(buf + SECOND_AT, intended_ns);
    for (size_t i = PAYLOAD_HEAD_SIZE; i < size; i++)
        buf[i] = "abcdefghijklmnop"[i & 15];
}

bool payload_read(struct span text, uint64_t *ret_number, uint64_t *ret_intended_ns)
{
    uint64_t number, intended_ns;
    if (text.len < PAYLOAD_HEAD_SIZE || !hex_read(text.ptr, &number) ||
        !hex_read(text.ptr + SECOND_AT, &intended_ns))
        return false;
    *ret_number = number;
    *ret_intended_ns = intended_ns;
    return true;
}
