/*
 * Decides with little: an address space of so many MiB, and a thread with a stack of so many KiB. Prints the verdicts
 * for two clients, one of whom the last rule of the table is about, of several decisions each: the first scans, the
 * others try to keep the tables.
 *
 * usage: little ALLOW DENY MIB KIB
 */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <tcpd.h>

int allow_severity, deny_severity;

static void *decide(void *unused)
{
    for (int at = 0; at < 4; at++)
        printf("%d%d", hosts_ctl("sshd", "client.example", "192.0.2.1", STRING_UNKNOWN),
               hosts_ctl("sshd", "client.example", "192.0.2.2", STRING_UNKNOWN));
    return unused;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    pthread_attr_t attributes;
    struct rlimit limit;
    if (argc != 5)
        return 2;
    hosts_allow_table = argv[1];
    hosts_deny_table = argv[2];
    limit.rlim_cur = limit.rlim_max = atol(argv[3]) << 20;
    pthread_attr_init(&attributes);
    if (pthread_attr_setstacksize(&attributes, atol(argv[4]) << 10) || setrlimit(RLIMIT_AS, &limit))
        return 3;
    if (pthread_create(&thread, &attributes, decide, NULL))
        return 4;
    pthread_join(thread, NULL);
    printf("\n");
    return 0;
}
