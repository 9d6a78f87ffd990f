/* Samples in, the text of their histogram out: lets other decoders judge output/hdr.
 *
 *   hdr_dump < samples        one decimal number per line */
#include "core/histogram.c"
#include "output/hdr.c"
#include "wire/base64.c"

#include <inttypes.h>
#include <stdio.h>

int main(void)
{
    struct histogram *h = histogram_create();
    uint64_t value;
    while (h && scanf("%" SCNu64, &value) == 1)
        histogram_record(h, value);
    char *text = h ? hdr_encode(h) : NULL;
    if (!text)
        return 1;
    puts(text);
    free(text);
    histogram_free(h);
    return 0;
}
