# Sluice. `make run` and `make check` are all that a newcomer needs; both install what is missing.
#
#   deps all run check soak bench asan tsan fuzz format lint check-layers check-headers install clean
#
# Every module's and layer's .c files go into one archive a variant; programs are linked from it.
#   test_*.c   a Check program beside the code it tests        fuzz_*.c  a libFuzzer target
#   bench/**.c and client-tests/**.c with a main are programs of their own (see below).
# Variants (release, asan, tsan, fuzz) are built side by side under build/VARIANT.

VARIANT  ?= release
PREFIX   ?= /usr/local
DESTDIR  ?=
BUILD    := build/$(VARIANT)
# make V=1 shows the commands.
Q        := $(if $(V),,@)
JOBS     ?= $(shell nproc)

CC_release := gcc
CC_asan    := gcc
CC_tsan    := gcc
CC_fuzz    := clang
CC         := $(CC_$(VARIANT))

VARIANT_release := -O2 -D_FORTIFY_SOURCE=2
VARIANT_asan    := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
VARIANT_tsan    := -O1 -fsanitize=thread -fno-omit-frame-pointer
VARIANT_fuzz    := -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all

# A request passes through many small files: the server is optimized as a whole. The objects hold
# machine code too, so that tests and benches link without that.
LTO_release      := -flto=auto -ffat-lto-objects
LTO_LINK_release := -flto=auto
NO_LTO_release   := -fno-lto

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wmissing-prototypes -Wvla -Werror
CFLAGS   ?= -g
CPPFLAGS += -I. -D_GNU_SOURCE
HARDEN_release := -fPIE -fstack-protector-strong
ALL_CFLAGS = -std=c17 $(WARNINGS) $(CFLAGS) $(VARIANT_$(VARIANT)) $(LTO) $(HARDEN_$(VARIANT)) -pthread
LINK_release := -pie -Wl,-z,relro,-z,now
LDFLAGS  += $(LINK_$(VARIANT)) $(filter -fsanitize=address% -fsanitize=thread,$(VARIANT_$(VARIANT))) \
            $(if $(filter fuzz,$(VARIANT)),-fsanitize=address$(comma)undefined) -pthread
comma    := ,
space    := $(subst ,, )
# Sanitizers bring their own allocator. When the server is optimized as a whole its calls of malloc
# come too late for the linker to find that this library is needed.
LIBS_release := -Wl,--push-state,--no-as-needed -ljemalloc -Wl,--pop-state
LIBS     := -levent_core -lcrypto -lxxhash -llz4 -lzstd -lm $(LIBS_$(VARIANT))

# What the archive is made of: tests of few parts need no others (make VARIANT=tsan PARTS=modules …).
# Each choice is an archive of its own.
PARTS ?= modules server
LIBRARY_SOURCES := $(filter-out server/main.c server/check_main.c %/client/node/%, \
    $(shell find $(PARTS) -name '*.c' ! -name 'test_*' ! -name 'fuzz_*' | sort))
TEST_SOURCES    := $(shell find modules server -name 'test_*.c' | sort)
FUZZ_SOURCES    := $(shell find modules server -name 'fuzz_*.c' | sort)
# Every .c under client-tests/ but its lib/ is a test program; every .c under bench/ but lib/ a benchmark.
CLIENT_LIB_SOURCES  := $(shell find client-tests/lib -name '*.c' 2>/dev/null | sort)
CLIENT_TEST_SOURCES := $(shell find client-tests -name '*.c' ! -path 'client-tests/lib/*' 2>/dev/null | sort)
BENCH_LIB_SOURCES   := $(shell find bench/lib -name '*.c' 2>/dev/null | sort)
BENCH_SOURCES       := $(shell find bench -name '*.c' ! -path 'bench/lib/*' 2>/dev/null | sort)

objects  = $(patsubst %.c,$(BUILD)/%.o,$(1))
programs = $(patsubst %.c,$(BUILD)/%,$(1))

