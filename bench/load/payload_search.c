#include "load/payload_search.h"

#include <assert.h>

/* Where the first head begins; text.len when there is none. The two spaces are looked at before the
 * digits: they decide nearly always. */
static size_t head_find(struct span text)
{
    for (size_t at = 0; at + PAYLOAD_HEAD_SIZE <= text.len; at++)
        if (text.ptr[at + PAYLOAD_HEAD_SIZE - 1] == ' ' &&
            text.ptr[at + PAYLOAD_HEAD_SIZE / 2 - 1] == ' ' && payload_begins(span_skip(text, at)))
            return at;
    return text.len;
}

static void hold_tail(struct payload_search *search, struct span text)
{
    size_t count = text.len < PAYLOAD_SEARCH_HELD ? text.len : PAYLOAD_SEARCH_HELD;
    memmove(search->last, text.ptr + text.len - count, count);
    search->held = (uint8_t)count;
}

static void found(struct payload_search *search, const char *head, uint32_t size)
{
    search->payload = (struct payload){0};
    payload_take(&search->payload, span_of(head, PAYLOAD_HEAD_SIZE));
    search->held = 0;
    search->looked = 0;
    search->left = size - PAYLOAD_HEAD_SIZE;
}

/* A head that began in an earlier piece. Returns how much of this one it took, or 0. */
static size_t find_across(struct payload_search *search, struct span piece, uint32_t size)
{
    char joined[2 * PAYLOAD_SEARCH_HELD];
    size_t count = piece.len < PAYLOAD_SEARCH_HELD ? piece.len : PAYLOAD_SEARCH_HELD,
           held = search->held;
    memcpy(joined, search->last, held);
    memcpy(joined + held, piece.ptr, count);
    struct span text = span_of(joined, held + count);
    size_t at = head_find(text);
    if (at < text.len) {
        found(search, joined + at, size);
        return at + PAYLOAD_HEAD_SIZE - held;
    }
    if (count == piece.len)
        hold_tail(search, text);
    return 0;
}

/* Returns whether a head was found. */
static bool look(struct payload_search *search, struct span *piece, uint32_t size)
{
    size_t before = search->held > 0 ? find_across(search, *piece, size) : 0;
    if (before > 0) {
        *piece = span_skip(*piece, before);
        return true;
    }
    size_t at = head_find(*piece);
    if (at < piece->len) {
        found(search, piece->ptr + at, size);
        *piece = span_skip(*piece, at + PAYLOAD_HEAD_SIZE);
        return true;
    }
    if (search->held == 0 || piece->len >= PAYLOAD_SEARCH_HELD)
        hold_tail(search, *piece);
    search->looked += (uint32_t)piece->len;
    *piece = span_skip(*piece, piece->len);
    return false;
}

bool payload_search_next(struct payload_search *search, struct span *piece, uint32_t size)
{
    assert(size >= PAYLOAD_HEAD_SIZE);
    while (piece->len > 0) {
        if (search->left == 0) {
            if (search->looked > PAYLOAD_SEARCH_MAX) {
                *piece = span_skip(*piece, piece->len);
                return false;
            }
            if (look(search, piece, size) && search->left == 0)
                return true;
            continue;
        }
        uint32_t count = piece->len < search->left ? (uint32_t)piece->len : search->left;
        search->left -= count;
        payload_take(&search->payload, span_of(piece->ptr, count));
        *piece = span_skip(*piece, count);
        if (search->left == 0)
            return true;
    }
    return false;
}
