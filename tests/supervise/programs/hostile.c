// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Does at random, in many threads and processes, what may confuse whoever answers its accept calls: opens, closes and
// exchanges descriptors under them, unmaps the memory that addresses go to, or has it come from a file system that does
// not answer or by userfaultfd from a thread of its own that is slow to, sets options, interrupts, forks, executes itself
// and a setuid copy, leaves for other namespaces. It listens at addresses of IPv4, of IPv6, and of both. Its clients come
// from addresses that the rules allow and from others that they refuse; it says how many of each it got.
//
// usage: hostile SEED SECONDS SETUID-COPY [FILE]

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 8, LOW = 10, DESCRIPTORS = 60 };

static struct counts {
    unsigned long calls, allowed, refused, other;
} *counts;
static const char *copy, *file;
static volatile time_t end;
static char *memory;
// Tells who misses memory.
static int faults = -1;
static pthread_t threads[THREADS];
static pthread_barrier_t all_there;

static unsigned chance(unsigned *seed, unsigned below) {
    return rand_r(seed) % below;
}

static struct sockaddr_in6 at(const char *address, int port) {
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in *v4 = (void *)&a;
    // The port is in the same place.
    if (inet_pton(AF_INET6, address, &a.sin6_addr) != 1) {
        v4->sin_family = AF_INET;
        inet_pton(AF_INET, address, &v4->sin_addr);
    }
    return a;
}

static socklen_t length_of(const struct sockaddr_in6 *a) {
    return a->sin6_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof *a;
}

static int any(unsigned *seed) {
    return LOW + chance(seed, DESCRIPTORS);
}

// Puts a new descriptor in a place of the table, whatever was there.
static void place(int fd, unsigned *seed) {
    if (fd >= 0) {
        dup2(fd, any(seed));
        close(fd);
    }
}

static void open_one(unsigned *seed) {
    int kinds[] = {SOCK_STREAM, SOCK_STREAM | SOCK_NONBLOCK, SOCK_DGRAM};
    switch (chance(seed, 8)) {
    case 0: {
        int two[2];
        if (!pipe(two)) {
            close(two[1]);
            place(two[0], seed);
        }
        break;
    }
    case 1:
        place(open("/dev/null", O_RDONLY), seed);
        break;
    case 2:
        place(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), seed);
        break;
    case 3:
        place(file ? open(file, O_RDWR) : -1, seed);
        break;
    default: {
        const char *addresses[] = {"192.0.2.1", "192.0.2.1", "2001:db8::1", "::"};
        struct sockaddr_in6 a = at(addresses[chance(seed, 4)], 20000 + chance(seed, 8));
        int fd = socket(a.sin6_family, kinds[chance(seed, 3)], 0), on = 1, only = chance(seed, 2);
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
        bind(fd, (void *)&a, length_of(&a));
        listen(fd, chance(seed, 16));
        place(fd, seed);
    }
    }
}

static void set_options(unsigned *seed) {
    int fd = any(seed), number = chance(seed, 3);
    struct linger linger = {chance(seed, 2), chance(seed, 30)};
    struct timeval time = {chance(seed, 2), 1 + chance(seed, 1000)};
    switch (chance(seed, 6)) {
    case 0:
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        break;
    case 1:
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
        break;
    case 2:
        setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &number, sizeof number);
        break;
    case 3:
        setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &number, sizeof number);
        break;
    case 4:
        fcntl(fd, F_SETFL, chance(seed, 4) ? O_NONBLOCK : 0);
        break;
    default:
        shutdown(fd, chance(seed, 3));
    }
}

