#include "known.h"

#include "must.h"
#include <stdlib.h>

void known_init(struct known *known, size_t places)
{
    known->mask = places - 1;
    known->n = 0;
    known->places = calloc(places, sizeof(known->places[0]));
    must(known->places != NULL, "no memory for the test");
}

void known_free(struct known *known)
{
    free(known->places);
}

/* Where a key is, or would be. */
static struct known_entry *find(const struct known *known, uint64_t key)
{
    size_t at = (size_t)key & known->mask;

    while (known->places[at].key != 0 && known->places[at].key != key) {
        at = (at + 1) & known->mask;
    }
    return &known->places[at];
}

bool known_get(const struct known *known, uint64_t key, uint64_t *out_value)
{
    const struct known_entry *entry = find(known, key);

    if (entry->key == 0) {
        return false;
    }
    *out_value = entry->value;
    return true;
}

static void put(struct known *known, uint64_t key, uint64_t value)
{
    struct known_entry *entry = find(known, key);

    must(entry->key == 0 || entry->value == value, "the same step has two outcomes");
    known->n += entry->key == 0;
    entry->key = key;
    entry->value = value;
}

static void grow(struct known *known)
{
    struct known old = *known;

    known_init(known, (old.mask + 1) * 2);
    for (size_t i = 0; i <= old.mask; i++) {
        if (old.places[i].key != 0) {
            put(known, old.places[i].key, old.places[i].value);
        }
    }
    known_free(&old);
}

void known_put(struct known *known, uint64_t key, uint64_t value)
{
    if (known->n * 3 > known->mask * 2) {
        grow(known);
    }
    put(known, key, value);
}
