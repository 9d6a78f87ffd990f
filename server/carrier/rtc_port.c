/* rtc_port: a datagram: whose it is. STUN is answered here, to those who know a peer's password;
 * the rest goes to the peer whose address it came from. Nobody else hears anything. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

#include "carrier/rtc_internal.h"
#include "conn/addresses.h"
#include "wire/address.h"
#include "wire/stun.h"

enum {
    ALARMS_PER_TURN = 4096,
    /* The first byte of a datagram (RFC 7983). */
    FIRST_STUN_MAX = 3,
    FIRST_DTLS = 20,
    FIRST_DTLS_MAX = 63,
};

/* ---- names ---- */

static void hex_write(char *at, uint64_t value, unsigned digits)
{
    for (unsigned i = digits; i-- > 0; value >>= 4)
        at[i] = "0123456789abcdef"[value & 15];
}

/* The digits of hex_write, or UINT64_MAX. */
static uint64_t hex_read(const char *at, unsigned digits)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < digits; i++) {
        bool decimal = at[i] >= '0' && at[i] <= '9';
        if (!decimal && (at[i] < 'a' || at[i] > 'f'))
            return UINT64_MAX;
        value = value << 4 | (uint64_t)(decimal ? at[i] - '0' : at[i] - 'a' + 10);
    }
    return value;
}

void rtc_name_write(const struct rtc *rtc, char name[RTC_NAME_LEN])
{
    hex_write(name, rtc_shard(rtc)->index, 4);
    hex_write(name + 4, rtc->carrier.slot, 8);
    hex_write(name + 12, rtc_line(rtc)->generation, 8);
}

uint32_t rtc_name_shard(struct span name)
{
    uint64_t shard = name.len < RTC_NAME_LEN ? UINT64_MAX : hex_read(name.ptr, 4);
    return shard == UINT64_MAX ? UINT32_MAX : (uint32_t)shard;
}

void rtc_password_write(const struct shard *shard, const char name[RTC_NAME_LEN], bool end,
                        char password[RTC_PASSWORD_LEN])
{
    struct hmac_sha256_ctx hmac = shard->server->rtc->secret;
    uint8_t mac[RTC_PASSWORD_LEN / 2];
    hmac_sha256_update(&hmac, 3, (const uint8_t *)(end ? "end" : "ice"));
    hmac_sha256_update(&hmac, RTC_NAME_LEN, (const uint8_t *)name);
    hmac_sha256_digest(&hmac, sizeof mac, mac);
    for (unsigned i = 0; i < sizeof mac; i++)
        hex_write(password + 2 * (size_t)i, mac[i], 2);
}

struct rtc *rtc_named(struct shard *shard, struct span name)
{
    if (rtc_name_shard(name) != shard->index)
        return NULL;
    uint64_t slot = hex_read(name.ptr + 4, 8), generation = hex_read(name.ptr + 12, 8);
    if (slot >= shard->slab_slots || slot < shard->streams.first)
        return NULL;
    struct conn *line = conn_at(shard, (uint32_t)slot);
    bool lives = line->state == CONN_OPEN && line->transport == TRANSPORT_RTC &&
                 line->generation == generation;
    return lives ? rtc_of(shard, line) : NULL;
}

/* ---- addresses ---- */

static uint32_t hash_of(const struct shard *shard, const struct in6_addr *address, uint16_t port)
{
    uint8_t bytes[sizeof *address + sizeof port];
    memcpy(bytes, address, sizeof *address);
    memcpy(bytes + sizeof *address, &port, sizeof port);
    return (uint32_t)XXH64(bytes, sizeof bytes, shard->server->seed);
}

static struct in6_addr mapped(struct in_addr address)
{
    struct in6_addr ret = {.s6_addr = {[10] = 0xff, 0xff}};
    memcpy(ret.s6_addr + 12, &address, sizeof address);
    return ret;
}

static struct in_addr unmapped(const struct in6_addr *address)
{
    struct in_addr ret;
    memcpy(&ret, address->s6_addr + 12, sizeof ret);
    return ret;
}

