// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Programs of which a part is in a network namespace of its own, with the addresses of this one. Standard input is
// a listener at port 7000 in the namespace that is left. The argument says what the part in the other one does.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

// The ports that connections come from by themselves, as the test has set them.
enum { FIRST = 40000, LAST = 40999 };

static struct sockaddr_in at(const char *address, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, address, &a.sin_addr);
    return a;
}

static int stream(const char *address, int port) {
    struct sockaddr_in a = at(address, port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (void *)&a, sizeof a)) {
        _exit(3);
    }
    return fd;
}

static int leave(void) {
    if (unshare(CLONE_NEWNET) || system("ip link set lo up && ip address add 192.0.2.1/24 dev lo && "
                                        "ip address add 192.0.2.2/24 dev lo")) {
        _exit(4);
    }
    int listener = stream("192.0.2.1", 7000);
    listen(listener, 64);
    return listener;
}

static int greet(int listener, const char *text) {
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) {
        return 0;
    }
    if (write(fd, text, strlen(text)) < 0) {
        perror("write");
    }
    close(fd);
    return 1;
}

static void wait_for(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    poll(&p, 1, -1);
}

// Connects to itself from every port, and greets whom it is given.
static void from_every_port(int listener) {
    struct linger none = {1, 0};
    for (int port = FIRST; port <= LAST; port++) {
        int fd = stream("192.0.2.1", port);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
        struct sockaddr_in a = at("192.0.2.1", 7000);
        if (connect(fd, (void *)&a, sizeof a)) {
            _exit(5);
        }
        wait_for(listener);
        // Twice, as the guard may have kept the connection back.
        fcntl(listener, F_SETFL, O_NONBLOCK);
        if (greet(listener, "stolen\n") + greet(listener, "stolen\n") == 0) {
            printf("swallowed\n");
            fflush(stdout);
        }
        close(fd);
    }
}

static char turn(int fd) {
    char byte = 0;
    if (read(fd, &byte, 1) < 0) {
        _exit(6);
    }
    return byte;
}

static void give_turn(int fd) {
    if (write(fd, "x", 1) < 0) {
        _exit(7);
    }
}

// The part that is left behind has a client that is ready, and takes its time.
static void thief(void) {
    int turns[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, turns);
    if (fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int listener = leave();
        for (;;) {
            give_turn(turns[1]);
            turn(turns[1]);
            from_every_port(listener);
        }
    }
    fcntl(0, F_SETFL, O_NONBLOCK);
    turn(turns[0]);
    for (int round = 1;; round++) {
        printf("round %d\n", round);
        fflush(stdout);
        wait_for(0);
        // The guard looks the client up, then wakes this program.
        greet(0, "hello\n");
        wait_for(0);
        give_turn(turns[0]);
        turn(turns[0]);
        greet(0, "hello\n");
    }
}

// More clients, all of them in the other namespace, than the guard has room for.
static void crowd(void) {
    int listener = leave(), count = 24;
    if (fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int clients[24];
        for (int i = 0; i < count; i++) {
            struct sockaddr_in a = at("192.0.2.1", 7000);
            clients[i] = stream("192.0.2.2", 0);
            if (connect(clients[i], (void *)&a, sizeof a)) {
                _exit(5);
            }
        }
        for (int i = 0; i < count; i++) {
            char text[16] = "";
            printf("%s", read(clients[i], text, sizeof text - 1) == 6 ? text : "lost\n");
            fflush(stdout);
        }
        printf("all\n");
        fflush(stdout);
        pause();
    }
    fcntl(listener, F_SETFL, O_NONBLOCK);
    for (;;) {
        wait_for(listener);
        // Whoever called last is gone when the guard looks for the listener.
        pid_t child = fork();
        if (child == 0) {
            greet(listener, "hello\n");
            _exit(0);
        }
        waitpid(child, NULL, 0);
    }
}

int main(int count, char **arguments) {
    signal(SIGPIPE, SIG_IGN);
    if (count > 1 && !strcmp(arguments[1], "thief")) {
        thief();
    }
    crowd();
}
