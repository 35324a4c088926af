/*
 * Decides many requests in one process with whatever libwrap it is linked to, and prints the
 * nanoseconds a decision took.
 *
 * usage: reference ALLOW DENY DAEMON NAME ROUNDS ADDRESS...
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <tcpd.h>

int allow_severity, deny_severity;

int main(int argc, char **argv)
{
    struct request_info request;
    struct timespec from, to;
    long decisions = 0, granted = 0;

    if (argc < 7)
        return 2;
    hosts_allow_table = argv[1];
    hosts_deny_table = argv[2];
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (long round = atol(argv[5]); round > 0; round--) {
        for (int at = 6; at < argc; at++) {
            request_init(&request, RQ_DAEMON, argv[3], RQ_CLIENT_NAME, argv[4], RQ_CLIENT_ADDR, argv[at], 0);
            granted += hosts_access(&request);
            decisions++;
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &to);
    printf("%.1f %ld\n",
           ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / decisions, granted);
    return 0;
}
