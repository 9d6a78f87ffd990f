#include "courier/syncer.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/bell.h"

enum syncer_state {
    SYNCER_IDLE,
    SYNCER_ASKED,
    SYNCER_OVER,
    SYNCER_LEAVING,
};

struct syncer {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum syncer_state state; /* under the lock, as is err */
    int err;
    int fd;
    const struct bell *bell;
};

static void *run(void *context)
{
    struct syncer *syncer = context;
    pthread_mutex_lock(&syncer->lock);
    while (syncer->state != SYNCER_LEAVING) {
        if (syncer->state != SYNCER_ASKED) {
            pthread_cond_wait(&syncer->changed, &syncer->lock);
            continue;
        }
        pthread_mutex_unlock(&syncer->lock);
        int err = fdatasync(syncer->fd) < 0 ? -errno : 0;
        pthread_mutex_lock(&syncer->lock);
        syncer->err = err;
        syncer->state = SYNCER_OVER;
        pthread_cond_broadcast(&syncer->changed);
        if (syncer->bell)
            bell_ring(syncer->bell);
    }
    pthread_mutex_unlock(&syncer->lock);
    return NULL;
}

int syncer_create(struct syncer **ret, const char *path, const struct bell *bell)
{
    struct syncer *syncer = calloc(1, sizeof *syncer);
    if (!syncer)
        return -ENOMEM;
    syncer->bell = bell;
    syncer->fd = open(path, O_RDWR | O_CLOEXEC);
    int err = syncer->fd < 0 ? errno : 0;
    pthread_mutex_init(&syncer->lock, NULL);
    pthread_cond_init(&syncer->changed, NULL);
    if (err == 0)
        err = pthread_create(&syncer->thread, NULL, run, syncer);
    if (err > 0) {
        if (syncer->fd >= 0)
            close(syncer->fd);
        free(syncer);
        return -err;
    }
    *ret = syncer;
    return 0;
}

void syncer_free(struct syncer *syncer)
{
    if (!syncer)
        return;
    syncer_wait(syncer);
    pthread_mutex_lock(&syncer->lock);
    syncer->state = SYNCER_LEAVING;
    pthread_cond_broadcast(&syncer->changed);
    pthread_mutex_unlock(&syncer->lock);
    pthread_join(syncer->thread, NULL);
    pthread_cond_destroy(&syncer->changed);
    pthread_mutex_destroy(&syncer->lock);
    close(syncer->fd);
    free(syncer);
}

void syncer_begin(struct syncer *syncer)
{
    pthread_mutex_lock(&syncer->lock);
    assert(syncer->state == SYNCER_IDLE);
    syncer->state = SYNCER_ASKED;
    pthread_cond_broadcast(&syncer->changed);
    pthread_mutex_unlock(&syncer->lock);
}

bool syncer_end(struct syncer *syncer, int *ret_err)
{
    pthread_mutex_lock(&syncer->lock);
    bool over = syncer->state != SYNCER_ASKED;
    if (over) {
        *ret_err = syncer->state == SYNCER_OVER ? syncer->err : 0;
        syncer->state = SYNCER_IDLE;
    }
    pthread_mutex_unlock(&syncer->lock);
    return over;
}

void syncer_wait(struct syncer *syncer)
{
    pthread_mutex_lock(&syncer->lock);
    while (syncer->state == SYNCER_ASKED)
        pthread_cond_wait(&syncer->changed, &syncer->lock);
    pthread_mutex_unlock(&syncer->lock);
}
