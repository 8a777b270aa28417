#include "spec.h"

#define GROUPS(X)                                                                                  \
    X(frames) X(version) X(open) X(receive) X(send) X(credit) X(fin) X(keepalive) X(end)

#define DECLARE(name) extern const struct spec_group spec_##name;
GROUPS(DECLARE)

#define POINT(name) &spec_##name,
const struct spec_group *const k_spec_groups[] = {GROUPS(POINT) NULL};
