#include "load/client_h2.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

enum {
    STREAMS = 3,
    PUBLISHER = 1, /* link, after the one of the subscribers */
    MESSAGE = 64,
    WIRE_MAX = 1 << 16,
    NUMBERS_MAX = 16, /* of streams */
};

/* One connection of three subscribers; all of the load is real but its ring. */
static struct load world;
static struct link links[2];
static struct subscriber subscribers[STREAMS + 1];
static struct group group;
static char wire[WIRE_MAX]; /* to the server */
static size_t wire_len;

static void socket_send(struct ring *ring, struct ring_io *io, unsigned count)
{
    (void)ring;
    for (unsigned i = 0; i < count; i++) {
        assert_true(io[i].slot == 0 && wire_len + io[i].iov.iov_len <= WIRE_MAX);
        memcpy(wire + wire_len, io[i].iov.iov_base, io[i].iov.iov_len);
        wire_len += io[i].iov.iov_len;
        io[i].res = (int32_t)io[i].iov.iov_len;
    }
}

static void socket_watch(struct ring *ring, uint32_t slot, enum ring_direction direction)
{
    (void)ring;
    (void)slot;
    (void)direction;
}

static void socket_end(struct ring *ring, uint32_t slot)
{
    (void)ring;
    (void)slot;
}

static const struct ring_engine engine = {
    .send = socket_send,
    .watch = socket_watch,
    .unwatch = socket_watch,
    .abort = socket_end,
    .close = socket_end,
};
static struct ring ring = {.engine = &engine};

/* ---- a server, by nghttp2 ---- */

static nghttp2_session *server;
static int32_t streams[NUMBERS_MAX]; /* that have asked, in their order */
static unsigned stream_count;
static char asked[NUMBERS_MAX][128]; /* their paths */
static char method[16];
static char heard[WIRE_MAX]; /* in DATA */
static size_t heard_len;
static unsigned resets; /* by the client */

static int server_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                         size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                         void *context)
{
    (void)session;
    (void)frame;
    (void)flags;
    (void)context;
    if (name_len == 5 && memcmp(name, ":path", 5) == 0)
        snprintf(asked[stream_count], sizeof asked[0], "%.*s", (int)value_len, value);
    if (name_len == 7 && memcmp(name, ":method", 7) == 0)
        snprintf(method, sizeof method, "%.*s", (int)value_len, value);
    return 0;
}

static int server_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    (void)session;
    (void)context;
    resets +=
        frame->hd.type == NGHTTP2_RST_STREAM && frame->rst_stream.error_code == NGHTTP2_CANCEL;
    if (frame->hd.type == NGHTTP2_HEADERS)
        streams[stream_count++] = frame->hd.stream_id;
    assert_true(stream_count < NUMBERS_MAX);
    return 0;
}

static int server_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data,
                       size_t len, void *context)
{
    (void)session;
    (void)flags;
    (void)stream;
    (void)context;
    memcpy(heard + heard_len, data, len);
    heard_len += len;
    return 0;
}

static void server_begin(bool websockets)
{
    const nghttp2_settings_entry setting = {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1};
    nghttp2_session_callbacks *callbacks;
    assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, server_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, server_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, server_data);
    assert_int_equal(nghttp2_session_server_new(&server, callbacks, NULL), 0);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(server, 0, &setting, websockets);
}

/* What the client has sent comes to the server. */
static void server_reads(void)
{
    outbox_flush(&world);
    assert_int_equal(nghttp2_session_mem_recv(server, (uint8_t *)wire, wire_len), wire_len);
    wire_len = 0;
}

/* What the server says comes to the client, in pieces. */
static void client_reads(size_t piece)
{
    static char bytes[WIRE_MAX];
    size_t count = 0;
    const uint8_t *said;
    ssize_t len;
    while ((len = nghttp2_session_mem_send(server, &said)) > 0) {
        memcpy(bytes + count, said, (size_t)len);
        count += (size_t)len;
    }
    for (size_t at = 0; at < count && link_open(&links[0]); at += piece)
        link_input(&world, &links[0], bytes + at, count - at < piece ? count - at : piece);
}

static ssize_t body_read(nghttp2_session *session, int32_t stream, uint8_t *out, size_t size,
                         uint32_t *flags, nghttp2_data_source *source, void *context)
{
    const char *text = source->ptr;
    size_t len = strlen(text);
    (void)session;
    (void)stream;
    (void)context;
    assert_true(len <= size);
    memcpy(out, text, len);
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    return (ssize_t)len;
}

