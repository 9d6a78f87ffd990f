/* tun: a network device whose other end is this process.
 *
 *   the server's kernel ─► device ─► tun_read      tun_write ─► device ─► the server's kernel
 *
 * Idea     Each packet carries a virtio header: the kernel leaves checksums open, and hands over
 *          and takes several segments as one packet, as it does with a network card.
 * Threads  the owner's.
 * Memory   a packet is the caller's.
 * Put back The device, its addresses and routes end with tun_close, or with the process. Nothing
 *          else is changed.
 * Errors   0 or a count; negative errno, with a sentence that says what to do. */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum {
    TUN_NAME_MAX = 16,
    TUN_HEAD = 10, /* of the kernel's, before a packet */
    TUN_PACKET_MAX = 65536,
    TUN_MTU = 1500,
    TUN_QUEUE = 500000, /* packets that wait for tun_read; beyond, the kernel drops */
};

struct tun {
    int fd;
    char name[TUN_NAME_MAX];
};

struct tun_packet {
    char head[TUN_HEAD];
    char bytes[TUN_PACKET_MAX];
};

struct tun_config {
    const char *name;
    uint32_t address; /* of the server's side; host order */
    unsigned bits;    /* of its network, which all lies behind the device */
    bool large;       /* several segments in one packet */
};

/* Makes the device in this network namespace. `ret->fd` is for poll(2). */
int tun_open(struct tun *ret, const struct tun_config *config, char *why, size_t why_size);
void tun_close(struct tun *tun);

/* Whether packets of up to 64 KiB are taken and given; changes it. Returns 0 or negative errno. */
int tun_large(const struct tun *tun, bool large);

/* Lets these CPUs receive what is written, and not the one that writes (RPS). Returns 0 or
 * negative errno. */
int tun_receive_on(const struct tun *tun, const cpu_set_t *cpus);

/* Packets that found the queue full, since it was made; 0 where that is not known. */
uint64_t tun_dropped(const struct tun *tun);

/* Returns the bytes of a packet, or -EAGAIN. `ret_vouched`: its checksum need not be looked at. */
ptrdiff_t tun_read(const struct tun *tun, struct tun_packet *packet, bool *ret_vouched);

/* Writes a packet whose TCP checksum is open (segment_head_write). One of more than `mss` bytes of
 * payload is several segments. Returns 0 or negative errno. */
int tun_write(const struct tun *tun, const char *head, size_t head_len, const struct iovec *payload,
              unsigned count, size_t payload_len, uint16_t mss);
