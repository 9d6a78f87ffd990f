#include "ports.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "conf/settings.h"
#include "conn/shard.h"
#include "udp.h"

enum {
    ADMIN_BACKLOG = 64,
};

static int port_read(struct port *ret, const char *setting, const char *text, int64_t backlog,
                     char *why, size_t why_size)
{
    ret->open = text[0] != '\0';
    int err = ret->open ? listener_address(&ret->address, setting, text, why, why_size) : 0;
    ret->address.backlog = (int)backlog;
    return err;
}

int ports_read(struct ports *ret, const struct settings *settings, char *why, size_t why_size)
{
    int64_t backlog = settings->listen_backlog;
    int err =
        port_read(&ret->of[LISTENER_PLAIN], "listen", settings->listen, backlog, why, why_size);
    if (err == 0)
        err = port_read(&ret->of[LISTENER_TLS], "tls_listen", settings->tls_listen, backlog, why,
                        why_size);
    if (err == 0)
        err = port_read(&ret->of[LISTENER_ADMIN], "admin_listen", settings->admin_listen,
                        ADMIN_BACKLOG, why, why_size);
    return err;
}

int ports_open(struct ports *ports, const struct settings *settings, unsigned shards, char *why,
               size_t why_size)
{
    for (unsigned i = 0; i < RING_LISTENERS_MAX; i++) {
        struct port *port = &ports->of[i];
        for (unsigned shard = 0; port->open && shard < shards; shard++) {
            if (port->inherited)
                continue;
            int fd = listener_open(&port->address, shard == 0, settings, why, why_size);
            if (fd < 0)
                return fd;
            port->fds[shard] = fd;
        }
    }
    struct udp_port *quic = &ports->udp[DATAGRAM_QUIC];
    quic->open = settings->http3 && ports->of[LISTENER_TLS].open;
    int err = quic->open ? udp_open_quic(quic->fds, shards, &ports->of[LISTENER_TLS].address,
                                         quic->joins, why, why_size)
                         : 0;
    if (err == 0 && quic->open && !quic->joins)
        ports->routed = udp_route(quic->fds[0], shards) == 0;
    struct udp_port *rtc = &ports->udp[DATAGRAM_RTC];
    rtc->open = settings->rtc_address[0] != '\0';
    if (err == 0 && rtc->open)
        err = udp_open_rtc(rtc->fds, rtc->numbers, shards, (uint16_t)settings->rtc_port, rtc->joins,
                           why, why_size);
    return err;
}

int ports_take_over(struct ports *ports, unsigned shards, char *why, size_t why_size)
{
    const struct udp_port *quic = &ports->udp[DATAGRAM_QUIC];
    if (!quic->open || !quic->joins)
        return 0;
    int err = udp_route_apart(quic->fds[0], shards, ports->predecessor_tag);
    ports->routed = err == 0;
    if (err < 0)
        snprintf(why, why_size, "the UDP port is not shared with the predecessor: %s; restart it",
                 strerror(-err));
    return err;
}

void ports_take_all(const struct ports *ports, unsigned shards)
{
    if (ports->udp[DATAGRAM_QUIC].open)
        udp_route(ports->udp[DATAGRAM_QUIC].fds[0], shards);
}

void ports_close(const struct ports *ports, unsigned shards)
{
    for (unsigned i = shards; ports->udp[DATAGRAM_QUIC].open && i-- > 0;)
        close(ports->udp[DATAGRAM_QUIC].fds[i]);
}

struct span ports_alt_svc(const struct ports *ports, char area[ALT_SVC_MAX])
{
    const struct listen_address *address = &ports->of[LISTENER_TLS].address;
    if (!ports->udp[DATAGRAM_QUIC].open)
        return (struct span){0};
    /* The port stands at the same place in either kind of address. */
    int len = snprintf(area, ALT_SVC_MAX, "Alt-Svc: h3=\":%u\"; ma=86400\r\n",
                       ntohs(address->ipv4.sin_port));
    return span_of(area, (size_t)len);
}

void ports_announce(const struct ports *ports)
{
    static const char *const schemes[] = {
        [LISTENER_PLAIN] = "http",
        [LISTENER_TLS] = "https",
        [LISTENER_ADMIN] = "for the operator on http",
    };
    const char *between = "";
    for (unsigned i = 0; i < RING_LISTENERS_MAX; i++) {
        char name[LISTENER_NAME_MAX];
        if (!ports->of[i].open)
            continue;
        listener_name(&ports->of[i].address, name);
        printf("%s%s://%s/", between, schemes[i], name);
        if (i == LISTENER_TLS && ports->udp[DATAGRAM_QUIC].open)
            printf(" (also by HTTP/3)");
        between = " and ";
    }
}

bool ports_open_to_others(const struct ports *ports)
{
    for (unsigned i = 0; i < RING_LISTENERS_MAX; i++) {
        const struct port *port = &ports->of[i];
        if (i != LISTENER_ADMIN && port->open && !listener_is_loopback(&port->address))
            return true;
    }
    return false;
}
