/* quic_port: a datagram: whose it is, and what strangers are told. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "carrier/quic_internal.h"

enum {
    WORDS_PER_S = 1000, /* to strangers: version negotiations, resets, refusals; Retry apart */
    WORDS_BURST = 100,
    RESET_RANDOM = 25,   /* bytes of a stateless reset besides its token */
    RESET_ANSWERED = 42, /* the shortest packet that is answered by one: it must be shorter */
    ALARMS_PER_TURN = 4096,
    LONG_HEADER = 0x80,
};
#define TOKEN_NS (UINT64_C(10) * NGTCP2_SECONDS)

/* ---- connection IDs ---- */

void quic_cid_draw(const struct shard *shard, ngtcp2_cid *ret, size_t len)
{
    uint8_t bytes[NGTCP2_MAX_CIDLEN];
    unsigned shards = shard->server->shard_count;
    assert(len > 0 && len <= sizeof bytes);
    quic_random(bytes, len);
    /* The nearest that names this shard. */
    unsigned base = bytes[0] - bytes[0] % shards;
    base = base + shards > UINT8_MAX + 1 ? base - shards : base;
    bytes[0] = (uint8_t)(base + shard->index);
    if (len > QUIC_TAG_BYTES)
        memcpy(bytes + 1, shard->server->quic->tag, QUIC_TAG_BYTES);
    ngtcp2_cid_init(ret, bytes, len);
}

static bool is_ours(const struct shard *shard, const uint8_t *cid, size_t len)
{
    return len == 0 || cid[0] % shard->server->shard_count == shard->index;
}

static uint32_t hash_of(const struct shard *shard, const uint8_t *cid, size_t len)
{
    return (uint32_t)XXH64(cid, len, shard->server->seed);
}

static struct quic_cid *cid_find(const struct quic_port *port, const uint8_t *cid, size_t len)
{
    uint32_t hash = hash_of(port->shard, cid, len);
    for (struct linear_node *node = linear_hash_first(&port->cids, hash); node; node = node->next) {
        struct quic_cid *found = (struct quic_cid *)node;
        if (node->hash == hash && found->cid.datalen == len &&
            memcmp(found->cid.data, cid, len) == 0)
            return found;
    }
    return NULL;
}

int quic_cid_add(struct quic *quic, const ngtcp2_cid *cid)
{
    struct quic_cid *added = quic_take(quic, sizeof *added);
    if (!added)
        return -ENOMEM;
    *added = (struct quic_cid){
        .node.hash = hash_of(quic->shard, cid->data, cid->datalen),
        .quic = quic,
        .next = quic->cids,
        .cid = *cid,
    };
    if (linear_hash_add(&quic->port->cids, &added->node) < 0) {
        quic_give(quic, added);
        return -ENOMEM;
    }
    quic->cids = added;
    return 0;
}

void quic_cid_remove(struct quic *quic, const ngtcp2_cid *cid)
{
    for (struct quic_cid **link = &quic->cids; *link; link = &(*link)->next) {
        struct quic_cid *removed = *link;
        if (!ngtcp2_cid_eq(&removed->cid, cid))
            continue;
        *link = removed->next;
        linear_hash_remove(&quic->port->cids, &removed->node);
        quic_give(quic, removed);
        return;
    }
}

void quic_cids_clear(struct quic *quic)
{
    while (quic->cids)
        quic_cid_remove(quic, &quic->cids->cid);
}

/* ---- words to strangers ---- */

static bool may_speak(struct quic_port *port)
{
    return http2_bucket_take(&port->words, WORDS_PER_S, WORDS_BURST, port->shard->now_ns);
}

static void say(struct quic_port *port, const struct ring_packet *packet, ngtcp2_ssize len)
{
    if (len > 0)
        datagram_send(port->shard, DATAGRAM_QUIC, DATAGRAM_NOBODYS, (size_t)len, &packet->peer,
                      &packet->local, 0);
}

static void negotiate_version(struct quic_port *port, const struct ring_packet *packet,
                              const ngtcp2_version_cid *ids)
{
    static const uint32_t versions[] = {NGTCP2_PROTO_VER_V1};
    if (packet->res < QUIC_PATH_BYTES || !may_speak(port))
        return;
    uint8_t random;
    quic_random(&random, sizeof random);
    counter_add(&port->shard->counters.quic_versions, 1);
    say(port, packet,
        ngtcp2_pkt_write_version_negotiation(datagram_room(port->shard, DATAGRAM_QUIC),
                                             DATAGRAM_BYTES, random, ids->scid, ids->scidlen,
                                             ids->dcid, ids->dcidlen, versions, 1));
}

