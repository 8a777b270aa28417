#include "text.h"

#include <stdbool.h>
#include <string.h>

void smux__text_init(struct smux__text *text, char *out, size_t size)
{
    text->out = out;
    text->size = size;
    text->len = 0;
    out[0] = '\0';
}

static void text_add_char(struct smux__text *text, char c)
{
    if (text->len + 1 < text->size) {
        text->out[text->len++] = c;
        text->out[text->len] = '\0';
    }
}

void smux__text_add(struct smux__text *text, const char *string)
{
    while (*string != '\0') {
        text_add_char(text, *string++);
    }
}

void smux__text_add_number(struct smux__text *text, uint64_t number)
{
    char digits[20];
    size_t n = 0;

    do {
        digits[n++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (n > 0) {
        text_add_char(text, digits[--n]);
    }
}

void smux__text_add_bytes(struct smux__text *text, const uint8_t *data, size_t len)
{
    static const char hex[] = "0123456789abcdef";

    text_add_char(text, '"');
    for (size_t i = 0; i < len; i++) {
        if (data[i] >= 0x20 && data[i] < 0x7F && data[i] != '"' && data[i] != '\\') {
            text_add_char(text, (char)data[i]);
        } else {
            text_add_char(text, '\\');
            text_add_char(text, 'x');
            text_add_char(text, hex[data[i] >> 4]);
            text_add_char(text, hex[data[i] & 15]);
        }
    }
    text_add_char(text, '"');
}

/* How protocols that reach the wrong port by mistake begin. */
static const struct {
    const char *bytes;
    size_t len;
    const char *name;
} known_starts[] = {
    {"GET ", 4, "HTTP"},       {"POST", 4, "HTTP"},
    {"PUT ", 4, "HTTP"},       {"HEAD", 4, "HTTP"},
    {"HTTP", 4, "HTTP"},       {"PRI *", 5, "HTTP/2"},
    {"CONN", 4, "HTTP"},       {"OPTI", 4, "HTTP"},
    {"\x16\x03", 2, "TLS"},    {"\x15\x03", 2, "TLS"},
    {"SSH-", 4, "SSH"},        {"\xff\x06\x00\x00sNaP", 8, "kcptun with compression"},
    {"\x05\x01", 2, "SOCKS5"}, {"\x05\x02", 2, "SOCKS5"},
};

static const char *guess_protocol(const uint8_t first[SMUX__HEADER_LEN])
{
    for (size_t i = 0; i < sizeof(known_starts) / sizeof(known_starts[0]); i++) {
        if (memcmp(first, known_starts[i].bytes, known_starts[i].len) == 0) {
            return known_starts[i].name;
        }
    }
    return NULL;
}

void smux__text_guess_peer(struct smux__text *text, const uint8_t first[SMUX__HEADER_LEN],
                           unsigned version)
{
    bool other_version = (first[0] == 1 || first[0] == 2) && first[1] <= 4;
    const char *name = guess_protocol(first);

    if (other_version) {
        smux__text_add(text, "peer speaks smux ");
        smux__text_add_number(text, first[0]);
        smux__text_add(text, ", this side is set to ");
        smux__text_add_number(text, version);
        return;
    }
    smux__text_add(text, "peer does not speak smux: first bytes ");
    smux__text_add_bytes(text, first, SMUX__HEADER_LEN);
    if (name != NULL) {
        smux__text_add(text, " look like ");
        smux__text_add(text, name);
    }
}
