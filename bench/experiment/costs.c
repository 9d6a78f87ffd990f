#include "experiment/costs.h"

#include <stdio.h>

static double kernel_each(const struct contestant *contestant)
{
    int64_t bytes = 0;
    for (unsigned i = 0; i < contestant->memory->slab.count; i++)
        bytes += contestant->memory->slab.caches[i].bytes;
    return (double)bytes / contestant->connections;
}

/* How many connections a GiB holds at the server: its user memory, and its end of the kernel's,
 * which is half of what grew when the clients are on this machine too. */
static double per_gib(const struct contestant *contestant)
{
    double user = (double)contestant->memory->user_bytes / contestant->connections;
    return (double)(UINT64_C(1) << 30) / (user + kernel_each(contestant) / 2);
}

void costs_cells(struct table *table, const struct contestant *contestant)
{
    char text[TABLE_NUMBER_MAX];
    const struct memory_growth *memory = contestant->connections > 0 ? contestant->memory : NULL;
    if (memory && memory->known)
        table_cell(table, "%.1f B", (double)memory->user_bytes / contestant->connections);
    else
        table_cell(table, "unknown");
    if (memory && memory->kernel_known)
        table_cell(table, "%.0f B", kernel_each(contestant));
    else
        table_cell(table, "unknown");
    if (memory && memory->known && memory->kernel_known)
        table_cell(table, "%s", number_grouped(text, (uint64_t)per_gib(contestant)));
    else
        table_cell(table, "unknown");
    if (contestant->idle_elapsed_s > 0)
        table_cell(table, "%.3f %%",
                   100 * contestant->idle_server_cpu_s / contestant->idle_elapsed_s);
    else
        table_cell(table, "%s", "");
}

void costs_print_slab(const struct contestant *contestant)
{
    enum {
        CACHES_SHOWN = 8
    };
    const struct memory_growth *memory = contestant->memory;
    if (!memory || !memory->kernel_known || contestant->connections == 0)
        return;
    printf("\n  %s, kernel objects per connection (both ends):", contestant->name);
    for (unsigned i = 0; i < memory->slab.count && i < CACHES_SHOWN; i++) {
        const struct slab_cache *cache = &memory->slab.caches[i];
        printf("%s %s %.2f (%.0f B)", i ? "," : "", cache->name,
               (double)cache->objects / contestant->connections,
               (double)cache->bytes / contestant->connections);
    }
    printf("\n");
}
