/*
 * Calls every function of the C interface in many ways and prints all that the caller can see of it: results,
 * the structure before and after, log lines, jumps, how the process ends. Run on one library, then the other.
 *
 * usage: contract DIRECTORY
 */
#include "contract.h"

static char text[512];

static char *copy(const char *from)
{
    return strcpy(text, from);
}

static void own_name(struct host_info *host)
{
    SAY("  name of the %s, line %d\n", host == host->request->client ? "client" : "server", tcpd_context.line);
    strcpy(host->name, "own.example.org");
}

static void own_address(struct host_info *host)
{
    SAY("  address of the %s\n", host == host->request->client ? "client" : "server");
    strcpy(host->addr, "10.1.2.3");
}

static void own_sink(int fd)
{
    SAY("  sink %d\n", fd);
}

static void requests(void)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    char *nothing = "";

    memset(&request, 0x55, sizeof request);
    SAY("request_init %d\n", request_init(&request, 0) == &request);
    SAY("  fd %d pid %d ends %d %d\n", request.fd, atoi(request.pid) == getpid(),
        request.client->request == &request, request.server->request == &request);
    show();
    request_set(&request, RQ_DAEMON, "sshd", RQ_USER, "u", RQ_CLIENT_NAME, "n", RQ_CLIENT_ADDR, "a",
                RQ_SERVER_NAME, "sn", RQ_SERVER_ADDR, "sa", RQ_CLIENT_SIN, &v4, RQ_SERVER_SIN, &v4, RQ_FILE, 9, 0);
    show();
    request_set(&request, RQ_DAEMON, "x", RQ_USER, nothing, -3, "not looked at");
    show();
    memset(text, 'q', 300);
    text[300] = 0;
    request_set(&request, RQ_DAEMON, text, 0);
    SAY("  %zu bytes\n", strlen(request.daemon));
}

static void evaluations(void)
{
    static const char *const values[] = { "", "unknown", "UNKNOWN", "paranoid", "Paranoid", "host.example" };

    request_init(&request, 0);
    SAY("user %s address %s ", eval_user(&request), eval_hostaddr(request.client));
    SAY("name %s port %s\n", eval_hostname(request.client), eval_port(NULL));
    show();
    for (size_t i = 0; i < COUNT(values); i++)
        for (size_t j = 0; j < COUNT(values); j++) {
            char expanded[256];
            request_init(&request, RQ_DAEMON, "d", RQ_USER, values[j], RQ_CLIENT_NAME, values[i], RQ_CLIENT_ADDR,
                         values[j], RQ_SERVER_NAME, values[i], RQ_SERVER_ADDR, values[j], 0);
            SAY("%s, %s: info %s ", values[i], values[j], eval_hostinfo(request.client));
            SAY("client %s ", eval_client(&request));
            SAY("server %s\n", eval_server(&request));
            SAY("  %s\n", percent_x(expanded, sizeof expanded, copy("%a %A %c %d %h %H %n %N %r %s %u"), &request));
            show();
        }
    request_init(&request, RQ_DAEMON, "d", 0);
    request.hostname = own_name;
    request.hostaddr = own_address;
    SAY("client %s\n", eval_client(&request));
    SAY("name %s\n", eval_hostname(request.client));
    SAY("client %s ", eval_client(&request));
    SAY("server %s\n", eval_server(&request));
    show();
    /* In one line, as programs log it; and a result that was kept while there is another. */
    request_init(&request, RQ_DAEMON, "d", RQ_USER, "joe", RQ_CLIENT_NAME, "h", RQ_SERVER_NAME, "s", 0);
    struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(4711) };
    char *client = eval_client(&request), *server = eval_server(&request);
    char *port = eval_port((struct sockaddr *) &sin);
    SAY("%s to %s, port %s\n", client, server, port);
    request_set(&request, RQ_USER, "jane", RQ_SERVER_NAME, "t", 0);
    SAY("%d", eval_client(&request) == client);
    SAY(" %d\n", eval_server(&request) == server);
    SAY("%s to %s, port %s\n", client, server, port);
}

/* What the library finds out from a descriptor, and a number for what is sent by its sink. */
static void connection(const char *what, int fd)
{
    char byte;
    SAY("%s\n", what);
    request_init(&request, RQ_DAEMON, "d", RQ_FILE, fd, 0);
    sock_host(&request);
    show();
    SAY("  client %s name %s ", eval_client(&request), eval_hostname(request.client));
    SAY("server %s port %d\n", eval_server(&request), atoi(eval_port(request.client->sin)) != 0);
    show();
    if (request.sink) {
        request.sink(fd);
        SAY("  left %zd\n", recv(fd, &byte, 1, MSG_DONTWAIT));
    }
}

