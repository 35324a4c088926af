/*
 * Programs that are their own way: requests filled in by hand, functions of the library replaced, lookups of
 * their own, tables anywhere, other rights between two decisions. Run on one library, then the other.
 *
 * usage: residents DIRECTORY [deviations]
 */
#include "contract.h"
#include "replace.h"

#include <sys/stat.h>
#include <sys/un.h>

/* Taken over from the library. */

static const char *answer = "joe";
static int exits;

void rfc931(struct sockaddr *client, struct sockaddr *server, char *user)
{
    SAY("  rfc931 %d %d timeout %d\n", client->sa_family, server->sa_family, rfc931_timeout);
    strcpy(user, answer);
}

void shell_cmd(char *command)
{
    SAY("  shell_cmd [%s] %s line %d\n", command, tcpd_context.file ? tcpd_context.file : "-", tcpd_context.line);
}

void clean_exit(struct request_info *ending)
{
    SAY("  clean_exit %d\n", ending == &request);
    if (exits)
        _exit(5);
}

static void decide(const char *what)
{
    int verdict = hosts_access(&request);
    SAY("%s: %d severities %d %d\n", what, verdict, allow_severity, deny_severity);
    SAY("  resident %d dry_run %d\n", resident, dry_run);
    /* The reference leaves it behind where an option ended the decision (deviation 23). */
    tcpd_context.file = NULL;
    tcpd_context.line = 0;
    show();
    allow_severity = LOG_INFO;
    deny_severity = LOG_WARNING;
}

static void tables(const char *allow, const char *deny)
{
    put("allow", allow);
    put("deny", deny);
}

/* Lookups */

static const char *name, *address;

static void any_name(struct host_info *host)
{
    SAY("  name was [%s], %s line %d\n", host->name, tcpd_context.file ? tcpd_context.file : "-", tcpd_context.line);
    strcpy(host->name, name);
    tcpd_warn("from a method");
}

static void any_address(struct host_info *host)
{
    SAY("  address was [%s]\n", host->addr);
    strcpy(host->addr, address);
}

static void both_at_once(struct host_info *host)
{
    SAY("  both\n");
    strcpy(host->addr, "10.0.0.1");
    strcpy(host->name, "both.example.org");
}

static void by_hand(void)
{
    memset(&request, 0, sizeof request);
    strcpy(request.daemon, "d");
    strcpy(request.client->name, "h.example.org");
    strcpy(request.client->addr, "10.0.0.1");
    request.client->request = request.server->request = &request;
    tables("d: h.example.org: severity mail.info\n", "ALL: ALL\n");
    decide("by hand");
    tables("d@unknown: UNKNOWN@ALL: spawn %a %A %c %d %h %H %n %N %p. %r %R %s %u\n", "ALL: ALL\n");
    decide("by hand, expanded");
    memset(request.client, 0, sizeof *request.client);
    request.client->request = &request;
    decide("nothing known");
    strcpy(request.daemon, "");
    decide("no daemon");
    tables("", "ALL: ALL EXCEPT x\n");
    decide("no daemon, denied");
}

static void lookups(void)
{
    static const char *const names[] = { "h.example.org", "unknown", "10.0.0.1", "PARANOID" };
    static const char *const addresses[] = { "10.0.0.1", "unknown", "::1", "::ffff:10.0.0.1" };

    tables("d: a.b KNOWN\nd: .org\n\nd: 10.0.0.1 [::1] PARANOID: spawn %h %n %a %c\nd: LOCAL\n", "d: UNKNOWN\nd: x: deny\n");
    for (size_t n = 0; n < COUNT(names); n++)
        for (size_t a = 0; a < COUNT(addresses); a++) {
            name = names[n];
            address = addresses[a];
            request_init(&request, RQ_DAEMON, "d", 0);
            request.hostname = any_name;
            request.hostaddr = any_address;
            SAY("[%s] [%s]\n", name, address);
            decide("own lookups");
            decide("and again");
            request_init(&request, RQ_DAEMON, "d", 0);
            request.hostname = any_name;
            decide("own name");
            SAY("  %s\n", eval_client(&request));
        }
    request_init(&request, RQ_DAEMON, "d", 0);
    request.hostaddr = both_at_once;
    request.hostname = any_name;
    decide("both at once");
}