/* RFC 9000 section 10.3: a packet of a connection that this server does not know any more. */
static void reset(struct quic_port *port, const struct ring_packet *packet,
                  const ngtcp2_version_cid *ids)
{
    const struct quic_library *library = port->shard->server->quic;
    uint8_t token[NGTCP2_STATELESS_RESET_TOKENLEN], random[RESET_RANDOM];
    ngtcp2_cid cid;
    if (packet->res < RESET_ANSWERED || !may_speak(port))
        return;
    ngtcp2_cid_init(&cid, ids->dcid, ids->dcidlen);
    quic_random(random, sizeof random);
    if (ngtcp2_crypto_generate_stateless_reset_token(token, library->reset_secret,
                                                     sizeof library->reset_secret, &cid) != 0)
        return;
    counter_add(&port->shard->counters.quic_resets, 1);
    say(port, packet,
        ngtcp2_pkt_write_stateless_reset(datagram_room(port->shard, DATAGRAM_QUIC), DATAGRAM_BYTES,
                                         token, random, sizeof random));
}

static void retry(struct quic_port *port, const struct ring_packet *packet,
                  const ngtcp2_pkt_hd *head)
{
    const struct quic_library *library = port->shard->server->quic;
    uint8_t token[NGTCP2_CRYPTO_MAX_RETRY_TOKENLEN];
    ngtcp2_cid cid;
    quic_cid_draw(port->shard, &cid, QUIC_CID_BYTES);
    ngtcp2_ssize len = ngtcp2_crypto_generate_retry_token(
        token, library->token_secret, sizeof library->token_secret, head->version,
        (const struct sockaddr *)&packet->peer, sizeof packet->peer, &cid, &head->dcid,
        (ngtcp2_tstamp)port->shard->now_ns);
    if (len < 0)
        return;
    counter_add(&port->shard->counters.quic_retries, 1);
    say(port, packet,
        ngtcp2_crypto_write_retry(datagram_room(port->shard, DATAGRAM_QUIC), DATAGRAM_BYTES,
                                  head->version, &head->scid, &cid, &head->dcid, token,
                                  (size_t)len));
}

static void refuse(struct quic_port *port, const struct ring_packet *packet,
                   const ngtcp2_pkt_hd *head, uint64_t code)
{
    if (!may_speak(port))
        return;
    counter_add(&port->shard->counters.quic_refused, 1);
    say(port, packet,
        ngtcp2_crypto_write_connection_close(datagram_room(port->shard, DATAGRAM_QUIC),
                                             DATAGRAM_BYTES, head->version, &head->scid,
                                             &head->dcid, code, NULL, 0));
}

/* ---- a client's first packet ---- */

enum proof {
    PROOF_NONE,
    PROOF_GOOD, /* it has what a Retry gave to this address */
    PROOF_BAD,
};

static enum proof proof_of(const struct quic_port *port, const struct ring_packet *packet,
                           const ngtcp2_pkt_hd *head, ngtcp2_cid *ret_original)
{
    const struct quic_library *library = port->shard->server->quic;
    const ngtcp2_vec token = quic_head_token(head);
    if (token.len == 0 || token.base[0] != NGTCP2_CRYPTO_TOKEN_MAGIC_RETRY)
        return PROOF_NONE; /* of another kind, or another server: it is as if there were none */
    int err = ngtcp2_crypto_verify_retry_token(
        ret_original, token.base, token.len, library->token_secret, sizeof library->token_secret,
        head->version, (const struct sockaddr *)&packet->peer, sizeof packet->peer, &head->dcid,
        TOKEN_NS, (ngtcp2_tstamp)port->shard->now_ns);
    return err == 0 ? PROOF_GOOD : PROOF_BAD;
}

static bool has_place(const struct quic_port *port)
{
    const struct shard *shard = port->shard;
    return (!shard->draining || shard_is_kept(shard, KEPT_DATAGRAMS)) &&
           shard->live < shard->live_max && !budgets_spent(shard, BUDGET_QUIC);
}

/* It came before the successor had the port. The client says it again, and then it goes there. */
static bool is_successors(const struct shard *shard, enum proof proof)
{
    return shard->draining && shard_is_kept(shard, KEPT_DATAGRAMS) && proof == PROOF_NONE;
}

static void begin(struct quic_port *port, const struct ring_packet *packet,
                  const ngtcp2_pkt_hd *head)
{
    ngtcp2_cid original;
    enum proof proof = proof_of(port, packet, head, &original);
    if (proof == PROOF_BAD) {
        refuse(port, packet, head, NGTCP2_INVALID_TOKEN);
        return;
    }
    if (is_successors(port->shard, proof))
        return;
    if (!has_place(port)) {
        refuse(port, packet, head, NGTCP2_CONNECTION_REFUSED);
        return;
    }
    if (proof == PROOF_NONE && port->handshakes >= port->shard->settings->quic_retry_over) {
        retry(port, packet, head);
        return;
    }
    const struct quic_first first = {packet, head, proof == PROOF_GOOD ? &original : NULL};
    struct quic *quic = quic_begin(port, &first);
    if (!quic)
        refuse(port, packet, head, NGTCP2_CONNECTION_REFUSED);
    else if (!quic_read(quic, packet))
        retry(port, packet, head);
}

