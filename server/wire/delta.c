#include "wire/delta.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/out.h"

enum {
    WORD = 8,       /* bytes that are looked up, at each such place of the base */
    MATCH_MIN = 16, /* a shorter copy saves nothing; one of 2 × WORD - 1 is always found */
    HASH_BITS_MIN = 6,
    HASH_BITS_MAX = 14,
    DIGIT_BITS = 6,
    DIGITS_MAX = 6, /* of 32 bits */
};

#define PLACE_NONE UINT32_MAX

/*   heads[hash of a word] ─► the last place of the base with it ─► before[place] ─► … */
struct delta_maker {
    size_t bytes_max;
    unsigned bits; /* of a hash: for a small base there are fewer heads to clear */
    uint32_t heads[1 << HASH_BITS_MAX];
    uint32_t before[];
};

/* Bytes of the target that are those of the base. */
struct match {
    size_t at, len; /* in the target */
    size_t from;    /* in the base */
};

struct delta_maker *delta_maker_create(size_t bytes_max)
{
    assert(bytes_max <= DELTA_BYTES_MAX);
    size_t places = bytes_max / WORD;
    struct delta_maker *maker = malloc(sizeof *maker + places * sizeof maker->before[0]);
    if (maker)
        maker->bytes_max = bytes_max;
    return maker;
}

void delta_maker_free(struct delta_maker *maker)
{
    free(maker);
}

/* ---- numbers and the checksum ---- */

static const char digits[64] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";

static void number_write(struct out *out, uint32_t number)
{
    char text[DIGITS_MAX];
    size_t at = sizeof text;
    do {
        text[--at] = digits[number & 63];
        number >>= DIGIT_BITS;
    } while (number > 0);
    out_span(out, span_of(text + at, sizeof text - at));
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'Z')
        return c - 'A' + 10;
    if (c == '_')
        return 36;
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 37;
    return c == '~' ? 63 : -1;
}

/* Takes a number and the character behind it. Returns false when it is none of 32 bits. */
static bool number_take(struct span *rest, uint32_t *ret, char *ret_behind)
{
    uint64_t number = 0;
    size_t len = 0;
    for (int digit; len < rest->len && (digit = digit_value(rest->ptr[len])) >= 0; len++) {
        number = number << DIGIT_BITS | (unsigned)digit;
        if (number > UINT32_MAX)
            return false;
    }
    if (len == 0 || len == rest->len)
        return false;
    *ret = (uint32_t)number;
    *ret_behind = rest->ptr[len];
    *rest = span_skip(*rest, len + 1);
    return true;
}

