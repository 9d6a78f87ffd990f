#include "broker/redis_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PORT_TEXT_MAX = 16,
};

bool redis_socket_wait(const struct redis_socket *socket, bool room, int timeout_ms)
{
    struct pollfd wait = {.fd = socket->fd, .events = room ? POLLOUT : POLLIN};
    int count;
    do
        count = poll(&wait, 1, timeout_ms);
    while (count < 0 && errno == EINTR);
    return count > 0;
}

/* ---- connecting ---- */

static int say(char *why, size_t why_size, const char *what)
{
    snprintf(why, why_size, "%s", what);
    return -EHOSTUNREACH;
}

static int connect_one(struct redis_socket *to, const struct addrinfo *address, int timeout_ms)
{
    const int on = 1;
    int err = 0;
    socklen_t size = sizeof err;
    to->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (to->fd < 0)
        return -errno;
    setsockopt(to->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(to->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (connect(to->fd, address->ai_addr, address->ai_addrlen) < 0)
        err = errno;
    if (err == EINPROGRESS) {
        err = ETIMEDOUT;
        if (redis_socket_wait(to, true, timeout_ms))
            getsockopt(to->fd, SOL_SOCKET, SO_ERROR, &err, &size);
    }
    if (err != 0) {
        close(to->fd);
        to->fd = -1;
    }
    return -err;
}

static int connect_any(struct redis_socket *to, const struct redis_address *address, char *why,
                       size_t why_size)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char port[PORT_TEXT_MAX];
    snprintf(port, sizeof port, "%d", address->port);
    int err = getaddrinfo(address->host, port, &hints, &found);
    if (err != 0)
        return say(why, why_size, gai_strerror(err));
    err = -EADDRNOTAVAIL;
    for (const struct addrinfo *one = found; one && err < 0; one = one->ai_next)
        err = connect_one(to, one, address->timeout_ms);
    freeaddrinfo(found);
    return err < 0 ? say(why, why_size, strerror(-err)) : 0;
}

/* ---- TLS ---- */

static int files_read(gnutls_certificate_credentials_t *ret, const struct redis_tls *tls, char *why,
                      size_t why_size)
{
    int err = gnutls_certificate_allocate_credentials(ret);
    if (err < 0)
        return say(why, why_size, gnutls_strerror(err));
    bool system = tls->ca[0] == '\0';
    err = system ? gnutls_certificate_set_x509_system_trust(*ret)
                 : gnutls_certificate_set_x509_trust_file(*ret, tls->ca, GNUTLS_X509_FMT_PEM);
    if (err <= 0) {
        snprintf(why, why_size, "%s%s: no certificate of a CA: %s",
                 system ? "" : "redis_ca = ", system ? "the system" : tls->ca,
                 err < 0 ? gnutls_strerror(err) : "none is there");
        return -EINVAL;
    }
    if (tls->certificate[0] == '\0')
        return 0;
    err =
        gnutls_certificate_set_x509_key_file(*ret, tls->certificate, tls->key, GNUTLS_X509_FMT_PEM);
    if (err < 0) {
        snprintf(why, why_size, "redis_certificate = %s, redis_key = %s: %s", tls->certificate,
                 tls->key, gnutls_strerror(err));
        return -EINVAL;
    }
    return 0;
}

int redis_tls_check(const struct redis_tls *tls, char *why, size_t why_size)
{
    gnutls_certificate_credentials_t credentials = NULL;
    int err = tls->on ? files_read(&credentials, tls, why, why_size) : 0;
    if (credentials)
        gnutls_certificate_free_credentials(credentials);
    return err < 0 ? -EINVAL : 0;
}

/* One line of what the peer's certificate lacks. */
static int untrusted(const struct redis_socket *to, char *why, size_t why_size)
{
    unsigned status = gnutls_session_get_verify_cert_status(to->tls);
    gnutls_datum_t text = {NULL, 0};
    if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) < 0)
        return say(why, why_size, "its certificate is not trusted");
    snprintf(why, why_size, "%s", (const char *)text.data);
    for (char *end = why + strlen(why); end > why && end[-1] == ' ';)
        *--end = '\0';
    gnutls_free(text.data);
    return -EHOSTUNREACH;
}

