#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"

#include "conf/cpus.h"
#include "conf/settings.h"

/* A config file. What is refused has a sentence; what is read twice says the same twice. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int file = -1;
    char path[64], why[256] = "";
    if (file < 0)
        file = memfd_create("config", MFD_CLOEXEC);
    assert(file >= 0 && ftruncate(file, 0) == 0);
    assert(pwrite(file, data, size, 0) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    struct settings once, twice;
    settings_default(&once);
    settings_default(&twice);
    int err = settings_read(&once, path, why, sizeof why);
    assert(settings_read(&twice, path, why, sizeof why) == err);
    if (err == 0) {
        int cpus[CPUS_MAX];
        err = settings_check(&once, why, sizeof why);
        assert(settings_check(&twice, why, sizeof why) == err);
        (void)cpus_read(cpus, once.allowed_origins, why, sizeof why);
    }
    assert(strlen(why) < sizeof why && (err == 0 || why[0] != '\0'));
    return 0;
}
