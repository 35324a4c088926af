// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Every way of accepting a connection that we could think of, one line of output each. Run bare and run
// guarded, the output must be the same. With a number as argument it does one case only.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_alg.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// Of listeners and clients: 0 is TCP.
#ifndef PROTOCOL
#define PROTOCOL 0
#endif

static const char *title;

static void say(const char *form, ...) {
    va_list list;
    va_start(list, form);
    printf("%s: ", title);
    vprintf(form, list);
    printf("\n");
    fflush(stdout);
    va_end(list);
}

static const char *error(int result) { return result < 0 ? strerrorname_np(errno) : "ok"; }

static void need(int condition, const char *what) {
    if (!condition) {
        printf("%s: cannot %s: %s\n", title, what, strerror(errno));
        exit(1);
    }
}

static void sleep_ms(int ms) {
    struct timespec left = {ms / 1000, ms % 1000 * 1000000L};
    while (nanosleep(&left, &left) && errno == EINTR) {
    }
}

static long now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int bind_to(int family, int port, int reuse_port) {
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, PROTOCOL);
    need(fd >= 0, "socket");
    if (reuse_port) {
        need(!setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &reuse_port, sizeof reuse_port), "reuse");
    }
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int result = family == AF_INET ? bind(fd, (void *)&a4, sizeof a4) : bind(fd, (void *)&a6, sizeof a6);
    need(!result, "bind");
    need(!listen(fd, 128), "listen");
    return fd;
}

static int listener(int flags) {
    int fd = bind_to(AF_INET, 0, 0);
    if (flags & SOCK_NONBLOCK) {
        fcntl(fd, F_SETFL, O_NONBLOCK);
    }
    return fd;
}

static int port_of(int fd) {
    struct sockaddr_storage a;
    socklen_t length = sizeof a;
    need(!getsockname(fd, (void *)&a, &length), "getsockname");
    return ntohs(a.ss_family == AF_INET ? ((struct sockaddr_in *)&a)->sin_port : ((struct sockaddr_in6 *)&a)->sin6_port);
}

static int client_to(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, PROTOCOL);
    need(fd >= 0, "socket");
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    need(!connect(fd, (void *)&a, sizeof a), "connect");
    return fd;
}

static int client(int listener) { return client_to(port_of(listener)); }

// A client from a thread, after a while.
static void *late(void *argument) {
    int *to = argument;
    sleep_ms(100);
    to[1] = client_to(to[0]);
    return NULL;
}

static void handler(int signal) { (void)signal; }

// The case that takes longer is ended.
enum { LIMIT = 60 };

// A signal again and again: one alone may come before the call that it is to interrupt.
static void on_alarm(int flags, int ms) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigaction(SIGALRM, &action, NULL);
    struct timeval time = {ms / 1000, ms % 1000 * 1000};
    struct itimerval timer = {time, time};
    setitimer(ITIMER_REAL, &timer, NULL);
}

static void no_alarm(void) {
    struct itimerval none = {0};
    setitimer(ITIMER_REAL, &none, NULL);
    signal(SIGALRM, SIG_DFL);
    alarm(LIMIT);
}

static void receive_timeout(int fd, int ms) {
    struct timeval limit = {ms / 1000, ms % 1000 * 1000};
    need(!setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), "setsockopt");
}

static void wait_for(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    need(poll(&p, 1, -1) == 1, "poll");
}

// --- what the program is born with

