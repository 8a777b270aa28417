/*
 * replay.c - runs inputs again, without libFuzzer: REPLAY FILE|DIRECTORY...
 *
 * The empty input comes first. Each is named before it runs; whatever ends the program was the
 * fault of the last one named.
 */
#define _DEFAULT_SOURCE /* scandir */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned num_inputs;

/* Its memory has the exact size, so that a sanitizer or valgrind sees a step beyond. */
static void run(const char *name, const uint8_t *data, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1);

    must(copy != NULL, "no memory for the input");
    if (len > 0) {
        memcpy(copy, data, len);
    }
    printf("%s, %zu bytes\n", name, len);
    fflush(stdout);
    (void)LLVMFuzzerTestOneInput(copy, len);
    free(copy);
    num_inputs++;
}

static void run_file(const char *name)
{
    static uint8_t data[1 << 20];
    FILE *file = fopen(name, "rb");
    size_t len;

    must(file != NULL, "cannot open %s", name);
    len = fread(data, 1, sizeof(data), file);
    must(!ferror(file) && len < sizeof(data), "cannot read %s, or it is too large", name);
    fclose(file);
    run(name, data, len);
}

static int is_input(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Returns false when it is no directory. */
static bool run_directory(const char *name)
{
    struct dirent **entries;
    int n = scandir(name, &entries, is_input, alphasort);

    for (int i = 0; i < n; i++) {
        char path[4096];
        int len = snprintf(path, sizeof(path), "%s/%s", name, entries[i]->d_name);

        must(len > 0 && (size_t)len < sizeof(path), "the name of an input is too long");
        run_file(path);
        free(entries[i]);
    }
    if (n >= 0) {
        free(entries);
    }
    return n >= 0;
}

int main(int argc, char **argv)
{
    run("the empty input", NULL, 0);
    for (int i = 1; i < argc; i++) {
        if (!run_directory(argv[i])) {
            run_file(argv[i]);
        }
    }
    printf("%u inputs replayed\n", num_inputs);
    return num_inputs > 1 ? EXIT_SUCCESS : EXIT_FAILURE; /* an empty corpus proves nothing */
}
