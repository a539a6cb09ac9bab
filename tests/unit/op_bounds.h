/* SPDX-License-Identifier: Apache-2.0
 *
 * How far a kernel may be from its operation's reference.
 *
 * Promises (docs/exactness.md): an `ordered` node differs in 0 bits. Another f32 node may differ by 8 * 2^-24 * S,
 * where S is the same sum over absolute values: far above what summing random terms in any order gives, far below a
 * term left out. A bf16 node may also differ by one unit in the result's last place (at most 2^-7 of the value) and, if
 * its weights are not stored as bf16, by rounding each weight to it (at most half a unit, 2^-8 of the weight: 2^-8 *
 * S). Activations (silu, gelu, quick_gelu, geglu) may differ by 2^-20 of the value and 2^-22 of the same of absolute
 * values (gelu's reference cancels where x is negative), norms by 2^-20 of the value and 2^-19 of the output's root
 * mean square, in bf16 both by 2^-7 of the value. Attention's weights are its exponentials; an error of a score
 * multiplies one of them, so it may differ by 64 * 2^-24 * S, in bf16, where each is rounded, also by 2^-8 * S. Its S
 * is the sum of absolute values by the true weights: absolute queries and keys would have others.
 *
 * Gradients: attention's may differ by as much as attention (weights and slopes are rounded), an activation's may
 * differ by 2^-20 of the value and of the same of absolute values (in bf16 2^-7 and 2^-10: a slope crosses 0), a norm's
 * by 2^-19 of its terms' absolute values, factor (|d| + mean|d| + |u| mean|d u|) and sums of |dy| (|u| + 1) and |dy|
 * (in bf16 also 2^-7 of the value), a sum (sum_to, mse, mae, sum_squares) by 8 * 2^-24 * S. What is made of a posterior
 * (posterior_*) may differ by 2^-18 of the value and of the sum of its terms' absolute values (exponents of up to 30
 * are rounded), in bf16 by 2^-7. unslice, upsample_nearest_dx, embedding_d, mse_dx, mae_dx, and updates with all the
 * states that they rewrite, differ in 0 bits. */
#ifndef TESTS_OP_BOUNDS_H
#define TESTS_OP_BOUNDS_H

#include "trial.h"

/* Its bound is made of sums of its numbers: infinities among them would make it say nothing. */
bool op_bounded(const op *o);
/* For the node. truth: of its graph; bound: of the graph with all numbers by absolute value, which is rewritten where
 * that is no bound. */
tolerance op_tolerance(const node *n, float **truth, float **bound);

#endif