static void users(void)
{
    struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(79) };
    static const char *const answers[] = { "joe", "unknown", "UNKNOWN", "j_o.e" };

    tables("d: ALL: rfc931 7: spawn %u %c: deny\ne: KNOWN@ALL\ne: joe@ALL\nf: joe@10.0.0.1 x@ALL: spawn %u\n", "ALL: ALL: spawn %u\n");
    for (size_t i = 0; i < COUNT(answers); i++)
        for (char daemon[] = "d"; *daemon < 'g'; ++*daemon) {
            answer = answers[i];
            request_init(&request, RQ_DAEMON, daemon, RQ_CLIENT_ADDR, "10.0.0.1", RQ_CLIENT_SIN, &sin, 0);
            decide("one end");
            request_set(&request, RQ_USER, "", RQ_SERVER_SIN, &sin, 0);
            decide("both ends");
            decide("both ends again");
            request_set(&request, RQ_USER, "", 0);
            request.sink = (void (*)(int)) 1;
            decide("a datagram");
            rfc931_timeout = 10;
        }
    request_init(&request, RQ_DAEMON, "79", RQ_SERVER_SIN, &sin, RQ_CLIENT_SIN, &sin, 0);
    tables("79@: x\n79: UNKNOWN: spawn %r %R\n", "ALL: ALL\n");
    decide("by port");
    request_set(&request, RQ_DAEMON, "x", 0);
    decide("by port, other name");
}

static void addresses(void)
{
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_scope_id = 1, .sin6_port = htons(5) };
    struct sockaddr_un local = { .sun_family = AF_UNIX, .sun_path = "" };
    struct sockaddr other = { .sa_family = AF_APPLETALK }, none = { .sa_family = AF_UNSPEC };
    struct { const char *what; void *sin; } all[] = {
        { "scoped", &v6 }, { "local", &local }, { "other family", &other }, { "no family", &none }, { "none", NULL },
    };
    static const char *const rules[] = {
        "d: [fe80::1%lo]\n", "d: [fe80::1]\n", "d: [fe80::1%1]\n", "d: [fe80::1%nosuch]\n", "d: [fe80::]/10\n",
        "d: fe80::1%lo\n", "d: UNKNOWN\n", "d: KNOWN\n", "d: ALL\n", "d@fe80::1%lo: ALL\n", "5: ALL\n",
        "d@[fe80::]/64: ALL\n", "d: LOCAL\n",
    };

    inet_pton(AF_INET6, "fe80::1", &v6.sin6_addr);
    for (size_t i = 0; i < COUNT(all); i++) {
        SAY("%s\n", all[i].what);
        for (size_t r = 0; r < COUNT(rules); r++) {
            tables(rules[r], "ALL: ALL: spawn %a %A %c %r %R %s\n");
            request_init(&request, RQ_DAEMON, "d", RQ_CLIENT_SIN, all[i].sin, RQ_SERVER_SIN, all[i].sin, 0);
            sock_methods(&request);
            request.hostname = NULL;
            SAY("%s port %s\n", rules[r], eval_port(all[i].sin));
            decide(all[i].what);
        }
    }
}

static void places(void)
{
    char *long_path = malloc(6000);
    char *paths[] = { "allow", "./allow", "missing", "", "allow/x", "loop", "nowhere/x", long_path };
    memset(long_path, 'x', 5999);
    long_path[5999] = 0;
    symlink("loop", "loop");
    tables("d: ALL\n", "ALL: ALL\n");
    request_init(&request, RQ_DAEMON, "d", RQ_CLIENT_ADDR, "10.0.0.1", RQ_CLIENT_NAME, "h", 0);
    for (size_t i = 0; i < COUNT(paths); i++)
        for (size_t j = 0; j < COUNT(paths); j++) {
            hosts_allow_table = paths[i];
            hosts_deny_table = paths[j];
            ENDS(decide("places"));
        }
    /* The words of the log are each library's own. */
    quiet = 1;
    for (int which = 1; which < 4; which++) {
        hosts_allow_table = which & 1 ? NULL : "allow";
        hosts_deny_table = which & 2 ? NULL : "deny";
        decide("no path");
        decide("no path");
    }
    quiet = 0;
    hosts_allow_table = "allow";
    hosts_deny_table = "deny";
    ENDS((mkdir("there", 0700), chdir("there"), tables("", "ALL: ALL\n"), decide("elsewhere")));
    for (int i = 0; i < 3; i++)
        decide("before");
    ENDS((chdir("there"), decide("elsewhere, relative")));
    ENDS((chroot("there"), decide("elsewhere, in a cage")));
    hosts_deny_table = "there/deny";
    ENDS((chdir("there"), hosts_deny_table = "deny", decide("again")));
}

static void rights(void)
{
    hosts_allow_table = "allow";
    hosts_deny_table = "deny";
    request_init(&request, RQ_DAEMON, "d", RQ_CLIENT_ADDR, "10.0.0.1", RQ_CLIENT_NAME, "h", 0);
    for (int which = 0; which < 3; which++) {
        tables("d: ALL\n", "x: ALL\n");
        decide("before");
        decide("before");
        chmod(which ? "deny" : "allow", 0600);
        if (which == 2)
            tables("", "x: ALL\n");
        if (seteuid(65534) != 0)
            exit(3);
        decide("without the right to read");
        decide("without the right to read");
        if (seteuid(0) != 0)
            exit(3);
        decide("with it again");
        chmod("allow", 0644);
        chmod("deny", 0644);
    }
    tables("d: ALL\n", "ALL: ALL\n");
    decide("before");
    chmod(".", 0700);
    seteuid(65534);
    decide("the directory closed");
    seteuid(0);
    decide("open again");
}

