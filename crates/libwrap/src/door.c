/*
 * The part of the library that Rust cannot be: variadic functions, the jump out of process_options(), and
 * the data that programs share with the library. Every jump starts in a C frame and passes C frames only.
 *
 * Functions whose names begin with wrap_ are the Rust side; they are not exported.
 */
#define INET6
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <syslog.h>
#include <tcpd.h>

/* A note by which tools tell this library, and programs that contain it, from others. */
__asm__(".pushsection .note.tcpwrap, \"a\", %note\n"
	".balign 4\n"
	".long 8\n"
	".long .Ltcpwrap_end - .Ltcpwrap_version\n"
	".long 1\n"
	".asciz \"tcpwrap\"\n"
	".Ltcpwrap_version: .asciz \"" TCPWRAP_VERSION "\"\n"
	".Ltcpwrap_end: .balign 4\n"
	".popsection");

#define EXPORT __attribute__((visibility("default")))

/* Exported data. Programs may have their own allow_severity and deny_severity. */

EXPORT char unknown[] = "unknown";
EXPORT char paranoid[] = "paranoid";
EXPORT char *hosts_allow_table = "/etc/hosts.allow";
EXPORT char *hosts_deny_table = "/etc/hosts.deny";
EXPORT int hosts_access_verbose = 0;
EXPORT int rfc931_timeout = 10;
EXPORT int resident = -1;
EXPORT int dry_run = 0;
EXPORT int allow_severity __attribute__((weak)) = LOG_INFO;
EXPORT int deny_severity __attribute__((weak)) = LOG_WARNING;
EXPORT struct tcpd_context tcpd_context = { NULL, 0 };
EXPORT jmp_buf tcpd_buf;

extern void wrap_request_clear(struct request_info *request);
extern int wrap_request_put(struct request_info *request, int key, const void *value);
extern void wrap_report(const char *kind, const char *text);
extern int wrap_process_options(const char *options, struct request_info *request);

/* Log lines leave here, so that a program that replaces syslog() gets them. */
void wrap_syslog(int level, const char *text)
{
    syslog(level, "%s", text);
}

/* Calls that programs may have taken over: through the dynamic symbol table. */
void wrap_call_shell_cmd(char *command)
{
    shell_cmd(command);
}

void wrap_call_clean_exit(struct request_info *request)
{
    clean_exit(request);
}

void wrap_call_rfc931(struct sockaddr *client, struct sockaddr *server, char *user)
{
    rfc931(client, server, user);
}

static void report(const char *kind, const char *format, va_list arguments)
{
    char text[8192];
    vsnprintf(text, sizeof text, format, arguments);
    wrap_report(kind, text);
}

EXPORT void tcpd_warn(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    report("warning", format, arguments);
    va_end(arguments);
}

EXPORT void tcpd_jump(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    report("error", format, arguments);
    va_end(arguments);
    longjmp(tcpd_buf, AC_ERROR);
}

EXPORT void process_options(char *options, struct request_info *request)
{
    int verdict = wrap_process_options(options, request);
    if (verdict != 0)
        longjmp(tcpd_buf, verdict);
}

static struct request_info *put(struct request_info *request, va_list arguments)
{
    int key;
    while ((key = va_arg(arguments, int)) > 0) {
        if (key == RQ_FILE) {
            request->fd = va_arg(arguments, int);
        } else if (!wrap_request_put(request, key, va_arg(arguments, void *))) {
            tcpd_warn("request_fill: invalid key: %d", key);
            break;
        }
    }
    return request;
}

EXPORT struct request_info *request_init(struct request_info *request, ...)
{
    va_list arguments;
    wrap_request_clear(request);
    va_start(arguments, request);
    put(request, arguments);
    va_end(arguments);
    return request;
}

EXPORT struct request_info *request_set(struct request_info *request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    put(request, arguments);
    va_end(arguments);
    return request;
}

/* Reads a line, joining continued ones, into at most `size` bytes; keeps the line count. */
EXPORT char *xgets(char *line, int size, FILE *file)
{
    char *end = line;
    while (size > 1 && fgets(end, size, file) != NULL) {
        size_t got = strlen(end);
        if (got > 0 && end[got - 1] == '\n') {
            tcpd_context.line++;
            if (got == 1 || end[got - 2] != '\\')
                return line;
            got -= 2;
        }
        end += got;
        size -= (int) got;
        *end = 0;
    }
    return end > line ? line : NULL;
}