static void change_memory(unsigned *seed) {
    char *page = memory + 4096 * chance(seed, 4);
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    switch (chance(seed, 6)) {
    case 0:
        munmap(page, 4096);
        break;
    case 1:
        mprotect(page, 4096, PROT_READ);
        break;
    case 2: {
        int fd = file ? open(file, O_RDWR) : -1;
        if (fd >= 0) {
            mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
            close(fd);
        }
        break;
    }
    case 3: {
        // It is there when somebody has missed it, and not at once.
        struct uffdio_register all = {{(uintptr_t)page, 4096}, UFFDIO_REGISTER_MODE_MISSING, 0};
        mmap(page, 4096, PROT_READ | PROT_WRITE, flags, -1, 0);
        ioctl(faults, UFFDIO_REGISTER, &all);
        break;
    }
    default:
        mmap(page, 4096, PROT_READ | PROT_WRITE, flags, -1, 0);
    }
}

// Has the pages come that are missed, late or very late.
static void *serve_faults(void *unused) {
    struct uffd_msg message;
    unsigned seed = 1;
    while (read(faults, &message, sizeof message) == sizeof message) {
        struct uffdio_zeropage page = {{message.arg.pagefault.address & ~4095ull, 4096}, 0, 0};
        usleep(chance(&seed, 8) ? chance(&seed, 2000) : 400000);
        if (ioctl(faults, UFFDIO_ZEROPAGE, &page)) {
            // It is there, or another one is in its place, or none: whoever waits looks again.
            ioctl(faults, UFFDIO_WAKE, &page.range);
        }
    }
    return unused;
}

// A thread's for as long as it lives: what is written the moment after a call was interrupted (docs/threat-model.md) is no
// other function's. interrupted.c has such calls on its stack.
static __thread struct sockaddr_storage own;
static __thread socklen_t length;

static void call(unsigned *seed) {
    int fd = any(seed), flags = chance(seed, 4) ? SOCK_NONBLOCK : SOCK_CLOEXEC;
    char *place = memory + chance(seed, 4 * 4096);
    length = sizeof(struct sockaddr_in);
    socklen_t *room = chance(seed, 8) ? &length : (void *)place;
    // One that blocks would wait until it is interrupted; seldom.
    if (chance(seed, 16)) {
        struct pollfd entry = {fd, POLLIN, 0};
        if (poll(&entry, 1, chance(seed, 2)) < 1) {
            return;
        }
    }
    void *address = chance(seed, 3) ? (void *)&own : chance(seed, 2) ? NULL : place;
    __atomic_add_fetch(&counts->calls, 1, __ATOMIC_RELAXED);
    int got = accept4(fd, address, room, flags);
    if (got < 0) {
        return;
    }
    struct sockaddr_in6 peer = {0};
    socklen_t size = sizeof peer;
    getpeername(got, (void *)&peer, &size);
    unsigned long *count = &counts->other;
    if (peer.sin6_family == AF_INET || peer.sin6_family == AF_INET6) {
        // Whom the rules refuse has an address that ends in 2, in either family.
        int is_v4 = peer.sin6_family == AF_INET;
        unsigned char *address = is_v4 ? (void *)&((struct sockaddr_in *)&peer)->sin_addr : (void *)&peer.sin6_addr;
        count = address[is_v4 ? 3 : 15] == 2 ? &counts->refused : &counts->allowed;
    }
    __atomic_add_fetch(count, 1, __ATOMIC_RELAXED);
    close(got);
}

