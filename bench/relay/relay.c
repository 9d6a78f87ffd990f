#include "relay/relay.h"

#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/pages.h"
#include "measure/clock.h"
#include "phantom/random.h"
#include "relay/agenda.h"
#include "relay/delay.h"

enum {
    SQ_ENTRIES = 4096,
    CQ_ENTRIES = 16384,
    CLIENT = 0, /* sides of a link; pipe S carries what side S has sent */
    SERVER = 1,
};

static const int64_t WAIT_MAX_NS = (int64_t)1 * NS_PER_S;

enum operation {
    OP_ACCEPT,
    OP_CONNECT,
    OP_RECEIVE,
    OP_SEND,
    OP_CANCEL,
    OP_COUNT,
};

struct pipe {
    struct delay delay;
    bool receiving; /* an operation of the kernel's is under way */
    bool sending;
    bool reset; /* the end of this stream is a reset */
    bool done;  /* the end has been passed on */
};

/* One client's connection and the one made for it to the server. */
struct link {
    struct pipe pipes[2];
    int fds[2];
    int64_t open_ns;    /* a handshake's round trip after the accept */
    unsigned under_way; /* operations whose completion is to come */
    bool closing;
    uint32_t next_free;
};

struct relay {
    struct relay_config config;
    struct relay_stats stats;
    struct histogram *late;
    struct io_uring uring;
    struct agenda agenda; /* parties: 2 * link + side */
    struct link *links;
    char *area; /* windows and marks of all directions */
    size_t area_size;
    uint32_t first_free;
    int listen_fd;
    uint64_t random;
    int64_t now_ns;
    bool ring_made;
};

#define NO_LINK UINT32_MAX

/* ---- user_data: operation, side and link in one word ---- */

static uint64_t tag_of(enum operation operation, uint32_t index, unsigned side)
{
    return (uint64_t)operation << 56 | (uint64_t)side << 48 | index;
}

static struct io_uring_sqe *entry(struct relay *relay)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&relay->uring);
    if (!sqe) {
        io_uring_submit(&relay->uring);
        sqe = io_uring_get_sqe(&relay->uring);
    }
    assert(sqe);
    return sqe;
}

static uint32_t index_of(const struct relay *relay, const struct link *link)
{
    return (uint32_t)(link - relay->links);
}

/* ---- submitting: one function per operation ---- */