static void routes(const char *what, int fd)
{
    SAY("%s\n", what);
    request_init(&request, RQ_DAEMON, "d", RQ_FILE, fd, 0);
    ENDS(fix_options(&request));
    sock_host(&request);
    ENDS(fix_options(&request));
}

/* What was sent is there. */
static void arrives(int fd)
{
    struct pollfd arrival = { .fd = fd, .events = POLLIN };
    poll(&arrival, 1, -1);
}

static void connections(void)
{
    struct sockaddr_storage address, other;
    struct sockaddr_in6 mapped = { .sin6_family = AF_INET6 };
    struct host_info host = { .request = &request };
    struct sockaddr local = { .sa_family = AF_UNIX };
    int pair[2], fd, peer;

    connection("no descriptor", -1);
    connection("no socket", open("/dev/null", O_RDONLY));
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    connection("local", pair[0]);
    routes("local", pair[0]);
    for (int v6 = 0; v6 < 2; v6++) {
        fd = bound(v6 ? AF_INET6 : AF_INET, SOCK_STREAM, &address);
        connection("stream, not connected", fd);
        listen(fd, 1);
        peer = socket(address.ss_family, SOCK_STREAM, 0);
        connect(peer, (struct sockaddr *) &address, sizeof(struct sockaddr_in6));
        fd = accept(fd, NULL, NULL);
        connection("stream", fd);
        routes("stream", fd);
        fd = bound(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM, &address);
        fcntl(fd, F_SETFL, O_NONBLOCK);
        connection("datagram, none waits", fd);
        peer = bound(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM, &other);
        sendto(peer, "x", 1, 0, (struct sockaddr *) &address, sizeof(struct sockaddr_in6));
        arrives(fd);
        connection("datagram", fd);
        sendto(peer, "x", 1, 0, (struct sockaddr *) &address, sizeof(struct sockaddr_in6));
        arrives(fd);
        routes("datagram", fd);
        connect(fd, (struct sockaddr *) &other, sizeof(struct sockaddr_in6));
        connection("datagram, connected", fd);
    }
    request_init(&request, 0);
    sock_methods(&request);
    SAY("no address: %s %s\n", eval_hostaddr(request.client), eval_hostname(request.client));
    inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr);
    request_init(&request, RQ_CLIENT_SIN, &mapped, 0);
    sock_methods(&request);
    SAY("mapped: %s ", eval_hostaddr(request.client));
    SAY("%s\n", eval_hostname(request.client));
    sock_hostaddr(&host);
    sock_hostname(&host);
    SAY("called without address: [%s] [%s]\n", host.addr, host.name);
    host.sin = &local;
    sock_hostaddr(&host);
    sock_hostname(&host);
    SAY("called with a local one: [%s] [%s] %s\n", host.addr, host.name, eval_port(&local));
    rfc931_timeout = 1;
    rfc931((struct sockaddr *) &address, (struct sockaddr *) &other, copy("not this"));
    SAY("rfc931 %s\n", text);
}

static void strings(void)
{
    static const char *const split[] = { "a:b", "a", "", "[a:b]:c", "[a:b", "a]:b", ":", "]]:[[:x", "[[a]:b]:c" };
    static const char *const numbers[] = {
        "1.2.3.4", "1.2.3", "", "1.2.3.4.5", "0x7f.0.0.1", "010.1.1.1", "1..2.3", "a.b.c.d", "256.1.1.1",
        "255.255.255.255", " 1.2.3.4", "1.2.3.4 ", "1.2.3.4x", ".1.2.3.4", "1.2.3.4.", "32", "0", "1", "8",
        "31", "33", "-1", "8x", "x8", " 8", "+8", "4294967304", "99999999999999999999",
    };
    static const char *const errors[] = { "%m", "a %m b", "%%m", "%", "m", "", "%m%m", "%s %m %d" };
    static const char *const expanded[] = { "%", "a%", "%z", "%z%y", "", "plain ;|& \\", "%d%d", "%%" };
    char result[512], path[] = "lines";
    FILE *file;

    for (size_t i = 0; i < COUNT(split); i++) {
        char *rest = split_at(copy(split[i]), ':');
        SAY("split_at %s: [%s] [%s]\n", split[i], text, rest ? rest : "-");
    }
    for (size_t i = 0; i < COUNT(numbers); i++) {
        SAY("quad %s: %lx ", numbers[i], dot_quad_addr(copy(numbers[i])));
        SAY("mask %lx\n", cidr_mask_addr(copy(numbers[i])));
    }
    for (size_t i = 0; i < COUNT(errors); i++) {
        errno = ENOENT;
        SAY("percent_m %s: [%s]\n", errors[i], percent_m(result, copy(errors[i])));
    }
    request_init(&request, RQ_DAEMON, "dae mon;", 0);
    for (size_t i = 0; i < COUNT(expanded); i++)
        SAY("percent_x %s: [%s]\n", expanded[i], percent_x(result, sizeof result, copy(expanded[i]), &request));
    put(path, "one\ntwo \\\nthree\nlong long long long\nend\\\nx\\\n\\\nz\n\n#\nlast\\");
    for (int size = 2; size < 40; size++) {
        file = fopen(path, "r");
        tcpd_context.line = 0;
        while (xgets(result, size, file))
            SAY("xgets %d line %d [%s]\n", size, tcpd_context.line, result);
        fclose(file);
    }
    tcpd_context.line = 0;
}

