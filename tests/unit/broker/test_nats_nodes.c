/* The orders that a node missed are read to the end, whatever JetStream says between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "broker/nats_internal.h"

/* Its link takes no byte: what it says is of no interest. */
static void hear(struct nats *nats, const char *json)
{
    natsMsg *message = NULL;
    natsStatus status =
        natsMsg_Create(&message, "inbox.0000000000000000.o", NULL, json, (int)strlen(json));
    assert_int_equal(status, NATS_OK);
    assert_true(nats_nodes_come(nats, message));
    natsMsg_Destroy(message);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orders_are_read_to_the_end),
    };
    if (nats_Open(-1) != NATS_OK)
        return EXIT_FAILURE;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    nats_Close();
    return failed;
}
