# Bianque. `sudo make run` and `sudo make test` are the two commands; both install what they need.
# One non-recursive file: sources by wildcard, dependencies by the compiler, everything in $(B)/.

B	?= build
ifneq ($(filter default undefined,$(origin CC)),) # `?=` leaves make's own default, cc
CC	:= gcc
endif
CLANG	?= clang
BPFTOOL	?= $(firstword $(wildcard /usr/sbin/bpftool /usr/local/sbin/bpftool) bpftool)
PREFIX	?= /usr
UNITDIR	?= /usr/lib/systemd/system
DESTDIR	?=
SAN	?=
MAKEFLAGS += --no-builtin-rules

VERSION	:= 0.1.0

# ---- packages (Debian 12) -----------------------------------------------------------------------
# On a bare host: 540 MB to build (compilers, mostly), 10 MB to run what was built, 3.2 GB to test.
have	= $(shell command -v $(1) 2>/dev/null)
DEPS_BUILD := gcc make pkg-config clang bpftool libbpf-dev libelf-dev libdw-dev zlib1g-dev \
	libunwind-dev libcurl4-openssl-dev libprotobuf-c-dev protobuf-c-compiler libmicrohttpd-dev \
	libsqlite3-dev libjansson-dev libyaml-dev libiberty-dev libzstd-dev libisal-dev liblzma-dev \
	libxxhash-dev libcap-dev libpcre2-dev
# Compilers and runtimes of other languages only where none is there already.
DEPS_TEST := llvm libcunit1-dev libclang-rt-14-dev clang-format clang-tidy cppcheck python3 curl binutils \
	elfutils gdb linux-perf g++ musl-tools lld dwz xz-utils libc6-dbg python3.11 python3.11-dbg \
	openjdk-17-jre-headless openjdk-17-dbg chromium universal-ctags gcc-aarch64-linux-gnu \
	libc6-dev-arm64-cross redis-tools wrk libpq5 libldap-2.5-0 libxslt1.1 libpam0g libicu72 tzdata \
	$(if $(call have,go),,golang-go) $(if $(call have,rustc),,rustc) \
	$(if $(call have,node),,nodejs) $(if $(call have,npm),,npm)
# Servers that tests record: unpacked, for an installed one would be started on this host.
UNPACK_TEST := nginx postgresql-15
# Guests with Debian's kernels (tests/vm): the emulator, and what makes their initial ramdisk.
DEPS_VM	:= qemu-system-x86 busybox-static cpio kmod xz-utils zstd

# The peers beside which figures are taken, and a large file with DWARF.
DEPS_BENCH := linux-perf bpftrace llvm python3 g++ binutils openjdk-17-dbg $(if $(call have,go),,golang-go) \
	$(if $(call have,rustc),,rustc)

# ---- the user whose tree this is ----------------------------------------------------------------
# Under sudo the build runs as the owner of the tree, so nothing in it ends up root's.
OWNER	:= $(shell stat -c %u .)
GROUP	:= $(shell stat -c %g .)
ifeq ($(shell id -u),0)
ifneq ($(OWNER),0)
AS_OWNER := setpriv --reuid=$(OWNER) --regid=$(GROUP) --init-groups --inh-caps=-all \
	env HOME=$(abspath $(B))
GIVE_BACK := chown -Rh $(OWNER):$(GROUP) $(B)
endif
endif

