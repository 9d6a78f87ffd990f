#include "conn/addresses.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S INT64_C(1000000000)

enum {
    ROW_ENTRIES = 8,
    COUNT_BITS = 20,
    COUNT_MASK = ADDRESS_CONNECTIONS_MAX,
    TRIES_MAX = 16, /* of an entry that others change meanwhile */
};

struct row {
    _Alignas(64) _Atomic uint64_t words[ROW_ENTRIES]; /* tag, and how many are open; 0: free */
    _Atomic int64_t empty_ns[ADDRESS_RATES][ROW_ENTRIES];
};

struct addresses {
    struct row *rows;
    uint64_t row_mask;
    uint64_t seed[2];
    uint64_t connections_max;
    int64_t interval_ns[ADDRESS_RATES]; /* between two of a steady stream; 0: no limit */
    int64_t burst_ns;
};

/* Where a key may lie. */
struct place {
    struct row *row;
    uint64_t tag; /* of the word, its lower bits 0; never 0 */
};

struct addresses *addresses_create(const struct addresses_config *config)
{
    assert(config->connections_max <= ADDRESS_CONNECTIONS_MAX && config->count <= ADDRESSES_MAX);
    size_t rows = 1;
    while (rows * ROW_ENTRIES < config->count)
        rows *= 2;
    struct addresses *addresses = calloc(1, sizeof *addresses);
    if (!addresses)
        return NULL;
    addresses->rows = aligned_alloc(_Alignof(struct row), rows * sizeof(struct row));
    if (!addresses->rows) {
        free(addresses);
        return NULL;
    }
    /* There from the start, so that what grows later is the connections'. */
    explicit_bzero(addresses->rows, rows * sizeof(struct row));
    addresses->row_mask = rows - 1;
    addresses->connections_max = config->connections_max;
    addresses->burst_ns = config->burst_ns;
    memcpy(addresses->seed, config->seed, sizeof addresses->seed);
    for (int rate = 0; rate < ADDRESS_RATES; rate++)
        if (config->per_s[rate] > 0)
            addresses->interval_ns[rate] = NS_PER_S / config->per_s[rate];
    return addresses;
}

void addresses_free(struct addresses *addresses)
{
    if (!addresses)
        return;
    free(addresses->rows);
    free(addresses);
}

/* ---- hash ---- */

static uint64_t rotate(uint64_t value, int bits)
{
    return value << bits | value >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    sip_round(v);
    v[0] ^= word;
}

/* SipHash-2-4 (Aumasson and Bernstein) of the eight bytes of a key. */
static uint64_t hash(const uint64_t seed[2], uint64_t key)
{
    uint64_t v[4] = {
        seed[0] ^ UINT64_C(0x736f6d6570736575),
        seed[1] ^ UINT64_C(0x646f72616e646f6d),
        seed[0] ^ UINT64_C(0x6c7967656e657261),
        seed[1] ^ UINT64_C(0x7465646279746573),
    };
    sip_word(v, key);
    sip_word(v, UINT64_C(8) << 56);
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* The lower bits choose the row, the others tell its entries apart: two addresses of a row have the
 * same once in 2^44. */
static struct place place_of(const struct addresses *addresses, uint64_t key)
{
    uint64_t hashed = hash(addresses->seed, key), tag = hashed & ~(uint64_t)COUNT_MASK;
    return (struct place){
        .row = &addresses->rows[hashed & addresses->row_mask],
        .tag = tag != 0 ? tag : UINT64_C(1) << COUNT_BITS,
    };
}

/* ---- entries ---- */

static uint64_t word_of(const struct row *row, int i)
{
    return atomic_load_explicit(&row->words[i], memory_order_relaxed);
}

static bool is_of(uint64_t word, uint64_t tag)
{
    return (word & ~(uint64_t)COUNT_MASK) == tag;
}

/* The entry of a tag, or -1. */
static int find(const struct place *place)
{
    for (int i = 0; i < ROW_ENTRIES; i++)
        if (is_of(word_of(place->row, i), place->tag))
            return i;
    return -1;
}

/* When all buckets of an entry are empty. */
static int64_t idle_ns(const struct row *row, int i)
{
    int64_t latest = 0;
    for (int rate = 0; rate < ADDRESS_RATES; rate++) {
        int64_t at = atomic_load_explicit(&row->empty_ns[rate][i], memory_order_relaxed);
        latest = at > latest ? at : latest;
    }
    return latest;
}

/* The entry that can be spared most easily: a free one, or one without connections; -1: none. */
static int spare(const struct row *row)
{
    int best = -1;
    int64_t best_ns = INT64_MAX;
    for (int i = 0; i < ROW_ENTRIES; i++) {
        uint64_t word = word_of(row, i);
        if (word == 0)
            return i;
        int64_t at = idle_ns(row, i);
        if ((word & COUNT_MASK) == 0 && at < best_ns) {
            best = i;
            best_ns = at;
        }
    }
    return best;
}

/* Gives an entry to the tag. Returns false when another shard was faster. Between the exchange and
 * the stores the buckets are those of whoever had the entry: harmless, and rare. */
static bool claim(const struct place *place, int i)
{
    uint64_t word = word_of(place->row, i);
    if ((word & COUNT_MASK) != 0 ||
        !atomic_compare_exchange_strong(&place->row->words[i], &word, place->tag))
        return false;
    for (int rate = 0; rate < ADDRESS_RATES; rate++)
        atomic_store_explicit(&place->row->empty_ns[rate][i], 0, memory_order_relaxed);
    return true;
}

/* The entry of a tag, made when it is missing; -1: there is no room. Two shards that make it at
 * once as a rule choose the same, and one of them finds the other's. */
static int find_or_claim(const struct place *place)
{
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        int i = find(place);
        if (i >= 0)
            return i;
        i = spare(place->row);
        if (i < 0)
            return -1;
        if (claim(place, i))
            return i;
    }
    return -1;
}

