/*
 * scenarios.h - meetings of threads that have gone wrong somewhere, in other multiplexers or here.
 *
 * Each runs with threads under the scheduler (test_schedules.c) and with real ones
 * (test_races.c), checks every byte, and expects of each call a status that its documentation
 * names.
 */
#ifndef SCHEDULES_SCENARIOS_H
#define SCHEDULES_SCENARIOS_H

#include "rng.h"

/** X(name). */
#define SCENARIO_MAP(X)                                                                            \
    X(T1_two_readers_and_close)                                                                    \
    X(T2_read_against_the_last_data_and_fin)                                                       \
    X(T3_deadline_and_memory_used_again)                                                           \
    X(T4_window_update_against_deadline)                                                           \
    X(T5_shutdown_against_blocked_writer)                                                          \
    X(T6_close_against_half_written_frame)                                                         \
    X(T7_open_against_session_close)                                                               \
    X(T8_accept_against_close_and_age)                                                             \
    X(T9_two_ends_of_a_session_with_many_blocked)                                                  \
    X(T10_abort_with_blocked_callers)                                                              \
    X(T11_transport_error_while_a_writer_flushes)                                                  \
    X(T12_role_handed_over_as_a_deadline_comes)                                                    \
    X(T13_readers_that_leave_with_the_role)                                                        \
    X(T14_flush_under_way_hits_a_full_transport)                                                   \
    X(T15_two_writers_one_partial)                                                                 \
    X(T16_fin_linger_against_session_close)                                                        \
    X(T17_background_against_a_caller)                                                             \
    X(T18_silence_against_incoming_data)                                                           \
    X(T19_stall_abort_against_a_reader)                                                            \
    X(T20_deadline_changed_while_waiting)                                                          \
    X(T21_close_from_a_sink)                                                                       \
    X(T22_fork_in_the_middle)                                                                      \
    X(copy_against_a_second_reader)                                                                \
    X(random_mix)

#define SCENARIO_DECLARE(name) void name(struct rng *rng);
SCENARIO_MAP(SCENARIO_DECLARE)
#undef SCENARIO_DECLARE

#endif
