#include "server/config/test_fixture.h"

/* ---- values --------------------------------------------------------------------------------- */

START_TEST(defaults_are_safe)
{
    const struct config *config = fixture.config;

    ck_assert_uint_eq(config->bind.count, 2);
    ck_assert_str_eq(config->bind.words[0], "127.0.0.1");
    ck_assert_str_eq(config->bind.words[1], "-::1");
    ck_assert_int_eq(config->port, 6379);
    ck_assert(config->protected_mode);
    ck_assert_int_eq(config->enable_debug_command, CONFIG_ACCESS_NO);
    ck_assert_int_eq(config->enable_protected_configs, CONFIG_ACCESS_NO);
    ck_assert_int_eq(config->unixsocketperm, 0600);
    ck_assert_int_eq(config->loglevel, CONFIG_LOG_NOTICE);
    ck_assert_uint_eq(config->client_query_buffer_limit_bytes, 64 << 20);
    ck_assert_uint_eq(config->client_output_buffer_limit.classes[0].hard_bytes, 256 << 20);
    ck_assert_int_eq(config->dir[0], '/');
    ck_assert_ptr_null(config_file(config));
}
END_TEST

START_TEST(booleans_are_yes_or_no)
{
    expect_set("activerehashing", "no", "no");
    expect_set("activerehashing", "YES", "yes");
    ck_assert(fixture.config->activerehashing);
    expect_refused("activerehashing", "maybe", "argument must be 'yes' or 'no'");
    expect_refused("activerehashing", "", "argument must be 'yes' or 'no'");
}
END_TEST

START_TEST(integers_keep_to_their_range)
{
    expect_set("active-expire-effort", "10", "10");
    expect_refused("active-expire-effort", "11", "argument must be between 1 and 10 inclusive");
    expect_refused("active-expire-effort", "0", "argument must be between 1 and 10 inclusive");
    expect_refused("hz", "abc", "argument couldn't be parsed into an integer");
    expect_refused("hz", "010", "argument couldn't be parsed into an integer");
    expect_refused("hz", "10 ", "argument couldn't be parsed into an integer");
    expect_refused("hz", "9999999999999999999", "argument couldn't be parsed into an integer");
    expect_set("list-max-listpack-size", "-2147483648", "-2147483648");
    expect_refused("list-max-listpack-size", "-2147483649",
                   "argument must be between -2147483648 and 2147483647 inclusive");
    listen_to("slowlog-log-slower-than");
    expect_set("slowlog-log-slower-than", "9223372036854775807", "9223372036854775807");
}
END_TEST

START_TEST(hertz_are_brought_into_reach)
{
    expect_set("hz", "0", "1");
    expect_set("hz", "100", "100");
    expect_set("hz", "2147483647", "500");
    expect_refused("hz", "-1", "argument must be between 0 and 2147483647 inclusive");
}
END_TEST

START_TEST(sizes_have_units)
{
    listen_to("maxmemory");
    expect_set("maxmemory", "100mb", "104857600");
    expect_set("maxmemory", "1GB", "1073741824");
    expect_set("maxmemory", "10k", "10000");
    expect_set("maxmemory", "18446744073709551615", "18446744073709551615");
    expect_refused("maxmemory", "1x", "argument must be a memory value");
    expect_refused("maxmemory", "-1", "argument must be a memory value");
    expect_refused("maxmemory", "mb", "argument must be a memory value");
    expect_refused("maxmemory", "", "argument must be a memory value");
    expect_refused("maxmemory", "18446744073709551616", "argument must be a memory value");
    expect_refused("maxmemory", "99999999999gb", "argument must be a memory value");
    listen_to("proto-max-bulk-len");
    expect_refused("proto-max-bulk-len", "1",
                   "argument must be between 1048576 and 9223372036854775807 inclusive");
}
END_TEST

START_TEST(lengths_of_time_have_units)
{
    listen_to("stream-retention-age");
    expect_set("stream-retention-age", "7d", "604800000");
    expect_set("stream-retention-age", "1500", "1500");
    expect_set("stream-retention-age", "90S", "90000");
    expect_refused("stream-retention-age", "7x",
                   "argument must be a time: a number with ms, s, m, h or d");
    expect_refused("stream-retention-age", "-1",
                   "argument must be a time: a number with ms, s, m, h or d");
    expect_refused("stream-retention-age", "9223372036854775808",
                   "argument must be between 0 and 9223372036854775807 inclusive");
}
END_TEST

