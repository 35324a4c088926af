/*
 * A program as daemons are: decides about one client and says so. C and C++.
 *
 * usage: decide ALLOW DENY DAEMON NAME ADDRESS
 */
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <tcpd.h>

int allow_severity = LOG_INFO;
int deny_severity = LOG_WARNING;

int main(int argc, char **argv)
{
    struct request_info request;
    int granted, asked;

    if (argc != 6)
        return 2;
    hosts_allow_table = argv[1];
    hosts_deny_table = argv[2];
    request_init(&request, RQ_DAEMON, argv[3], RQ_CLIENT_ADDR, argv[5], 0);
    request_set(&request, RQ_CLIENT_NAME, argv[4], RQ_USER, unknown, 0);
    granted = hosts_access(&request);
    asked = hosts_ctl(argv[3], argv[4], argv[5], unknown);
    printf("%d %d %s %s %s %d\n", granted, asked, eval_client(&request), eval_daemon(&request),
           eval_hostname(request.client), allow_severity);
    return 0;
}