static void birth(void) {
    int status;
    pid_t child = waitpid(-1, &status, WNOHANG);
    say("children %s", error(child));
    sigset_t mask;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    for (int s = 1; s < 32; s++) {
        struct sigaction action;
        if (sigaction(s, NULL, &action) == 0 && (action.sa_handler != SIG_DFL || sigismember(&mask, s))) {
            say("signal %d handler %d blocked %d", s, action.sa_handler == SIG_IGN, sigismember(&mask, s));
        }
    }
    for (int fd = 0; fd < 64; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0) {
            say("descriptor %d flags %d", fd, flags);
        }
    }
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    say("limit %ld %ld umask %o", (long)limit.rlim_cur, (long)limit.rlim_max, umask(0));
    char directory[4096];
    say("directory %s session %d group %d terminal %s", getcwd(directory, sizeof directory), getsid(0) == getppid(),
        getpgrp() == getpid(), open("/dev/tty", O_RDONLY | O_CLOEXEC) < 0 ? strerrorname_np(errno) : "yes");
}

// --- one connection

static void waiting_already(void) {
    int l = listener(0), c = client(l);
    struct sockaddr_in a;
    struct sockaddr_in own;
    socklen_t length = sizeof a, own_length = sizeof own;
    int fd = accept(l, (void *)&a, &length);
    getsockname(c, (void *)&own, &own_length);
    say("%s length %d same address %d next descriptor %d", error(fd), length, !memcmp(&a, &own, sizeof a), fd == c + 1);
    length = sizeof a;
    getpeername(fd, (void *)&a, &length);
    say("peer %d status flags %o descriptor flags %d", a.sin_port == own.sin_port, fcntl(fd, F_GETFL), fcntl(fd, F_GETFD));
    need(write(c, "hello", 5) == 5, "write");
    char text[8];
    say("read %zd", read(fd, text, sizeof text));
    say("listener flags %o", fcntl(l, F_GETFL));
}

static void comes_later(void) {
    int l = listener(0), to[2] = {port_of(l), -1};
    pthread_t thread;
    pthread_create(&thread, NULL, late, to);
    struct sockaddr_in a;
    socklen_t length = sizeof a;
    int fd = accept(l, (void *)&a, &length);
    say("%s length %d", error(fd), length);
    pthread_join(thread, NULL);
}

static void nothing_there(void) {
    int l = listener(SOCK_NONBLOCK);
    struct sockaddr_in a;
    socklen_t length = sizeof a;
    say("%s length %d", error(accept(l, (void *)&a, &length)), length);
    say("again %s", error(accept(l, NULL, NULL)));
}

static void no_listener(void) {
    int pipes[2];
    need(!pipe2(pipes, O_CLOEXEC), "pipe");
    say("closed %s", error(accept(999, NULL, NULL)));
    say("negative %s", error(accept(-1, NULL, NULL)));
    say("pipe %s", error(accept(pipes[0], NULL, NULL)));
    say("path %s", error(accept(open("/", O_PATH | O_CLOEXEC), NULL, NULL)));
    say("not listening %s", error(accept(socket(AF_INET, SOCK_STREAM, 0), NULL, NULL)));
    say("datagram %s", error(accept(socket(AF_INET, SOCK_DGRAM, 0), NULL, NULL)));
    say("local %s", error(accept(socket(AF_UNIX, SOCK_STREAM, 0), NULL, NULL)));
    say("local datagram %s", error(accept(socket(AF_UNIX, SOCK_DGRAM, 0), NULL, NULL)));
    say("bad flags %s", error(accept4(listener(SOCK_NONBLOCK), NULL, NULL, O_APPEND)));
    say("bad flags, closed %s", error(accept4(999, NULL, NULL, O_APPEND)));
    say("bad flags, pipe %s", error(accept4(pipes[0], NULL, NULL, O_APPEND)));
    int l = listener(0), c = client(l), fd = accept(l, NULL, NULL);
    say("connection %s %s", error(accept(c, NULL, NULL)), error(accept(fd, NULL, NULL)));
}

static void flags(void) {
    int l = listener(SOCK_NONBLOCK);
    int all[] = {0, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_CLOEXEC | SOCK_NONBLOCK};
    for (int i = 0; i < 4; i++) {
        client(l);
        int fd = accept4(l, NULL, NULL, all[i]);
        say("%d: %s status %o descriptor %d", i, error(fd), fcntl(fd, F_GETFL), fcntl(fd, F_GETFD));
    }
    client(l);
    int fd = accept(l, NULL, NULL);
    say("accept: %s status %o descriptor %d", error(fd), fcntl(fd, F_GETFL), fcntl(fd, F_GETFD));
}

