// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A file system of one file, as a user mounts one, whose server never answers what closing the file asks of it, nor
// what a look at its contents does, and says that it was asked; or answers after so many milliseconds. With a FIFO it says
// who looks, and answers when somebody has opened that to write: each number in the file is 128 then.
//
// usage: fuse DIRECTORY [MILLISECONDS|FIFO]

#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int device;

static void answer(unsigned long long unique, int error, const void *body, size_t length) {
    struct fuse_out_header header = {sizeof header + length, error, unique};
    struct iovec parts[] = {{&header, sizeof header}, {(void *)body, length}};
    if (writev(device, parts, 2) < 0) {
        perror("answer");
    }
}

static struct fuse_attr about(unsigned long long node) {
    struct fuse_attr a = {.ino = node, .nlink = 1};
    a.mode = node == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0666;
    a.size = node == FUSE_ROOT_ID ? 0 : 4096;
    return a;
}

int main(int count, char **arguments) {
    static char request[1 << 20];
    char options[64];
    device = open("/dev/fuse", O_RDWR);
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", device);
    if (count < 2 || device < 0 || mount("fuse", arguments[1], "fuse", 0, options)) {
        return 2;
    }
    struct fuse_in_header *in = (void *)request;
    while (read(device, request, sizeof request) > 0) {
        struct fuse_init_out init = {.major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = 4096};
        struct fuse_entry_out entry = {.nodeid = 2, .attr_valid = 9999, .attr = about(2)};
        struct fuse_attr_out attr = {.attr_valid = 9999, .attr = about(in->nodeid)};
        struct fuse_open_out opened = {.fh = 1};
        switch (in->opcode) {
        case FUSE_INIT:
            answer(in->unique, 0, &init, sizeof init);
            puts("mounted");
            fflush(stdout);
            break;
        case FUSE_LOOKUP:
            answer(in->unique, 0, &entry, sizeof entry);
            break;
        case FUSE_GETATTR:
            answer(in->unique, 0, &attr, sizeof attr);
            break;
        case FUSE_OPEN:
            answer(in->unique, 0, &opened, sizeof opened);
            break;
        case FUSE_FLUSH:
        case FUSE_READ:
            if (count > 2) {
                static int page[1024];
                if (*arguments[2] != '/') {
                    usleep(atoi(arguments[2]) * 1000);
                } else if (in->opcode == FUSE_READ) {
                    puts("read");
                    fflush(stdout);
                    close(open(arguments[2], O_RDONLY));
                    for (int i = 0; i < 1024; i++) {
                        page[i] = 128;
                    }
                }
                answer(in->unique, 0, page, in->opcode == FUSE_READ ? sizeof page : 0);
            } else {
                puts(in->opcode == FUSE_READ ? "read" : "closed");
                fflush(stdout);
            }
            break;
        case FUSE_FORGET:
        case FUSE_BATCH_FORGET:
        case FUSE_INTERRUPT:
            break;
        default:
            answer(in->unique, -38, NULL, 0);
        }
    }
    return 0;
}
