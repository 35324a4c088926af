/*
 * Serves the clients of the listening socket on its standard input, as libwrap says: one process for each.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>
#include <tcpd.h>

int allow_severity = LOG_INFO;
int deny_severity = LOG_WARNING;

static void serve(int connection)
{
    struct request_info request;

    request_init(&request, RQ_DAEMON, "routes", RQ_FILE, connection, 0);
    fix_options(&request);
    fromhost(&request);
    if (hosts_access(&request))
        dprintf(connection, "served\n");
    printf("decided\n");
    fflush(stdout);
}

int main(void)
{
    int connection;

    while ((connection = accept(0, NULL, NULL)) >= 0) {
        if (fork() == 0) {
            /* Nobody listens any more when the parent has ended. */
            close(0);
            serve(connection);
            _exit(0);
        }
        close(connection);
        wait(NULL);
    }
    return 1;
}