static void lengths(void) {
    int l = listener(SOCK_NONBLOCK);
    int all[] = {0, 1, 4, 15, 16, 17, 1000};
    for (int i = 0; i < 7; i++) {
        struct sockaddr_in own;
        socklen_t size = sizeof own;
        getsockname(client(l), (void *)&own, &size);
        /* A byte that the client's port, which is any, does not have. */
        unsigned char fill = 0xee, a[1000];
        while (fill == (own.sin_port & 255) || fill == own.sin_port >> 8) {
            fill--;
        }
        memset(a, fill, sizeof a);
        socklen_t length = all[i];
        int fd = accept(l, (void *)a, &length);
        int touched = sizeof a;
        while (touched > 0 && a[touched - 1] == fill) {
            touched--;
        }
        say("%d: %s length %d, bytes up to %d written", all[i], error(fd), length, touched);
        close(fd);
    }
    client(l);
    struct sockaddr_in a;
    socklen_t length = -1;
    say("negative: %s", error(accept(l, (void *)&a, &length)));
    say("and then %s", error(accept(l, NULL, NULL)));
    client(l);
    say("null length: %s", error(accept(l, (void *)&a, NULL)));
    say("and then %s", error(accept(l, NULL, NULL)));
    client(l);
    length = sizeof a;
    say("bad address: %s", error(accept(l, (void *)8, &length)));
    say("and then %s", error(accept(l, NULL, NULL)));
    client(l);
    say("bad length: %s", error(accept(l, (void *)&a, (void *)8)));
    client(l);
    void *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    length = sizeof a;
    say("read-only address: %s", error(accept(l, page, &length)));
    client(l);
    length = 77;
    say("null address: %s length %d", error(accept(l, NULL, &length)), length);
}

static void many_families(void) {
    int l = bind_to(AF_INET6, 0, 0);
    struct sockaddr_in6 a;
    socklen_t length = sizeof a;
    client(l);
    int fd = accept(l, (void *)&a, &length);
    say("mapped %s length %d family %d mapped %d", error(fd), length, a.sin6_family, IN6_IS_ADDR_V4MAPPED(&a.sin6_addr));
    struct sockaddr_un u = {.sun_family = AF_UNIX, .sun_path = "\0tcpwrap-conformance"};
    socklen_t size = sizeof(sa_family_t) + 20;
    int types[] = {SOCK_STREAM, SOCK_SEQPACKET};
    for (int i = 0; i < 2; i++) {
        int s = socket(AF_UNIX, types[i] | SOCK_NONBLOCK, 0), c = socket(AF_UNIX, types[i], 0);
        need(!bind(s, (void *)&u, size) && !listen(s, 4), "local socket");
        say("local %d %s", i, error(accept(s, NULL, NULL)));
        need(!connect(c, (void *)&u, size), "connect");
        struct sockaddr_un peer;
        length = sizeof peer;
        fd = accept4(s, (void *)&peer, &length, SOCK_CLOEXEC);
        struct ucred who;
        socklen_t who_length = sizeof who;
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &who_length);
        say("local %d %s length %d family %d own process %d", i, error(fd), length, peer.sun_family, who.pid == getpid());
        who_length = sizeof who;
        getsockopt(c, SOL_SOCKET, SO_PEERCRED, &who, &who_length);
        say("from the other end own process %d", who.pid == getpid());
        close(fd), close(s), close(c);
    }
    // A family whose sockets accept without listening.
    struct sockaddr_alg alg = {.salg_family = AF_ALG, .salg_type = "hash", .salg_name = "sha1"};
    fd = socket(AF_ALG, SOCK_SEQPACKET, 0);
    if (fd < 0 || bind(fd, (void *)&alg, sizeof alg)) {
        say("crypto %s", error(-1));
    } else {
        say("crypto %s", error(accept(fd, NULL, NULL)));
        length = sizeof alg;
        say("crypto with address %s", error(accept(fd, (void *)&alg, &length)));
    }
}