static void server_answers(int32_t stream, const char *status, const char *retry_after, bool ends)
{
    nghttp2_nv fields[2] = {field_of(SPAN(":status"), span_from(status))};
    if (retry_after)
        fields[1] = field_of(SPAN("retry-after"), span_from(retry_after));
    nghttp2_submit_headers(server, ends ? NGHTTP2_FLAG_END_STREAM : 0, stream, NULL, fields,
                           retry_after ? 2 : 1, NULL);
}

/* One send at a time: its text is read when the client reads. */
static void server_says(int32_t stream, const char *text, bool ends, size_t piece)
{
    union {
        const char *text;
        void *ptr;
    } source = {text};
    nghttp2_data_provider provider = {.source.ptr = source.ptr, .read_callback = body_read};
    assert_int_equal(nghttp2_submit_data(server, 0, stream, &provider), 0);
    client_reads(piece);
    if (ends)
        nghttp2_submit_rst_stream(server, 0, stream, NGHTTP2_NO_ERROR);
    client_reads(piece);
}

/* ---- the world ---- */

static void make(const struct protocol *protocol, const char *path, bool websockets)
{
    static struct load empty;
    static uint32_t ready;
    world = empty;
    memset(links, 0, sizeof links);
    memset(subscribers, 0, sizeof subscribers);
    ready = 0;
    group = (struct group){
        .config = {.transport = protocol, .clients = STREAMS, .payload_bytes = MESSAGE},
        .host = "127.0.0.1:1",
        .links = 1,
        .streams = STREAMS,
        .channels = 1,
        .channel_ready = &ready,
        .cycle = {MESSAGE},
        .cycle_count = 1,
        .corrected = histogram_create(),
        .uncorrected = histogram_create(),
    };
    snprintf(group.path, sizeof group.path, "%s", path);
    snprintf(group.join_path, sizeof group.join_path, "%s",
             protocol->join_path ? "/poll?channel=c" : path);
    snprintf(group.fields, sizeof group.fields, "Accept: text/event-stream\r\nX-Y: Z\r\n");
    world.ring = &ring;
    world.links = links;
    world.subscribers = subscribers;
    world.groups = &group;
    world.group_count = 1;
    world.publishers_first = STREAMS;
    world.publisher_links_first = PUBLISHER;
    world.link_count = 2;
    world.subscriber_count = STREAMS + 1;
    world.states = calloc(2, sizeof *world.states);
    world.scratch = malloc(STASH_BYTES_MIN);
    assert_true(world.states && world.scratch && group.corrected && group.uncorrected);
    assert_int_equal(outbox_init(&world.outbox, 2), 0);
    assert_int_equal(stashes_init(&world.stashes, 8, STASH_BYTES_MIN), 0);
    opener_init(&world);
    stream_count = resets = 0;
    heard_len = wire_len = 0;
    server_begin(websockets);
    links[0].phase = LINK_CONNECTING;
    links[0].flags = LINK_LISTED;
    links[0].attempts = LOAD_ATTEMPTS_ANY;
    world.opener.opening = 1;
    link_connected(&world, &links[0], 0);
    server_reads();
}

static int end_world(void **state)
{
    (void)state;
    link_close(&world, &links[0], false);
    assert_null(world.states[0]);
    assert_int_equal(world.stashes.used, 0);
    nghttp2_session_del(server);
    outbox_done(&world.outbox);
    stashes_done(&world.stashes);
    histogram_free(group.corrected);
    histogram_free(group.uncorrected);
    free(world.states);
    free(world.scratch);
    return 0;
}

static const char *event_of(uint32_t number)
{
    static char text[256];
    char payload[MESSAGE + 1] = "";
    payload_write(payload, MESSAGE, number, 1, false);
    snprintf(text, sizeof text, "id: 5f.%u\ndata: %s\n\n", number, payload);
    return text;
}

/* ---- event streams ---- */

static void come_up(size_t piece)
{
    for (unsigned i = 0; i < STREAMS; i++)
        server_answers(streams[i], "200", NULL, false);
    client_reads(piece);
    for (unsigned i = 0; i < STREAMS; i++) {
        assert_int_equal(links[0].phase, LINK_OPENING);
        assert_int_equal(group.up, i);
        server_says(streams[i], "id: 5f.0\n\n", false, piece);
    }
    assert_int_equal(links[0].phase, LINK_UP);
    assert_int_equal(group.links_up, 1);
    assert_int_equal(world.opener.opened, 1);
}

