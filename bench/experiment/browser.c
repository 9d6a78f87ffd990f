#include "experiment/browser.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "measure/cpus.h"

enum {
    GRACE_MS = 5000,
    VERSION_PATIENCE_MS = 20000,
    SAID_MAX = 1024,
    DEPTH_MAX = 16, /* of folders that are open at one time while they are removed */
};

static const char *const names[] = {"/usr/bin/chromium", "/usr/bin/chromium-browser",
                                    "/usr/bin/google-chrome"};

/* "Chromium 156.0.8078.114 built on …" → "Chromium 156.0.8078.114" */
static void read_version(const char *path, char version[BROWSER_VERSION_MAX])
{
    struct process asked;
    cpu_set_t all;
    const char *const argv[] = {path, "--version", NULL};
    char said[SAID_MAX] = "";
    version[0] = '\0';
    CPU_ZERO(&all);
    if (sched_getaffinity(0, sizeof all, &all) < 0 ||
        process_start(&asked, "browser", (char *const *)argv, &all) < 0)
        return;
    if (process_finish(&asked, VERSION_PATIENCE_MS) == 0)
        process_output_tail(&asked, said, sizeof said);
    process_done(&asked);
    const char *name = strstr(said, "Chrom");
    if (!name)
        return;
    const char *end = strstr(name, " built on");
    snprintf(version, BROWSER_VERSION_MAX, "%.*s",
             (int)(end ? (size_t)(end - name) : strcspn(name, "\n")), name);
}

int browser_find(char path[BROWSER_PATH_MAX], char version[BROWSER_VERSION_MAX])
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (access(names[i], X_OK) < 0)
            continue;
        snprintf(path, BROWSER_PATH_MAX, "%s", names[i]);
        read_version(path, version);
        return 0;
    }
    return bench_fail(-ENOENT, "there is no Chromium on this machine: `./build.sh deps browser` "
                               "installs it");
}

static int write_page(struct browser *browser, const char *page)
{
    char path[BROWSER_PATH_MAX + 16];
    const char *base = getenv("TMPDIR");
    snprintf(browser->folder, sizeof browser->folder, "%.400s/ringside-browser-XXXXXX",
             base && *base ? base : "/tmp");
    if (!mkdtemp(browser->folder)) {
        browser->folder[0] = '\0';
        return bench_fail(-errno, "no folder for a browser can be made below %s: %s",
                          base && *base ? base : "/tmp", strerror(errno));
    }
    snprintf(path, sizeof path, "%s/page.html", browser->folder);
    FILE *file = fopen(path, "we");
    const bool written = file && fputs(page, file) >= 0;
    if ((file && fclose(file) != 0) || !written)
        return bench_fail(-EIO, "%s cannot be written: %s", path, strerror(errno));
    return 0;
}

int browser_open(struct bench *bench, struct browser *browser, const char *path, const char *page)
{
    char profile[BROWSER_PATH_MAX + 32], url[BROWSER_PATH_MAX + 32];
    cpu_set_t cpus;
    *browser = (struct browser){.process.output_fd = -1};
    int err = write_page(browser, page);
    if (err == 0 && cpus_parse(&cpus, bench->options->client_cpus) < 0)
        err = bench_fail(-EINVAL, "these CPUs cannot be used: %s", bench->options->client_cpus);
    if (err < 0)
        return err;
    snprintf(profile, sizeof profile, "--user-data-dir=%s/profile", browser->folder);
    snprintf(url, sizeof url, "file://%s/page.html", browser->folder);
    const char *const argv[] = {
        path,
        "--headless=new",
        "--no-sandbox", /* which root cannot have */
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--no-proxy-server",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--ignore-certificate-errors",
        profile,
        url,
        NULL,
    };
    err = process_start(&browser->process, "browser", (char *const *)argv, &cpus);
    if (err == 0)
        err = process_guard(&browser->process);
    return err < 0 ? bench_fail(err, "cannot start %s: %s", path, strerror(-err)) : 0;
}

static int remove_one(const char *path, const struct stat *what, int kind, struct FTW *where)
{
    (void)what, (void)kind, (void)where;
    return remove(path) < 0 && errno != ENOENT ? -1 : 0;
}

void browser_close(struct browser *browser)
{
    process_stop(&browser->process, GRACE_MS);
    process_done(&browser->process);
    if (browser->folder[0])
        nftw(browser->folder, remove_one, DEPTH_MAX, FTW_DEPTH | FTW_PHYS);
    browser->folder[0] = '\0';
}
