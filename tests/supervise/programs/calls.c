// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Programs that call accept in unusual ways. Standard input is a listener; whoever is accepted from it is
// told "hello", and each call that fails is a line of output. The argument says how.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

// Stays with a client until it goes.
static int patient;

static void greet(int listener) {
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) {
        printf("%s\n", strerrorname_np(errno));
        fflush(stdout);
    } else {
        if (write(fd, "hello\n", 6) < 0) {
            perror("write");
        }
        char rest[64];
        while (patient && read(fd, rest, sizeof rest) > 0) {
        }
        close(fd);
    }
}

static int another(int option) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(7001)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, option, &on, sizeof on);
    if (bind(fd, (void *)&a, sizeof a) || listen(fd, 64)) {
        _exit(3);
    }
    return fd;
}

// Asks without waiting first, then waits, in turn.
static void toggles(void) {
    for (;;) {
        fcntl(0, F_SETFL, O_NONBLOCK);
        greet(0);
        fcntl(0, F_SETFL, 0);
        greet(0);
    }
}

// Hears of so many clients, accepts the first time only, and closes the listener.
static void leaves(int times) {
    struct pollfd p = {.fd = 0, .events = POLLIN};
    fcntl(0, F_SETFL, O_NONBLOCK);
    while (times-- > 0) {
        poll(&p, 1, -1);
        if (p.fd == 0) {
            greet(0);
            p.fd = dup(0);
        }
    }
    close(p.fd);
    close(0);
    printf("left\n");
    fflush(stdout);
}

// Two listeners on port 7001. Once one of them has had a client whose answer is not known yet, the other one is
// closed as soon as something comes to it.
static void group(int round) {
    struct pollfd all[2] = {{.events = POLLIN}, {.events = POLLIN}};
    for (int i = 0; i < 2; i++) {
        all[i].fd = another(SO_REUSEPORT);
        fcntl(all[i].fd, F_SETFL, O_NONBLOCK);
    }
    printf("round %d\n", round);
    fflush(stdout);
    poll(all, 2, -1);
    struct pollfd first = all[all[0].revents ? 0 : 1];
    int fd = accept(first.fd, NULL, NULL);
    while (fd < 0) {
        poll(all, 2, -1);
        for (int i = 0; i < 2; i++) {
            if (all[i].fd != first.fd && all[i].revents) {
                close(all[i].fd);
                all[i].fd = -1;
                poll(&first, 1, -1);
            }
        }
        fd = accept(first.fd, NULL, NULL);
    }
    if (write(fd, "hello\n", 6) < 0) {
        perror("write");
    }
    close(fd);
    close(all[0].fd);
    close(all[1].fd);
}

// Four listeners on port 7001, each in a process of its own that asks poll and does not wait.
static void shared(void) {
    struct pollfd own = {.events = POLLIN};
    int all[4];
    for (int i = 0; i < 4; i++) {
        all[i] = another(SO_REUSEPORT);
        fcntl(all[i], F_SETFL, O_NONBLOCK);
    }
    printf("listening\n");
    fflush(stdout);
    int i = 0;
    while (i < 3 && fork() != 0) {
        i++;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    own.fd = all[i];
    for (;;) {
        poll(&own, 1, -1);
        greet(own.fd);
    }
}

// Asks poll about this listener and a local one, and waits at neither.
static void local(void) {
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/srv/local"};
    struct pollfd all[2] = {{.fd = 0, .events = POLLIN}, {.events = POLLIN}};
    all[1].fd = socket(AF_UNIX, SOCK_STREAM, 0);
    unlink(a.sun_path);
    if (bind(all[1].fd, (void *)&a, sizeof a) || listen(all[1].fd, 64)) {
        _exit(3);
    }
    fcntl(0, F_SETFL, O_NONBLOCK);
    fcntl(all[1].fd, F_SETFL, O_NONBLOCK);
    printf("listening\n");
    fflush(stdout);
    while (poll(all, 2, -1) > 0) {
        for (int i = 0; i < 2; i++) {
            if (all[i].revents) {
                greet(all[i].fd);
            }
        }
    }
}

// Asks poll about two listeners that block: this one, and one on port 7001.
static void two(void) {
    struct pollfd all[2] = {{.events = POLLIN}, {.events = POLLIN}};
    all[1].fd = another(SO_REUSEADDR);
    for (;;) {
        if (poll(all, 2, -1) > 0) {
            for (int i = 0; i < 2; i++) {
                if (all[i].revents) {
                    greet(all[i].fd);
                }
            }
        }
    }
}

static void handler(int signal) { (void)signal; }

int main(int count, char **arguments) {
    const char *how = count > 1 ? arguments[1] : "";
    if (!strcmp(how, "timed")) {
        struct timeval time = {0, 300000};
        setsockopt(0, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
    } else if (!strcmp(how, "hours")) {
        struct timeval time = {3600, 0};
        setsockopt(0, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
    } else if (!strcmp(how, "local")) {
        local();
    } else if (!strcmp(how, "shared")) {
        shared();
    } else if (!strcmp(how, "workers")) {
        for (int i = 0; i < 5; i++) {
            if (fork() == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                break;
            }
        }
    } else if (!strcmp(how, "patient")) {
        patient = 1;
    } else if (!strcmp(how, "toggles")) {
        toggles();
    } else if (!strcmp(how, "leaves")) {
        leaves(count - 1);
        pause();
    } else if (!strcmp(how, "exits")) {
        leaves(count - 1);
        return 0;
    } else if (!strcmp(how, "group")) {
        for (int round = 1;; round++) {
            group(round);
        }
    } else if (!strcmp(how, "two")) {
        two();
    } else if (!strcmp(how, "two, with signals")) {
        // As a profiler sends them; a call begins anew after each.
        struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
        sigaction(SIGALRM, &action, NULL);
        struct itimerval timer = {{0, 100000}, {0, 100000}};
        setitimer(ITIMER_REAL, &timer, NULL);
        two();
    }
    for (;;) {
        greet(0);
    }
}
