#include <pthread.h>

#include "tls_test.h"

static struct tls_session session_of(uint32_t number)
{
    struct tls_session session = {.suite = (uint16_t)number};
    for (size_t i = 0; i < sizeof session.id; i++)
        session.id[i] = (uint8_t)(number * 0x9e3779b1U >> (i % 4 * 8));
    memcpy(session.id + 4, &number, sizeof number);
    for (size_t i = 0; i < sizeof session.secret; i++)
        session.secret[i] = (uint8_t)(number + i);
    return session;
}

static bool remembered(struct tls_sessions *sessions, uint32_t number, int64_t now_s)
{
    struct tls_session expected = session_of(number), found = {.suite = 0};
    memcpy(found.id, expected.id, sizeof found.id);
    if (!tls_sessions_load(sessions, &found, now_s))
        return false;
    assert_memory_equal(found.secret, expected.secret, sizeof found.secret);
    assert_int_equal(found.suite, expected.suite);
    return true;
}

static void test_remembers(void **state)
{
    (void)state;
    struct tls_sessions *sessions = tls_sessions_create(64, 10);
    struct tls_session session = session_of(7);
    assert_false(remembered(sessions, 7, 100));
    assert_true(tls_sessions_save(sessions, &session, 100));
    assert_true(remembered(sessions, 7, 109));
    assert_false(remembered(sessions, 7, 110));
    assert_false(remembered(sessions, 8, 100));
    session.name = 1; /* of another server */
    assert_false(tls_sessions_load(sessions, &session, 100));
    tls_sessions_free(sessions);
}

/* What is new pushes out what expires first; the table never holds more than it has slots. */
static void test_bounded(void **state)
{
    (void)state;
    struct tls_sessions *sessions = tls_sessions_create(64, 1000);
    for (uint32_t i = 0; i < 1000; i++) {
        struct tls_session session = session_of(i);
        assert_true(tls_sessions_save(sessions, &session, i));
        assert_true(remembered(sessions, i, i));
    }
    unsigned count = 0;
    for (uint32_t i = 0; i < 1000; i++)
        count += remembered(sessions, i, 500);
    assert_in_range(count, 32, 64);
    tls_sessions_free(sessions);
}

struct worker {
    pthread_t thread;
    struct tls_sessions *sessions;
    uint32_t first;
    unsigned found;
};

/* Each thread saves its own and looks for everybody's: whatever it finds is whole. */
static void *work(void *context)
{
    struct worker *worker = context;
    for (uint32_t i = 0; i < 4000; i++) {
        struct tls_session session = session_of((worker->first + i) % 24);
        tls_sessions_save(worker->sessions, &session, i);
        worker->found += remembered(worker->sessions, (i * 7) % 24, i);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct tls_sessions *sessions = tls_sessions_create(8, 1000);
    struct worker workers[4];
    for (uint32_t i = 0; i < COUNT_OF(workers); i++) {
        workers[i] = (struct worker){.sessions = sessions, .first = i};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < COUNT_OF(workers); i++) {
        pthread_join(workers[i].thread, NULL);
        assert_true(workers[i].found > 0);
    }
    tls_sessions_free(sessions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_remembers),
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