/* The sum of its words of 32 bits, the highest byte first; zeros follow the last. */
static uint32_t checksum(struct span text)
{
    uint32_t sum = 0;
    const unsigned char *at = (const unsigned char *)text.ptr;
    size_t left = text.len;
    for (; left >= 4; left -= 4, at += 4)
        sum += (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    for (unsigned shift = 24; left > 0; left--, shift -= 8)
        sum += (uint32_t)*at++ << shift;
    return sum;
}

/* ---- making ---- */

static uint32_t word_hash(const struct delta_maker *maker, const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return (uint32_t)(word * UINT64_C(0x9e3779b97f4a7c15) >> (64 - maker->bits));
}

static void base_index(struct delta_maker *maker, struct span base)
{
    maker->bits = HASH_BITS_MIN;
    while (maker->bits < HASH_BITS_MAX && base.len / WORD > (size_t)1 << maker->bits)
        maker->bits++;
    memset(maker->heads, 0xff, ((size_t)1 << maker->bits) * sizeof maker->heads[0]);
    for (uint32_t place = 0; ((size_t)place + 1) * WORD <= base.len; place++) {
        uint32_t hash = word_hash(maker, base.ptr + (size_t)place * WORD);
        maker->before[place] = maker->heads[hash];
        maker->heads[hash] = place;
    }
}

/* How far both are the same around these places; backwards no further than `floor` of the target.
 */
static struct match extend(struct span base, struct span target, size_t from, size_t at,
                           size_t floor)
{
    size_t behind = 0, before = 0;
    size_t most = base.len - from < target.len - at ? base.len - from : target.len - at;
    while (behind < most && base.ptr[from + behind] == target.ptr[at + behind])
        behind++;
    most = from < at - floor ? from : at - floor;
    while (before < most && base.ptr[from - before - 1] == target.ptr[at - before - 1])
        before++;
    return (struct match){at - before, before + behind, from - before};
}

static bool inside_character(struct span text, size_t at)
{
    return at < text.len && ((unsigned char)text.ptr[at] & 0xc0) == 0x80;
}

/* What stands between two copies is written as it is, so no character may be cut. */
static void trim(struct match *match, struct span target)
{
    while (match->len > 0 && inside_character(target, match->at)) {
        match->at++;
        match->from++;
        match->len--;
    }
    while (match->len > 0 && inside_character(target, match->at + match->len))
        match->len--;
}

/* The longest of those that DELTA_CHAIN places give; of length 0 where there is none. */
static struct match find(const struct delta_maker *maker, struct span base, struct span target,
                         size_t at, size_t floor)
{
    struct match best = {.at = at};
    uint32_t place = maker->heads[word_hash(maker, target.ptr + at)];
    for (unsigned i = 0; i < DELTA_CHAIN && place != PLACE_NONE; i++) {
        struct match match = extend(base, target, (size_t)place * WORD, at, floor);
        if (match.len > best.len)
            best = match;
        place = maker->before[place];
    }
    trim(&best, target);
    return best.len < MATCH_MIN ? (struct match){.at = at} : best;
}

static void insert(struct out *out, struct span text)
{
    if (text.len == 0)
        return;
    number_write(out, (uint32_t)text.len);
    out_text(out, ":");
    out_span(out, text);
}

static void copy(struct out *out, const struct match *match)
{
    number_write(out, (uint32_t)match->len);
    out_text(out, "@");
    number_write(out, (uint32_t)match->from);
    out_text(out, ",");
}

size_t delta_make(struct delta_maker *maker, char *area, struct span base, struct span target)
{
    if (base.len > maker->bytes_max || target.len > maker->bytes_max || target.len == 0)
        return 0;
    struct out out = out_begin(area, target.len - 1);
    size_t at = 0, written = 0;
    base_index(maker, base);
    number_write(&out, (uint32_t)target.len);
    out_text(&out, "\n");
    while (at + WORD <= target.len && !out.overflow) {
        struct match match = find(maker, base, target, at, written);
        if (match.len == 0) {
            at++;
            continue;
        }
        insert(&out, span_of(target.ptr + written, match.at - written));
        copy(&out, &match);
        written = match.at + match.len;
        at = written > at ? written : at + 1;
    }
    insert(&out, span_of(target.ptr + written, target.len - written));
    number_write(&out, checksum(target));
    out_text(&out, ";");
    return out.overflow ? 0 : (size_t)(out.at - out.start);
}

/* ---- applying ---- */

/* Takes one step, and writes what it stands for. Returns 1; 0 at the checksum; or -EPROTO. */
static int step(struct out *out, struct span base, struct span *delta, uint32_t *ret_sum)
{
    uint32_t count, from;
    char what, comma;
    if (!number_take(delta, &count, &what))
        return -EPROTO;
    switch (what) {
    case '@':
        if (!number_take(delta, &from, &comma) || comma != ',' || from > base.len ||
            count > base.len - from)
            return -EPROTO;
        out_span(out, span_of(base.ptr + from, count));
        return out->overflow ? -EPROTO : 1;
    case ':':
        if (count > delta->len)
            return -EPROTO;
        out_span(out, span_of(delta->ptr, count));
        *delta = span_skip(*delta, count);
        return out->overflow ? -EPROTO : 1;
    case ';':
        *ret_sum = count;
        return 0;
    default:
        return -EPROTO;
    }
}

int delta_apply(char *area, size_t room, struct span base, struct span delta)
{
    uint32_t length, sum = 0;
    char behind;
    if (!number_take(&delta, &length, &behind) || behind != '\n')
        return -EPROTO;
    if (length > room || length > INT_MAX)
        return -EFBIG;
    struct out out = out_begin(area, length);
    int went;
    while ((went = step(&out, base, &delta, &sum)) > 0)
        continue;
    size_t len = (size_t)(out.at - out.start);
    if (went < 0 || delta.len > 0 || len != length || checksum(span_of(area, len)) != sum)
        return -EPROTO;
    return (int)len;
}
