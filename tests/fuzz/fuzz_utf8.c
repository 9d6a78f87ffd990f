/* The module is included, for its plain machine; a second reference works by arithmetic instead. */
#include "wire/utf8.c"

#include "fuzz.h"

static bool stepwise_valid(struct span text)
{
    struct utf8_state state = {0};
    for (size_t i = 0; i < text.len; i++)
        if (!utf8_step(&state, (uint8_t)text.ptr[i]))
            return false;
    return utf8_complete(&state);
}

/* Decodes each character to its number, and asks whether it may be written that long. */
static bool decoded_valid(struct span text)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    for (size_t at = 0, len; at < text.len; at += len) {
        uint8_t lead = (uint8_t)text.ptr[at];
        len = lead < 0x80 ? 1 : lead >> 5 == 6 ? 2 : lead >> 4 == 14 ? 3 : lead >> 3 == 30 ? 4 : 0;
        if (len == 0 || len > text.len - at)
            return false;
        uint32_t point = len == 1 ? lead : lead & (0x7Fu >> len);
        for (size_t i = 1; i < len; i++) {
            uint8_t tail = (uint8_t)text.ptr[at + i];
            if (tail >> 6 != 2)
                return false;
            point = point << 6 | (tail & 0x3F);
        }
        if (point < smallest[len] || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF))
            return false;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = fuzz_input(data, size);
    bool valid = utf8_valid(text);
    assert(valid == stepwise_valid(text));
    assert(valid == decoded_valid(text));
    for (size_t which = 0; which < FUZZ_CUTS; which++) {
        struct utf8_state state = {0};
        size_t first;
        uint64_t step;
        fuzz_cut(text, which, &first, &step);
        struct pieces pieces = pieces_begin(text, first, step);
        bool fed = true;
        while (fed && pieces_next(&pieces))
            fed = utf8_feed(&state, pieces.piece, pieces.len);
        pieces_end(&pieces);
        assert((fed && utf8_complete(&state)) == valid);
    }
    return 0;
}
