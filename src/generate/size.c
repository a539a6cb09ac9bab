/* SPDX-License-Identifier: Apache-2.0 */
#include "generate/size.h"

#include <math.h>

#include "base/error.h"
#include "generate/settings.h"

static const double aspect_tolerance = 0.02, rounding_tolerance = 0.07;
enum { USUAL_MOST = 1024 };   /* the long side, unless a size is asked for: models fall apart beyond */

double size_aspect_error(int width, int height, int in_width, int in_height) {
    double a = (double)width * in_height, b = (double)height * in_width;
    return fabs(a - b) / fmin(a, b);
}

static int rounded(double x, int multiple, int least, int most) {
    double r = floor(x / multiple + 0.5) * multiple;
    return r < least ? least : r > most ? most : (int)r;
}

static picture_size by_short_side(int side, int multiple, int most, int in_width, int in_height) {
    bool wide = in_width > in_height;
    double aspect = wide ? (double)in_width / in_height : (double)in_height / in_width;
    int across = rounded(side * aspect, multiple, side, most);
    return wide ? (picture_size){ across, side } : (picture_size){ side, across };
}

int size_choose(picture_size asked, int usual, int in_width, int in_height, bool must_hold, picture_size *out) {
    picture_size s = asked;
    if (!asked.height) {
        int side = asked.width ? asked.width : usual, most = asked.width ? SETTINGS_MOST_SIDE : side > USUAL_MOST ? side : USUAL_MOST;
        s = by_short_side(side, side % 64 ? 8 : 64, most, in_width, in_height);
        if (must_hold && size_aspect_error(s.width, s.height, in_width, in_height) > aspect_tolerance)
            s = by_short_side(side, 8, SETTINGS_MOST_SIDE, in_width, in_height);
    }
    double error = size_aspect_error(s.width, s.height, in_width, in_height);
    if (must_hold && error > aspect_tolerance)
        return error_set(ERR_USAGE, "the map is %d x %d and the picture would be %d x %d: the aspects differ by %.1f%%, 2%% is bearable", in_width, in_height, s.width,
                         s.height, error * 100);
    *out = s;
    return 0;
}

bool size_stretches(picture_size asked, picture_size size, int in_width, int in_height) {
    return size_aspect_error(size.width, size.height, in_width, in_height) <= (asked.height ? aspect_tolerance : rounding_tolerance);
}