static void come(unsigned *seed) {
    const char *clients[] = {"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"};
    unsigned who = chance(seed, 4);
    struct sockaddr_in6 from = at(clients[who], 0);
    struct sockaddr_in6 to = at(clients[who & 2], 20000 + chance(seed, 8));
    int fd = socket(from.sin6_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    bind(fd, (void *)&from, length_of(&from));
    connect(fd, (void *)&to, length_of(&to));
    if (chance(seed, 2)) {
        struct linger hard = {1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    }
    place(fd, seed);
}

static void branch(unsigned *seed) {
    unsigned how = chance(seed, 8);
    pid_t child = fork();
    if (child) {
        if (child > 0) {
            // The others are waited for all at once.
            waitpid(child, NULL, chance(seed, 2) ? WNOHANG : 0);
        }
        return;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    // Whatever it waits for, it ends. Memory that does not come keeps a thread of the guard's for each process.
    alarm(2);
    memory = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char number[16];
    snprintf(number, sizeof number, "%u", *seed + 1);
    if (how == 0) {
        unshare(CLONE_NEWUSER | CLONE_NEWNET);
    } else if (how == 1) {
        unshare(CLONE_FILES | CLONE_FS);
    } else if (how == 2) {
        execl("/proc/self/exe", "hostile", number, "0", copy, NULL);
    } else if (how == 3) {
        execl(copy, "hostile", number, "0", copy, NULL);
    } else if (how == 4) {
        prctl(PR_SET_DUMPABLE, 0);
    }
    for (int i = 0; i < 20; i++) {
        chance(seed, 3) ? call(seed) : chance(seed, 2) ? open_one(seed) : come(seed);
    }
    _exit(0);
}

static void *act(void *number) {
    unsigned seed = (unsigned)(long)number;
    int once = !end;
    if (!once) {
        // All threads are there to be interrupted.
        pthread_barrier_wait(&all_there);
    }
    for (int i = 0; once ? i < 30 : time(NULL) < end; i++) {
        switch (chance(&seed, 12)) {
        case 0:
        case 1:
            open_one(&seed);
            break;
        case 2:
            close(any(&seed));
            break;
        case 3:
            dup2(any(&seed), any(&seed));
            break;
        case 4:
            set_options(&seed);
            break;
        case 5:
            change_memory(&seed);
            break;
        case 6:
        case 7:
            come(&seed);
            break;
        case 8:
            if (!once && !chance(&seed, 8)) {
                branch(&seed);
            } else if (!once) {
                pthread_kill(threads[chance(&seed, THREADS)], SIGUSR1);
            }
            break;
        default:
            call(&seed);
        }
    }
    return NULL;
}

static void interrupted(int signal) {
    (void)signal;
}

int main(int count, char **arguments) {
    if (count < 4) {
        return 2;
    }
    struct sigaction action = {.sa_handler = interrupted};
    sigaction(SIGUSR1, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    unsigned seed = atoi(arguments[1]);
    int seconds = atoi(arguments[2]);
    copy = arguments[3];
    file = count > 4 ? arguments[4] : NULL;
    counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memory = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!seconds) {
        // Executed by another one of these, with what that had open.
        alarm(2);
        act((void *)(long)seed);
        return 0;
    }
    pthread_t server;
    struct uffdio_api api = {.api = UFFD_API};
    // What the kernel misses, and others who look in, it is told of too: that is not for everybody, hence the device.
    int device = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
    faults = ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC);
    if (faults >= 0 && !ioctl(faults, UFFDIO_API, &api)) {
        faults = fcntl(faults, F_DUPFD_CLOEXEC, 900);
        pthread_create(&server, NULL, serve_faults, NULL);
        puts("userfaultfd");
    }
    end = time(NULL) + seconds;
    pthread_barrier_init(&all_there, NULL, THREADS + 1);
    for (long i = 0; i < THREADS; i++) {
        pthread_create(&threads[i], NULL, act, (void *)(long)(seed * 100 + i));
    }
    pthread_barrier_wait(&all_there);
    // Somebody has to have been let in, if it takes half a minute more; waiting for its own files it does not get far.
    for (int more = file ? 0 : 30; time(NULL) < end + 1;) {
        usleep(100000);
        if (!counts->allowed && time(NULL) + 1 >= end && more-- > 0) {
            end++;
        }
        for (int i = 0; i < THREADS && time(NULL) >= end; i++) {
            pthread_kill(threads[i], SIGUSR1);
        }
        while (waitpid(-1, NULL, WNOHANG) > 0) {
        }
    }
    printf("calls %lu allowed %lu refused %lu\n", counts->calls, counts->allowed, counts->refused);
    fflush(stdout);
    // Threads may still wait for what never comes.
    _exit(0);
}
