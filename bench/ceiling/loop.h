/* loop: the three bare loops, by name.
 *
 * Threads  any.
 * Memory   constants. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum bare_loop {
    BARE_SEND,     /* epoll; one send() for each message and socket                      */
    BARE_COALESCE, /* epoll; one send() for each socket with all that one read brought   */
    BARE_URING,    /* core/ring; the sends of bare-send, 512 to a system call            */
};
#define BARE_LOOP_COUNT 3

/* "bare-send" and so on. */
const char *bare_loop_name(enum bare_loop loop);

/* The loop of that name; `len` bytes. */
bool bare_loop_parse(const char *text, size_t len, enum bare_loop *ret);
