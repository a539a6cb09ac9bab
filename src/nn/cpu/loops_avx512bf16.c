/* SPDX-License-Identifier: Apache-2.0 */
#define LOOPS loops_avx512bf16
#define NAME "avx512bf16"
#include "nn/cpu/loops_body.h"
