#define _GNU_SOURCE 1

#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "options.h"

/* Tells whether a row is what was written: "-c" a letter, anything longer a name. */
static bool is_written(const struct option_spec *spec, const char *written)
{
    const char *word = written + strspn(written, "-");

    if (word == written + 1 && strlen(word) == 1) {
        return spec->letter == word[0];
    }
    return (spec->name != NULL && strcmp(spec->name, word) == 0) ||
           (spec->alias != NULL && strcmp(spec->alias, word) == 0);
}

static bool has_option(const struct command *command, const char *written)
{
    const struct option_spec *spec;

    for (size_t at = 0; (spec = options_next(command, &at)) != NULL;) {
        if (is_written(spec, written)) {
            return true;
        }
    }
    return false;
}

bool option_is_foreign(const struct command *command, const char *written, char *owners,
                       size_t size)
{
    const char *names[8];
    size_t n = 0;
    size_t len = 0;

    if (has_option(command, written)) {
        return false;
    }
    for (size_t i = 0; all_commands[i] != NULL && n < sizeof(names) / sizeof(names[0]); i++) {
        if (has_option(all_commands[i], written)) {
            names[n++] = all_commands[i]->name;
        }
    }
    for (size_t i = 0; i < n && len < size; i++) {
        const char *between = i == 0 ? "" : i + 1 < n ? ", " : " and ";
        len += (size_t)snprintf(owners + len, size - len, "%s%s", between, names[i]);
    }
    return n > 0;
}
