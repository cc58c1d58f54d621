/* boot_arguments.h - what the command line says beside directives. Before there are threads. */
#ifndef SERVER_BOOT_ARGUMENTS_H
#define SERVER_BOOT_ARGUMENTS_H
#include <stdbool.h>

struct config_error;

/* Prints the version or the usage if that is what is asked for. True: it was, and is all. */
bool boot_arguments_tell(int argument_count, char *const *arguments);

/* Takes "--import PATH" out of the arguments: *out_path is PATH, or stays as it is. Returns the
 * arguments that are left, *argument_count of them, which the caller frees (not what they point
 * to); NULL: a path or memory is missing, out_error says so for the path. */
char *const *boot_arguments_take_import(int *argument_count, char *const *arguments,
                                        const char **out_path, struct config_error *out_error);
#endif
