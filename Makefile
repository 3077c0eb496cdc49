# Bianque. `sudo make run` and `sudo make test` are the two commands; both install what they need.
# One non-recursive file: sources by wildcard, dependencies by the compiler, everything in $(B)/.

B	?= build
CC	?= gcc
CLANG	?= clang
BPFTOOL	?= $(firstword $(wildcard /usr/sbin/bpftool /usr/local/sbin/bpftool) bpftool)
PREFIX	?= /usr
DESTDIR	?=
SAN	?=
MAKEFLAGS += --no-builtin-rules

VERSION	:= 0.1.0

# ---- packages (Debian 12) -----------------------------------------------------------------------
DEPS_BUILD := gcc make pkg-config clang llvm bpftool libbpf-dev libelf-dev libdw-dev zlib1g-dev \
	libunwind-dev libcurl4-openssl-dev libprotobuf-c-dev protobuf-c-compiler libmicrohttpd-dev \
	libsqlite3-dev libjansson-dev libyaml-dev libiberty-dev libdeflate-dev libzstd-dev liblzma-dev libxxhash-dev \
	libcap-dev libseccomp-dev
DEPS_TEST := libcunit1-dev clang-format clang-tidy cppcheck python3 binutils elfutils gdb linux-perf \
	g++ lld dwz xz-utils libc6-dbg python3.11 python3.11-dbg openjdk-17-jre-headless openjdk-17-dbg

# ---- the user whose tree this is ----------------------------------------------------------------
# Under sudo the build runs as the owner of the tree, so nothing in it ends up root's.
OWNER	:= $(shell stat -c %u .)
ifeq ($(shell id -u),0)
ifneq ($(OWNER),0)
AS_OWNER := setpriv --reuid=$(OWNER) --regid=$(shell stat -c %g .) --init-groups --inh-caps=-all \
	env HOME=$(B)
endif
endif

# ---- flags --------------------------------------------------------------------------------------
LIBS	:= libbpf libelf libdw zlib libcurl libprotobuf-c libmicrohttpd sqlite3 jansson yaml-0.1 \
	libdeflate libzstd liblzma libxxhash libcap libseccomp libunwind libunwind-ptrace
WARN	:= -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wundef -Wvla \
	-Wformat=2 -Wwrite-strings -Wimplicit-fallthrough
CPPFLAGS += -I. -I$(B)/gen -D_GNU_SOURCE -DBIANQUE_VERSION='"$(VERSION)"'
CFLAGS	?= -O2 -g
ALL_CFLAGS = -std=gnu17 $(WARN) $(CFLAGS) $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer \
	-fno-sanitize-recover=all)
LDLIBS	= $(shell pkg-config --libs $(LIBS)) -liberty -lpthread -lm -ldl
ifeq ($(VERBOSE),)
Q	:= @
say	= @printf '  %-8s %s\n' $(1) $(2)
endif

# ---- sources ------------------------------------------------------------------------------------
SRC	:= $(wildcard profiler/*.c profiler/*/*.c symbolize/*.c runtimes/*.c metrics/*.c events/*.c)
LIB_OBJ	:= $(patsubst %.c,$(B)/obj/%.o,$(filter-out profiler/main.c,$(SRC)))
MAIN_OBJ := $(B)/obj/profiler/main.o
BPF_SRC	:= $(wildcard bpf/*.bpf.c)
SKEL	:= $(patsubst bpf/%.bpf.c,$(B)/gen/bpf/%.skel.h,$(BPF_SRC))
PROTO	:= $(wildcard profiler/*/*.proto)
PB_C	:= $(patsubst %.proto,$(B)/gen/%.pb-c.c,$(PROTO))
PB_OBJ	:= $(patsubst $(B)/gen/%.c,$(B)/obj/gen/%.o,$(PB_C))
GEN	:= $(SKEL) $(PB_C)
UNIT_SRC := $(wildcard tests/unit/*.c tests/unit/*/*.c tests/unit/*/*/*.c)
UNIT_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(UNIT_SRC))

# ---- targets ------------------------------------------------------------------------------------
.PHONY: all bianque deps deps-build run test test-unit lint asan clean install help
.DELETE_ON_ERROR:
.SECONDARY:

all: $(if $(AS_OWNER),as-owner,bianque)

.PHONY: as-owner
as-owner:
	$(Q)$(AS_OWNER) $(MAKE) B=$(B) bianque

