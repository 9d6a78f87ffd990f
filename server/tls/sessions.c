#include "tls/sessions.h"

#include <assert.h>
#include <bearssl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROW_SLOTS = 4,
    ID_WORDS = TLS_SESSION_ID_SIZE / 8,
    SECRET_WORDS = TLS_SECRET_SIZE / 8,
    SUITE_WORD = ID_WORDS + SECRET_WORDS,
    EXPIRY_WORD,
    NAME_WORD,
    WORDS,
};

struct slot {
    _Atomic uint64_t counter; /* odd: being written */
    _Atomic uint64_t words[WORDS];
};

struct tls_sessions {
    struct slot *slots;
    uint32_t row_mask;
    int64_t lifetime_s;
};

struct tls_sessions *tls_sessions_create(uint32_t count, int64_t lifetime_s)
{
    uint32_t rows = 1;
    while (rows * ROW_SLOTS < count && rows < UINT32_C(1) << 28)
        rows *= 2;
    struct tls_sessions *sessions = malloc(sizeof *sessions);
    struct slot *slots = calloc((size_t)rows * ROW_SLOTS, sizeof *slots);
    if (!sessions || !slots) {
        free(sessions);
        free(slots);
        return NULL;
    }
    /* There from the start, so that what grows later is the connections'. */
    explicit_bzero(slots, (size_t)rows * ROW_SLOTS * sizeof *slots);
    *sessions = (struct tls_sessions){slots, rows - 1, lifetime_s};
    return sessions;
}

void tls_sessions_free(struct tls_sessions *sessions)
{
    if (!sessions)
        return;
    explicit_bzero(sessions->slots,
                   (size_t)(sessions->row_mask + 1) * ROW_SLOTS * sizeof *sessions->slots);
    free(sessions->slots);
    free(sessions);
}

/* Ids are drawn at random by servers, so any four bytes spread; a client that makes up ids only
 * chooses which row it misses in. */
static struct slot *row_of(struct tls_sessions *sessions, const uint8_t *id)
{
    uint32_t hash;
    memcpy(&hash, id, sizeof hash);
    return &sessions->slots[(size_t)(hash & sessions->row_mask) * ROW_SLOTS];
}

static void pack(uint64_t *words, const struct tls_session *session, int64_t expiry_s)
{
    memcpy(words, session->id, TLS_SESSION_ID_SIZE);
    memcpy(words + ID_WORDS, session->secret, TLS_SECRET_SIZE);
    words[SUITE_WORD] = session->suite;
    words[EXPIRY_WORD] = (uint64_t)expiry_s;
    words[NAME_WORD] = session->name;
}

static void unpack(struct tls_session *session, const uint64_t *words)
{
    memcpy(session->secret, words + ID_WORDS, TLS_SECRET_SIZE);
    session->suite = (uint16_t)words[SUITE_WORD];
}

bool tls_sessions_save(struct tls_sessions *sessions, const struct tls_session *session,
                       int64_t now_s)
{
    struct slot *row = row_of(sessions, session->id), *slot = row;
    for (unsigned i = 1; i < ROW_SLOTS; i++)
        if (atomic_load_explicit(&row[i].words[EXPIRY_WORD], memory_order_relaxed) <
            atomic_load_explicit(&slot->words[EXPIRY_WORD], memory_order_relaxed))
            slot = &row[i];

    uint64_t counter = atomic_load_explicit(&slot->counter, memory_order_relaxed);
    if (counter % 2 != 0 ||
        !atomic_compare_exchange_strong_explicit(&slot->counter, &counter, counter + 1,
                                                 memory_order_acquire, memory_order_relaxed))
        return false;
    uint64_t words[WORDS];
    pack(words, session, now_s + sessions->lifetime_s);
    /* Each store is a release, so that nobody sees a new word beside the old counter. */
    for (unsigned i = 0; i < WORDS; i++)
        atomic_store_explicit(&slot->words[i], words[i], memory_order_release);
    atomic_store_explicit(&slot->counter, counter + 2, memory_order_release);
    explicit_bzero(words, sizeof words);
    return true;
}

/* Copies a slot out; returns false when somebody wrote meanwhile. */
static bool copy_out(struct slot *slot, uint64_t *words)
{
    uint64_t before = atomic_load_explicit(&slot->counter, memory_order_acquire);
    if (before % 2 != 0)
        return false;
    /* Each load is an acquire, so that the counter is not read again before the words are. */
    for (unsigned i = 0; i < WORDS; i++)
        words[i] = atomic_load_explicit(&slot->words[i], memory_order_acquire);
    return atomic_load_explicit(&slot->counter, memory_order_relaxed) == before;
}

bool tls_sessions_load(struct tls_sessions *sessions, struct tls_session *session, int64_t now_s)
{
    struct slot *row = row_of(sessions, session->id);
    uint64_t words[WORDS];
    bool found = false;
    for (unsigned i = 0; i < ROW_SLOTS && !found; i++)
        found = copy_out(&row[i], words) && memcmp(words, session->id, sizeof session->id) == 0 &&
                words[NAME_WORD] == session->name && (int64_t)words[EXPIRY_WORD] > now_s;
    if (found)
        unpack(session, words);
    explicit_bzero(words, sizeof words);
    return found;
}
