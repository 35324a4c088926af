/*
 * Functions of a program in place of the library's. The dynamic linker puts them there, unless the library was
 * linked with -Bsymbolic-functions, as Ubuntu's are: it calls what it defines, whatever the program has. There
 * (SYMBOLIC) the library's function is made to jump to the program's.
 */
#ifdef SYMBOLIC
#ifndef __x86_64__
#error "replace.h knows how to jump on x86-64 alone"
#endif
#include <dlfcn.h>
#include <stdint.h>
#include <sys/mman.h>

static void replace(const char *name, void *with)
{
    /* movabs $WITH, %r11; jmp *%r11 */
    unsigned char jump[13] = {0x49, 0xbb, [10] = 0x41, 0xff, 0xe3};
    void *library = dlopen("libwrap.so.0", RTLD_LAZY | RTLD_NOLOAD);
    unsigned char *replaced = library == NULL ? NULL : dlsym(library, name);
    size_t page = sysconf(_SC_PAGESIZE);
    void *start = (void *) ((uintptr_t) replaced & -page);
    if (replaced == NULL || mprotect(start, 2 * page, PROT_READ | PROT_WRITE | PROT_EXEC) != 0)
        _exit(3);
    memcpy(jump + 2, &with, sizeof with);
    memcpy(replaced, jump, sizeof jump);
}
#else
#define replace(name, with) ((void) (with))
#endif
