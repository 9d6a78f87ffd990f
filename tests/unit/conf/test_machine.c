/* What a control group leaves of a machine, from the files that the kernel shows it in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "conf/machine.h"

enum {
    FILES_MAX = 6
};

struct machine_row {
    const char *name;
    const char *groups; /* /proc/self/cgroup */
    struct {
        const char *path, *text;
    } files[FILES_MAX];
    uint64_t memory;
    uint32_t cpus;
};

static const struct machine_row rows[] = {
    {"no control groups", NULL, {{NULL, NULL}}, UINT64_MAX, UINT32_MAX},
    {"version 2, no limits",
     "0::/a.slice/b.service\n",
     {{"a.slice/b.service/memory.max", "max\n"}, {"a.slice/b.service/cpu.max", "max 100000\n"}},
     UINT64_MAX,
     UINT32_MAX},
    {"version 2, its own",
     "0::/a.slice/b.service\n",
     {{"a.slice/b.service/memory.max", "268435456\n"},
      {"a.slice/b.service/cpu.max", "150000 100000\n"}},
     268435456,
     2},
    {"version 2, its parent's are smaller",
     "0::/a.slice/b.service\n",
     {{"a.slice/memory.max", "1000000\n"},
      {"a.slice/cpu.max", "50000 100000\n"},
      {"a.slice/b.service/memory.max", "2000000\n"},
      {"a.slice/b.service/cpu.max", "300000 100000\n"}},
     1000000,
     1},
    {"version 2, in a namespace of its own",
     "0::/\n",
     {{"memory.max", "5000000\n"}, {"cpu.max", "400000 100000\n"}},
     5000000,
     4},
    {"version 1, a tree for each",
     "5:memory:/docker/x\n4:cpuset:/docker/x\n3:cpu,cpuacct:/docker/x\n",
     {{"memory/docker/x/memory.limit_in_bytes", "4000000\n"},
      {"cpu,cpuacct/docker/x/cpu.cfs_quota_us", "250000\n"},
      {"cpu,cpuacct/docker/x/cpu.cfs_period_us", "100000\n"}},
     4000000,
     3},
    {"version 1, its group seen as the root of the tree",
     "4:memory:/docker/x\n1:cpu:/docker/x\n0::/\n",
     {{"memory/memory.limit_in_bytes", "3000000\n"},
      {"cpu/cpu.cfs_quota_us", "-1\n"},
      {"cpu/cpu.cfs_period_us", "100000\n"}},
     3000000,
     UINT32_MAX},
    {"what is no limit",
     "nonsense\n0::/x\n7:memory\n",
     {{"x/memory.max", "many\n"}, {"x/cpu.max", "7\n"}},
     UINT64_MAX,
     UINT32_MAX},
};

static void write_file(const char *root, const char *folder, const char *path, const char *text)
{
    char name[512];
    snprintf(name, sizeof name, "%s%s/%s", root, folder, path);
    for (char *at = name + strlen(root) + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        mkdir(name, 0700);
        *at = '/';
    }
    FILE *file = fopen(name, "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

static void a_group_leaves_what_it_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct machine_row *row = &rows[i];
        char root[] = "machine-XXXXXX";
        assert_non_null(mkdtemp(root));
        if (row->groups)
            write_file(root, "/proc/self", "cgroup", row->groups);
        for (size_t k = 0; k < FILES_MAX && row->files[k].path; k++)
            write_file(root, "/sys/fs/cgroup", row->files[k].path, row->files[k].text);
        uint64_t memory = machine_group_memory(root), left = machine_memory(root);
        uint32_t cpus = machine_group_cpus(root);
        assert_int_equal(nftw(root, remove_one, FILES_MAX, FTW_DEPTH | FTW_PHYS), 0);
        if (memory != row->memory || cpus != row->cpus)
            fail_msg("%s: %llu bytes, %u cores", row->name, (unsigned long long)memory, cpus);
        assert_true(left <= row->memory && left > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_group_leaves_what_it_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
