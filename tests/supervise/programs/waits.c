// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Calls accept so that whoever carries it out has to wait for a file of the second argument, on a file system that does
// not answer: on the file itself, with an address in memory that is to come from it, or in a thread of a process that
// executes another program and has to close the file before. Says what came of it.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int listening(void) {
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    bind(listener, (void *)&a, sizeof a);
    listen(listener, 8);
    return listener;
}

static struct sockaddr_in address_of(int listener) {
    struct sockaddr_in a;
    socklen_t length = sizeof a;
    getsockname(listener, (void *)&a, &length);
    return a;
}

// Executes another program, when the first thread waits in accept.
static void *execute(void *first) {
    char path[64], text[64] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", *(int *)first);
    while (atoi(text) != SYS_accept) {
        int file = open(path, O_RDONLY | O_CLOEXEC);
        read(file, text, sizeof text - 1);
        close(file);
        usleep(1000);
    }
    // The guard knows of it when it has answered a later call.
    int other = listening();
    fcntl(other, F_SETFL, O_NONBLOCK);
    accept(other, NULL, NULL);
    execl("/bin/sleep", "sleep", "1000", NULL);
    return NULL;
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
    } else if (!strcmp(arguments[1], "exec")) {
        int listener = listening(), first = getpid();
        printf("executes with port %d open\n", ntohs(address_of(listener).sin_port));
        fcntl(file, F_SETFD, FD_CLOEXEC);
        pthread_t second;
        pthread_create(&second, NULL, execute, &first);
        accept(listener, NULL, NULL);
        puts("accepted");
    } else {
        char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        int listener = listening();
        struct sockaddr_in a = address_of(listener);
        connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&a, sizeof a);
        socklen_t length = 16;
        puts("calls");
        accept(listener, (void *)page, &length);
        puts("accepted");
    }
    for (;;) {
        pause();
    }
}
