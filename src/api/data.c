/* SPDX-License-Identifier: Apache-2.0
 *
 * The public library's data sets: looks whether options make sense, and hands them to the room data. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "base/error.h"
#include "data/build.h"
#include "data/check.h"
#include "data/download.h"
#include "data/iterate.h"
#include "data/package.h"
#include "data/preview.h"
#include "data/preview_plan.h"
#include "face/faces_json.h"
#include "image/image.h"

/* ---- what several ask for ------------------------------------------------------------------------------------------ */

static int wrong_number(const char *name, double value) { return error_set(ERR_USAGE, "%s is %g: that cannot be", name, value); }

static int check_range(const char *name, long long value, long long least, long long most) {
    return value >= least && value <= most ? 0 : error_set(ERR_USAGE, "%s is %lld: %lld to %lld are possible", name, value, least, most);
}

/* ---- download ------------------------------------------------------------------------------------------------------ */

mien_download_options mien_download_defaults(void) {
    return (mien_download_options){
        .connections = 64, .host_connections = 4, .host_rate = 5, .retries = 3, .redirects = 5, .retry_seconds = 1, .connect_seconds = 10, .stall_seconds = 20,
        .total_seconds = 60, .max_bytes = 64 * 1000 * 1000,
    };
}

const char *const *mien_download_reasons(void) { return download_reasons(); }

int mien_download(const mien_download_options *o, mien_progress *result) {
    if (!o->data || !*o->data) return error_set(ERR_USAGE, "a data set's folder is needed");
    if (o->connections < 1 || o->connections > 4096) return wrong_number("connections", o->connections);
    if (o->host_connections < 0) return wrong_number("host_connections", o->host_connections);
    if (!(o->host_rate >= 0 && o->host_rate <= 1e6)) return wrong_number("host_rate", o->host_rate);
    if (o->retries < 0 || o->retries > 20) return wrong_number("retries", o->retries);
    if (o->redirects < 0 || o->redirects > 50) return wrong_number("redirects", o->redirects);
    if (!(o->retry_seconds >= 0 && o->retry_seconds <= 3600)) return wrong_number("retry_seconds", o->retry_seconds);
    if (!(o->connect_seconds > 0)) return wrong_number("connect_seconds", o->connect_seconds);
    if (!(o->stall_seconds > 0)) return wrong_number("stall_seconds", o->stall_seconds);
    if (!(o->total_seconds > 0)) return wrong_number("total_seconds", o->total_seconds);
    if (o->max_bytes < 1 || o->max_bytes > 1000 * 1000 * 1000) return wrong_number("max_bytes", (double)o->max_bytes);
    if (!download_contact_fits(o->contact)) return error_set(ERR_USAGE, "a contact has at most 200 letters, digits and signs of ASCII");
    if (o->retry_reason && !download_reason_known(o->retry_reason)) return error_set(ERR_USAGE, "%s: no reason to fail for", o->retry_reason);
    mien_download_options how = *o;
    if (!how.max_pixels) how.max_pixels = IMAGE_BOMB_PIXELS;
    int rc = api_part(o->part, o->parts);
    return rc < 0 ? rc : download_run(&how, result);
}

/* ---- build --------------------------------------------------------------------------------------------------------- */

mien_build_options mien_build_defaults(void) {
    return (mien_build_options){ .min_size = 384, .max_size = 32766, .min_face = 64, .max_unsafe = 0.1, .faces = mien_face_defaults() };
}

int mien_build(const mien *m, const mien_build_options *options, mien_progress *result) {
    mien_build_options o = *options;
    if (!o.photos || !*o.photos || !o.data || !*o.data) return error_set(ERR_USAGE, "a folder of photos and a data set's folder are needed");
    if (!(o.min_face >= 0 && o.min_face <= FACES_MOST_SIDE)) return error_set(ERR_USAGE, "min_face is %g: 0 to %d is possible", o.min_face, FACES_MOST_SIDE);
    if (!(o.max_unsafe >= 0 && o.max_unsafe <= 1)) return error_set(ERR_USAGE, "max_unsafe is %g: 0 to 1 is possible", o.max_unsafe);
    if (!o.max_pixels) o.max_pixels = IMAGE_BOMB_PIXELS;
    int rc = api_part(o.part, o.parts);
    if (rc == 0) rc = api_face_settings(&o.faces);
    if (rc == 0) rc = check_range("min_size", o.min_size, 0, FACES_MOST_SIDE);
    if (rc == 0) rc = check_range("max_size", o.max_size, 1, FACES_MOST_SIDE);
    return rc < 0 ? rc : build_run(m->mesh, &o, result);
}

/* ---- package ------------------------------------------------------------------------------------------------------- */

