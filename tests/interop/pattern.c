#include "pattern.h"

#include <string.h>

enum {
    WORD = 8,
    PIECE = 4096
};

static uint64_t next_word(struct pattern *p)
{
    if (!p->started) {
        p->started = true;
        return p->state;
    }
    p->state += 0x9e3779b97f4a7c15U;
    uint64_t z = p->state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static void put_word(uint8_t *out, uint64_t word)
{
    for (size_t i = 0; i < WORD; i++) {
        out[i] = (uint8_t)(word >> (8 * i));
    }
}

void pattern_init(struct pattern *pattern, uint64_t seed)
{
    memset(pattern, 0, sizeof *pattern);
    pattern->state = seed;
}

void pattern_fill(struct pattern *pattern, uint8_t *out, size_t len)
{
    while (len > 0) {
        if (pattern->left == 0 && len >= WORD) {
            put_word(out, next_word(pattern));
            out += WORD;
            len -= WORD;
            continue;
        }
        if (pattern->left == 0) {
            put_word(pattern->word, next_word(pattern));
            pattern->left = WORD;
        }
        size_t n = len < pattern->left ? len : pattern->left;
        memcpy(out, pattern->word + WORD - pattern->left, n);
        pattern->left -= n;
        out += n;
        len -= n;
    }
}

void pattern_check_init(struct pattern_check *check)
{
    memset(check, 0, sizeof *check);
}

/** Takes what belongs to the seed and returns how much that was. */
static size_t take_seed(struct pattern_check *check, const uint8_t *data, size_t len)
{
    if (check->seen >= WORD) {
        return 0;
    }
    size_t n = WORD - (size_t)check->seen;
    n = n < len ? n : len;
    memcpy(check->seed + check->seen, data, n);
    check->seen += n;
    if (check->seen == WORD) {
        uint64_t seed = 0;
        for (size_t i = 0; i < WORD; i++) {
            seed |= (uint64_t)check->seed[i] << (8 * i);
        }
        pattern_init(&check->want, seed);
        (void)next_word(&check->want);
    }
    return n;
}

bool pattern_check_next(struct pattern_check *check, const uint8_t *data, size_t len)
{
    uint8_t want[PIECE];
    size_t pos = take_seed(check, data, len);
    while (pos < len) {
        size_t n = len - pos < PIECE ? len - pos : PIECE;
        pattern_fill(&check->want, want, n);
        if (memcmp(want, data + pos, n) != 0) {
            for (size_t i = 0; want[i] == data[pos + i]; i++) {
                check->seen++;
            }
            return false;
        }
        check->seen += n;
        pos += n;
    }
    return true;
}
