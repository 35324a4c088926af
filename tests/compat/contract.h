/*
 * What the programs that are run on both libraries have in common: everything the library logs is printed, and
 * so is the request, and how a child ends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>
#include <tcpd.h>

int allow_severity = LOG_INFO;
int deny_severity = LOG_WARNING;

/* Exported, but not in every header. */
extern char *xgets(char *, int, FILE *);
extern char *split_at(char *, int);
extern unsigned long dot_quad_addr(char *);
extern unsigned long cidr_mask_addr(char *);
extern char *percent_m(char *, char *);
extern void fix_options(struct request_info *);
extern int resident, dry_run, rfc931_timeout;
extern jmp_buf tcpd_buf;

#define COUNT(array) (sizeof (array) / sizeof *(array))
#define SAY(...) (printf(__VA_ARGS__), fflush(stdout))

static struct request_info request;

/* Set while log lines are not shown. */
static int quiet;

static void logged(int level, const char *format, va_list arguments)
{
    if (quiet)
        return;
    SAY("  log %d [", level);
    vprintf(format, arguments);
    SAY("]\n");
}

void __syslog_chk(int level, int flag, const char *format, ...)
{
    va_list arguments;
    (void) flag;
    va_start(arguments, format);
    logged(level, format, arguments);
    va_end(arguments);
}

void syslog(int level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    logged(level, format, arguments);
    va_end(arguments);
}

void __vsyslog_chk(int level, int flag, const char *format, va_list arguments)
{
    (void) flag;
    logged(level, format, arguments);
}

void vsyslog(int level, const char *format, va_list arguments)
{
    logged(level, format, arguments);
}

/* The reference waits after a refusal. */
unsigned int sleep(unsigned int seconds)
{
    (void) seconds;
    return 0;
}

static void show(void)
{
    SAY("  user [%s] daemon [%s] client [%s] [%s] %d server [%s] [%s] %d sink %d methods %d %d\n", request.user,
        request.daemon, request.client->name, request.client->addr, request.client->sin != NULL,
        request.server->name, request.server->addr, request.server->sin != NULL, request.sink != NULL,
        request.hostname != NULL, request.hostaddr != NULL);
}

static void put(const char *path, const char *contents)
{
    FILE *file = fopen(path, "w");
    fputs(contents, file);
    fclose(file);
}

/* Calls in a child, and says how that ends. */
#define ENDS(call)                                                                                         \
    do {                                                                                                   \
        int status;                                                                                        \
        SAY(" %s\n", #call);                                                                               \
        if (fork() == 0) {                                                                                 \
            call;                                                                                          \
            SAY("  returned\n");                                                                           \
            _exit(77);                                                                                     \
        }                                                                                                  \
        wait(&status);                                                                                     \
        SAY("  status %x\n", (unsigned) status);                                                           \
    } while (0)

static int bound(int family, int type, struct sockaddr_storage *address)
{
    socklen_t length = sizeof *address;
    int fd = socket(family, type, 0);
    memset(address, 0, sizeof *address);
    address->ss_family = family;
    if (family == AF_INET)
        ((struct sockaddr_in *) address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        ((struct sockaddr_in6 *) address)->sin6_addr = in6addr_loopback;
    bind(fd, (struct sockaddr *) address, sizeof(struct sockaddr_in6));
    getsockname(fd, (struct sockaddr *) address, &length);
    return fd;
}