int mien_package(const mien_package_options *o, mien_progress *result) {
    if (result) *result = (mien_progress){ 0 };
    if (!o->data || !*o->data) return error_set(ERR_USAGE, "a data set is needed");
    if (!o->output || !*o->output) return error_set(ERR_USAGE, "an output is needed");
    if (!o->shards && (o->shard_items || o->shard_bytes)) return error_set(ERR_USAGE, "a zip has no shards");
    return package_run(o, result);
}

/* ---- check --------------------------------------------------------------------------------------------------------- */

/* A list is read several times, so it must be a file. */
static int check_list(const char *path) {
    if (!path || access(path, R_OK) == 0) return 0;
    return error_set(ERR_USAGE, "%s: %s", path, strerror(errno));
}

int mien_check(const mien *m, const mien_check_options *o, mien_check_result *result) {
    if (!o->data || !*o->data) return error_set(ERR_USAGE, "a data set is needed");
    if (o->dry_run && !o->fix) return error_set(ERR_USAGE, "dry_run says what fix would do: it needs that");
    if (o->remove_unnamed && (!o->fix || o->only)) return error_set(ERR_USAGE, "remove_unnamed is a part of fix, of the whole data set");
    if (o->merge && (o->fix || o->only || o->exclude)) return error_set(ERR_USAGE, "merge checks nothing: there is nothing to fix or to select");
    int rc = check_list(o->only);
    if (rc == 0) rc = check_list(o->exclude);
    if (rc < 0) return rc;
    mien_check_result unused;
    mien_check_options how = *o;
    if (!how.max_pixels) how.max_pixels = IMAGE_BOMB_PIXELS;
    return check_run(m ? m->mesh : NULL, &how, result ? result : &unused);
}

/* ---- iterate ------------------------------------------------------------------------------------------------------- */

enum { SIZE_MOST = 8192, THREADS_MOST = 256, AHEAD_MOST = 4096 };

int mien_iterator_open(const mien_iterate_options *options, mien_iterator **out) {
    mien_iterate_options o = *options;
    if (!o.data || !*o.data) return error_set(ERR_USAGE, "a data set is needed");
    if (!o.size) o.size = 512;
    if (!o.ranks) o.ranks = 1;
    if (!o.threads) o.threads = 2;
    if (!o.ahead) o.ahead = 16;
    if (!o.max_pixels) o.max_pixels = IMAGE_BOMB_PIXELS;
    int rc = check_range("size", o.size, 1, SIZE_MOST);
    if (rc == 0) rc = check_range("ranks", o.ranks, 1, INT_MAX);
    if (rc == 0) rc = check_range("rank", o.rank, 0, o.ranks - 1);
    if (rc == 0) rc = check_range("threads", o.threads, 1, THREADS_MOST);
    if (rc == 0) rc = check_range("ahead", o.ahead, 1, AHEAD_MOST);
    return rc < 0 ? rc : iterator_open(&o, out);
}

void mien_iterator_close(mien_iterator *it) { iterator_close(it); }
uint64_t mien_iterator_count(const mien_iterator *it) { return iterator_count(it); }

int mien_iterator_next(mien_iterator *it, int n, float *hint, float *target, mien_item *items) {
    int rc = check_range("n", n, 0, INT_MAX);
    return rc < 0 ? rc : iterator_next(it, n, hint, target, items);
}

int mien_iterator_sample(const mien_iterator *it, uint64_t line, float *hint, float *target, mien_item *item) {
    return iterator_sample(it, line, hint, target, item);
}

mien_position mien_iterator_position(const mien_iterator *it) { return iterator_position(it); }
int mien_iterator_restore(mien_iterator *it, const mien_position *position) { return iterator_restore(it, position); }
void mien_iterator_progress(const mien_iterator *it, mien_progress *out) { iterator_progress(it, out); }

/* ---- preview ------------------------------------------------------------------------------------------------------- */

int mien_preview(const mien_preview_options *o, mien_statistics *statistics, mien_progress *result) {
    if (!o->data || !*o->data || !o->output || !*o->output) return error_set(ERR_USAGE, "a data set and an output are needed");
    if (o->pages > PREVIEW_MOST_PAGES || o->sample > (uint64_t)PREVIEW_MOST_PAGES * MIEN_PREVIEW_ITEMS)
        return error_set(ERR_USAGE, "at most %d pages are possible", PREVIEW_MOST_PAGES);
    if (o->sample && o->first) return error_set(ERR_USAGE, "items drawn at random have no first one");
    if (o->pages < 0 && o->no_statistics) return error_set(ERR_USAGE, "neither pages nor statistics: nothing to do");
    return preview_run(o, statistics, result);
}
