/* http: HTTP/1.1 messages, both directions (RFC 9110, RFC 9112, query strings as in WHATWG URL).
 *
 *   head   request-line | status-line CRLF  *( name ":" value CRLF )  CRLF
 *   body   Content-Length bytes  |  bytes until the connection ends
 *          |  *( hex-size CRLF bytes CRLF ) "0" CRLF trailers CRLF
 *
 * The parsers are strict: whatever two implementations could read in two ways is refused, because
 * such a message is how one request is smuggled inside another. Refused are bare CR and LF,
 * obsolete line folding, space before the colon, control characters, Content-Length together with
 * Transfer-Encoding, either of them twice, any transfer coding but `chunked`, and a missing or
 * second Host.
 *
 * Threads  any; nothing is shared.
 * Memory   nothing is allocated. Parsed structs hold spans into the caller's bytes.
 * Bounds   HTTP_FIELDS_MAX fields, the caller's head_max bytes per head and body_max per body;
 *          HTTP_CHUNK_EXTENSION_MAX bytes per chunk, HTTP_TRAILER_MAX bytes of trailers. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/span.h"

/* A browser sends 15 to 20 fields; a proxy in front adds a handful. */
#define HTTP_FIELDS_MAX 64
/* Longest chunk extension (';' to the CR), which we read past and ignore. */
#define HTTP_CHUNK_EXTENSION_MAX 256
/* All trailer bytes of one body together, which we check and ignore. */
#define HTTP_TRAILER_MAX 1024

/* ---- errors ---- */

/* Why a message was refused. Negative, so that it shares a return value with lengths and counts;
 * `-error` is an index below HTTP_ERROR_COUNT, for counters. */
enum http_error {
    HTTP_ERROR_METHOD = -1,           /* the method is not a token */
    HTTP_ERROR_TARGET = -2,           /* the request target has none of the four forms */
    HTTP_ERROR_VERSION = -3,          /* what stands for the version is not HTTP/d.d */
    HTTP_ERROR_VERSION_MAJOR = -4,    /* a version of HTTP other than 1.x */
    HTTP_ERROR_STATUS_LINE = -5,      /* status line without three digits, or a broken reason */
    HTTP_ERROR_LINE_END = -6,         /* bare CR or bare LF */
    HTTP_ERROR_FIELD_NAME = -7,       /* empty, not a token, or space before the colon */
    HTTP_ERROR_FIELD_VALUE = -8,      /* a control character in a value */
    HTTP_ERROR_FIELD_FOLDED = -9,     /* a line continued by leading white space */
    HTTP_ERROR_FIELDS_MANY = -10,     /* more than HTTP_FIELDS_MAX */
    HTTP_ERROR_TARGET_LONG = -11,     /* the first line alone exceeds head_max */
    HTTP_ERROR_HEAD_LONG = -12,       /* the head exceeds head_max */
    HTTP_ERROR_HOST = -13,            /* missing on HTTP/1.1, more than one, or malformed */
    HTTP_ERROR_CONTENT_LENGTH = -14,  /* not digits only, too large, or given twice */
    HTTP_ERROR_TRANSFER_CODING = -15, /* chunked behind another coding */
    HTTP_ERROR_FRAMING = -16, /* length and a coding, a coding on HTTP/1.0, or chunked not last */
    HTTP_ERROR_EXPECTATION = -17,     /* Expect is something other than 100-continue */
    HTTP_ERROR_BODY_LONG = -18,       /* the body exceeds body_max */
    HTTP_ERROR_CHUNK_SIZE = -19,      /* not hex digits, too many of them, or junk after them */
    HTTP_ERROR_CHUNK_EXTENSION = -20, /* a control character, or too long */
    HTTP_ERROR_CHUNK_END = -21,       /* no CRLF where the chunk's bytes end */
    HTTP_ERROR_TRAILER = -22,         /* a malformed trailer, or too many bytes of them */
    HTTP_ERROR_BODY_SHORT = -23,      /* the connection ended inside the body */
    HTTP_ERROR_QUERY = -24,           /* a broken percent escape */
    HTTP_ERROR_QUERY_LONG = -25,      /* the decoded query exceeds the caller's buffer */
};
#define HTTP_ERROR_COUNT 26

