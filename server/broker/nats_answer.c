#include "broker/nats_answer.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <xxhash.h>

#include "wire/base64.h"

static int number(const json_t *object, const char *name, json_int_t most, json_int_t *ret)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > most)
        return -EPROTO;
    *ret = json_integer_value(value);
    return 0;
}

static int error_read(struct nats_answer *ret, const json_t *error)
{
    json_int_t code, err_code = 0;
    if (number(error, "code", INT_MAX, &code) < 0 || code == 0)
        return -EPROTO;
    (void)number(error, "err_code", INT_MAX, &err_code);
    ret->code = (int)code;
    ret->err_code = (int)err_code;
    return 0;
}

static int data_read(struct nats_answer *ret, const json_t *message)
{
    const json_t *data = json_object_get(message, "data");
    if (!data)
        return 0; /* an empty one */
    if (!json_is_string(data))
        return -EPROTO;
    size_t size = json_string_length(data);
    ret->data = malloc(size + 1);
    if (!ret->data)
        return -ENOMEM;
    int len = base64_decode(ret->data, size, span_of(json_string_value(data), size));
    if (len < 0) {
        free(ret->data);
        ret->data = NULL;
        return -EPROTO;
    }
    ret->len = (size_t)len;
    return 0;
}

static int read(struct nats_answer *ret, const json_t *root)
{
    const json_t *error = json_object_get(root, "error");
    const json_t *message = json_object_get(root, "message");
    json_int_t seq;
    if (error)
        return error_read(ret, error);
    if (number(message ? message : root, "seq", LLONG_MAX, &seq) < 0 || seq == 0)
        return -EPROTO;
    ret->seq = (uint64_t)seq;
    return message ? data_read(ret, message) : 0;
}

int nats_answer_read(struct nats_answer *ret, struct span json)
{
    json_t *root = json.len > 0 ? json_loadb(json.ptr, json.len, JSON_ALLOW_NUL, NULL) : NULL;
    *ret = (struct nats_answer){0};
    int err = json_is_object(root) ? read(ret, root) : -EPROTO;
    json_decref(root);
    return err;
}

static int stream_read(uint64_t *ret, const json_t *root)
{
    const json_t *error = json_object_get(root, "error");
    const json_t *created = json_object_get(root, "created");
    struct nats_answer said = {0};
    if (error && error_read(&said, error) == 0 && said.err_code == NATS_NO_STREAM)
        return -ENOENT;
    if (error || !json_is_string(created) || !json_is_object(json_object_get(root, "state")))
        return -EPROTO;
    *ret = XXH3_64bits(json_string_value(created), json_string_length(created)) | 1;
    return 0;
}

int nats_stream_read(uint64_t *ret, struct span json)
{
    json_t *root = json.len > 0 ? json_loadb(json.ptr, json.len, JSON_ALLOW_NUL, NULL) : NULL;
    int err = json_is_object(root) ? stream_read(ret, root) : -EPROTO;
    json_decref(root);
    return err;
}
