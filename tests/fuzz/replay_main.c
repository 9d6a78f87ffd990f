/* Runs a fuzzer over files, without libFuzzer: fuzz_<codec> DIRECTORY. Any compiler will do. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

/* Larger than what libFuzzer makes by default. */
#define INPUT_BYTES_MAX (1 << 16)

static int replay_file(const char *path)
{
    static uint8_t read_buf[INPUT_BYTES_MAX];
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return 1;
    }
    size_t size = fread(read_buf, 1, sizeof read_buf, file);
    int failed = ferror(file);
    failed |= fclose(file);
    /* A block of exactly that size: a sanitizer then sees one byte too many. */
    uint8_t *data = malloc(size > 0 ? size : 1);
    if (failed || !data) {
        fprintf(stderr, "%s: cannot be read\n", path);
        free(data);
        return 1;
    }
    memcpy(data, read_buf, size);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 0;
}

static int skip_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    struct dirent **entries;
    int failed = 0;
    if (argc != 2) {
        fprintf(stderr, "usage: %s CORPUS-DIRECTORY\n", argv[0]);
        return 2;
    }
    int count = scandir(argv[1], &entries, skip_hidden, alphasort);
    if (count <= 0) {
        fprintf(stderr, "%s: no inputs\n", argv[1]);
        return 1;
    }
    for (int i = 0; i < count; i++) {
        char path[PATH_MAX];
        int len = snprintf(path, sizeof path, "%s/%s", argv[1], entries[i]->d_name);
        failed |= len < 0 || (size_t)len >= sizeof path || replay_file(path);
        free(entries[i]);
    }
    free(entries);
    printf("%d inputs replayed from %s\n", count, argv[1]);
    return failed;
}
