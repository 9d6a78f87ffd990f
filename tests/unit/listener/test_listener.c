/* Addresses as settings have them: what they mean, how they are named, and what is said of those
 * that are none. Sockets are tested with a running server, in tests/integration/test_ipv6.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "listener.c"

static void an_address_is_named_as_in_a_url(void **state)
{
    static const char *const rows[][2] = {
        {"127.0.0.1:8080", "127.0.0.1:8080"},
        {"0.0.0.0:0", "0.0.0.0:0"},
        {"*:80", "0.0.0.0:80"},
        {":80", "0.0.0.0:80"},
        {"[::]:80", "[::]:80"},
        {"[::1]:65535", "[::1]:65535"},
        {"[2001:DB8:0:0::7]:8443", "[2001:db8::7]:8443"},
        {"[::ffff:192.0.2.7]:1", "[::ffff:192.0.2.7]:1"},
        {"[fe80::1%lo]:80", "[fe80::1%lo]:80"},
        {"[2001:db8:1111:2222:3333:4444:5555:6666]:8080",
         "[2001:db8:1111:2222:3333:4444:5555:6666]:8080"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct listen_address address;
        char why[256] = "", name[LISTENER_NAME_MAX];
        assert_int_equal(listener_address(&address, "listen", rows[i][0], why, sizeof why), 0);
        listener_name(&address, name);
        assert_string_equal(name, rows[i][1]);
    }
}

static void what_is_none_is_told_what_would_be(void **state)
{
    static const char *const rows[][2] = {
        {"nonsense", "an address and a port"},
        {"127.0.0.1", "an address and a port"},
        {"127.0.0.1:", "an address and a port"},
        {"127.0.0.1:65536", "from 0 to 65535"},
        {"127.0.0.1:99999999999999999999999", "from 0 to 65535"},
        {"127.0.0.1:80x", "an address and a port"},
        {"127.0.0.1: 80", "an address and a port"},
        {"127.0.0.1:-1", "an address and a port"},
        {"127.0.0:80", "in digits"},
        {"localhost:80", "names are not looked up"},
        {"::1:8080", "in brackets"},
        {"::1", "in brackets"},
        {"2001:db8::7", "in brackets"},
        {"[::1]", "an address and a port"},
        {"[::1]8080", "an address and a port"},
        {"[::1]:", "an address and a port"},
        {"[]:80", "no IPv6 address in the brackets"},
        {"[127.0.0.1]:80", "no IPv6 address in the brackets"},
        {"[localhost]:80", "no IPv6 address in the brackets"},
        {"[fe80::1%no-such-link]:80", "no IPv6 address in the brackets"},
        {"[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd:eeee:ffff]:1",
         "no IPv6 address in the brackets"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct listen_address address;
        char why[512] = "";
        int err = listener_address(&address, "tls_listen", rows[i][0], why, sizeof why);
        assert_int_equal(err, -EINVAL);
        assert_memory_equal(why, "tls_listen = ", 13);
        if (!strstr(why, rows[i][1]))
            fail_msg("%s: not said: %s", why, rows[i][1]);
    }
}

static void loopback_is_this_machine_alone(void **state)
{
    static const struct {
        const char *text;
        bool is;
    } rows[] = {
        {"127.0.0.1:0", true},           {"127.9.8.7:80", true}, {"[::1]:80", true},
        {"[::ffff:127.0.0.1]:80", true}, {"0.0.0.0:80", false},  {"[::]:80", false},
        {"128.0.0.1:80", false},         {"[::2]:80", false},    {"[fe80::1%lo]:80", false},
        {"[2001:db8::7]:80", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct listen_address address;
        char why[256] = "";
        assert_int_equal(listener_address(&address, "listen", rows[i].text, why, sizeof why), 0);
        assert_int_equal(listener_is_loopback(&address), rows[i].is);
    }
}

/* The kernel counts SYN-ACKs, and tells the time of so many: no less than was asked for. */
static int deferred_s(int fd)
{
    int seconds = -1;
    socklen_t size = sizeof seconds;
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, &size), 0);
    return seconds;
}

static void accepts_are_put_off_as_long_as_settings_say(void **state)
{
    (void)state;
    struct settings settings;
    struct listen_address address;
    char why[256] = "";
    settings_default(&settings);
    settings.defer_accept_s = 5;
    assert_int_equal(listener_address(&address, "listen", "127.0.0.1:0", why, sizeof why), 0);
    address.backlog = 16;
    int fd = listener_open(&address, true, &settings, why, sizeof why);
    assert_true(fd >= 0);
    assert_in_range(deferred_s(fd), 5, 10);
    settings.defer_accept_s = 0;
    assert_int_equal(listener_adopt(fd, &address, &settings), 0);
    assert_int_equal(deferred_s(fd), 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_named_as_in_a_url),
        cmocka_unit_test(what_is_none_is_told_what_would_be),
        cmocka_unit_test(loopback_is_this_machine_alone),
        cmocka_unit_test(accepts_are_put_off_as_long_as_settings_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
