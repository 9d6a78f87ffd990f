/* Members against Jansson, which makes a tree of them. It refuses more in two places: numbers that
 * no double holds, and a zero in a name. It loses a zero byte behind a word, which is no JSON. */
#include <jansson.h>
#include <stdlib.h>

#include "fuzz.h"
#include "wire/json_scan.h"
#include "wire/utf8.h"

/* A member is there in the tree, and the same if no other has its name: if it is `alone`. */
static void compare(const json_t *tree, const struct json_member *member, bool alone)
{
    char *area = malloc(member->name.len + member->value.len + 1);
    assert(area);
    size_t name = json_string_decode(area, member->name);
    assert(name <= member->name.len && json_string_is(member->name, span_of(area, name)));
    assert(json_string_escaped(member->name) || name == member->name.len);
    const json_t *value = tree ? json_object_getn(tree, area, name) : NULL;
    assert(value || !tree);
    if (member->kind == JSON_IS_STRING) {
        char *text = area + name;
        size_t len = json_string_decode(text, member->value);
        assert(len <= member->value.len && utf8_valid(span_of(text, len)));
        assert(json_string_is(member->value, span_of(text, len)));
        if (alone && value)
            assert(json_string_length(value) == len &&
                   memcmp(json_string_value(value), text, len) == 0);
    }
    free(area);
}

/* Returns what the scan ends with, and how many members came before. */
static int scan(struct span text, const json_t *tree, bool alone, size_t *ret_count)
{
    struct json_members members = json_members_begin(text);
    struct json_member member;
    int found;
    *ret_count = 0;
    while ((found = json_members_next(&members, &member)) > 0) {
        assert(member.value.ptr >= text.ptr);
        assert(member.value.ptr + member.value.len <= text.ptr + text.len);
        ++*ret_count;
        compare(tree, &member, alone);
    }
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = fuzz_input(data, size);
    json_error_t error;
    size_t count, of_tree, of_part;
    json_t *tree = json_loadb(text.ptr ? text.ptr : "", text.len,
                              JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    int end = scan(text, NULL, false, &count);
    if (text.len > 0 && memchr(text.ptr, '\0', text.len))
        assert(end < 0);
    else if (json_is_object(tree)) {
        assert(end == 0 || end == JSON_TOO_DEEP);
        assert(end < 0 || (scan(text, tree, json_object_size(tree) == count, &of_tree) == 0 &&
                           of_tree == count));
        assert(end < 0 || json_object_size(tree) <= count);
    } else if (end == 0) {
        assert(!tree && (json_error_code(&error) == json_error_numeric_overflow ||
                         json_error_code(&error) == json_error_null_byte_in_key));
    }
    json_decref(tree);
    /* A part of an object is none. */
    size_t whole = text.len, first;
    uint64_t step;
    while (whole > 0 && text.ptr[whole - 1] != '}')
        whole--;
    for (size_t which = 0; which < FUZZ_CUTS && end == 0; which++) {
        fuzz_cut(text, which, &first, &step);
        assert(first >= whole || scan(span_of(text.ptr, first), NULL, false, &of_part) < 0);
    }
    return 0;
}
