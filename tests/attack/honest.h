/*
 * honest.h - the legitimate client beside an attack: short messages on one stream, echoed one at
 * a time, whose times it keeps.
 *
 * Commands on standard input, each answered by a line of JSON:
 *
 *   mark    messages since the last mark, their p50, p99 and maximum in milliseconds; `served` is
 *           the p99 without the time in which the victim was ready to run, but had no processor
 *   again   makes a new session, exchanges a message on it and closes it
 *   (end)   closes the session
 */
#ifndef ATTACK_HONEST_H
#define ATTACK_HONEST_H

/** honest ADDRESS VERSION [PID], that of a victim which is one thread. Returns the exit code. */
int honest_main(int argc, char **argv);

#endif
