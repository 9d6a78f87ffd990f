#include "tls/pem.h"

#include <bearssl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    struct pem *pem;
    br_pem_decoder_context decoder;
    bool inside;
    int err;
};

static void append(void *context, const void *bytes, size_t len)
{
    struct reader *reader = context;
    struct pem_object *object = &reader->pem->objects[reader->pem->count - 1];
    if (object->len + len > object->size) {
        size_t size = 2 * (object->len + len) + 1024;
        unsigned char *bigger = malloc(size);
        if (!bigger) {
            reader->err = -ENOMEM;
            return;
        }
        if (object->len > 0) {
            memcpy(bigger, object->bytes, object->len);
            explicit_bzero(object->bytes, object->len);
        }
        free(object->bytes);
        object->bytes = bigger;
        object->size = size;
    }
    memcpy(object->bytes + object->len, bytes, len);
    object->len += len;
}

static void begin(struct reader *reader)
{
    if (reader->pem->count == PEM_OBJECTS_MAX) {
        reader->err = -E2BIG;
        return;
    }
    struct pem_object *object = &reader->pem->objects[reader->pem->count++];
    snprintf(object->name, sizeof object->name, "%s", br_pem_decoder_name(&reader->decoder));
    br_pem_decoder_setdest(&reader->decoder, append, reader);
    reader->inside = true;
}

static void event(struct reader *reader)
{
    switch (br_pem_decoder_event(&reader->decoder)) {
    case BR_PEM_BEGIN_OBJ:
        begin(reader);
        break;
    case BR_PEM_END_OBJ:
        reader->inside = false;
        break;
    case BR_PEM_ERROR:
        reader->err = -EINVAL;
        break;
    default:
        break;
    }
}

static void push(struct reader *reader, const char *text, size_t len)
{
    while (len > 0 && reader->err == 0) {
        size_t used = br_pem_decoder_push(&reader->decoder, text, len);
        text += used;
        len -= used;
        event(reader);
    }
}

int pem_read(struct pem *ret, const char *text, size_t len)
{
    struct reader reader = {.pem = ret};
    memset(ret, 0, sizeof *ret);
    br_pem_decoder_init(&reader.decoder);
    push(&reader, text, len);
    /* The decoder only sees an end line that is ended itself. */
    push(&reader, "\n", 1);
    int err = reader.err == 0 && reader.inside ? -EINVAL : reader.err;
    explicit_bzero(&reader.decoder, sizeof reader.decoder);
    if (err < 0)
        pem_free(ret);
    return err;
}

void pem_free(struct pem *pem)
{
    for (size_t i = 0; i < pem->count; i++) {
        if (pem->objects[i].len > 0)
            explicit_bzero(pem->objects[i].bytes, pem->objects[i].len);
        free(pem->objects[i].bytes);
    }
    memset(pem, 0, sizeof *pem);
}
