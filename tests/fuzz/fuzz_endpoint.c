#include "courier/endpoint.h"

#include <stdlib.h>

#include "courier/reach.h"
#include "fuzz.h"

/* What is read as an endpoint is within its bounds; written, it is read as the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct reach reach;
    char why[512], *texts[2] = {NULL, NULL};
    size_t lens[2] = {0, 0};
    struct span input = fuzz_input(data, size);
    if (reach.port_count == 0)
        assert(reach_read(&reach, "", "1-65535", true, why, sizeof why) == 0);
    for (int i = 0; i < 2; i++) {
        struct endpoint *endpoint = endpoint_read(input, &reach, why, sizeof why);
        assert(endpoint || i == 0);
        if (!endpoint)
            return 0;
        assert(endpoint_id_good(span_from(endpoint->id)));
        assert(endpoint->secret_count > 0 && endpoint->secret_count <= WHSEC_MAX);
        assert(endpoint->batch > 0 && endpoint->concurrency > 0);
        FILE *to = open_memstream(&texts[i], &lens[i]);
        assert(to);
        endpoint_write(endpoint, true, to);
        fclose(to);
        endpoint_wants(endpoint, SPAN("order.paid"), SPAN("news:1"));
        endpoint_free(endpoint);
        input = span_of(texts[0], lens[0]);
    }
    assert(span_equal(span_of(texts[0], lens[0]), span_of(texts[1], lens[1])));
    free(texts[0]);
    free(texts[1]);
    return 0;
}