struct sockaddr_in6 rtc_address(const struct rtc *rtc)
{
    return (struct sockaddr_in6){
        .sin6_family = AF_INET6,
        .sin6_port = rtc->port_number,
        .sin6_addr = rtc->has_more ? rtc->more->address : mapped(rtc->address),
    };
}

struct in6_addr rtc_local(const struct rtc *rtc)
{
    if (rtc->has_more)
        return rtc->more->local;
    return rtc->local.s_addr == INADDR_ANY ? in6addr_any : mapped(rtc->local);
}

struct rtc_more *rtc_more(struct rtc *rtc)
{
    if (rtc->has_more)
        return rtc->more;
    struct rtc_more *more = malloc(sizeof *more);
    if (!more)
        return NULL;
    *more = (struct rtc_more){.address = rtc_address(rtc).sin6_addr, .local = rtc_local(rtc)};
    rtc->more = more;
    rtc->has_more = true;
    return more;
}

/* Returns false when memory is out. */
static bool address_keep(struct rtc *rtc, const struct in6_addr *address,
                         const struct in6_addr *local)
{
    bool is_short = IN6_IS_ADDR_V4MAPPED(address) &&
                    (IN6_IS_ADDR_V4MAPPED(local) || IN6_IS_ADDR_UNSPECIFIED(local));
    if (is_short && !rtc->has_more) {
        rtc->address = unmapped(address);
        rtc->local = unmapped(local);
        return true;
    }
    struct rtc_more *more = rtc_more(rtc);
    if (!more)
        return false;
    more->address = *address;
    more->local = *local;
    return true;
}

static bool is_at(const struct rtc *rtc, const struct sockaddr_in6 *peer)
{
    const struct sockaddr_in6 own = rtc_address(rtc);
    return rtc->is_bound && own.sin6_port == peer->sin6_port &&
           IN6_ARE_ADDR_EQUAL(&own.sin6_addr, &peer->sin6_addr);
}

static struct rtc *at_address(const struct rtc_port *port, const struct sockaddr_in6 *peer)
{
    uint32_t hash = hash_of(port->shard, &peer->sin6_addr, peer->sin6_port);
    struct linear_node *node = linear_hash_first(&port->peers, hash);
    for (; node; node = node->next) {
        struct rtc *rtc = (struct rtc *)(void *)((char *)node - offsetof(struct rtc, node));
        if (node->hash == hash && is_at(rtc, peer))
            return rtc;
    }
    return NULL;
}

void rtc_unbind(struct rtc *rtc)
{
    if (rtc->is_bound)
        linear_hash_remove(&rtc->port->peers, &rtc->node);
    rtc->is_bound = false;
}

/* From now on the peer is there. Whoever was there before is not: two cannot share an address. */
static void bind_to(struct rtc *rtc, const struct ring_packet *packet)
{
    struct rtc *other = at_address(rtc->port, &packet->peer);
    if (other)
        rtc_unbind(other);
    rtc_unbind(rtc);
    if (!address_keep(rtc, &packet->peer.sin6_addr, &packet->local))
        return;
    rtc->port_number = packet->peer.sin6_port;
    rtc->node.hash = hash_of(rtc_shard(rtc), &packet->peer.sin6_addr, rtc->port_number);
    rtc->is_bound = linear_hash_add(&rtc->port->peers, &rtc->node) == 0;
}

/* ---- STUN ---- */

static void answer(struct shard *shard, const struct ring_packet *packet,
                   const struct stun_request *request, struct stun_key *key)
{
    uint8_t *room = datagram_room(shard, DATAGRAM_RTC);
    size_t len =
        stun_answer(room, request, &packet->peer.sin6_addr, ntohs(packet->peer.sin6_port), key);
    datagram_send(shard, DATAGRAM_RTC, DATAGRAM_NOBODYS, len, &packet->peer, &packet->local, 0);
}

