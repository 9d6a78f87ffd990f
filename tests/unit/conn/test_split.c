/* Every valid request, handshake and frame, cut at every byte, and one byte at a time: the answer
 * is the same as to the whole. */
#include "split.h"

enum {
    INPUT_MAX = 256 * 1024,
    EVERY_BYTE = 2000, /* so far from a mark each byte is a cut, in a short input everywhere */
    MARKS_MAX = 32,
    AROUND = 20,   /* a mark, in a long input */
    SPREAD = 3001, /* between cuts elsewhere */
    FRAMES_MAX = 8,
    STEP = 997, /* of a long input that comes in small pieces */
};

#define PUBLISH_A "POST /publish?channel=a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"
#define BEFORE    PUBLISH_A "first"
#define AFTER     PUBLISH_A "later"
#define TEN(text) text text text text text text text text text text
/* Six times as long in JSON: an answer in pieces. */
#define PUBLISH_LARGE                                                                              \
    "POST /publish?channel=a HTTP/1.1\r\nHost: h\r\nContent-Length: 20000\r\n\r\n" TEN(            \
        TEN(TEN("\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1")))
#define GET(target) "GET " target " HTTP/1.1\r\nHost: h\r\n\r\n"
#define UPGRADE                                                                                    \
    " HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                        \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

/* ---- what is sent ---- */

/* Behind `before`, which another client says, and ahead of `after`. */
struct request {
    const char *text;
    const char *good; /* is in the answer */
};

