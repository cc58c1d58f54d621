/* info_memory.h - INFO's section "memory": by owner, by the kernel, by the allocator. */
#ifndef SERVER_COMMANDS_INFO_MEMORY_H
#define SERVER_COMMANDS_INFO_MEMORY_H

struct server;
struct info_text;

void info_memory_section(struct server *server, struct info_text *text);
#endif