/* ---- taking ---- */

/* Returns 0, or how long until there is one. */
static int64_t bucket_take(const struct addresses *addresses, struct row *row, int i,
                           enum address_rate rate, int64_t now_ns)
{
    int64_t interval_ns = addresses->interval_ns[rate];
    if (interval_ns == 0)
        return 0;
    _Atomic int64_t *bucket = &row->empty_ns[rate][i];
    int64_t empty_ns = atomic_load_explicit(bucket, memory_order_relaxed), from_ns;
    do {
        from_ns = empty_ns > now_ns ? empty_ns : now_ns;
        if (from_ns - now_ns > addresses->burst_ns)
            return from_ns - now_ns - addresses->burst_ns;
    } while (!atomic_compare_exchange_weak_explicit(bucket, &empty_ns, from_ns + interval_ns,
                                                    memory_order_relaxed, memory_order_relaxed));
    return 0;
}

int64_t addresses_take(struct addresses *addresses, uint64_t key, enum address_rate rate,
                       int64_t now_ns)
{
    if (key == 0 || addresses->interval_ns[rate] == 0)
        return 0;
    struct place place = place_of(addresses, key);
    int i = find_or_claim(&place);
    return i < 0 ? -1 : bucket_take(addresses, place.row, i, rate, now_ns);
}

/* Adds one. ADDRESS_UNTRACKED: the entry has become another's. */
static enum address_answer count_one(const struct addresses *addresses, const struct place *place,
                                     int i)
{
    uint64_t word = word_of(place->row, i);
    do {
        if (!is_of(word, place->tag))
            return ADDRESS_UNTRACKED;
        if ((word & COUNT_MASK) >= addresses->connections_max)
            return ADDRESS_TOO_MANY;
    } while (!atomic_compare_exchange_weak(&place->row->words[i], &word, word + 1));
    return ADDRESS_IN;
}

enum address_answer addresses_enter(struct addresses *addresses, uint64_t key, int64_t now_ns)
{
    struct place place = place_of(addresses, key);
    enum address_answer answer = ADDRESS_UNTRACKED;
    int i = find_or_claim(&place);
    if (i >= 0 && bucket_take(addresses, place.row, i, ADDRESS_CONNECTS, now_ns) > 0)
        return ADDRESS_TOO_FAST;
    if (addresses->connections_max == 0)
        return i >= 0 ? ADDRESS_IN : ADDRESS_UNTRACKED;
    for (int tries = 0; tries < TRIES_MAX && i >= 0; tries++) {
        answer = count_one(addresses, &place, i);
        if (answer != ADDRESS_UNTRACKED)
            break;
        i = find_or_claim(&place);
    }
    return answer;
}

/* Of two entries with the same tag, made at once by two shards, either may hold the count. */
void addresses_leave(struct addresses *addresses, uint64_t key)
{
    if (addresses->connections_max == 0)
        return;
    struct place place = place_of(addresses, key);
    for (int i = 0; i < ROW_ENTRIES; i++) {
        uint64_t word = word_of(place.row, i);
        while (is_of(word, place.tag) && (word & COUNT_MASK) != 0)
            if (atomic_compare_exchange_weak(&place.row->words[i], &word, word - 1))
                return;
    }
    assert(!"a connection that was counted");
}