/* `ours:theirs`, of which the first is a peer's name. */
static struct rtc *peer_of(struct shard *shard, const struct stun_request *request)
{
    const struct span name = request->username;
    bool parted = name.len > RTC_NAME_LEN && name.ptr[RTC_NAME_LEN] == ':';
    return parted ? rtc_named(shard, name) : NULL;
}

/* What is not from where the peer is costs an HMAC before anything is known: it counts as a request
 * of its address, where these are limited. A peer's own checks do not: nobody else can use them up.
 */
static bool is_one_too_many(struct shard *shard, const struct rtc *rtc,
                            const struct ring_packet *packet)
{
    if (!shard->clients || is_at(rtc, &packet->peer))
        return false;
    return addresses_take(shard->server->addresses, address_key(&packet->peer.sin6_addr),
                          ADDRESS_REQUESTS, shard->now_ns) > 0;
}

/* The address is that of the first check; another one takes its place when the peer nominates it.
 */
static void check_taken(struct rtc *rtc, const struct ring_packet *packet, bool nominates)
{
    if (!is_at(rtc, &packet->peer) && (nominates || !rtc->is_bound))
        bind_to(rtc, packet);
    bool was_silent = !rtc_fresh(rtc);
    rtc_heard(rtc);
    if (was_silent && !rtc->is_parked)
        carrier_due(rtc_shard(rtc), &rtc->carrier);
}

static void stun_arrived(struct shard *shard, const struct ring_packet *packet)
{
    struct stun_request request;
    char password[RTC_PASSWORD_LEN];
    const uint8_t *bytes = packet->iov.iov_base;
    int err = stun_read(&request, bytes, (size_t)packet->res);
    struct rtc *rtc = err == 0 ? peer_of(shard, &request) : NULL;
    if (!rtc) {
        counter_add(&shard->counters.rtc_strays, 1);
        return;
    }
    if (is_one_too_many(shard, rtc, packet)) {
        counter_add(&shard->counters.rtc_limited, 1);
        return;
    }
    rtc_password_write(shard, request.username.ptr, false, password);
    struct stun_key key;
    stun_key_init(&key, span_of(password, sizeof password));
    if (!stun_authentic(&request, bytes, &key)) {
        counter_add(&shard->counters.rtc_forged, 1);
        return;
    }
    counter_add(&shard->counters.rtc_checks, 1);
    check_taken(rtc, packet, request.use_candidate);
    answer(shard, packet, &request, &key);
}

/* ---- datagrams ---- */

static void rtc_arrived(struct shard *shard, const struct ring_packet *packet)
{
    uint8_t *bytes = packet->iov.iov_base;
    size_t len = (size_t)packet->res;
    if (len > 0 && bytes[0] <= FIRST_STUN_MAX) {
        stun_arrived(shard, packet);
        return;
    }
    bool dtls = len > 0 && bytes[0] >= FIRST_DTLS && bytes[0] <= FIRST_DTLS_MAX;
    struct rtc *rtc = dtls ? at_address(rtc_port_of(shard), &packet->peer) : NULL;
    if (rtc)
        rtc_records(rtc, bytes, len);
    else
        counter_add(&shard->counters.rtc_strays, 1);
}

/* ---- a turn ---- */

static bool rtc_turn_due(struct shard *shard)
{
    struct rtc_port *port = rtc_port_of(shard);
    int64_t heard_ns = datagrams_heard_ns(shard, DATAGRAM_RTC);
    unsigned gone_off = 0;
    for (; gone_off < ALARMS_PER_TURN; gone_off++) {
        uint32_t id = alarms_pop(&port->alarms, heard_ns);
        if (id == ALARMS_NONE)
            break;
        rtc_alarm(rtc_of(shard, conn_at(shard, shard->streams.first + id)));
    }
    return gone_off == ALARMS_PER_TURN;
}

static int64_t rtc_next_ns(const struct shard *shard)
{
    return alarms_next_ns(&rtc_port_of(shard)->alarms);
}

/* ---- making and freeing ---- */

