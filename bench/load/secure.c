#include "load/secure.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "core/pages.h"
#include "load/engine.h"

enum {
    OUTPUT_MAX = 4096, /* taken from a handshake at one time */
};

int secure_create(struct secure **ret, const struct secure_config *config)
{
    const uint32_t links = config->links;
    struct secure *secure = calloc(1, sizeof *secure);
    if (!secure)
        return -ENOMEM;
    secure->count = links;
    secure->handshakes_max = links < SECURE_HANDSHAKES ? links : SECURE_HANDSHAKES;
    secure->handshakes = tls_handshakes_create(secure->handshakes_max);
    secure->slots = pages_map(links * sizeof *secure->slots);
    secure->held = pages_map(links * sizeof *secure->held);
    if (config->own)
        secure->sessions = pages_map(links * sizeof *secure->sessions);
    if (config->shared)
        secure->shared = calloc(config->groups, sizeof *secure->shared);
    int err = stashes_init(&secure->records, config->stashes, TLS_RECORD_MAX);
    if (err < 0 || !secure->handshakes || !secure->slots || !secure->held ||
        (config->own && !secure->sessions) || (config->shared && !secure->shared)) {
        secure_free(secure);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < links; i++)
        secure->held[i] = STASH_NONE;
    *ret = secure;
    return 0;
}

void secure_free(struct secure *secure)
{
    if (!secure)
        return;
    tls_handshakes_free(secure->handshakes);
    pages_unmap(secure->slots, secure->count * sizeof *secure->slots);
    pages_unmap(secure->held, secure->count * sizeof *secure->held);
    pages_unmap(secure->sessions, secure->count * sizeof *secure->sessions);
    free(secure->shared);
    stashes_done(&secure->records);
    free(secure);
}

static union secure_slot *slot_of(const struct load *load, const struct link *link)
{
    return &load->secure->slots[link_index(load, link)];
}

static void fail(struct load *load, struct link *link, enum tls_error error)
{
    link_group(load, link)->counters.tls_error = error;
    link_fail(load, link, LOAD_FAIL_TLS);
}

/* ---- sessions ---- */

/* The one to resume; NULL: none. */
static const struct tls_session *session_to_resume(struct load *load, const struct link *link)
{
    const struct tls_session *own;
    struct secure_shared *shared;
    switch (link_group(load, link)->config.tls_resume) {
    case LOAD_RESUME_OWN:
        own = &load->secure->sessions[link_index(load, link)];
        return own->suite != 0 ? own : NULL;
    case LOAD_RESUME_SHARED:
        shared = &load->secure->shared[link->group];
        return shared->count > 0 ? &shared->sessions[shared->out++ % shared->count] : NULL;
    case LOAD_RESUME_NONE:
        break;
    }
    return NULL;
}

/* A server that has forgotten a shared session made a new one, which takes a place of the old. */
static void share(struct secure_shared *shared, const struct tls_handshake *handshake)
{
    struct tls_session *session = &shared->sessions[shared->in % SECURE_SHARED];
    if (tls_handshake_resumed(handshake) || !tls_handshake_session(handshake, session))
        return;
    shared->in++;
    if (shared->count < SECURE_SHARED)
        shared->count++;
}

static void session_keep(struct load *load, const struct link *link,
                         const struct tls_handshake *handshake)
{
    struct tls_session *own;
    switch (link_group(load, link)->config.tls_resume) {
    case LOAD_RESUME_OWN:
        own = &load->secure->sessions[link_index(load, link)];
        if (!tls_handshake_session(handshake, own))
            own->suite = 0;
        break;
    case LOAD_RESUME_SHARED:
        share(&load->secure->shared[link->group], handshake);
        break;
    case LOAD_RESUME_NONE:
        break;
    }
}

/* ---- the handshake ---- */

static void handshake_output(struct load *load, struct link *link, struct tls_handshake *handshake)
{
    char *area = outbox_reserve(load, link, OUTPUT_MAX);
    size_t len = tls_handshake_output(handshake, (unsigned char *)area, OUTPUT_MAX);
    outbox_commit(load, link, len);
}

static void handshake_done(struct load *load, struct link *link, struct tls_handshake *handshake)
{
    struct load_counters *counters = &link_group(load, link)->counters;
    bool agreed = !link_protocol(load, link)->alpn || tls_handshake_protocol(handshake) == 0;
    if (link_publishes(load, link))
        ; /* its handshake is not one of the group's */
    else if (tls_handshake_resumed(handshake))
        counters->tls_resumed++;
    else
        counters->tls_full++;
    session_keep(load, link, handshake);
    tls_handshake_keys(handshake, &slot_of(load, link)->keys);
    tls_handshake_give(load->secure->handshakes, handshake);
    link->phase = LINK_OPENING;
    if (agreed)
        link_opened(load, link);
    else
        fail(load, link, TLS_ERROR_NO_PROTOCOL);
}

/* Takes the handshake as far as the bytes go. Returns how many of them were its own: none that
 * follow it. */
static size_t handshake_run(struct load *load, struct link *link, const unsigned char *bytes,
                            size_t len)
{
    struct tls_handshake *handshake = slot_of(load, link)->handshake;
    enum tls_progress progress;
    size_t at = 0;
    while ((progress = tls_handshake_advance(handshake, bytes, len, &at)) == TLS_HAS_OUTPUT)
        handshake_output(load, link, handshake);
    if (progress == TLS_DONE) {
        handshake_done(load, link, handshake);
    } else if (progress == TLS_FAILED) {
        fail(load, link, tls_handshake_error(handshake));
        return len;
    }
    return at;
}

