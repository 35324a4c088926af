// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A guard that asks no rules, for one program with one blocking listener: what the kernel's interface costs by
// itself. It reaches the caller's memory in the safe way, through the memory that made the call. It is no guard to
// use: it neither stays exact nor survives anything unusual.

#define _GNU_SOURCE

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

// Known to headers since Linux 6.6: the caller's processor goes on with the guard.
#define SET_FLAGS SECCOMP_IOW(4, __u64)

static void guard(int filter, int program, int process) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d", process);
    int directory = open(path, O_PATH | O_DIRECTORY);
    ioctl(filter, SET_FLAGS, 1);
    for (;;) {
        struct pollfd called = {.fd = filter, .events = POLLIN};
        poll(&called, 1, -1);
        struct seccomp_notif call = {0};
        if (ioctl(filter, SECCOMP_IOCTL_NOTIF_RECV, &call)) {
            continue;
        }
        int listener = syscall(SYS_pidfd_getfd, program, (int)call.data.args[0], 0);
        struct sockaddr_in client;
        socklen_t length = sizeof client;
        int connection = accept4(listener, (void *)&client, &length, SOCK_CLOEXEC);
        int memory = openat(directory, "mem", O_RDWR | O_CLOEXEC);
        socklen_t room;
        if (!ioctl(filter, SECCOMP_IOCTL_NOTIF_ID_VALID, &call.id) &&
            pread(memory, &room, sizeof room, call.data.args[2]) == sizeof room &&
            pwrite(memory, &client, length < room ? length : room, call.data.args[1]) > 0 &&
            pwrite(memory, &length, sizeof length, call.data.args[2]) > 0) {
            struct seccomp_notif_addfd hand_over = {
                .id = call.id, .flags = SECCOMP_ADDFD_FLAG_SEND, .srcfd = connection};
            ioctl(filter, SECCOMP_IOCTL_NOTIF_ADDFD, &hand_over);
        }
        close(memory);
        close(connection);
        close(listener);
    }
}

int main(int count, char **arguments) {
    if (count < 2) {
        return 2;
    }
    struct sock_filter statements[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_accept, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof statements / sizeof *statements, statements};
    int ready[2], process = getpid();
    if (pipe(ready)) {
        return 3;
    }
    if (fork() == 0) {
        // It may wait in accept then.
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int filter, pidfd = syscall(SYS_pidfd_open, process, 0);
        close(ready[1]);
        if (read(ready[0], &filter, sizeof filter) != sizeof filter) {
            _exit(4);
        }
        filter = syscall(SYS_pidfd_getfd, pidfd, filter, 0);
        // Ends the wait below, now that the filter is here too.
        close(ready[0]);
        guard(filter, pidfd, process);
    }
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    int flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    int filter = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
    close(ready[0]);
    if (filter < 0 || write(ready[1], &filter, sizeof filter) != sizeof filter) {
        return 5;
    }
    struct pollfd reader = {.fd = ready[1], .events = 0};
    poll(&reader, 1, -1);
    close(ready[1]);
    close(filter);
    execv(arguments[1], arguments + 1);
    return 6;
}
