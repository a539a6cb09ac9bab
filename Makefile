# SPDX-License-Identifier: Apache-2.0
#
# mien. `make` builds, `make test` tests, `make demo` shows; the last two do all set-up first. `make help` lists the rest.

VERSION    = 0.1.0
BUILD     ?= build
PREFIX    ?= /usr/local
DESTDIR   ?=
CC        := $(if $(filter default,$(origin CC)),gcc,$(CC))
CFLAGS    ?= -O2 -g
SECONDS   ?= 30
# Where set-up puts oneDNN 3 (include/, lib/), the two face models and CLIP's vocabulary. Packagers point these elsewhere and need no set-up;
# ONEDNN=system takes the oneDNN of the compiler's own paths (it must be >= 3.2, CPU, GNU OpenMP).
ONEDNN    ?= third_party/onednn
MODELS_DIR ?= third_party/models
# CLIP's byte-pair vocabulary, bpe_simple_vocab_16e6.txt.
CLIP_DIR  ?= third_party/clip

## all: build/mien and the library (also plain `make`)
all:

# ---- flags ------------------------------------------------------------------------------------------------------------

PACKAGES  = libjpeg spng libwebp libwebpdemux jansson yajl libdeflate nettle
# Opened when first needed (base/http.c, base/archive.c), since they bring dozens of libraries: only their headers are used.
OPENED    = libcurl libarchive
CPPFLAGS_ = -Isrc -Iinclude -DMIEN_VERSION='"$(VERSION)"' $(shell pkg-config --cflags $(PACKAGES) $(OPENED) 2>/dev/null) $(CPPFLAGS)
# -ffp-contract=off comes last: gcc contracts a*b+c (intrinsics too) into FMA otherwise, and bits would depend on the compiler.
CFLAGS_   = -std=gnu11 -Wall -Wextra -fvisibility=hidden -fPIC -pthread $(CFLAGS) -ffp-contract=off
# No -fopenmp anywhere: base/parallel.c calls libgomp, the runtime oneDNN uses, so clang adds no second one.
LDLIBS_   = $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lgomp -lm -ldl -pthread $(LDLIBS)
LDFLAGS_  = -Wl,--as-needed $(LDFLAGS)

# oneDNN is opened when first needed (nn/cpu/onednn.c), not linked, and so is the plugin for MPI. The installed programs look for them beside
# themselves (all paths relative, so the prefix can be moved); those in build/ (and build/tests/) look where they were built.
ifneq ($(ONEDNN),system)
  CPPFLAGS_ += -I$(ONEDNN)/include
  ONEDNN_FROM_BUILD := $(shell realpath -ms --relative-to='$(BUILD)' '$(ONEDNN)')/lib
  RPATH_ONEDNN = :$$ORIGIN/$(ONEDNN_FROM_BUILD):$$ORIGIN/../$(ONEDNN_FROM_BUILD)
endif
RPATH      = -Wl,-rpath,'$$ORIGIN:$$ORIGIN/..$(RPATH_ONEDNN)'
RPATH_BIN  = -Wl,-rpath,'$$ORIGIN/../lib/mien'
RPATH_LIB  = -Wl,-rpath,'$$ORIGIN/mien'

# Training by many processes needs MPI: Open MPI, or what another mpicc has. Without it, or with MPI=no, everything else is as it is.
ifndef MPI
  MPI := $(if $(shell command -v mpicc 2>/dev/null),mpicc,$(if $(shell pkg-config --exists ompi-c 2>/dev/null && echo yes),pkg-config,no))
endif
MPI_SOURCE = src/train/ranks_mpi.c
MPI_PLUGIN = $(if $(filter no,$(MPI)),,$(BUILD)/mien_mpi.so)
MPICC      = $(if $(filter pkg-config,$(MPI)),$(CC) $(shell pkg-config --cflags ompi-c),OMPI_CC='$(CC)' MPICH_CC='$(CC)' $(MPI))
MPI_LIBS   = $(if $(filter pkg-config,$(MPI)),$(shell pkg-config --libs ompi-c))

