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

int allow_severity, deny_severity;

static atomic_long wrong, made;
static atomic_int working;
static long decisions;

static void *decide(void *argument)
{
    long number = (long) argument;
    for (long at = 0; at < decisions; at++) {
        struct request_info request;
        char address[32], name[32];
        int allowed = (at + number) % 2;
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

/* Puts a table in place as an editor does: whole, by a new name. */
static void put(const char *path, const char *always, long filler)
{
    char fresh[512];
    FILE *file;
    snprintf(fresh, sizeof fresh, "%s.new", path);
    file = fopen(fresh, "w");
    if (file == NULL)
        exit(3);
    for (long at = 0; at < filler % 50; at++)
        fprintf(file, "vsftpd: 203.0.113.%ld\n", at);
    fprintf(file, "%s\n", always);
    if (fclose(file) != 0 || rename(fresh, path) != 0)
        exit(3);
}

int main(int argc, char **argv)
{
    long edits = 0;
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
        put(argv[1], edits % 3 ? "sshd: 192.0.2., .inside" : "sshd: 192.0.2.0/24, .inside", edits);
        put(argv[2], edits % 2 ? "ALL: ALL" : "sshd, vsftpd: ALL", edits * 7);
        usleep(1000);
    }
    for (int at = 0; at < threads; at++)
        pthread_join(thread[at], NULL);
    printf("%ld decisions, %ld wrong\n", (long) made, (long) wrong);
    fprintf(stderr, "%ld edits\n", edits);
    return edits > 10 ? 0 : 4;
}
