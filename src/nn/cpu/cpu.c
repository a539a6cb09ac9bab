/* SPDX-License-Identifier: Apache-2.0
 *
 * The CPU as a device: which kernels stand in its table. Better ones are added later, so that they are asked first. */
#include "nn/device.h"

device *device_cpu(cpu_level cap) {
    cpu_level here = cpu_level_here(), level = cap < here ? cap : here;
    device *d = device_new(level);
    return d;
}
