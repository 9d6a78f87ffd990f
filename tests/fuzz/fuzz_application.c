#include <stdlib.h>

#include "fuzz.h"
#include "wire/application.h"
#include "wire/json_scan.h"

static void inside(struct span part, struct span answer)
{
    assert(part.len == 0 ||
           (part.ptr >= answer.ptr && part.ptr + part.len <= answer.ptr + answer.len));
}

/* What is passed on as JSON is JSON. */
static void is_json(struct span part, struct span answer)
{
    inside(part, answer);
    assert(part.len == 0 || json_valid(part));
}

/* What a verdict gives can be asked with again, and is JSON then. */
static void ask(const struct verdict *verdict)
{
    const struct application_question question = {
        .client = SPAN("c"),
        .transport = SPAN("t"),
        .has_user = true,
        .user = verdict->b64info,
        .channel = verdict->user,
        .meta = verdict->meta,
        .data = verdict->data,
        .name = verdict->info,
        .method = verdict->tags,
    };
    size_t room = application_question_size(&question);
    char *area = malloc(room);
    assert(area);
    struct out out = out_begin(area, room);
    application_question_write(&out, &question);
    assert(!out.overflow && json_valid(span_of(area, (size_t)out_end(&out))));
    free(area);
}

/* An application's answer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span answer = fuzz_input(data, size);
    struct verdict verdict;
    if (verdict_read(&verdict, answer) < 0)
        return 0;
    assert(json_valid(answer));
    const struct span strings[] = {verdict.user,  verdict.b64info,         verdict.b64data,
                                   verdict.words, verdict.idempotency_key, verdict.version_epoch};
    const struct span jsons[] = {verdict.info,     verdict.data, verdict.meta,
                                 verdict.channels, verdict.subs, verdict.tags};
    for (size_t i = 0; i < sizeof strings / sizeof strings[0]; i++)
        inside(strings[i], answer);
    for (size_t i = 0; i < sizeof jsons / sizeof jsons[0]; i++)
        is_json(jsons[i], answer);
    assert(verdict.kind == VERDICT_RESULT || verdict.code > 0);
    assert(verdict.kind != VERDICT_DISCONNECT || verdict_code_is_good(verdict.code));
    assert(verdict.words.len <= APPLICATION_WORDS_MAX);
    ask(&verdict);
    return 0;
}
