/*
 * spec.h - cases, what they are run against, and how they end.
 *
 * A case is a function that plays the peer of the subject on a connection (conn.h), with the
 * clauses of docs/PROTOCOL.md it proves. It ends by returning (passed), by spec_fail() or by
 * spec_skip(): these two leave it at once, so that a case reads from top to bottom without
 * asking after each step whether it worked.
 */
#ifndef SPEC_SPEC_H
#define SPEC_SPEC_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Which versions and roles a case is about. */
enum spec_scope {
    V1 = 1, /**< smux 1 */
    V2 = 2, /**< smux 2 */
    BOTH = V1 | V2,
    AUTO = 4 /**< only a server that takes the version from the first byte */
};

enum spec_verdict {
    SPEC_PASSED,
    SPEC_FAILED,
    SPEC_SKIPPED /**< not applicable: the subject cannot be asked, or another version or role */
};

struct conn;

struct spec_case {
    const char *clauses; /**< ids of docs/PROTOCOL.md */
    const char *name;
    unsigned scope;    /**< enum spec_scope */
    const char *needs; /**< verbs and settings of the subject, "send guard_ms" */
    void (*run)(struct conn *c);
    uint32_t a; /**< numbers for `run`, as spec_a(c) and spec_b(c) */
    uint32_t b;
};

/** A file of cases ends with SPEC_GROUP(name, cases). */
struct spec_group {
    const char *name;
    const struct spec_case *cases;
    size_t n;
};

#define SPEC_GROUP(id, table)                                                                      \
    const struct spec_group spec_##id = {#id, (table), sizeof(table) / sizeof((table)[0])}

/** All groups; NULL ends the list. */
extern const struct spec_group *const k_spec_groups[];

enum {
    SPEC_TEXT = 256,
    SPEC_CONNS = 4, /**< connections of one case */
    SPEC_HELLO = 1024
};

/** What a run is about; does not change while cases run. */
struct spec_run {
    const char *address;    /**< of the subject, or ours */
    int listen_fd;          /**< the subject is a client and connects here; -1: it is a server */
    unsigned version;       /**< of smux, 1 or 2 */
    bool autodetect;        /**< the subject takes the version from the first byte */
    unsigned patience_ms;   /**< until something that must come is missed */
    char hello[SPEC_HELLO]; /**< what the subject told about itself; "" for a plain echo server */
    const char *sabotage;   /**< how the subject is made worse than it is; NULL = not */
};

/** A case under way and how it ended. */
struct spec_test {
    const struct spec_run *run;
    const struct spec_case *spec;
    struct conn *conns[SPEC_CONNS];
    size_t n_conns;
    jmp_buf out;
    enum spec_verdict verdict;
    char text[SPEC_TEXT]; /**< why it failed or was skipped */
    unsigned ms;          /**< how long it took */
};

/** Ends the case as failed or as not applicable. */
_Noreturn void spec_fail(struct conn *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
_Noreturn void spec_skip(struct conn *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Ends the case as failed unless the condition holds. */
#define expect(c, condition, ...)                                                                  \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            spec_fail((c), __VA_ARGS__);                                                           \
        }                                                                                          \
    } while (0)

/** Tells whether the subject knows a verb. */
bool spec_has_verb(const struct spec_run *run, const char *verb);

/** Returns a number that the subject told about itself, `otherwise` if it did not. */
unsigned long spec_setting(const struct spec_run *run, const char *name, unsigned long otherwise);

/** The numbers of the case in the table. */
#define spec_a(c) ((c)->test->spec->a)
#define spec_b(c) ((c)->test->spec->b)

/** Runs a case; its verdict, text and time are in the test. */
void spec_execute(struct spec_test *test);

/** Asks the subject who it is. False, with the reason, when it does not answer. */
bool spec_greet(struct spec_run *run, char reason[SPEC_TEXT]);

#endif
