/* h2_road: what happens to a connection, whoever is on it. */
#include "h2_road.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum {
    LINKS_MAX = 12, /* of a road, if the server allows as many */
    OUT_MAX = 1 << 20,
    READ_MAX = 30000,
};

static nghttp2_session *session_make(struct h2_road *road)
{
    static const uint32_t windows[] = {0, 1, 100, 5000, 65535, 65535, 65535, H2_WINDOW_WIDE};
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    nghttp2_session *session;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, 1);
    h2_link_callbacks(callbacks);
    int err = nghttp2_session_client_new2(&session, callbacks, road, option);
    assert(err == 0);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    const nghttp2_settings_entry settings = {
        NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
        road->sim->calm ? H2_WINDOW_WIDE
                        : windows[sim_below(road->sim, sizeof windows / sizeof windows[0])],
    };
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, &settings, 1);
    return session;
}

static struct h2_road *road_open(struct sim *sim, unsigned shard)
{
    struct h2_road *road = calloc(1, sizeof *road);
    assert(road);
    road->sim = sim;
    road->shard = shard;
    road->end = fake_client_open(sim->net, sim->listeners[shard]);
    road->session = session_make(road);
    sim->stats.roads++;
    road->next = sim->roads;
    sim->roads = road;
    if (sim->settings.proxy_protocol) {
        const char *line = "PROXY TCP4 192.0.2.200 203.0.113.9 1024 8080\r\n";
        bytes_add(&road->out, line, strlen(line));
    }
    return road;
}

static void road_free(struct h2_road *road)
{
    struct h2_road **at = &road->sim->roads;
    while (*at != road)
        at = &(*at)->next;
    *at = road->next;
    nghttp2_session_del(road->session);
    bytes_free(&road->out);
    free(road);
}

/* All who are on it find their connections closed. */
static void road_over(struct h2_road *road)
{
    for (struct h2_link *link = road->links; link; link = link->next) {
        link->road = NULL;
        link->closed = true;
        link->stream = 0;
    }
    road_free(road);
}

struct h2_road *h2_road_find(struct sim *sim, unsigned shard)
{
    unsigned most = LINKS_MAX;
    if (sim->settings.http2_streams_max < LINKS_MAX)
        most = (unsigned)sim->settings.http2_streams_max;
    for (struct h2_road *road = sim->roads; road; road = road->next)
        if (road->shard == shard && !road->vanished && !road->leaves && road->count < most &&
            sim_chance(sim, 800))
            return road;
    return road_open(sim, shard);
}

/* ---- its troubles ---- */

static void vanish(struct h2_road *road)
{
    road->vanished = true;
    for (struct h2_link *link = road->links; link; link = link->next)
        link->client->vanished = true;
}

/* Opens a stream, and has no use for it. */
static void reset_at_once(struct h2_road *road)
{
    const nghttp2_nv fields[] = {
        {(uint8_t *)":method", (uint8_t *)"GET", 7, 3, 0},
        {(uint8_t *)":scheme", (uint8_t *)"http", 7, 4, 0},
        {(uint8_t *)":authority", (uint8_t *)"sim", 10, 3, 0},
        {(uint8_t *)":path", (uint8_t *)"/longpoll?channel=room/0:a@b", 5, 28, 0},
    };
    int32_t stream = nghttp2_submit_request(road->session, NULL, fields, 4, NULL, NULL);
    if (stream > 0)
        nghttp2_submit_rst_stream(road->session, NGHTTP2_FLAG_NONE, stream, NGHTTP2_CANCEL);
}

static void talk_nonsense(struct h2_road *road)
{
    char noise[40];
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (char)sim_random(road->sim);
    noise[0] = '\xff'; /* or it might mean something: this is a frame of 16 MB */
    bytes_add(&road->out, noise, sizeof noise);
    road->leaves = true;
}

static void small_troubles(struct h2_road *road)
{
    struct sim *sim = road->sim;
    if (sim_chance(sim, 5))
        nghttp2_submit_ping(road->session, NGHTTP2_FLAG_NONE, NULL);
    if (sim_chance(sim, 5)) {
        const nghttp2_settings_entry window = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
                                               (uint32_t)sim_below(sim, 100000)};
        nghttp2_submit_settings(road->session, NGHTTP2_FLAG_NONE, &window, 1);
    }
    for (unsigned i = 0; sim_chance(sim, 5) && i < 20; i++)
        reset_at_once(road);
}

/* Returns false when the road is over. */
static bool road_trouble(struct h2_road *road)
{
    struct sim *sim = road->sim;
    small_troubles(road);
    if (sim_chance(sim, sim->trouble)) {
        sim->stats.resets++;
        fake_client_reset(road->end);
        road_over(road);
        return false;
    }
    if (sim_chance(sim, sim->trouble))
        talk_nonsense(road);
    if (sim_chance(sim, sim->trouble)) {
        sim->stats.stalls++;
        road->stalled_until_ns = sim_now(sim) + (int64_t)sim_below(sim, 6 * SIM_S);
        if (sim_chance(sim, 200))
            vanish(road);
    }
    return true;
}

/* ---- going ---- */

/* Returns false when the road is over. */
static bool road_write(struct h2_road *road)
{
    const uint8_t *bytes;
    ssize_t len = 0;
    while (road->out.len - road->out.at < OUT_MAX &&
           (len = nghttp2_session_mem_send(road->session, &bytes)) > 0)
        bytes_add(&road->out, bytes, (size_t)len);
    struct span left = bytes_left(&road->out);
    size_t part = left.len;
    if (part > 1 && !road->sim->calm && sim_chance(road->sim, 200))
        part = 1 + sim_below(road->sim, part);
    ssize_t n = part > 0 ? fake_client_write(road->end, left.ptr, part) : 0;
    if (n == -EAGAIN)
        return true;
    if (n < 0 || len < 0)
        return false;
    road->out.at += (size_t)n;
    if (road->out.at == road->out.len)
        bytes_free(&road->out);
    return true;
}

static bool road_read(struct h2_road *road)
{
    static uint8_t bytes[READ_MAX];
    struct sim *sim = road->sim;
    uint64_t rounds = sim->calm ? 1000 : sim_below(sim, 5);
    for (uint64_t i = 0; i < rounds; i++) {
        size_t size = sim_chance(sim, 100) ? 1 + sim_below(sim, 50) : READ_MAX;
        ssize_t n = fake_client_read(road->end, bytes, size);
        if (n == -EAGAIN)
            return true;
        if (n <= 0)
            return false;
        ssize_t taken = nghttp2_session_mem_recv(road->session, bytes, (size_t)n);
        sim_check(sim, taken == n, "HTTP/2: %s", nghttp2_strerror((int)taken));
    }
    return true;
}

void h2_road_go(struct h2_road *road)
{
    struct sim *sim = road->sim;
    if (road->vanished || (!sim->calm && sim_now(sim) < road->stalled_until_ns))
        return;
    if (!sim->calm && !road_trouble(road))
        return;
    for (struct h2_link *link = road->links; link; link = link->next)
        h2_link_ask(link);
    if (!road_write(road) || !road_read(road)) {
        fake_client_close(road->end);
        road_over(road);
    }
}

void h2_road_leave(struct h2_link *link)
{
    struct h2_road *road = link->road;
    struct h2_link **at = &road->links;
    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    if (--road->count > 0)
        return;
    if (!road->vanished)
        road_write(road);
    fake_client_close(road->end);
    road_free(road);
}