START_TEST(rules_of_retention_are_triples)
{
    listen_to("stream-retention-for");
    expect_set("stream-retention-for", "a: retention-age 7d b retention-length 0",
               "a: retention-age 7d b retention-length 0");
    expect_set("stream-retention-for", "a RETENTION-BYTES 1gb", "a RETENTION-BYTES 1gb");
    expect_set("stream-retention-for", "a compress zstd", "a compress zstd");
    expect_refused("stream-retention-for", "a compress zip", "compress must be none, lz4 or zstd");
    expect_set("stream-retention-for", "", "");
    expect_refused("stream-retention-for", "a retention-age",
                   "each rule is a prefix, a name and a value");
    expect_refused("stream-retention-for", "a age 7d",
                   "'age' is none of retention-bytes, retention-age, retention-length, compress");
    expect_refused("stream-retention-for", "a retention-age 7x",
                   "retention-age must be a time: a number with ms, s, m, h or d");
    expect_refused("stream-retention-for", "a retention-bytes -1",
                   "retention-bytes must be a memory value");
    expect_refused("stream-retention-for", "a retention-length 9223372036854775808",
                   "retention-length must be a number of entries");
    expect_refused("stream-retention-for", " retention-age 7d",
                   "a prefix must not be empty: stream-retention-bytes, -age and -length are for "
                   "all streams");
}
END_TEST

START_TEST(sizes_or_shares)
{
    listen_to("maxmemory-clients");
    expect_set("maxmemory-clients", "5%", "5%");
    ck_assert_uint_eq(fixture.config->maxmemory_clients.percent, 5);
    expect_set("maxmemory-clients", "10kb", "10240");
    expect_set("maxmemory-clients", "0%", "0");
    expect_refused("maxmemory-clients", "101%", "percentage argument must be less or equal to 100");
    expect_refused("maxmemory-clients", "-1%", "argument must be a memory or percent value");
    expect_refused("maxmemory-clients", "x", "argument must be a memory or percent value");
}
END_TEST

START_TEST(enums_name_their_words)
{
    listen_to("loglevel");
    expect_set("loglevel", "WARNING", "warning");
    ck_assert_int_eq(fixture.config->loglevel, CONFIG_LOG_WARNING);
    expect_refused("loglevel", "loud",
                   "argument(s) must be one of the following: debug, verbose, notice, warning");
}
END_TEST

START_TEST(texts_hold_anything_but_zero_bytes)
{
    const char long_text[] = "a \"quoted\"\r\n\\ text";

    expect_set("requirepass", long_text, long_text);
    ck_assert_int_eq(
        config_load_text(fixture.config, SLICE_LITERAL("requirepass \"a\\x00b\""), &fixture.error),
        -EINVAL);
    ck_assert_ptr_nonnull(strstr(fixture.error.text, "argument must not contain a zero byte"));
    expect_value("requirepass", long_text);
    expect_set("requirepass", "", "");
}
END_TEST

START_TEST(texts_are_checked)
{
    expect_refused("cluster-announce-hostname", "a b",
                   "Hostnames may only contain alphanumeric characters, hyphens or dots");
    expect_set("cluster-announce-hostname", "a-b.c", "a-b.c");
    expect_refused("proc-title-template", "{foo}",
                   "template format is invalid or contains unknown variables");
    expect_refused("proc-title-template", "{title",
                   "template format is invalid or contains unknown variables");
    expect_set("proc-title-template", "x {title}{port} y", "x {title}{port} y");
    ck_assert_int_eq(load("appendfilename a/b"), -EINVAL);
    ck_assert_ptr_nonnull(
        strstr(fixture.error.text, "appendfilename can't be a path, just a filename"));
    ck_assert_int_eq(load("dir /nowhere/at/all"), -EINVAL);
    ck_assert_ptr_nonnull(strstr(fixture.error.text, "No such file or directory"));
    ck_assert_int_eq(load("dir /dev/null"), -EINVAL);
    ck_assert_ptr_nonnull(strstr(fixture.error.text, "Not a directory"));
}
END_TEST

START_TEST(a_socket_path_that_no_address_holds_is_refused)
{
    char line[256] = "unixsocket ";

    memset(line + strlen(line), 'a', 107);
    ck_assert_int_eq(load(line), 0);
    strcat(line, "a");
    ck_assert_int_eq(load(line), -EINVAL);
    ck_assert_ptr_nonnull(strstr(fixture.error.text, "at most 107 bytes"));
}
END_TEST

