#include "server/commands/export_put.h"

#include <string.h>

#include "modules/base/number.h"
#include "server/commands/exporting.h"
#include "server/transfer/command_text.h"
#include "server/transfer/export_file.h"

void export_put(struct exporting *exporting, struct slice bytes)
{
    uint8_t *room = export_file_room(exporting->file, bytes.size);

    if (!room) return; /* the file has failed, and says so */
    if (bytes.size > 0) memcpy(room, bytes.bytes, bytes.size);
    export_file_put(exporting->file, bytes.size);
}

void export_put_count(struct exporting *exporting, uint64_t count)
{
    char head[COMMAND_TEXT_HEAD_BYTES];

    export_put(exporting, slice_of(head, command_text_count(head, count)));
}

void export_put_argument(struct exporting *exporting, struct slice argument)
{
    char head[COMMAND_TEXT_HEAD_BYTES];

    export_put(exporting, slice_of(head, command_text_argument(head, argument.size)));
    export_put(exporting, argument);
    export_put(exporting, COMMAND_TEXT_END);
}

void export_put_number(struct exporting *exporting, int64_t number)
{
    char text[NUMBER_INT64_BYTES_MAX];

    export_put_argument(exporting, slice_of(text, number_format_int64(text, number)));
}

void export_select(struct exporting *exporting, unsigned database)
{
    if (exporting->database == (int64_t)database) return;
    exporting->database = (int64_t)database;
    export_put_count(exporting, 2);
    export_put_argument(exporting, SLICE_LITERAL("SELECT"));
    export_put_number(exporting, (int64_t)database);
}

void export_put_delete(struct exporting *exporting, struct slice name)
{
    export_put_count(exporting, 2);
    export_put_argument(exporting, SLICE_LITERAL("DEL"));
    export_put_argument(exporting, name);
}

void export_put_expiry(struct exporting *exporting, struct slice name, int64_t at_ms)
{
    if (at_ms < 0) return;
    export_put_count(exporting, 3);
    export_put_argument(exporting, SLICE_LITERAL("PEXPIREAT"));
    export_put_argument(exporting, name);
    export_put_number(exporting, at_ms);
}

void export_put_text(struct exporting *exporting, const char *text)
{
    export_put_argument(exporting, slice_of_string(text));
}
