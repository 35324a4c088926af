/*
 * Asks whatever libwrap it runs on to decide many cases, and prints all it can see of each decision:
 * lookups, log lines and effects in their order, the verdict, the severities, expansions.
 *
 * usage: driver DIRECTORY < cases
 *
 * A case is 15 netstrings (LENGTH:BYTES,): allow table, deny table, host file, daemon, client address,
 * client name, user, server address, server name, server port, "1" where names are looked up rather
 * than given, verbosity, text to expand, contents of the banner file, "1" in a resident process. A table
 * given as "-" does not exist. With server port "-", neither endpoint has a socket address. Tables are written to DIRECTORY/hosts.allow, hosts.deny and list; the banner to
 * DIRECTORY/banners/DAEMON.
 *
 * Functions of the C library that the library under test calls are defined here, where the dynamic
 * linker finds them first. Each case runs in a child, since a decision may end the process.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>
#include <tcpd.h>
#include "replace.h"

int allow_severity = LOG_INFO;
int deny_severity = LOG_WARNING;

enum {
    ALLOW, DENY, LIST, DAEMON, CLIENT_ADDR, CLIENT_NAME, USER, SERVER_ADDR, SERVER_NAME, SERVER_PORT,
    LOOKUP, VERBOSE, EXPAND, BANNER, RESIDENT, FIELDS
};

static char *field[FIELDS];
static size_t length[FIELDS];
static char directory[256];
static pid_t main_process;
static FILE *out; /* not descriptor 1, which twist replaces */

static void show(const char *word, const char *text, size_t size)
{
    fputs(word, out);
    putc(' ', out);
    for (size_t i = 0; i < size; i++) {
        unsigned char c = text[i];
        if (c == '\\' || c < ' ' || c > '~')
            fprintf(out, "\\x%02x", c);
        else
            putc(c, out);
    }
    putc('\n', out);
    fflush(out); /* or a child would print it again */
}

static void event(const char *word, const char *text)
{
    show(word, text, strlen(text));
}

/* What the library calls, and this program sees instead of the system. */

static void logged(int level, const char *format, va_list arguments)
{
    char text[16384], word[32];
    vsnprintf(text, sizeof text, format, arguments);
    snprintf(word, sizeof word, "log %d", level);
    event(word, text);
}

void syslog(int level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    logged(level, format, arguments);
    va_end(arguments);
}

void vsyslog(int level, const char *format, va_list arguments)
{
    logged(level, format, arguments);
}

void __syslog_chk(int level, int flag, const char *format, ...)
{
    va_list arguments;
    (void) flag;
    va_start(arguments, format);
    logged(level, format, arguments);
    va_end(arguments);
}

void __vsyslog_chk(int level, int flag, const char *format, va_list arguments)
{
    (void) flag;
    logged(level, format, arguments);
}

void shell_cmd(char *command)
{
    event("spawn", command);
}

static int ran(const char *command)
{
    if (getpid() == main_process) {
        event("twist", command);
        _exit(0);
    }
    event("aclexec", command);
    if (strncmp(command, "kill", 4) == 0)
        raise(SIGKILL);
    _exit(strncmp(command, "true", 4) != 0);
}

int execl(const char *path, const char *arg, ...)
{
    va_list arguments;
    const char *command;
    (void) path;
    (void) arg;
    va_start(arguments, arg);
    (void) va_arg(arguments, const char *); /* -c */
    command = va_arg(arguments, const char *);
    va_end(arguments);
    return ran(command);
}

int execv(const char *path, char *const arguments[])
{
    (void) path;
    return ran(arguments[2]);
}

static void number(const char *word, long value)
{
    char text[32];
    snprintf(text, sizeof text, "%ld", value);
    event(word, text);
}

unsigned int sleep(unsigned int seconds)
{
    number("sleep", seconds);
    return 0;
}

int setuid(uid_t user)
{
    number("setuid", user);
    return 0;
}

int setgid(gid_t group)
{
    number("setgid", group);
    return 0;
}

int initgroups(const char *user, gid_t group)
{
    (void) group;
    event("initgroups", user);
    return 0;
}

int setgroups(size_t count, const gid_t *groups)
{
    (void) groups;
    number("setgroups", count);
    return 0;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
    char text[64];
    (void) fd;
    (void) level;
    (void) size;
    if (name == SO_LINGER)
        snprintf(text, sizeof text, "linger %d", ((const struct linger *) value)->l_linger);
    else
        snprintf(text, sizeof text, "%s", name == SO_KEEPALIVE ? "keepalive" : "other");
    event("socket", text);
    return 0;
}

int setenv(const char *name, const char *value, int overwrite)
{
    (void) overwrite;
    if (*name == 0 || strchr(name, '=') != NULL)
        return -1; /* as it does */
    event("setenv", name);
    event("value", value);
    return 0;
}

mode_t umask(mode_t mask)
{
    char text[32];
    snprintf(text, sizeof text, "%03o", mask);
    event("umask", text);
    return 0;
}

int nice(int number)
{
    char text[32];
    snprintf(text, sizeof text, "%d", number);
    event("nice", text);
    return 0;
}