static const struct request requests[] = {
    /* forms of a head */
    {GET("/poll?channel=a&since=start"), "\"data\":\"first\""},
    {"\r\n" GET("/poll?channel=a&since=start"), "\"data\":\"first\""},
    {"GET /poll?channel=a HTTP/1.0\r\n\r\n", "\"position\""},
    {"GET /poll?channel=a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "keep-alive"},
    {"GET /poll?channel=a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "close"},
    {"GET http://h.example:8080/poll?channel=a HTTP/1.1\r\nHost: h\r\n\r\n", "\"position\""},
    {"GET /poll?channel=%61&channel=b/1:x@y&since=start HTTP/1.1\r\nhOST:[::1]:80\r\n\r\n",
     "\"data\":\"first\""},
    {"GET /poll?channel=a HTTP/1.1\r\nHost: \t h \t\r\nX-Empty:\r\nX-Blank: \t\r\n"
     "X-Bytes: \x80\xff\r\nAccept: a, b;q=0.1\r\nAccept: c\r\nCookie: a=b; c=\"d e\"\r\n"
     "Origin: http://a.example\r\nCache-Control: no-cache\r\n\r\n",
     "Access-Control-Allow-Origin"},
    /* methods */
    {"HEAD /poll?channel=a HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 "},
    {"HEAD /longpoll?channel=a HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 "},
    {"HEAD /sse?channel=a HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 "},
    {"HEAD /healthz HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 "},
    {"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 204 "},
    {"OPTIONS /publish HTTP/1.1\r\nHost: h\r\nOrigin: http://a.example\r\n"
     "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n\r\n",
     "Access-Control-Allow-Methods"},
    /* held */
    {GET("/longpoll?channel=a"), "\"data\":\"later\""},
    {GET("/longpoll?channel=a&since=start"), "\"data\":\"first\""},
    {GET("/longpoll?channel=b&channel=a"), "\"data\":\"later\""},
    {"GET /longpoll?channel=a HTTP/1.0\r\n\r\n", "\"data\":\"later\""},
    {"GET /longpoll?channel=a HTTP/1.1\r\nHost: h\r\nOrigin: null\r\n\r\n", "\"data\":\"later\""},
    {GET("/longpoll?channel=a") GET("/healthz"), "\"status\""},
    /* streams */
    {GET("/sse?channel=a"), "data: later"},
    {GET("/sse?channel=a&since=start"), "data: first"},
    {GET("/sse?channel=b&channel=a&since=start"), "data: first"},
    {"GET /sse?channel=a HTTP/1.0\r\n\r\n", "data: later"},
    {"GET /sse?channel=a HTTP/1.1\r\nHost: h\r\nAccept: text/event-stream\r\n"
     "Last-Event-ID: 1.0\r\n\r\n",
     "data: later"},
    {GET("/sse?channel=a") "what is behind it is dropped", "data: later"},
    /* bodies */
    {BEFORE, "\"offset\":2"},
    {PUBLISH_A "later" BEFORE, "\"offset\":3"},
    {"POST /publish?channel=a HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "\"offset\":2"},
    {"POST /publish?channel=a HTTP/1.0\r\nContent-Length: 3\r\n\r\nold", "\"offset\":2"},
    {"POST /publish?channel=a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
     "Content-Length: 5\r\n\r\nasked",
     "\"offset\":2"},
    {"POST /publish?channel=a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "\"offset\":2"},
    {"POST /publish?channel=a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
     "1\r\na\r\n00A;name=value;other=\"quoted; \"\r\n0123456789\r\n3 ;x\r\nabc\r\n000\r\n"
     "Trailer: value\r\nEmpty:\r\n\r\n" GET("/poll?channel=a&since=start"),
     "\"data\":\"a0123456789abc\""},
    /* together */
    {GET("/poll?channel=a") GET("/healthz"), "\"status\""},
    {GET("/poll?channel=a&since=start") "\r\n" GET("/poll?channel=b"), "\"data\":\"first\""},
    {BEFORE GET("/poll?channel=a&since=start"), "\"offset\":2"},
    {PUBLISH_LARGE GET("/poll?channel=a&since=start") GET("/healthz"), "\"status\""},
    {PUBLISH_LARGE "GET /longpoll?channel=a&since=start HTTP/1.0\r\n\r\n", "\\u0001\"}"},
    {GET("/") GET("/nowhere") GET("/poll") GET("/healthz"), "\"status\""},
    {"PUT /poll HTTP/1.1\r\nHost: h\r\n\r\n" GET("/healthz"), "\"status\""},
    {GET("/poll?channel=a") "GET /ws?channel=a" UPGRADE "\r\n", "later"},
    /* handshakes */
    {"GET /ws?channel=a" UPGRADE "\r\n", "later"},
    {"GET /ws?channel=a&since=start" UPGRADE "Origin: http://a.example\r\n\r\n", "first"},
    {"GET /ws?channel=a&channel=b&envelope=1&since=start" UPGRADE
     "Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
     "first"},
    {"GET /ws?channel=a HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\n"
     "connection:upgrade\r\nUpgrade: h2c, WebSocket\r\nSec-WebSocket-Version: 13\r\n"
     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
     "later"},
    {"GET /ws?channel=a" UPGRADE "\r\n\x81\x82\1\2\3\4im", "later"},
};

/* Of a client; the payload continues through the fragments of a message. */
struct frame_sent {
    bool is;      /* the list ends with one that is not */
    uint8_t head; /* FIN and opcode */
    uint32_t len;
    uint32_t whole;   /* of the message, where this frame begins one that goes on */
    const char *text; /* the payload, if it is of the test's choice */
};

enum {
    FIN = 0x80,
    LARGE = 65535,
};

#define FRAME(head, len)                                                                           \
    {                                                                                              \
        true, head, len, 0, NULL                                                                   \
    }
#define BEGIN(head, len, whole)                                                                    \
    {                                                                                              \
        true, head, len, whole, NULL                                                               \
    }
#define SAID(head, text)                                                                           \
    {                                                                                              \
        true, head, sizeof(text) - 1, 0, text                                                      \
    }

/* What a turn brings of several kinds has no order: a pong, an answer to a publish, the message. So
 * each has a conversation of its own. */
static const struct conversation {
    const char *target;
    const char *good;
    struct frame_sent frames[FRAMES_MAX];
} conversations[] = {
    {"/echo", "", {FRAME(FIN | WS_TEXT, 0), FRAME(FIN | WS_BINARY, 0)}},
    {"/echo",
     "x",
     {FRAME(FIN | WS_TEXT, 125), FRAME(FIN | WS_BINARY, 126), FRAME(FIN | WS_TEXT, 127)}},
    {"/echo", "x", {FRAME(FIN | WS_TEXT, LARGE)}},
    {"/echo", "x", {FRAME(FIN | WS_BINARY, LARGE + 1), FRAME(FIN | WS_TEXT, 1)}},
    {"/echo",
     "x",
     {BEGIN(WS_TEXT, 7, 21), FRAME(WS_CONTINUATION, 8), FRAME(FIN | WS_CONTINUATION, 6)}},
    {"/echo",
     "x",
     {BEGIN(WS_TEXT, 0, 131), SAID(FIN | WS_PING, "ping"), FRAME(WS_CONTINUATION, 5),
      SAID(FIN | WS_PONG, ""), FRAME(FIN | WS_CONTINUATION, 126), FRAME(FIN | WS_TEXT, 3)}},
    {"/echo", "x", {BEGIN(WS_BINARY, 125, LARGE), FRAME(FIN | WS_CONTINUATION, LARGE - 125)}},
    {"/echo", "\x8a", {SAID(FIN | WS_PING, "")}},
    {"/echo", "\x8a", {FRAME(FIN | WS_PING, 125), FRAME(FIN | WS_TEXT, 9)}},
    {"/echo", "\x03\xe8", {FRAME(FIN | WS_TEXT, 5), SAID(FIN | WS_CLOSE, "\x03\xe8 bye")}},
    {"/echo", "\x88", {SAID(FIN | WS_CLOSE, "")}},
    {"/ws?channel=a", "later", {FRAME(FIN | WS_TEXT, 12), FRAME(FIN | WS_BINARY, 300)}},
    {"/ws?channel=a", "x", {BEGIN(WS_TEXT, 2, 29), FRAME(FIN | WS_CONTINUATION, 27)}},
    {"/ws?channel=a&envelope=1",
     "\"published\":true",
     {SAID(FIN | WS_TEXT, "{\"channel\":\"a\",\"data\":\"one\"}")}},
    {"/ws?channel=b&channel=a&envelope=1",
     "\"published\":true",
     {SAID(WS_TEXT, "{\"channel\":\"a\",\"base"),
      SAID(FIN | WS_CONTINUATION, "64\":true,\"data\":\"AP8=\"}    ")}},
    {"/ws?channel=a", "\x88\x02\x03\xe9", {SAID(FIN | WS_CLOSE, "\x03\xe9")}},
};

/* What one delivery consists of. */
struct input {
    char name[100];
    const char *good;
    char bytes[INPUT_MAX];
    size_t len;
    size_t marks[MARKS_MAX]; /* where something begins or ends */
    unsigned mark_count;
};

static void add(struct input *input, const void *bytes, size_t len)
{
    assert_true(input->len + len <= sizeof input->bytes && input->mark_count < MARKS_MAX);
    memcpy(input->bytes + input->len, bytes, len);
    input->len += len;
    input->marks[input->mark_count++] = input->len;
}

/* UTF-8 of all lengths, and what is left over in ASCII. */
static char payload_byte(size_t at, size_t whole)
{
    static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9d\x84\x9e";
    const size_t period = sizeof text - 1;
    return at < whole / period * period ? text[at % period] : 'x';
}

static void add_frame(struct input *input, const struct frame_sent *frame, size_t *at,
                      size_t *whole)
{
    static char payload[LARGE + 1];
    static const uint8_t key[4] = {0x12, 0xff, 0x00, 0x81};
    uint8_t head[14] = {frame->head, (uint8_t)(0x80 | frame->len)};
    size_t size = 2;
    if (frame->len > LARGE) {
        head[1] = 0x80 | 127;
        for (unsigned i = 0; i < 8; i++)
            head[size++] = (uint8_t)((uint64_t)frame->len >> (56 - 8 * i));
    } else if (frame->len > 125) {
        head[1] = 0x80 | 126;
        head[size++] = (uint8_t)(frame->len >> 8);
        head[size++] = (uint8_t)frame->len;
    }
    memcpy(head + size, key, sizeof key);
    add(input, head, size + sizeof key);
    bool control = frame->head & 0x08;
    if (!control && (frame->head & 0x0f) != WS_CONTINUATION) {
        *at = 0;
        *whole = frame->whole > 0 ? frame->whole : frame->len;
    }
    for (size_t i = 0; i < frame->len; i++) {
        char byte = control ? 'p' : payload_byte(*at + i, *whole);
        payload[i] = (char)((uint8_t)(frame->text ? frame->text[i] : byte) ^ key[i % 4]);
    }
    if (!control)
        *at += frame->len;
    add(input, payload, frame->len);
}

static void input_of_request(struct input *input, const struct request *request)
{
    input->len = input->mark_count = 0;
    input->good = request->good;
    snprintf(input->name, sizeof input->name, "%.*s", (int)strcspn(request->text + 2, "\r"),
             request->text);
    add(input, request->text, strlen(request->text));
}

static void input_of_conversation(struct input *input, const struct conversation *conversation)
{
    char head[512];
    size_t at = 0, whole = 0;
    input->len = input->mark_count = 0;
    input->good = conversation->good;
    int len = snprintf(head, sizeof head, "GET %s" UPGRADE "\r\n", conversation->target);
    add(input, head, (size_t)len);
    unsigned count = 0;
    for (; count < FRAMES_MAX && conversation->frames[count].is; count++)
        add_frame(input, &conversation->frames[count], &at, &whole);
    snprintf(input->name, sizeof input->name, "%s, %u frames of %02x, %u bytes",
             conversation->target, count, conversation->frames[0].head,
             conversation->frames[0].len);
}

/* ---- how it comes ---- */

/* The interim answer is for a client that waits with its body, and the whole has none. */
static void forget_interim(struct split_answer *answer)
{
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const size_t len = sizeof interim - 1;
    if (answer->len < len || memcmp(answer->bytes, interim, len) != 0)
        return;
    answer->len -= len;
    memmove(answer->bytes, answer->bytes + len, answer->len);
}

/* In pieces; and then it says nothing more, at once or when it has its answer. */
static void deliver(struct split *split, const struct input *input, size_t first, size_t then,
                    bool fin, struct split_answer *ret)
{
    ret->len = 0;
    ret->ended = false;
    split_aside(split, BEFORE);
    split_open(split, LISTENER_PLAIN);
    for (size_t at = 0, step = first; at < input->len; at += step, step = then) {
        step = step < input->len - at ? step : input->len - at;
        split_write(split, input->bytes + at, step, fin && at + step == input->len);
        split_read(split, ret);
    }
    split_aside(split, AFTER);
    split_read(split, ret);
    if (split->fake.shard->budgets[BUDGET_INPUT].bytes > 0)
        fail_msg("%s, cut at %zu: something of it is held", input->name, first);
    split_write(split, NULL, 0, !fin);
    split_read(split, ret);
    split_leave(split);
    forget_interim(ret);
}

/* Where an input is cut next. */
static size_t next_cut(const struct input *input, size_t at)
{
    if (input->len <= EVERY_BYTE)
        return at + 1;
    size_t next = at / SPREAD * SPREAD + SPREAD;
    for (unsigned i = 0; i < input->mark_count; i++) {
        size_t mark = input->marks[i], from = mark > AROUND ? mark - AROUND : 1;
        if (at + 1 >= from && at < mark + AROUND)
            return at + 1;
        if (from > at && from < next)
            next = from;
    }
    return next;
}

static void sweep(struct split *split, const struct input *input, bool fin)
{
    static struct split_answer whole, answer;
    deliver(split, input, input->len, input->len, fin, &whole);
    if (!fin && !memmem(whole.bytes, whole.len, input->good, strlen(input->good)))
        fail_msg("%s: %.*s", input->name, (int)whole.len, whole.bytes);
    for (size_t at = 1; at < input->len; at = next_cut(input, at)) {
        deliver(split, input, at, input->len, fin, &answer);
        split_compare(input->name, at, input->len, &whole, &answer);
    }
    deliver(split, input, 1, input->len <= EVERY_BYTE ? 1 : STEP, fin, &answer);
    split_compare(input->name, 1, input->len, &whole, &answer);
}

/* ---- tests ---- */

static void every_request(void **state)
{
    static struct split split;
    static struct input input;
    (void)state;
    fake_shard_init(&split.fake);
    split_begin(&split);
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        input_of_request(&input, &requests[i]);
        sweep(&split, &input, false);
        sweep(&split, &input, true);
    }
    split_end(&split);
}

static void every_frame(void **state)
{
    static struct split split;
    static struct input input;
    (void)state;
    fake_shard_init(&split.fake);
    split_begin(&split);
    for (size_t i = 0; i < sizeof conversations / sizeof conversations[0]; i++) {
        input_of_conversation(&input, &conversations[i]);
        sweep(&split, &input, false);
    }
    split_end(&split);
}

/* Ahead of a request. */
static void every_header_of_a_proxy(void **state)
{
#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
    static const struct span headers[] = {
        SPAN_INIT("PROXY UNKNOWN\r\n"),
        SPAN_INIT("PROXY UNKNOWN whatever it says\r\n"),
        SPAN_INIT("PROXY TCP4 192.0.2.1 198.51.100.255 65535 80\r\n"),
        SPAN_INIT("PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 1 443\r\n"),
        SPAN_INIT(SIGNATURE "\x20\0\0\0"),
        SPAN_INIT(SIGNATURE "\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\xff\xff\xff\0\x50"),
        SPAN_INIT(SIGNATURE "\x21\x21\0\x29\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
                            "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2\0\1\0\x50"
                            "\4\0\2\0\0"),
    };
#undef SIGNATURE
    static struct split split;
    static struct input input;
    (void)state;
    fake_shard_init(&split.fake);
    split.fake.settings.proxy_protocol = true;
    split_begin(&split);
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        input.len = input.mark_count = 0;
        input.good = "\"data\":\"first\"";
        snprintf(input.name, sizeof input.name, "header %zu of a proxy", i);
        add(&input, headers[i].ptr, headers[i].len);
        add(&input, requests[0].text, strlen(requests[0].text));
        sweep(&split, &input, false);
    }
    split_end(&split);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request),
        cmocka_unit_test(every_frame),
        cmocka_unit_test(every_header_of_a_proxy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
