#include "experiment/cells.h"

#include <inttypes.h>
#include <string.h>

void row_workload(struct table *table, const struct contestant *contestant, const char **last)
{
    if (strcmp(*last, contestant->workload) == 0)
        return;
    *last = contestant->workload;
    table_row(table);
    table_cell(table, "%.31s", *last);
}

void cell_rate(struct table *table, const struct contestant *contestant)
{
    char text[TABLE_NUMBER_MAX];
    table_cell(table, "%s%s", contestant_client_bound(contestant) ? ">=" : "",
               number_short(text, contestant_deliveries_per_s(contestant).median));
}

void cell_cpu(struct table *table, const struct contestant *contestant)
{
    char text[TABLE_NUMBER_MAX];
    if (contestant->server_cpus > 0)
        table_cell(table, "%s", number_time(text, contestant_server_cpu_ns(contestant).median));
    else
        table_cell(table, "unknown");
}

void cells_shares(struct table *table, const struct contestant *contestant)
{
    if (contestant->server_cpus > 0)
        table_cell(table, "%.0f %%", 100 * contestant_server_share(contestant));
    else
        table_cell(table, "unknown");
    table_cell(table, "%.0f %%", 100 * contestant_client_share(contestant));
}

void cell_saturated(struct table *table, const struct contestant *contestant)
{
    table_cell(table, "%s",
               contestant_client_bound(contestant)
                   ? "client-bound"
                   : saturated_name(contestant_saturated(contestant)));
}

void cell_memory(struct table *table, const struct contestant *contestant)
{
    if (contestant && contestant->memory && contestant->memory->known &&
        contestant->connections > 0)
        table_cell(table, "%.0f B",
                   (double)contestant->memory->user_bytes / contestant->connections);
    else
        table_cell(table, "unknown");
}

void cell_ledger(struct table *table, const struct contestant *contestant)
{
    const struct load_ledger *ledger = &contestant->ledger;
    table_cell(table, "%" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64, ledger->lost,
               ledger->duplicate, ledger->out_of_order, ledger->corrupt);
}

void cell_faults(struct table *table, const struct contestant *contestant)
{
    table_cell(table, "%" PRIu64, load_ledger_faults(&contestant->ledger));
}
