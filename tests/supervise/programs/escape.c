// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Tries to get a connection past the guard. The first argument says how; the program listens, says on which
// port, waits for a line on standard input, makes its attempt, and says what came of it.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int listener;

static const char *name(long result) {
    static char text[32];
    if (result >= 0) {
        return "got through";
    }
    snprintf(text, sizeof text, "%s", strerrorname_np(errno));
    return text;
}

static int try_io_uring(void) {
    struct io_uring_params p = {0};
    long set_up = syscall(SYS_io_uring_setup, 4, &p);
    printf("setup %s\n", name(set_up));
    printf("enter %s\n", name(syscall(SYS_io_uring_enter, 99, 0, 0, 0, NULL, 0)));
    printf("register %s\n", name(syscall(SYS_io_uring_register, 99, 0, NULL, 0)));
    return 0;
}

#ifdef __x86_64__
static long i386(long number, long a, long b, long c, long d) {
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d) : "memory", "r8", "r9", "r10", "r11");
    if (result < 0 && result > -4096) {
        errno = -result;
        return -1;
    }
    return result;
}

static int try_foreign(void) {
    printf("i386 accept4 %s\n", name(i386(364, listener, 0, 0, 0)));
    unsigned args[3] = {listener, 0, 0};
    printf("i386 socketcall %s\n", name(i386(102, 5, (long)args, 0, 0)));
    printf("i386 getpid %s\n", name(i386(20, 0, 0, 0, 0)));
    printf("x32 accept %s\n", name(syscall(0x40000000 | SYS_accept, listener, NULL, NULL)));
    printf("x32 accept4 %s\n", name(syscall(0x40000000 | SYS_accept4, listener, NULL, NULL, 0)));
    return 0;
}
#endif

static struct sock_filter let_through[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_accept, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
};

