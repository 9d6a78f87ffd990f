#include "secure_link.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum {
    SESSION_S = 3600,
    FLIGHT_MAX = 4096,
};

static const char ciphers[] = "aes128-gcm chacha20-poly1305";

/* ---- what all share ---- */

struct secure_world *secure_world_create(void)
{
    static const char pair[] = CERTIFICATES "/rsa.pem:" CERTIFICATES "/rsa.key.pem";
    struct secure_world *world = calloc(1, sizeof *world);
    struct tls_suites suites;
    char why[256];
    assert(world);
    int err = tls_suites_read(&suites, ciphers, why, sizeof why);
    assert(err == 0);
    err = tls_identities_read(&world->identities, pair, why, sizeof why);
    assert(err == 0);
    world->server = tls_server_create(&(struct tls_server_config){
        .suites = suites, .versions = TLS_VERSIONS_BOTH, .ticket_lifetime_s = SESSION_S});
    for (int i = 0; i < 2; i++)
        world->clients[i] = tls_client_create(
            &(struct tls_client_config){.suites = suites,
                                        .versions = i == 0 ? TLS_VERSIONS_12 : TLS_VERSIONS_13,
                                        .trust_anybody = true});
    world->handshakes = tls_handshakes_create(SIM_CLIENTS_MAX);
    assert(world->server && world->clients[0] && world->clients[1] && world->handshakes);
    return world;
}

void secure_world_free(struct secure_world *world)
{
    if (!world)
        return;
    tls_handshakes_free(world->handshakes);
    for (int i = 0; i < 2; i++) {
        tls_client_free(world->clients[i]);
        tls_ticket_free(&world->tickets[i]);
    }
    tls_server_free(world->server);
    tls_identities_unref(world->identities);
    free(world);
}

/* ---- one ---- */

struct secure_link *secure_link_open(struct sim *sim, struct fake_client *end, bool spoils)
{
    struct secure_world *world = sim->secure;
    struct secure_link *link = calloc(1, sizeof *link);
    assert(link);
    link->sim = sim;
    link->end = end;
    link->spoils = spoils;
    link->handshake = tls_handshake_take(world->handshakes);
    assert(link->handshake);
    link->is_13 = sim_chance(sim, 500);
    const struct tls_ticket *ticket = &world->tickets[link->is_13];
    link->resumes = ticket->len > 0 && sim_chance(sim, 970);
    tls_handshake_client(link->handshake, world->clients[link->is_13], "a.example",
                         link->resumes ? ticket : NULL);
    return link;
}

static void handshake_over(struct secure_link *link)
{
    if (link->handshake)
        tls_handshake_give(link->sim->secure->handshakes, link->handshake);
    link->handshake = NULL;
}

static void late_over(struct secure_link *link)
{
    if (link->late)
        tls_handshake_give(link->sim->secure->handshakes, link->late);
    link->late = NULL;
}

void secure_link_free(struct secure_link *link)
{
    if (!link)
        return;
    handshake_over(link);
    late_over(link);
    bytes_free(&link->out);
    free(link);
}

/* ---- sending ---- */

/* A first flight with a ticket stays as it is: the age of a ticket is masked with random bytes of
 * the library's, and they decide what a wrong bit of it leads to. */
static void spoil(struct secure_link *link)
{
    struct sim *sim = link->sim;
    if (link->resumes && link->received == 0)
        return;
    if (!link->spoils || link->out.at == link->out.len || !sim_chance(sim, 100))
        return;
    link->out.ptr[link->out.at + sim_below(sim, link->out.len - link->out.at)] ^=
        (char)(1 << sim_below(sim, 8));
    link->spoilt = true;
}

/* Now and then it stops in the middle of a record. */
int secure_link_push(struct secure_link *link)
{
    struct sim *sim = link->sim;
    spoil(link);
    while (link->out.at < link->out.len) {
        struct span left = bytes_left(&link->out);
        bool all = sim->calm || sim_chance(sim, 800);
        ssize_t n =
            fake_client_write(link->end, left.ptr, all ? left.len : 1 + sim_below(sim, left.len));
        if (n < 0)
            return n == -EAGAIN ? 0 : (int)n;
        link->out.at += (size_t)n;
        if (!all)
            return 0;
    }
    bytes_free(&link->out);
    return 0;
}

static void seal(struct secure_link *link, enum tls_content type, const void *data, size_t size)
{
    unsigned char record[TLS_RECORD_MAX];
    memcpy(record + tls_record_head(&link->keys.out), data, size);
    bytes_add(&link->out, record, tls_record_seal_in_place(&link->keys.out, type, record, size));
}

ssize_t secure_link_write(struct secure_link *link, const void *data, size_t size)
{
    size_t part = size < TLS_PLAIN_MAX ? size : TLS_PLAIN_MAX;
    int err = secure_link_push(link);
    if (err < 0)
        return err;
    if (link->handshake || link->out.len > 0)
        return -EAGAIN;
    seal(link, TLS_APPLICATION_DATA, data, part);
    err = secure_link_push(link);
    return err < 0 ? err : (ssize_t)part;
}

