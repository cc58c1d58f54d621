/* The spill file when the disk does what it is told. */
#include "modules/base/test_soak.h"
#include "modules/base/test_suite.h"
#include "modules/spill/test_file_fixture.h"

enum { BLOCK = SPILL_BLOCK_BYTES, CHUNK = 32768 - 32, MANY = 256 };

static struct extent extents[EXTENTS_MAX];

static void setup(void)
{
    fixture_setup();
}

static uint64_t count_of(enum fault_call call)
{
    return fault_count(fault, call);
}

static void make_chunks(unsigned count, uint64_t first_number)
{
    for (unsigned i = 0; i < count; i++) {
        make_extent(&extents[i], first_number + i, CHUNK);
    }
}

/* ---- what is written is read ------------------------------------------------------------------
 */

static const uint32_t SIZES[] = {
    0,     1,     31,      32,      100, 2015, 2016,  2017, 4063,    4064,          4065, 32736,
    32737, 65000, 1048543, 1048544, 7,   2000, 12345, 1,    3 << 20, (5 << 20) + 3, 64,   500
};
enum { SIZE_COUNT = sizeof(SIZES) / sizeof(SIZES[0]) };

START_TEST(payloads_of_any_size_come_back)
{
    open_file((unsigned)_i, 0);
    for (unsigned i = 0; i < SIZE_COUNT; i++) {
        make_extent(&extents[i], i, SIZES[i]);
    }
    ck_assert_int_eq(write_extents(extents, SIZE_COUNT), 0);
    spill_file_check(file);
    expect_all_readable(extents, SIZE_COUNT);
    for (unsigned i = 0; i < SIZE_COUNT; i++) {
        ck_assert_int_eq(read_extent(&extents[i]), 0);
    }
    free_extents(extents, SIZE_COUNT);
    ck_assert_uint_eq(file_info().used_bytes, 0);
    spill_file_check(file);
}
END_TEST

START_TEST(random_batches_survive_what_is_written_and_freed_around_them)
{
    struct random random;
    unsigned alive = 0;
    random_init(&random, (uint64_t)_i + 5 + 1000 * soak_seed());
    open_file(_i % 2 == 0 ? 0 : 2, 24 << 20);
    for (unsigned step = 0, number = 0; step < 300; step++) {
        unsigned count = 1 + (unsigned)random_below(&random, 30);
        for (unsigned i = 0; i < count; i++, number++) {
            uint32_t limit = random_below(&random, 3) == 0 ? 300 : 60000;
            make_extent(&extents[alive + i], number, (uint32_t)random_below(&random, limit));
        }
        int rc = write_extents(extents + alive, count);
        if (rc == 0) alive += count;
        if (rc < 0) ck_assert_int_eq(rc, -ENOSPC);
        while (alive > 0 && (rc < 0 || alive > 900 || random_below(&random, 16) != 0)) {
            unsigned victim = (unsigned)random_below(&random, alive);
            spill_file_free(file, &extents[victim].ref);
            extents[victim] = extents[--alive];
            rc = random_below(&random, 40) == 0 ? 0 : rc;
        }
        (void)spill_file_tick(file);
        if (step % 20 == 0) {
            spill_file_check(file);
            if (alive > 0) expect_all_readable(extents, alive);
        }
    }
    free_extents(extents, alive);
    trim_all();
    ck_assert_int_eq(file_status().st_size, 0);
}
END_TEST

START_TEST(a_batch_of_chunks_is_one_write_and_its_reads_are_one_read)
{
    open_file(0, 0);
    make_chunks(32, 1);
    uint64_t writes = count_of(FAULT_PWRITE), reads = count_of(FAULT_PREAD);
    ck_assert_int_eq(write_extents(extents, 32), 0);
    ck_assert_uint_eq(count_of(FAULT_PWRITE) - writes, 1);
    ck_assert_uint_eq(file_info().write_bytes, SPILL_BATCH_BYTES);
    expect_all_readable(extents, 32);
    ck_assert_uint_eq(count_of(FAULT_PREAD) - reads, 1);
    free_extents(extents, 32);
}
END_TEST