void secure_begin(struct load *load, struct link *link)
{
    const struct load_group_config *config = &link_group(load, link)->config;
    struct tls_handshake *handshake = tls_handshake_take(load->secure->handshakes);
    assert(handshake); /* the opener has no more under way */
    uint8_t seed[TLS_SEED_SIZE];
    ssize_t got = getrandom(seed, sizeof seed, 0);
    assert(got == sizeof seed);
    bool apart = link_publishes(load, link) && config->publish_tls;
    tls_handshake_client(handshake, apart ? config->publish_tls : config->tls, config->tls_name,
                         session_to_resume(load, link), seed);
    explicit_bzero(seed, sizeof seed);
    slot_of(load, link)->handshake = handshake;
    link->phase = LINK_TLS;
    handshake_run(load, link, NULL, 0);
}

void secure_end(struct load *load, struct link *link)
{
    struct secure *secure = load->secure;
    union secure_slot *slot = slot_of(load, link);
    uint32_t *held = &secure->held[link_index(load, link)];
    if (link->phase == LINK_TLS)
        tls_handshake_give(secure->handshakes, slot->handshake);
    if (*held != STASH_NONE)
        stash_give(&secure->records, *held);
    *held = STASH_NONE;
    tls_keys_wipe(&slot->keys);
}

/* ---- records ---- */

/* Opens those records of a run that are all there. Returns how many bytes they had. */
static size_t records_open(struct load *load, struct link *link, unsigned char *run, size_t len)
{
    struct tls_direction *in = &slot_of(load, link)->keys.in;
    size_t at = 0;
    while (at < len && link_open(link)) {
        struct tls_record record;
        int size = tls_record_open(in, run + at, len - at, &record);
        if (size == 0)
            break;
        if (size < 0) {
            fail(load, link, (enum tls_error) - size);
            break;
        }
        at += (size_t)size;
        if (record.kind == TLS_RECORD_CLOSE)
            link_ended(load, link);
        else if (record.len > 0)
            link_plain(load, link, (char *)record.bytes, record.len);
    }
    return at;
}

static void hold(struct load *load, struct link *link, const unsigned char *bytes, size_t len)
{
    struct stashes *records = &load->secure->records;
    uint32_t index = stash_take(records);
    if (index == STASH_NONE) {
        link_fail(load, link, LOAD_FAIL_STASH);
        return;
    }
    struct stash *stash = stash_at(records, index);
    assert(len <= records->bytes_size);
    memcpy(stash->bytes, bytes, len);
    stash->half.held = (uint32_t)len;
    load->secure->held[link_index(load, link)] = index;
}

/* Goes on with a record that was begun: puts the bytes behind what is held, and opens what is then
 * whole. Returns how many of the bytes are done with. */
static size_t held_run(struct load *load, struct link *link, const unsigned char *bytes, size_t len)
{
    struct secure *secure = load->secure;
    uint32_t *held = &secure->held[link_index(load, link)];
    struct stash *stash = stash_at(&secure->records, *held);
    size_t before = stash->half.held, room = secure->records.bytes_size - before;
    size_t count = len < room ? len : room;
    memcpy(stash->bytes + before, bytes, count);
    size_t opened = records_open(load, link, (unsigned char *)stash->bytes, before + count);
    if (!link_open(link))
        return len;
    if (opened == 0) { /* and so all of them fitted: no record is larger than a stash */
        stash->half.held = (uint32_t)(before + count);
        return count;
    }
    stash_give(&secure->records, *held);
    *held = STASH_NONE;
    return opened - before;
}

void secure_input(struct load *load, struct link *link, char *input, size_t len)
{
    unsigned char *bytes = (unsigned char *)input;
    size_t at = 0;
    if (link->phase == LINK_TLS)
        at = handshake_run(load, link, bytes, len);
    if (link->phase == LINK_TLS || !link_open(link))
        return;
    uint32_t index = link_index(load, link);
    if (at < len && load->secure->held[index] != STASH_NONE)
        at += held_run(load, link, bytes + at, len - at);
    if (at < len && link_open(link))
        at += records_open(load, link, bytes + at, len - at);
    if (at < len && link_open(link))
        hold(load, link, bytes + at, len - at);
}

/* ---- sealing ---- */

static const struct tls_direction *out_of(const struct load *load, const struct link *link)
{
    return &slot_of(load, link)->keys.out;
}

size_t secure_head(const struct load *load, const struct link *link)
{
    return link->phase == LINK_TLS ? 0 : tls_record_head(out_of(load, link));
}

size_t secure_overhead(const struct load *load, const struct link *link, size_t len)
{
    if (link->phase == LINK_TLS)
        return 0;
    const struct tls_direction *out = out_of(load, link);
    return (len / tls_record_plain_max(out) + 1) * tls_record_overhead(out);
}

size_t secure_seal(struct load *load, const struct link *link, char *area, size_t len)
{
    if (link->phase == LINK_TLS)
        return len;
    struct tls_direction *out = &slot_of(load, link)->keys.out;
    size_t most = tls_record_plain_max(out), head = tls_record_head(out);
    size_t stride = most + tls_record_overhead(out);
    size_t last = len > 0 ? (len - 1) / most : 0;
    /* What is beyond one record moves back, the last part first, and makes room for the rest. */
    for (size_t i = last; i > 0; i--)
        memmove(area + i * stride + head, area + head + i * most,
                i == last ? len - i * most : most);
    size_t size = 0;
    for (size_t i = 0; i <= last; i++)
        size +=
            tls_record_seal_in_place(out, TLS_APPLICATION_DATA, (unsigned char *)area + i * stride,
                                     i == last ? len - i * most : most);
    return size;
}