/* The error's name as it stands in metrics and logs: "content_length", ... */
const char *http_error_name(enum http_error error);
/* The status to answer it with: 400, 413, 414, 417, 431, 501 or 505. */
int http_error_status(enum http_error error);

/* ---- heads ---- */

enum http_method {
    HTTP_METHOD_OTHER, /* a token we have no name for: answer 501 */
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_CONNECT,
    HTTP_TRACE,
};

struct http_field {
    struct span name;
    struct span value; /* without surrounding white space */
};

/* What requests and responses have in common. */
struct http_fields {
    uint64_t content_length; /* 0 unless has_content_length */
    bool has_content_length;
    bool chunked;
    bool keep_alive;         /* from the version and Connection */
    bool connection_upgrade; /* Connection lists `upgrade`; never set on HTTP/1.0 */
    uint8_t minor_version;   /* 0, or 1 for 1.1 and whatever 1.x may come */
    uint16_t count;
    struct http_field list[HTTP_FIELDS_MAX];
};

struct http_request {
    enum http_method method;
    bool expect_continue; /* the client waits for `100 Continue` */
    struct span method_name;
    struct span target;   /* as it stands in the request line */
    struct span path;     /* "/..." without the query; "*" for OPTIONS *; empty for CONNECT */
    struct span query;    /* without the '?'; empty when there is none */
    struct span protocol; /* of an extended CONNECT (RFC 8441); empty: it is none */
    struct span host;     /* from an absolute target, else from Host; empty: none (1.0 only) */
    struct http_fields fields;
};

struct http_response {
    int status;
    struct span reason;
    struct http_fields fields;
};

/* How many bytes the head at the start of `buf` has, or 0 when its end has not come. `scanned` is
 * the `len` of the previous call on the same bytes (0 at first): a sender of single bytes costs
 * linear, not quadratic, work. Does not judge the head. */
size_t http_head_end(const char *buf, size_t len, size_t scanned);

/* Parses a request head at the start of `buf`.
 * Returns its length (one empty line before it is allowed and counted), 0 when more bytes are
 * needed, or an enum http_error. `ret` holds nothing useful unless the result is positive.
 * `scanned` as for http_head_end. `head_max` is at most INT_MAX. */
int http_request_parse(struct http_request *ret, const char *buf, size_t len, size_t scanned,
                       size_t head_max);

/* Makes a request of what HTTP/2 and HTTP/3 send as fields (RFC 9113 section 8.3.1), with
 * `ret->fields.list` and `count` filled in already. An extended CONNECT is a GET with a protocol.
 * Names are in lower case, and names and values have no characters that they may not have. Returns
 * 0 or an enum http_error. */
int http_request_make(struct http_request *ret, struct span method, struct span path,
                      struct span authority, struct span protocol);

/* The same for a response head; 1xx responses are responses of their own. */
int http_response_parse(struct http_response *ret, const char *buf, size_t len, size_t scanned,
                        size_t head_max);

/* The first field of that name (any case), or NULL. Linear in the number of fields. */
const struct http_field *http_field_find(const struct http_fields *fields, struct span name);

/* The only field of that name: NULL when there is none or more than one. */
const struct http_field *http_field_single(const struct http_fields *fields, struct span name);

/* Whether a comma-separated list of tokens has `token`, in any case. */
bool http_list_has(struct span list, struct span token);

/* ---- bodies ---- */

enum http_framing {
    HTTP_FRAMING_NONE,   /* no body */
    HTTP_FRAMING_LENGTH, /* exactly content_length bytes */
    HTTP_FRAMING_CHUNKED,
    HTTP_FRAMING_CLOSE, /* until the connection ends; responses only */
};

