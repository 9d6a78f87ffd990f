/* guest_input: what is said to bytes that no good client sends: the same on every kernel. */
#include <stdio.h>
#include <string.h>

#include "guest.h"

#define GET     "GET /healthz HTTP/1.1\r\nHost: h\r\n"
#define POST    "POST /publish?channel=c HTTP/1.1\r\nHost: h\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

struct input {
    const char *name, *text, *status;
};

static const struct input inputs[] = {
    {"bare LF", "GET /healthz HTTP/1.1\nHost: h\n\n", " 400 "},
    {"folded field", GET "A: b\r\n c\r\n\r\n", " 400 "},
    {"control character in a value", GET "A: \x01\r\n\r\n", " 400 "},
    {"no Host", "GET /healthz HTTP/1.1\r\n\r\n", " 400 "},
    {"version 2", "GET /healthz HTTP/2.0\r\nHost: h\r\n\r\n", " 505 "},
    {"unknown method", "BREW /healthz HTTP/1.1\r\nHost: h\r\n\r\n", " 501 "},
    {"TLS", "\x16\x03\x01\x02\x01\x01\r\n\r\n", " 400 "},
    {"length and chunked", POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     " 400 "},
    {"negative length", POST "Content-Length: -3\r\n\r\n", " 400 "},
    {"a length of gigabytes", POST "Content-Length: 99999999999\r\n\r\n", " 413 "},
    {"chunk size that is no number", CHUNKED "xyz\r\n", " 400 "},
    {"chunk longer than its size", CHUNKED "3\r\nabcd\r\n0\r\n\r\n", " 400 "},
    {"unknown expectation", POST "Expect: the unexpected\r\nContent-Length: 0\r\n\r\n", " 417 "},
};

static void answer_to(struct guest *guest, const struct input *input)
{
    char buffer[4096], title[128];
    int fd = guest_say(guest, input->text);
    bool right = guest_hear(fd, "\r\n\r\n", buffer, sizeof buffer);
    buffer[strcspn(buffer, "\r")] = '\0';
    right = right && strstr(buffer, input->status) && guest_end(fd, guest_now_ms()) >= 0;
    snprintf(title, sizeof title, "bad input: %s", input->name);
    guest_case(guest, title, right, "%s", buffer);
    guest_reset(fd);
}

/* 64 KiB of a head, of which the server reads no more than it allows. */
static void head_without_end(struct guest *guest)
{
    static char head[65536];
    char buffer[4096];
    int fd = guest_say(guest, GET "A: ");
    memset(head, 'a', sizeof head);
    guest_send(fd, head, sizeof head);
    bool right = guest_hear(fd, "\r\n\r\n", buffer, sizeof buffer) && strstr(buffer, " 431 ");
    buffer[strcspn(buffer, "\r")] = '\0';
    guest_case(guest, "bad input: a head of 64 KiB", right, "%s", buffer);
    guest_reset(fd);
}

void guest_bad_input(struct guest *guest)
{
    const char *const settings[] = {NULL};
    char buffer[2048];
    guest_start(guest, settings);
    int other = guest_stream(guest, "other");
    for (size_t i = 0; i < sizeof inputs / sizeof *inputs; i++)
        answer_to(guest, &inputs[i]);
    head_without_end(guest);
    guest_publish(guest, "other", "still-here");
    guest_case(guest, "bad input: others do not notice",
               guest_hear(other, "still-here", buffer, sizeof buffer), "a message came");
    guest_reset(other);
    guest_stop(guest);
}