START_TEST(reads_with_a_small_gap_are_read_together_and_others_apart)
{
    open_file(0, 0);
    make_chunks(32, 1);
    ck_assert_int_eq(write_extents(extents, 32), 0);
    uint64_t reads = count_of(FAULT_PREAD);
    extents[1] = extents[2]; /* a chunk between them */
    expect_all_readable(extents, 2);
    ck_assert_uint_eq(count_of(FAULT_PREAD) - reads, 1);
    extents[1] = extents[10];
    expect_all_readable(extents, 2);
    ck_assert_uint_eq(count_of(FAULT_PREAD) - reads, 3);
}
END_TEST

START_TEST(more_reads_and_writes_than_slots_wait_their_turn)
{
    enum { BATCHES = 12, EACH = 32 };
    struct pending pending = { 0 };
    struct batch *batches = calloc(BATCHES, sizeof(*batches));
    ck_assert_ptr_nonnull(batches);
    open_file(2, 0);
    make_chunks(BATCHES * EACH, 1);
    for (unsigned i = 0; i < BATCHES; i++) {
        ck_assert_int_eq(batch_start(&batches[i], extents + i * EACH, EACH, &pending), 0);
    }
    ck_assert_uint_eq(file_info().writes_in_flight, BATCHES);
    wait_for(&pending);
    for (unsigned i = 0; i < BATCHES; i++) {
        ck_assert_int_eq(batches[i].write.rc, 0);
        batch_finish(&batches[i]);
    }
    free(batches);
    expect_all_readable(extents, BATCHES * EACH);
    ck_assert_uint_eq(file_info().reads_in_flight, 0);
    ck_assert_uint_le(file_info().memory_bytes, 7 << 20); /* six buffers and tables */
}
END_TEST

START_TEST(idle_buffers_are_given_back)
{
    open_file(0, 0);
    make_chunks(1, 1);
    ck_assert_int_eq(write_extents(extents, 1), 0);
    ck_assert_uint_ge(file_info().memory_bytes, SPILL_BATCH_BYTES);
    for (unsigned i = 0; i < 100; i++) {
        (void)spill_file_tick(file);
    }
    ck_assert_uint_lt(file_info().memory_bytes, SPILL_BATCH_BYTES);
    ck_assert_int_eq(read_extent(&extents[0]), 0);
}
END_TEST

/* ---- room -------------------------------------------------------------------------------------
 */

START_TEST(small_extents_share_blocks)
{
    enum { SMALL = 100, IN_A_BLOCK = 30 }; /* 136 bytes each with its header */
    open_file(0, 0);
    for (unsigned i = 0; i < 2 * IN_A_BLOCK; i++) {
        make_extent(&extents[i], i, SMALL);
    }
    ck_assert_uint_eq(spill_file_footprint(SMALL), 136);
    ck_assert_int_eq(write_extents(extents, 2 * IN_A_BLOCK), 0);
    ck_assert_uint_eq(file_info().used_bytes, 2 * BLOCK);
    free_extents(extents, IN_A_BLOCK - 1);
    ck_assert_uint_eq(file_info().used_bytes, 2 * BLOCK);
    ck_assert_int_eq(read_extent(&extents[IN_A_BLOCK - 1]), 0);
    spill_file_free(file, &extents[IN_A_BLOCK - 1].ref);
    ck_assert_uint_eq(file_info().used_bytes, BLOCK);
    expect_all_readable(extents + IN_A_BLOCK, IN_A_BLOCK);
}
END_TEST

START_TEST(a_full_chunk_with_its_header_takes_eight_blocks)
{
    ck_assert_uint_eq(spill_file_footprint(CHUNK), 8 * BLOCK);
    ck_assert_uint_eq(spill_file_footprint(CHUNK + 1), 9 * BLOCK);
    open_file(0, 0);
}
END_TEST

