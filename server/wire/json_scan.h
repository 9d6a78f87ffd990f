/* json_scan: the members of a JSON object (RFC 8259), and the values of a list, one after the
 * other, without a tree.
 *
 *   {"channel":"a","data":"x\u0021","more":{"n":[1,2]}}
 *    ─┬─────── ─┬─  ─┬──── ─┬─────── ─┬──── ─┬────────
 *     name    value name   value    name   value      each as it lies there; strings without quotes
 *
 * Strict: what RFC 8259 does not allow is refused, wherever it stands, and so are invalid UTF-8,
 * half of a surrogate pair, and anything but space around the object. Names may come twice.
 *
 * Threads  any.
 * Memory   the caller's; spans point into the text.
 * Bounds   JSON_DEPTH_MAX objects and lists inside each other. Each byte is looked at once or
 *          twice.
 * Errors   JSON_INVALID, JSON_TOO_DEEP: the scan is over. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/span.h"

enum {
    JSON_DEPTH_MAX = 32, /* the object itself is the first */
    JSON_INVALID = -1,
    JSON_TOO_DEEP = -2,
};

enum json_kind {
    JSON_IS_STRING,
    JSON_IS_NUMBER,
    JSON_IS_OBJECT,
    JSON_IS_LIST,
    JSON_IS_TRUE,
    JSON_IS_FALSE,
    JSON_IS_NULL,
};

struct json_member {
    struct span name;  /* with its escapes: compare with json_string_is */
    struct span value; /* of a string what is between its quotes, with its escapes */
    enum json_kind kind;
};

struct json_members {
    struct span rest;
    bool begun, ended;
};

struct json_members json_members_begin(struct span text);

/* Reads the next member, whole. Returns 1, or 0 when the object, and the text, has ended; or an
 * error. To go into a value that is an object, begin with it. */
int json_members_next(struct json_members *members, struct json_member *ret);

/* The values of a list, one after the other. Returns likewise; the text begins with the list. */
struct json_items {
    struct span rest;
    bool begun, ended;
};

struct json_items json_items_begin(struct span text);
int json_items_next(struct json_items *items, struct span *ret, enum json_kind *ret_kind);

/* Whether the text is one value of any kind, with nothing but space around it. */
bool json_valid(struct span text);

/* Whether a string of a member stands for these bytes. */
bool json_string_is(struct span string, struct span bytes);

/* Whether it has escapes. One that has none stands for itself. */
bool json_string_escaped(struct span string);

/* Writes what a string of a member stands for, at most string.len bytes. Returns how many. */
size_t json_string_decode(char *area, struct span string);

/* A value of JSON_IS_NUMBER as a whole number. Returns false for all others: with a sign, a
 * fraction or an exponent, or above UINT64_MAX. */
bool json_number_read(struct span number, uint64_t *ret);
