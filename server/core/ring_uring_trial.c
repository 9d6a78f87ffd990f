/* ring_uring_trial: the behaviour of this kernel's io_uring, tried out on two pipes and a pair of
 * sockets.
 *
 *   park a poll on one pipe ─► close the other ─► does its reader see the end?
 *
 * Before Linux 6.13 a file that leaves a table of direct descriptors is put only when every request
 * is over that was issued before and used one. Parked polls are such requests, so as long as one
 * client idles nobody's connection ends. Versions do not tell: fixes are carried back. */
#include "core/ring_uring.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SEEN_MS = 20,   /* a close is seen when the submission returns; where it is late, by a second */
    FIRED_MS = 500, /* what is ready fires at once */
    TRIAL_ENTRIES = 8,
    PARKED = 0,
    CLOSED = 1,
};

/* Pipes: the kernel has ways of its own for unix sockets in tables. */
struct trial {
    struct io_uring uring;
    struct ring_table table; /* only its fds */
    int32_t fds[2]; /* the ends that the ring has: the reader of one, the writer of the other */
    int others[2];
};

static void pipe_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static int trial_begin(struct trial *trial, bool direct)
{
    int parked[2], closed[2];
    if (pipe2(parked, O_CLOEXEC) < 0)
        return -errno;
    trial->fds[PARKED] = parked[0];
    trial->others[PARKED] = parked[1];
    if (pipe2(closed, O_CLOEXEC) < 0)
        return -errno;
    trial->fds[CLOSED] = closed[1];
    trial->others[CLOSED] = closed[0];
    trial->table.fds = direct ? NULL : trial->fds;
    if (!direct)
        return 0;
    int err = io_uring_register_files_sparse(&trial->uring, 2);
    if (err == 0)
        err = io_uring_register_files_update(&trial->uring, 0, trial->fds, 2);
    pipe_close(&trial->fds[PARKED]);
    pipe_close(&trial->fds[CLOSED]);
    return err < 0 ? err : 0;
}

/* Its completion, or -ETIME. */
static int result(struct trial *trial)
{
    struct __kernel_timespec timeout = {.tv_nsec = FIRED_MS * 1000000LL};
    struct io_uring_cqe *cqe;
    int err = io_uring_submit_and_wait_timeout(&trial->uring, &cqe, 1, &timeout, NULL);
    if (err < 0)
        return err;
    int res = cqe->res;
    io_uring_cqe_seen(&trial->uring, cqe);
    return res;
}

/* A send is over when its submission returns, and says nothing when it took everything; a receive
 * that finds nothing does not wait. */
static int try_batch(struct trial *trial, int ours, int theirs)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&trial->uring);
    char byte = 'x';
    io_uring_prep_send(sqe, ours, &byte, 1, MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL);
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    sqe = io_uring_get_sqe(&trial->uring);
    io_uring_prep_recv(sqe, ours, &byte, 1, MSG_DONTWAIT);
    int n = io_uring_submit(&trial->uring);
    if (n < 0)
        return n;
    if (recv(theirs, &byte, 1, MSG_DONTWAIT) != 1)
        return -EOPNOTSUPP;
    n = result(trial);
    return n == -EAGAIN ? 0 : -EOPNOTSUPP;
}

static int try_sockets(struct trial *trial)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    int err = try_batch(trial, pair[0], pair[1]);
    close(pair[0]);
    close(pair[1]);
    return err;
}

static int try_close(struct trial *trial)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&trial->uring);
    io_uring_prep_poll_add(sqe, 0, POLLIN);
    ring_target(&trial->table, sqe, PARKED);
    int n = io_uring_submit(&trial->uring);
    if (n < 0)
        return n;
    if (trial->table.fds) {
        pipe_close(&trial->fds[CLOSED]);
    } else {
        sqe = io_uring_get_sqe(&trial->uring);
        io_uring_prep_close_direct(sqe, CLOSED);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
        n = io_uring_submit(&trial->uring);
        if (n < 0)
            return n;
    }
    struct pollfd reader = {.fd = trial->others[CLOSED], .events = POLLIN};
    bool seen = poll(&reader, 1, SEEN_MS) == 1;

    char byte = 'x';
    if (write(trial->others[PARKED], &byte, 1) != 1)
        return -errno;
    n = result(trial);
    if (n < 0)
        return n;
    return n & POLLIN ? seen : -EOPNOTSUPP;
}

int ring_trial(bool direct)
{
    struct trial trial = {.fds = {-1, -1}, .others = {-1, -1}};
    struct io_uring_params params = {.flags = RING_SETUP_FLAGS, .cq_entries = TRIAL_ENTRIES * 2};
    int err = io_uring_queue_init_params(TRIAL_ENTRIES, &trial.uring, &params);
    if (err < 0)
        return err;
    err = trial_begin(&trial, direct);
    if (err == 0)
        err = try_sockets(&trial);
    if (err == 0)
        err = try_close(&trial);
    io_uring_queue_exit(&trial.uring);
    for (int i = 0; i < 2; i++) {
        pipe_close(&trial.fds[i]);
        pipe_close(&trial.others[i]);
    }
    return err;
}