START_TEST(beyond_the_disk_maximum_writes_are_refused_and_nothing_changes)
{
    open_file(0, 16 * 8 * BLOCK);
    make_chunks(18, 1);
    ck_assert_int_eq(write_extents(extents, 16), 0);
    ck_assert_int_eq(write_extents(extents + 16, 1), -ENOSPC);
    ck_assert_uint_eq(file_info().used_bytes, 16 * 8 * BLOCK);
    expect_all_readable(extents, 16);
    spill_file_free(file, &extents[3].ref);
    ck_assert_int_eq(write_extents(extents + 16, 2), -ENOSPC);
    ck_assert_int_eq(write_extents(extents + 16, 1), 0);
    ck_assert_int_eq(read_extent(&extents[16]), 0);
    spill_file_check(file);
}
END_TEST

START_TEST(the_disk_maximum_can_be_lowered_below_what_is_used)
{
    open_file(0, 0);
    make_chunks(4, 1);
    ck_assert_int_eq(write_extents(extents, 2), 0);
    spill_file_set_disk_max(file, 8 * BLOCK);
    ck_assert_int_eq(write_extents(extents + 2, 1), -ENOSPC);
    free_extents(extents, 2);
    ck_assert_int_eq(write_extents(extents + 2, 1), 0);
    ck_assert_int_eq(write_extents(extents + 3, 1), -ENOSPC);
    spill_file_set_disk_max(file, 0);
    ck_assert_int_eq(write_extents(extents + 3, 1), 0);
}
END_TEST

START_TEST(what_was_freed_is_written_again_before_the_file_grows)
{
    open_file(0, 0);
    make_chunks(MANY, 1);
    ck_assert_int_eq(write_extents(extents, MANY), 0);
    off_t size = file_status().st_size;
    free_extents(extents, MANY / 2);
    ck_assert_int_eq(write_extents(extents, MANY / 2), 0);
    ck_assert_int_eq(file_status().st_size, size);
    expect_all_readable(extents, MANY);
}
END_TEST

START_TEST(the_free_tail_is_truncated)
{
    open_file((unsigned)_i, 0);
    make_chunks(MANY, 1);
    ck_assert_int_eq(write_extents(extents, MANY), 0);
    ck_assert_int_eq(file_status().st_size, MANY * 8 * BLOCK);
    free_extents(extents + 1, MANY - 1);
    trim_all();
    ck_assert_int_eq(file_status().st_size, 8 * BLOCK);
    ck_assert_uint_eq(file_info().file_bytes, 8 * BLOCK);
    ck_assert_uint_eq(file_info().truncated_bytes, (MANY - 1) * 8 * BLOCK);
    ck_assert_int_eq(read_extent(&extents[0]), 0);
    free_extents(extents, 1);
    trim_all();
    ck_assert_int_eq(file_status().st_size, 0);
}
END_TEST

START_TEST(long_free_runs_are_punched_but_for_a_reserve)
{
    enum { CHUNKS = 2048, RESERVE = 16 << 20 }; /* 64 MiB */
    open_file((unsigned)_i, 0);
    make_chunks(CHUNKS, 1);
    for (unsigned i = 0; i < CHUNKS; i += 32) {
        ck_assert_int_eq(write_extents(extents + i, 32), 0);
    }
    free_extents(extents + 1, CHUNKS - 2);
    trim_all();
    spill_file_check(file);
    struct stat status = file_status();
    ck_assert_int_eq(status.st_size, CHUNKS * 8 * BLOCK);
    ck_assert_int_le((int64_t)status.st_blocks * 512, RESERVE + (1 << 20));
    ck_assert_uint_ge(file_info().punched_bytes, (CHUNKS * 8 * BLOCK) - RESERVE - (1 << 20));
    ck_assert_int_eq(read_extent(&extents[0]), 0);
    ck_assert_int_eq(read_extent(&extents[CHUNKS - 1]), 0);
    uint64_t punches = count_of(FAULT_PUNCH);
    trim_all();
    ck_assert_uint_eq(count_of(FAULT_PUNCH), punches);
}
END_TEST

