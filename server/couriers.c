#include "couriers.h"

#include <stdio.h>
#include <string.h>

#include "conn/shard.h"
#include "courier/events.h"

int couriers_create(struct server *server, const struct settings *settings, char *why,
                    size_t why_size)
{
    int err = 0;
    for (int role = 0; role < COURIER_ROLES && err == 0; role++)
        err = courier_create(&server->couriers[role], (enum courier_role)role, settings, why,
                             why_size);
    return err;
}

unsigned couriers_count(const struct server *server)
{
    unsigned count = 0;
    for (int role = 0; role < COURIER_ROLES; role++)
        count += server->couriers[role] != NULL;
    return count;
}

struct hub_witness *couriers_witness(const struct server *server)
{
    struct courier *courier = server->couriers[COURIER_WEBHOOKS];
    struct events *events = courier ? courier_events(courier) : NULL;
    return events ? &events->witness : NULL;
}

static void wake_shard(void *context, unsigned shard)
{
    const struct server *server = context;
    ring_wake(server->shards[shard]->ring);
}

int couriers_start(struct server *server, unsigned which)
{
    const struct courier_waker waker = {wake_shard, server};
    int err = 0;
    for (int role = 0; role < COURIER_ROLES && err == 0; role++)
        if (server->couriers[role])
            err = courier_start(server->couriers[role], server->hubs, which++, &waker);
    if (err < 0)
        fprintf(stderr, "ringside-server: the courier's thread: %s\n", strerror(-err));
    return err;
}

void couriers_end(struct server *server)
{
    for (int role = 0; role < COURIER_ROLES; role++)
        courier_end(server->couriers[role]);
}

void couriers_free(struct server *server)
{
    for (int role = 0; role < COURIER_ROLES; role++)
        courier_free(server->couriers[role]);
}
