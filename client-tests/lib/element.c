#include "client-tests/lib/element.h"
#include <check.h>
#include <stdio.h>
#include <string.h>

void element_make(char *element, size_t size, unsigned number)
{
    int head = snprintf(element, size, "%09u:", number);

    ck_assert_uint_lt((size_t)head, size);
    memset(element + head, 'a' + (int)(number % 26), size - 1 - (size_t)head);
    element[size - 1] = '\0';
}