START_TEST(all_of_it_is_punched_when_others_need_the_room)
{
    enum { CHUNKS = 400, BIG = 8 * BLOCK };
    open_file(0, 0);
    make_chunks(CHUNKS, 1);
    ck_assert_int_eq(write_extents(extents, CHUNKS), 0);
    free_extents(extents, CHUNKS - 1); /* the last one keeps the tail */
    trim_all();
    ck_assert_uint_eq(file_info().punched_bytes, 0);
    spill_file_give_all(file, true);
    trim_all();
    ck_assert_uint_ge(file_info().punched_bytes, (uint64_t)(CHUNKS - 1) * BIG - (2 << 20));
    ck_assert_int_eq(read_extent(&extents[CHUNKS - 1]), 0);
}
END_TEST

START_TEST(a_busy_file_is_punched_little_and_at_rest_all)
{
    enum { CHUNKS = 2048, READS = 1024, RESERVE = 16 << 20, PIECE = 4 << 20 }; /* 64 MiB */
    open_file((unsigned)_i, 0);
    make_chunks(CHUNKS, 1);
    for (unsigned i = 0; i < CHUNKS; i += 32) {
        ck_assert_int_eq(write_extents(extents + i, 32), 0);
    }
    free_extents(extents + 1, CHUNKS - 2);
    for (unsigned i = 0; i < READS; i++) {
        ck_assert_int_eq(read_extent(&extents[0]), 0);
        (void)spill_file_tick(file);
        if (io_in_flight(io) > 0) (void)io_wait(io);
    }
    ck_assert_uint_gt(file_info().punched_bytes, 0);
    ck_assert_uint_le(file_info().punched_bytes, (2 * PIECE) + (READS * 8 * BLOCK / 8));
    trim_all();
    ck_assert_uint_ge(file_info().punched_bytes, (CHUNKS * 8 * BLOCK) - RESERVE - (1 << 20));
}
END_TEST

static unsigned done_order[16], done_count;

static void note_done(struct spill_read *read)
{
    const unsigned *number = read->context;
    ck_assert_int_eq(read->rc, 0);
    done_order[done_count++] = *number;
}

/* Reads the first chunk of each MiB, one transfer each; those before urgent_from are not urgent. */
static void read_far_chunks(unsigned count, unsigned urgent_from)
{
    struct spill_read reads[16];
    unsigned numbers[16];
    done_count = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct extent *extent = &extents[32 * i];
        struct spill_read *read = &reads[i];
        numbers[i] = i;
        reads[i] = (struct spill_read){ .ref = extent->ref,
                                        .identity = extent->identity,
                                        .bytes = malloc(extent->ref.size_bytes),
                                        .is_urgent = i >= urgent_from,
                                        .done = note_done,
                                        .context = &numbers[i] };
        ck_assert_ptr_nonnull(reads[i].bytes);
        spill_file_read(file, &read, 1);
    }
    spill_file_check(file);
    while (io_in_flight(io) > 0)
        (void)io_wait(io);
    ck_assert_uint_eq(done_count, count);
    for (unsigned i = 0; i < count; i++)
        free(reads[i].bytes);
}

START_TEST(a_read_that_somebody_waits_for_goes_first)
{
    enum { COUNT = 10 };
    open_file(0, 0);
    make_chunks(32 * COUNT, 1);
    for (unsigned i = 0; i < COUNT; i++)
        ck_assert_int_eq(write_extents(extents + 32 * i, 32), 0);
    read_far_chunks(COUNT, COUNT - 1);
    ck_assert_uint_eq(done_order[0], COUNT - 1);
    /* But many such do not hold up the others for ever. */
    read_far_chunks(COUNT, 1);
    ck_assert_uint_ne(done_order[COUNT - 1], 0);
    ck_assert_uint_eq(done_order[0], 1);
}
END_TEST

