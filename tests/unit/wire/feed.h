/* feed: hands bytes to a parser in pieces, and writes down what the parser said.
 *
 * Each piece is a heap block of exactly its size, so that a sanitizer sees one byte too many.
 * Shared by the unit tests and the fuzzers: both hold that the pieces never change the transcript.
 *
 * Threads  one.
 * Memory   transcript_free and pieces_end give everything back. */
#pragma once

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/span.h"

struct transcript {
    char *text;
    size_t len;
    size_t size;
};

static inline void transcript_add(struct transcript *transcript, struct span bytes)
{
    size_t need = transcript->len + bytes.len + 1;
    if (need > transcript->size) {
        transcript->size = need * 2;
        transcript->text = realloc(transcript->text, transcript->size);
    }
    assert(transcript->text);
    if (bytes.len > 0)
        memcpy(transcript->text + transcript->len, bytes.ptr, bytes.len);
    transcript->len += bytes.len;
    transcript->text[transcript->len] = '\0';
}

static inline void transcript_number(struct transcript *transcript, long long number)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%lld", number);
    transcript_add(transcript, span_of(digits, (size_t)len));
}

static inline struct span transcript_span(const struct transcript *transcript)
{
    return span_of(transcript->text, transcript->len);
}

static inline void transcript_free(struct transcript *transcript)
{
    free(transcript->text);
    *transcript = (struct transcript){0};
}

/* splitmix64: short, seeded, the same everywhere. */
static inline uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* A step that stands for pieces of many sizes, some of them empty; the low bits are a seed. */
#define FEED_VARIED (UINT64_C(1) << 63)

/* How long the next piece is, when so many bytes are left: `*step` (0: all of them), or what is
 * drawn. */
static inline size_t feed_step(uint64_t *step, size_t left)
{
    size_t want = *step > 0 ? *step : left;
    if (*step & FEED_VARIED) {
        uint64_t drawn = random_next(step);
        *step |= FEED_VARIED;
        want = drawn >> 8 & ((UINT64_C(1) << (drawn % 11)) - 1);
    }
    return want < left ? want : left;
}

/* The input cut after `first` bytes, and then after every `step` bytes (0: no more cuts). */
struct pieces {
    struct span rest;
    size_t first;
    uint64_t step;
    char *piece; /* the current one; ours */
    size_t len;
};

static inline struct pieces pieces_begin(struct span input, size_t first, uint64_t step)
{
    return (struct pieces){.rest = input, .first = first, .step = step};
}

/* False when there are no more; empty pieces are possible, and are good tests. */
static inline bool pieces_next(struct pieces *pieces)
{
    bool start = pieces->piece == NULL;
    free(pieces->piece);
    pieces->piece = NULL;
    if (!start && pieces->rest.len == 0)
        return false;
    size_t want = start ? pieces->first : feed_step(&pieces->step, pieces->rest.len);
    pieces->len = want < pieces->rest.len ? want : pieces->rest.len;
    pieces->piece = malloc(pieces->len > 0 ? pieces->len : 1);
    assert(pieces->piece);
    if (pieces->len > 0)
        memcpy(pieces->piece, pieces->rest.ptr, pieces->len);
    pieces->rest = span_skip(pieces->rest, pieces->len);
    return true;
}

static inline void pieces_end(struct pieces *pieces)
{
    free(pieces->piece);
    pieces->piece = NULL;
}
