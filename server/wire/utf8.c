/* UTF-8 as a small machine (RFC 3629 section 4):
 *
 *     00..7F                           F0      90..BF tail tail
 *     C2..DF tail                      F1..F3  tail   tail tail
 *     E0     A0..BF tail               F4      80..8F tail tail
 *     E1..EC, EE, EF  tail tail
 *     ED     80..9F tail               tail is 80..BF; whatever else comes is an error */
#include "wire/utf8.h"

#include "wire/vector.h"

/* Takes the first byte of a character. */
static bool lead_step(struct utf8_state *state, uint8_t byte)
{
    uint8_t low = 0x80, high = 0xBF;
    if (byte < 0x80)
        return true;
    if (byte < 0xC2 || byte > 0xF4)
        return false;
    if (byte == 0xE0)
        low = 0xA0;
    else if (byte == 0xED)
        high = 0x9F;
    else if (byte == 0xF0)
        low = 0x90;
    else if (byte == 0xF4)
        high = 0x8F;
    uint8_t need = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
    *state = (struct utf8_state){.need = need, .low = low, .high = high};
    return true;
}

static bool utf8_step(struct utf8_state *state, uint8_t byte)
{
    if (state->need == 0)
        return lead_step(state, byte);
    if (byte < state->low || byte > state->high)
        return false;
    if (--state->need == 0)
        *state = (struct utf8_state){0};
    else
        *state = (struct utf8_state){.need = state->need, .low = 0x80, .high = 0xBF};
    return true;
}

/* How many bytes at the front are ASCII; may stop short by less than 16. */
static size_t ascii_run_128(const uint8_t *at, size_t len)
{
    size_t done = 0;
    for (vector_128 block; len - done >= sizeof block; done += sizeof block) {
        memcpy(&block, at + done, sizeof block);
        if (vector_any_high_128(block))
            break;
    }
    return done;
}

#ifdef VECTOR_AVX2
/* Two registers at a time; may stop short by less than 64. */
VECTOR_AVX2 static size_t ascii_run_256(const uint8_t *at, size_t len)
{
    size_t done = 0;
    for (vector_256 low, high; len - done >= 2 * sizeof low; done += 2 * sizeof low) {
        memcpy(&low, at + done, sizeof low);
        memcpy(&high, at + done + sizeof low, sizeof high);
        low |= high;
        if (vector_any_high_256(&low))
            break;
    }
    return done;
}
#endif

static size_t ascii_run(const uint8_t *at, size_t len)
{
    size_t done = 0;
#ifdef VECTOR_AVX2
    if (len >= 128 && vector_has_avx2())
        done = ascii_run_256(at, len);
#endif
    done += ascii_run_128(at + done, len - done);
    while (done < len && at[done] < 0x80)
        done++;
    return done;
}

bool utf8_feed(struct utf8_state *state, const char *buf, size_t len)
{
    const uint8_t *bytes = (const uint8_t *)buf;
    for (size_t at = 0; at < len;) {
        if (state->need == 0 && bytes[at] < 0x80)
            at += ascii_run(bytes + at, len - at);
        else if (!utf8_step(state, bytes[at++]))
            return false;
    }
    return true;
}

bool utf8_valid(struct span text)
{
    struct utf8_state state = {0};
    return utf8_feed(&state, text.ptr, text.len) && utf8_complete(&state);
}
