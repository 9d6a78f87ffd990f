#include "load/ledger.h"

enum {
    SEEN_BITS = 32,
};

static void example(struct load_ledger *sums, uint32_t client, uint32_t expected, uint32_t got)
{
    if (sums->example_count < LOAD_EXAMPLES_MAX)
        sums->examples[sums->example_count++] = (struct load_example){client, expected, got};
}

static void advance(struct ledger_place *place, uint32_t number)
{
    uint32_t step = number + 1 - place->expected;
    place->seen = step < SEEN_BITS ? place->seen << step | 1 : 1;
    place->expected = number + 1;
}

static void note_behind(struct load_ledger *sums, struct ledger_place *place, uint32_t number)
{
    uint32_t back = place->expected - 1 - number;
    if (back >= SEEN_BITS || place->seen & UINT32_C(1) << back) {
        sums->duplicate++;
        return;
    }
    place->seen |= UINT32_C(1) << back;
    sums->out_of_order++;
    sums->lost--;
    sums->delivered++;
}

void ledger_note(struct load_ledger *sums, struct ledger_place *place, uint32_t number,
                 uint32_t client)
{
    if (place->expected == 0) {
        *place = (struct ledger_place){number + 1, UINT32_MAX};
        sums->delivered++;
        return;
    }
    if (number != place->expected)
        example(sums, client, place->expected, number);
    if (number < place->expected) {
        note_behind(sums, place, number);
        return;
    }
    sums->lost += number - place->expected;
    sums->delivered++;
    advance(place, number);
}