static int shake_hands(struct redis_socket *to, int timeout_ms, char *why, size_t why_size)
{
    int err;
    while ((err = gnutls_handshake(to->tls)) < 0 && !gnutls_error_is_fatal(err)) {
        bool room = gnutls_record_get_direction(to->tls) == 1;
        if (err == GNUTLS_E_AGAIN && !redis_socket_wait(to, room, timeout_ms))
            return say(why, why_size, "TLS: no answer");
    }
    if (err == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR)
        return untrusted(to, why, why_size);
    if (err == GNUTLS_E_FATAL_ALERT_RECEIVED) {
        snprintf(why, why_size, "TLS: it said: %s",
                 gnutls_alert_get_name(gnutls_alert_get(to->tls)));
        return -EHOSTUNREACH;
    }
    if (err < 0) {
        snprintf(why, why_size, "TLS: %s", gnutls_strerror(err));
        return -EHOSTUNREACH;
    }
    return 0;
}

static bool is_name(const char *host)
{
    struct in6_addr any;
    return inet_pton(AF_INET, host, &any) != 1 && inet_pton(AF_INET6, host, &any) != 1;
}

static int secure(struct redis_socket *to, const struct redis_address *address, char *why,
                  size_t why_size)
{
    int err = files_read(&to->credentials, &address->tls, why, why_size);
    if (err < 0)
        return -EHOSTUNREACH;
    err = gnutls_init(&to->tls, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
    if (err == 0)
        err = gnutls_set_default_priority(to->tls);
    if (err == 0)
        err = gnutls_credentials_set(to->tls, GNUTLS_CRD_CERTIFICATE, to->credentials);
    if (err == 0 && is_name(address->host))
        err =
            gnutls_server_name_set(to->tls, GNUTLS_NAME_DNS, address->host, strlen(address->host));
    if (err < 0)
        return say(why, why_size, gnutls_strerror(err));
    gnutls_session_set_verify_cert(to->tls, address->host, 0);
    gnutls_transport_set_int(to->tls, to->fd);
    return shake_hands(to, address->timeout_ms, why, why_size);
}

int redis_socket_open(struct redis_socket *ret, const struct redis_address *address, char *why,
                      size_t why_size)
{
    *ret = (struct redis_socket){.fd = -1};
    int err = connect_any(ret, address, why, why_size);
    if (err == 0 && address->tls.on)
        err = secure(ret, address, why, why_size);
    if (err < 0)
        redis_socket_close(ret);
    return err;
}

void redis_socket_close(struct redis_socket *socket)
{
    if (socket->tls)
        gnutls_deinit(socket->tls);
    if (socket->credentials)
        gnutls_certificate_free_credentials(socket->credentials);
    if (socket->fd >= 0)
        close(socket->fd);
    *socket = (struct redis_socket){.fd = -1};
}

/* ---- bytes ---- */

static bool not_now(ssize_t err)
{
    return err == GNUTLS_E_AGAIN || err == GNUTLS_E_INTERRUPTED;
}

static ssize_t broken(struct redis_socket *socket, ssize_t err)
{
    socket->err = err;
    return -EIO;
}

const char *redis_socket_said(const struct redis_socket *socket)
{
    if (!socket->tls || socket->err == 0)
        return NULL;
    return socket->err == GNUTLS_E_FATAL_ALERT_RECEIVED
               ? gnutls_alert_get_name(gnutls_alert_get(socket->tls))
               : gnutls_strerror((int)socket->err);
}

ssize_t redis_socket_read(struct redis_socket *socket, char *into, size_t size)
{
    if (socket->tls) {
        ssize_t count = gnutls_record_recv(socket->tls, into, size);
        return count > 0 ? count : not_now(count) ? 0 : broken(socket, count);
    }
    ssize_t count = recv(socket->fd, into, size, 0);
    if (count > 0)
        return count;
    return count < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -EIO;
}

ssize_t redis_socket_write(struct redis_socket *socket, const char *bytes, size_t len)
{
    if (socket->tls) {
        ssize_t count = socket->again ? gnutls_record_send(socket->tls, NULL, 0)
                                      : gnutls_record_send(socket->tls, bytes, len);
        socket->again = not_now(count);
        return count >= 0 ? count : socket->again ? 0 : broken(socket, count);
    }
    ssize_t count = send(socket->fd, bytes, len, MSG_NOSIGNAL);
    if (count >= 0)
        return count;
    return errno == EAGAIN || errno == EINTR ? 0 : -EIO;
}