void rfc931(struct sockaddr *remote, struct sockaddr *local, char *user)
{
    (void) remote;
    (void) local;
    event("lookup", "user");
    number("timeout", rfc931_timeout);
    strncpy(user, field[USER], STRING_LENGTH - 1);
}

int innetgr(const char *group, const char *host, const char *user, const char *domain)
{
    (void) user;
    (void) domain;
    return strcmp(group, "group") == 0 && strcmp(host, "host.example.org") == 0;
}

static void find_name(struct host_info *host)
{
    int client = host == host->request->client;
    event("lookup", client ? "client name" : "server name");
    strncpy(host->name, field[client ? CLIENT_NAME : SERVER_NAME], STRING_LENGTH - 1);
}

static void find_address(struct host_info *host)
{
    int client = host == host->request->client;
    strncpy(host->addr, field[client ? CLIENT_ADDR : SERVER_ADDR], STRING_LENGTH - 1);
}

/* Cases. */

static int read_field(char **text, size_t *size)
{
    size_t capacity;
    if (scanf("%zu", &capacity) != 1 || getchar() != ':')
        return 0;
    *text = malloc(capacity + 1);
    if (*text == NULL || fread(*text, 1, capacity, stdin) != capacity || getchar() != ',')
        return 0;
    (*text)[capacity] = 0;
    *size = capacity;
    return 1;
}

static void write_file(const char *name, int which)
{
    char path[512];
    FILE *file;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    unlink(path);
    if (strcmp(field[which], "-") == 0)
        return;
    file = fopen(path, "w");
    if (file == NULL || fwrite(field[which], 1, length[which], file) != length[which] || fclose(file) != 0)
        exit(3);
}

static void decide(void)
{
    struct request_info request;
    struct sockaddr_in client, server;
    char allow[512], deny[512], expanded[8192], text[64];
    int verdict, banner[2];
    ssize_t sent;

    main_process = getpid();
    memset(&client, 0, sizeof client);
    memset(&server, 0, sizeof server);
    client.sin_family = server.sin_family = AF_INET;
    client.sin_port = htons(1042);
    server.sin_port = htons(atoi(field[SERVER_PORT]));
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, banner) != 0 || fcntl(banner[0], F_SETFL, O_NONBLOCK) != 0)
        exit(3);
    snprintf(allow, sizeof allow, "%s/hosts.allow", directory);
    snprintf(deny, sizeof deny, "%s/hosts.deny", directory);
    hosts_allow_table = allow;
    hosts_deny_table = deny;
    hosts_access_verbose = atoi(field[VERBOSE]);
    if (field[RESIDENT][0] == '1')
        resident = 1;
    request_init(&request, RQ_FILE, banner[1], RQ_DAEMON, field[DAEMON], 0);
    if (field[SERVER_PORT][0] != '-')
        request_set(&request, RQ_CLIENT_SIN, &client, RQ_SERVER_SIN, &server, 0);
    strcpy(request.pid, "4711");
    request.hostname = find_name;
    request.hostaddr = find_address;
    if (field[LOOKUP][0] != '1')
        request_set(&request, RQ_CLIENT_NAME, field[CLIENT_NAME], RQ_CLIENT_ADDR, field[CLIENT_ADDR],
                    RQ_SERVER_NAME, field[SERVER_NAME], RQ_SERVER_ADDR, field[SERVER_ADDR], RQ_USER,
                    field[USER], 0);
    verdict = hosts_access(&request);
    snprintf(text, sizeof text, "%d", verdict);
    event("verdict", text);
    snprintf(text, sizeof text, "%d %d", allow_severity, deny_severity);
    event("severity", text);
    sent = read(banner[0], expanded, sizeof expanded);
    if (sent > 0)
        show("banner", expanded, sent);
    if (length[EXPAND] > 0)
        event("expanded", percent_x(expanded, sizeof expanded, field[EXPAND], &request));
    _exit(0);
}

int main(int argc, char **argv)
{
    char path[600];
    if (argc != 2)
        return 2;
    snprintf(directory, sizeof directory, "%s", argv[1]);
    replace("rfc931", rfc931);
    replace("shell_cmd", shell_cmd);
    out = fdopen(fcntl(1, F_DUPFD_CLOEXEC, 100), "w");
    if (out == NULL)
        return 3;
    for (;;) {
        int status;
        pid_t child;
        for (int i = 0; i < FIELDS; i++)
            if (!read_field(&field[i], &length[i]))
                return i == 0 && feof(stdin) ? 0 : 3;
        write_file("hosts.allow", ALLOW);
        write_file("hosts.deny", DENY);
        write_file("list", LIST);
        snprintf(path, sizeof path, "banners/%s", field[DAEMON]);
        write_file(path, BANNER);
        child = fork();
        if (child == 0)
            decide();
        if (child < 0 || waitpid(child, &status, 0) != child)
            return 3;
        fprintf(out, "end %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status));
        fflush(out);
        for (int i = 0; i < FIELDS; i++)
            free(field[i]);
    }
}
