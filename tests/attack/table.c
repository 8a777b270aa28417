#include "attack.h"

/* clang-format off */
const struct attack attacks[] = {
    /* name, clauses, versions, traits, end of session, end of streams, glitches, script */
    {"syn-flood", "L1 L7 OPN-4", BOTH, 0, "SMUX_EFLOOD", NULL, 0, attack_syn_flood},
    {"syn-paced", "L1 OPN-4", BOTH, BESIDE, NULL, NULL, 0, attack_syn_paced},
    {"open-close", "L1 L2 TRAP-7", BOTH, BESIDE, NULL, NULL, 0, attack_open_close},
    {"empty-frames", "L6 RCV-7", BOTH, 0, "SMUX_EFLOOD", NULL, 0, attack_empty_frames},
    {"nop-flood", "L6 RCV-2", BOTH, 0, "SMUX_EFLOOD", NULL, 0, attack_nop_flood},
    {"fin-repeated", "RCV-14", BOTH, BESIDE, NULL, NULL, 0, attack_fin_repeated},
    {"fin-unknown", "RCV-12 TRAP-1", BOTH, BESIDE, NULL, NULL, 0, attack_fin_unknown},
    {0},
};
/* clang-format on */
