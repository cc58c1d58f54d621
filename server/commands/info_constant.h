/* info_constant.h - the fields of INFO that Redis has of parts which are not here.
 *
 * Nothing forks, nothing is defragmented, there are no scripts, no replicas, no rewrites of a log:
 * what Redis counts of them is nothing, and that is what is told, because programs that watch
 * servers ask for it. When such a part is built, its fields leave here. */
#ifndef SERVER_COMMANDS_INFO_CONSTANT_H
#define SERVER_COMMANDS_INFO_CONSTANT_H

/* Lines "field:value\r\n" for a section. */
extern const char info_constant_memory[];
extern const char info_constant_persistence[];
extern const char info_constant_stats[];
#endif