static void stranger(struct quic_port *port, const struct ring_packet *packet,
                     const ngtcp2_version_cid *ids)
{
    ngtcp2_pkt_hd head;
    if (ids->version == 0) {
        if (is_ours(port->shard, ids->dcid, ids->dcidlen))
            reset(port, packet, ids);
        return;
    }
    switch (ngtcp2_accept(&head, packet->iov.iov_base, (size_t)packet->res)) {
    case 0:
        begin(port, packet, &head);
        break;
    case NGTCP2_ERR_RETRY:
        retry(port, packet, &head);
        break;
    default:
        counter_add(&port->shard->counters.quic_strays, 1);
    }
}

/* What the library takes for a bug of ours, or for something else, when it comes: a datagram
 * without bytes; and a version negotiation, which is a server's to send. */
static int decode(const struct ring_packet *packet, ngtcp2_version_cid *ret)
{
    const uint8_t *bytes = packet->iov.iov_base;
    if (packet->res == 0)
        return NGTCP2_ERR_INVALID_ARGUMENT;
    int err = ngtcp2_pkt_decode_version_cid(ret, bytes, (size_t)packet->res, QUIC_CID_BYTES);
    bool is_long = bytes[0] & LONG_HEADER;
    return err == 0 && is_long && ret->version == 0 ? NGTCP2_ERR_INVALID_ARGUMENT : err;
}

void quic_arrived(struct shard *shard, const struct ring_packet *packet)
{
    struct quic_port *port = quic_port_of(shard);
    ngtcp2_version_cid ids;
    int err = decode(packet, &ids);
    if (err == NGTCP2_ERR_VERSION_NEGOTIATION) {
        negotiate_version(port, packet, &ids);
        return;
    }
    if (err != 0) {
        counter_add(&shard->counters.quic_strays, 1);
        return;
    }
    struct quic_cid *known = cid_find(port, ids.dcid, ids.dcidlen);
    if (known)
        quic_read(known->quic, packet);
    else if (quic_is_elsewhere(shard, packet->iov.iov_base, &ids))
        quic_hand_on(port, packet, ids.dcid[0] % shard->server->shard_count);
    else
        stranger(port, packet, &ids);
}

/* ---- a turn ---- */

static struct quic *quic_at(const struct quic_port *port, uint32_t id)
{
    return quic_of(port->shard, conn_at(port->shard, port->shard->streams.first + id));
}

static bool quic_turn(struct shard *shard)
{
    struct quic_port *port = quic_port_of(shard);
    int64_t heard_ns = datagrams_heard_ns(shard, DATAGRAM_QUIC);
    unsigned gone_off = 0;
    for (; gone_off < ALARMS_PER_TURN; gone_off++) {
        uint32_t id = alarms_pop(&port->alarms, heard_ns);
        if (id == ALARMS_NONE)
            break;
        quic_alarm(quic_at(port, id), heard_ns);
    }
    return gone_off == ALARMS_PER_TURN;
}

static int64_t quic_next_ns(const struct shard *shard)
{
    return alarms_next_ns(&quic_port_of(shard)->alarms);
}

/* ---- making and freeing ---- */

static int coders_init(struct quic_port *port)
{
    const nghttp3_mem *memory = nghttp3_mem_default();
    return nghttp3_qpack_encoder_new(&port->encoder, 0, memory) == 0 &&
                   nghttp3_qpack_decoder_new(&port->decoder, 0, 0, memory) == 0
               ? 0
               : -ENOMEM;
}

void quic_decoder_renew(struct quic_port *port)
{
    nghttp3_qpack_decoder *fresh;
    if (nghttp3_qpack_decoder_new(&fresh, 0, 0, nghttp3_mem_default()) != 0)
        return;
    nghttp3_qpack_decoder_del(port->decoder);
    port->decoder = fresh;
}

static int quic_create(struct shard *shard)
{
    struct quic_port *port = calloc(1, sizeof *port);
    if (!port)
        return -ENOMEM;
    shard->datagrams.state[DATAGRAM_QUIC] = port;
    port->shard = shard;
    int err = alarms_init(&port->alarms, shard->streams.count);
    if (err == 0)
        err = coders_init(port);
    if (err == 0)
        err =
            carrier_port_open(shard, &port->carrier, &quic_port_ops, TRANSPORT_QUIC, LISTENER_TLS);
    return err;
}

static void quic_port_free(struct shard *shard)
{
    struct quic_port *port = quic_port_of(shard);
    if (!port)
        return;
    if (port->carrier.ops) {
        while (port->carrier.streams != TIMERS_NONE)
            conn_end(shard, conn_at(shard, port->carrier.streams), END_CLOSE, CLOSE_GOING_AWAY);
        carrier_port_close(shard, &port->carrier);
    }
    nghttp3_qpack_encoder_del(port->encoder);
    nghttp3_qpack_decoder_del(port->decoder);
    alarms_done(&port->alarms);
    arenas_done(&port->arenas);
    free(port);
    shard->datagrams.state[DATAGRAM_QUIC] = NULL;
}

const struct datagram_ops quic_datagrams = {
    .create = quic_create,
    .arrived = quic_arrived,
    .turn = quic_turn,
    .next_ns = quic_next_ns,
    .free = quic_port_free,
};