static void gone_clients(void) {
    int l = listener(SOCK_NONBLOCK), c = client(l);
    struct linger hard = {1, 0};
    setsockopt(c, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(c);
    sleep_ms(20);
    struct sockaddr_in a;
    socklen_t length = sizeof a;
    wait_for(l);
    int fd = accept(l, (void *)&a, &length);
    char text[8];
    say("reset %s length %d", error(fd), length);
    wait_for(fd);
    say("read %s", error(read(fd, text, 8)));
    c = client(l);
    need(write(c, "hello", 5) == 5, "write");
    shutdown(c, SHUT_WR);
    wait_for(l);
    fd = accept(l, NULL, NULL);
    ssize_t first = read(fd, text, 8), second = read(fd, text, 8);
    say("half closed %s read %zd then %zd", error(fd), first, second);
    c = client(l);
    close(c);
    wait_for(l);
    fd = accept(l, NULL, NULL);
    say("closed %s read %zd", error(fd), read(fd, text, 8));
}

// --- signals and time

static volatile int pending_thread, pending_result, pending_errno, pending_done;

static void *pend(void *argument) {
    pending_thread = gettid();
    pending_result = accept(*(int *)argument, NULL, NULL);
    pending_errno = errno;
    pending_done = 1;
    return NULL;
}

// Starts a thread that calls accept, and returns when it waits there, and whoever carries its call out knows of it.
static pthread_t pending(int *listener) {
    pthread_t thread;
    pending_thread = pending_done = 0;
    pthread_create(&thread, NULL, pend, listener);
    long number = 0;
    while (number != SYS_accept && number != SYS_accept4) {
        char path[64], text[64] = "";
        snprintf(path, sizeof path, "/proc/self/task/%d/syscall", pending_thread);
        int file = open(path, O_RDONLY | O_CLOEXEC);
        number = file >= 0 && read(file, text, sizeof text - 1) > 0 ? strtol(text, NULL, 10) : 0;
        close(file);
        sleep_ms(1);
    }
    // Calls that came later have been answered by then.
    int other = bind_to(AF_INET, 0, 0);
    fcntl(other, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 10; i++) {
        accept(other, NULL, NULL);
    }
    close(other);
    sleep_ms(100);
    return thread;
}


static void interrupted(void) {
    int l = listener(0);
    on_alarm(0, 100);
    say("no restart: %s", error(accept(l, NULL, NULL)));
    no_alarm();
    // The same again, in another thread, and the port is free at once when the listener is closed.
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGUSR1, &action, NULL);
    pthread_t other = pending(&l);
    pthread_kill(other, SIGUSR1);
    pthread_join(other, NULL);
    say("once more: %d %s", pending_result, strerrorname_np(pending_errno));
    int port = port_of(l);
    close(l);
    l = bind_to(AF_INET, port, 0);
    say("bound again");
    int to[2] = {port, -1};
    pthread_t thread;
    on_alarm(SA_RESTART, 30);
    pthread_create(&thread, NULL, late, to);
    struct sockaddr_in a;
    socklen_t length = sizeof a;
    say("restart: %s length %d", error(accept(l, (void *)&a, &length)), length);
    no_alarm();
    pthread_join(thread, NULL);
}

static void timed(void) {
    if (PROTOCOL) {
        // The receive timeout of a listener of multipath TCP ends no accept (Linux 6.18).
        return;
    }
    int l = listener(0);
    receive_timeout(l, 150);
    long start = now_ms();
    say("%s", error(accept(l, NULL, NULL)));
    say("early %d", now_ms() - start < 140);
    receive_timeout(l, 600000);
    client(l);
    say("with a client %s", error(accept(l, NULL, NULL)));
    on_alarm(SA_RESTART, 50);
    say("signal %s", error(accept(l, NULL, NULL)));
    no_alarm();
    receive_timeout(l, 150);
    say("then %s", error(accept(l, NULL, NULL)));
}

