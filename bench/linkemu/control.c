#include "control.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "options.h"

int control_open(void)
{
    int flags = fcntl(STDIN_FILENO, F_GETFL);

    if (flags < 0 || fcntl(STDIN_FILENO, F_SETFL, flags | O_NONBLOCK) != 0) {
        return -1;
    }
    return STDIN_FILENO;
}

/* Reads until there is no more, as the loop hears of changes only. */
static void control_fill(struct control *control)
{
    ssize_t got;

    do {
        size_t room = sizeof(control->text) - control->len;
        got = read(STDIN_FILENO, control->text + control->len, room);
        control->len += got > 0 ? (size_t)got : 0;
        control->ended |= got == 0 && room > 0;
    } while (got > 0);
}

/* Takes a line off and copies it; false: no whole line is there. */
static bool take_line(struct control *control, char line[static sizeof(control->text)])
{
    char *end = memchr(control->text, '\n', control->len);
    size_t len;

    if (end == NULL) {
        return false;
    }
    len = (size_t)(end - control->text);
    memcpy(line, control->text, len);
    line[len] = '\0';
    control->len -= len + 1;
    memmove(control->text, end + 1, control->len);
    return true;
}

static bool parse_order(const char *line, struct order *out_order)
{
    static const struct order orders[] = {
        {ORDER_CUT, 0},
        {ORDER_FREEZE, 1u << UP | 1u << DOWN},
        {ORDER_FREEZE, 1u << UP},
        {ORDER_FREEZE, 1u << DOWN},
        {ORDER_THAW, 1u << UP | 1u << DOWN},
        {ORDER_THAW, 1u << UP},
        {ORDER_THAW, 1u << DOWN},
    };
    static const char *const texts[] = {"cut",  "freeze",  "freeze up", "freeze down",
                                        "thaw", "thaw up", "thaw down"};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strcmp(line, texts[i]) == 0) {
            *out_order = orders[i];
            return true;
        }
    }
    fprintf(stderr, "linkemu: %s: expected cut, freeze [DIR] or thaw [DIR]\n", line);
    return false;
}

bool control_next(struct control *control, struct order *out_order)
{
    char line[sizeof(control->text)];

    control_fill(control);
    while (take_line(control, line)) {
        if (parse_order(line, out_order)) {
            return true;
        }
    }
    if (control->ended || control->len == sizeof(control->text)) {
        *out_order = (struct order){.kind = ORDER_END};
        return true;
    }
    return false;
}
