/* SPDX-License-Identifier: Apache-2.0 */
#define LOOPS loops_avx2
#define NAME "avx2"
#include "nn/cpu/loops_body.h"