static void killed(void) {
    int l = listener(0), port = port_of(l), status;
    pid_t child = fork();
    if (child == 0) {
        accept(l, NULL, NULL);
        _exit(0);
    }
    close(l);
    sleep_ms(100);
    kill(child, SIGTERM);
    waitpid(child, &status, 0);
    say("by %d", WTERMSIG(status));
    // Nobody else has it for long.
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int again = socket(AF_INET, SOCK_STREAM, PROTOCOL);
    while (bind(again, (void *)&a, sizeof a)) {
        need(errno == EADDRINUSE, "bind");
        sleep_ms(5);
    }
    say("bound again");
}

// --- descriptors run out

static void no_descriptors(void) {
    int l = listener(SOCK_NONBLOCK), b = listener(0);
    int c = client(l), d = client(b);
    (void)c, (void)d;
    struct rlimit limit, old;
    getrlimit(RLIMIT_NOFILE, &old);
    int top = dup(0);
    close(top);
    limit = old;
    limit.rlim_cur = top;
    setrlimit(RLIMIT_NOFILE, &limit);
    say("nonblocking %s", error(accept(l, NULL, NULL)));
    say("again %s", error(accept(l, NULL, NULL)));
    say("blocking %s", error(accept(b, NULL, NULL)));
    struct pollfd p = {.fd = l, .events = POLLIN};
    say("poll says %d", poll(&p, 1, -1));
    setrlimit(RLIMIT_NOFILE, &old);
    int fd = accept(l, NULL, NULL);
    say("kept %s", error(fd));
    close(fd);
    fd = accept(b, NULL, NULL);
    say("kept %s", error(fd));
    close(fd);
    say("nothing else %s", error(accept(l, NULL, NULL)));
    setrlimit(RLIMIT_NOFILE, &limit);
    say("none left, none waiting: %s", error(accept(l, NULL, NULL)));
    say("nor where it would wait: %s", error(accept(b, NULL, NULL)));
    setrlimit(RLIMIT_NOFILE, &old);
}

// --- many who accept

struct shared {
    int listener, count, stop;
    pthread_mutex_t lock;
};

static void *accept_all(void *argument) {
    struct shared *s = argument;
    for (;;) {
        struct sockaddr_in a;
        socklen_t length = sizeof a;
        int fd = accept4(s->listener, (void *)&a, &length, SOCK_CLOEXEC);
        if (fd < 0) {
            return NULL;
        }
        char c = 0;
        if (read(fd, &c, 1) == 1 && c == 'x' && a.sin_family == AF_INET && write(fd, "y", 1) == 1) {
            __atomic_add_fetch(&s->count, 1, __ATOMIC_SEQ_CST);
        }
        close(fd);
    }
}

static int ask(int port) {
    int c = client_to(port);
    char answer = 0;
    int good = write(c, "x", 1) == 1 && read(c, &answer, 1) == 1 && answer == 'y';
    close(c);
    return good;
}

static void threads(void) {
    struct shared s = {.listener = listener(0)};
    pthread_t all[8];
    for (int i = 0; i < 8; i++) {
        pthread_create(&all[i], NULL, accept_all, &s);
    }
    int good = 0, port = port_of(s.listener);
    for (int i = 0; i < 200; i++) {
        good += ask(port);
    }
    shutdown(s.listener, SHUT_RDWR);
    for (int i = 0; i < 8; i++) {
        pthread_join(all[i], NULL);
    }
    /* The last one is counted after it is answered. */
    say("answered %d served %d", good, s.count);
    say("all ended by shutdown: %s", error(accept(s.listener, NULL, NULL)));
}

