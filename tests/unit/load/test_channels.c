#include "load/channels.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void make(struct group *group, uint32_t channels, const struct load_kind *kinds,
                 unsigned count)
{
    *group = (struct group){
        .config = {
            .channels = channels, .payload_bytes = 128, .kinds = kinds, .kind_count = count}};
    assert_int_equal(channels_init(group), 0);
}

static void test_one_channel_is_as_before(void **state)
{
    (void)state;
    struct group group;
    make(&group, 0, NULL, 0);
    for (uint32_t number = 1; number < 100; number++) {
        assert_int_equal(channel_of_number(&group, number), 0);
        assert_int_equal(sequence_of_number(&group, number), number);
        assert_int_equal(bytes_of_number(&group, number), 128);
    }
    free(group.channel_ready);
}

static void test_numbers_go_round_the_channels(void **state)
{
    (void)state;
    struct group group;
    uint32_t next[7] = {0};
    make(&group, 7, NULL, 0);
    for (uint32_t number = 1; number <= 700; number++) {
        uint32_t channel = channel_of_number(&group, number);
        assert_int_equal(channel, (number - 1) % 7);
        assert_int_equal(sequence_of_number(&group, number), ++next[channel]);
    }
    free(group.channel_ready);
}

/* Whatever the cycle and the channels have in common, every channel gets every kind in its share.
 */
static void test_every_channel_gets_every_kind(void **state)
{
    (void)state;
    static const struct load_kind kinds[] = {{48, 5}, {200, 1}};
    for (uint32_t channels = 2; channels <= 12; channels++) {
        struct group group;
        uint32_t large[12] = {0};
        make(&group, channels, kinds, 2);
        for (uint32_t number = 1; number <= channels * 6; number++)
            large[channel_of_number(&group, number)] += bytes_of_number(&group, number) == 200;
        for (uint32_t channel = 0; channel < channels; channel++)
            assert_int_equal(large[channel], 1);
        free(group.channel_ready);
    }
}

static void test_kinds_are_mixed_evenly(void **state)
{
    (void)state;
    static const struct load_kind kinds[] = {{50, 2}, {60, 2}};
    struct group group;
    make(&group, 0, kinds, 2);
    assert_int_equal(group.cycle_count, 4);
    for (uint32_t number = 1; number < 40; number++)
        assert_int_not_equal(bytes_of_number(&group, number), bytes_of_number(&group, number + 1));
    free(group.channel_ready);
}

static void test_suffixes(void **state)
{
    (void)state;
    char text[CHANNEL_SUFFIX_MAX];
    assert_int_equal(channel_suffix_write(text, 0), 2);
    assert_memory_equal(text, "-0", 2);
    assert_int_equal(channel_suffix_write(text, LOAD_CHANNELS_MAX - 1), 8);
    assert_memory_equal(text, "-1048575", 8);
}

/* Who leaves is not waited for in its own channel, and still is in the others. */
static void test_who_leaves_is_missed_in_its_channel_alone(void **state)
{
    (void)state;
    static struct group group;
    static struct subscriber subscribers[4]; /* of channels 0 1 0 1 */
    struct load load = {.groups = &group, .group_count = 1, .subscribers = subscribers};
    make(&group, 2, NULL, 0);
    group.config.clients = 4;
    for (int i = 0; i < 4; i++) {
        subscribers[i].place.expected = 1;
        ready_enter(&load, &subscribers[i]);
    }
    for (uint32_t number = 1; number <= 4; number++)
        flights_launch(&group.flights, number, expected_of_number(&group, number), 0, 0);
    assert_int_equal(expected_of_number(&group, 1), 2);
    subscribers[2].place.expected = 2; /* has the first of its channel */
    ready_leave(&load, &subscribers[2]);
    assert_int_equal(group.ready, 3);
    assert_int_equal(expected_of_number(&group, 5), 1);
    assert_int_equal(expected_of_number(&group, 6), 2);
    assert_int_equal(group.flights.slots[1].expected, 2);
    assert_int_equal(group.flights.slots[3].expected, 1);
    assert_int_equal(group.flights.slots[2].expected, 2);
    assert_int_equal(group.flights.slots[4].expected, 2);
    group.publisher.number = 5;
    assert_int_equal(channel_last(&load, &subscribers[0]), 3);
    assert_int_equal(channel_last(&load, &subscribers[1]), 2);
    free(group.channel_ready);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_channel_is_as_before),
        cmocka_unit_test(test_numbers_go_round_the_channels),
        cmocka_unit_test(test_every_channel_gets_every_kind),
        cmocka_unit_test(test_kinds_are_mixed_evenly),
        cmocka_unit_test(test_suffixes),
        cmocka_unit_test(test_who_leaves_is_missed_in_its_channel_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
