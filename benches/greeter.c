// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Says hello: to everyone who connects to the port named by the argument, or once on standard output.

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int count, char **arguments) {
    if (count < 2 || !strcmp(arguments[1], "once")) {
        return write(1, "hello\n", 6) != 6;
    }
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(arguments[1]))};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (void *)&a, sizeof a) || listen(listener, 128)) {
        return 1;
    }
    for (;;) {
        socklen_t length = sizeof a;
        int fd = accept(listener, (void *)&a, &length);
        if (fd < 0) {
            return 2;
        }
        if (write(fd, "hello\n", 6) != 6) {
            return 3;
        }
        close(fd);
    }
}
