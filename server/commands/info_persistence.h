/* info_persistence.h - INFO's section "persistence". */
#ifndef SERVER_COMMANDS_INFO_PERSISTENCE_H
#define SERVER_COMMANDS_INFO_PERSISTENCE_H

struct server;
struct info_text;

void info_persistence_section(struct server *server, struct info_text *text);
/* What an end of the process leaves, in words: a field of section "server". */
const char *info_durability(const struct server *server);
#endif
