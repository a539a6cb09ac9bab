/* SPDX-License-Identifier: Apache-2.0 */
#include "image/formats.h"

int image_orient(image *img, int orientation) { (void)img; (void)orientation; return 0; }
