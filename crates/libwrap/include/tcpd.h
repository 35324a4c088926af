/*
 * tcpd.h: the C interface of libwrap, for C and C++.
 *
 * Declares the functions, variables and structures of the library that decides, by hosts_access(5) and
 * hosts_options(5), whether a client may talk to a service. See hosts_access(3).
 */
#ifndef TCPWRAP_TCPD_H
#define TCPWRAP_TCPD_H

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/types.h>
#include <sys/socket.h>
#include <netinet/in.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Programs written for IPv4 alone see IPv4 addresses here; the memory is the same. */
#ifdef INET6
#define TCPD_SOCKADDR struct sockaddr
#else
#define TCPD_SOCKADDR struct sockaddr_in
#endif

/* Strings in the structures below hold up to this many bytes, the final NUL included. */
#define STRING_LENGTH 128

struct request_info;
struct t_unitdata;
struct netconfig;

/* One end of a connection. An empty string is something not looked up yet. */
struct host_info {
    char name[STRING_LENGTH];     /* host name; see eval_hostname() */
    char addr[STRING_LENGTH];     /* numeric address; see eval_hostaddr() */
    TCPD_SOCKADDR *sin;           /* socket address, or null */
    struct t_unitdata *unit;      /* not used */
    struct request_info *request; /* the request this is an end of */
};

/* A request for a service, and all that was found out about it so far. */
struct request_info {
    int fd;                                 /* the connection, or -1 */
    char user[STRING_LENGTH];               /* user at the client; see eval_user() */
    char daemon[STRING_LENGTH];             /* name of the service; see eval_daemon() */
    char pid[10];                           /* process id, as text; see eval_pid() */
    struct host_info client[1];
    struct host_info server[1];
    void (*sink)(int);                      /* throws a waiting datagram away, or null */
    void (*hostname)(struct host_info *);   /* finds a name, or null */
    void (*hostaddr)(struct host_info *);   /* finds an address, or null */
    void (*cleanup)(struct request_info *); /* not called by the library */
    struct netconfig *config;               /* not used */
};

/* What unknown names, addresses and users read as, and names that do not agree with their address. */
extern char unknown[];
extern char paranoid[];
#define STRING_UNKNOWN "unknown"
#define STRING_PARANOID "paranoid"

/* Helpers that programs have come to use: comparing without regard to case, and copying with a NUL at the end. */
#define STR_EQ(x, y) (strcasecmp((x), (y)) == 0)
#define STR_NE(x, y) (!STR_EQ(x, y))
#define STRN_EQ(x, y, l) (strncasecmp((x), (y), (l)) == 0)
#define STRN_NE(x, y, l) (!STRN_EQ(x, y, l))
#define STRN_CPY(d, s, l) do { strncpy((d), (s), (l)); (d)[(l) - 1] = 0; } while (0)

#define HOSTNAME_KNOWN(name) (STR_NE((name), unknown) && STR_NE((name), paranoid))

/* Is this text a host name, and no address or network written in digits? */
#define NOT_INADDR(s) ((s)[strspn((s), "0123456789./")] != 0)

/* Keys for request_init() and request_set(); a key that is not positive ends the list. */
#define RQ_FILE 1        /* int: the connection */
#define RQ_DAEMON 2      /* char *: name of the service */
#define RQ_USER 3        /* char *: user at the client */
#define RQ_CLIENT_NAME 4 /* char *: name of the client */
#define RQ_CLIENT_ADDR 5 /* char *: address of the client */
#define RQ_CLIENT_SIN 6  /* struct sockaddr *: the same, and its port */
#define RQ_SERVER_NAME 7 /* char *: name of this end */
#define RQ_SERVER_ADDR 8 /* char *: address of this end */
#define RQ_SERVER_SIN 9  /* struct sockaddr *: the same, and its port */

/* Making up a request, and deciding it: 1 is granted, 0 is denied. */
extern struct request_info *request_init(struct request_info *, ...);
extern struct request_info *request_set(struct request_info *, ...);
extern int hosts_access(struct request_info *);
extern int hosts_ctl(char *daemon, char *client_name, char *client_addr, char *client_user);

/* Finding out who is asking. */
extern void sock_host(struct request_info *);
extern void sock_hostname(struct host_info *);
extern void sock_hostaddr(struct host_info *);
#define fromhost sock_host
#define sock_methods(r) { (r)->hostname = sock_hostname; (r)->hostaddr = sock_hostaddr; }
extern void rfc931(TCPD_SOCKADDR *, TCPD_SOCKADDR *, char *);

extern char *eval_user(struct request_info *);
extern char *eval_hostname(struct host_info *);
extern char *eval_hostaddr(struct host_info *);
extern char *eval_hostinfo(struct host_info *);
extern char *eval_client(struct request_info *);
extern char *eval_server(struct request_info *);
extern char *eval_port(TCPD_SOCKADDR *);
#define eval_daemon(r) ((r)->daemon)
#define eval_pid(r) ((r)->pid)

/* Options, and what they do. */
extern void process_options(char *, struct request_info *);
extern void shell_cmd(char *);
extern char *percent_x(char *, int, char *, struct request_info *);
extern void refuse(struct request_info *);
extern void clean_exit(struct request_info *);
extern void fix_options(struct request_info *);

/* The tables, and how they are read. */
extern char *hosts_allow_table;
extern char *hosts_deny_table;
extern int hosts_access_verbose; /* 1 logs options, 2 also rules that match */
extern int rfc931_timeout;       /* seconds */
extern int resident;             /* more than 0: the process serves many clients */
extern int dry_run;              /* not 0: options are looked at, not run */

/* Log levels: the program may define these itself. */
extern int allow_severity __attribute__((weak));
extern int deny_severity __attribute__((weak));

/* Diagnostics, and the rule they are about. */
struct tcpd_context {
    char *file; /* the table being read, or null */
    int line;   /* the rule's line in it */
};
extern struct tcpd_context tcpd_context;
extern void tcpd_warn(const char *, ...) __attribute__((format(printf, 1, 2)));
extern void tcpd_jump(const char *, ...) __attribute__((format(printf, 1, 2), noreturn));
extern char *percent_m(char *, char *);

/* What tcpd_jump() and process_options() hand to longjmp(tcpd_buf, ...). */
#define AC_PERMIT 1
#define AC_DENY (-1)
#define AC_ERROR AC_DENY

/* Small helpers. */
extern char *xgets(char *, int, FILE *);
extern char *split_at(char *, int);
extern unsigned long dot_quad_addr(char *);
extern unsigned long cidr_mask_addr(char *);

#ifdef __cplusplus
}
#endif

#endif
