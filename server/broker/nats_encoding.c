#include "broker/nats_encoding.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/encoding.h"
#include "hub/hub.h"

enum {
    EPOCH_DIGITS = 16,
};

/* ---- subjects ---- */

static bool plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

size_t nats_subject_write(char ret[NATS_SUBJECT_MAX], const char *prefix, enum nats_subject kind,
                          struct span name)
{
    static const char digits[] = "0123456789ABCDEF";
    assert(name.len <= NATS_NAME_MAX);
    size_t len = (size_t)snprintf(ret, NATS_SUBJECT_MAX, "%s.%c.", prefix, (char)kind);
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (plain((char)c)) {
            ret[len++] = (char)c;
            continue;
        }
        ret[len++] = '%';
        ret[len++] = digits[c >> 4];
        ret[len++] = digits[c & 15];
    }
    ret[len] = '\0';
    return len;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

size_t nats_subject_read(char ret[NATS_NAME_MAX], const char *prefix, enum nats_subject kind,
                         struct span subject)
{
    size_t head = strlen(prefix), len = 0;
    if (subject.len <= head + 3 || memcmp(subject.ptr, prefix, head) != 0 ||
        subject.ptr[head] != '.' || subject.ptr[head + 1] != (char)kind ||
        subject.ptr[head + 2] != '.')
        return 0;
    struct span token = span_skip(subject, head + 3);
    for (size_t i = 0; i < token.len; i++) {
        char c = token.ptr[i];
        if (len == NATS_NAME_MAX)
            return 0;
        if (c == '%') {
            int high = token.len - i > 2 ? digit(token.ptr[i + 1]) : -1;
            int low = token.len - i > 2 ? digit(token.ptr[i + 2]) : -1;
            if (high < 0 || low < 0 || plain((char)(high << 4 | low)))
                return 0; /* a name has one subject */
            c = (char)(high << 4 | low);
            i += 2;
        } else if (!plain(c)) {
            return 0;
        }
        ret[len++] = c;
    }
    return hub_name_valid(ret, len) ? len : 0;
}

/* ---- batches ---- */

size_t nats_batch_write(char ret[NATS_BATCH_HEAD], const struct nats_batch *batch)
{
    return (size_t)snprintf(ret, NATS_BATCH_HEAD, "%016" PRIx64 " %016" PRIx64 " %" PRIu64 "\n",
                            batch->run, batch->epoch, batch->offset);
}

int nats_batch_read(struct nats_batch *ret, struct span bytes)
{
    struct nats_batch read;
    const size_t at = 2 * (EPOCH_DIGITS + 1);
    size_t most = bytes.len < NATS_BATCH_HEAD ? bytes.len : NATS_BATCH_HEAD;
    const char *end = most > at ? memchr(bytes.ptr + at, '\n', most - at) : NULL;
    if (!end || bytes.ptr[EPOCH_DIGITS] != ' ' || bytes.ptr[at - 1] != ' ' ||
        encoding_epoch(&read.run, span_of(bytes.ptr, EPOCH_DIGITS)) < 0 ||
        encoding_epoch(&read.epoch, span_of(bytes.ptr + EPOCH_DIGITS + 1, EPOCH_DIGITS)) < 0 ||
        encoding_number(&read.offset, span_of(bytes.ptr + at, (size_t)(end - bytes.ptr) - at)) < 0)
        return -EINVAL;
    read.items = span_skip(bytes, (size_t)(end - bytes.ptr) + 1);
    *ret = read;
    return 0;
}
