#include "experiment/secret.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
    SECRET_BYTES = 32,
};

const char secret_setting[] = "token_keys=HS256:env:RINGSIDE_BENCH_KEY";

const char *secret_of_run(void)
{
    static char text[2 * SECRET_BYTES + 1];
    unsigned char bytes[SECRET_BYTES];
    if (text[0])
        return text;
    ssize_t got = getrandom(bytes, sizeof bytes, 0);
    assert(got == sizeof bytes);
    for (unsigned i = 0; i < SECRET_BYTES; i++)
        snprintf(text + 2 * (size_t)i, 3, "%02x", bytes[i]);
    int err = setenv("RINGSIDE_BENCH_KEY", text, 1);
    assert(err == 0);
    return text;
}
