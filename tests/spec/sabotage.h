/*
 * sabotage.h - makes a good subject look bad, to see that the cases notice.
 *
 * A case that cannot fail proves nothing. Each kind of sabotage falsifies what arrives, as if the
 * subject had done it; a script runs the cases under all of them and wants every case to
 * fail at least once.
 */
#ifndef SPEC_SABOTAGE_H
#define SPEC_SABOTAGE_H

#include "conn.h"

/** Books a frame that arrived, or what the sabotage makes of it. */
void sabotage_frame(struct conn *c, const struct frame *f);

/** Notes the end of the connection, or does not. */
void sabotage_end(struct conn *c);

/** Tells whether this kind of sabotage is on. */
bool sabotage_is(const struct conn *c, const char *name);

/** Tells whether a header that we send is kept from the subject, so that it seems not to mind. */
bool sabotage_hides(const struct conn *c, unsigned version, unsigned cmd, unsigned len);

/** The name of kind `i`, NULL behind the last. */
const char *sabotage_name(size_t i);

#endif