static void messages(void)
{
    int jumped;
    tcpd_warn("plain %d %s", 3, "x");
    errno = EPERM;
    tcpd_warn("%s: %m", "with an error");
    tcpd_context.file = "/some/file";
    tcpd_context.line = 12;
    tcpd_warn("in a file");
    errno = ENOENT;
    jumped = setjmp(tcpd_buf);
    if (jumped == 0)
        tcpd_jump("jump %s: %m", "now");
    SAY("tcpd_jump jumps with %d\n", jumped);
    tcpd_context.file = NULL;
    tcpd_context.line = 0;
}

static void option(const char *options)
{
    int jumped = setjmp(tcpd_buf);
    if (jumped == 0) {
        process_options(copy(options), &request);
        SAY("options [%s]: on, severities %d %d\n", options, allow_severity, deny_severity);
    } else {
        SAY("options [%s]: %d, severities %d %d\n", options, jumped, allow_severity, deny_severity);
    }
    allow_severity = LOG_INFO;
    deny_severity = LOG_WARNING;
}

static void options(void)
{
    static const char *const all[] = {
        "allow", "deny", "ALLOW", "severity mail.info", "severity mail.info: allow", "bogus", "", " ", ":", "allow:",
        "allow: deny", "spawn echo %a %d >spawned", "setenv FOO b%d", "setenv FOO", "umask 022", "umask 999",
        "nice 0", "nice x", "keepalive", "linger 3", "linger -1", "rfc931", "rfc931 5", "rfc931 0",
        "user nosuchuser: allow", "group nosuchgroup: allow", "banners /nonexistent", "banners .", "severity",
        "severity bogus.info", "severity 3", "severity mail.info.x", "allow = yes", "spawn", "twist", "umask = 022",
        "setenv A b: severity local3.debug: deny", "umask=022", "aclexec true", "spawn echo a\\:b >spawned",
    };
    char received[64] = "";
    int pair[2];

    request_init(&request, RQ_DAEMON, "d", RQ_CLIENT_ADDR, "1.2.3.4", RQ_CLIENT_NAME, "h", RQ_USER, "joe", 0);
    for (dry_run = 0; dry_run < 2; dry_run++)
        for (hosts_access_verbose = 0; hosts_access_verbose < 2; hosts_access_verbose++)
            for (size_t i = 0; i < COUNT(all); i++)
                option(all[i]);
    hosts_access_verbose = 0;
    dry_run = 1;
    option("twist echo hi");
    SAY("dry_run is %d now\n", dry_run);
    dry_run = 0;
    tcpd_context.file = "table";
    tcpd_context.line = 7;
    option("bogus");
    option("nice x");
    tcpd_context.file = NULL;
    tcpd_context.line = 0;
    resident = 1;
    option("twist echo hi");
    resident = -1;
    request.sink = own_sink;
    ENDS(option("twist echo hi"));
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    request.fd = pair[0];
    ENDS(option("twist echo %a is refused"));
    SAY("%zd bytes: %s", recv(pair[1], received, sizeof received - 1, MSG_DONTWAIT), received);
    put("d", "hello %a %c\nsecond %d %%\nlast");
    option("banners .");
    SAY("%zd bytes: %s\n", recv(pair[1], received, sizeof received - 1, MSG_DONTWAIT), received);
    if (pipe(pair) != 0)
        exit(3);
    request.fd = pair[1];
    option("banners .");
    close(pair[1]);
    memset(received, 0, sizeof received);
    SAY("%zd bytes down a pipe: %s\n", read(pair[0], received, sizeof received - 1), received);
    request.fd = open("banner", O_WRONLY | O_CREAT, 0600);
    option("banners .");
    SAY("%ld bytes in a file\n", (long) lseek(request.fd, 0, SEEK_CUR));
}