START_TEST(addresses_are_a_list)
{
    listen_to("bind");
    expect_set("bind", "10.0.0.1 -::1 * ::*", "10.0.0.1 -::1 * ::*");
    expect_set("bind", "localhost -queue-1.example.org", "localhost -queue-1.example.org");
    expect_refused("bind", "a/b", "'a/b' is no address, no host's name, nor '*' or '::*'");
    expect_set("bind", "", "");
    ck_assert_uint_eq(fixture.config->bind.count, 0);
    expect_refused("bind", "1.2.3.4.5",
                   "'1.2.3.4.5' is no address, no host's name, nor '*' or '::*'");
    expect_refused("bind", "* * * * * * * * * * * * * * * * *",
                   "Too many bind addresses specified.");
    ck_assert_int_eq(load("bind 127.0.0.1\nbind ::1 -10.0.0.1"), 0);
    expect_value("bind", "::1 -10.0.0.1");
}
END_TEST

START_TEST(save_lines_of_a_file_add_up)
{
    expect_set("save", "10 20 30 40", "10 20 30 40");
    expect_set("save", "900 1", "900 1");
    expect_refused("save", "10", "Invalid save parameters");
    expect_refused("save", "a b", "Invalid save parameters");
    expect_refused("save", "0 1", "Invalid save parameters");
    expect_refused("save", "1  1", "Invalid save parameters");
    ck_assert_int_eq(load("save 60 1\nsave 30 2"), 0);
    expect_value("save", "60 1 30 2");
    ck_assert_int_eq(load("save \"\"\nsave 5 6"), 0);
    expect_value("save", "5 6");
    expect_set("save", "", "");
}
END_TEST

START_TEST(output_limits_change_the_classes_named)
{
    listen_to("client-output-buffer-limit");
    expect_set("client-output-buffer-limit", "normal 1mb 0 0 replica 1 2 3",
               "normal 1048576 0 0 slave 1 2 3 pubsub 33554432 8388608 60");
    expect_set("client-output-buffer-limit", "",
               "normal 1048576 0 0 slave 1 2 3 pubsub 33554432 8388608 60");
    ck_assert_int_eq(load("client-output-buffer-limit pubsub 0 0 0\n"
                          "client-output-buffer-limit slave 4 5 6"),
                     0);
    expect_value("client-output-buffer-limit", "normal 1048576 0 0 slave 4 5 6 pubsub 0 0 0");
    expect_refused("client-output-buffer-limit", "foo",
                   "Wrong number of arguments in buffer limit configuration.");
    expect_refused("client-output-buffer-limit", "foo 0 0 0",
                   "Invalid client class specified in buffer limit configuration.");
    expect_refused("client-output-buffer-limit", "master 0 0 0",
                   "Invalid client class specified in buffer limit configuration.");
    expect_refused("client-output-buffer-limit", "normal 1x 0 0",
                   "Error in hard, soft or soft_seconds setting in buffer limit configuration.");
    expect_refused("client-output-buffer-limit", "normal 1 0 -1",
                   "Error in hard, soft or soft_seconds setting in buffer limit configuration.");
}
END_TEST

START_TEST(percentiles_lie_between_0_and_100)
{
    expect_set("latency-tracking-info-percentiles", "50 99.95 1e1 99.123456789",
               "50 99.95 10 99.123457");
    ck_assert_uint_eq(fixture.config->latency_tracking_info_percentiles.count, 4);
    expect_set("latency-tracking-info-percentiles", "", "");
    expect_refused("latency-tracking-info-percentiles", "50 101",
                   "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]");
    expect_refused("latency-tracking-info-percentiles", "-1",
                   "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]");
    expect_refused("latency-tracking-info-percentiles", "50 abc",
                   "Invalid latency-tracking-info-percentiles parameters");
    expect_refused("latency-tracking-info-percentiles", "nan",
                   "Invalid latency-tracking-info-percentiles parameters");
}
END_TEST

START_TEST(no_more_percentiles_than_there_is_room_for)
{
    char text[4 * CONFIG_PERCENTILES_MAX + 8] = "50";

    for (int i = 1; i < CONFIG_PERCENTILES_MAX; i++)
        strcat(text, " 50");
    ck_assert_int_eq(set("latency-tracking-info-percentiles", text), 0);
    ck_assert_uint_eq(fixture.config->latency_tracking_info_percentiles.count,
                      CONFIG_PERCENTILES_MAX);
    strcat(text, " 50");
    ck_assert_int_eq(set("latency-tracking-info-percentiles", text), -EINVAL);
}
END_TEST

