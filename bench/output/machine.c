#include "output/machine.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "config.h"
#include "core/ring.h"

enum {
    LINE_MAX_BYTES = 512,
    WHY_MAX = 512,
};

/* Those that decide how many connections fit and how fast bytes move. */
static const char *const sysctls[] = {
    "fs.file-max",
    "fs.nr_open",
    "kernel.io_uring_disabled",
    "net.core.busy_poll",
    "net.core.busy_read",
    "net.core.netdev_max_backlog",
    "net.core.rps_sock_flow_entries",
    "net.core.somaxconn",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_autocorking",
    "net.ipv4.tcp_congestion_control",
    "net.ipv4.tcp_ehash_entries",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_max_orphans",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_max_tw_buckets",
    "net.ipv4.tcp_mem",
    "net.ipv4.tcp_moderate_rcvbuf",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_sack",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_timestamps",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_window_scaling",
    "net.ipv4.tcp_wmem",
    "net.netfilter.nf_conntrack_max",
    "vm.max_map_count",
    "vm.overcommit_memory",
    "vm.swappiness",
};

/* The first line of a file, without its end and with single spaces; false when there is none. */
static bool first_line(const char *path, char text[LINE_MAX_BYTES])
{
    FILE *file = fopen(path, "re");
    bool found = file && fgets(text, LINE_MAX_BYTES, file);
    if (file)
        fclose(file);
    if (!found)
        return false;
    text[strcspn(text, "\n")] = '\0';
    for (char *at = text; *at; at++)
        if (*at == '\t')
            *at = ' ';
    return true;
}

static json_t *read_sysctls(void)
{
    json_t *map = json_object();
    for (size_t i = 0; i < sizeof sysctls / sizeof sysctls[0]; i++) {
        char path[128] = "/proc/sys/", text[LINE_MAX_BYTES];
        size_t prefix = strlen(path);
        snprintf(path + prefix, sizeof path - prefix, "%s", sysctls[i]);
        for (char *at = path + prefix; *at; at++)
            if (*at == '.')
                *at = '/';
        if (first_line(path, text))
            json_object_set_new(map, sysctls[i], json_string(text));
    }
    return map;
}

/* The value behind `name` in a file of lines "name : value" or "name=value". */
static void value_of(const char *path, const char *name, const char *separators,
                     char text[LINE_MAX_BYTES])
{
    char line[LINE_MAX_BYTES];
    size_t len = strlen(name);
    FILE *file = fopen(path, "re");
    snprintf(text, LINE_MAX_BYTES, "unknown");
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, name, len) != 0)
            continue;
        const char *value = line + len + strspn(line + len, separators);
        snprintf(text, LINE_MAX_BYTES, "%.*s", (int)strcspn(value, "\"\n"), value);
        break;
    }
    if (file)
        fclose(file);
}

/* What the kernel does against the holes of this CPU, by name: it is part of what a system call
 * costs. Those that do not affect it are left out. */
static json_t *read_mitigations(void)
{
    static const char folder[] = "/sys/devices/system/cpu/vulnerabilities";
    static const char spared[] = "Not affected";
    json_t *map = json_object();
    DIR *found = opendir(folder);
    const struct dirent *entry;
    while (found && (entry = readdir(found))) {
        char path[sizeof folder + sizeof entry->d_name + 1], text[LINE_MAX_BYTES];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] != '.' && first_line(path, text) && strcmp(text, spared) != 0)
            json_object_set_new(map, entry->d_name, json_string(text));
    }
    if (found)
        closedir(found);
    return map;
}

/* Whether this is a network namespace of its own, and not that of the first process. */
static bool in_namespace(void)
{
    char own[64], first[64];
    ssize_t own_len = readlink("/proc/self/ns/net", own, sizeof own);
    ssize_t first_len = readlink("/proc/1/ns/net", first, sizeof first);
    return own_len > 0 && first_len > 0 &&
           (own_len != first_len || memcmp(own, first, (size_t)own_len) != 0);
}

/* What only some machines have; what is unknown is left out. */
static void set_known(json_t *machine)
{
    static const struct {
        const char *name, *path;
    } files[] = {
        {"governor", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"},
        {"transparent_hugepage", "/sys/kernel/mm/transparent_hugepage/enabled"},
        {"hypervisor", "/sys/class/dmi/id/sys_vendor"},
        {"clocksource", "/sys/devices/system/clocksource/clocksource0/current_clocksource"},
    };
    char text[LINE_MAX_BYTES];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (first_line(files[i].path, text))
            json_object_set_new(machine, files[i].name, json_string(text));
    const char *lab = getenv("RINGSIDE_LAB");
    if (lab)
        json_object_set_new(machine, "lab", json_string(lab));
    json_object_set_new(machine, "mitigations", read_mitigations());
    json_object_set_new(machine, "namespace", json_boolean(in_namespace()));
}

static json_t *read_io_uring(void)
{
    struct ring_features features;
    char why[WHY_MAX];
    json_t *list = json_array();
    if (ring_probe(&features, why, sizeof why) == 0) {
        json_array_append_new(list, json_string("IORING_SETUP_DEFER_TASKRUN"));
        json_array_append_new(list, json_string("IORING_OP_SOCKET"));
        if (features.direct)
            json_array_append_new(list, json_string("direct descriptors that end at once"));
        if (features.bind_direct)
            json_array_append_new(list, json_string("IORING_OP_BIND"));
    }
    return json_pack("{s:s, s:o}", "liburing", BENCH_LIBURING, "features", list);
}

json_t *machine_read(const char *server_cpus, const char *client_cpus)
{
    char cpu[LINE_MAX_BYTES], os[LINE_MAX_BYTES];
    struct utsname names;
    struct sysinfo info;
    struct rlimit limit;
    double load = 0;
    uname(&names);
    sysinfo(&info);
    getrlimit(RLIMIT_NOFILE, &limit);
    json_t *io_uring = read_io_uring(); /* raises the soft limit, as the servers do */
    if (getloadavg(&load, 1) != 1)
        load = 0;
    value_of("/proc/cpuinfo", "model name", " \t:", cpu);
    value_of("/etc/os-release", "PRETTY_NAME", "=\"", os);
    json_t *machine = json_pack(
        "{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:s, s:o, s:o, s:f}", "kernel", names.release,
        "os", os, "cpu_model", cpu, "cores", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN),
        "memory_bytes", (json_int_t)info.totalram * info.mem_unit, "nofile_soft",
        (json_int_t)limit.rlim_max, "nofile_hard", (json_int_t)limit.rlim_max, "server_cpus",
        server_cpus, "client_cpus", client_cpus, "sysctls", read_sysctls(), "io_uring", io_uring,
        "load_average", load);
    set_known(machine);
    return machine;
}
