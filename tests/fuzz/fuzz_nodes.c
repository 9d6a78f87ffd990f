/* What other nodes say: what is read of it is within its bounds, is written as it was, and is JSON
 * in one line where it is told on. */
#include <stdlib.h>
#include <string.h>

#include "broker/nodes.h"
#include "fuzz.h"
#include "session/order_text.h"
#include "session/presence_nodes.h"
#include "wire/json_scan.h"
#include "wire/ws.h"

static void saying(struct span input)
{
    struct nodes_said said;
    char head[NODES_HEAD_BYTES];
    if (nodes_said_read(&said, input) < 0)
        return;
    assert(said.from != 0 && said.id != 0 && said.err <= 0);
    assert(said.text.ptr + said.text.len == input.ptr + input.len);
    nodes_head_write(head, &said);
    assert(span_equal(span_of(head, sizeof head), span_of(input.ptr, sizeof head)));
}

static void order(struct span input)
{
    struct order order, again;
    if (order_text_read(&order, input) < 0)
        return;
    assert(order.user.len > 0 || order.client.len > 0);
    assert(order.reason.len <= WS_REASON_MAX);
    size_t room = order_text_room(&order);
    char *text = malloc(room);
    size_t len = order_text_write(text, &order);
    assert(len <= room && order_text_read(&again, span_of(text, len)) == 0);
    assert(again.kind == order.kind && again.code == order.code && again.ends_s == order.ends_s);
    assert(span_equal(again.user, order.user) && span_equal(again.keep, order.keep));
    free(text);
}

static void presence(struct span input, bool stats)
{
    struct nodes_ask *ask = nodes_ask_create(NODES_PRESENCE, 0, SPAN("c"));
    size_t half = input.len / 2;
    char *list = NULL;
    struct presence_answer answer = {.stats = stats};
    assert(nodes_answer_add(ask, 0, span_of(input.ptr, half)) == 0);
    assert(nodes_answer_add(ask, 0, span_skip(input, half)) == 0);
    assert(nodes_answer_add(ask, 0, input) == 0);
    assert(presence_nodes_add(&answer, &list, ask) == 0);
    size_t room = presence_result_room(&answer);
    char *result = malloc(room);
    struct out out = out_begin(result, room);
    presence_result_write(&out, &answer);
    struct span text = span_of(result, (size_t)out_end(&out));
    assert(json_valid(text) && !memchr(text.ptr, '\n', text.len));
    free(result);
    free(list);
    nodes_ask_free(ask);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_input(data, size);
    saying(input);
    order(input);
    presence(input, false);
    presence(input, true);
    return 0;
}
