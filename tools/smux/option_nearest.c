#include "options.h"

#include <string.h>

#define WORD_MAX 64

static size_t min(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Number of insertions, removals, replacements and swaps of neighbours that turn one word into
 * another. Row i holds the distances of the first i letters of `a`; a swap looks two rows back. */
static size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][WORD_MAX];
    size_t height = strlen(a);
    size_t width = strlen(b);

    if (width >= WORD_MAX) {
        return SIZE_MAX;
    }
    for (size_t i = 0; i <= height; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3];
        row[0] = i;
        for (size_t j = 1; j <= width; j++) {
            if (i == 0) {
                row[j] = j;
                continue;
            }
            row[j] = min(min(above[j], row[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = min(row[j], rows[(i + 1) % 3][j - 2] + 1);
            }
        }
    }
    return rows[height % 3][width];
}

/* One slip in three letters is a slip; more make another word. */
static size_t largest_distance(const char *word)
{
    return min(strlen(word) / 3, 3);
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
    size_t distance = largest_distance(word) + 1;

    for (size_t at = 0; (spec = options_next(command, &at)) != NULL;) {
        consider(spec->name, word, &best, &distance);
        consider(spec->alias, word, &best, &distance);
    }
    return best;
}