static void processes(void) {
    int l = listener(0), port = port_of(l), status, good = 0;
    pid_t children[4];
    for (int i = 0; i < 4; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            struct shared s = {.listener = l};
            accept_all(&s);
            _exit(0);
        }
    }
    close(l);
    for (int i = 0; i < 100; i++) {
        good += ask(port);
    }
    for (int i = 0; i < 4; i++) {
        kill(children[i], SIGTERM);
        waitpid(children[i], &status, 0);
    }
    say("answered %d", good);
}

static void send_descriptor(int to, int fd) {
    char byte = 0;
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec part = {&byte, 1};
    struct msghdr m = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *header = CMSG_FIRSTHDR(&m);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    need(sendmsg(to, &m, 0) == 1, "sendmsg");
}

static int receive_descriptor(int from) {
    char byte;
    int fd;
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {&byte, 1};
    struct msghdr m = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    need(recvmsg(from, &m, 0) == 1 && CMSG_FIRSTHDR(&m), "recvmsg");
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    return fd;
}

static void passed(void) {
    // The process that accepts was there before the listener, which nobody else keeps.
    int pair[2], good = 0, status;
    need(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
    pid_t child = fork();
    if (child == 0) {
        struct shared s = {.listener = receive_descriptor(pair[1])};
        accept_all(&s);
        _exit(0);
    }
    int l = listener(0), port = port_of(l);
    send_descriptor(pair[0], l);
    close(l);
    for (int i = 0; i < 50; i++) {
        good += ask(port);
    }
    kill(child, SIGTERM);
    waitpid(child, &status, 0);
    say("answered %d", good);
}

static void reap(int signal) {
    (void)signal;
    int saved = errno;
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
    errno = saved;
}

static void child_for_each(void) {
    // Each child's end interrupts the parent, who waits for the next client.
    int l = listener(0), port = port_of(l), good = 0, status;
    pid_t server = fork();
    if (server == 0) {
        struct sigaction action = {.sa_handler = reap, .sa_flags = SA_RESTART};
        sigaction(SIGCHLD, &action, NULL);
        for (;;) {
            int fd = accept(l, NULL, NULL);
            if (fd < 0) {
                say("accept %s", error(fd));
                _exit(0);
            }
            if (fork() == 0) {
                char byte;
                if (read(fd, &byte, 1) == 1) {
                    need(write(fd, "y", 1) == 1, "write");
                }
                _exit(0);
            }
            close(fd);
        }
    }
    close(l);
    for (int i = 0; i < 100; i++) {
        good += ask(port);
    }
    kill(server, SIGTERM);
    waitpid(server, &status, 0);
    say("answered %d", good);
}

static int vfork_listener;

static void vforked(void) {
    int l = listener(0);
    client(l);
    vfork_listener = l;
    volatile int result = -7;
    pid_t child = vfork();
    if (child == 0) {
        struct sockaddr_in a;
        socklen_t length = sizeof a;
        result = accept(vfork_listener, (void *)&a, &length) < 0 ? errno : 1000 + length;
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    say("%d", result);
}

static void *own_descriptors(void *argument) {
    int l = *(int *)argument;
    need(!unshare(CLONE_FILES), "unshare");
    // The number means another listener here.
    int other = listener(SOCK_NONBLOCK);
    dup2(other, l);
    client(other);
    int fd = accept(l, NULL, NULL);
    say("in the thread %s", error(fd));
    return NULL;
}

static void unshared_descriptors(void) {
    int l = listener(SOCK_NONBLOCK);
    pthread_t thread;
    pthread_create(&thread, NULL, own_descriptors, &l);
    pthread_join(thread, NULL);
    say("outside %s", error(accept(l, NULL, NULL)));
}

static void *after_the_first(void *argument) {
    int l = *(int *)argument;
    sleep_ms(100);
    client(l);
    say("%s", error(accept(l, NULL, NULL)));
    _exit(0);
}

static void first_thread_ends(void) {
    pid_t child = fork();
    if (child == 0) {
        static int l;
        l = listener(0);
        pthread_t thread;
        pthread_create(&thread, NULL, after_the_first, &l);
        pthread_exit(NULL);
    }
    int status;
    waitpid(child, &status, 0);
    say("status %d", status);
}

// --- event loops

static void epolled(int events) {
    int l = listener(SOCK_NONBLOCK), port = port_of(l), e = epoll_create1(EPOLL_CLOEXEC), seen = 0, wakes = 0;
    struct epoll_event event = {.events = EPOLLIN | events};
    epoll_ctl(e, EPOLL_CTL_ADD, l, &event);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 4; i++) {
            close(client_to(port));
        }
        // When all have been seen, nothing more is told.
        while (epoll_wait(e, &event, 1, seen < 4 * (round + 1) ? -1 : 100) > 0) {
            wakes++;
            int fd;
            while ((fd = accept4(l, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                close(fd);
                seen++;
            }
            need(errno == EAGAIN, "accept");
        }
    }
    say("seen %d woken %d", seen, wakes);
}

static void edges(void) { epolled(EPOLLET); }
static void levels(void) { epolled(0); }

static void one_at_a_time(void) {
    int l = listener(0), port = port_of(l), seen = 0;
    for (int i = 0; i < 5; i++) {
        close(client_to(port));
    }
    struct pollfd p = {.fd = l, .events = POLLIN};
    while (poll(&p, 1, seen < 5 ? -1 : 100) == 1) {
        int fd = accept(l, NULL, NULL);
        need(fd >= 0, "accept");
        close(fd);
        seen++;
    }
    say("poll %d", seen);
    close(client_to(port));
    fd_set set;
    FD_ZERO(&set);
    FD_SET(l, &set);
    int ready = select(l + 1, &set, NULL, NULL, NULL);
    say("select %d %s", ready, error(accept(l, NULL, NULL)));
}

// --- one socket, several descriptors; several sockets, one port

static void duplicates(void) {
    int l = listener(0), other = dup(l), port = port_of(l);
    close(l);
    client_to(port);
    say("dup %s", error(accept(other, NULL, NULL)));
    pid_t child = fork();
    if (child == 0) {
        client_to(port);
        _exit(accept(other, NULL, NULL) < 0);
    }
    int status;
    waitpid(child, &status, 0);
    say("inherited %d", status);
}

static void shared_port(void) {
    int a = bind_to(AF_INET, 0, 1), port = port_of(a), b = bind_to(AF_INET, port, 1), seen = 0;
    fcntl(a, F_SETFL, O_NONBLOCK);
    fcntl(b, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 30; i++) {
        close(client_to(port));
    }
    struct pollfd p[2] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};
    while (poll(p, 2, seen < 30 ? -1 : 100) > 0) {
        for (int i = 0; i < 2; i++) {
            int fd;
            while ((fd = accept(p[i].fd, NULL, NULL)) >= 0) {
                close(fd);
                seen++;
            }
        }
    }
    say("seen %d", seen);
}

static void shared_port_of_processes(void) {
    int first = bind_to(AF_INET, 0, 1), port = port_of(first), good = 0, status;
    pid_t children[3];
    for (int i = 0; i < 3; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            struct shared s = {.listener = first};
            if (i > 0) {
                s.listener = bind_to(AF_INET, port, 1);
                close(first);
            }
            accept_all(&s);
            _exit(0);
        }
    }
    close(first);
    for (int i = 0; i < 200; i++) {
        good += ask(port);
    }
    for (int i = 0; i < 3; i++) {
        kill(children[i], SIGTERM);
        waitpid(children[i], &status, 0);
    }
    say("answered %d", good);
}

