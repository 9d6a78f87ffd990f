#include "load/ledger.h"

enum {
    SEEN_BITS = 32,
};

static void example(struct ledger *ledger, uint32_t client, uint32_t expected, uint32_t got)
{
    struct load_ledger *sums = &ledger->sums;
    if (sums->example_count < LOAD_EXAMPLES_MAX)
        sums->examples[sums->example_count++] = (struct load_example){client, expected, got};
}

static void advance(struct ledger_place *place, uint32_t number)
{
    uint32_t step = number + 1 - place->expected;
    place->seen = step < SEEN_BITS ? place->seen << step | 1 : 1;
    place->expected = number + 1;
}

static void note_behind(struct ledger *ledger, struct ledger_place *place, uint32_t number)
{
    uint32_t back = place->expected - 1 - number;
    if (back >= SEEN_BITS || place->seen & UINT32_C(1) << back) {
        ledger->sums.duplicate++;
        return;
    }
    place->seen |= UINT32_C(1) << back;
    ledger->sums.out_of_order++;
    ledger->sums.lost--;
    ledger->sums.delivered++;
}

void ledger_note(struct ledger *ledger, struct ledger_place *place, uint32_t number,
                 uint32_t client)
{
    if (place->expected == 0) {
        *place = (struct ledger_place){number + 1, UINT32_MAX};
        ledger->joined++;
        ledger->sums.delivered++;
        return;
    }
    if (number != place->expected)
        example(ledger, client, place->expected, number);
    if (number < place->expected) {
        note_behind(ledger, place, number);
        return;
    }
    ledger->sums.lost += number - place->expected;
    ledger->sums.delivered++;
    advance(place, number);
}

void ledger_leave(struct ledger *ledger, struct ledger_place *place)
{
    if (place->expected != 0)
        ledger->joined--;
    *place = (struct ledger_place){0};
}
