/* secure: from bytes on the TLS port to plaintext. */
#include "conn/secure.h"

#include <assert.h>
#include <string.h>

#include "conn/shard.h"

enum {
    ALERT_INTERNAL_ERROR = 80,
};

static union secure_line *line_of(const struct shard *shard, const struct conn *conn)
{
    return secure_line(shard->secure, conn_slot(shard, conn));
}

static void count_error(struct shard *shard, enum tls_error error)
{
    counter_add(&shard->counters.tls_errors[error], 1);
}

static void gauge_handshakes(struct shard *shard)
{
    counter_set(&shard->counters.tls_handshakes, tls_handshakes_in_use(shard->secure->handshakes));
}

void secure_accepted(struct shard *shard, struct conn *conn)
{
    conn->link |= LINK_TLS | LINK_HANDSHAKE;
    line_of(shard, conn)->early = (struct secure_early){.handshake = NULL};
    counter_add(&shard->counters.tls_connections, 1);
    conn_timer(shard, conn, shard->settings->tls_handshake_timeout_ms);
}

/* An alert without keys: what a client shows as an error of the server, or its own, and not as a
 * broken network. */
static void alert_in_clear(struct shard *shard, struct conn *conn, uint8_t description)
{
    unsigned char alert[TLS_ALERT_MAX];
    size_t len = tls_alert_plain(description, alert);
    conn_send_bytes(shard, conn, span_of((char *)alert, len));
}

void secure_shed(struct shard *shard, struct conn *conn)
{
    conn->link &= ~(uint32_t)LINK_HANDSHAKE;
    alert_in_clear(shard, conn, ALERT_INTERNAL_ERROR);
    conn_end(shard, conn, END_LINGER, CLOSE_TABLE_FULL);
}

/* ---- the handshake ---- */

/* The certificates of the last reload, if there was one. */
struct tls_identities *secure_identities(struct secure *secure)
{
    if (atomic_load_explicit(&secure->fresh, memory_order_relaxed)) {
        tls_identities_unref(secure->identities);
        secure->identities = atomic_exchange_explicit(&secure->fresh, NULL, memory_order_acquire);
    }
    return secure->identities;
}

/* Gives it back; the connection has none from here on. */
static void handshake_end(struct shard *shard, struct conn *conn)
{
    union secure_line *line = line_of(shard, conn);
    if (line->early.handshake) {
        secure_returned(shard, conn);
        tls_handshake_give(shard->secure->handshakes, line->early.handshake);
    }
    line->early.handshake = NULL;
    conn->link &= ~(uint32_t)LINK_HANDSHAKE;
    gauge_handshakes(shard);
}

/* A client can finish without the end of the flight before, which it has not been sent yet, if it
 * guesses what that says: the last message is the same in every handshake. What is queued is then
 * more than one frame, and honest clients do not come here. */
static bool ahead_of_flight(const struct conn *conn)
{
    return conn->extra && conn->extra->queue.count > 0;
}

static void handshake_done(struct shard *shard, struct conn *conn, struct tls_handshake *handshake)
{
    union tls_line keys;
    if (ahead_of_flight(conn)) {
        count_error(shard, TLS_ERROR_UNEXPECTED);
        conn_end(shard, conn, END_CLOSE, CLOSE_TLS);
        return;
    }
    counter_add(tls_handshake_resumed(handshake) ? &shard->counters.tls_handshakes_resumed
                                                 : &shard->counters.tls_handshakes_full,
                1);
    if (shard->server->http2 && tls_handshake_protocol(handshake) == SECURE_HTTP2)
        conn_hand_over(conn, TRANSPORT_HTTP2);
    tls_handshake_line(handshake, &keys);
    handshake_end(shard, conn);
    line_of(shard, conn)->keys = keys;
    tls_line_wipe(&keys);
    conn->link |= LINK_KEYED;
    if (conn->out_block)
        conn->link |= LINK_SEALED;
    conn_timer(shard, conn, shard->settings->head_timeout_ms);
}