void secure_link_goodbye(struct secure_link *link)
{
    static const unsigned char alert[] = {1, TLS_ALERT_CLOSE_NOTIFY};
    if (!link->handshake)
        seal(link, TLS_ALERT, alert, sizeof alert);
}

/* ---- receiving ---- */

enum {
    EARLY_RECORDS = 2, /* Finished, and the alert */
};

/* A server gives up only a client that it has no room for, or that has sent what it should not. One
 * that resumes a session may think that its handshake is over before the server has heard so. */
static ssize_t failed(const struct secure_link *link, enum tls_error error)
{
    bool early = link->handshake || link->keys.in.sequence <= EARLY_RECORDS;
    sim_check(link->sim, link->spoilt || (error == TLS_ERROR_ALERT_RECEIVED && early),
              "TLS, %s: %s", link->handshake ? "handshake" : "record", tls_error_name(error));
    return -EPROTO;
}

static void handshake_done(struct secure_link *link)
{
    struct secure_world *world = link->sim->secure;
    bool resumed = tls_handshake_resumed(link->handshake);
    world->resumed += resumed;
    world->full += !resumed;
    tls_handshake_keys(link->handshake, &link->keys);
    if (!resumed && !tls_handshake_ticket(link->handshake, &world->tickets[link->is_13])) {
        link->late = link->handshake;
        link->handshake = NULL;
    }
    handshake_over(link);
}

/* Says what the handshake has to say. Returns 0, or why it is over. */
static ssize_t handshake_go(struct secure_link *link)
{
    unsigned char flight[FLIGHT_MAX];
    size_t len = tls_handshake_output(link->handshake, flight, sizeof flight);
    bytes_add(&link->out, flight, len);
    int err = secure_link_push(link);
    switch (tls_handshake_progress(link->handshake)) {
    case TLS_WANTS_INPUT:
        return err;
    case TLS_DONE:
        handshake_done(link);
        return err;
    case TLS_FAILED:
        return failed(link, tls_handshake_error(link->handshake));
    case TLS_HAS_OUTPUT:
        break;
    }
    assert(!"a flight fits");
    return -EPROTO;
}

/* A server of 1.3 sends tickets before anything else. */
static void late_told(struct secure_link *link)
{
    struct tls_ticket *ticket = &link->sim->secure->tickets[link->is_13];
    if (link->late && tls_handshake_told(link->late, link->record, link->record_len))
        tls_handshake_ticket(link->late, ticket);
    late_over(link);
}

/* Opens a record that has come whole. Returns 0 or -EPROTO. */
static ssize_t record_open(struct secure_link *link)
{
    struct tls_record record;
    late_told(link);
    int size = tls_record_open(&link->keys.in, link->record, link->record_len, &record);
    if (size < 0)
        return failed(link, (enum tls_error) - size);
    assert((size_t)size == link->record_len);
    sim_check(link->sim, record.kind != TLS_RECORD_WARNING, "TLS: a warning");
    sim_check(link->sim, !link->told, "TLS: a record behind the last one");
    link->told = record.kind == TLS_RECORD_CLOSE;
    if (record.kind == TLS_RECORD_DATA)
        link->plain = span_of((char *)record.bytes, record.len);
    return 0;
}

static size_t record_wants(const struct secure_link *link)
{
    if (link->record_len < TLS_HEAD_SIZE)
        return TLS_HEAD_SIZE - link->record_len;
    size_t size = TLS_HEAD_SIZE + ((size_t)link->record[3] << 8 | link->record[4]);
    sim_check(link->sim, size <= sizeof link->record, "TLS: a record of %zu bytes", size);
    return size - link->record_len;
}

/* Reads no further than to the end of a record. Returns as secure_link_read does, but for bytes of
 * records. */
static ssize_t record_read(struct secure_link *link)
{
    unsigned char *at = link->record + link->record_len;
    size_t wants = record_wants(link);
    ssize_t n = fake_client_read(link->end, at, wants);
    if (n <= 0)
        return n;
    link->record_len += (size_t)n;
    link->received += (size_t)n;
    bool whole = link->record_len >= TLS_HEAD_SIZE && record_wants(link) == 0;
    if (link->handshake) {
        size_t fed = tls_handshake_feed(link->handshake, at, (size_t)n);
        assert(fed == (size_t)n || tls_handshake_progress(link->handshake) != TLS_WANTS_INPUT);
    } else if (whole) {
        ssize_t err = record_open(link);
        if (err < 0)
            return err;
    }
    if (whole)
        link->record_len = 0;
    return 1;
}

ssize_t secure_link_read(struct secure_link *link, void *data, size_t size)
{
    while (link->plain.len == 0) {
        ssize_t err = link->handshake ? handshake_go(link) : 0;
        if (err < 0)
            return err;
        if (link->told)
            return 0;
        ssize_t n = record_read(link);
        if (n <= 0)
            return n;
    }
    size_t part = size < link->plain.len ? size : link->plain.len;
    memcpy(data, link->plain.ptr, part);
    link->plain = span_skip(link->plain, part);
    return (ssize_t)part;
}
