// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Leaves connections to a server in every state a client can: reset, half closed, with a window of nothing, with urgent
// data, with a route of its own, opened with data, never accepted, gone without a word. From addresses that the rules treat
// in different ways.
//
// usage: clients SEED SECONDS PORT FIRST LAST      FIRST and LAST are the ends of 192.0.2.FIRST to LAST

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { OPEN = 300 };

static int sockets[OPEN];
static unsigned long come[8];

static void leave(int fd) {
    struct linger hard = {1, 0};
    int on = 1;
    if (fd <= 0) {
        return;
    }
    switch (rand() % 3) {
    case 0:
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        break;
    case 1:
        // Root may let a connection vanish: no more is heard of it but that it is unknown.
        setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on);
        break;
    }
    close(fd);
}

int main(int count, char **arguments) {
    if (count != 6) {
        return 2;
    }
    srand(atoi(arguments[1]));
    time_t end = time(NULL) + atoi(arguments[2]);
    int port = atoi(arguments[3]), first = atoi(arguments[4]), last = atoi(arguments[5]);
    for (int i = 0; time(NULL) < end; i++) {
        char text[16], data[4096] = "";
        int at = rand() % OPEN, kind = rand() % 8, small = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons(port)};
        snprintf(text, sizeof text, "192.0.2.%d", first + rand() % (last - first + 1));
        inet_pton(AF_INET, text, &from.sin_addr);
        inet_pton(AF_INET, "192.0.2.1", &to.sin_addr);
        bind(fd, (void *)&from, sizeof from);
        if (kind == 0) {
            // A window of nothing, as nobody reads.
            setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        } else if (kind == 1) {
            unsigned char route[] = {131 /* loose source route */, 7, 4, 192, 0, 2, 1, 0};
            setsockopt(fd, IPPROTO_IP, IP_OPTIONS, route, sizeof route);
        }
        if (kind == 2) {
            sendto(fd, data, sizeof data, MSG_FASTOPEN, (void *)&to, sizeof to);
        } else {
            connect(fd, (void *)&to, sizeof to);
        }
        usleep(rand() % 10000);
        if (kind == 3) {
            shutdown(fd, SHUT_WR);
        } else if (kind == 4) {
            send(fd, data, 100, MSG_OOB);
        } else if (kind == 5) {
            send(fd, data, sizeof data, 0);
        } else if (kind == 6) {
            struct linger hard = {1, 0};
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
            close(fd);
            fd = 0;
        }
        come[kind]++;
        leave(sockets[at]);
        sockets[at] = fd;
    }
    printf("came");
    for (int kind = 0; kind < 8; kind++) {
        printf(" %lu", come[kind]);
    }
    printf("\n");
    return 0;
}