# ---- flags --------------------------------------------------------------------------------------
LIBS	:= libbpf libelf libdw zlib libcurl libprotobuf-c libmicrohttpd sqlite3 jansson yaml-0.1 \
	libzstd libisal liblzma libxxhash libcap libpcre2-8 libunwind libunwind-ptrace
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
# The page: its files, and the modules of the one-file page joined in the order of their imports.
WEB	:= $(sort $(wildcard profiler/web/*.js profiler/web/*.css profiler/web/*.html))
WEB_BUNDLE := $(patsubst %,profiler/web/%.js,theme format nodes layout dom draw tip menu flame table \
	sandwich view snapshot)
WEB_SERVED := $(patsubst profiler/web/%,$(B)/gen/web/%,$(filter-out %/snapshot.js,$(WEB)))
WEB_C	:= $(B)/gen/web_files.c
PB_OBJ	:= $(patsubst $(B)/gen/%.c,$(B)/obj/gen/%.o,$(PB_C) $(WEB_C))
GEN	:= $(SKEL) $(PB_C)
UNIT_SRC := $(wildcard tests/unit/*.c tests/unit/*/*.c tests/unit/*/*/*.c tests/support/*.c)
SUPPORT_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/support/*.c))
UNIT_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(UNIT_SRC))

# ---- the commands people type -------------------------------------------------------------------
.PHONY: all bianque help deps deps-test deps-vm deps-bench run test lint asan tsan fuzz bench vmtest install uninstall clean
.DELETE_ON_ERROR:
.SECONDARY:

all: $(if $(AS_OWNER),as-owner,bianque)

.PHONY: as-owner
as-owner:
	$(Q)$(AS_OWNER) $(MAKE) B=$(B) bianque

help:
	@printf '%s\n' \
		'sudo make run      install what the build needs, build, start the agent' \
		'sudo make test     install what the tests need, build, run every suite' \
		'make               build $(B)/bianque' \
		'sudo make deps     install what building needs; deps-test, deps-bench, deps-vm: the others' \
		'make install       into $(DESTDIR)$(PREFIX), with a systemd unit (as root); make uninstall' \
		'make test-SUITE    one of: $(SUITES)' \
		'make lint          style, layers, limits, static analysis' \
		'make bench         figures beside perf and bpftrace (as root)' \
		'make fuzz          each parser for FUZZ_SECONDS=$(FUZZ_SECONDS)' \
		'make vmtest        kernels $(VM_KERNELS) in an emulator' \
		'make asan, tsan    unit tests under the sanitizers'

# Install those that are missing; nothing is asked of the network when none is.
install_packages = missing=; for p in $(1); do \
	dpkg-query -W -f '$${Status}' "$$p" 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; \
	done; [ -z "$$missing" ] || { [ $$(id -u) = 0 ] || { echo "missing packages:$$missing" >&2; \
	echo "run: sudo make $@" >&2; exit 1; }; export DEBIAN_FRONTEND=noninteractive; \
	apt-get update -q && apt-get install -y -q --no-install-recommends $$missing; }
deps:
	$(Q)$(call install_packages,$(DEPS_BUILD))
deps-test:
	$(Q)$(call install_packages,$(DEPS_BUILD) $(DEPS_TEST))
	$(Q)tests/support/unpack.sh $(B)/servers $(UNPACK_TEST); status=$$?; $(or $(GIVE_BACK),:); exit $$status
deps-bench: deps
	$(Q)$(call install_packages,$(DEPS_BENCH))
deps-vm:
	$(Q)$(call install_packages,$(DEPS_VM))

run: deps
	$(Q)[ $$(id -u) = 0 ] || { echo "the agent needs root: sudo make run" >&2; exit 1; }
	$(Q)$(AS_OWNER) $(MAKE) B=$(B) bianque
	$(B)/bianque agent $(AGENT_ARGS)

# Suites, in this order. Those of ROOT_SUITES load BPF programs or read other users' processes.
SUITES	:= unit bpf asan clang cross lint export mock truth-tools in-folder web unwind-rows code-rows \
	symbolize stacks push e2e servers
ROOT_SUITES := bpf unwind-rows stacks push e2e servers
# Those that are no C programs run in a folder of their own, as runner.c gives each suite of those.
IN_FOLDER := python3 -B tests/in_folder.py
# Everything is built as the tree's owner first; then suites find nothing left to build.
test: deps-test
	$(Q)[ $$(id -u) = 0 ] || { echo "some tests need root: sudo make test" >&2; exit 1; }
	$(Q)$(AS_OWNER) $(MAKE) B=$(B) test-programs
	$(Q)AS_OWNER="$(AS_OWNER)" ROOT_SUITES="$(ROOT_SUITES)" tests/run.sh $(B) $(SUITES); \
		status=$$?; $(or $(GIVE_BACK),:); exit $$status

install: $(if $(wildcard $(B)/bianque),,deps)
	$(Q)[ -e $(B)/bianque ] || $(AS_OWNER) $(MAKE) B=$(B) bianque
	install -D -m 755 $(B)/bianque $(DESTDIR)$(PREFIX)/bin/bianque
	install -D -m 644 deploy/bianque.service $(DESTDIR)$(UNITDIR)/bianque.service
uninstall: # leaves the configuration in /etc/bianque and what systemd made: state, cache
	rm -f $(DESTDIR)$(PREFIX)/bin/bianque $(DESTDIR)$(UNITDIR)/bianque.service

# ---- the program --------------------------------------------------------------------------------
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

$(B)/gen/snapshot.bundle.js: $(WEB_BUNDLE) Makefile
	$(Q)mkdir -p $(@D)
	$(Q)(echo '// SPDX-License-Identifier: Apache-2.0'; sed -e '/^import /d; /^[[:space:]]*\/\//d; /^$$/d' \
		-e 's/^export //' $(WEB_BUNDLE)) > $@

$(B)/gen/web/%: profiler/web/% profiler/web/strip.sh
	$(Q)mkdir -p $(@D)
	$(Q)profiler/web/strip.sh $< > $@

$(WEB_C): profiler/web/embed.sh $(WEB_SERVED) $(B)/gen/snapshot.bundle.js
	$(call say,WEB,$@)
	$(Q)profiler/web/embed.sh $(WEB_SERVED) $(B)/gen/snapshot.bundle.js > $@

BPF_ARCH := $(shell uname -m | sed 's/x86_64/x86/; s/aarch64/arm64/')
BPF_INC	= -I/usr/include/$(shell $(CC) -print-multiarch)
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

.PHONY: test-unit
test-unit: $(B)/unit
	$(Q)$(B)/unit

# ---- the kernel side: its unwinder natively over images and real programs, its programs on this kernel --
BPF_TEST_OBJ := $(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/bpf/*.c)) $(B)/obj/tests/unit/runner.o
$(B)/bpf-test: $(BPF_TEST_OBJ) $(LIB_OBJ) $(PB_OBJ)
	$(call say,LINK,$@)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcunit

.PHONY: test-bpf
test-bpf: $(B)/bpf-test workloads
	$(Q)WORKLOADS=$(WORK) $(B)/bpf-test

# ---- oracles: programs that hold our output against somebody else's ------------------------------
ORACLES	:= $(patsubst tests/oracle/%.c,$(B)/oracle/%,$(wildcard tests/oracle/*.c))
$(B)/oracle/%: $(B)/obj/tests/oracle/%.o $(LIB_OBJ) $(PB_OBJ)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: test-unwind-rows
test-unwind-rows: $(B)/oracle/readelf_rows
	$(Q)$< -e tests/oracle/readelf_rows.expected

# Rows from code and from Go's stack deltas.
.PHONY: test-code-rows
test-code-rows: $(B)/bianque $(B)/oracle/gap_rows $(B)/oracle/objdump_insns workloads
	$(IN_FOLDER) python3 -B tests/oracle/code_rows.py $(B)

.PHONY: test-symbolize
test-symbolize: $(B)/bianque
	$(IN_FOLDER) python3 -B tests/oracle/symbolize.py --keep $(B)/oracle/symbolize $(SYMBOLIZE_ARGS) $(B)/bianque

# ---- tools and benchmarks: what feeds tests, and what measures the library -------------------------
TOOLS	:= $(patsubst tests/tools/%.c,$(B)/tools/%,$(wildcard tests/tools/*.c))
BENCHES	:= $(patsubst tests/bench/%.c,$(B)/bench/%,$(wildcard tests/bench/*_bench.c))
$(TOOLS) $(BENCHES): $(B)/%: $(B)/obj/tests/%.o $(SUPPORT_OBJ) $(LIB_OBJ) $(PB_OBJ)
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

.PHONY: tools benches test-export bench-export
tools: $(TOOLS)
benches: $(BENCHES)

# Every export format against go tool pprof, strict readers' rules, XML and JSON parsers.
test-export: $(B)/tools/export_profile
	$(IN_FOLDER) python3 -B tests/oracle/export_test.py $<

bench-export: $(B)/bench/export_bench
	$<

# The table of README.md: `sudo make bench BENCH_ARGS=--readme` puts it there. BENCH_ARGS="storm start"
# measures these groups only.
bench: deps-bench
	$(Q)$(AS_OWNER) $(MAKE) B=$(B) bianque benches workloads
	$(Q)$(IN_FOLDER) python3 -B tests/bench/run.py $(BENCH_ARGS); status=$$?; $(or $(GIVE_BACK),:); exit $$status

# The stand-in for Pyroscope refuses and reports what the real one does.
.PHONY: test-mock
test-mock:
	$(IN_FOLDER) python3 -B tests/mock/pyroscope_stub_test.py

# The agent against it, through outages, kills and reloads. As root.
.PHONY: test-push
test-push: $(B)/bianque
	$(IN_FOLDER) python3 -B tests/e2e/push.py $<

# ---- the page: its modules in node, then in Debian's Chromium ------------------------------------
# playwright-core drives the browser and speedscope's importer reads our export; both only for tests.
NODE_TOOLS := $(B)/web/node_modules/.installed
$(NODE_TOOLS):
	$(Q)mkdir -p $(B)/web
	$(Q)npm install --silent --no-audit --no-fund --prefix $(B)/web playwright-core@1.65 speedscope@1.25 \
		&& touch $@ || echo "test-web: npm cannot install playwright-core and speedscope"

.PHONY: test-web
test-web: $(B)/tools/export_profile $(NODE_TOOLS)
	B=$(abspath $(B)) $(IN_FOLDER) tests/web/run.sh

# ---- fuzzing: one libFuzzer program per parser of foreign bytes ----------------------------------
# make fuzz runs each for FUZZ_SECONDS; the corpus grows in $(B)/fuzz/corpus.
FUZZ_SECONDS ?= 60
FUZZERS	:= $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/*_fuzz.c))
FUZZ_FLAGS := -std=gnu17 -O1 -g -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
FUZZ_CFLAGS := $(subst =fuzzer,=fuzzer-no-link,$(FUZZ_FLAGS))
FUZZ_LIB := $(patsubst %.c,$(B)/fuzz/obj/%.o,$(filter-out profiler/main.c,$(SRC)))
FUZZ_SUPPORT := $(patsubst %.c,$(B)/fuzz/obj/%.o,$(wildcard tests/support/*.c))
FUZZ_PB	:= $(patsubst $(B)/gen/%.c,$(B)/fuzz/obj/gen/%.o,$(PB_C) $(WEB_C))
$(B)/fuzz/obj/%.o: %.c | $(GEN)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(CPPFLAGS) $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<
$(B)/fuzz/obj/gen/%.o: $(B)/gen/%.c
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(CPPFLAGS) $(FUZZ_CFLAGS) -MMD -MP -c -o $@ $<
$(B)/fuzz/%: $(B)/fuzz/obj/tests/fuzz/%.o $(FUZZ_SUPPORT) $(FUZZ_LIB) $(FUZZ_PB)
	$(call say,LINK,$@)
	$(Q)$(CLANG) $(FUZZ_FLAGS) -o $@ $^ $(LDLIBS)

.PHONY: fuzzers
fuzzers: $(FUZZERS)
fuzz: $(FUZZERS)
	$(Q)for f in $(FUZZERS); do n=$$(basename $$f); mkdir -p $(B)/fuzz/corpus/$$n; \
		echo "== $$n"; $$f -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2048 -timeout=10 \
		-max_len=65536 -print_final_stats=0 -verbosity=0 \
		-artifact_prefix=$(B)/fuzz/$$n- $(B)/fuzz/corpus/$$n || exit 1; done

# ---- truth programs: known stacks and known shares (tests/workloads/truth.h) ---------------------
# Name and, when it is not NAME.c, its source; WORK_NAME: its flags. A language whose compiler is
# missing is left out with a line that says so. tests/e2e/truth.py runs them under a profiler.
WORK	:= $(B)/workloads
WORK_C	:= shares stacks deep signals threads procs placed maps libs storm \
	$(addsuffix :shares,shares-nopie shares-static shares-musl shares-stripped shares-fp \
	shares-debugfr shares-clang) execs-a:execs execs-b:execs storm-a:storm_job \
	storm-b:storm_job storm-c:storm_job
WORK_FLAGS := -O2 -fomit-frame-pointer -fno-optimize-sibling-calls
WORK_shares-nopie := -no-pie -fno-pie
WORK_shares-static := -static
WORK_shares-musl := -static -DTRUTH_ROOT='"*;main;truth_main"'
WORK_shares-stripped := -s -DTRUTH_STRIPPED -DTRUTH_ROOT='"?;?;?;?;?"'
WORK_shares-fp := -fno-omit-frame-pointer -fno-asynchronous-unwind-tables
WORK_shares-debugfr := -g -fno-asynchronous-unwind-tables
WORK_execs-b := -DEXECS_B
WORK_storm-a := -DJOB=a -DJOB_UNITS=20
WORK_storm-b := -DJOB=b -DJOB_UNITS=40
WORK_storm-c := -DJOB=c -DJOB_UNITS=70
WORK_libs := -L$(WORK) -ltiny -Wl,-z,lazy -Wl,-rpath,'$$ORIGIN'
WORK_CC_shares-musl := musl-gcc
WORK_CC_shares-clang := $(CLANG)
WORK_LIBS := libtiny libmapped libswap-one:libswap libswap-two:libswap
WORK_libmapped := -nostdlib -Wl,-e,mapped_outer
WORK_libswap-two := -DSWAP_TWO
work_src = tests/workloads/$(lastword $(subst :, ,$(1))).$(2)
work_out = $(WORK)/$(firstword $(subst :, ,$(1)))
WORK_HEAD := tests/workloads/truth.h tests/workloads/libs.h Makefile

# $(1) its row, $(2) its compiler, $(3) further sources and flags, $(4) the end of its name
define work_rule
$(call work_out,$(1))$(4): $(call work_src,$(1),c) tests/workloads/truth.c $(WORK_HEAD)
	$$(call say,WORK,$$@)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$(2) -I. -D_GNU_SOURCE -std=gnu17 $$(WARN) $$(WORK_FLAGS) -o $$@ $$< $(3) \
		$$(WORK_$(firstword $(subst :, ,$(1))))
endef
work_cc	= $(or $(WORK_CC_$(firstword $(subst :, ,$(1)))),$(CC))
WORK_C	:= $(foreach w,$(WORK_C),$(if $(call have,$(call work_cc,$(w))),$(w),\
	$(eval WORK_OFF += $(firstword $(subst :, ,$(w))):$(call work_cc,$(w)))))
$(foreach w,$(WORK_C),$(eval $(call work_rule,$(w),$(call work_cc,$(w)),tests/workloads/truth.c)))
$(foreach w,$(WORK_LIBS),$(eval $(call work_rule,$(w),$(CC),-fPIC -shared,.so)))
WORK_LIB_OUT := $(foreach w,$(WORK_LIBS),$(call work_out,$(w)).so)
$(WORK)/libs: $(WORK)/libtiny.so

$(WORK)/cxx: tests/workloads/cxx.cc tests/workloads/truth.c $(WORK_HEAD)
	$(call say,WORK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -I. -D_GNU_SOURCE -std=gnu17 $(WORK_FLAGS) -c -o $@.truth.o tests/workloads/truth.c
	$(Q)$(CXX) -I. -std=gnu++17 -Wall -Wextra -Werror -Wno-missing-field-initializers \
		$(WORK_FLAGS) -o $@ $< $@.truth.o
$(WORK)/rust: tests/workloads/rust.rs Makefile
	$(call say,WORK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)env -u MAKEFLAGS -u MFLAGS rustc --edition 2021 -O -C force-frame-pointers=no -C symbol-mangling-version=v0 -o $@ $<
GO_BUILD = env GO111MODULE=off GOTOOLCHAIN=local GOCACHE=$(abspath $(B)/go) \
	CGO_CFLAGS="$(WORK_FLAGS) -I$(CURDIR)" go build -trimpath
$(WORK)/golang $(WORK)/golang-stripped: tests/workloads/golang.go Makefile
	$(call say,WORK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)CGO_ENABLED=0 $(GO_BUILD) $(if $(filter %-stripped,$@),-ldflags "-s -w") -o $@ $<
$(WORK)/golang-cgo: tests/workloads/golang_cgo.go tests/workloads/truth.h Makefile
	$(call say,WORK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)CGO_ENABLED=1 $(GO_BUILD) -o $@ $<

# $(1) compiler, $(2) programs it makes
work_if	= $(if $(call have,$(1)),$(addprefix $(WORK)/,$(2)),$(eval WORK_OFF += $(2:%=%:$(1))))
CXX	?= g++
WORK_OUT := $(foreach w,$(WORK_C),$(call work_out,$(w))) $(WORK_LIB_OUT) \
	$(call work_if,$(CXX),cxx) $(call work_if,rustc,rust) \
	$(call work_if,go,golang golang-stripped golang-cgo)
.PHONY: workloads
workloads: $(if $(AS_OWNER),workloads-as-owner,$(WORK_OUT))
	$(Q)for w in $(WORK_OFF); do echo "workload $${w%%:*}: off: no $${w#*:}"; done
.PHONY: workloads-as-owner
workloads-as-owner:
	$(Q)$(AS_OWNER) $(MAKE) B=$(B) workloads

# Programs of tests/e2e's own.
$(B)/e2e/%: tests/e2e/%.c
	$(call say,WORK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -D_GNU_SOURCE -std=gnu17 $(WARN) $(WORK_FLAGS) -g -o $@ $<

# bianque stacks against eu-stack and gdb. STACKS_ARGS chooses cases.
.PHONY: test-stacks
test-stacks: $(B)/bianque $(B)/e2e/waits workloads
	$(IN_FOLDER) python3 -B tests/e2e/stacks.py $(STACKS_ARGS)

.PHONY: test-truth-tools
test-truth-tools:
	$(IN_FOLDER) python3 -B tests/e2e/check_folded_test.py

.PHONY: test-in-folder
test-in-folder:
	python3 -B tests/in_folder_test.py

# The program from outside, as root: tests/e2e/run.py says what.
.PHONY: test-e2e test-servers
test-e2e: $(B)/bianque workloads
	$(Q)$(IN_FOLDER) python3 -B tests/e2e/run.py
test-servers: $(B)/bianque
	$(Q)$(IN_FOLDER) python3 -B tests/e2e/run.py servers

# ---- other kernels: every case of tests/vm/cases in Debian's 5.10, 6.1 and 6.12 --------------------
# VM_CASES="a b" runs these only; VM_KERNELS chooses kernels.
VM_KERNELS ?= 5.10 6.1 6.12
vmtest:
	$(Q)$(AS_OWNER) $(MAKE) B=$(B) bianque $(B)/unit workloads
	$(Q)$(AS_OWNER) tests/vm/run.sh -k "$(VM_KERNELS)" $(VM_CASES)

.PHONY: test-asan
asan test-asan:
	$(Q)$(MAKE) B=$(B)/asan SAN=address,undefined test-unit

# Suites in which threads meet. What TSan cannot see: the kernel's side of rings, segments and the
# `known` map, and what libbpf, libmicrohttpd and libcurl, which are not built with it, do to memory.
TSAN_SUITES ?= engine identity http loop part push push_config push_run recorder ring router sampler \
	selector store store_read
tsan:
	$(Q)$(MAKE) B=$(B)/tsan SAN=thread $(B)/tsan/unit
	$(B)/tsan/unit $(TSAN_SUITES)

.PHONY: test-programs
test-programs: bianque $(B)/unit $(B)/bpf-test $(ORACLES) $(TOOLS) workloads
	$(Q)$(MAKE) B=$(B)/asan SAN=address,undefined $(B)/asan/unit

# The other compiler, and the other architecture.
.PHONY: test-clang test-cross
test-clang:
	$(Q)$(MAKE) B=$(B)/clang CC=$(CLANG) bianque
	$(Q)$(B)/clang/bianque version >/dev/null && echo '1 passed, 0 failed, 0 skipped'
test-cross: $(GEN)
	$(Q)tests/lint/cross.sh $(B) $(CLANG)

# ---- lint: each rule of tests/lint/rules over the tree; DEEP=1 lets clang's analyzer take its time ---
.PHONY: test-lint format
lint: $(GEN)
	$(Q)B=$(B) $(IN_FOLDER) tests/lint/run.sh $(LINT_RULES)
# The rules hold for the tree, and each rule breaks when it should.
test-lint: $(GEN)
	$(Q)B=$(B) $(IN_FOLDER) sh -c "tests/lint/run.sh && tests/lint/selftest.py"
format:
	$(Q)git ls-files -co --exclude-standard '*.c' '*.h' | xargs clang-format -i

clean:
	rm -rf $(B)

-include $(shell find $(B) -name '*.d' 2>/dev/null)
