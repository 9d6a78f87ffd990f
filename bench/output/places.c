#include "output/places.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *places_path(const char *name, char path[PLACES_PATH_MAX])
{
    char self[PLACES_PATH_MAX / 2];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    self[len > 0 ? len : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (slash)
        *slash = '\0';
    snprintf(path, PLACES_PATH_MAX, "%.2000s/../share/ringside/%s", self, name);
    return path;
}