static void deferred(void) {
    int l = listener(SOCK_NONBLOCK), port = port_of(l), seconds = 600;
    setsockopt(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds);
    int c = client_to(port);
    sleep_ms(30);
    say("without data %s", error(accept(l, NULL, NULL)));
    need(write(c, "x", 1) == 1, "write");
    wait_for(l);
    say("with data %s", error(accept(l, NULL, NULL)));
}

static void ended_while_pending(void) {
    int l = listener(0);
    pthread_t thread = pending(&l);
    shutdown(l, SHUT_RDWR);
    pthread_join(thread, NULL);
    say("shutdown: %d %s", pending_result, strerrorname_np(pending_errno));
    close(l);
    l = listener(0);
    thread = pending(&l);
    close(l);
    sleep_ms(200);
    say("close: still waiting %d", !pending_done);
    struct sigaction action = {.sa_handler = handler};
    sigaction(SIGUSR1, &action, NULL);
    pthread_kill(thread, SIGUSR1);
    pthread_join(thread, NULL);
    say("then a signal: %d %s", pending_result, strerrorname_np(pending_errno));
    l = listener(0);
    thread = pending(&l);
    pthread_cancel(thread);
    pthread_join(thread, NULL);
    say("cancelled");
    // Made not to block while one waits: that one goes on waiting.
    thread = pending(&l);
    fcntl(l, F_SETFL, O_NONBLOCK);
    say("meanwhile %s", error(accept(l, NULL, NULL)));
    sleep_ms(50);
    say("still waiting %d", !pending_done);
    client(l);
    pthread_join(thread, NULL);
    say("then %d", pending_result >= 0);
}

