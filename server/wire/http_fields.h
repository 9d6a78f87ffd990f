/* http_fields: what request and response heads have in common. Internal to wire/.
 *
 * Threads  any.
 * Memory   fields are spans into the head. */
#pragma once

#include "wire/http.h"

/* Where the head at the start of `buf` ends, or why it cannot: HTTP_ERROR_TARGET_LONG or
 * HTTP_ERROR_HEAD_LONG when `head_max` does not hold it. 0: not yet. */
int http_head_measure(const char *buf, size_t len, size_t scanned, size_t head_max);

/* Takes one line off the front of `head`, without its CRLF. False: it does not end in CRLF. */
bool http_line_next(struct span *head, struct span *ret_line);

/* Reads "HTTP/1.x". Returns 0, HTTP_ERROR_VERSION or HTTP_ERROR_VERSION_MAJOR. */
int http_version_parse(struct span text, uint8_t *ret_minor);

/* Parses the field lines up to and including the empty one, which ends `head`, and works out
 * framing and persistence. minor_version must be set. Returns 0 or an enum http_error. */
int http_fields_parse(struct http_fields *fields, struct span head);

/* Reads what fields that were received one by one say of the body; returns 0 or an enum http_error.
 */
int http_fields_read(struct http_fields *fields);