static long set_filter(unsigned action, unsigned flags) {
    let_through[3].k = action;
    struct sock_fprog program = {4, let_through};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static int try_filters(void) {
    printf("listener %s\n", name(set_filter(SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER)));
    // More lenient filters of one's own change nothing.
    unsigned actions[] = {SECCOMP_RET_ALLOW, SECCOMP_RET_LOG, SECCOMP_RET_TRACE};
    for (int i = 0; i < 3; i++) {
        printf("filter %s\n", set_filter(actions[i], 0) ? strerrorname_np(errno) : "set");
    }
    fcntl(listener, F_SETFL, O_NONBLOCK);
    printf("accept %s\n", name(accept(listener, NULL, NULL)));
    return 0;
}

// Waits until the guard, whose process id is on standard input, is dead; then tries again.
static int try_without_guard(int kill_it) {
    int guard;
    if (scanf("%d", &guard) != 1) {
        return 1;
    }
    if (kill_it) {
        printf("trace %s\n", name(ptrace(PTRACE_SEIZE, guard, 0, 0)));
        printf("kill %s\n", kill(guard, SIGKILL) ? strerrorname_np(errno) : "sent");
    }
    while (kill(guard, 0) == 0) {
        char path[64], text[256] = "";
        snprintf(path, sizeof path, "/proc/%d/stat", guard);
        int fd = open(path, O_RDONLY);
        if (fd < 0 || read(fd, text, 255) <= 0 || strstr(text, ") Z")) {
            break;
        }
        close(fd);
        usleep(1000);
    }
    printf("accept %s\n", name(accept(listener, NULL, NULL)));
    printf("accept4 %s\n", name(accept4(listener, NULL, NULL, 0)));
    int fd = set_filter(SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
    printf("listener %s\n", name(fd));
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        printf("child %s\n", name(accept(listener, NULL, NULL)));
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    return 0;
}

static long open_of(int process, const char *what) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", process, what);
    return open(path, O_RDWR);
}

// What one process may do to another of the same user, tried on the guard, whose process id is on standard input.
static int try_reach(void) {
    int guard;
    if (scanf("%d", &guard) != 1) {
        return 1;
    }
    char byte = 0;
    struct iovec here = {&byte, 1}, there = {(void *)try_reach, 1};
    printf("trace %s\n", name(ptrace(PTRACE_SEIZE, guard, 0, 0)));
    printf("read %s\n", name(process_vm_readv(guard, &here, 1, &there, 1, 0)));
    printf("write %s\n", name(process_vm_writev(guard, &here, 1, &there, 1, 0)));
    printf("memory %s\n", name(open_of(guard, "mem")));
    int pidfd = syscall(SYS_pidfd_open, guard, 0);
    printf("descriptor %s\n", name(syscall(SYS_pidfd_getfd, pidfd, 3, 0)));
    printf("descriptors %s\n", name(open_of(guard, "fd/3")));
    // This one may, and gains nothing: a guard without descriptors lets nobody in.
    struct rlimit none = {0, 0};
    printf("limit %s\n", name(prlimit(guard, RLIMIT_NOFILE, &none, NULL)));
    fcntl(listener, F_SETFL, O_NONBLOCK);
    printf("accept %s\n", name(accept(listener, NULL, NULL)));
    return 0;
}

static int try_children(void) {
    fcntl(listener, F_SETFL, O_NONBLOCK);
    fflush(stdout);
    volatile long result = 0;
    volatile int error = 0;
    pid_t child = vfork();
    if (child == 0) {
        result = accept(listener, NULL, NULL);
        error = errno;
        _exit(0);
    }
    waitpid(child, NULL, 0);
    errno = error;
    printf("vfork %s\n", name(result));
    fflush(stdout);
    child = fork();
    if (child == 0) {
        setsid();
        if (fork() == 0) {
            printf("grandchild %s\n", name(accept(listener, NULL, NULL)));
            fflush(stdout);
            _exit(0);
        }
        sleep(1);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    return 0;
}

static int try_descriptors(void) {
    // Whatever the guard might have left here is closed.
    syscall(SYS_close_range, 3, listener - 1, 0);
    syscall(SYS_close_range, listener + 1, ~0U, 0);
    fcntl(listener, F_SETFL, O_NONBLOCK);
    printf("accept %s\n", name(accept(listener, NULL, NULL)));
    return 0;
}

static volatile int stop, raced;

static void *swap(void *unused) {
    (void)unused;
    // The same number is a harmless local socket one moment and the listener the next.
    int local = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), spare = dup(listener);
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    bind(local, (void *)&a, sizeof(sa_family_t));
    listen(local, 8);
    while (!stop) {
        dup2(local, 200);
        dup2(spare, 200);
    }
    return NULL;
}

static int try_race(void) {
    pthread_t thread;
    fcntl(listener, F_SETFL, O_NONBLOCK);
    dup2(listener, 200);
    pthread_create(&thread, NULL, swap, NULL);
    for (int i = 0; i < 20000; i++) {
        int fd = accept(200, NULL, NULL);
        if (fd >= 0) {
            raced++;
            close(fd);
        }
    }
    stop = 1;
    pthread_join(thread, NULL);
    printf("raced %d\n", raced);
    return 0;
}

int main(int count, char **arguments) {
    if (count < 2) {
        return 2;
    }
    listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t length = sizeof a;
    if (bind(listener, (void *)&a, sizeof a) || listen(listener, 64) || getsockname(listener, (void *)&a, &length)) {
        return 3;
    }
    printf("port %d\n", ntohs(a.sin_port));
    fflush(stdout);
    char line[16];
    const char *how = arguments[1];
    if (strncmp(how, "guard", 5) && !fgets(line, sizeof line, stdin)) {
        return 4;
    }
    int result = 5;
    if (!strcmp(how, "io_uring")) {
        result = try_io_uring();
    } else if (!strcmp(how, "filters")) {
        result = try_filters();
    } else if (!strcmp(how, "guard killed")) {
        result = try_without_guard(0);
    } else if (!strcmp(how, "guard kill")) {
        result = try_without_guard(1);
    } else if (!strcmp(how, "guard reached")) {
        result = try_reach();
    } else if (!strcmp(how, "children")) {
        result = try_children();
    } else if (!strcmp(how, "descriptors")) {
        result = try_descriptors();
    } else if (!strcmp(how, "race")) {
        result = try_race();
#ifdef __x86_64__
    } else if (!strcmp(how, "foreign")) {
        result = try_foreign();
#endif
    }
    fflush(stdout);
    return result;
}
