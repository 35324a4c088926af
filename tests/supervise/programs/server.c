// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A server in one of the ways that servers are made: it says "hello" to whoever comes, then ends the
// connection when the client does. Arguments: how, and the port.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int listener;
// Goes on after ECONNABORTED, as programs should.
static int patient;

// What no server can go on after.
static void failed(void) {
    perror("accept");
    _exit(9);
}

static void serve(int fd) {
    char rest[256];
    if (write(fd, "hello\n", 6) == 6) {
        while (read(fd, rest, sizeof rest) > 0) {
        }
    }
    close(fd);
}

static void *thread(void *unused) {
    (void)unused;
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd >= 0) {
            serve(fd);
        }
    }
    return NULL;
}

// No more than a few clients at once: who accepts as long as there are any never closes what others have ended.
static void epolled(unsigned events) {
    fcntl(listener, F_SETFL, O_NONBLOCK);
    int e = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN | events, .data.fd = listener}, all[16];
    epoll_ctl(e, EPOLL_CTL_ADD, listener, &event);
    for (int more = 0;;) {
        int count = epoll_wait(e, all, 16, more ? 0 : -1);
        for (int i = 0; i < count; i++) {
            int fd = all[i].data.fd;
            char rest[256];
            if (fd == listener) {
                more = 1;
            } else if (read(fd, rest, sizeof rest) <= 0) {
                close(fd);
            }
        }
        for (int i = 0; more && i < 16; i++) {
            int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
            if (fd >= 0 && write(fd, "hello\n", 6) < 0) {
                close(fd);
            } else if (fd >= 0) {
                event.events = EPOLLIN;
                event.data.fd = fd;
                epoll_ctl(e, EPOLL_CTL_ADD, fd, &event);
            } else if (errno == EAGAIN) {
                more = 0;
            } else if (!patient || errno != ECONNABORTED) {
                failed();
            }
        }
    }
}

static void polled(void) {
    struct pollfd p = {.fd = listener, .events = POLLIN};
    while (poll(&p, 1, -1) >= 0) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) {
            if (errno != ECONNABORTED) {
                failed();
            }
            continue;
        }
        serve(fd);
    }
}

// A program that was not without clients yet may be told once of one that is gone (docs/run.md).
static void forked(void) {
    signal(SIGCHLD, SIG_IGN);
    for (int told = 0;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0 && errno == ECONNABORTED && !told++) {
            fputs("told of one that is gone\n", stderr);
            continue;
        }
        if (fd < 0) {
            failed();
        }
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            close(listener);
            serve(fd);
            _exit(0);
        }
        close(fd);
    }
}

int main(int count, char **arguments) {
    if (count < 3) {
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    patient = count > 3;
    const char *how = arguments[1];
    // Port 0: the listener is standard input.
    listener = atoi(arguments[2]) ? socket(AF_INET, SOCK_STREAM, 0) : 0;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(arguments[2]))};
    int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (listener && (bind(listener, (void *)&a, sizeof a) || listen(listener, 4096))) {
        return 3;
    }
    if (patient && !strcmp(arguments[3], "deferred")) {
        int seconds = 60;
        setsockopt(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds);
    }
    if (!strcmp(how, "threads")) {
        pthread_t one;
        for (int i = 0; i < 7; i++) {
            pthread_create(&one, NULL, thread, NULL);
        }
        thread(NULL);
    } else if (!strcmp(how, "processes")) {
        for (int i = 0; i < 3; i++) {
            if (fork() == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                thread(NULL);
            }
        }
        thread(NULL);
    } else if (!strcmp(how, "levels")) {
        epolled(0);
    } else if (!strcmp(how, "edges")) {
        epolled(EPOLLET);
    } else if (!strcmp(how, "poll")) {
        polled();
    } else if (!strcmp(how, "fork")) {
        forked();
    }
    return 5;
}
