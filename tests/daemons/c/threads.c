/*
 * Many threads decide at once, each with clients that its table allows and denies for good, while the main
 * thread keeps replacing what else the tables say. Prints how many decisions were made and how many were wrong.
 *
 * usage: threads ALLOW DENY THREADS DECISIONS
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <tcpd.h>
#include "put.h"

int allow_severity, deny_severity;

/* So often are the tables replaced at the least, spread over the decisions. */
#define EDITS 12

static atomic_long wrong, made, edits;
static atomic_int working;
static long decisions;

static void *decide(void *argument)
{
    long number = (long) argument;
    for (long at = 0; at < decisions; at++) {
        struct request_info request;
        char address[32], name[32];
        int allowed = (at + number) % 2;
        while (edits < at * EDITS / decisions)
            usleep(100);
        /* hosts.allow: 192.0.2. and .inside; all others are in hosts.deny. */
        snprintf(address, sizeof address, "%s.%ld", allowed ? "192.0.2" : "198.51.100", number + 1);
        snprintf(name, sizeof name, "h%ld.%s", number, at % 4 < 2 ? "outside" : "elsewhere");
        request_init(&request, RQ_DAEMON, "sshd", RQ_CLIENT_ADDR, address, RQ_CLIENT_NAME, name, 0);
        if (hosts_access(&request) != allowed)
            wrong++;
        made++;
    }
    working--;
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    hosts_allow_table = argv[1];
    hosts_deny_table = argv[2];
    int threads = atoi(argv[3]);
    decisions = atol(argv[4]);
    pthread_t thread[64];
    put(argv[1], "sshd: 192.0.2., .inside", 0);
    put(argv[2], "ALL: ALL", 0);
    working = threads;
    for (long at = 0; at < threads; at++)
        if (pthread_create(&thread[at], NULL, decide, (void *) at) != 0)
            return 3;
    while (working > 0) {
        edits++;
        put(argv[1], edits % 3 ? "sshd: 192.0.2., .inside" : "sshd: 192.0.2.0/24, .inside", edits % 50);
        put(argv[2], edits % 2 ? "ALL: ALL" : "sshd, vsftpd: ALL", edits * 7 % 50);
        usleep(1000);
    }
    for (int at = 0; at < threads; at++)
        pthread_join(thread[at], NULL);
    printf("%ld decisions, %ld wrong\n", (long) made, (long) wrong);
    return 0;
}
