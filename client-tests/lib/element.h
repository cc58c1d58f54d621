/* element.h - elements that tell which they are. */
#ifndef CLIENT_TESTS_LIB_ELEMENT_H
#define CLIENT_TESTS_LIB_ELEMENT_H
#include <stddef.h>

/* "%09u:" and filler that depends on the number, ended by a zero: size bytes in all, at least 11.
 */
void element_make(char *element, size_t size, unsigned number);
#endif
