/* The orders that a node missed are read to the end, whatever JetStream says between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "broker/nats_internal.h"

/* Its link takes no byte: what it says is of no interest. */
static void hear_at(struct nats *nats, const char *subject, const char *json)
{
    natsMsg *message = NULL;
    natsStatus status = natsMsg_Create(&message, subject, NULL, json, (int)strlen(json));
    assert_int_equal(status, NATS_OK);
    assert_true(nats_nodes_come(nats, message));
    natsMsg_Destroy(message);
}

static void hear(struct nats *nats, const char *json)
{
    hear_at(nats, "inbox.0000000000000000.o", json);
}

static void test_orders_are_read_to_the_end(void **state)
{
    (void)state;
    struct nats *nats = calloc(1, sizeof *nats);
    assert_non_null(nats);
    memcpy(nats->link.inbox, "inbox", 6);
    memcpy(nats->config.address.prefix, "r", 2);
    hear(nats, "{\"message\":{\"seq\":5,\"data\":\"eA==\"}}");
    assert_true(nats->nodes.orders_at == 5 && !nats->nodes.orders_read);
    /* Twice, as it was asked for twice; and not now. */
    hear(nats, "{\"message\":{\"seq\":5,\"data\":\"eA==\"}}");
    assert_false(nats->nodes.orders_read);
    hear(nats, "{\"error\":{\"code\":503,\"err_code\":10008}}");
    hear(nats, "");
    assert_true(!nats->nodes.orders_read && !nats->nodes.orders_known);
    hear(nats, "{\"message\":{\"seq\":9,\"data\":\"eA==\"}}");
    assert_true(nats->nodes.orders_at == 9 && !nats->nodes.orders_read);
    hear(nats, "{\"error\":{\"code\":404,\"err_code\":10037}}");
    assert_true(nats->nodes.orders_read && nats->nodes.orders_known);
    free(nats);
}

static void hear_of_stream(struct nats *nats, const char *json)
{
    nats->nodes.orders_at = 7;
    atomic_store(&nats->link.lost, false);
    hear_at(nats, "inbox.0000000000000000.i", json);
}

/* The first that is seen is the one; behind another, or none, nothing that was known counts. */
static void test_a_stream_that_is_made_anew(void **state)
{
    (void)state;
    struct nats *nats = calloc(1, sizeof *nats);
    assert_true(nats && nats_link_init(&nats->link) == 0);
    memcpy(nats->link.inbox, "inbox", 6);
    memcpy(nats->config.address.prefix, "r", 2);
    for (unsigned i = 0; i < 2; i++) {
        hear_of_stream(nats, "{\"created\":\"1\",\"state\":{}}");
        hear_of_stream(nats, "{\"error\":{\"code\":503,\"err_code\":10008}}");
        hear_of_stream(nats, "");
        assert_true(nats->nodes.orders_at == 7 && !atomic_load(&nats->link.lost));
    }
    hear_of_stream(nats, "{\"created\":\"2\",\"state\":{}}");
    assert_true(nats->nodes.orders_at == 0 && atomic_load(&nats->link.lost));
    hear_of_stream(nats, "{\"created\":\"2\",\"state\":{}}");
    assert_true(nats->nodes.orders_at == 7 && !atomic_load(&nats->link.lost));
    hear_of_stream(nats, "{\"error\":{\"code\":404,\"err_code\":10059}}");
    assert_true(nats->nodes.orders_at == 0 && atomic_load(&nats->link.lost));
    hear_of_stream(nats, "{\"created\":\"3\",\"state\":{}}");
    assert_true(nats->nodes.orders_at == 7 && !atomic_load(&nats->link.lost));
    assert_int_equal(atomic_load(&nats->counters.replaced), 2);
    nats_link_done(&nats->link);
    free(nats);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders_are_read_to_the_end),
        cmocka_unit_test(test_a_stream_that_is_made_anew),
    };
    if (nats_Open(-1) != NATS_OK)
        return EXIT_FAILURE;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    nats_Close();
    return failed;
}
