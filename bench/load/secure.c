#include "load/secure.h"

#include <errno.h>
#include <stdlib.h>

#include "core/pages.h"
#include "load/engine.h"

enum {
    OUTPUT_MAX = 4096,     /* taken from a handshake at one time */
    RECORDS_MAX = 1 << 23, /* with the same keys of 1.3 */
    KEY_UPDATE_MAX = TLS_KEY_UPDATE_SIZE + TLS_OVERHEAD_MAX,
};

int secure_create(struct secure **ret, const struct secure_config *config)
{
    const uint32_t links = config->links;
    bool resumes = config->own || config->shared;
    struct secure *secure = calloc(1, sizeof *secure);
    if (!secure)
        return -ENOMEM;
    secure->count = links;
    secure->groups = config->groups;
    secure->handshakes_max = links < SECURE_HANDSHAKES ? links : SECURE_HANDSHAKES;
    secure->handshakes = tls_handshakes_create(secure->handshakes_max + SECURE_LATE);
    secure->slots = pages_map(links * sizeof *secure->slots);
    secure->held = pages_map(links * sizeof *secure->held);
    if (resumes)
        secure->late = pages_map(links * sizeof *secure->late);
    if (config->own)
        secure->tickets = pages_map(links * sizeof *secure->tickets);
    if (config->shared)
        secure->shared = calloc(config->groups, sizeof *secure->shared);
    int err = stashes_init(&secure->records, config->stashes, TLS_RECORD_MAX);
    if (err < 0 || !secure->handshakes || !secure->slots || !secure->held ||
        (resumes && !secure->late) || (config->own && !secure->tickets) ||
        (config->shared && !secure->shared)) {
        secure_free(secure);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < links; i++)
        secure->held[i] = STASH_NONE;
    *ret = secure;
    return 0;
}

static void tickets_free(struct secure *secure)
{
    for (uint32_t i = 0; secure->tickets && i < secure->count; i++)
        tls_ticket_free(&secure->tickets[i]);
    for (uint32_t i = 0; secure->shared && i < secure->groups; i++)
        for (uint32_t j = 0; j < SECURE_SHARED; j++)
            tls_ticket_free(&secure->shared[i].tickets[j]);
}

