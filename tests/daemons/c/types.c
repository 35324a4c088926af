/* Has every structure, function and variable of tcpd.h in its debugging information, for abidiff to compare. */
#include <stdio.h>
#include <tcpd.h>

/* A pointer to what the header declares, and so of the type that it declares. */
#define TYPE_OF(name) __typeof__(&name) to_##name = &name

struct request_info request;
struct host_info host;
struct tcpd_context context;

TYPE_OF(hosts_access);
TYPE_OF(hosts_ctl);
TYPE_OF(request_init);
TYPE_OF(request_set);
TYPE_OF(sock_host);
TYPE_OF(sock_hostname);
TYPE_OF(sock_hostaddr);
TYPE_OF(rfc931);
TYPE_OF(eval_user);
TYPE_OF(eval_hostname);
TYPE_OF(eval_hostaddr);
TYPE_OF(eval_hostinfo);
TYPE_OF(eval_client);
TYPE_OF(eval_server);
TYPE_OF(eval_port);
TYPE_OF(process_options);
TYPE_OF(shell_cmd);
TYPE_OF(percent_x);
TYPE_OF(refuse);
TYPE_OF(clean_exit);
TYPE_OF(xgets);
TYPE_OF(split_at);
TYPE_OF(dot_quad_addr);
TYPE_OF(hosts_allow_table);
TYPE_OF(hosts_deny_table);
TYPE_OF(hosts_access_verbose);
TYPE_OF(rfc931_timeout);
TYPE_OF(resident);
TYPE_OF(dry_run);
TYPE_OF(allow_severity);
TYPE_OF(deny_severity);
TYPE_OF(tcpd_context);

/* Their first parameter is `const' in our header, for the sake of C++, which abidiff knows to be harmless. */
TYPE_OF(tcpd_warn);
TYPE_OF(tcpd_jump);
