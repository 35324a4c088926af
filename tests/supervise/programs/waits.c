// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Calls accept so that whoever carries it out has to wait for a file of the first argument, on a file system that does
// not answer: on the file itself, or with an address in memory that is to come from it. Says what came of it.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static int connected(void) {
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof a;
    bind(listener, (void *)&a, sizeof a);
    listen(listener, 8);
    getsockname(listener, (void *)&a, &length);
    connect(client, (void *)&a, sizeof a);
    return listener;
}

int main(int count, char **arguments) {
    if (count != 3) {
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    int file = open(arguments[2], O_RDWR);
    if (file < 0) {
        return 3;
    }
    if (!strcmp(arguments[1], "file")) {
        for (int i = 0; i < 100; i++) {
            if (accept(file, NULL, NULL) >= 0 || errno != ENOTSOCK) {
                printf("accept %s\n", strerrorname_np(errno));
                return 4;
            }
        }
        puts("no socket");
    } else {
        char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        int listener = connected();
        socklen_t length = 16;
        puts("calls");
        accept(listener, (void *)page, &length);
        puts("accepted");
    }
    for (;;) {
        pause();
    }
}
