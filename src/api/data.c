/* SPDX-License-Identifier: Apache-2.0
 *
 * The public library's data sets: looks whether options make sense, and hands them to the room data. */
#include "api/api.h"