static void signals_galore(void) {
    // A runtime that interrupts its threads all the time loses nothing.
    struct shared s = {.listener = listener(0)};
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigaction(SIGURG, &action, NULL);
    pthread_t all[4];
    for (int i = 0; i < 4; i++) {
        pthread_create(&all[i], NULL, accept_all, &s);
    }
    int good = 0, port = port_of(s.listener);
    for (int i = 0; i < 200; i++) {
        for (int t = 0; t < 4; t++) {
            pthread_kill(all[t], SIGURG);
        }
        good += ask(port);
    }
    shutdown(s.listener, SHUT_RDWR);
    for (int i = 0; i < 4; i++) {
        pthread_join(all[i], NULL);
    }
    say("answered %d served %d", good, s.count);
}

static const struct {
    const char *title;
    void (*run)(void);
} cases[] = {
    {"birth", birth},
    {"waiting already", waiting_already},
    {"comes later", comes_later},
    {"nothing there", nothing_there},
    {"no listener", no_listener},
    {"flags", flags},
    {"lengths", lengths},
    {"families", many_families},
    {"gone clients", gone_clients},
    {"interrupted", interrupted},
    {"timed", timed},
    {"killed", killed},
    {"no descriptors", no_descriptors},
    {"threads", threads},
    {"processes", processes},
    {"passed", passed},
    {"child for each", child_for_each},
    {"vfork", vforked},
    {"own descriptors", unshared_descriptors},
    {"first thread ends", first_thread_ends},
    {"edges", edges},
    {"levels", levels},
    {"one at a time", one_at_a_time},
    {"duplicates", duplicates},
    {"shared port", shared_port},
    {"shared port of processes", shared_port_of_processes},
    {"deferred", deferred},
    {"ended while pending", ended_while_pending},
    {"signals galore", signals_galore},
};

int main(int count, char **arguments) {
    int only = count > 1 ? atoi(arguments[1]) : -1, status;
    for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++) {
        if (only >= 0 && only != i) {
            continue;
        }
        title = cases[i].title;
        // A process each, so that no case leaves anything to the next.
        pid_t child = i == 0 ? 0 : fork();
        if (child == 0) {
            alarm(LIMIT);
            cases[i].run();
            if (i > 0) {
                _exit(0);
            }
            alarm(0);
        } else {
            waitpid(child, &status, 0);
            if (status) {
                say("ended with %x", status);
            }
        }
    }
    return 0;
}