# A file's instruction set is told by its suffix; everything else is plain x86-64.
AVX2   = -mavx2 -mfma -mf16c
AVX512 = $(AVX2) -mavx512f -mavx512bw -mavx512dq -mavx512vl
%_avx2.o:       ISA = $(AVX2) $(KERNEL_CFLAGS)
%_avx512.o:     ISA = $(AVX512) $(KERNEL_CFLAGS)
%_avx512bf16.o: ISA = $(AVX512) -mavx512bf16 $(KERNEL_CFLAGS)
# Their inner loops are unrolled into registers, which gcc does at -O3 only.
$(BUILD)/obj/src/nn/cpu/ordered_avx%.o $(BUILD)/obj/src/nn/cpu/ordered_%_avx512.o $(BUILD)/obj/src/nn/cpu/attention_avx%.o $(BUILD)/obj/src/nn/cpu/linear_avx512bf16.o: OPTIMIZE = -O3 -falign-functions=64
$(BUILD)/obj/src/nn/cpu/loops_avx%.o $(BUILD)/obj/src/nn/cpu/blocked_avx512.o $(BUILD)/obj/src/nn/cpu/blocked_across_avx512.o $(BUILD)/obj/src/nn/cpu/linear_transpose_avx512.o $(BUILD)/obj/src/nn/cpu/linear_gather_avx512.o $(BUILD)/obj/src/nn/cpu/turned_avx512.o: OPTIMIZE = -O3
# Widening the models' f16 weights is a tenth of a short run unless it is vectorised.
$(BUILD)/obj/src/nn/tensor.o: OPTIMIZE = -O3
# The filters of PNG rows take half the time of writing a photo: 4.6 ms of 256x256 become 3.4.
$(BUILD)/obj/src/image/png_write.o: OPTIMIZE = -O3

# ---- what there is to build: every .c file, by its folder ----------------------------------------------------------------

