/* secure_link: a client's end of a connection with TLS: plaintext above, a fake connection below.
 *
 * Idea     As fake_client_write and fake_client_read, for a client that does not know. Handshakes
 *          are GnuTLS's own; most resume the last session, since a signature costs what hundreds
 *          of turns do. What the seed does not decide is only the content of handshakes and
 *          records, never their length: the certificate is RSA's.
 * Memory   secure_link_free gives back the handshake; the connection below stays the caller's. */
#pragma once

#include "client.h"
#include "tls/handshake.h"

/* What all of them share. */
struct secure_world {
    struct tls_identities *identities;
    struct tls_server *server;
    struct tls_client *clients[2];     /* of 1.2, and of 1.3 */
    struct tls_handshakes *handshakes; /* the clients' */
    struct tls_ticket tickets[2];      /* the last that a client of each got */
    uint64_t full, resumed;
};

struct secure_link {
    struct sim *sim;
    struct fake_client *end;
    struct tls_handshake *handshake; /* NULL: it is over */
    struct tls_handshake *late;      /* of 1.3: waits for its ticket */
    bool is_13;
    bool resumes; /* its hello has a ticket */
    struct tls_keys keys;
    struct bytes out; /* records that have not left */
    unsigned char record[TLS_RECORD_MAX];
    size_t record_len;
    struct span plain;   /* of the record, and not read yet */
    uint64_t received;   /* bytes of records */
    bool spoils, spoilt; /* sends what it should not; has done so: whatever comes of it */
    bool told;           /* close_notify has come */
};

struct secure_world *secure_world_create(void);
void secure_world_free(struct secure_world *world);

/* With `spoils` it changes a bit of what it sends now and then. */
struct secure_link *secure_link_open(struct sim *sim, struct fake_client *end, bool spoils);
void secure_link_free(struct secure_link *link);

/* Plaintext: a count, or -EAGAIN until the handshake is over and what was sealed before has left.
 */
ssize_t secure_link_write(struct secure_link *link, const void *data, size_t size);
/* Plaintext: a count, -EAGAIN, 0 at the end, or -EPROTO when the server has given up. */
ssize_t secure_link_read(struct secure_link *link, void *data, size_t size);
/* Sends what waits, as far as it goes. Returns 0 or negative errno. */
int secure_link_push(struct secure_link *link);
/* Queues close_notify, if it has keys. */
void secure_link_goodbye(struct secure_link *link);