static void handshake_failed(struct shard *shard, struct conn *conn, enum tls_error error)
{
    count_error(shard, error);
    handshake_end(shard, conn);
    if (error == TLS_ERROR_PLAIN_HTTP)
        conn_transport(shard, conn)->refuse(shard, conn, REFUSAL_TLS_REQUIRED);
    conn_end(shard, conn, END_LINGER, CLOSE_TLS);
}

/* Takes output until there is no more for now, as one frame. */
static void handshake_output(struct shard *shard, struct conn *conn,
                             struct tls_handshake *handshake)
{
    unsigned char *area = shard->secure->area;
    size_t len = tls_handshake_output(handshake, area, SECURE_AREA);
    conn_send_bytes(shard, conn, span_of((char *)area, len));
}

/* Takes the handshake as far as the bytes go. Returns how many of them were its own. */
static size_t handshake_run(struct shard *shard, struct conn *conn, const unsigned char *bytes,
                            size_t len)
{
    struct tls_handshake *handshake = line_of(shard, conn)->early.handshake;
    enum tls_progress progress;
    size_t at = 0;
    while ((progress = tls_handshake_advance(handshake, bytes, len, &at)) == TLS_HAS_OUTPUT) {
        handshake_output(shard, conn, handshake);
        if (conn->state != CONN_OPEN)
            return len;
    }
    if (progress == TLS_DONE) {
        handshake_done(shard, conn, handshake);
    } else if (progress == TLS_FAILED) {
        handshake_failed(shard, conn, tls_handshake_error(handshake));
        return len;
    } else if (tls_handshake_exchanged(handshake)) {
        secure_stepped(shard, conn);
    }
    return at;
}

/* ---- its beginning ---- */

static void hello_failed(struct shard *shard, struct conn *conn, enum tls_error error)
{
    int alert = tls_error_alert(error);
    if (alert >= 0)
        alert_in_clear(shard, conn, (uint8_t)alert);
    handshake_failed(shard, conn, error);
    if (conn->extra) {
        stash_free(&conn->extra->record);
        conn_extra_trim(shard, conn);
    }
}

/* Keeps what comes until the hello is whole. */
static void hello_input(struct shard *shard, struct conn *conn, const unsigned char *bytes,
                        size_t len)
{
    struct conn_extra *extra = conn_extra(conn);
    if (!extra ||
        stash_append(&extra->record, (const char *)bytes, len, TLS_HELLO_MAX + RECEIVE_BYTES) < 0) {
        conn_end(shard, conn, END_CLOSE, CLOSE_OVERLOADED);
        return;
    }
    const struct stash *held = &extra->record;
    int size = tls_hello_next(&line_of(shard, conn)->early.hello,
                              (const unsigned char *)held->bytes, held->len);
    if (size < 0)
        hello_failed(shard, conn, (enum tls_error) - size);
    else if (size > 0)
        secure_wait(shard, conn);
}

bool secure_begin(struct shard *shard, struct conn *conn)
{
    struct secure *secure = shard->secure;
    struct tls_handshake *handshake = tls_handshake_take(secure->handshakes);
    assert(handshake);
    struct stash hello = conn->extra->record;
    struct tls_asked asked;
    tls_hello_asks((const unsigned char *)hello.bytes, hello.len, &asked);
    tls_handshake_server(handshake, secure->server, secure_identities(secure), &asked);
    line_of(shard, conn)->early.handshake = handshake;
    secure_lent(shard, conn);
    gauge_handshakes(shard);

    conn->extra->record = (struct stash){0};
    handshake_run(shard, conn, (const unsigned char *)hello.bytes, hello.len);
    handshake = conn->state == CONN_OPEN ? line_of(shard, conn)->early.handshake : NULL;
    bool signed_for = handshake && !tls_handshake_resumed(handshake);
    stash_free(&hello);
    conn_extra_trim(shard, conn);
    budgets_charge_input(shard, conn);
    conn_watch_read(shard, conn);
    return signed_for;
}

