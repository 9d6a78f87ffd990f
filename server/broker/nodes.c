#include "broker/nodes.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/encoding.h"
#include "hub/helper.h"
#include "hub/hub.h"

/* ---- questions ---- */

struct nodes_ask *nodes_ask_create(enum nodes_kind kind, uint64_t to, struct span text)
{
    struct nodes_ask *ask = malloc(sizeof *ask + text.len);
    if (!ask)
        return NULL;
    *ask = (struct nodes_ask){.kind = kind, .to = to, .len = text.len};
    if (text.len > 0)
        memcpy(ask->text, text.ptr, text.len);
    return ask;
}

void nodes_ask_free(struct nodes_ask *ask)
{
    struct nodes_answer *next;
    if (!ask)
        return;
    for (struct nodes_answer *answer = ask->answers; answer; answer = next) {
        next = answer->next;
        free(answer);
    }
    free(ask);
}

static void ask_run(void *broker, struct call *call)
{
    struct nodes_ask *ask = (struct nodes_ask *)call;
    broker_question(broker, ask);
}

static void ask_done(void *shard, struct call *call)
{
    struct nodes_ask *ask = (struct nodes_ask *)call;
    ask->done(shard, ask);
}

static void ask_drop(struct call *call)
{
    struct nodes_ask *ask = (struct nodes_ask *)call;
    if (ask->drop)
        ask->drop(ask->context);
    nodes_ask_free(ask);
}

static const struct call_ops ask_ops = {.run = ask_run, .done = ask_done, .drop = ask_drop};

int nodes_send(struct hub *hub, const struct hub_set *set, struct nodes_ask *ask)
{
    ask->call.ops = &ask_ops;
    return ask->len <= NODES_TEXT_MAX ? hub_call(hub, helper_participant(set, 0), &ask->call)
                                      : -ENOBUFS;
}

int nodes_send_by(struct helper *helper, const struct hub_set *set, struct nodes_ask *ask)
{
    ask->call.ops = &ask_ops;
    return helper_call(helper, helper_participant(set, 0), &ask->call);
}

int nodes_answer_add(struct nodes_ask *ask, int err, struct span text)
{
    if (ask->bytes + text.len > NODES_ANSWERS_MAX)
        return -E2BIG;
    struct nodes_answer *answer = malloc(sizeof *answer + text.len);
    if (!answer)
        return -ENOMEM;
    *answer = (struct nodes_answer){.next = ask->answers, .err = err, .len = text.len};
    if (text.len > 0)
        memcpy(answer->text, text.ptr, text.len);
    ask->answers = answer;
    ask->bytes += text.len;
    if (ask->call.err == 0)
        ask->call.err = err;
    return 0;
}

/* ---- what is heard ---- */

struct nodes_heard *nodes_heard_create(enum nodes_kind kind, uint64_t from, uint64_t id,
                                       struct span text)
{
    struct nodes_heard *heard = malloc(sizeof *heard + text.len);
    if (!heard)
        return NULL;
    *heard = (struct nodes_heard){.kind = kind, .from = from, .id = id, .len = text.len};
    if (text.len > 0)
        memcpy(heard->text, text.ptr, text.len);
    return heard;
}

void nodes_heard_free(struct nodes_heard *heard)
{
    if (heard)
        free(heard->answer);
    free(heard);
}

void nodes_reply(struct hub *hub, struct nodes_heard *heard, int err, struct span text)
{
    assert(!heard->answer);
    if (text.len > 0) {
        heard->answer = malloc(text.len);
        if (heard->answer)
            memcpy(heard->answer, text.ptr, text.len);
        else
            err = -ENOMEM;
        heard->answer_len = heard->answer ? text.len : 0;
    }
    heard->call.err = err;
    hub_answer(hub, &heard->call);
}

/* ---- what goes over the engine ---- */

/* How it went: what more than one side knows what to do with. */
static const struct {
    char letter;
    int err;
} outcomes[] = {
    {'0', 0},        {'n', -ENOENT}, {'a', -EAGAIN}, {'b', -E2BIG},
    {'f', -ENOBUFS}, {'s', -ENOSPC}, {'m', -ENOMEM},
};

static char letter_of(int err)
{
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++)
        if (outcomes[i].err == err)
            return outcomes[i].letter;
    return 'm';
}

static bool outcome_read(int *ret, char letter)
{
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++) {
        if (outcomes[i].letter == letter) {
            *ret = outcomes[i].err;
            return true;
        }
    }
    return false;
}

static bool kind_read(enum nodes_kind *ret, char letter)
{
    static const char letters[] = {
#define NODES_LETTER(NAME, letter) (letter),
        NODES_KINDS(NODES_LETTER)
#undef NODES_LETTER
    };
    if (!memchr(letters, letter, sizeof letters))
        return false;
    *ret = (enum nodes_kind)letter;
    return true;
}

static void number_write(char *at, uint64_t number)
{
    for (unsigned i = 0; i < NODES_NUMBER_BYTES; i++)
        at[i] = "0123456789abcdef"[number >> (60 - 4 * i) & 15];
}

void nodes_head_write(char ret[NODES_HEAD_BYTES], const struct nodes_said *said)
{
    ret[0] = said->is_answer ? 'A' : 'Q';
    number_write(ret + 1, said->from);
    number_write(ret + 1 + NODES_NUMBER_BYTES, said->id);
    ret[NODES_HEAD_BYTES - 1] = said->is_answer ? letter_of(said->err) : (char)said->kind;
}

int nodes_said_read(struct nodes_said *ret, struct span bytes)
{
    struct nodes_said said = {0};
    if (bytes.len < NODES_HEAD_BYTES || (bytes.ptr[0] != 'A' && bytes.ptr[0] != 'Q'))
        return -EINVAL;
    said.is_answer = bytes.ptr[0] == 'A';
    char last = bytes.ptr[NODES_HEAD_BYTES - 1];
    if (encoding_epoch(&said.from, span_of(bytes.ptr + 1, NODES_NUMBER_BYTES)) < 0 ||
        encoding_epoch(&said.id, span_of(bytes.ptr + 1 + NODES_NUMBER_BYTES, NODES_NUMBER_BYTES)) <
            0)
        return -EINVAL;
    if (said.is_answer ? !outcome_read(&said.err, last) : !kind_read(&said.kind, last))
        return -EINVAL;
    said.text = span_skip(bytes, NODES_HEAD_BYTES);
    if (said.text.len > NODES_TEXT_MAX)
        return -EINVAL;
    *ret = said;
    return 0;
}