bianque: $(B)/bianque

$(B)/bianque: $(MAIN_OBJ) $(LIB_OBJ) $(PB_OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(B)/obj/%.o: %.c | $(GEN)
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/obj/gen/%.o: $(B)/gen/%.c
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) -std=gnu17 $(CFLAGS) -MMD -MP -c -o $@ $<

$(B)/gen/%.pb-c.c: %.proto
	$(call say,PROTO,$<)
	$(Q)mkdir -p $(B)/gen
	$(Q)protoc-c --c_out=$(B)/gen $<

BPF_ARCH := $(shell uname -m | sed 's/x86_64/x86/; s/aarch64/arm64/')
BPF_INC	:= -I/usr/include/$(shell $(CC) -print-multiarch)
$(B)/bpf/%.bpf.o: bpf/%.bpf.c
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) -target bpf -mcpu=v3 -D__TARGET_ARCH_$(BPF_ARCH) -I. $(BPF_INC) -O2 -g -Wall \
		-Wextra -Werror -MMD -MP -c -o $@ $<

$(B)/gen/bpf/%.skel.h: $(B)/bpf/%.bpf.o
	$(Q)mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen skeleton $< name $(subst -,_,$*)_bpf > $@

$(B)/unit: $(UNIT_OBJ) $(LIB_OBJ) $(PB_OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcunit

test-unit: $(B)/unit
	$(B)/unit

# ---- oracles: programs that hold our output against somebody else's ------------------------------
ORACLES	:= $(patsubst tests/oracle/%.c,$(B)/oracle/%,$(wildcard tests/oracle/*.c))
$(B)/oracle/%: $(B)/obj/tests/oracle/%.o $(LIB_OBJ) $(PB_OBJ)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: test-unwind-rows
test-unwind-rows: $(B)/oracle/readelf_rows
	$< -e tests/oracle/readelf_rows.expected

.PHONY: test-symbolize
test-symbolize: $(B)/bianque
	tests/oracle/symbolize.py $(SYMBOLIZE_ARGS) $(B)/bianque

# ---- benchmarks: print figures, assert nothing ---------------------------------------------------
$(B)/bench/%: $(B)/obj/tests/bench/%.o $(LIB_OBJ) $(PB_OBJ)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# ---- fuzzing: one libFuzzer program per parser of foreign bytes ----------------------------------
# make fuzz runs each for FUZZ_SECONDS; the corpus grows in $(B)/fuzz/corpus.
FUZZ_SECONDS ?= 60
FUZZERS	:= $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/*_fuzz.c))
FUZZ_FLAGS := -std=gnu17 -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
FUZZ_CFLAGS := $(subst =fuzzer,=fuzzer-no-link,$(FUZZ_FLAGS))
FUZZ_LIB := $(patsubst %.c,$(B)/fuzz/obj/%.o,$(filter-out profiler/main.c,$(SRC)))
FUZZ_PB	:= $(patsubst $(B)/gen/%.c,$(B)/fuzz/obj/gen/%.o,$(PB_C))
$(B)/fuzz/obj/%.o: %.c | $(GEN)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(CPPFLAGS) $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<
$(B)/fuzz/obj/gen/%.o: $(B)/gen/%.c
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(CPPFLAGS) $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<
$(B)/fuzz/%: $(B)/fuzz/obj/tests/fuzz/%.o $(FUZZ_LIB) $(FUZZ_PB)
	$(call say,LINK,$@)
	$(Q)$(CLANG) $(FUZZ_FLAGS) -o $@ $^ $(LDLIBS)

.PHONY: fuzz fuzzers
fuzzers: $(FUZZERS)
fuzz: $(FUZZERS)
	$(Q)for f in $(FUZZERS); do n=$$(basename $$f); mkdir -p $(B)/fuzz/corpus/$$n; \
		echo "== $$n"; $$f -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2048 -timeout=10 \
		-max_len=65536 -print_final_stats=0 -verbosity=0 \
		-artifact_prefix=$(B)/fuzz/$$n- $(B)/fuzz/corpus/$$n || exit 1; done

asan:
	$(Q)$(MAKE) B=$(B)/asan SAN=address,undefined test-unit

clean:
	rm -rf $(B)

-include $(shell find $(B) -name '*.d' 2>/dev/null)