static void submit_accept(struct relay *relay)
{
    struct io_uring_sqe *sqe = entry(relay);
    io_uring_prep_multishot_accept(sqe, relay->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(sqe, tag_of(OP_ACCEPT, 0, 0));
}

static void submit_connect(struct relay *relay, struct link *link)
{
    struct io_uring_sqe *sqe = entry(relay);
    io_uring_prep_connect(sqe, link->fds[SERVER], (const struct sockaddr *)&relay->config.to,
                          sizeof relay->config.to);
    io_uring_sqe_set_data64(sqe, tag_of(OP_CONNECT, index_of(relay, link), 0));
    link->under_way++;
}

static void submit_receive(struct relay *relay, struct link *link, unsigned side)
{
    struct pipe *pipe = &link->pipes[side];
    if (pipe->receiving || pipe->delay.ended || link->closing)
        return;
    struct iovec room = delay_room(&pipe->delay);
    if (room.iov_len == 0) {
        relay->stats.full++;
        return;
    }
    struct io_uring_sqe *sqe = entry(relay);
    io_uring_prep_recv(sqe, link->fds[side], room.iov_base, room.iov_len, 0);
    io_uring_sqe_set_data64(sqe, tag_of(OP_RECEIVE, index_of(relay, link), side));
    pipe->receiving = true;
    link->under_way++;
}

static void submit_send(struct relay *relay, struct link *link, unsigned side, struct iovec due)
{
    struct io_uring_sqe *sqe = entry(relay);
    io_uring_prep_send(sqe, link->fds[!side], due.iov_base, due.iov_len, MSG_NOSIGNAL);
    io_uring_sqe_set_data64(sqe, tag_of(OP_SEND, index_of(relay, link), side));
    link->pipes[side].sending = true;
    link->under_way++;
}

static void submit_cancel(struct relay *relay, struct link *link, unsigned side)
{
    struct io_uring_sqe *sqe = entry(relay);
    io_uring_prep_cancel_fd(sqe, link->fds[side], IORING_ASYNC_CANCEL_ALL);
    io_uring_sqe_set_data64(sqe, tag_of(OP_CANCEL, index_of(relay, link), side));
    link->under_way++;
}

/* ---- the life of a link ---- */

static void reset_on_close(int fd)
{
    const struct linger linger = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
}

static void no_delay(int fd)
{
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void link_free(struct relay *relay, struct link *link)
{
    close(link->fds[CLIENT]);
    close(link->fds[SERVER]);
    link->fds[CLIENT] = link->fds[SERVER] = -1;
    link->next_free = relay->first_free;
    relay->first_free = index_of(relay, link);
}

/* Descriptors are closed once no operation can touch them. Who may have ended a link calls this
 * last. */
static void link_leave(struct relay *relay, struct link *link)
{
    if (link->closing && link->under_way == 0)
        link_free(relay, link);
}

static void link_end(struct relay *relay, struct link *link, bool reset)
{
    if (link->closing)
        return;
    link->closing = true;
    for (unsigned side = CLIENT; side <= SERVER; side++) {
        agenda_set(&relay->agenda, 2 * index_of(relay, link) + side, AGENDA_NEVER);
        if (reset)
            reset_on_close(link->fds[side]);
        if (link->under_way > 0)
            submit_cancel(relay, link, side);
    }
}

static char *area_of(const struct relay *relay, uint32_t party)
{
    size_t each = relay->config.window_bytes + RELAY_MARKS * sizeof(struct delay_mark);
    return relay->area + party * each;
}

static void link_start(struct relay *relay, struct link *link, int client_fd, int server_fd)
{
    *link = (struct link){
        .fds = {client_fd, server_fd},
        .open_ns = relay->now_ns + relay->config.rtt_ns,
    };
    for (unsigned side = CLIENT; side <= SERVER; side++) {
        char *area = area_of(relay, 2 * index_of(relay, link) + side);
        void *marks = area + relay->config.window_bytes;
        delay_init(&link->pipes[side].delay, area, relay->config.window_bytes, marks, RELAY_MARKS);
        no_delay(link->fds[side]);
    }
    submit_connect(relay, link);
}

/* ---- moving bytes ---- */

static int64_t due_ns(struct relay *relay, const struct link *link)
{
    int64_t from_ns = relay->now_ns > link->open_ns ? relay->now_ns : link->open_ns;
    int64_t jitter_ns = relay->config.jitter_ns;
    if (jitter_ns > 0)
        jitter_ns = (int64_t)(random_next(&relay->random) % (uint64_t)(jitter_ns + 1));
    return from_ns + relay->config.rtt_ns / 2 + jitter_ns;
}

/* Passes the end of one direction on. With both ends passed on the link is over. */
static void pipe_over(struct relay *relay, struct link *link, unsigned side)
{
    struct pipe *pipe = &link->pipes[side];
    agenda_set(&relay->agenda, 2 * index_of(relay, link) + side, AGENDA_NEVER);
    pipe->done = true;
    if (pipe->reset) {
        link_end(relay, link, true);
        return;
    }
    shutdown(link->fds[!side], SHUT_WR);
    if (link->pipes[!side].done)
        link_end(relay, link, false);
}

/* Sends what is due, or sets the time for it. While a send is under way nothing else happens. */
static void pipe_step(struct relay *relay, uint32_t party)
{
    struct link *link = &relay->links[party / 2];
    unsigned side = party % 2;
    struct pipe *pipe = &link->pipes[side];
    if (pipe->sending || link->closing || pipe->done) {
        agenda_set(&relay->agenda, party, AGENDA_NEVER);
        return;
    }
    struct iovec due = delay_due(&pipe->delay, relay->now_ns);
    if (due.iov_len > 0) {
        agenda_set(&relay->agenda, party, AGENDA_NEVER);
        submit_send(relay, link, side, due);
    } else if (delay_over(&pipe->delay, relay->now_ns)) {
        pipe_over(relay, link, side);
    } else {
        agenda_set(&relay->agenda, party, delay_next_ns(&pipe->delay));
    }
}

/* ---- completions: one function per operation ---- */

static int server_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? -errno : fd;
}

static void refuse(struct relay *relay, int fd)
{
    relay->stats.refused++;
    reset_on_close(fd);
    close(fd);
}

static void handle_accept(struct relay *relay, const struct io_uring_cqe *cqe)
{
    if (!(cqe->flags & IORING_CQE_F_MORE))
        submit_accept(relay);
    if (cqe->res < 0)
        return;
    int server_fd = relay->first_free == NO_LINK ? -EMFILE : server_socket();
    if (server_fd < 0) {
        refuse(relay, cqe->res);
        return;
    }
    struct link *link = &relay->links[relay->first_free];
    relay->first_free = link->next_free;
    relay->stats.accepted++;
    link_start(relay, link, cqe->res, server_fd);
}

static void handle_connect(struct relay *relay, struct link *link, int res)
{
    if (res < 0 && !link->closing) {
        relay->stats.unreachable++;
        link_end(relay, link, true);
        return;
    }
    submit_receive(relay, link, CLIENT);
    submit_receive(relay, link, SERVER);
}

static void handle_receive(struct relay *relay, struct link *link, unsigned side, int res)
{
    struct pipe *pipe = &link->pipes[side];
    pipe->receiving = false;
    if (link->closing)
        return;
    pipe->reset = res < 0;
    if (res > 0)
        delay_push(&pipe->delay, (uint32_t)res, due_ns(relay, link));
    else
        delay_end(&pipe->delay, due_ns(relay, link));
    pipe_step(relay, 2 * index_of(relay, link) + side);
    submit_receive(relay, link, side);
}

static void handle_send(struct relay *relay, struct link *link, unsigned side, int res)
{
    struct pipe *pipe = &link->pipes[side];
    pipe->sending = false;
    if (link->closing)
        return;
    if (res <= 0) {
        link_end(relay, link, true);
        return;
    }
    relay->stats.bytes[side] += (uint64_t)res;
    delay_take(&pipe->delay, (uint32_t)res, relay->now_ns, relay->late);
    pipe_step(relay, 2 * index_of(relay, link) + side);
    submit_receive(relay, link, side);
}

static void handle(struct relay *relay, const struct io_uring_cqe *cqe)
{
    enum operation operation = (enum operation)(cqe->user_data >> 56);
    unsigned side = cqe->user_data >> 48 & 1;
    struct link *link = &relay->links[(uint32_t)cqe->user_data];
    assert(operation < OP_COUNT);
    if (operation == OP_ACCEPT) {
        handle_accept(relay, cqe);
        return;
    }
    link->under_way--;
    if (operation == OP_CONNECT)
        handle_connect(relay, link, cqe->res);
    else if (operation == OP_RECEIVE)
        handle_receive(relay, link, side, cqe->res);
    else if (operation == OP_SEND)
        handle_send(relay, link, side, cqe->res);
    link_leave(relay, link);
}

/* ---- the loop ---- */

/* Parties that are due now send; each is then off the agenda, or has a later time. */
static void send_due(struct relay *relay)
{
    relay->now_ns = clock_now_ns();
    while (agenda_next_ns(&relay->agenda) <= relay->now_ns) {
        uint32_t party = agenda_first(&relay->agenda);
        pipe_step(relay, party);
        link_leave(relay, &relay->links[party / 2]);
    }
}

static int wait_for_next(struct relay *relay)
{
    int64_t next_ns = agenda_next_ns(&relay->agenda);
    int64_t wait_ns = WAIT_MAX_NS;
    if (next_ns < relay->now_ns + wait_ns)
        wait_ns = next_ns > relay->now_ns ? next_ns - relay->now_ns : 0;
    struct __kernel_timespec timeout = {wait_ns / NS_PER_S, wait_ns % NS_PER_S};
    struct io_uring_cqe *cqe;
    int err = io_uring_submit_and_wait_timeout(&relay->uring, &cqe, 1, &timeout, NULL);
    return err >= 0 || err == -ETIME || err == -EINTR || err == -EBUSY ? 0 : err;
}

static void handle_all(struct relay *relay)
{
    struct io_uring_cqe *cqe;
    unsigned head, count = 0;
    relay->now_ns = clock_now_ns();
    io_uring_for_each_cqe(&relay->uring, head, cqe)
    {
        handle(relay, cqe);
        count++;
    }
    io_uring_cq_advance(&relay->uring, count);
}

int relay_run(struct relay *relay, const volatile bool *stop)
{
    int err = 0;
    submit_accept(relay);
    while (err == 0 && !*stop) {
        send_due(relay);
        err = wait_for_next(relay);
        handle_all(relay);
    }
    return err;
}

/* ---- making and ending it ---- */

static int links_init(struct relay *relay)
{
    const struct relay_config *config = &relay->config;
    size_t each = config->window_bytes + RELAY_MARKS * sizeof(struct delay_mark);
    relay->area_size = (size_t)config->connections * 2 * each;
    relay->links = calloc(config->connections, sizeof *relay->links);
    relay->area = pages_map(relay->area_size);
    if (!relay->links || !relay->area)
        return -ENOMEM;
    relay->first_free = NO_LINK;
    for (uint32_t i = config->connections; i-- > 0;) {
        relay->links[i].fds[CLIENT] = relay->links[i].fds[SERVER] = -1;
        relay->links[i].next_free = relay->first_free;
        relay->first_free = i;
    }
    return agenda_init(&relay->agenda, 2 * config->connections);
}

static int uring_init(struct relay *relay)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
        .cq_entries = CQ_ENTRIES,
    };
    int err = io_uring_queue_init_params(SQ_ENTRIES, &relay->uring, &params);
    relay->ring_made = err == 0;
    return err;
}

