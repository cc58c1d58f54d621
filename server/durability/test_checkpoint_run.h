/* test_checkpoint_run.h - checkpoints of the fixture's parts, from their beginning to their end
 * with changes in between, and what is loaded from a directory afterwards. */
#ifndef SERVER_DURABILITY_TEST_CHECKPOINT_RUN_H
#define SERVER_DURABILITY_TEST_CHECKPOINT_RUN_H
#include "server/durability/checkpoint_load.h"
#include "server/durability/checkpoint_reader.h"
#include "server/durability/test_checkpoint_changes.h"

#include "modules/base/log.h"
#include "modules/base/test_soak.h"
#include "modules/pool/pool.h"
#include "modules/stream/checkpoint.h"

/* ---- the fixture ---- */

static void name_parts(void)
{
    memset(&fixture, 0, sizeof(fixture));
    fixture.stream_bytes_max = UINT32_MAX;
    name_directory(&fixture.own);
}

/* In the directory that has been named, by system calls that pass through below. */
static void make_parts(struct os *below)
{
    struct spill_options options;
    struct spill_hooks hooks = { .wait = wait_for_disk, .context = &fixture.own };
    struct checkpoint_options checkpoint;
    random_init(&fixture.random, 5 + soak_seed());
    ck_assert_int_eq(fault_create(below, &fixture.fault), 0);
    ck_assert_int_eq(io_create(fault_os(fixture.fault), 0, &fixture.own.io), 0);
    ck_assert_int_eq(log_create("/dev/null", LOG_NOTICE, 'T', &fixture.log), 0);
    ck_assert_int_eq(pool_create(1 << 20, &fixture.pool), 0);
    options = store_options(&fixture.own);
    ck_assert_int_eq(spill_store_create(fault_os(fixture.fault), fixture.own.io, &options, &hooks,
                                        &fixture.own.store),
                     0);
    open_streams(&fixture.own, fault_os(fixture.fault));
    open_keyspace(&fixture.own);
    checkpoint = (struct checkpoint_options){
        .os = fault_os(fixture.fault),
        .io = fixture.own.io,
        .log_file = fixture.log,
        .directory = fixture.own.directory,
        .keyspace = fixture.own.keyspace,
        .store = fixture.own.store,
        .streams = fixture.own.streams,
        .pool = fixture.pool,
        .log = { log_position, log_sync, log_trim, log_distance, &fixture },
    };
    ck_assert_int_eq(checkpoint_create(&checkpoint, &fixture.checkpoint), 0);
}

static void destroy_parts(void)
{
    fault_clear(fixture.fault);
    checkpoint_destroy(fixture.checkpoint);
    keyspace_destroy(fixture.own.keyspace);
    close_streams(&fixture.own);
    spill_store_destroy(fixture.own.store);
    pool_destroy(fixture.pool);
    log_destroy(fixture.log);
    io_destroy(fixture.own.io);
    fault_destroy(fixture.fault);
    remove_directory(&fixture.own);
}

/* ---- loading ---- */

/* The store, then the keys in small steps. */
static int load_parts(struct parts *parts, struct checkpoint_load *load, char *why)
{
    struct spill_options options = store_options(parts);
    struct spill_hooks hooks = { .wait = wait_for_disk, .context = parts };
    int rc = spill_store_open(os_real(), parts->io, &options, &hooks, checkpoint_load_state(load),
                              &parts->store, why);
    struct checkpoint_target target;
    if (rc < 0) return rc;
    open_streams(parts, os_real());
    open_keyspace(parts);
    target =
        (struct checkpoint_target){ parts->keyspace, parts->store, parts->streams, parts->groups };
    do {
        rc = checkpoint_load_step(load, &target, 1);
    } while (rc == 1);
    if (rc == 0) stream_checkpoint_loaded(parts->streams);
    return rc;
}

/* What the directory of parts holds becomes its store and its keyspace. 1, 0: there is none, or an
 * error and why. Whatever came of it is to be closed by unload. */
static int load(struct parts *parts, struct checkpoint_head *out_head,
                char out_why[CHECKPOINT_ERROR_BYTES])
{
    struct checkpoint_load *load;
    int rc;
    parts->store = NULL;
    parts->streams = NULL;
    parts->groups = NULL;
    parts->keyspace = NULL;
    out_why[0] = '\0';
    ck_assert_int_eq(io_create(os_real(), 0, &parts->io), 0);
    rc = checkpoint_load_open(os_real(), parts->directory, &load);
    if (rc == 1) {
        *out_head = *checkpoint_load_head(load);
        rc = load_parts(parts, load, out_why);
        if (rc == 0) rc = 1;
    }
    if (rc < 0 && out_why[0] == '\0')
        (void)snprintf(out_why, CHECKPOINT_ERROR_BYTES, "%s", checkpoint_load_error(load));
    checkpoint_load_close(load);
    return rc;
}

static void unload(struct parts *parts)
{
    keyspace_destroy(parts->keyspace);
    close_streams(parts);
    if (parts->store) spill_store_close(parts->store);
    io_destroy(parts->io);
}

/* ---- checkpoints ---- */

static enum checkpoint_step step_now(void)
{
    struct checkpoint_info info;
    checkpoint_get_info(fixture.checkpoint, &info);
    return info.step;
}

static void begin_known(void)
{
    (void)checkpoint_request(fixture.checkpoint, CHECKPOINT_AS_SAVE);
    ck_assert(checkpoint_wants_to_begin(fixture.checkpoint));
    checkpoint_begin(fixture.checkpoint);
}

static void begin(void)
{
    read_contents(&fixture.own, &fixture.next);
    begin_known();
}

/* A turn, with up to changes between. */
static void turn(unsigned changes)
{
    (void)checkpoint_step(fixture.checkpoint, 1);
    (void)spill_store_tick(fixture.own.store, 0);
    (void)stream_store_tick(fixture.own.streams, 1000, 0);
    (void)io_poll(fixture.own.io);
    if (changes > 0) change_much((unsigned)below(changes));
}

/* To the end of the one under way. 0, or why it failed. */
static int run(unsigned changes)
{
    struct checkpoint_info before, after;
    checkpoint_get_info(fixture.checkpoint, &before);
    for (;;) {
        turn(changes);
        checkpoint_get_info(fixture.checkpoint, &after);
        if (after.ended_count != before.ended_count) break;
    }
    while (step_now() != CHECKPOINT_IDLE)
        turn(changes);
    checkpoint_get_info(fixture.checkpoint, &after);
    if (after.error == 0) fixture.last = fixture.next;
    return after.error;
}
#endif
