/* nats_answer: what JetStream answers, as JSON: to a publish, and to who asks for what is stored.
 *
 *   {"stream":"ringside","seq":7}            {"message":{"seq":7,"data":"…base64…"}}
 *   {"error":{"code":400,"err_code":10071}}  {"created":"2026-…","state":{…}}
 *
 * Threads  any.
 * Memory   `data` is the caller's to free. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "wire/span.h"

enum nats_error {
    NATS_WRONG_SEQUENCE = 10071, /* somebody else has published to the subject meanwhile */
    NATS_NOTHING_FOUND = 10037,
    NATS_NO_STREAM = 10059,
};

struct nats_answer {
    int code, err_code; /* 0: no error */
    uint64_t seq;
    char *data; /* NULL: it has none */
    size_t len;
};

/* Returns 0; -EPROTO: it is no answer; or -ENOMEM. */
int nats_answer_read(struct nats_answer *ret, struct span json);
/* What a stream is told from the one before it by, of the same name: never 0. Returns 0; -ENOENT:
 * there is none; or -EPROTO: it is no answer, or another error. */
int nats_stream_read(uint64_t *ret, struct span json);
