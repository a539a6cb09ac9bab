/* SPDX-License-Identifier: Apache-2.0
 *
 * Time that only goes forward, for durations. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

double clock_seconds(void);

#endif
