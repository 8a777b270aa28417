#include "options.h"

#include <string.h>

/* Number of insertions, removals and replacements that turn one word into another. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t row[64];
    size_t width = strlen(b);

    if (width >= sizeof(row) / sizeof(row[0])) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= width; j++) {
        row[j] = j;
    }
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= width; j++) {
            size_t replace = diagonal + (a[i - 1] != b[j - 1]);
            size_t shorter = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = replace < shorter ? replace : shorter;
        }
    }
    return row[width];
}

static void consider(const char *name, const char *word, const char **best, size_t *distance)
{
    size_t d = name == NULL ? SIZE_MAX : edit_distance(word, name);

    if (d < *distance) {
        *best = name;
        *distance = d;
    }
}

const char *option_nearest(const struct command *command, const char *word)
{
    const struct option_spec *spec;
    const char *best = NULL;
    size_t distance = strlen(word) < 4 ? 2 : 4; /* further away, it is another word */

    for (size_t at = 0; (spec = options_next(command, &at)) != NULL;) {
        consider(spec->name, word, &best, &distance);
        consider(spec->alias, word, &best, &distance);
    }
    return best;
}