ARCHIVE        := $(BUILD)/libsluice-$(subst $(space),+,$(subst /,-,$(sort $(PARTS)))).a
SERVER         := $(BUILD)/sluice-server
CHECKER        := $(BUILD)/sluice-check
TESTS          := $(call programs,$(TEST_SOURCES))
FUZZERS        := $(call programs,$(FUZZ_SOURCES))
CLIENT_ARCHIVE := $(BUILD)/client-tests/libclient-tests.a
CLIENT_TESTS   := $(call programs,$(CLIENT_TEST_SOURCES))
BENCH_ARCHIVE  := $(BUILD)/bench/libbench.a
BENCHES        := $(call programs,$(BENCH_SOURCES))

.PHONY: all deps run check soak bench asan tsan fuzz format lint check-layers check-headers install clean \
        server tests client-tests benches fuzzers check-unit check-asan check-tsan check-fuzz check-clients
.DELETE_ON_ERROR:
.SECONDARY:

all: deps
	@$(MAKE) --no-print-directory -j$(JOBS) server
	@mkdir -p build && ln -sf release/sluice-server build/sluice-server && \
		ln -sf release/sluice-check build/sluice-check

# all has a make of its own: what is asked for beside it (make -j all tests) waits for that one.
ifneq ($(filter all run bench soak install,$(MAKECMDGOALS)),)
$(call objects,$(LIBRARY_SOURCES)) $(BUILD)/server/main.o $(BUILD)/server/check_main.o $(ARCHIVE): | all
endif

server: $(SERVER) $(CHECKER)
tests: $(TESTS)
client-tests: $(CLIENT_TESTS)
benches: $(BENCHES)
fuzzers: $(FUZZERS)

deps:
	@tools/deps

# Serves 127.0.0.1:6379 with its files in data/ (make run DATA=/somewhere/else). OPTIONS are more
# directives: make run OPTIONS='--maxmemory 1gb'.
DATA ?= data
OPTIONS ?=
run: all
	@mkdir -p $(DATA)
	build/sluice-server conf/sluice.conf --dir $(DATA) $(OPTIONS)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC    $@")
	$(Q)$(CC) $(ALL_CFLAGS) $(CPPFLAGS) -MMD -MP -c $< -o $@

$(call objects,$(TEST_SOURCES) $(CLIENT_TEST_SOURCES) $(CLIENT_LIB_SOURCES)): \
    CPPFLAGS += -include tools/quick_check.h

$(call objects,$(LIBRARY_SOURCES)): LTO := $(LTO_$(VARIANT))

# The archive is made anew so that a source that went away leaves no object behind.
$(ARCHIVE): $(call objects,$(LIBRARY_SOURCES))
	@rm -f $@
	@ar rcs $@ $^

$(CLIENT_ARCHIVE): $(call objects,$(CLIENT_LIB_SOURCES))
	@rm -f $@
	@ar rcs $@ $^

$(BENCH_ARCHIVE): $(call objects,$(BENCH_LIB_SOURCES))
	@rm -f $@
	@ar rcs $@ $^

$(SERVER): $(BUILD)/server/main.o $(ARCHIVE)
	$(if $(V),,@echo "  LINK  $@")
	$(Q)$(CC) $^ $(ALL_CFLAGS) $(LTO_LINK_$(VARIANT)) $(LDFLAGS) $(LIBS) -o $@

$(CHECKER): $(BUILD)/server/check_main.o $(ARCHIVE)
	$(if $(V),,@echo "  LINK  $@")
	$(Q)$(CC) $^ $(NO_LTO_$(VARIANT)) $(LDFLAGS) $(LIBS) -o $@

$(TESTS): $(BUILD)/%: $(BUILD)/%.o $(ARCHIVE)
	$(if $(V),,@echo "  LINK  $@")
	$(Q)$(CC) $^ $(NO_LTO_$(VARIANT)) $(LDFLAGS) -lcheck_pic -lsubunit -lrt $(LIBS) -o $@

$(FUZZERS): $(BUILD)/%: $(BUILD)/%.o $(ARCHIVE)
	$(if $(V),,@echo "  LINK  $@")
	$(Q)$(CC) $^ $(NO_LTO_$(VARIANT)) $(LDFLAGS) -fsanitize=fuzzer $(LIBS) -o $@

