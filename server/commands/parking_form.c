/* parking_form.c - the memory of a parked call.
 *
 * A small request is copied, as it lies in memory that others use. A large one was read into memory
 * of its own, and that is taken over: nothing is there twice. Its arguments are found again when
 * its turn comes: a million of a byte take 16 MB beside the 7 MB that came, and many calls may wait
 * while one runs. */
#include "server/commands/parking_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/commands/call_keys.h"
#include "server/commands/server.h"
#include "server/commands/session.h"
#include "server/net/net.h"
#include "server/observe/memory.h"
#include "server/resp/framer.h"

enum {
    PARKED_SHARE = 4,     /* of maxmemory: what all parked calls may hold together */
    KEPT_SHARE = 4,       /* and beside that what answers that are being sent keep */
    SMALL_BYTES = 1024,   /* of arguments: such a call waits however many do, one a client */
    FEW_ARGUMENTS = 1024, /* are kept */
};

/* ---- what it counts in ------------------------------------------------------------------------
 */

static void count(struct parked_call *parked, int64_t delta_bytes)
{
    struct server *server = parked->call.server;

    parked->bytes += (uint64_t)delta_bytes;
    server->parking->bytes += (uint64_t)delta_bytes;
    if (parked->is_held) net_hold_input(server->net, delta_bytes);
}

/* What waits for others' sake, or to be read, waits as long as those like: nothing is to wait for
 * it. Whatever else waits goes on by itself, and others are read when it has. */
static bool waits_for_us(enum parked_state state)
{
    return state != PARKED_BLOCKED && state != PARKED_STREAMING && state != PARKED_SYNCING;
}

static void hold(struct parked_call *parked, bool is_held)
{
    if (parked->is_held == is_held) return;
    parked->is_held = is_held;
    net_hold_input(parked->call.server->net,
                   is_held ? (int64_t)parked->bytes : -(int64_t)parked->bytes);
}

/* ---- made and freed ---------------------------------------------------------------------------
 */

static size_t bytes_of_slices(const struct call *call)
{
    return call->argument_count * sizeof(struct slice);
}

static size_t argument_bytes(const struct call *call)
{
    size_t bytes = 0;

    for (uint32_t i = 0; i < call->argument_count; i++)
        bytes += call->arguments[i].size;
    return bytes;
}

static void copy_arguments(struct parked_call *parked, const struct call *call)
{
    struct slice *slices = (struct slice *)(void *)(parked + 1);
    uint8_t *bytes = (uint8_t *)(slices + call->argument_count);

    for (uint32_t i = 0; i < call->argument_count; i++) {
        struct slice from = call->arguments[i];

        if (from.size) memcpy(bytes, from.bytes, from.size);
        slices[i] = slice_of(bytes, from.size);
        bytes += from.size;
    }
    parked->call.arguments = slices;
}

/* A copy. One call always has room, and a small one, and a producer, which is never refused for
 * what others wait with: net reads no more of them instead. */
static bool has_room(const struct parking *parking, const struct call *call, size_t bytes)
{
    return parking->bytes == 0 || bytes <= SMALL_BYTES || call_spills(call) ||
           parking->bytes + bytes <= memory_limit(parking->server->memory) / PARKED_SHARE;
}

/* extra_bytes behind the form. */
static struct parked_call *make_form(struct call *call, size_t extra_bytes)
{
    struct parked_call *parked = malloc(sizeof(*parked) + extra_bytes);

    if (!parked) return NULL;
    *parked = (struct parked_call){ .call = *call, .client_id = call->session->id };
    parked->call.parked = parked;
    list_init(&parked->link);
    parked->ticket.owner = parked;
    parked->waiter.owner = parked;
    return parked;
}

static struct parked_call *begin(struct parked_call *parked, uint64_t bytes)
{
    struct session *session = parked->call.session;

    parked->is_held = true;
    count(parked, (int64_t)bytes);
    session->parked = parked;
    client_park(session->client);
    return parked;
}

struct parked_call *parking_form(struct call *call)
{
    size_t bytes = bytes_of_slices(call) + argument_bytes(call);
    struct parked_call *parked = call->parked;

    if (parked) return parked;
    if (has_room(call->server->parking, call, bytes)) parked = make_form(call, bytes);
    if (!parked) return NULL;
    copy_arguments(parked, call);
    return begin(parked, sizeof(*parked) + bytes);
}

struct parked_call *parking_form_taking(struct call *call)
{
    struct parked_call *parked = call->parked;
    struct taken_request request;

    if (parked || !client_take_request(call->session->client, &request)) return parking_form(call);
    parked = make_form(call, 0);
    if (!parked) {
        free(request.block);
        free(request.arguments);
        return NULL;
    }
    assert(call->arguments == request.arguments);
    parked->request = request;
    return begin(parked, sizeof(*parked) + request.block_bytes + bytes_of_slices(call));
}

void parking_free_form(struct parked_call *parked)
{
    hold(parked, false);
    parked->call.server->parking->bytes -= parked->bytes;
    free(parked->request.arguments);
    free(parked->request.block);
    free(parked->kept);
    free(parked);
}

void parking_count_kept(struct server *server, int64_t delta_bytes)
{
    struct parking *parking = server->parking;

    assert(delta_bytes >= 0 || parking->kept_bytes >= (uint64_t)-delta_bytes);
    parking->kept_bytes += (uint64_t)delta_bytes;
}

static uint64_t kept_bytes_max(const struct server *server)
{
    return memory_limit(server->memory) / KEPT_SHARE;
}

uint64_t parking_may_keep_bytes(const struct server *server)
{
    uint64_t most = kept_bytes_max(server), kept = server->parking->kept_bytes;

    return most > kept ? most - kept : 0;
}

/* Not even none more where too much is kept already. */
bool parking_may_keep(const struct server *server, uint64_t bytes)
{
    return server->parking->kept_bytes + bytes <= kept_bytes_max(server);
}

int parking_keep(struct parked_call *parked, struct slice bytes)
{
    if (bytes.size == 0 || parked->kept) return 0;
    parked->kept = malloc(bytes.size);
    if (!parked->kept) return -ENOMEM;
    memcpy(parked->kept, bytes.bytes, bytes.size);
    count(parked, (int64_t)bytes.size);
    return 0;
}

/* ---- folded -----------------------------------------------------------------------------------
 */

/* Its turn begins with parking_attempt. */
static bool waits_for_its_turn(enum parked_state state)
{
    return state == PARKED_THROTTLED || state == PARKED_LOGGING || state == PARKED_QUEUED ||
           state == PARKED_PAUSED || state == PARKED_GATHERING;
}

void parking_fold(struct parked_call *parked, enum parked_state state)
{
    hold(parked, waits_for_us(state));
    if (!parked->request.arguments || !waits_for_its_turn(state)) return;
    if (parked->call.argument_count <= FEW_ARGUMENTS) return;
    free(parked->request.arguments);
    parked->request.arguments = parked->call.arguments = NULL;
    count(parked, -(int64_t)bytes_of_slices(&parked->call));
}

bool parking_unfold(struct parked_call *parked)
{
    struct taken_request *request = &parked->request;
    size_t bytes = bytes_of_slices(&parked->call);

    hold(parked, true);
    if (parked->call.arguments) return true;
    request->arguments = malloc(bytes);
    if (!request->arguments) return false;
    framer_find_again(request->bytes, request->arguments, parked->call.argument_count);
    parked->call.arguments = request->arguments;
    count(parked, (int64_t)bytes);
    return true;
}
