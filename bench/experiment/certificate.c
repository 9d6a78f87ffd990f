/* certificate: a self-signed certificate for one run, by the openssl command. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "experiment/bench.h"

/* Runs a program with its output thrown away. Returns its status, or negative errno. */
static int run_quietly(char *const argv[])
{
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    int err = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (err != 0)
        return -err;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}

static int folder_make(struct certificate *certificate)
{
    const char *base = getenv("TMPDIR");
    snprintf(certificate->folder, sizeof certificate->folder, "%.400s/ringside-tls-XXXXXX",
             base && *base ? base : "/tmp");
    if (!mkdtemp(certificate->folder))
        return bench_fail(-errno, "no folder for a certificate can be made at %s: %s",
                          certificate->folder, strerror(errno));
    snprintf(certificate->chain, sizeof certificate->chain, "%.480s/chain.pem",
             certificate->folder);
    snprintf(certificate->key, sizeof certificate->key, "%.480s/key.pem", certificate->folder);
    return 0;
}

int certificate_make(struct certificate *certificate)
{
    if (certificate->made)
        return 0;
    int err = folder_make(certificate);
    if (err < 0)
        return err;
    const char *const argv[] = {
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        certificate->key,
        "-out",
        certificate->chain,
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
        NULL,
    };
    err = run_quietly((char *const *)argv);
    certificate->made = err == 0;
    if (err == 0)
        return 0;
    certificate_remove(certificate);
    if (err == -ENOENT)
        return bench_fail(err, "--tls needs the openssl command, to make a certificate: "
                               "apt-get install openssl");
    return bench_fail(-EIO, "openssl could not make a certificate (%s)",
                      err < 0 ? strerror(-err) : "it ended with an error");
}

void certificate_remove(struct certificate *certificate)
{
    if (certificate->folder[0] == '\0')
        return;
    unlink(certificate->chain);
    unlink(certificate->key);
    rmdir(certificate->folder);
    *certificate = (struct certificate){0};
}
