/* Prints where everything in the structures of tcpd.h is, and what its constants are. */
#include <stddef.h>
#include <stdio.h>
#include <tcpd.h>

#define FIELD(type, name) \
    printf(#type "." #name " %zu %zu\n", offsetof(struct type, name), sizeof ((struct type *) 0)->name)
#define TYPE(type) printf(#type " %zu %zu\n", sizeof (struct type), _Alignof(struct type))
#define NUMBER(name) printf(#name " %d\n", (int) (name))

int main(void)
{
    TYPE(host_info);
    FIELD(host_info, name);
    FIELD(host_info, addr);
    FIELD(host_info, sin);
    FIELD(host_info, unit);
    FIELD(host_info, request);
    TYPE(request_info);
    FIELD(request_info, fd);
    FIELD(request_info, user);
    FIELD(request_info, daemon);
    FIELD(request_info, pid);
    FIELD(request_info, client);
    FIELD(request_info, server);
    FIELD(request_info, sink);
    FIELD(request_info, hostname);
    FIELD(request_info, hostaddr);
    FIELD(request_info, cleanup);
    FIELD(request_info, config);
    TYPE(tcpd_context);
    FIELD(tcpd_context, file);
    FIELD(tcpd_context, line);
    NUMBER(STRING_LENGTH);
    NUMBER(RQ_FILE);
    NUMBER(RQ_DAEMON);
    NUMBER(RQ_USER);
    NUMBER(RQ_CLIENT_NAME);
    NUMBER(RQ_CLIENT_ADDR);
    NUMBER(RQ_CLIENT_SIN);
    NUMBER(RQ_SERVER_NAME);
    NUMBER(RQ_SERVER_ADDR);
    NUMBER(RQ_SERVER_SIN);
    NUMBER(AC_PERMIT);
    NUMBER(AC_DENY);
    NUMBER(AC_ERROR);
    return 0;
}
