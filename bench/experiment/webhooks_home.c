#include "experiment/webhooks_home.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    CONNECTIONS = 512, /* of a server */
    SETTING_MAX = 256,
    PATH_MAX_HERE = 64,
    HOSTS = 250, /* numbers of an address that are used, of each of its last two bytes */
};

static int key_draw(struct webhooks_home *home)
{
    uint8_t bytes[16];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return bench_fail(-EIO, "no random bytes");
    for (unsigned i = 0; i < sizeof bytes; i++)
        snprintf(home->key + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

static FILE *open_in(const struct webhooks_home *home, const char *name)
{
    char path[PATH_MAX_HERE];
    snprintf(path, sizeof path, "%s/%s", home->folder, name);
    FILE *file = fopen(path, "w");
    if (!file)
        bench_fail(-errno, "cannot write %s: %s", path, strerror(errno));
    return file;
}

int webhooks_home_make(struct webhooks_home *home)
{
    snprintf(home->folder, sizeof home->folder, "/var/tmp/ringside-hooks-XXXXXX");
    if (!mkdtemp(home->folder)) {
        home->folder[0] = '\0';
        return bench_fail(-errno, "no folder for the queues: %s", strerror(errno));
    }
    int err = key_draw(home);
    FILE *key = err == 0 ? open_in(home, "key") : NULL;
    if (!key)
        return -EIO;
    fprintf(key, "%s\n", home->key);
    return fclose(key) == 0 ? 0 : bench_fail(-EIO, "the key is not written");
}

static void remove_of(const struct webhooks_home *home, const char *name, unsigned number,
                      const char *end)
{
    char path[PATH_MAX_HERE];
    snprintf(path, sizeof path, "%s/%s-%u%s", home->folder, name, number, end);
    unlink(path);
}

void webhooks_home_remove(const struct webhooks_home *home)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal", ".lock"};
    char path[PATH_MAX_HERE];
    if (home->folder[0] == '\0')
        return;
    for (unsigned number = 0; number < WEBHOOKS_SERVERS_MAX; number++) {
        remove_of(home, "endpoints", number, "");
        for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
            remove_of(home, "queue", number, ends[i]);
    }
    snprintf(path, sizeof path, "%s/key", home->folder);
    unlink(path);
    rmdir(home->folder);
}

static int endpoints_write(const struct webhooks_home *home, unsigned number,
                           const struct webhooks_loop *loop, uint32_t endpoints, uint32_t channels)
{
    /* Of no worth: nobody here verifies. */
    static const char secret[] = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz";
    const struct sockaddr_in at = webhooks_loop_address(loop);
    char name[32];
    snprintf(name, sizeof name, "endpoints-%u", number);
    FILE *file = open_in(home, name);
    if (!file)
        return -EIO;
    for (uint32_t i = 0; i < endpoints; i++)
        fprintf(file,
                "%s{\"id\": \"e%u\", \"url\": \"http://127.%u.%u.%u:%u/%u/%u\", "
                "\"events\": [\"bench\"], \"channels\": [\"c%u\"], \"secrets\": [\"%s\"]}",
                i == 0 ? "[" : ",\n", i, 1 + i / (HOSTS * HOSTS), i / HOSTS % HOSTS, 1 + i % HOSTS,
                ntohs(at.sin_port), number, i, i % channels, secret);
    fprintf(file, "]\n");
    return fclose(file) == 0 ? 0 : bench_fail(-EIO, "the endpoints are not written");
}

int webhooks_home_serve(const struct webhooks_home *home, struct bench *bench, unsigned number,
                        const struct webhooks_loop *loop, uint32_t endpoints, uint32_t channels,
                        struct server **ret)
{
    char queue[SETTING_MAX], where[SETTING_MAX], keys[SETTING_MAX];
    const char *const settings[] = {
        queue, where, keys, "courier_private=127.0.0.0/8", "webhook_retry_max_ms=2000", NULL};
    assert(number < WEBHOOKS_SERVERS_MAX);
    snprintf(queue, sizeof queue, "webhook_queue=%s/queue-%u", home->folder, number);
    snprintf(where, sizeof where, "webhook_endpoints=%s/endpoints-%u", home->folder, number);
    snprintf(keys, sizeof keys, "api_keys=file:%s/key", home->folder);
    int err = endpoints_write(home, number, loop, endpoints, channels);
    return err < 0 ? err : bench_server_start(bench, CONNECTIONS, settings, ret);
}
