#include <stdio.h>
#include <stdlib.h>

/* Puts a table in place as an editor does: whole, by a new name. */
static void put(const char *path, const char *always, int filler)
{
    char fresh[512];
    FILE *file;
    snprintf(fresh, sizeof fresh, "%s.new", path);
    file = fopen(fresh, "w");
    if (file == NULL)
        exit(3);
    for (int at = 0; at < filler; at++)
        fprintf(file, "vsftpd: 203.0.113.%d\n", at);
    fprintf(file, "%s\n", always);
    if (fclose(file) != 0 || rename(fresh, path) != 0)
        exit(3);
}