SOURCES      := $(filter-out src/cli/% $(MPI_SOURCE),$(sort $(wildcard src/*/*.c src/*/*/*.c)))
CLI          := $(sort $(wildcard src/cli/*.c))
TESTS        := $(sort $(wildcard tests/unit/test_*.c tests/unit/check_*.c))
TEST_HELPERS := $(filter-out $(TESTS),$(sort $(wildcard tests/unit/*.c)))
SHELL_TESTS  := $(sort $(wildcard tests/cli/*.sh))
TREE_TESTS   := $(sort $(wildcard tests/tree/*.sh))
FUZZERS      := $(sort $(wildcard tests/fuzz/fuzz_*.c))
BENCHES      := $(sort $(wildcard bench/*.c))

objects       = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
TEST_BIN     := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(TESTS))
TOOLS        := $(sort $(wildcard tests/tools/*.c))
TOOL_BIN     := $(patsubst tests/tools/%.c,$(BUILD)/tests/%,$(TOOLS))
REPLAY_BIN   := $(patsubst tests/fuzz/fuzz_%.c,$(BUILD)/tests/replay_%,$(FUZZERS))
INSTALL_BIN  := $(BUILD)/install/mien $(BUILD)/install/libmien.so.$(VERSION)
FUZZ_BIN     := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(FUZZERS))
BENCH_BIN    := $(patsubst bench/%.c,$(BUILD)/bench/%,$(BENCHES))

# Stamps, rewritten when their text changes: other flags recompile everything, and a source that is gone leaves
# the library.
ifneq ($(filter-out help clean deps setup uninstall,$(or $(MAKECMDGOALS),all)),)
stamp = $(if $(filter-out x$(subst $() ,_,$(file <$(BUILD)/$(1))),x$(subst $() ,_,$(strip $(2)))),$(shell mkdir -p $(BUILD))$(file >$(BUILD)/$(1),$(strip $(2))))
$(call stamp,flags,$(CC) $(CPPFLAGS_) $(CFLAGS_) $(LDFLAGS_) $(LDLIBS_) $(AVX512) $(KERNEL_CFLAGS))
$(call stamp,mpi,$(MPICC) $(MPI_LIBS))
$(call stamp,sources,$(SOURCES) $(CLI) $(TEST_HELPERS))
endif

LINK = $(CC) $(CFLAGS_) $(LDFLAGS_)
# Each step is one short line; `make V=1` shows the commands.
ifndef V
  SHORT = @echo '  $(1)  $@';
endif

all: $(BUILD)/mien $(BUILD)/libmien.so $(MPI_PLUGIN)

$(BUILD)/mien: $(call objects,$(CLI)) $(BUILD)/libmien.a
	$(call SHORT,LD)$(LINK) $(RPATH) -o $@ $(filter %.o %.a,$^) $(LDLIBS_)

$(BUILD)/libmien.a: $(call objects,$(SOURCES)) $(BUILD)/sources
	$(call SHORT,AR)rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)

$(BUILD)/libmien.so: $(call objects,$(SOURCES)) $(BUILD)/sources
	$(call SHORT,LD)$(LINK) $(RPATH) -shared -Wl,-soname,libmien.so.0 -o $@ $(filter %.o,$^) $(LDLIBS_)
	@ln -sf libmien.so $@.0

# Compiled and linked at once, by MPI's own compiler: no other file sees its headers.
$(BUILD)/mien_mpi.so: $(MPI_SOURCE) src/train/ranks_transport.h $(BUILD)/flags $(BUILD)/mpi | ready
	$(call SHORT,LD)$(MPICC) -Isrc $(CFLAGS_) $(LDFLAGS_) -shared -o $@ $< $(MPI_LIBS)

$(BUILD)/obj/%.o: %.c $(BUILD)/flags | ready
	@mkdir -p $(@D)
	$(call SHORT,CC)$(CC) $(CPPFLAGS_) $(CFLAGS_) $(OPTIMIZE) $(ISA) -MMD -MP -c -o $@ $<

-include $(patsubst %.o,%.d,$(call objects,$(SOURCES) $(CLI) $(TESTS) $(TEST_HELPERS) $(TOOLS) $(FUZZERS) $(BENCHES) tests/fuzz/replay.c))

# What compiling needs and a bare machine lacks: said in one line here, instead of by a hundred compiler errors.
ready: $(if $(filter system,$(ONEDNN)),,$(ONEDNN)/include/oneapi/dnnl/dnnl.h) $(MODELS_DIR)/face_landmark_with_attention.tflite $(CLIP_DIR)/bpe_simple_vocab_16e6.txt
ifeq ($(shell pkg-config --exists $(PACKAGES) $(OPENED) 2>/dev/null && echo yes),)
ready: missing-packages
missing-packages:
	@echo "make: the libraries to build with are not all here ($(PACKAGES) $(OPENED)): run \`make deps\` first" >&2; exit 1
endif
third_party/onednn/include/oneapi/dnnl/dnnl.h:
	@scripts/deps setup:onednn
	@scripts/setup onednn
third_party/models/face_landmark_with_attention.tflite:
	@scripts/deps setup:models
	@scripts/setup models
third_party/clip/bpe_simple_vocab_16e6.txt:
	@scripts/deps setup:clip
	@scripts/setup clip

# ---- set-up ---------------------------------------------------------------------------------------------------------------

## deps: install the system packages that are missing (apt; prints them first)
deps:
	@CC='$(CC)' scripts/deps build test setup clang

# The parts of third_party/ to set up: what is not replaced by ONEDNN=, MODELS_DIR= or CLIP_DIR=, and, unless all are, the demo's
# photo, so that one command sets up for all of them.
COMMA := ,
PARTS := $(if $(filter third_party/onednn,$(ONEDNN)),onednn) $(if $(filter third_party/models,$(MODELS_DIR)),models) \
         $(if $(filter third_party/clip,$(CLIP_DIR)),clip)
PARTS := $(strip $(PARTS) $(if $(strip $(PARTS)),demo))
SETUP := $(subst $() ,$(COMMA),$(PARTS))

## setup: fetch and check oneDNN, the face models, CLIP's vocabulary and the demo photo (third_party/)
setup:
	@scripts/deps setup:$(or $(SETUP),demo)
	@scripts/setup $(or $(PARTS),demo)

set-up-build: NEEDS = build
set-up-test:  NEEDS = build test
set-up-clang: NEEDS = build test clang
set-up-build set-up-test set-up-clang:
	@CC='$(CC)' scripts/deps $(NEEDS) $(if $(SETUP),setup:$(SETUP))
	@$(if $(PARTS),scripts/setup $(PARTS))

# What set-up brings is seen by a fresh make only. It uses all cores unless told otherwise.
AGAIN = +@$(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

## demo: set up, build, and annotate a real photo
demo: set-up-build
	@scripts/deps setup:demo
	@scripts/setup demo
	$(AGAIN) all
	MIEN_MODELS='$(abspath $(MODELS_DIR))' $(BUILD)/mien annotate third_party/demo/astronaut.png -o $(BUILD)/demo --json --overlay --force
	@echo "map:     $(BUILD)/demo/astronaut.png"
	@echo "overlay: $(BUILD)/demo/astronaut_overlay.png"
	@echo "JSON:    $(BUILD)/demo/astronaut.json"

# ---- tests ----------------------------------------------------------------------------------------------------------------

# Tests run in the repository root with these in their environment. For the sanitizers: malloc may fail, as tests of no
# memory ask; and gcc 13's fake stack frames are 32-byte aligned, which kills AVX-512 (its bug 110027), so there are none.
TEST_ENV = BUILD='$(BUILD)' MIEN='$(BUILD)/mien' MODELS_DIR='$(MODELS_DIR)' CLIP_DIR='$(CLIP_DIR)' MIEN_MODELS='$(abspath $(MODELS_DIR))' \
	ASAN_OPTIONS="allocator_may_return_null=1:detect_stack_use_after_return=0:$$ASAN_OPTIONS" ONEDNN='$(ONEDNN)' CC='$(CC)' MAKE='$(MAKE)'

## test: set up, build, run all tests
test: set-up-test
	$(AGAIN) check

## check: build and run all tests, without set-up
check: all tests $(INSTALL_BIN)
	@$(TEST_ENV) tests/run $(TEST_BIN) $(REPLAY_BIN) $(SHELL_TESTS) $(TREE_TESTS)

# The same without those about the tree itself, which no compiler flag changes.
check-programs: all tests
	@$(TEST_ENV) tests/run $(TEST_BIN) $(REPLAY_BIN) $(SHELL_TESTS)

tests: $(TEST_BIN) $(REPLAY_BIN) $(TOOL_BIN)

# What tests and benches make their inputs with.
$(TOOL_BIN): $(BUILD)/tests/%: $(BUILD)/obj/tests/tools/%.o $(BUILD)/libmien.a
	@mkdir -p $(@D)
	$(call SHORT,LD)$(LINK) $(RPATH) -o $@ $(filter %.o %.a,$^) $(LDLIBS_)

$(TEST_BIN): $(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(call objects,$(TEST_HELPERS)) $(BUILD)/libmien.a
	@mkdir -p $(@D)
	$(call SHORT,LD)$(LINK) $(RPATH) -o $@ $(filter %.o %.a,$^) $(LDLIBS_) -lcmocka

# A fuzz target without the fuzzer: runs it over its kept corpus, so that what was found once stays found.
$(REPLAY_BIN): $(BUILD)/tests/replay_%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(BUILD)/obj/tests/fuzz/replay.o $(BUILD)/libmien.a
	@mkdir -p $(@D)
	$(call SHORT,LD)$(LINK) $(RPATH) -o $@ $(filter %.o %.a,$^) $(LDLIBS_)

SANITIZE = -O1 -g -fno-omit-frame-pointer -fno-sanitize-recover=all

## asan: the tests under AddressSanitizer and UBSan
# The sanitizer's dlopen stands before the program's and does not see its run path.
asan: export LD_LIBRARY_PATH := $(if $(filter system,$(ONEDNN)),$(LD_LIBRARY_PATH),$(abspath $(ONEDNN))/lib)
asan: set-up-test
	$(AGAIN) check-programs BUILD=$(BUILD)/asan CFLAGS='$(SANITIZE) -fsanitize=address,undefined' \
		KERNEL_CFLAGS='-O1 -fno-sanitize=undefined'

## clang: everything built by clang without a warning, and the tests run
clang: set-up-clang
	$(AGAIN) benches check-programs BUILD=$(BUILD)/clang CC=clang CFLAGS='$(CFLAGS) -Werror'

# The kernels stay plain here: clang 14 takes longer than 10 minutes over one of them with its sanitizers on, and they
# see no bytes from outside. `make asan` has AddressSanitizer in them (UBSan as well would take gcc minutes).
## fuzz: run every fuzz target for SECONDS=30 from its kept corpus
fuzz: set-up-clang
	$(AGAIN) run-fuzz BUILD=$(BUILD)/fuzz CC=clang CFLAGS='$(SANITIZE) -fsanitize=fuzzer-no-link,address,undefined' \
		KERNEL_CFLAGS=-fno-sanitize=all

run-fuzz: $(FUZZ_BIN)
	@tests/fuzz/run $(SECONDS) $(BUILD) $(FUZZ_BIN)

$(FUZZ_BIN): $(BUILD)/fuzz/%: $(BUILD)/obj/tests/fuzz/%.o $(BUILD)/libmien.a
	@mkdir -p $(@D)
	$(call SHORT,LD)$(LINK) $(RPATH) -fsanitize=fuzzer -o $@ $(filter %.o %.a,$^) $(LDLIBS_)

## bench: measure (bench/README.md); beside MediaPipe, if `make peers` was run
bench: set-up-build
	$(AGAIN) all benches
	@$(TEST_ENV) bench/run

benches: $(BENCH_BIN) $(TOOL_BIN) $(BUILD)/tests/decode_dump

$(BENCH_BIN): $(BUILD)/bench/%: $(BUILD)/obj/bench/%.o $(BUILD)/libmien.a
	@mkdir -p $(@D)
	$(call SHORT,LD)$(LINK) $(RPATH) -o $@ $(filter %.o %.a,$^) $(LDLIBS_)

## peers: make Python environments with the references (MediaPipe, diffusers, TensorBoard), and check against them
peers: set-up-build
	@scripts/peers
	$(AGAIN) all benches
	@$(TEST_ENV) bench/run pictures exact output events replay

$(BUILD)/tests/decode_dump: $(BUILD)/obj/tests/reference/decode_dump.o $(BUILD)/libmien.a
	@mkdir -p $(@D)
	$(call SHORT,LD)$(LINK) $(RPATH) -o $@ $(filter %.o %.a,$^) $(LDLIBS_)

## soak: the long tests (tests/soak/*.sh)
soak: set-up-test
	$(AGAIN) all tests
	@$(TEST_ENV) TEST_SECONDS=36000 tests/run $(sort $(wildcard tests/soak/*.sh))

# ---- install --------------------------------------------------------------------------------------------------------------

# Linked once more, with the installed places of oneDNN.
$(BUILD)/install/mien: $(call objects,$(CLI)) $(BUILD)/libmien.a
	@mkdir -p $(@D)
	$(call SHORT,LD)$(LINK) $(RPATH_BIN) -o $@ $(filter %.o %.a,$^) $(LDLIBS_)
$(BUILD)/install/libmien.so.$(VERSION): $(call objects,$(SOURCES)) $(BUILD)/sources
	@mkdir -p $(@D)
	$(call SHORT,LD)$(LINK) $(RPATH_LIB) -shared -Wl,-soname,libmien.so.0 -o $@ $(filter %.o,$^) $(LDLIBS_)

## install: install under PREFIX=/usr/local (DESTDIR= for packagers)
install: all $(INSTALL_BIN)
	@scripts/install '$(DESTDIR)$(PREFIX)' '$(BUILD)/install' '$(VERSION)' '$(MODELS_DIR)' '$(ONEDNN)' '$(CLIP_DIR)' '$(MPI_PLUGIN)'

## uninstall: remove what install put there
uninstall:
	@scripts/install --remove '$(DESTDIR)$(PREFIX)'

# ---- the rest -------------------------------------------------------------------------------------------------------------

## clean: remove build/ (third_party/ stays)
clean:
	rm -rf '$(BUILD)'

## help: this list
help:
	@sed -n 's/^## \([a-z]*\): /  make \1\t/p' Makefile | expand -t 18

.PHONY: all ready missing-packages deps setup set-up-build set-up-test set-up-clang demo test check check-programs tests \
	asan clang fuzz run-fuzz bench benches peers soak install uninstall clean help
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:
