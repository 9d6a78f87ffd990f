#include "load/payload.h"

#include <assert.h>
#include <string.h>

enum {
    HEX_DIGITS = 16,
    SECOND_AT = HEX_DIGITS + 1,
    WORD_SIZE = 8,
    PART_WORDS = 16,      /* of a text that repeats */
    PART_WORDS_SAME = 11, /* in all parts, and for ever */
    PART_EVERY = 50,      /* a part changes with every 50th number */
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

/* Any one digit that is changed changes it. */
static uint32_t head_check(uint32_t number, uint64_t intended_ns)
{
    uint64_t mixed = intended_ns * UINT64_C(0x9E3779B97F4A7C15) + number;
    mixed = (mixed ^ mixed >> 32) * UINT64_C(0xD6E8FEB86659FD93);
    return (uint32_t)(mixed >> 32);
}

/* ---- the text ---- */

/* Eight letters from a to p, those at 8 × index. Sums and masks alone, so that the compiler makes
 * several at a time. */
static uint64_t text_word(uint64_t seed, size_t index)
{
    uint64_t mixed = seed + index * UINT64_C(0x9E3779B97F4A7C15);
    return (mixed >> 3 & UINT64_C(0x0F0F0F0F0F0F0F0F)) + UINT64_C(0x6161616161616161);
}

static uint64_t text_seed(uint32_t number)
{
    return number * UINT64_C(0xD6E8FEB86659FD93);
}

/* The same of a text that repeats: a part is as it was made by the last number that changed it. */
static uint64_t repeating_word(uint32_t number, size_t index)
{
    size_t part = index / PART_WORDS, place = index % PART_WORDS;
    if (place < PART_WORDS_SAME)
        return text_word(0, place);
    uint32_t age = (uint32_t)((number + PART_EVERY - part % PART_EVERY) % PART_EVERY);
    return text_word(text_seed(number - age), index);
}

static void repeating_write(char *buf, size_t len, uint32_t number, uint64_t at)
{
    for (size_t done = 0; done < len;) {
        uint64_t letters = repeating_word(number, (at + done) / WORD_SIZE);
        size_t from = (at + done) % WORD_SIZE, count = WORD_SIZE - from;
        count = count < len - done ? count : len - done;
        memcpy(buf + done, (const char *)&letters + from, count);
        done += count;
    }
}

static bool repeating_matches(struct span text, uint32_t number, uint64_t at)
{
    char word[WORD_SIZE];
    for (size_t done = 0; done < text.len; done += WORD_SIZE) {
        size_t count = text.len - done < WORD_SIZE ? text.len - done : (size_t)WORD_SIZE;
        repeating_write(word, count, number, at + done);
        if (memcmp(text.ptr + done, word, count) != 0)
            return false;
    }
    return true;
}

/* `len` bytes of the text from place `at` on, which lie in one word. */
static void part_write(char *buf, size_t len, uint64_t seed, uint64_t at)
{
    char word[WORD_SIZE];
    uint64_t letters = text_word(seed, at / WORD_SIZE);
    memcpy(word, &letters, sizeof word);
    assert(at % WORD_SIZE + len <= WORD_SIZE);
    memcpy(buf, word + at % WORD_SIZE, len);
}

static bool part_matches(const char *bytes, size_t len, uint64_t seed, uint64_t at)
{
    char part[WORD_SIZE];
    part_write(part, len, seed, at);
    return memcmp(bytes, part, len) == 0;
}

/* Bytes up to the next word. */
static size_t to_boundary(size_t len, uint64_t at)
{
    size_t count = (WORD_SIZE - at % WORD_SIZE) % WORD_SIZE;
    return count < len ? count : len;
}

static void text_write(char *buf, size_t len, uint32_t number, uint64_t at)
{
    uint64_t seed = text_seed(number);
    size_t done = to_boundary(len, at);
    part_write(buf, done, seed, at);
    for (; len - done >= WORD_SIZE; done += WORD_SIZE) {
        uint64_t letters = text_word(seed, (at + done) / WORD_SIZE);
        memcpy(buf + done, &letters, WORD_SIZE);
    }
    part_write(buf + done, len - done, seed, at + done);
}

static bool text_matches(struct span text, uint32_t number, uint64_t at)
{
    uint64_t seed = text_seed(number), differ = 0;
    size_t done = to_boundary(text.len, at);
    bool ends = part_matches(text.ptr, done, seed, at);
    for (; text.len - done >= WORD_SIZE; done += WORD_SIZE) {
        uint64_t letters;
        memcpy(&letters, text.ptr + done, WORD_SIZE);
        differ |= letters ^ text_word(seed, (at + done) / WORD_SIZE);
    }
    ends = part_matches(text.ptr + done, text.len - done, seed, at + done) && ends;
    return ends && differ == 0;
}

/* ---- the whole ---- */

void payload_write(char *buf, size_t size, uint32_t number, uint64_t intended_ns, bool repeats)
{
    assert(size >= PAYLOAD_HEAD_SIZE);
    hex_write(buf, (uint64_t)head_check(number, intended_ns) << 32 | number);
    hex_write(buf + SECOND_AT, intended_ns);
    if (repeats)
        repeating_write(buf + PAYLOAD_HEAD_SIZE, size - PAYLOAD_HEAD_SIZE, number, 0);
    else
        text_write(buf + PAYLOAD_HEAD_SIZE, size - PAYLOAD_HEAD_SIZE, number, 0);
}

bool payload_begins(struct span text)
{
    uint64_t value;
    return text.len >= PAYLOAD_HEAD_SIZE && hex_read(text.ptr, &value) &&
           hex_read(text.ptr + SECOND_AT, &value);
}

static void head_take(struct payload *payload)
{
    uint64_t first, intended_ns;
    if (!hex_read(payload->head, &first) || !hex_read(payload->head + SECOND_AT, &intended_ns) ||
        head_check((uint32_t)first, intended_ns) != first >> 32)
        return;
    payload->number = (uint32_t)first;
    payload->intended_ns = intended_ns;
}

void payload_take(struct payload *payload, struct span piece)
{
    if (payload->length < PAYLOAD_HEAD_SIZE) {
        size_t room = PAYLOAD_HEAD_SIZE - payload->length;
        size_t count = piece.len < room ? piece.len : room;
        memcpy(payload->head + payload->length, piece.ptr, count);
        payload->length += count;
        piece = span_skip(piece, count);
        if (payload->length == PAYLOAD_HEAD_SIZE)
            head_take(payload);
    }
    if (piece.len == 0)
        return;
    uint64_t at = payload->length - PAYLOAD_HEAD_SIZE;
    payload->changed |= payload->repeats ? !repeating_matches(piece, payload->number, at)
                                         : !text_matches(piece, payload->number, at);
    payload->length += piece.len;
}