static void endings(void)
{
    request_init(&request, RQ_DAEMON, "d", RQ_CLIENT_ADDR, "1.2.3.4", RQ_CLIENT_NAME, "h", RQ_USER, "joe", 0);
    for (int i = 0; i < 2; i++) {
        ENDS(refuse(&request));
        ENDS(clean_exit(&request));
        ENDS(fix_options(&request));
        request.sink = own_sink;
    }
    ENDS(shell_cmd("exit 3"));
    ENDS(shell_cmd("kill -9 $$"));
}

static void decide(void)
{
    SAY(" %d severities %d %d\n", hosts_access(&request), allow_severity, deny_severity);
    SAY("  resident %d\n", resident);
    show();
    allow_severity = LOG_INFO;
    deny_severity = LOG_WARNING;
}

/* A program that changes its tables' paths all the time, and the tables meanwhile. */
static void many_tables(void)
{
    static char path[16];
    char address[16];

    hosts_allow_table = "missing";
    hosts_deny_table = path;
    for (int round = 0; round < 3; round++)
        for (int table = 0; table < 20; table++) {
            snprintf(path, sizeof path, "deny%d", table);
            snprintf(text, sizeof text, "d: 10.0.0.%d\n", table + round / 2);
            put(path, text);
            for (int client = table; client < table + 2; client++) {
                snprintf(address, sizeof address, "10.0.0.%d", client);
                SAY(" %s %s %d\n", path, address, hosts_ctl("d", "h", address, ""));
            }
        }
}

static void decisions(void)
{
    static const char *const patterns[] = { "KNOWN", "LOCAL", "UNKNOWN", "PARANOID", "KNOWN@ALL", "unknown", "ALL" };
    static char *const names[] = { "UNKNOWN", "Paranoid", "unknown", "paranoid", "host", "h.x", "" };
    static char *const addresses[] = { "1.2.3.4", "UNKNOWN", "unknown", "" };

    hosts_allow_table = "allow";
    hosts_deny_table = "deny";
    put("allow", "# c\nd: h : severity mail.debug\nbad line\nd: .example.org\nu: joe@ALL\n");
    put("deny", "ALL: ALL : severity local0.err\n");
    for (int round = 0; round < 4; round++) {
        request_init(&request, RQ_DAEMON, "d", RQ_CLIENT_ADDR, "1.2.3.4", RQ_CLIENT_NAME, "h", RQ_USER, "joe", 0);
        decide();
        request_init(&request, RQ_DAEMON, "d", 0);
        request.hostname = own_name;
        request.hostaddr = own_address;
        decide();
        request_init(&request, RQ_DAEMON, "u", RQ_CLIENT_ADDR, "9.9.9.9", 0);
        decide();
        if (round == 2)
            put("deny", "ALL: 9.9.9.9\n");
    }
    put("deny", "ALL: ALL\n");
    for (size_t p = 0; p < COUNT(patterns); p++) {
        snprintf(text, sizeof text, "d: %s\n", patterns[p]);
        put("allow", text);
        for (size_t n = 0; n < COUNT(names); n++)
            for (size_t a = 0; a < COUNT(addresses); a++)
                SAY(" %s: [%s] [%s] %d\n", patterns[p], names[n], addresses[a],
                    hosts_ctl("d", names[n], addresses[a], a % 2 ? "Unknown" : ""));
    }
    put("allow", "d: ALL: bogus\ne: ALL: twist echo\nf: ALL: deny\ng: ALL: spawn true\n");
    for (char daemon[] = "d"; *daemon < 'i'; ++*daemon)
        SAY(" %s %d\n", daemon, hosts_ctl(daemon, "h", "", ""));
    dry_run = 1;
    SAY(" dry twist %d ", hosts_ctl("e", "h", "", ""));
    SAY("dry_run %d\n", dry_run);
    dry_run = 0;
    many_tables();
    hosts_allow_table = hosts_deny_table = "missing";
    SAY(" no tables %d\n", hosts_ctl("d", "h", "1.1.1.1", ""));
}

int main(int argc, char **argv)
{
    if (argc != 2 || chdir(argv[1]) != 0)
        return 2;
    requests();
    evaluations();
    connections();
    strings();
    messages();
    options();
    endings();
    decisions();
    return 0;
}
