#include <assert.h>

#include "wire/http.h"

static const struct {
    const char *name;
    int status;
} errors[HTTP_ERROR_COUNT] = {
    [-HTTP_ERROR_METHOD] = {"method", 400},
    [-HTTP_ERROR_TARGET] = {"target", 400},
    [-HTTP_ERROR_VERSION] = {"version", 400},
    [-HTTP_ERROR_VERSION_MAJOR] = {"version_major", 505},
    [-HTTP_ERROR_STATUS_LINE] = {"status_line", 400},
    [-HTTP_ERROR_LINE_END] = {"line_end", 400},
    [-HTTP_ERROR_FIELD_NAME] = {"field_name", 400},
    [-HTTP_ERROR_FIELD_VALUE] = {"field_value", 400},
    [-HTTP_ERROR_FIELD_FOLDED] = {"field_folded", 400},
    [-HTTP_ERROR_FIELDS_MANY] = {"fields_many", 431},
    [-HTTP_ERROR_TARGET_LONG] = {"target_long", 414},
    [-HTTP_ERROR_HEAD_LONG] = {"head_long", 431},
    [-HTTP_ERROR_HOST] = {"host", 400},
    [-HTTP_ERROR_CONTENT_LENGTH] = {"content_length", 400},
    [-HTTP_ERROR_TRANSFER_CODING] = {"transfer_coding", 501},
    [-HTTP_ERROR_FRAMING] = {"framing", 400},
    [-HTTP_ERROR_EXPECTATION] = {"expectation", 417},
    [-HTTP_ERROR_BODY_LONG] = {"body_long", 413},
    [-HTTP_ERROR_CHUNK_SIZE] = {"chunk_size", 400},
    [-HTTP_ERROR_CHUNK_EXTENSION] = {"chunk_extension", 400},
    [-HTTP_ERROR_CHUNK_END] = {"chunk_end", 400},
    [-HTTP_ERROR_TRAILER] = {"trailer", 400},
    [-HTTP_ERROR_BODY_SHORT] = {"body_short", 400},
    [-HTTP_ERROR_QUERY] = {"query", 400},
    [-HTTP_ERROR_QUERY_LONG] = {"query_long", 414},
};

const char *http_error_name(enum http_error error)
{
    assert(error < 0 && -error < HTTP_ERROR_COUNT);
    return errors[-error].name;
}

int http_error_status(enum http_error error)
{
    assert(error < 0 && -error < HTTP_ERROR_COUNT);
    return errors[-error].status;
}