static int rtc_create(struct shard *shard)
{
    struct rtc_port *port = calloc(1, sizeof *port);
    if (!port)
        return -ENOMEM;
    shard->datagrams.state[DATAGRAM_RTC] = port;
    port->shard = shard;
    int err = alarms_init(&port->alarms, shard->streams.count);
    if (err < 0)
        return err;
    return carrier_port_open(shard, &port->carrier, &rtc_port_ops, TRANSPORT_RTC, LISTENER_PLAIN);
}

static void rtc_port_free(struct shard *shard)
{
    struct rtc_port *port = rtc_port_of(shard);
    if (!port)
        return;
    if (port->carrier.ops) {
        while (port->carrier.streams != TIMERS_NONE)
            conn_end(shard, conn_at(shard, port->carrier.streams), END_CLOSE, CLOSE_GOING_AWAY);
        carrier_port_close(shard, &port->carrier);
    }
    alarms_done(&port->alarms);
    free(port);
    shard->datagrams.state[DATAGRAM_RTC] = NULL;
}

const struct datagram_ops rtc_datagrams = {
    .create = rtc_create,
    .arrived = rtc_arrived,
    .turn = rtc_turn_due,
    .next_ns = rtc_next_ns,
    .free = rtc_port_free,
};

/* ---- the library ---- */

/* One address of each family. */
static int addresses_read(struct rtc_library *library, struct span text)
{
    bool has_ipv4 = false, has_ipv6 = false;
    while (text.len > 0) {
        const char *space = memchr(text.ptr, ' ', text.len);
        struct span word = {text.ptr, space ? (size_t)(space - text.ptr) : text.len};
        text = span_skip(text, word.len + (space != NULL));
        struct in6_addr address;
        if (word.len == 0)
            continue;
        if (!address_read(&address, word) || IN6_IS_ADDR_UNSPECIFIED(&address))
            return -EINVAL;
        bool *has = IN6_IS_ADDR_V4MAPPED(&address) ? &has_ipv4 : &has_ipv6;
        if (*has)
            return -EINVAL;
        *has = true;
        library->addresses[library->address_count++] = address;
    }
    return library->address_count > 0 ? 0 : -EINVAL;
}

static bool secret_draw(struct rtc_library *library)
{
    uint8_t secret[RTC_SECRET_BYTES];
    bool drawn = getrandom(secret, sizeof secret, 0) == sizeof secret;
    if (drawn)
        hmac_sha256_set_key(&library->secret, sizeof secret, secret);
    explicit_bzero(secret, sizeof secret);
    return drawn;
}

int rtc_library_create(struct rtc_library **ret, const struct settings *settings, char *why,
                       size_t why_size)
{
    struct rtc_library *library = calloc(1, sizeof *library);
    int err = library ? addresses_read(library, span_from(settings->rtc_address)) : -ENOMEM;
    if (err == -EINVAL)
        (void)snprintf(why, why_size,
                       "rtc_address = %s: it is an IPv4 address, an IPv6 address, or both with a "
                       "space between them",
                       settings->rtc_address);
    if (err == 0) {
        library->dtls = dtls_identity_create();
        library->sctp = (struct sctp_settings){
            .message_bytes_max = RTC_MESSAGE_MAX,
            .send_bytes_max = RTC_SEND_BYTES,
            .receive_bytes_max = RTC_RECEIVE_BYTES,
        };
        if (!library->dtls || !secret_draw(library))
            err = -ENOMEM;
    }
    if (err == -ENOMEM)
        (void)snprintf(why, why_size, "there is no memory for a certificate of WebRTC");
    if (err < 0) {
        rtc_library_free(library);
        return err;
    }
    *ret = library;
    return 0;
}

void rtc_library_free(struct rtc_library *library)
{
    if (!library)
        return;
    dtls_identity_free(library->dtls);
    explicit_bzero(&library->secret, sizeof library->secret);
    free(library);
}

void rtc_library_port(struct rtc_library *library, unsigned shard, uint16_t port)
{
    assert(shard < HUB_SHARDS_MAX);
    library->ports[shard] = port;
}