static void test_streams_of_one_connection(void **state)
{
    static const size_t pieces[] = {1, 2, 7, 100, WIRE_MAX};
    for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++) {
        make(&protocol_h2_sse, "/sse?channel=c", false);
        assert_int_equal(stream_count, STREAMS);
        for (unsigned i = 0; i < STREAMS; i++)
            assert_string_equal(asked[i], "/sse?channel=c");
        assert_string_equal(method, "GET");
        come_up(pieces[p]);
        assert_int_equal(group.up, STREAMS);
        for (uint32_t number = 1; number <= 4; number++)
            for (unsigned i = 0; i < STREAMS; i++)
                server_says(streams[i], event_of(number), false, pieces[p]);
        assert_int_equal(group.counters.deliveries, 4 * STREAMS);
        assert_int_equal(group.ledger.delivered, 4 * STREAMS);
        assert_int_equal(load_ledger_faults(&group.ledger), 0);
        assert_int_equal(group.ready, STREAMS);
        if (p + 1 < sizeof pieces / sizeof pieces[0])
            end_world(state);
    }
}

/* Messages that a turn finds under way are in the ledger, and not among its deliveries. */
static void test_a_turn_has_its_own_messages(void **state)
{
    (void)state;
    struct turn_mark mark;
    struct load_turn turn;
    make(&protocol_h2_sse, "/sse?channel=c", false);
    come_up(WIRE_MAX);
    group.publisher.number = 2;
    turn_begin(&world, &group, &mark);
    for (uint32_t number = 1; number <= 4; number++)
        server_says(streams[0], event_of(number), false, WIRE_MAX);
    turn_end(&world, &group, &mark, &turn);
    assert_int_equal(turn.deliveries, 2);
    assert_int_equal(group.counters.late, 2);
    assert_int_equal(group.ledger.delivered, 4);
    assert_int_equal(histogram_count(group.uncorrected), 2);
}

/* Who has a position asks for what it missed. */
static void test_resumes(void **state)
{
    (void)state;
    make(&protocol_h2_sse, "/sse?channel=c", false);
    come_up(WIRE_MAX);
    server_says(streams[1], event_of(7), false, WIRE_MAX);
    link_close(&world, &links[0], false);
    assert_int_equal(group.up, 0);
    outbox_flush(&world);
    nghttp2_session_del(server);
    server_begin(false);
    stream_count = 0;
    wire_len = 0;
    links[0].phase = LINK_CONNECTING;
    link_connected(&world, &links[0], 0);
    server_reads();
    assert_string_equal(asked[0], "/sse?channel=c&since=5f.0");
    assert_string_equal(asked[1], "/sse?channel=c&since=5f.7");
}

static void test_one_that_is_reset_leaves_the_others(void **state)
{
    (void)state;
    make(&protocol_h2_sse, "/sse?channel=c", false);
    come_up(WIRE_MAX);
    nghttp2_submit_rst_stream(server, 0, streams[1], NGHTTP2_INTERNAL_ERROR);
    client_reads(WIRE_MAX);
    assert_int_equal(group.up, STREAMS - 1);
    assert_int_equal(group.counters.closes[LOAD_FAIL_RESET], 1);
    assert_int_equal(links[0].phase, LINK_UP);
    server_says(streams[2], event_of(1), false, WIRE_MAX);
    assert_int_equal(group.counters.deliveries, 1);
}

/* A message that no stash holds is the end of its own stream, and the server is told. */
static void test_one_that_is_given_up_is_reset(void **state)
{
    (void)state;
    static char line[STASH_BYTES_MIN + 2];
    make(&protocol_h2_sse, "/sse?channel=c", false);
    come_up(WIRE_MAX);
    memset(line, 'x', STASH_BYTES_MIN + 1);
    memcpy(line, "data:", 5);
    server_says(streams[0], line, false, 100);
    assert_int_equal(group.counters.closes[LOAD_FAIL_EVENT_LONG], 1);
    assert_int_equal(group.up, STREAMS - 1);
    server_reads();
    assert_int_equal(resets, 1);
    assert_int_equal(links[0].phase, LINK_UP);
}

static void test_one_that_is_refused_ends_an_opening(void **state)
{
    (void)state;
    make(&protocol_h2_sse, "/sse?channel=c", false);
    server_answers(streams[0], "200", NULL, false);
    server_answers(streams[1], "503", "3", false);
    client_reads(5);
    assert_int_equal(links[0].phase, LINK_OPENING);
    server_says(streams[1], "{\"error\":\"busy\",\"retry_ms\":1200}", false, WIRE_MAX);
    assert_int_equal(group.counters.failures[LOAD_FAIL_SHED], 1);
    assert_int_equal(group.counters.status, 503);
    assert_int_equal(links[0].phase, LINK_CLOSING);
    assert_int_equal(subscribers[1].hint, 1200 / WAIT_TICK_MS);
}

static void test_refused_without_a_body(void **state)
{
    (void)state;
    make(&protocol_h2_sse, "/sse?channel=c", false);
    server_answers(streams[2], "503", "3", true);
    client_reads(1);
    assert_int_equal(group.counters.failures[LOAD_FAIL_SHED], 1);
    assert_int_equal(subscribers[2].hint, 3000 / WAIT_TICK_MS);
}