void secure_give_up(struct shard *shard, struct conn *conn)
{
    if (!line_of(shard, conn)->early.handshake)
        alert_in_clear(shard, conn, ALERT_INTERNAL_ERROR);
    if (conn->link & LINK_HANDSHAKE)
        handshake_end(shard, conn);
}

void secure_evict(struct shard *shard, struct conn *conn)
{
    struct tls_handshake *handshake = line_of(shard, conn)->early.handshake;
    tls_handshake_abort(handshake);
    handshake_output(shard, conn, handshake);
    handshake_end(shard, conn);
    conn_end(shard, conn, END_LINGER, CLOSE_TLS_EVICTED);
}

static size_t handshake_input(struct shard *shard, struct conn *conn, const unsigned char *bytes,
                              size_t len)
{
    if (line_of(shard, conn)->early.handshake)
        return handshake_run(shard, conn, bytes, len);
    hello_input(shard, conn, bytes, len);
    return len;
}

void secure_timer(struct shard *shard, struct conn *conn)
{
    conn_end(shard, conn, END_CLOSE, CLOSE_TLS_TIMEOUT);
}

/* ---- records ---- */

static void fail(struct shard *shard, struct conn *conn, enum tls_error error)
{
    int alert = tls_error_alert(error);
    count_error(shard, error);
    if (alert >= 0)
        secure_alert(shard, conn, (uint8_t)alert);
    else
        conn->link |= LINK_NOTIFIED; /* the peer has given up: it reads no farewell */
    conn_end(shard, conn, END_LINGER, CLOSE_TLS);
}

static bool takes_records(const struct conn *conn)
{
    return conn->state == CONN_OPEN && !(conn->link & LINK_INPUT_ENDED);
}

/* How far the records of a run have been opened. */
struct opening {
    struct tls_direction scratch, *in;
    unsigned updates; /* KeyUpdates */
};

/* The peer goes on with new keys, and may ask for new ones of ours, which go before what is sent
 * next. Returns false when it does so too often. */
static bool key_update(struct shard *shard, struct conn *conn, bool both, struct opening *opening)
{
    if (++opening->updates > SECURE_KEY_UPDATES_MAX)
        return false;
    counter_add(&shard->counters.tls_key_updates, 1);
    tls_line_in_update(&line_of(shard, conn)->keys, opening->in);
    if (both)
        conn->link |= LINK_KEY_UPDATE;
    return true;
}

static void understand(struct shard *shard, struct conn *conn, const struct tls_record *record,
                       struct opening *opening)
{
    switch (record->kind) {
    case TLS_RECORD_DATA:
        if (record->len > 0)
            conn_input(shard, conn, (char *)record->bytes, record->len);
        break;
    case TLS_RECORD_CLOSE:
        conn_input_ended(shard, conn);
        break;
    case TLS_RECORD_WARNING:
        break;
    case TLS_RECORD_KEY_UPDATE:
    case TLS_RECORD_KEY_UPDATE_BOTH:
        if (!key_update(shard, conn, record->kind == TLS_RECORD_KEY_UPDATE_BOTH, opening))
            fail(shard, conn, TLS_ERROR_KEY_UPDATES);
        break;
    case TLS_RECORD_TICKET:
        fail(shard, conn, TLS_ERROR_UNEXPECTED);
        break;
    }
}

/* Opens the record that a run begins with. Returns its size; 0 when it is not all there, or the
 * connection has failed, which it says by its state. What it holds may end the connection, so the
 * line is up to date before that is looked at. */
static size_t record_open(struct shard *shard, struct conn *conn, unsigned char *run, size_t len,
                          struct opening *opening)
{
    struct tls_record record;
    int size = tls_record_open(opening->in, run, len, &record);
    if (size > 0 && !tls_line_in_used(&line_of(shard, conn)->keys, opening->in))
        size = -TLS_ERROR_UNEXPECTED;
    if (size < 0)
        fail(shard, conn, (enum tls_error) - size);
    if (size <= 0)
        return 0;
    counter_add(&shard->counters.tls_records_received, 1);
    understand(shard, conn, &record, opening);
    return (size_t)size;
}