$(CLIENT_TESTS): $(BUILD)/%: $(BUILD)/%.o $(CLIENT_ARCHIVE) $(ARCHIVE)
	$(if $(V),,@echo "  LINK  $@")
	$(Q)$(CC) $^ $(NO_LTO_$(VARIANT)) $(LDFLAGS) -lcheck_pic -lsubunit -lrt -lhiredis $(LIBS) -o $@

$(BENCHES): $(BUILD)/%: $(BUILD)/%.o $(BENCH_ARCHIVE) $(ARCHIVE)
	$(if $(V),,@echo "  LINK  $@")
	$(Q)$(CC) $^ $(NO_LTO_$(VARIANT)) $(LDFLAGS) -lhiredis $(LIBS) -o $@

# A server that is refused memory: what it asks for comes by the test (test_wrapped_malloc.h).
$(BUILD)/server/test_allocations $(BUILD)/server/test_waiting_allocations: LDFLAGS += $(addprefix -Wl$(comma)--wrap=,\
    malloc calloc realloc aligned_alloc strdup strndup asprintf mmap)

# Memory that is refused to one module.
$(BUILD)/modules/journal/test_source: LDFLAGS += -Wl,--wrap=malloc,--wrap=calloc
$(addprefix $(BUILD)/modules/stream/,test_group test_group_model test_group_pictures test_stream test_stream_reading test_stream_model test_stream_files \
        test_stream_disk test_stream_files_faults test_stream_files_reading test_stream_files_sync test_stream_files_mend test_stream_files_late test_stream_readers test_stream_copy test_stream_pack test_stream_power test_stream_rewrite test_stream_thinned test_stream_shrink \
        test_deleted): \
    LDFLAGS += -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc

# Servers whose clock the test sets (test_wrapped_clock.h).
$(addprefix $(BUILD)/server/,test_clock_set test_power_loss test_power_switches): \
    LDFLAGS += -Wl,--wrap=clock_gettime

# Calls that rest: time and checkpoints are the test's.
$(BUILD)/server/commands/test_resting: LDFLAGS += $(addprefix -Wl$(comma)--wrap=,loop_now_us parking_wait \
    checkpoint_request checkpoint_get_info spill_persist_info spill_store_may_rewrite effect_reserve_step)

# Which thread frees what.
$(BUILD)/server/test_large_blocks: LDFLAGS += -Wl,--wrap=free

# Tests compress with what Redis compresses with.
$(BUILD)/modules/rdb/test_%: LIBS += -llzf

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

# ---- checking -----------------------------------------------------------------------------------

check: deps
	@$(MAKE) --no-print-directory all
	@tools/run-checks

check-layers:
	@tools/check-layers

check-headers:
	@tools/check-headers

asan tsan:
	@$(MAKE) --no-print-directory -j$(JOBS) VARIANT=$@ server tests client-tests

fuzz:
	@$(MAKE) --no-print-directory -j$(JOBS) VARIANT=fuzz fuzzers

soak: all
	@tools/run-soak

bench: all
	@$(MAKE) --no-print-directory -j$(JOBS) benches
	@bench/run

format:
	clang-format -i $(shell git ls-files '*.c' '*.h')

lint:
	@tools/lint

install: all
	install -D -m 0755 $(SERVER) $(DESTDIR)$(PREFIX)/bin/sluice-server
	install -D -m 0755 $(CHECKER) $(DESTDIR)$(PREFIX)/bin/sluice-check
	install -D -m 0644 conf/sluice.conf $(DESTDIR)$(PREFIX)/share/sluice/sluice.conf
	sed 's|/usr/local/bin|$(PREFIX)/bin|' conf/sluice.service > $(BUILD)/sluice.service
	install -D -m 0644 $(BUILD)/sluice.service \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/sluice.service
	install -D -m 0644 README.md $(DESTDIR)$(PREFIX)/share/doc/sluice/README.md
	install -D -m 0644 LICENSE $(DESTDIR)$(PREFIX)/share/doc/sluice/LICENSE

clean:
	rm -rf build
