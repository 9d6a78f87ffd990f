#include "load/sources.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

enum {
    MANY = 3000000,
    ALL_PORTS = 65536,
};

static struct load_group_config target(uint16_t port)
{
    return (struct load_group_config){.target = {.sin_family = AF_INET, .sin_port = htons(port)}};
}

/* One bit for every port of every address from `first` on. Returns false when it was set before. */
static bool mark(uint64_t *bits, uint32_t first, const struct sockaddr_in *source)
{
    uint64_t at = (uint64_t)(ntohl(source->sin_addr.s_addr) - first) * ALL_PORTS;
    at += ntohs(source->sin_port);
    bool fresh = !(bits[at / 64] >> at % 64 & 1);
    bits[at / 64] |= UINT64_C(1) << at % 64;
    return fresh;
}

static void test_no_duplicates(void **state)
{
    (void)state;
    const struct load_group_config groups[] = {target(10000), target(20000), target(20000),
                                               target(8080)};
    const struct load_config config = {.groups = groups, .group_count = 4};
    struct sources sources;
    assert_int_equal(sources_init(&sources, &config, 0), 0);
    assert_true(sources_count(&sources) > MANY);
    uint64_t *bits = calloc(64, ALL_PORTS / 8);
    assert_non_null(bits);
    for (int i = 0; i < MANY; i++) {
        struct sockaddr_in source = sources_next(&sources);
        uint16_t port = ntohs(source.sin_port);
        if (port < PORT_FIRST || port > PORT_LAST || port == 10000 || port == 20000 ||
            !mark(bits, FIRST_ADDRESS, &source))
            fail_msg("source %d: port %u", i, port);
    }
    free(bits);
}

/* A small range is used up before a pair comes again, and then in the same order. */
static void test_wraps(void **state)
{
    (void)state;
    const struct load_group_config group = target(102);
    const struct load_config config = {
        .groups = &group,
        .group_count = 1,
        .first_address.s_addr = htonl(0x7f000009),
        .address_count = 2,
        .port_first = 100,
        .port_last = 103,
    };
    struct sources sources;
    assert_int_equal(sources_init(&sources, &config, 3), 0);
    assert_int_equal(sources_count(&sources), 6);
    static const uint16_t ports[] = {100, 101, 103};
    for (unsigned i = 0; i < 12; i++) {
        struct sockaddr_in source = sources_next(&sources);
        assert_int_equal(source.sin_family, AF_INET);
        assert_int_equal(ntohl(source.sin_addr.s_addr), 0x7f000009 + (i / 3 + 1) % 2);
        assert_int_equal(ntohs(source.sin_port), ports[i % 3]);
    }
}

static void test_refused(void **state)
{
    (void)state;
    const struct load_group_config group = target(100);
    struct load_config config = {.groups = &group, .group_count = 1};
    struct sources sources;
    config.port_first = config.port_last = 100;
    assert_int_equal(sources_init(&sources, &config, 0), -EINVAL);
    config.port_first = 101;
    assert_int_equal(sources_init(&sources, &config, 0), -EINVAL);
    config.port_last = 101;
    assert_int_equal(sources_init(&sources, &config, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_duplicates),
        cmocka_unit_test(test_wraps),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