static void edits(void)
{
    struct stat before;
    struct timespec times[2];
    int wrong = 0;

    request_init(&request, RQ_DAEMON, "d", RQ_CLIENT_ADDR, "10.0.0.1", RQ_CLIENT_NAME, "h", 0);
    for (int i = 0; i < 500; i++) {
        tables(i % 2 ? "d: ALL\n" : "e: ALL\n", "ALL: ALL\n");
        wrong += hosts_access(&request) != i % 2;
    }
    SAY("in place, at once: %d wrong\n", wrong);
    for (int i = 0; i < 100; i++) {
        stat("allow", &before);
        put("new", i % 2 ? "d: ALL\n" : "e: ALL\n");
        times[0] = before.st_atim;
        times[1] = before.st_mtim;
        utimensat(AT_FDCWD, "new", times, 0);
        rename("new", "allow");
        wrong += hosts_access(&request) != i % 2;
    }
    SAY("replaced, same time and size: %d wrong\n", wrong);
    for (int i = 0; i < 100; i++) {
        stat("allow", &before);
        put("allow", i % 2 ? "d: ALL\n" : "e: ALL\n");
        times[0] = before.st_atim;
        times[1] = before.st_mtim;
        utimensat(AT_FDCWD, "allow", times, 0);
        wrong += hosts_access(&request) != i % 2;
    }
    SAY("in place, same time and size: %d wrong\n", wrong);
    tables("d: /list\n", "ALL: ALL\n");
    decide("cut short");
    truncate("allow", 0);
    decide("cut off");
    tables("d: ALL\n", "ALL: ALL\n");
    decide("before a fork");
    ENDS((tables("e: ALL\n", "ALL: ALL\n"), decide("in a child")));
    decide("after it");
    unlink("deny");
    decide("no deny");
    tables("", "ALL: ALL\n");
    decide("back");
}

static void endings(void)
{
    request_init(&request, RQ_DAEMON, "d", RQ_CLIENT_ADDR, "10.0.0.1", RQ_CLIENT_NAME, "h", 0);
    for (exits = 0; exits < 2; exits++) {
        ENDS(refuse(&request));
        ENDS(fix_options(&request));
        tables("d: ALL: twist echo %a\n", "ALL: ALL\n");
        for (int set = -2; set < 2; set++) {
            resident = set;
            ENDS(decide("twist"));
        }
        for (int set = -2; set < 2; set++) {
            resident = set;
            tables("", "d: ALL: spawn x %a: twist echo %a\n");
            ENDS((dry_run = 1, decide("dry twist, denied")));
        }
    }
    resident = 1;
    for (hosts_access_verbose = 0; hosts_access_verbose < 4; hosts_access_verbose++) {
        tables("d: ALL: spawn a %a: severity mail.info: setenv A b\n", "");
        decide("verbose");
        tables("", "# c\nd: ALL: umask 022: nice\n");
        decide("verbose, denied");
        tables("d: ALL: spawn a: bogus\n", "");
        decide("verbose, wrong");
        tables("", "");
        decide("verbose, no rule");
    }
    hosts_access_verbose = 0;
}

static void strings(void)
{
    char whole[400];
    static const int lengths[] = { 126, 127, 128, 129, 300 };

    tables("", "ALL: ALL: spawn %d %h %a\n");
    for (size_t i = 0; i < COUNT(lengths); i++) {
        memset(whole, 'q', sizeof whole);
        whole[lengths[i]] = 0;
        SAY("%d %d\n", lengths[i], hosts_ctl(whole, whole, whole, whole));
        request_init(&request, RQ_DAEMON, whole, RQ_USER, whole, RQ_SERVER_NAME, whole, RQ_SERVER_ADDR, whole, 0);
        SAY("  %s %s\n", eval_client(&request), eval_server(&request));
        show();
    }
    SAY("%d\n", hosts_ctl("d", STRING_UNKNOWN, STRING_UNKNOWN, STRING_UNKNOWN));
    SAY("%d\n", hosts_ctl("", "", "", ""));
    for (int key = 10; key < 200; key += 45) {
        request_init(&request, RQ_DAEMON, "x", key, "y", RQ_USER, "z", 0);
        show();
    }
}