START_TEST(a_write_behind_the_end_waits_for_a_truncation_under_way)
{
    struct pending pending = { 0 };
    struct batch *batch = calloc(1, sizeof(*batch));
    ck_assert_ptr_nonnull(batch);
    open_file(2, 0);
    make_chunks(MANY + 64, 1);
    ck_assert_int_eq(write_extents(extents, MANY), 0);
    free_extents(extents + 8, MANY - 8);

    pthread_mutex_lock(&trick.truncate_mutex);
    ck_assert(!spill_file_tick(file)); /* it has begun: nothing more to start */
    uint64_t writes = count_of(FAULT_PWRITE);
    ck_assert_int_eq(batch_start(batch, extents + MANY, 32, &pending), 0);
    /* Jobs start in order: had the write been one, it would have begun before this read. */
    ck_assert_int_eq(read_extent(&extents[0]), 0);
    ck_assert_uint_eq(count_of(FAULT_PWRITE), writes);
    ck_assert_uint_eq(pending.count, 1);
    pthread_mutex_unlock(&trick.truncate_mutex);

    wait_for(&pending);
    ck_assert_uint_eq(count_of(FAULT_TRUNCATE), 2); /* the first when the file was made */
    ck_assert_int_eq(batch->write.rc, 0);
    batch_finish(batch);
    free(batch);
    expect_all_readable(extents + MANY, 32);
    ck_assert_int_eq(file_status().st_size, 40 * 8 * BLOCK);
}
END_TEST

/* ---- files and directories ---------------------------------------------------------------------
 */

