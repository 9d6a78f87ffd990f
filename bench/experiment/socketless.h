/* socketless: the phantom of a run whose clients have no sockets (--clients socketless).
 *
 * Threads  the bench's.
 * Memory   bench->phantom, from before the experiment until after it. */
#pragma once

#include <netinet/in.h>
#include <stdint.h>

#include "output/result.h"
#include "phantom/network.h"

struct bench;
struct load;
struct options;

/* Refuses options that do not fit the clients, and makes the device where it is wanted. Returns 0,
 * or negative errno after a sentence. */
int socketless_begin(struct bench *bench);

/* Says in the result what the device and the network did, and ends the device. */
void socketless_end(struct bench *bench);

/* What --rtt-ms, --loss and their like make of it. */
struct network_config socketless_network(const struct options *options);

/* Says likewise what became of datagrams over QUIC. */
void socketless_note_datagrams(struct bench *bench, const struct load *load);

/* What clients without sockets have received and sent since `before`; all zero: since the device
 * was made, or there are none. */
struct segments socketless_segments(const struct bench *bench, const struct segments *before);

/* The address that servers listen on; host order. */
uint32_t socketless_host(const struct bench *bench);