START_TEST(notify_classes_are_letters)
{
    expect_set("notify-keyspace-events", "KEA", "AKE");
    expect_set("notify-keyspace-events", "gKEx", "gxKE");
    expect_set("notify-keyspace-events", "xtdEKmng", "gxtdnKEm");
    expect_set("notify-keyspace-events", "E$lshzxetd", "$lshzxetdE");
    expect_set("notify-keyspace-events", "", "");
    expect_refused("notify-keyspace-events", "KExq",
                   "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
}
END_TEST

START_TEST(flags_exclude_each_other)
{
    expect_set("shutdown-on-sigint", "save now", "save now");
    expect_set("shutdown-on-sigint", "default save", "save");
    expect_set("shutdown-on-sigint", "default", "default");
    expect_refused("shutdown-on-sigint", "save nosave",
                   "shutdown options SAVE and NOSAVE can't be used simultaneously");
    expect_refused("shutdown-on-sigint", "foo",
                   "argument(s) must be one of the following: default, save, nosave, now, force");
}
END_TEST

START_TEST(oom_values_are_three)
{
    expect_set("oom-score-adj-values", "1 3 -2", "1 3 -2");
    expect_refused("oom-score-adj-values", "1 2", "wrong number of arguments");
    expect_refused("oom-score-adj-values", "1 a 2",
                   "Invalid oom-score-adj-values, elements must be between -2000 and 2000.");
    expect_refused("oom-score-adj-values", "1 2 2001",
                   "Invalid oom-score-adj-values, elements must be between -2000 and 2000.");
}
END_TEST

START_TEST(what_would_be_a_false_promise_is_refused)
{
    expect_refused("maxmemory-policy", "allkeys-lru",
                   "only noeviction: lists spill to disk, and nothing is thrown away");
    expect_refused("tls-port", "6380", "TLS is not there yet");
    expect_refused("min-replicas-to-write", "1", "there is no replication");
    expect_refused("min-slaves-to-write", "1", "there is no replication");
    expect_refused("aof-timestamp-enabled", "yes",
                   "only no: the log has the time of each frame anyway, and is not cut at one");
    expect_refused("oom-score-adj", "relative",
                   "only no: that is the service manager's (OOMScoreAdjust)");
    ck_assert_int_eq(load("daemonize yes"), -EINVAL);
    ck_assert_ptr_nonnull(strstr(fixture.error.text, "service manager"));
    ck_assert_int_eq(load("replicaof 127.0.0.1 6380"), -EINVAL);
    ck_assert_ptr_nonnull(strstr(fixture.error.text, "there is no replication"));
    ck_assert_int_eq(load("rename-command CONFIG x"), -EINVAL);
    ck_assert_ptr_nonnull(strstr(fixture.error.text, "commands cannot be renamed"));
}
END_TEST

static void expect_without_effect(const char *expected)
{
    char *names = NULL;

    ck_assert_int_eq(config_without_effect(fixture.config, &names), 0);
    ck_assert_str_eq(names, expected);
    free(names);
}

START_TEST(what_is_only_remembered_is_told_when_it_is_set)
{
    expect_without_effect("");
    expect_set("rdbcompression", "yes", "yes"); /* the default */
    expect_set("repl-backlog-size", "1mb", "1048576");
    expect_set("slice-us", "500", "500"); /* has an effect */
    expect_without_effect("");
    expect_set("rdbcompression", "no", "no");
    expect_set("list-max-ziplist-size", "128", "128");
    expect_without_effect("list-max-listpack-size rdbcompression");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        defaults_are_safe,
        booleans_are_yes_or_no,
        integers_keep_to_their_range,
        hertz_are_brought_into_reach,
        sizes_have_units,
        lengths_of_time_have_units,
        rules_of_retention_are_triples,
        sizes_or_shares,
        enums_name_their_words,
        texts_hold_anything_but_zero_bytes,
        texts_are_checked,
        a_socket_path_that_no_address_holds_is_refused,
        addresses_are_a_list,
        save_lines_of_a_file_add_up,
        output_limits_change_the_classes_named,
        percentiles_lie_between_0_and_100,
        no_more_percentiles_than_there_is_room_for,
        notify_classes_are_letters,
        flags_exclude_each_other,
        oom_values_are_three,
        what_would_be_a_false_promise_is_refused,
        what_is_only_remembered_is_told_when_it_is_set,
    };

    return run_tests("config values", tests, sizeof(tests) / sizeof(tests[0]));
}
