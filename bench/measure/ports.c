#include "measure/ports.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

int ports_hold(uint32_t host, struct sockaddr_in *ret)
{
    const int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(host)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0) {
        int err = -errno;
        close(fd);
        return err;
    }
    *ret = address;
    return fd;
}
