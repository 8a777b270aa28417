#define _GNU_SOURCE 1 /* sigaction under -std=c11 */

#include "bench_interrupt.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

static atomic_bool came; /* any thread may run the handler */

static void on_interrupt(int signum)
{
    (void)signum;
    atomic_store(&came, true);
}

void interrupt_catch(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};

    if (interrupt_came()) {
        return;
    }
    sigemptyset(&action.sa_mask);
    action.sa_flags = SA_RESTART | (int)SA_RESETHAND;
    sigaction(SIGINT, &action, NULL);
}

bool interrupt_came(void)
{
    return atomic_load(&came);
}
