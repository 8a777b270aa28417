#include "commands.h"

#include "bench_settings.h"
#include "client.h"
#include "decode.h"
#include "server.h"

const struct command *const all_commands[] = {&server_command, &client_command, &bench_command,
                                              &decode_command, NULL};