/* A body being decoded: 24 bytes, no pointers, may be kept between reads at any byte. */
struct http_body {
    uint64_t left;     /* payload bytes until the end of the body or of the chunk */
    uint64_t budget;   /* payload bytes still allowed */
    uint16_t overhead; /* bytes of the chunk extension or of the trailers so far */
    uint8_t digits;    /* of the chunk size so far */
    uint8_t state;     /* enum body_state, in http_body.c */
};

enum http_body_result {
    HTTP_BODY_MORE, /* the input is used up */
    HTTP_BODY_DATA, /* there is payload; call again */
    HTTP_BODY_END, /* the body is complete; what is left of the input belongs to the next message */
};

/* Start on the body that belongs to this head. Returns 0 or HTTP_ERROR_BODY_LONG. The response's
 * body depends on the method of the request it answers. */
int http_request_body_init(struct http_body *ret, const struct http_request *request,
                           uint64_t body_max);
int http_response_body_init(struct http_body *ret, const struct http_response *response,
                            enum http_method request_method, uint64_t body_max);
int http_body_init(struct http_body *ret, enum http_framing framing, uint64_t content_length,
                   uint64_t body_max);

/* Consumes from the front of `input` up to and including one run of payload, which `ret_payload`
 * then points at, inside the input. Returns an http_body_result or an enum http_error.
 * After HTTP_BODY_END it keeps answering HTTP_BODY_END and consumes nothing. */
int http_body_next(struct http_body *body, struct span *input, struct span *ret_payload);

/* The connection has ended. Returns 0 if the body ended with it, else HTTP_ERROR_BODY_SHORT. */
int http_body_finish(const struct http_body *body);

/* ---- query strings ---- */

/* Walks `a=1&b=x%20y+z`. Escaped text is decoded into the caller's scratch, which must outlive the
 * spans handed out and needs at most as many bytes as the query has; the rest is not copied. */
struct http_query {
    struct span rest;
    char *scratch;
    size_t scratch_left;
};

void http_query_init(struct http_query *ret, struct span query, char *scratch, size_t scratch_size);

/* Returns 1 with the next parameter, 0 at the end, HTTP_ERROR_QUERY or HTTP_ERROR_QUERY_LONG.
 * '+' is a space. Decoded values may hold any byte, NUL included. Empty parameters are skipped. */
int http_query_next(struct http_query *query, struct span *ret_name, struct span *ret_value);

/* ---- writers ---- */

struct http_response_head {
    int status;
    uint8_t minor_version; /* of the request: HTTP/1.0 must be told of keep-alive */
    bool keep_alive;
    enum http_framing framing;
    uint64_t content_length;  /* HTTP_FRAMING_LENGTH only */
    struct span content_type; /* empty: no such field */
    struct span extra;        /* further fields, each ended by CRLF */
};

struct http_request_head {
    struct span method;
    struct span target;
    struct span host;
    bool close;                /* ask for the connection to end after the response */
    enum http_framing framing; /* HTTP_FRAMING_CLOSE is not for requests */
    uint64_t content_length;
    struct span content_type;
    struct span extra;
};

/* Both return the bytes written, or -ENOBUFS when they do not fit `size` bytes. */
int http_response_head_write(char *buf, size_t size, const struct http_response_head *head);
int http_request_head_write(char *buf, size_t size, const struct http_request_head *head);

/* What surrounds one chunk's bytes: http_chunk_head_write, the bytes, HTTP_CHUNK_TAIL. */
#define HTTP_CHUNK_HEAD_MAX 18
#define HTTP_CHUNK_TAIL     "\r\n"
#define HTTP_CHUNK_LAST     "0\r\n\r\n"

/* Writes "<hex>CRLF" and returns its length. `size` is not 0: that would end the body. */
size_t http_chunk_head_write(char buf[HTTP_CHUNK_HEAD_MAX], uint64_t size);
size_t http_chunk_head_size(uint64_t size);

/* Writes "Sun, 06 Nov 1994 08:49:37 GMT" for seconds since 1970, up to the year 9999. */
#define HTTP_DATE_SIZE 29
void http_date_write(char buf[HTTP_DATE_SIZE], uint64_t unix_s);

/* "OK" for 200; "" for a status we never send. */
struct span http_status_reason(int status);
