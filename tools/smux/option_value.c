#define _GNU_SOURCE 1

#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "values.h"

static uint32_t *number_field(const struct option_spec *spec, void *settings)
{
    return (uint32_t *)(void *)((char *)settings + spec->field);
}

static bool *bool_field(const struct option_spec *spec, void *settings)
{
    return (bool *)(void *)((char *)settings + spec->field);
}

/* Turns a limit back into what one would type, for messages. */
static void limit_text(const struct option_spec *spec, uint32_t limit, char *out, size_t size)
{
    if (spec->kind == OPTION_DURATION && limit % 1000 != 0) {
        snprintf(out, size, "%ums", limit);
    } else if (spec->kind == OPTION_DURATION) {
        snprintf(out, size, "%us", limit / 1000);
    } else {
        snprintf(out, size, "%u", limit);
    }
}

static const char *range_error(const struct option_spec *spec, char *why, size_t size)
{
    char low[24];
    char high[24];

    limit_text(spec, spec->min, low, sizeof(low));
    limit_text(spec, spec->max, high, sizeof(high));
    if (spec->max == 0) {
        snprintf(why, size, "out of range, expected %s or more", low);
    } else {
        snprintf(why, size, "out of range, expected %s to %s", low, high);
    }
    return why;
}

static const char *apply_number(const struct option_spec *spec, const char *text, void *settings,
                                char *why, size_t size)
{
    uint32_t value = 0;

    switch (spec->kind) {
    case OPTION_SIZE:
        if (!value_parse_size(text, &value)) {
            return "not a size: expected bytes, or KiB, MiB, GiB, kB, MB, GB, less than 4 GiB";
        }
        break;
    case OPTION_DURATION:
        if (!value_parse_duration(text, &value)) {
            return "not a time: expected seconds, or ms, s, m, h, d, up to 49 days";
        }
        break;
    default:
        if (!value_parse_number(text, &value)) {
            return "not a number from 0 to 4294967294";
        }
    }
    if (value < spec->min || (spec->max != 0 && value > spec->max)) {
        return range_error(spec, why, size);
    }
    *number_field(spec, settings) = value;
    return NULL;
}

/* Finds the choice named by the first `len` bytes of a word. */
static const struct option_choice *find_choice(const struct option_spec *spec, const char *word,
                                               size_t len)
{
    for (const struct option_choice *c = spec->choices; c->name != NULL; c++) {
        if (strlen(c->name) == len && memcmp(c->name, word, len) == 0) {
            return c;
        }
    }
    return NULL;
}

static const char *choice_error(const struct option_spec *spec, char *why, size_t size)
{
    size_t len = (size_t)snprintf(why, size, "expected");

    for (const struct option_choice *c = spec->choices; c->name != NULL && len < size; c++) {
        const char *between = c == spec->choices ? "" : c[1].name == NULL ? " or" : ",";
        len += (size_t)snprintf(why + len, size - len, "%s %s", between, c->name);
    }
    return why;
}

static const char *apply_choice(const struct option_spec *spec, const char *text, void *settings,
                                char *why, size_t size)
{
    const struct option_choice *choice = find_choice(spec, text, strlen(text));

    if (choice == NULL) {
        return choice_error(spec, why, size);
    }
    *number_field(spec, settings) = choice->value;
    return NULL;
}

/* A list of choices with commas; no text at all means every one. */
static const char *apply_mask(const struct option_spec *spec, const char *text, void *settings,
                              char *why, size_t size)
{
    uint32_t mask = 0;

    if (text == NULL) {
        for (const struct option_choice *c = spec->choices; c->name != NULL; c++) {
            mask |= c->value;
        }
    }
    while (text != NULL) {
        size_t len = strcspn(text, ",");
        const struct option_choice *choice = find_choice(spec, text, len);
        if (choice == NULL) {
            return choice_error(spec, why, size);
        }
        mask |= choice->value;
        text = text[len] == ',' ? text + len + 1 : NULL;
    }
    *number_field(spec, settings) |= mask;
    return NULL;
}

static const char *append_text(struct text_list *list, const char *text)
{
    const char **items = realloc(list->items, (list->n + 1) * sizeof(*items));

    if (items == NULL) {
        return "out of memory";
    }
    items[list->n++] = text;
    list->items = items;
    return NULL;
}

const char *option_apply(const struct option_spec *spec, const char *text, void *settings,
                         char *why, size_t why_size)
{
    void *field = (char *)settings + spec->field;

    switch (spec->kind) {
    case OPTION_FLAG:
        *bool_field(spec, settings) = true;
        return NULL;
    case OPTION_SWITCH:
        return value_parse_switch(text, bool_field(spec, settings)) ? NULL : "expected on or off";
    case OPTION_NUMBER:
    case OPTION_SIZE:
    case OPTION_DURATION:
        return apply_number(spec, text, settings, why, why_size);
    case OPTION_CHOICE:
        return apply_choice(spec, text, settings, why, why_size);
    case OPTION_MASK:
        return apply_mask(spec, text, settings, why, why_size);
    case OPTION_TEXT:
        *(const char **)field = text;
        return NULL;
    case OPTION_TEXTS:
        return append_text(field, text);
    case OPTION_HELP:
    case OPTION_VERSION:
        break;
    }
    return NULL;
}
