// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Is interrupted in an accept whose client's address, or the length of that, belongs in memory that comes late from a file.
// What was the call's other place is another's then. Whether that is still as it was is said when the next accept has the
// client's connection: whoever carried out the first one is through with it.
//
// usage: interrupted address|length FILE

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

static void interrupted(int signal) {
    (void)signal;
}

int main(int count, char **arguments) {
    if (count != 3) {
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    // Without SA_RESTART.
    struct sigaction action = {.sa_handler = interrupted};
    sigaction(SIGUSR1, &action, NULL);
    int file = open(arguments[2], O_RDWR), listener = socket(AF_INET, SOCK_STREAM, 0);
    void *late = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t length = sizeof a;
    if (late == MAP_FAILED || bind(listener, (void *)&a, sizeof a) || listen(listener, 8) ||
        getsockname(listener, (void *)&a, &length)) {
        return 3;
    }
    printf("port %d\n", ntohs(a.sin_port));
    struct pollfd entry = {listener, POLLIN, 0};
    poll(&entry, 1, -1);

    // More room than is needed, so that the length is another one afterwards.
    union {
        struct sockaddr_storage address;
        socklen_t length;
        unsigned char bytes[sizeof(struct sockaddr_storage)];
    } place = {.length = sizeof place.address};
    int is_late = !strcmp(arguments[1], "length");
    int got = is_late ? accept(listener, (void *)&place.address, late) : accept(listener, late, &place.length);
    if (got >= 0 || errno != EINTR) {
        printf("accept %d: %s\n", got, strerror(errno));
        return 4;
    }
    memset(&place, 0xa5, sizeof place);
    puts("interrupted");
    // What keeps a thread of the guard waiting gets no other connection until that ends.
    if (accept(listener, NULL, NULL) < 0) {
        perror("accept");
        return 5;
    }
    int written = 0;
    for (unsigned i = 0; i < sizeof place; i++) {
        written += ((volatile unsigned char *)place.bytes)[i] != 0xa5;
    }
    printf("written %d\n", written);
    return 0;
}
