/* Asks the installed libwrap. Arguments: allow table, deny table. Each line of standard input is one
 * request: daemon, client address, client name, user, server address, server port. Answers + or -. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <tcpd.h>

int allow_severity = LOG_INFO, deny_severity = LOG_INFO;

int main(int argc, char **argv)
{
    char daemon[64], address[64], name[64], user[64], server[64];
    int port;

    if (argc != 3)
        return 2;
    hosts_allow_table = argv[1];
    hosts_deny_table = argv[2];
    setlogmask(LOG_MASK(LOG_EMERG));
    while (scanf("%63s %63s %63s %63s %63s %d", daemon, address, name, user, server, &port) == 6) {
        struct sockaddr_storage sin;
        struct request_info request;

        /* The port is read from a socket address. */
        memset(&sin, 0, sizeof(sin));
        if (strchr(server, ':')) {
            struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&sin;
            v6->sin6_family = AF_INET6;
            v6->sin6_port = htons(port);
            inet_pton(AF_INET6, server, &v6->sin6_addr);
        } else {
            struct sockaddr_in *v4 = (struct sockaddr_in *)&sin;
            v4->sin_family = AF_INET;
            v4->sin_port = htons(port);
            inet_pton(AF_INET, server, &v4->sin_addr);
        }
        request_init(&request, RQ_DAEMON, daemon, RQ_CLIENT_ADDR, address, RQ_CLIENT_NAME, name, RQ_USER, user,
                     RQ_SERVER_ADDR, server, RQ_SERVER_NAME, "server.example.com", RQ_SERVER_SIN, &sin, 0);
        putchar(hosts_access(&request) ? '+' : '-');
    }
    return 0;
}