/* A connection whose packets carry these IP options; what is left of both once they were looked at. */
static void ip_options(const unsigned char *options, socklen_t length)
{
    struct sockaddr_storage address;
    int listener = bound(AF_INET, SOCK_STREAM, &address), peer = socket(AF_INET, SOCK_STREAM, 0), fd;
    unsigned char left[40], byte;
    socklen_t count = sizeof left;

    listen(listener, 1);
    connect(peer, (struct sockaddr *) &address, sizeof(struct sockaddr_in));
    fd = accept(listener, NULL, NULL);
    if (setsockopt(fd, IPPROTO_IP, IP_OPTIONS, options, length) != 0)
        SAY("  setsockopt: %m\n");
    request_init(&request, RQ_DAEMON, "d", RQ_FILE, fd, 0);
    sock_host(&request);
    fix_options(&request);
    getsockopt(fd, IPPROTO_IP, IP_OPTIONS, left, &count);
    SAY("  %d bytes of options left, connection %s\n", (int) count,
        recv(fd, &byte, 1, MSG_DONTWAIT) == 0 ? "closed" : "open");
    close(fd);
    close(peer);
    close(listener);
}

static void sockets(void)
{
    static const unsigned char none[4], timestamp[8] = { 68, 8, 5, 0 };
    int pair[2], old;

    if (pipe(pair) != 0 || socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) != 0)
        exit(3);
    struct { const char *what; int fd; } all[] = {
        { "local datagrams", pair[0] }, { "local, nobody", socket(AF_UNIX, SOCK_STREAM, 0) },
        { "closed", 900 }, { "huge", 1 << 30 }, { "netlink", socket(AF_NETLINK, SOCK_RAW, 0) },
        { "packets", socket(AF_INET, SOCK_SEQPACKET, 0) }, { "raw", socket(AF_INET, SOCK_RAW, 1) },
        { "directory", open(".", O_RDONLY) }, { "negative", -7 },
    };
    tables("d: ALL: keepalive: linger 5: banners .: spawn %a %A %c %s %r %R\n", "");
    put("d", "hello\n");
    for (size_t i = 0; i < COUNT(all); i++) {
        SAY("%s\n", all[i].what);
        fcntl(all[i].fd, F_SETFL, O_NONBLOCK);
        request_init(&request, RQ_DAEMON, "d", RQ_FILE, all[i].fd, 0);
        sock_host(&request);
        show();
        decide(all[i].what);
        ENDS(fix_options(&request));
        if (request.sink)
            request.sink(all[i].fd);
        SAY("  %s %s\n", eval_client(&request), eval_server(&request));
    }
    ip_options(none, 0);
    ip_options(none, sizeof none);
    ip_options(timestamp, sizeof timestamp);
    /* A request that is used again. */
    old = bound(AF_INET, SOCK_DGRAM, &(struct sockaddr_storage) { 0 });
    request_init(&request, RQ_DAEMON, "d", RQ_FILE, old, RQ_CLIENT_SIN, all, RQ_SERVER_SIN, all, 0);
    fcntl(old, F_SETFL, O_NONBLOCK);
    request.client->sin = NULL;
    sock_host(&request);
    show();
    request_set(&request, RQ_FILE, -1, 0);
    sock_host(&request);
    show();
}

static int asked;

static void no_name(struct host_info *host)
{
    asked++;
    strcpy(host->name, "");
}

/* What differs on purpose: docs/deviations.md. */
static void deviations(void)
{
    struct sockaddr_un local = { .sun_family = AF_UNIX, .sun_path = "/run/socket" };
    static const unsigned char route[8] = { 131, 7, 4, 127, 0, 0, 1 };

    ip_options(route, sizeof route);
    tables("d: ALL: deny\n", "");
    request_init(&request, RQ_DAEMON, "d", RQ_USER, "j;e", RQ_CLIENT_ADDR, "10.0.0.1", 0);
    hosts_access(&request);
    tcpd_warn("after a decision");
    tables("d: ALL: spawn %u\n", "");
    hosts_access(&request);
    SAY("  user %s\n", request.user);
    SAY("  port %s\n", eval_port((struct sockaddr *) &local));
    tables("d: a.example b.example c.example\nd: KNOWN\n", "d: UNKNOWN\n");
    request_init(&request, RQ_DAEMON, "d", RQ_CLIENT_ADDR, "10.0.0.1", 0);
    request.hostname = no_name;
    int verdict = hosts_access(&request);
    SAY("  asked %d times, %d\n", asked, verdict);
}

int main(int argc, char **argv)
{
    if (argc < 2 || chdir(argv[1]) != 0)
        return 2;
    replace("rfc931", rfc931);
    replace("shell_cmd", shell_cmd);
    replace("clean_exit", clean_exit);
    chmod(".", 0755);
    umask(022);
    hosts_allow_table = "allow";
    hosts_deny_table = "deny";
    if (argc > 2) {
        deviations();
        return 0;
    }
    by_hand();
    lookups();
    users();
    addresses();
    strings();
    sockets();
    edits();
    places();
    rights();
    endings();
    return 0;
}
