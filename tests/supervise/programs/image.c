// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Has the guard write a client's address, and executes a setuid copy of itself before it does, in which other
// memory is at the same place. The first argument is that copy. Each step waits for a line on standard input.

#define _GNU_SOURCE
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define PLACE ((unsigned char *)0x10000000)

static void line(void) {
    char text[16];
    if (!fgets(text, sizeof text, stdin)) {
        exit(4);
    }
}

static void *place(void) {
    void *page = mmap(PLACE, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    return page == PLACE ? page : (exit(3), NULL);
}

static void *become(void *path) {
    line();
    execl(path, path, NULL);
    exit(5);
}

int main(int count, char **arguments) {
    setvbuf(stdin, NULL, _IONBF, 0);
    setvbuf(stdout, NULL, _IOLBF, 0);
    unsigned char *memory = place();
    if (count == 1) {
        printf("as %d\n", geteuid());
        line();
        int written = 0;
        for (int i = 0; i < 4096; i++) {
            written += memory[i] != 0;
        }
        printf("written %d\n", written);
        return 0;
    }
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t length = sizeof a;
    if (bind(listener, (void *)&a, sizeof a) || listen(listener, 8) || getsockname(listener, (void *)&a, &length)) {
        return 2;
    }
    printf("port %d\n", ntohs(a.sin_port));
    pthread_t thread;
    pthread_create(&thread, NULL, become, arguments[1]);
    socklen_t *room = (void *)(memory + 1024);
    *room = 128;
    accept(listener, (void *)memory, room);
    pause();
    return 0;
}