/* Opens those records of a run that are all there. Returns how many bytes they had; all of them
 * when no more are wanted. */
static size_t records_open(struct shard *shard, struct conn *conn, unsigned char *run, size_t len)
{
    struct opening opening;
    size_t at = 0, size = 1;
    opening.updates = 0;
    opening.in = tls_line_in(&line_of(shard, conn)->keys, &opening.scratch);
    while (at < len && size > 0 && takes_records(conn)) {
        size = record_open(shard, conn, run + at, len - at, &opening);
        at += size;
    }
    if (opening.in == &opening.scratch)
        tls_line_forget(&opening.scratch);
    return takes_records(conn) ? at : len;
}

/* How long the record that is held will be, as far as that is known. */
static size_t held_wants(const struct stash *held)
{
    if (held->len < TLS_HEAD_SIZE)
        return TLS_HEAD_SIZE;
    return TLS_HEAD_SIZE + ((size_t)(uint8_t)held->bytes[3] << 8 | (uint8_t)held->bytes[4]);
}

/* Adds to the record that was begun, and opens it when it is all there. A head that cannot be right
 * is refused before more is kept. Returns how many of the bytes are done with. */
static size_t held_input(struct shard *shard, struct conn *conn, const unsigned char *bytes,
                         size_t len)
{
    size_t at = 0;
    while (at < len && conn->extra && conn->extra->record.len > 0) {
        struct stash held = conn->extra->record;
        size_t wanted = held_wants(&held) - held.len;
        size_t part = wanted < len - at ? wanted : len - at;
        if (stash_append(&held, (const char *)bytes + at, part, TLS_RECORD_MAX) < 0) {
            conn_end(shard, conn, END_CLOSE, CLOSE_OVERLOADED);
            break;
        }
        at += part;
        conn->extra->record = (struct stash){0};
        size_t opened = records_open(shard, conn, (unsigned char *)held.bytes, held.len);
        if (opened == 0) {
            conn->extra->record = held;
            continue;
        }
        stash_free(&held);
        conn_extra_trim(shard, conn);
        break;
    }
    return takes_records(conn) ? at : len;
}

static void hold(struct shard *shard, struct conn *conn, const unsigned char *bytes, size_t len)
{
    struct conn_extra *extra = conn_extra(conn);
    if (!extra || stash_append(&extra->record, (const char *)bytes, len, TLS_RECORD_MAX) < 0)
        conn_end(shard, conn, END_CLOSE, CLOSE_OVERLOADED);
}

static void records_input(struct shard *shard, struct conn *conn, unsigned char *bytes, size_t len)
{
    size_t at = held_input(shard, conn, bytes, len);
    if (at < len)
        at += records_open(shard, conn, bytes + at, len - at);
    if (at < len)
        hold(shard, conn, bytes + at, len - at);
}

void secure_input(struct shard *shard, struct conn *conn, char *input, size_t len)
{
    unsigned char *bytes = (unsigned char *)input;
    size_t at = 0;
    if (conn->link & LINK_HANDSHAKE && conn->state == CONN_OPEN)
        at = handshake_input(shard, conn, bytes, len);
    if (conn->link & LINK_KEYED && takes_records(conn))
        records_input(shard, conn, bytes + at, len - at);
    else if (conn->state == CONN_FINISHING && at < len)
        conn_input(shard, conn, input + at, len - at);
}

/* ---- end ---- */

void secure_cut(struct shard *shard, struct conn *conn)
{
    bool inside = (conn->extra && conn->extra->record.len > 0) ||
                  (conn->link & LINK_HANDSHAKE && line_of(shard, conn)->early.handshake);
    if (inside && conn->state == CONN_OPEN)
        count_error(shard, TLS_ERROR_TRUNCATED);
}

void secure_closed(struct shard *shard, struct conn *conn)
{
    counter_sub(&shard->counters.tls_connections, 1);
    if (conn->link & LINK_HANDSHAKE)
        handshake_end(shard, conn);
    else if (conn->link & LINK_KEYED)
        tls_line_wipe(&line_of(shard, conn)->keys);
}
