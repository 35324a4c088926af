// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// 50,000 connections, of which some are reset, some half closed and some closed before they are accepted.
// Says how many of each kind the accepting side saw.

#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 50, BATCHES = 1000 };

int main(void) {
    int l = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof a;
    if (bind(l, (void *)&a, sizeof a) || listen(l, BATCH * 2) || getsockname(l, (void *)&a, &length)) {
        return 1;
    }
    int accepted = 0, reset = 0, ended = 0, data = 0, other = 0;
    unsigned random = 1;
    for (int b = 0; b < BATCHES; b++) {
        int clients[BATCH];
        for (int i = 0; i < BATCH; i++) {
            clients[i] = socket(AF_INET, SOCK_STREAM, 0);
            if (connect(clients[i], (void *)&a, sizeof a)) {
                return 2;
            }
            random = random * 1103515245 + 12345;
            struct linger hard = {1, 0};
            switch (random >> 16 & 3) {
            case 0:
                setsockopt(clients[i], SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
                close(clients[i]);
                clients[i] = -1;
                break;
            case 1:
                shutdown(clients[i], SHUT_WR);
                break;
            case 2:
                close(clients[i]);
                clients[i] = -1;
                break;
            default:
                if (write(clients[i], "x", 1) != 1) {
                    return 3;
                }
            }
        }
        for (int i = 0; i < BATCH; i++) {
            int fd = accept(l, NULL, NULL);
            if (fd < 0) {
                return 4;
            }
            accepted++;
            char c;
            ssize_t got = read(fd, &c, 1);
            if (got == 1) {
                data++;
            } else if (got == 0) {
                ended++;
            } else if (errno == ECONNRESET) {
                reset++;
            } else {
                other++;
            }
            close(fd);
        }
        for (int i = 0; i < BATCH; i++) {
            if (clients[i] >= 0) {
                struct linger hard = {1, 0};
                setsockopt(clients[i], SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
                close(clients[i]);
            }
        }
    }
    printf("accepted %d reset %d ended %d with data %d other %d\n", accepted, reset, ended, data, other);
    return 0;
}
