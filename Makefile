# SPDX-License-Identifier: Apache-2.0
# mien: `make` builds build/mien. See README.md; `make help` lists the targets.

BUILD   ?= build
CC      ?= gcc
ONEDNN  ?= third_party/onednn
MODELS_DIR ?= third_party/models
CFLAGS  ?= -O2 -g
PACKAGES = libjpeg spng libwebp jansson libdeflate nettle

# -ffp-contract=off: gcc contracts a*b+c (intrinsics too) into FMA otherwise, and bits would depend on the compiler.
override CFLAGS += -std=gnu11 -Wall -Wextra -ffp-contract=off -fvisibility=hidden -fPIC -pthread -MMD -MP
CPPFLAGS += -Isrc -Iinclude -I$(ONEDNN)/include $(shell pkg-config --cflags $(PACKAGES))
LDLIBS   = $(shell pkg-config --libs $(PACKAGES)) -lgif -lgomp -lm -pthread -ldl
LDLIBS  += -L$(ONEDNN)/lib -ldnnl -Wl,-rpath,'$$ORIGIN/../$(ONEDNN)/lib' 

SOURCES := $(filter-out src/cli/%,$(sort $(wildcard src/*/*.c src/nn/*/*.c)))
CLI     := $(sort $(wildcard src/cli/*.c))
OBJECTS := $(SOURCES:%.c=$(BUILD)/obj/%.o)
CLI_OBJ := $(CLI:%.c=$(BUILD)/obj/%.o)

all: $(BUILD)/mien

$(BUILD)/mien: $(CLI_OBJ) $(BUILD)/libmien.a
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/libmien.a: $(OBJECTS)
	rm -f $@ && $(AR) rcs $@ $^

# A file's instruction set is told by its suffix; everything else is plain x86-64.
$(BUILD)/obj/%_avx2.o:        ISA = -mavx2 -mfma -mf16c
$(BUILD)/obj/%_avx512.o:      ISA = -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c
$(BUILD)/obj/%_avx512bf16.o:  ISA = -mavx512bf16 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c
$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(ISA) -c -o $@ $<

TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/*.c))
tests: $(TESTS)
$(BUILD)/tests/%: $(BUILD)/obj/tests/unit/%.o $(BUILD)/libmien.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcmocka

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
.PHONY: all tests
