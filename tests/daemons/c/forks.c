/*
 * A resident process whose threads decide all the time, and which forks children that decide, while it keeps
 * replacing its tables. Prints how many children there were and how many of them were wrong or did not end.
 *
 * usage: forks ALLOW DENY CHILDREN
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <tcpd.h>
#include "put.h"

int allow_severity, deny_severity;

static atomic_int wrong, at_work = 1;

/* hosts.allow: 192.0.2. always; all others are in hosts.deny. Says how many of its answers were not right. */
static int decide(int count)
{
    int mistakes = 0;
    for (int at = 0; at < count; at++) {
        char address[32];
        snprintf(address, sizeof address, "%s.%d", at % 2 ? "192.0.2" : "198.51.100", at % 200);
        mistakes += hosts_ctl("sshd", "host.example", address, "") != at % 2;
    }
    return mistakes;
}

static void *work(void *unused)
{
    while (at_work) {
        wrong += decide(10);
        /* fork() waits for the locks of malloc, which threads without a pause hardly leave free. */
        usleep(100);
    }
    return unused;
}

int main(int argc, char **argv)
{
    pthread_t thread[4];
    int children, status;
    if (argc != 4)
        return 2;
    hosts_allow_table = argv[1];
    hosts_deny_table = argv[2];
    children = atoi(argv[3]);
    put(argv[1], "sshd: 192.0.2.", 0);
    put(argv[2], "ALL: ALL", 0);
    /* From the second decision on, the tables are kept compiled. */
    wrong += decide(10);
    for (int at = 0; at < 4; at++)
        if (pthread_create(&thread[at], NULL, work, NULL) != 0)
            return 3;
    for (int at = 0; at < children; at++) {
        pid_t child = fork();
        if (child < 0)
            return 3;
        if (child == 0) {
            /* A child that waits for ever for what another thread held is killed, and counted. */
            alarm(60);
            /* Its own children are of a process that has one thread. */
            if (at % 4 == 0 && fork() == 0)
                _exit(decide(20));
            status = decide(20);
            if (at % 4 == 0) {
                int inner;
                if (wait(&inner) < 0 || inner != 0)
                    status++;
            }
            _exit(status);
        }
        /* Edited while the child decides. */
        put(argv[1], at % 3 ? "sshd: 192.0.2." : "sshd: 192.0.2.0/24", at % 50);
        put(argv[2], at % 2 ? "ALL: ALL" : "sshd, vsftpd: ALL", at * 7 % 50);
        if (waitpid(child, &status, 0) != child || status != 0)
            wrong++;
    }
    at_work = 0;
    for (int at = 0; at < 4; at++)
        pthread_join(thread[at], NULL);
    printf("%d children, %d wrong\n", children, (int) wrong);
    return 0;
}
