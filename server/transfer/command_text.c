#include "server/transfer/command_text.h"

#include "modules/base/number.h"

static size_t head(char *out, char mark, uint64_t number)
{
    size_t size = 1 + number_format_uint64(out + 1, number);

    out[0] = mark;
    out[size] = '\r';
    out[size + 1] = '\n';
    return size + 2;
}

size_t command_text_count(char *out, uint64_t argument_count)
{
    return head(out, '*', argument_count);
}

size_t command_text_argument(char *out, uint64_t size)
{
    return head(out, '$', size);
}
