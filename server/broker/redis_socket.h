/* redis_socket: bytes to and from one Redis, plain or by TLS. Internal to broker/.
 *
 *   redis_socket_open ─ name, connect, TLS: each step within the timeout ─► read and write, which
 *                                                                           never wait
 *
 * Idea     hiredis 0.14 of Debian 12 has no TLS, and no place for one; so of hiredis is the reader
 *          alone, and the socket is our own. Redis is known by its certificate: by the host that
 *          the settings name, and the CA that they name, or those that the system trusts.
 * Threads  One at a time.
 * Memory   Its own. Certificates are read with each connection: renewed files count from the next.
 * Source   TLS 1.2 and 1.3 of GnuTLS; RFC 6066 section 3 (SNI). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <gnutls/gnutls.h>

enum {
    REDIS_HOST_MAX = 256,
    REDIS_SECRET_MAX = 1024,
    REDIS_PATH_MAX = 512,
};

struct redis_tls {
    bool on;
    char ca[REDIS_PATH_MAX];          /* empty: whom the system trusts */
    char certificate[REDIS_PATH_MAX]; /* of this client; empty: it has none */
    char key[REDIS_PATH_MAX];
};

struct redis_address {
    char host[REDIS_HOST_MAX];
    int port;
    char user[REDIS_SECRET_MAX];     /* empty: the default one */
    char password[REDIS_SECRET_MAX]; /* empty: none */
    struct redis_tls tls;
    int timeout_ms;
    bool cluster; /* it is to be a node of a Redis Cluster */
};

struct redis_socket {
    int fd;
    gnutls_session_t tls; /* NULL: plain */
    gnutls_certificate_credentials_t credentials;
    bool again;  /* TLS holds a record that the socket did not take: it goes first */
    ssize_t err; /* why it broke: of GnuTLS */
};

/* Whether the files can be read. Returns 0, or -EINVAL and a sentence. */
int redis_tls_check(const struct redis_tls *tls, char *why, size_t why_size);

/* Connects. Returns 0, or -EHOSTUNREACH and what went wrong. */
int redis_socket_open(struct redis_socket *ret, const struct redis_address *address, char *why,
                      size_t why_size);
void redis_socket_close(struct redis_socket *socket);

/* Return how many bytes, 0: none can go or come now; or -EIO: it is broken, or at its end. */
ssize_t redis_socket_read(struct redis_socket *socket, char *into, size_t size);
ssize_t redis_socket_write(struct redis_socket *socket, const char *bytes, size_t len);
/* Why it broke, if TLS knows, or NULL. */
const char *redis_socket_said(const struct redis_socket *socket);
/* Waits for something to come, or for room. Returns false when there was none in that time. */
bool redis_socket_wait(const struct redis_socket *socket, bool room, int timeout_ms);