int relay_create(struct relay **ret, const struct relay_config *config, int listen_fd)
{
    assert(config->connections > 0 && config->connections <= RELAY_CONNECTIONS_MAX);
    assert(config->window_bytes <= RELAY_WINDOW_MAX);
    struct relay *relay = calloc(1, sizeof *relay);
    if (!relay)
        return -ENOMEM;
    relay->config = *config;
    relay->listen_fd = listen_fd;
    relay->random = config->seed;
    relay->now_ns = clock_now_ns();
    relay->late = histogram_create();
    int err = relay->late ? links_init(relay) : -ENOMEM;
    if (err == 0)
        err = uring_init(relay);
    if (err < 0) {
        relay_free(relay);
        return err;
    }
    *ret = relay;
    return 0;
}

static void close_all(struct relay *relay)
{
    for (uint32_t i = 0; relay->links && i < relay->config.connections; i++) {
        struct link *link = &relay->links[i];
        for (unsigned side = CLIENT; side <= SERVER; side++) {
            if (link->fds[side] < 0)
                continue;
            reset_on_close(link->fds[side]);
            close(link->fds[side]);
        }
    }
}

void relay_free(struct relay *relay)
{
    if (!relay)
        return;
    close_all(relay);
    if (relay->ring_made)
        io_uring_queue_exit(&relay->uring);
    agenda_done(&relay->agenda);
    histogram_free(relay->late);
    free(relay->links);
    pages_unmap(relay->area, relay->area_size);
    free(relay);
}

const struct relay_stats *relay_stats(const struct relay *relay)
{
    return &relay->stats;
}

const struct histogram *relay_late(const struct relay *relay)
{
    return relay->late;
}
