/* SPDX-License-Identifier: Apache-2.0 */
#define LOOPS loops_avx512
#define NAME "avx512"
#include "nn/cpu/loops_body.h"