static void test_what_is_not_http2(void **state)
{
    (void)state;
    char text[] = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    make(&protocol_h2_sse, "/sse?channel=c", false);
    link_input(&world, &links[0], text, sizeof text - 1);
    assert_int_equal(group.counters.failures[LOAD_FAIL_HTTP], 1);
    assert_int_equal(links[0].phase, LINK_CLOSING);
}

static void test_a_server_that_says_goodbye(void **state)
{
    (void)state;
    make(&protocol_h2_sse, "/sse?channel=c", false);
    come_up(WIRE_MAX);
    nghttp2_submit_goaway(server, 0, streams[STREAMS - 1], NGHTTP2_NO_ERROR, NULL, 0);
    client_reads(WIRE_MAX);
    server_says(streams[0], event_of(1), false, WIRE_MAX); /* to those who are still there */
    assert_int_equal(group.counters.deliveries, 1);
    for (unsigned i = 0; i < STREAMS; i++)
        nghttp2_submit_rst_stream(server, 0, streams[i], NGHTTP2_NO_ERROR);
    client_reads(WIRE_MAX);
    assert_int_equal(group.counters.closes[LOAD_FAIL_END], STREAMS);
    assert_int_equal(links[0].phase, LINK_CLOSING);
}

/* ---- polls ---- */

static void test_each_answer_brings_the_next_request(void **state)
{
    (void)state;
    make(&protocol_h2_longpoll, "/longpoll?channel=c", false);
    assert_string_equal(asked[0], "/poll?channel=c");
    for (unsigned i = 0; i < STREAMS; i++) {
        server_answers(streams[i], "200", NULL, false);
        server_says(streams[i], "{\"position\":\"5f.0\",\"messages\":[]}", true, 3);
        server_reads();
    }
    assert_int_equal(links[0].phase, LINK_UP);
    assert_int_equal(group.up, STREAMS);
    assert_int_equal(stream_count, 2 * STREAMS);
    assert_string_equal(asked[STREAMS], "/longpoll?channel=c&since=5f.0");
    assert_int_equal(group.counters.requests, 2 * STREAMS);
    assert_int_equal(group.counters.answers, STREAMS);
    assert_int_equal(group.counters.empty_answers, STREAMS);
}

/* ---- WebSockets ---- */

static void test_websockets_that_the_server_does_not_take(void **state)
{
    (void)state;
    make(&protocol_h2_websocket, "/ws?channel=c", false);
    assert_int_equal(stream_count, 0);
    client_reads(WIRE_MAX);
    assert_int_equal(group.counters.failures[LOAD_FAIL_WEBSOCKET], 1);
}

static void test_websockets(void **state)
{
    (void)state;
    char frame[MESSAGE + 3] = "\x81\x40";
    make(&protocol_h2_websocket, "/ws?channel=c", true);
    client_reads(1);
    server_reads();
    assert_int_equal(stream_count, STREAMS);
    assert_string_equal(method, "CONNECT");
    assert_string_equal(asked[0], "/ws?channel=c");
    for (unsigned i = 0; i < STREAMS; i++)
        server_answers(streams[i], "200", NULL, false);
    client_reads(WIRE_MAX);
    assert_int_equal(group.up, STREAMS);
    payload_write(frame + 2, MESSAGE, 1, 1, false);
    server_says(streams[1], frame, false, 1);
    assert_int_equal(group.counters.deliveries, 1);
    assert_int_equal(group.counters.framed_bytes, MESSAGE + 2);
    server_says(streams[2], "\x89\x02hi", false, 1);
    server_reads();
    assert_int_equal(group.counters.pings, 1);
    assert_int_equal(heard_len, 8); /* a pong: head, key, two bytes */
    assert_int_equal((unsigned char)heard[0], 0x8a);
    assert_int_equal((unsigned char)heard[1], 0x82);
    assert_int_equal(heard[6] ^ heard[2], 'h');
    assert_int_equal(heard[7] ^ heard[3], 'i');
    assert_null(((struct session *)world.states[0])->pongs);
}

#define TEST(name) cmocka_unit_test_teardown(name, end_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_streams_of_one_connection),
        TEST(test_a_turn_has_its_own_messages),
        TEST(test_resumes),
        TEST(test_one_that_is_reset_leaves_the_others),
        TEST(test_one_that_is_given_up_is_reset),
        TEST(test_one_that_is_refused_ends_an_opening),
        TEST(test_refused_without_a_body),
        TEST(test_what_is_not_http2),
        TEST(test_a_server_that_says_goodbye),
        TEST(test_each_answer_brings_the_next_request),
        TEST(test_websockets_that_the_server_does_not_take),
        TEST(test_websockets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
