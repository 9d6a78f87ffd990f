/* publish: how a message is written for whichever protocol publishes it; rows of load/protocol.h
 * point here.
 *
 * Threads  any.
 * Memory   the caller's: REQUEST_HEAD_MAX bytes more than the message. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct load;
struct group;

/* One message with what its server wants around it, and its size. */
size_t message_size(const struct group *group, uint32_t number);
size_t message_write(const struct group *group, char *out, uint32_t number, int64_t intended_ns);

/* In a masked frame of a WebSocket. */
size_t publish_frame(const struct load *load, const struct group *group, char *out, uint32_t number,
                     int64_t intended_ns);

/* In a POST. */
size_t publish_post(const struct load *load, const struct group *group, char *out, uint32_t number,
                    int64_t intended_ns);

/* The masking key of a link: one for the life of a connection. */
void publish_key(uint32_t link, uint8_t ret_key[4]);
