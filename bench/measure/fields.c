#include "measure/fields.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    LINE_BYTES = 512,
    FIELDS_MAX = 16,
};

unsigned fields_split(char *line, char **fields, unsigned max)
{
    unsigned count = 0;
    char *state;
    for (char *field = strtok_r(line, " \t\n", &state); field && count < max;
         field = strtok_r(NULL, " \t\n", &state))
        fields[count++] = field;
    return count;
}

bool field_number(const char *field, int base, uint64_t *ret)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(field, &end, base);
    if (end == field || *end != '\0' || errno != 0)
        return false;
    *ret = value;
    return true;
}

uint64_t fields_read_number(const char *path, unsigned n, uint64_t otherwise)
{
    char line[LINE_BYTES], *fields[FIELDS_MAX];
    FILE *file = fopen(path, "re");
    if (!file)
        return otherwise;
    unsigned count = fgets(line, sizeof line, file) ? fields_split(line, fields, FIELDS_MAX) : 0;
    fclose(file);
    if (n < count)
        field_number(fields[n], 10, &otherwise);
    return otherwise;
}
