#include "sabotage.h"

#include <string.h>

/** Frames that arrive before the connection seems to end. */
#define EARLY_FRAMES 3

static void same(struct conn *c, struct frame *f)
{
    conn_book(c, f);
}

static void twice(struct conn *c, struct frame *f)
{
    conn_book(c, f);
    conn_book(c, f);
}

static void never(struct conn *c, struct frame *f)
{
    (void)c;
    (void)f;
}

static void changed(struct conn *c, struct frame *f)
{
    ((uint8_t *)(uintptr_t)f->payload)[f->len - 1] ^= 0x10;
    conn_book(c, f);
}

/** The outcome that a reader is said to have seen is the contrary. */
static void told_wrong(struct conn *c, struct frame *f)
{
    char *text = (char *)(uintptr_t)f->payload;
    char *end = memmem(text, f->len, "end=e", 5);

    if (end != NULL) {
        memcpy(end + 4, end[5] == 'o' ? "err" : "eof", 3);
    }
    conn_book(c, f);
}

/** One frame for each byte. */
static void crumbs(struct conn *c, struct frame *f)
{
    struct frame crumb = *f;

    crumb.len = 1;
    for (; crumb.payload < f->payload + f->len; crumb.payload++) {
        conn_book(c, &crumb);
    }
}

static void ahead(struct conn *c, struct frame *f)
{
    f->consumed += 1 << 20;
    conn_book(c, f);
}

static void other_version(struct conn *c, struct frame *f)
{
    f->version ^= 3;
    conn_book(c, f);
}

static void other_id(struct conn *c, struct frame *f)
{
    f->id += 2;
    conn_book(c, f);
}

/** The FIN comes before the data. */
static void fin_before(struct conn *c, struct frame *f)
{
    struct frame fin = {.version = f->version, .cmd = CMD_FIN, .id = f->id};

    if (stream_of(c, f->id)->fins == 0) {
        conn_book(c, &fin);
    }
    conn_book(c, f);
}

static void and_nop(struct conn *c, struct frame *f)
{
    struct frame nop = {.version = f->version, .cmd = CMD_NOP};

    conn_book(c, f);
    conn_book(c, &nop);
}

/** Every frame counts as an UPD for the stream, with what it had consumed. */
static void and_upd(struct conn *c, struct frame *f)
{
    struct frame upd = {.version = f->version, .cmd = CMD_UPD, .len = 8, .id = f->id};

    conn_book(c, f);
    if (c->version == 1) {
        return;
    }
    upd.consumed = (uint32_t)stream_of(c, f->id)->sent;
    upd.window = FIRST_WINDOW;
    conn_book(c, &upd);
}

static void early_end(struct conn *c, struct frame *f)
{
    conn_book(c, f);
    if (c->frames >= EARLY_FRAMES) {
        c->ended = true;
    }
}

#define ANY  255U
#define NONE 256U

/* From particular to blunt: what a later one shows is less. */
static const struct kind {
    const char *name;
    unsigned cmd; /**< of the frames it is about */
    void (*act)(struct conn *c, struct frame *f);
} k_kinds[] = {
    {"forgiving", NONE, same},
    {"no-end", NONE, same},
    {"told-wrong", CMD_PSH, told_wrong},
    {"fin-twice", CMD_FIN, twice},
    {"more-upds", CMD_PSH, and_upd},
    {"upd-ahead", CMD_UPD, ahead},
    {"more-nops", ANY, and_nop},
    {"psh-twice", CMD_PSH, twice},
    {"psh-crumbs", CMD_PSH, crumbs},
    {"fin-before", CMD_PSH, fin_before},
    {"syn-elsewhere", CMD_SYN, other_id},
    {"psh-changed", CMD_PSH, changed},
    {"no-nop", CMD_NOP, never},
    {"no-upd", CMD_UPD, never},
    {"no-syn", CMD_SYN, never},
    {"no-fin", CMD_FIN, never},
    {"no-psh", CMD_PSH, never},
    {"other-version", ANY, other_version},
    {"early-end", ANY, early_end},
    {"dead", ANY, never},
};

#define NUM_KINDS (sizeof k_kinds / sizeof k_kinds[0])

const char *sabotage_name(size_t i)
{
    return i < NUM_KINDS ? k_kinds[i].name : NULL;
}

bool sabotage_is(const struct conn *c, const char *name)
{
    return c->run->sabotage != NULL && strcmp(c->run->sabotage, name) == 0;
}

/** Fences tell that the session lives, which only the blunt kinds deny. */
static bool is_spared(struct conn *c, const struct frame *f)
{
    return c->run->sabotage != NULL && f->cmd != CMD_NOP && stream_of(c, f->id)->fence &&
           !sabotage_is(c, "early-end") && !sabotage_is(c, "dead");
}

void sabotage_frame(struct conn *c, const struct frame *f)
{
    struct frame mine = *f;

    c->frames++;
    if (is_spared(c, f)) {
        conn_book(c, f);
        return;
    }
    for (size_t i = 0; i < NUM_KINDS; i++) {
        if (sabotage_is(c, k_kinds[i].name) &&
            (k_kinds[i].cmd == ANY || k_kinds[i].cmd == f->cmd)) {
            k_kinds[i].act(c, &mine);
            return;
        }
    }
    conn_book(c, f);
}

/** Without an end, nothing more is received, but that is all the case gets to know. */
void sabotage_end(struct conn *c)
{
    if (sabotage_is(c, "no-end")) {
        c->deaf = true;
    } else {
        c->ended = true;
    }
}

bool sabotage_hides(const struct conn *c, unsigned version, unsigned cmd, unsigned len)
{
    const struct frame f = {.version = (uint8_t)version, .cmd = (uint8_t)cmd, .len = (uint16_t)len};

    bool empty_psh = version == c->version && cmd == CMD_PSH;

    return sabotage_is(c, "forgiving") && !empty_psh && frame_fault(&f, c->version) != NULL;
}
