/* SPDX-License-Identifier: Apache-2.0 */
#include "synth/render_lanes.h"

void render_rays_plain(const scene *s, const render_rays *job) { rays_of(s, job); }
void render_cones_plain(const scene *s, const render_cones *job) { cones_of(s, job); }