void secure_free(struct secure *secure)
{
    if (!secure)
        return;
    tickets_free(secure);
    tls_handshakes_free(secure->handshakes);
    pages_unmap(secure->slots, secure->count * sizeof *secure->slots);
    pages_unmap(secure->held, secure->count * sizeof *secure->held);
    pages_unmap(secure->late, secure->count * sizeof(struct tls_handshake *));
    pages_unmap(secure->tickets, secure->count * sizeof *secure->tickets);
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

/* ---- tickets ---- */

/* The one to resume by; NULL: none. */
static const struct tls_ticket *ticket_to_use(struct load *load, const struct link *link)
{
    const struct tls_ticket *own;
    struct secure_shared *shared;
    switch (link_group(load, link)->config.tls_resume) {
    case LOAD_RESUME_OWN:
        own = &load->secure->tickets[link_index(load, link)];
        return own->len > 0 ? own : NULL;
    case LOAD_RESUME_SHARED:
        shared = &load->secure->shared[link->group];
        return shared->count > 0 ? &shared->tickets[shared->out++ % shared->count] : NULL;
    case LOAD_RESUME_NONE:
        break;
    }
    return NULL;
}

/* Where a handshake's ticket is wanted; NULL: nowhere. One that was resumed has a good one, and a
 * ticket can be used again. A server that has forgotten a shared session made a new one, which
 * takes a place of the old. */
static struct tls_ticket *ticket_place(struct load *load, const struct link *link,
                                       const struct tls_handshake *handshake)
{
    struct secure_shared *shared;
    if (tls_handshake_resumed(handshake))
        return NULL;
    switch (link_group(load, link)->config.tls_resume) {
    case LOAD_RESUME_OWN:
        return &load->secure->tickets[link_index(load, link)];
    case LOAD_RESUME_SHARED:
        shared = &load->secure->shared[link->group];
        return &shared->tickets[shared->in % SECURE_SHARED];
    case LOAD_RESUME_NONE:
        break;
    }
    return NULL;
}

/* Takes the handshake's ticket if it has one. */
static bool ticket_take(struct load *load, const struct link *link,
                        const struct tls_handshake *handshake)
{
    struct tls_ticket *place = ticket_place(load, link, handshake);
    if (!place || !tls_handshake_ticket(handshake, place))
        return false;
    if (link_group(load, link)->config.tls_resume == LOAD_RESUME_SHARED) {
        struct secure_shared *shared = &load->secure->shared[link->group];
        shared->in++;
        shared->count += shared->count < SECURE_SHARED;
    }
    return true;
}

static struct tls_handshake **late_of(const struct load *load, const struct link *link)
{
    return load->secure->late ? &load->secure->late[link_index(load, link)] : NULL;
}

static void late_end(struct load *load, const struct link *link)
{
    struct tls_handshake **late = late_of(load, link);
    if (!late || !*late)
        return;
    tls_handshake_give(load->secure->handshakes, *late);
    *late = NULL;
    load->secure->late_count--;
}

/* It is over but for its ticket. */
static void late_begin(struct load *load, const struct link *link, struct tls_handshake *handshake)
{
    struct secure *secure = load->secure;
    bool wanted = ticket_place(load, link, handshake) && !ticket_take(load, link, handshake);
    if (wanted && secure->late_count < SECURE_LATE) {
        secure->late_count++;
        *late_of(load, link) = handshake;
    } else {
        tls_handshake_give(secure->handshakes, handshake);
    }
}

/* A record has come whole: is it a ticket? Servers send theirs before anything else. */
static void late_told(struct load *load, const struct link *link, const unsigned char *run,
                      size_t len)
{
    struct tls_handshake **late = late_of(load, link);
    if (!late || !*late || len < TLS_HEAD_SIZE)
        return;
    size_t size = TLS_HEAD_SIZE + ((size_t)run[3] << 8 | run[4]);
    if (len < size)
        return;
    if (tls_handshake_told(*late, run, size))
        ticket_take(load, link, *late);
    late_end(load, link);
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
    tls_handshake_line(handshake, &slot_of(load, link)->keys);
    late_begin(load, link, handshake);
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
    bool apart = link_publishes(load, link) && config->publish_tls;
    tls_handshake_client(handshake, apart ? config->publish_tls : config->tls, config->tls_name,
                         ticket_to_use(load, link));
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
    late_end(load, link);
    tls_line_wipe(&slot->keys);
}

/* ---- records ---- */

/* What a record is, besides data. The server's new keys are its own affair; that it wants new ones
 * of a client, none does. */
static void understand(struct load *load, struct link *link, const struct tls_record *record,
                       struct tls_direction *in)
{
    switch (record->kind) {
    case TLS_RECORD_DATA:
        if (record->len > 0)
            link_plain(load, link, (char *)record->bytes, record->len);
        break;
    case TLS_RECORD_CLOSE:
        link_ended(load, link);
        break;
    case TLS_RECORD_KEY_UPDATE:
        tls_line_in_update(&slot_of(load, link)->keys, in);
        break;
    case TLS_RECORD_KEY_UPDATE_BOTH:
        fail(load, link, TLS_ERROR_KEY_UPDATES);
        break;
    case TLS_RECORD_WARNING:
    case TLS_RECORD_TICKET:
        break;
    }
}

/* Opens those records of a run that are all there. Returns how many bytes they had. */
static size_t records_open(struct load *load, struct link *link, unsigned char *run, size_t len)
{
    union tls_line *line = &slot_of(load, link)->keys;
    struct tls_direction scratch, *in = tls_line_in(line, &scratch);
    size_t at = 0;
    while (at < len && link_open(link)) {
        struct tls_record record;
        late_told(load, link, run + at, len - at);
        int size = tls_record_open(in, run + at, len - at, &record);
        if (size == 0)
            break;
        if (size > 0 && !tls_line_in_used(line, in))
            size = -TLS_ERROR_UNEXPECTED;
        if (size < 0) {
            fail(load, link, (enum tls_error) - size);
            break;
        }
        at += (size_t)size;
        understand(load, link, &record, in);
    }
    if (in == &scratch)
        tls_line_forget(&scratch);
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

static union tls_line *line_of(const struct load *load, const struct link *link)
{
    return &slot_of(load, link)->keys;
}

size_t secure_head(const struct load *load, const struct link *link)
{
    return link->phase == LINK_TLS ? 0 : tls_line_head(line_of(load, link));
}

size_t secure_overhead(const struct load *load, const struct link *link, size_t len)
{
    if (link->phase == LINK_TLS)
        return 0;
    size_t records = len / tls_line_plain_max(line_of(load, link)) + 1;
    return records * TLS_OVERHEAD_MAX + KEY_UPDATE_MAX;
}

/* New keys, before the old ones are worn out. Returns the size of the record that says so. */
static size_t keys_renew(union tls_line *line, struct tls_direction *out, unsigned char *area)
{
    if (out->format != TLS_FORMAT_13 || out->sequence < RECORDS_MAX)
        return 0;
    size_t size = tls_key_update_seal(out, area);
    tls_line_out_update(line, out);
    return size;
}

size_t secure_seal(struct load *load, const struct link *link, char *area, size_t len)
{
    if (link->phase == LINK_TLS)
        return len;
    union tls_line *line = line_of(load, link);
    struct tls_direction scratch, *out = tls_line_out(line, &scratch);
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
    size += keys_renew(line, out, (unsigned char *)area + size);
    tls_line_out_used(line, out);
    if (out == &scratch)
        tls_line_forget(&scratch);
    return size;
}