static void make_entry(const char *name)
{
    char path[256];
    path_in_directory(path, sizeof(path), name);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void remove_entry(const char *name)
{
    char path[256];
    path_in_directory(path, sizeof(path), name);
    ck_assert_int_eq(remove(path), 0); /* fails when it is not there */
}

static bool entry_exists(const char *name)
{
    char path[256];
    struct stat status;
    path_in_directory(path, sizeof(path), name);
    return lstat(path, &status) == 0;
}

START_TEST(files_of_an_earlier_life_go_and_foreign_ones_stay)
{
    static const char *const foreign[] = { "spill-1.dat",         "spill-000000001.dat",
                                           "spill-0000000x.dat",  "spill-00000002.dat.bak",
                                           "xspill-00000002.dat", "spill-00000002.DAT",
                                           "appendonly.aof" };
    char path[256];
    make_entry("spill-00000001.dat");
    make_entry("spill-00000077.dat");
    for (unsigned i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        make_entry(foreign[i]);
    }
    path_in_directory(path, sizeof(path), "spill-00000003.dat");
    ck_assert_int_eq(symlink("appendonly.aof", path), 0);
    path_in_directory(path, sizeof(path), "spill-00000004.dat");
    ck_assert_int_eq(mkdir(path, 0700), 0);
    open_file(0, 0);
    ck_assert(!entry_exists("spill-00000077.dat"));
    for (unsigned i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        remove_entry(foreign[i]);
    }
    remove_entry("spill-00000003.dat");
    remove_entry("spill-00000004.dat");
}
END_TEST

START_TEST(a_directory_where_somebody_spills_is_refused)
{
    struct spill_file *second = NULL;
    open_file(0, 0);
    make_extent(&extents[0], 1, 5000);
    ck_assert_int_eq(write_extents(extents, 1), 0);
    ck_assert_int_eq(spill_file_create(fault_os(fault), io, directory, 0, &second), -EWOULDBLOCK);
    ck_assert_ptr_null(second);
    ck_assert_int_eq(read_extent(&extents[0]), 0);
    ck_assert(entry_exists("spill-00000001.dat"));
}
END_TEST

START_TEST(something_foreign_with_our_name_is_refused)
{
    char path[256];
    path_in_directory(path, sizeof(path), "spill-00000001.dat");
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_eq(io_create(fault_os(fault), 0, &io), 0);
    ck_assert_int_eq(spill_file_create(fault_os(fault), io, directory, 0, &file), -EEXIST);
    remove_entry("spill-00000001.dat");
}
END_TEST

START_TEST(a_missing_directory_is_refused)
{
    ck_assert_int_eq(io_create(fault_os(fault), 0, &io), 0);
    ck_assert_int_eq(spill_file_create(fault_os(fault), io, "/nonexistent/x", 0, &file), -ENOENT);
}
END_TEST

/* ---- O_DIRECT -----------------------------------------------------------------------------------
 */

/* 1: open refuses it; 2: transfers do. */
START_TEST(without_direct_transfers_it_works_through_the_page_cache)
{
    trick.refuse_direct = _i;
    open_file(0, 0);
    ck_assert(!file_info().is_direct);
    for (unsigned i = 0; i < SIZE_COUNT; i++) {
        make_extent(&extents[i], i, SIZES[i]);
    }
    ck_assert_int_eq(write_extents(extents, SIZE_COUNT), 0);
    expect_all_readable(extents, SIZE_COUNT);
}
END_TEST

static void setup_tmpfs(void)
{
    make_directory("/dev/shm");
    trick_init();
}

START_TEST(tmpfs_will_do)
{
    open_file(2, 0);
    make_chunks(MANY, 1);
    ck_assert_int_eq(write_extents(extents, MANY), 0);
    expect_all_readable(extents, MANY);
    free_extents(extents + 1, MANY - 1);
    trim_all();
    ck_assert_int_eq(file_status().st_size, 8 * BLOCK);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("file");
    TCase *tests = test_suite_case(suite, "file", setup, fixture_teardown);
    TCase *tmpfs = test_suite_case(suite, "tmpfs", setup_tmpfs, fixture_teardown);

    tcase_add_loop_test(tests, payloads_of_any_size_come_back, 0, 3);
    tcase_add_loop_test(tests, random_batches_survive_what_is_written_and_freed_around_them, 0, 4);
    tcase_add_test(tests, a_batch_of_chunks_is_one_write_and_its_reads_are_one_read);
    tcase_add_test(tests, reads_with_a_small_gap_are_read_together_and_others_apart);
    tcase_add_test(tests, more_reads_and_writes_than_slots_wait_their_turn);
    tcase_add_test(tests, idle_buffers_are_given_back);
    tcase_add_test(tests, small_extents_share_blocks);
    tcase_add_test(tests, a_full_chunk_with_its_header_takes_eight_blocks);
    tcase_add_test(tests, beyond_the_disk_maximum_writes_are_refused_and_nothing_changes);
    tcase_add_test(tests, the_disk_maximum_can_be_lowered_below_what_is_used);
    tcase_add_test(tests, what_was_freed_is_written_again_before_the_file_grows);
    tcase_add_loop_test(tests, the_free_tail_is_truncated, 0, 3);
    tcase_add_loop_test(tests, long_free_runs_are_punched_but_for_a_reserve, 0, 3);
    tcase_add_test(tests, all_of_it_is_punched_when_others_need_the_room);
    tcase_add_loop_test(tests, a_busy_file_is_punched_little_and_at_rest_all, 0, 3);
    tcase_add_test(tests, a_read_that_somebody_waits_for_goes_first);
    tcase_add_test(tests, a_write_behind_the_end_waits_for_a_truncation_under_way);
    tcase_add_test(tests, files_of_an_earlier_life_go_and_foreign_ones_stay);
    tcase_add_test(tests, a_directory_where_somebody_spills_is_refused);
    tcase_add_test(tests, something_foreign_with_our_name_is_refused);
    tcase_add_test(tests, a_missing_directory_is_refused);
    tcase_add_loop_test(tests, without_direct_transfers_it_works_through_the_page_cache, 1, 3);
    tcase_add_test(tmpfs, tmpfs_will_do);
    return suite;
}

int main(void)
{
    return test_suite_run(make_suite());
}
