#include "transport/answering.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "core/message.h"
#include "transport/cacheable.h"
#include "transport/encoder.h"
#include "transport/transports.h"

#define CONTENT_TYPE SPAN("application/json")

struct answering {
    struct answering *prev, *next; /* in the shard's list; prev NULL: does not wait */
    uint32_t slot;
    bool whole; /* one frame, with its length */
    bool begun; /* its head is written */
    struct json_cursor cursor;
    struct json_answer answer; /* of what follows */
    struct message **messages; /* behind the positions */
    struct position positions[];
};
static_assert((int)ANSWER_PIECE_BYTES <= (int)HTTP_PIECE_MAX, "a chunk");
static_assert(HTTP_ANSWER_HEAD_MAX + ANSWER_PIECE_BYTES + HTTP_PIECE_FRAMING_MAX <= BLOCK_BYTES,
              "a block");

/* ---- making and freeing ---- */

static uint64_t weight_of(const struct json_answer *answer)
{
    uint64_t weight = 0;
    for (unsigned i = 0; i < answer->message_count; i++)
        weight += json_weight(answer->messages[i]);
    return weight;
}

static struct answering *answering_of(const struct conn *conn)
{
    return conn->extra ? conn->extra->transport_state : NULL;
}

static struct answering *create(const struct json_answer *answer)
{
    size_t positions = answer->position_count * sizeof *answer->positions;
    size_t messages = answer->message_count * sizeof(struct message *);
    struct answering *answering = calloc(1, sizeof *answering + positions + messages);
    if (!answering)
        return NULL;
    memcpy(answering->positions, answer->positions, positions);
    answering->messages = (void *)(answering->positions + answer->position_count);
    for (unsigned i = 0; i < answer->message_count; i++)
        answering->messages[i] = message_ref(answer->messages[i]);
    answering->answer = *answer;
    answering->answer.positions = answering->positions;
    answering->answer.messages = answering->messages;
    return answering;
}

static void unlink_answer(struct shard *shard, struct answering *answering)
{
    DL_DELETE(shard->answers, answering);
    answering->prev = NULL;
}

static void end(struct shard *shard, struct conn *conn)
{
    struct answering *answering = answering_of(conn);
    if (answering->prev)
        unlink_answer(shard, answering);
    for (unsigned i = 0; i < answering->answer.message_count; i++)
        message_unref(answering->messages[i]);
    free(answering);
    conn->extra->transport_state = NULL;
    conn->extra->kept_bytes = 0;
    budget_clear(&shard->budgets[BUDGET_KEPT], &conn->extra->kept);
}

/* ---- writing ---- */

static void make_whole(struct shard *shard, struct conn *conn, const struct json_answer *answer)
{
    struct frame frame = encode_answer(shard, conn, answer);
    shard->answered_bytes += frame.len;
    if (frame.block)
        http_send(shard, conn, frame);
    else if (conn->state == CONN_OPEN)
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
}

static size_t head_write(struct shard *shard, struct conn *conn, const struct json_answer *answer,
                         char *area)
{
    char fields[CACHEABLE_FIELDS_MAX];
    size_t len = cacheable_fields(shard, conn, answer, fields);
    return http_pieces_head(shard, conn, area, HTTP_ANSWER_HEAD_MAX, CONTENT_TYPE,
                            span_of(fields, len));
}

/* Returns whether it is the last. */
static bool make_piece(struct shard *shard, struct conn *conn, struct answering *answering)
{
    const size_t room = HTTP_ANSWER_HEAD_MAX + ANSWER_PIECE_BYTES + HTTP_PIECE_FRAMING_MAX;
    char *area = blocks_reserve(&shard->blocks, room);
    struct frame frame = {0};
    bool last = conn->asked & ASKED_HEAD_ONLY;
    if (area) {
        size_t len = answering->begun ? 0 : head_write(shard, conn, &answering->answer, area);
        if (conn->state != CONN_OPEN)
            return true; /* no memory for the head of a stream */
        if (!last) {
            size_t body = json_answer_next(&answering->answer, &answering->cursor,
                                           area + len + HTTP_PIECE_GAP, ANSWER_PIECE_BYTES);
            last = json_answer_ended(&answering->answer, &answering->cursor);
            len += http_piece_frame(conn, area + len, body, last);
        }
        frame = blocks_commit(&shard->blocks, len);
    }
    answering->begun = true;
    shard->answered_bytes += frame.len;
    http_send(shard, conn, frame);
    return last;
}

/* ---- whose turn it is ---- */

static void wait(struct shard *shard, struct answering *answering)
{
    DL_APPEND(shard->answers, answering);
}

/* What is there of it may end the connection, or be the last. */
static void go_on(struct shard *shard, struct conn *conn, struct answering *answering)
{
    bool last = true;
    if (answering->whole)
        make_whole(shard, conn, &answering->answer);
    else
        last = make_piece(shard, conn, answering);
    if (conn->state != CONN_OPEN)
        return;
    if (!last) {
        conn->link |= LINK_CATCHES_UP;
        return;
    }
    end(shard, conn);
    http_next(shard, conn);
}

void answering_turn(struct shard *shard)
{
    shard->answered_bytes = 0;
    while (shard->answers && shard->answered_bytes < ANSWERS_TURN_BYTES) {
        struct answering *answering = shard->answers;
        struct conn *conn = conn_at(shard, answering->slot);
        unlink_answer(shard, answering);
        if (conn->state == CONN_OPEN)
            go_on(shard, conn, answering);
    }
    shard->answered_bytes = 0;
}

bool answering_begin(struct shard *shard, struct conn *conn, const struct json_answer *answer)
{
    uint64_t weight = weight_of(answer);
    bool whole = weight <= ANSWER_WHOLE_WEIGHT;
    if (answer->message_count == 0)
        counter_add(&shard->counters.responses_empty, 1);
    if (weight == 0 || (whole && shard->answered_bytes < ANSWERS_AT_ONCE_BYTES)) {
        make_whole(shard, conn, answer);
        return true;
    }
    budgets_relieve(shard, BUDGET_KEPT);
    struct conn_extra *extra = conn_extra(conn);
    struct answering *answering = extra ? create(answer) : NULL;
    if (!answering) {
        http_refuse(shard, conn, REFUSAL_OVERLOADED);
        return true;
    }
    answering->slot = conn_slot(shard, conn);
    answering->whole = whole;
    extra->transport_state = answering;
    extra->state_bytes = 0; /* charged with the messages */
    extra->kept_bytes = weight;
    conn_hand_over(conn, TRANSPORT_ANSWER);
    wait(shard, answering);
    return false;
}

/* ---- the transport ---- */

/* What was queued before the answer has left, or a piece of it: its next one waits for its turn. */
static void answer_drained(struct shard *shard, struct conn *conn)
{
    struct answering *answering = answering_of(conn);
    bool next = conn->link & LINK_CATCHES_UP;
    conn->link &= ~(uint32_t)LINK_CATCHES_UP;
    if (next)
        wait(shard, answering);
}

static bool answer_input_ended(struct shard *shard, struct conn *conn)
{
    (void)shard, (void)conn;
    return true;
}

static void answer_closed(struct shard *shard, struct conn *conn)
{
    conn->link &= ~(uint32_t)LINK_CATCHES_UP;
    end(shard, conn);
}

const struct transport answer_transport = {
    .name = "answer",
    .input = http_stash,
    .input_ended = answer_input_ended,
    .drained = answer_drained,
    .drain = http_drain,
    .closed = answer_closed,
};
