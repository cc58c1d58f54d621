/* turn.h - what happens once a turn of the loop, after the requests of all clients. */
#ifndef SERVER_COMMANDS_TURN_H
#define SERVER_COMMANDS_TURN_H
#include <stdbool.h>
#include <stdint.h>

bool turn_end(void *context);            /* net's on_turn_end; context is the server */
int64_t turn_before_wait(void *context); /* net's on_before_wait */
#endif
