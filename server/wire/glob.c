#include "wire/glob.h"

/* How long the part of the pattern is that stands for one character; 0: it is none. */
static size_t part_len(struct span pattern)
{
    if (pattern.ptr[0] == '\\')
        return pattern.len > 1 ? 2 : 0;
    if (pattern.ptr[0] != '[')
        return pattern.ptr[0] != '{' && pattern.ptr[0] != '}';
    size_t at = pattern.len > 1 && pattern.ptr[1] == '!' ? 2 : 1;
    const char *end =
        pattern.len > at + 1 ? memchr(pattern.ptr + at + 1, ']', pattern.len - at - 1) : NULL;
    return end ? (size_t)(end - pattern.ptr) + 1 : 0;
}

bool glob_valid(struct span pattern)
{
    while (pattern.len > 0) {
        size_t len = part_len(pattern);
        if (len == 0)
            return false;
        pattern = span_skip(pattern, len);
    }
    return true;
}

/* `set` is what is between the brackets. */
static bool set_has(struct span set, char c)
{
    bool negated = set.ptr[0] == '!' && set.len > 1;
    bool found = false;
    if (negated)
        set = span_skip(set, 1);
    while (set.len > 0) {
        bool range = set.len > 2 && set.ptr[1] == '-';
        char last = range ? set.ptr[2] : set.ptr[0];
        found |= c >= set.ptr[0] && c <= last;
        set = span_skip(set, range ? 3 : 1);
    }
    return found != negated;
}

static bool part_matches(struct span part, char c)
{
    switch (part.ptr[0]) {
    case '?':
        return true;
    case '\\':
        return part.ptr[1] == c;
    case '[':
        return set_has(span_of(part.ptr + 1, part.len - 2), c);
    default:
        return part.ptr[0] == c;
    }
}

/* What follows the last * is tried further on when it fails; those before it need not be moved. */
bool glob_matches(struct span pattern, struct span text)
{
    struct span retry_pattern = {0}, retry_text = {0};
    bool retries = false;
    while (text.len > 0 || pattern.len > 0) {
        if (pattern.len > 0 && pattern.ptr[0] == '*') {
            pattern = span_skip(pattern, 1);
            retry_pattern = pattern;
            retry_text = text;
            retries = true;
            continue;
        }
        size_t len = pattern.len > 0 ? part_len(pattern) : 0;
        if (len > 0 && text.len > 0 && part_matches(span_of(pattern.ptr, len), text.ptr[0])) {
            pattern = span_skip(pattern, len);
            text = span_skip(text, 1);
            continue;
        }
        if (!retries || retry_text.len == 0)
            return false;
        retry_text = span_skip(retry_text, 1);
        pattern = retry_pattern;
        text = retry_text;
    }
    return true;
}
