/* SPDX-License-Identifier: Apache-2.0
 *
 * libmien: find faces exactly as MediaPipe's FaceMesh does, draw their colour-coded control maps; make, look after and read the
 * data sets of both; and make pictures that such a map steers, by Stable Diffusion and a ControlNet.
 *
 * Functions return 0 or a negative MIEN_ERR_*; mien_error() then has one sentence for a person, kept per thread. A
 * `mien` may be used from any number of threads at once. Pictures are 8-bit RGB, rows tightly packed, row 0 on top.
 *
 * Of a job's options, zeroes are the defaults but where there is a mien_*_defaults(). Its result may be NULL. A model is
 * told by a path or, where there is no such file, by the name of one that mien_pull fetched. */
#ifndef MIEN_H
#define MIEN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MIEN_API __attribute__((visibility("default")))

enum {
    MIEN_ERR_IO = -1,
    MIEN_ERR_FORMAT = -2,
    MIEN_ERR_MEMORY = -3,
    MIEN_ERR_LIMIT = -4,
    MIEN_ERR_UNSUPPORTED = -5,
    MIEN_ERR_USAGE = -6,
    MIEN_ERR_EXISTS = -7,
    MIEN_ERR_CANCELLED = -8,
    MIEN_ERR_FULL = -9,        /* no space left for outputs */
};

enum { MIEN_PATH = 4096 };     /* room for a path, where one is given back */

MIEN_API const char *mien_version(void);   /* "0.1.0" */
MIEN_API const char *mien_error(void);     /* the calling thread's last message */

/* ---- pictures ---------------------------------------------------------------------------------------------------- */

typedef struct { int width, height; uint8_t *rgb; } mien_image;

/* Reads JPEG, PNG, WebP, BMP or GIF (first frame) to the bytes that Pillow's convert("RGB") gives. The EXIF orientation
 * is applied unless ignore_exif. max_pixels 0: 512 million. */
MIEN_API int  mien_image_load(const char *path, int ignore_exif, size_t max_pixels, mien_image *out);
MIEN_API int  mien_image_new(int width, int height, mien_image *out);   /* black */
MIEN_API int  mien_image_save_png(const char *path, const mien_image *img);   /* replaces a file that is there */
MIEN_API void mien_image_free(mien_image *img);

/* ---- faces ------------------------------------------------------------------------------------------------------- */

enum { MIEN_LANDMARKS = 478 };   /* 468 of the mesh, then iris 468..472 (image left) and 473..477; 468, 473: pupils */

typedef struct { float x, y, z; } mien_point;   /* x, y: fractions of width and height; z in units of width */

typedef struct {
    float score;                                /* presence, 0..1 */
    mien_point landmarks[MIEN_LANDMARKS];
} mien_face;

typedef struct {
    int width, height;                          /* of the picture they were found in */
    int count;
    mien_face *face;
} mien_faces;

typedef enum {
    MIEN_SEARCH_NONE,                           /* one look at the whole picture, as the original */
    MIEN_SEARCH_AUTO,                           /* no upright face found: look again in tiles and turned by 90, 180, 270 degrees */
} mien_search;

/* Zeroed, they are the defaults: max_faces 0 means 5, and min_confidence 0 beside it 0.5. */
typedef struct {
    int max_faces;                              /* 1..100; original: 5. Faces refused by the second network use up a place */
    float min_confidence;                       /* 0..1; original: 0.5. A lower one also moves faces: weak boxes enter means */
    mien_search search;
} mien_face_settings;

typedef struct mien mien;

typedef struct {
    const char *models;                         /* folder of the two .tflite files; NULL: MIEN_MODELS, else beside the library */
    const char *cpu;                            /* at most: "best" (NULL), "avx512bf16", "avx512", "avx2", "reference" */
    int profile;                                /* not 0: every kernel is timed, for mien_profile */
} mien_options;

MIEN_API int  mien_open(const mien_options *options, mien **out);   /* options NULL: defaults */
MIEN_API void mien_close(mien *m);

MIEN_API mien_face_settings mien_face_defaults(void);   /* the original's */

/* All faces of a picture, in the reference's order; out->count may be 0. The caller frees with mien_faces_free. settings
 * NULL: defaults. */
MIEN_API int  mien_find_faces(const mien *m, const uint8_t *rgb, int width, int height, const mien_face_settings *settings,
                              mien_faces *out);
MIEN_API void mien_faces_free(mien_faces *faces);

/* A face's size in pixels of a width x height picture: the shorter side of its landmarks' bounds. */
MIEN_API double mien_face_size(const mien_face *face, int width, int height);

/* Draws the control map of the faces at least min_face pixels in size (0: all) over the canvas: black for a map, a copy
 * of the photo for an overlay. The canvas may have any size. Returns how many faces were drawn. */
MIEN_API int mien_draw(const mien_faces *faces, double min_face, mien_image *canvas);

/* Landmarks JSON, format 1. What is saved like this says nothing of the photo; an existing file is replaced. */
MIEN_API int mien_faces_load(const char *path, mien_faces *out);
MIEN_API int mien_faces_save(const char *path, const mien_faces *faces);

/* Landmarks JSON to map file. The map of a JSON that mien_annotate wrote, at its own size, is the file that mien_annotate
 * wrote, byte for byte. */
typedef struct {
    const char *faces;                          /* landmarks JSON */
    const char *output;                         /* PNG */
    int width, height;                          /* 0: those of the JSON */
    double min_face;                            /* pixels of the photo; below 0: as the JSON's settings say, else 0 */
    size_t max_pixels;                          /* 0: 512 million */
    int force;                                  /* the output may exist (but may not be the JSON) */
} mien_draw_options;

MIEN_API mien_draw_options mien_draw_defaults(void);   /* min_face -1, the rest zeroed */

typedef struct {
    int width, height, faces, drawn;
    double read, draw, encode, write;           /* seconds */
} mien_draw_result;

/* MIEN_ERR_EXISTS, MIEN_ERR_USAGE: refused before anything was done. result may be NULL. */
MIEN_API int mien_draw_file(const mien_draw_options *options, mien_draw_result *result);

/* ---- judging pictures -------------------------------------------------------------------------------------------- */

enum { MIEN_READINGS = 13, MIEN_MEASURES = 16 };

/* What is read off a face (pose, gaze, openings), and what is measured between the face that was wanted and the one that was
 * found; docs/eval.md defines each. What cannot be told is NaN. */
typedef struct {
    const char *key, *title, *unit;             /* "gaze_x", "gaze, across", "eye widths" */
    int digits;                                 /* behind the point, where it is printed */
} mien_measure;
MIEN_API const mien_measure *mien_reading_at(int i);    /* 0..MIEN_READINGS-1; NULL for others */
MIEN_API const mien_measure *mien_measure_at(int i);    /* 0..MIEN_MEASURES-1 */

typedef struct {
    int answer;                                 /* which found face answers it, from 0; -1: none */
    double error[MIEN_MEASURES];
    double wanted[MIEN_READINGS], found[MIEN_READINGS];
} mien_face_judgement;

typedef struct {
    int wanted, found, matched;                 /* faces */
    double error[MIEN_MEASURES];                /* the mean over the faces that are matched */
    double score;                               /* how far it is from obeying, to rank pictures by: 0 is perfect (docs/eval.md) */
    mien_face_judgement *face;                  /* one for each wanted face */
} mien_judgement;

/* The faces of a picture, found as `mien annotate` does by default, against those that it was to show, at the same places in fractions. Judge
 * and annotator are the same network: what it does not see, it does not miss. */
MIEN_API int  mien_judge(const mien *m, const mien_faces *wanted, const mien_image *picture, mien_judgement *out);
MIEN_API void mien_judgement_free(mien_judgement *j);
MIEN_API int  mien_judgement_json(const mien_judgement *j, char **json);   /* malloc'd: docs/formats.md, "Judgements" */
MIEN_API const char *mien_judge_caveat(void);           /* that, in a sentence that every report is to have */

/* A mean, a median or a rate, with its 95% bootstrap interval. What comes from one map or photo is a cluster: drawn again together, or not
 * at all. NaN: cannot be told. */
typedef struct {
    double value, low, high;
    size_t n, clusters;                         /* what it is of */
} mien_estimate;

/* Of many pictures. */
typedef struct {
    uint64_t pictures, wanted, found, matched;  /* the latter three: faces */
    mien_estimate detection;                    /* how many of the wanted faces are matched */
    mien_estimate agreement;                    /* in how many pictures as many faces are found as were wanted */
    mien_estimate mean[MIEN_MEASURES], median[MIEN_MEASURES];   /* of the pictures' errors; of those in which a face is matched */
} mien_summary;

/* ---- jobs over many files -----------------------------------------------------------------------------------------*/

typedef enum { MIEN_LOG_INFO, MIEN_LOG_WARNING, MIEN_LOG_ITEM_FAILED } mien_log_kind;

/* A number that a job counts, under the name it is reported by: "with_faces", "404". */
typedef struct { const char *name; uint64_t n; } mien_count;

enum { MIEN_COUNTS = 32 };

typedef struct {
    uint64_t total;                             /* items known so far; all of them once listing is over */
    uint64_t done, skipped, failed;             /* skipped: already done by an earlier run */
    double seconds;
    int n_counts;
    mien_count count[MIEN_COUNTS];              /* what else this job counts, always in one order; the names are constants */
} mien_progress;

/* How a job tells of itself. All may be NULL. */
typedef struct {
    /* Called from the calling thread only, about ten times a second and once at the end. */
    void (*progress)(void *context, const mien_progress *p);
    /* One line for a person about an item; `path` may be NULL. Any thread, one at a time. */
    void (*log)(void *context, mien_log_kind kind, const char *path, const char *message);
    void *context;
    /* Set it (atomically; a signal's handler may) to stop cleanly: what was finished is kept. */
    const volatile int *stop;
} mien_hooks;

/* Seconds, summed over all workers; detect and landmarks are parts of find. */
typedef struct { double read, decode, find, detect, landmarks, draw, encode, write; } mien_annotate_times;

typedef struct {
    const char *const *inputs;                  /* files and folders; "-": NUL- or newline-separated paths on stdin */
    int n_inputs;
    const char *output;                         /* folder, made if needed */
    int json, overlay, ignore_exif, force;
    double min_face;                            /* pixels of the input picture */
    mien_face_settings faces;
    size_t max_pixels;                          /* 0: 512 million */
    int jobs;                                   /* 0: all cores */
    int part, parts;                            /* this process does part 1..parts; 0: all */
    mien_hooks hooks;
    mien_annotate_times *times;                 /* filled at the end; may be NULL */
} mien_annotate_options;

/* Writes <output>/<id>.png (the map), <id>.json and <id>_overlay.png, where the id is the path below the input folder
 * without its extension. What is there already, made from the same photo by the same settings, is left alone; what mien
 * did not make is never overwritten unless forced; inputs are never overwritten.
 * It counts with_faces, without_faces and faces, in this order.
 * 0 if the job came to its end (result tells of items that failed), else the code of what stopped it: MIEN_ERR_USAGE if
 * nothing was begun since an input is missing or would be overwritten, MIEN_ERR_EXISTS if another process writes there. */
MIEN_API int mien_annotate(const mien *m, const mien_annotate_options *options, mien_progress *result);

typedef struct {
    const char *map;                            /* landmarks JSON, or a map that has its landmarks beside it as .json */
    const char *const *pictures;
    int n_pictures;
    int face, max_faces;                        /* of the wanted faces: this one alone, from 1; or the first of them. 0: all */
    size_t max_pixels;                          /* 0: 512 million */
    void (*judged)(void *context, const char *picture, const mien_judgement *j);   /* hooks.context; may be NULL */
    mien_hooks hooks;                           /* progress counts pictures */
} mien_judge_options;

/* Pictures that were to show the same faces, each judged as mien_judge does, in their order. A picture of another aspect than the landmarks' is taken for what
 * mien_generate makes of such: a part of the photo. result and summary may be NULL; a picture that cannot be read fails, and the others go
 * on. In the summary each picture is a cluster of its own: its intervals are those of other pictures of this very map. */
MIEN_API int mien_judge_pictures(const mien *m, const mien_judge_options *options, mien_progress *result, mien_summary *summary);

/* ---- models from the network -------------------------------------------------------------------------------------- */

typedef struct {
    const char *name, *title;                   /* "sd15", "Stable Diffusion 1.5" */
    const char *url, *size;                     /* size: for people, "4.27 GB" */
    const char *sha256, *source;                /* and where that is written */
    const char *licence, *licence_url;
    int restricted;                             /* the licence says what the model must not be used for */
    const char *note;                           /* what one should know; or NULL */
    const char *base;                           /* of a ControlNet: the name of the model that it goes with; or NULL */
} mien_pull_model;

/* The models that mien knows, one after the other: 0, or MIEN_ERR_USAGE behind the last. */
MIEN_API int mien_pull_model_at(size_t i, mien_pull_model *out);

typedef struct {
    const char *name;                           /* of a known model, or an https URL */
    const char *to;                             /* folder; NULL: the one that keeps models (not with a URL) */
    const char *url_base;                       /* a mirror's, instead of https://huggingface.co; or NULL */
    const char *sha256;                         /* with a URL: what the file must have; or NULL */
    int accept_license;                         /* needed where the licence is restricted */
    int insecure, allow_private;                /* http, and certificates that are not verified; addresses of private networks */
    int retries;                                /* without a byte in between */
    double retry_seconds, connect_seconds, stall_seconds;
    mien_hooks hooks;                           /* counts bytes: total 0 is not known yet, skipped are of earlier runs;
                                                 * count "checked" */
} mien_pull_options;

typedef enum { MIEN_PULL_UNVERIFIED, MIEN_PULL_AS_KNOWN, MIEN_PULL_AS_HUB_SAYS } mien_pull_proof;   /* that the SHA-256 is right */

typedef struct {
    char path[MIEN_PATH], sha256[65];
    uint64_t bytes, fetched;
    int there;                                  /* it was there already */
    mien_pull_proof proof;
} mien_pull_result;

MIEN_API mien_pull_options mien_pull_defaults(void);   /* 5 retries, 1 s, 20 s, 60 s; name is NULL */
/* Fetches a file to <to>/<its name>, beside which are kept what has come (.part, .part.json) and where it is from
 * (.pull.json); goes on where an earlier run stopped. What is there is not overwritten. result may be NULL. */
MIEN_API int mien_pull(const mien_pull_options *options, mien_pull_result *result);
/* Where a known model lies: 1, or 0 if it was not pulled yet; MIEN_ERR_USAGE if there is no such model. */
MIEN_API int mien_pull_find(const char *name, char path[MIEN_PATH]);

/* ---- data sets: download ------------------------------------------------------------------------------------------ */

typedef enum { MIEN_CHECK_FULL, MIEN_CHECK_HEADER } mien_download_check;   /* HEADER: a picture's size is enough, broken
                                                                            * data passes */

/* What there is to do, told before anything is fetched. */
typedef struct {
    uint64_t items, there, before;              /* to fetch; whose file is there, to be looked at; done or failed before */
    double bytes, mean_bytes, free_bytes;       /* of all these items, of one, of the disk */
    int mean_is_guess;                          /* nothing was fetched before to know it from */
} mien_download_plan;

/* Seconds: of the processor on the network's thread and on those that check; then, of the latter, what they waited and did. */
typedef struct { double network_cpu, check_cpu, read, hash, verify, write; } mien_download_times;

typedef struct {
    const char *data;                           /* the data set's folder, made if needed */
    const char *list;                           /* photos to add to its metadata.json; NULL: those there alone, "-": stdin */
    const char *only, *exclude;                 /* lists (data set selection); NULL: none */
    int retry_failed;                           /* what failed before is tried again: */
    const char *retry_reason;                   /* if it failed for this reason (mien_download_reasons); NULL: for any */
    mien_download_check check;
    int connections, host_connections;          /* at once, in all and to one host; host_connections 0: no limit */
    double host_rate;                           /* requests a second to one host; 0: no limit */
    int retries, redirects;
    double retry_seconds;                       /* before the first retry, about; before each further one four times as
                                                 * long as before the last */
    double connect_seconds, stall_seconds, total_seconds;
    size_t max_bytes, max_pixels;               /* of one photo; max_pixels 0: 178,956,970, as Pillow */
    int allow_private, insecure;                /* addresses of private networks; certificates that are not verified */
    int robots, ignore_opt_outs;                /* ask robots.txt; take what asks by its headers not to be used */
    const char *contact;                        /* in the User-Agent: a URL or an address; NULL: none */
    int stop_when_full;                         /* MIEN_ERR_FULL on a full disk, else wait for space */
    int jobs;                                   /* threads that check photos; 0: all cores */
    int part, parts;                            /* this process does part 1..parts; 0: all */
    void (*plan)(void *context, const mien_download_plan *plan);   /* hooks.context; may be NULL */
    mien_hooks hooks;
    mien_download_times *times;                 /* filled at the end; may be NULL */
} mien_download_options;

MIEN_API mien_download_options mien_download_defaults(void);   /* polite: 64, 4, 5/s, 3, 5, 1 s, 10 s, 20 s, 60 s, 64 MB;
                                                                * data is NULL */

/* What mien_download counts, by the names of its counts; NULL ends them. The first two are successes ("ok", "rescaled"). */
MIEN_API const char *const *mien_download_reasons(void);

/* Fetches the photos of <data>/metadata.json to target/<id>.jpg. A photo that is there is left alone; what became of each
 * stands in download.jsonl, from where the next run goes on. Counts are sums over the whole set, done before or
 * not; `failed` is of this run. `excluded`, `removed` and `duplicate` are no failures, and not in `total`.
 * 0 if the job came to its end, else what stopped it: MIEN_ERR_USAGE if there is nothing to begin with. */
MIEN_API int mien_download(const mien_download_options *options, mien_progress *result);

/* ---- data sets: build --------------------------------------------------------------------------------------------- */

typedef enum { MIEN_MAP_PNG, MIEN_MAP_JPG } mien_map_format;   /* JPG: Pillow's defaults, as the original writes */

typedef struct {
    const char *photos;                         /* folder; the data set's own target/ is fine */
    const char *data;                           /* the data set's folder, made if needed */
    int min_size, max_size;                     /* pixels: least short side, most long side */
    double min_face;                            /* pixels: smaller faces don't count and aren't drawn */
    double max_unsafe;                          /* 0..1: the most that a probability of being unsafe may be */
    mien_face_settings faces;
    mien_map_format maps;
    int overlay;                                /* annotated/<id>.png: the map drawn over the photo */
    int force;                                  /* do all again; replace a prompt.jsonl that mien_build did not write */
    const char *only, *exclude;                 /* files that list ids, URLs, domains or SHA-256; NULL: none */
    size_t max_pixels;                          /* 0: 178956970, as Pillow takes */
    int jobs;                                   /* 0: all cores */
    int part, parts;                            /* this process does part 1..parts; 0: all, and writes prompt.jsonl */
    mien_hooks hooks;
    mien_annotate_times *times;                 /* filled at the end; may be NULL */
} mien_build_options;

MIEN_API mien_build_options mien_build_defaults(void);   /* the original's; photos and data are NULL */

/* Makes a data set of a folder of photos and the folders below it: for each photo that passes the filters source/<id>.png
 * (the map), source/<id>.json (the landmarks) and target/<id>.<ext> (a hard link, else a copy); prompt.jsonl; and
 * metadata.json if there was none. Captions and NSFW marks come from <photo>.json, captions from <photo>.txt, both from
 * metadata.json. EXIF orientation is never applied: who reads the data set does not apply it to target/ either.
 * What an earlier run did with the same photo, settings and sidecar is left alone.
 * It counts, over all photos that are looked at, done before or not: kept; nsfw, small, large, no_face, small_faces, excluded
 * (left out); unreadable, broken_sidecar, duplicate_name, unfit_name, not_written (failed); then lines of the whole set that are
 * rejected_by_check_before; and of the photos looked at now, those that left_the_set and those kept whose EXIF rotation is ignored
 * (exif_ignored).
 * 0, or as mien_annotate; MIEN_ERR_USAGE also for a prompt.jsonl that is there and is not mien_build's. */
MIEN_API int mien_build(const mien *m, const mien_build_options *options, mien_progress *result);

/* ---- data sets: check --------------------------------------------------------------------------------------------- */

/* Seconds, summed over all workers. */
typedef struct { double read, decode, find, compare; } mien_check_times;

typedef struct {
    const char *data;                           /* the data set's folder */
    const char *only, *exclude;                 /* lists of ids, URLs, domains and SHA-256; NULL: none. Only what they
                                                 * select is checked */
    int fix;                                    /* bad lines move to prompt.rejected.jsonl; what `exclude` lists is removed
                                                 * for good */
    int dry_run;                                /* with fix: nothing is written, result and log say what would be done */
    int remove_unnamed;                         /* with fix: files of source/, target/ and annotated/ that no line names,
                                                 * rejected ones neither, are deleted */
    int merge;                                  /* nothing is checked: parts' journals become one, then prompt.jsonl and
                                                 * metadata.json */
    int reject_near_duplicates;                 /* they are bad; otherwise they are noted */
    size_t max_pixels;                          /* 0: 178,956,970, as Pillow */
    int jobs;                                   /* 0: all cores */
    mien_hooks hooks;                           /* log: bad lines (failed), notes (info), what is removed (warning) */
    mien_check_times *times;                    /* filled at the end; may be NULL */
} mien_check_options;

typedef struct {
    mien_progress progress;                     /* lines: done are fine, failed are bad, skipped are left out by a list */
    int n_bad;                                  /* of progress.count the first so many are reasons to be bad, each bad line
                                                 * has one; the rest notes */
    uint64_t left;                              /* bad lines that are still in the data set */
    uint64_t unnamed_removed;                   /* files */
    uint64_t moved;                             /* bad lines that fix has moved, or with dry_run would */
    char backup[32];                            /* "prompt.jsonl.bak": what they were moved from; "": nothing was moved */
    uint64_t removed, removed_files, removed_lines;   /* items for good, with so many files and lines or entries of lists */
    int merged;                                 /* journals that merge found */
    int unfinished;                             /* parts of which merge found no journal, or no end in it: told by log */
    uint64_t merged_lines;                      /* of prompt.jsonl after it, if build has written it */
    uint64_t merged_rejected;                   /* lines that are not in it since an earlier fix has rejected them */
} mien_check_result;

/* Looks at every line of a data set: are map and photo there and whole, do they fit, are the faces of the map those of the
 * photo, is a photo there twice. m NULL: faces are not looked for. Nothing is written without fix or merge, which lock
 * the folder; a fix that is broken off at any moment is finished, or undone, by the next.
 * 0 if the job came to its end (result tells of bad lines), else the code of what stopped it: MIEN_ERR_USAGE if there is no
 * data set or the options contradict each other, MIEN_ERR_EXISTS if another process writes there. */
MIEN_API int mien_check(const mien *m, const mien_check_options *options, mien_check_result *result);

/* ---- data sets: package ------------------------------------------------------------------------------------------- */

typedef struct {
    const char *data;                           /* the data set: a folder with prompt.jsonl, or tar shards */
    const char *output;                         /* the zip file, its name ends in .zip; with shards a folder, made if needed */
    int shards;
    uint64_t shard_items;                       /* items a shard; 0: 1000 */
    uint64_t shard_bytes;                       /* a shard ends before it would be larger; 0: no matter */
    const char *only, *exclude;                 /* lists of ids, URLs, domains and SHA-256; NULL: none */
    int force;                                  /* the zip may exist; shards that mien made there are made anew */
    int jobs;                                   /* threads that read ahead; 0: all cores */
    mien_hooks hooks;
} mien_package_options;

/* Makes of a data set what can be passed on. The same data set gives the same bytes.
 * A zip has, below training/laion-face-processed/: the maps (source/) and the landmarks beside them, prompt.jsonl, what
 * metadata.json says of the items packed, and a README.md; no photo. Files that no line of prompt.jsonl names stay where they are.
 * Shards are tar files for webdataset, 00000.tar and on, with the photos in them: <key>.jpg (or what it is), .map.png,
 * .json, .txt an item. shards.jsonl beside them lists what is in each; a later run with the same options goes on from
 * there. Items that removed.jsonl names are left out. It counts maps, landmarks, selected_out, shards and bytes, in this
 * order; an item whose line is broken or whose files are missing, or no pictures, is a failure. 0, or as mien_annotate;
 * MIEN_ERR_EXISTS if the zip exists, or another process writes there; MIEN_ERR_USAGE for shards that were made of other
 * data or by other options, and for tar files there that are somebody else's. */
MIEN_API int mien_package(const mien_package_options *options, mien_progress *result);

/* ---- data sets: preview ------------------------------------------------------------------------------------------- */

/* How often values occurred: bin[i] counts those from from + i * step on, below the next. */
enum { MIEN_BINS = 64 };
typedef struct {
    const char *name, *unit;                    /* "yaw", "degrees"; constants */
    double from, step;
    int bins;
    uint64_t bin[MIEN_BINS], below, above;      /* below, above: what lies outside the bins */
    uint64_t count;                             /* of values, all together */
    double least, most, mean, median;           /* 0 if there is none; the median is exact to a sixteenth of a step */
} mien_histogram;

/* Pictures: SHORT_SIDE, LONG_SIDE (pixels), ASPECT (width / height), FACES. Faces: FACE_SIZE (mien_face_size), FACE_SHARE (the same
 * in percent of the picture's shorter side); GAZE_X, GAZE_Y: how far the pupils lie from the middle between their eye's
 * corners, in widths of the eye, mean of both eyes, along the line through the corners (towards the face's own left: the
 * image's right) and across it (down); YAW: degrees, positive towards the image's right, from the depths of eight pairs of
 * points; ROLL: degrees of the line through the outer eye corners, clockwise; MOUTH: the gap between the inner lips by the
 * mouth's inner width. PROMPT: characters. */
typedef enum {
    MIEN_SHORT_SIDE, MIEN_LONG_SIDE, MIEN_ASPECT, MIEN_FACES, MIEN_FACE_SIZE, MIEN_FACE_SHARE,
    MIEN_GAZE_X, MIEN_GAZE_Y, MIEN_YAW, MIEN_ROLL, MIEN_MOUTH, MIEN_PROMPT, MIEN_HISTOGRAMS,
} mien_histogram_kind;

typedef struct {
    uint64_t items, unusable;                   /* all; of them lines that are no item */
    uint64_t with_landmarks, without_landmarks, broken_landmarks;
    uint64_t without_size;                      /* neither landmarks, map nor photo tell it */
    uint64_t without_faces, faces;              /* landmarks of no face; faces of all */
    mien_histogram histogram[MIEN_HISTOGRAMS];
} mien_statistics;

enum { MIEN_PREVIEW_ITEMS = 24 };               /* a page */

typedef struct {
    const char *data;                           /* the data set's folder */
    const char *output;                         /* "sheet.png"; further pages are "sheet-2.png", ... */
    const char *statistics;                     /* the statistics page; NULL: "sheet-statistics.png" */
    int no_statistics;
    int pages;                                  /* of MIEN_PREVIEW_ITEMS, at most; 0: 1, below 0: none, the statistics only */
    uint64_t first;                             /* shows the items from this one on, 1 being the first; 0: items drawn at random */
    uint64_t sample;                            /* how many are drawn; 0: as many as the pages hold */
    uint64_t seed;                              /* the same draw from the same data set each time */
    int force;                                  /* pages may exist */
    size_t max_pixels;                          /* 0: 512 million */
    int jobs;                                   /* 0: all cores */
    mien_hooks hooks;
} mien_preview_options;

/* Contact sheets (photo, map, overlay, prompt) and a page of statistics over all items, which landmarks JSON tells of. Reads the
 * data set only. What can't be shown is marked on the page with the reason and counts as failed. It counts pages (written),
 * shown (items on them), marked (of these, what can't be shown) and selected_out (what removed.jsonl names: neither shown
 * nor, by id and URL, in the statistics), in this order. statistics and result may be NULL. MIEN_ERR_USAGE,
 * MIEN_ERR_EXISTS: refused before anything was done, since a page would take the place of another file. */
MIEN_API int mien_preview(const mien_preview_options *options, mien_statistics *statistics, mien_progress *result);

/* ---- data sets: iterate ------------------------------------------------------------------------------------------- */

/* A data set as training takes it: what the original's laion_face_dataset.py yields, with equal bytes (on Pillow 13), in
 * an order shuffled by a seed, made ready by threads of its own. One thread at a time may use an iterator. */
typedef struct mien_iterator mien_iterator;

/* Zeroed, but for data, they are the defaults. */
typedef struct {
    const char *data;                           /* the data set's folder */
    int size;                                   /* side of the squares, in pixels; 0: 512 */
    uint64_t seed;                              /* of the order */
    int in_order;                               /* as the lines of prompt.jsonl, not shuffled */
    uint64_t epochs;                            /* 0: without end */
    int rank, ranks;                            /* of so many processes this one takes item rank (from 0), rank + ranks,
                                                 * ...; 0: one process */
    int stretch;                                /* a photo whose aspect is not its map's (by more than 1%) is taken too,
                                                 * stretched, as the original does */
    const char *only, *exclude;                 /* lists of ids, URLs, domains and SHA-256; NULL: none */
    size_t max_pixels;                          /* of a picture; 0: 178,956,970, as Pillow */
    int threads;                                /* 0: 2 */
    int ahead;                                  /* items made ready in advance, each of 6 * size * size bytes; 0: 16 */
    mien_hooks hooks;                           /* log: items that are left out, once each, on the calling thread. progress
                                                 * is not called */
} mien_iterate_options;

/* The caller frees it with mien_item_free. */
typedef struct {
    uint64_t line;                              /* of prompt.jsonl, from 0 */
    uint64_t epoch;                             /* from 0 */
    char *id, *prompt;                          /* the prompt is "an image" where there is none, as the original's */
} mien_item;

/* Where an iterator is: four numbers to be kept. The next item after mien_iterator_restore, with the same options, is the
 * next item. Each rank has its own. */
typedef struct {
    uint64_t seed;
    uint64_t epoch, index;                      /* of the item that is looked at next, in the order of its epoch */
    uint64_t data;                              /* fingerprint of prompt.jsonl and the selection; 0: not to be looked at */
} mien_position;

/* MIEN_ERR_USAGE if there is no data set, or nothing in it. No picture is read yet. */
MIEN_API int  mien_iterator_open(const mien_iterate_options *options, mien_iterator **out);
MIEN_API void mien_iterator_close(mien_iterator *it);

/* Items of an epoch, of all ranks together and with those that will be left out. */
MIEN_API uint64_t mien_iterator_count(const mien_iterator *it);

/* The next n items: hint and target are [n, size, size, 3] (rows of RGB pixels), the map in 0..1 and the photo in -1..1.
 * Returns how many there were: fewer than n only at the end of the last epoch. An item whose line, map or photo is missing,
 * broken or mismatched is left out, counted and logged, so that the same items come whatever the number of threads. If it
 * fails (MIEN_ERR_CANCELLED by hooks.stop; MIEN_ERR_FORMAT if twice as many items as an epoch has were of no use;
 * MIEN_ERR_MEMORY), nothing was taken. */
MIEN_API int  mien_iterator_next(mien_iterator *it, int n, float *hint, float *target, mien_item *items);
MIEN_API void mien_item_free(mien_item *item);

/* The item of one line, wherever the iterator is, left out by a list or not: for replaying a list of lines. Its faults are
 * errors. */
MIEN_API int  mien_iterator_sample(const mien_iterator *it, uint64_t line, float *hint, float *target, mien_item *item);

MIEN_API mien_position mien_iterator_position(const mien_iterator *it);
/* MIEN_ERR_USAGE if the data are others than when the position was taken, or have no such item; the iterator stays where it was. */
MIEN_API int  mien_iterator_restore(mien_iterator *it, const mien_position *position);

/* What next has given (done) and left out (failed: counts missing, broken, mismatched; and not_selected, by a hash in a
 * list) since the iterator was opened; seconds: how long next has waited for an item; total: items of all this rank's
 * epochs, 0 without end. */
MIEN_API void mien_iterator_progress(const mien_iterator *it, mien_progress *out);

/* ---- generate ----------------------------------------------------------------------------------------------------- */

typedef enum {
    MIEN_DDIM, MIEN_DDIM_ORIGINAL, MIEN_EULER, MIEN_EULER_A, MIEN_DPMPP_2M, MIEN_DPMPP_2M_KARRAS, MIEN_UNIPC, MIEN_SAMPLERS,
} mien_sampler;
MIEN_API const char *const *mien_sampler_names(void);   /* "ddim", ... in that order; NULL ends them */

typedef enum { MIEN_RNG_TORCH_CPU, MIEN_RNG_TORCH_CUDA } mien_rng;   /* whose noise a seed means */
MIEN_API const char *const *mien_rng_names(void);       /* "torch-cpu", ... likewise */
/* AUTO: computed in what suits the machine; stored as it was. F16 is for storing alone. */
typedef enum { MIEN_DTYPE_AUTO, MIEN_DTYPE_BF16, MIEN_DTYPE_F32, MIEN_DTYPE_F16 } mien_dtype;
typedef enum { MIEN_PREDICTION_AUTO, MIEN_PREDICTION_EPSILON, MIEN_PREDICTION_V } mien_prediction;

/* How a picture is made, models and map apart: what stands in its file, and comes back from there. */
typedef struct {
    const char *prompt, *added, *negative;      /* what is asked for is "prompt, added", or the prompt if nothing is added;
                                                 * a batch with a NULL prompt wants one in each line */
    mien_sampler sampler;
    int steps;                                  /* 0: none, to see where the rest of the time goes */
    double cfg;                                 /* guidance; 1: none, and the negative prompt counts for nothing */
    double eta;                                 /* of ddim and ddim_original: 0..1 */
    double strength, start, end;                /* of the control: 0..2; fractions of the steps between which it acts */
    int guess;                                  /* control weighs less the further out it acts, and not on the negative half */
    int only_mid_control;
    long long seed;                             /* below 0: a random one */
    mien_rng rng;
    int width, height;                          /* multiples of 8, 64 to 2048. width 0: by the map; height 0: width is the
                                                 * short side */
    /* Of a picture that was loaded: the models' short hashes, "" if unknown. mien_generate warns if its own are others. */
    char base_hash[11], control_hash[11];
    mien_dtype dtype;                           /* that it was computed with, AUTO if unknown: taken where the options say
                                                 * AUTO and this machine has it */
    mien_prediction prediction;                 /* what its model was taken to predict, AUTO if unknown: counts where the options say AUTO and
                                                 * the model does not tell */
    char *note;                                 /* what could not be taken over, or NULL */
    char *strings;                              /* where the texts are, or NULL: they are the caller's */
} mien_picture_settings;

MIEN_API mien_picture_settings mien_picture_defaults(void);   /* the original's; the prompt is empty */
/* Those that suit a base, as mien_generate_options has it (NULL: mien-tiny): where it carries a tokenizer of its own it knows the words of its captions alone, so
 * nothing is added to prompts, the negative one is empty, and guidance is weaker. Of what can't be read: mien_picture_defaults. */
MIEN_API mien_picture_settings mien_picture_defaults_of(const char *base);
/* From the "parameters" text of a PNG by mien (or AUTOMATIC1111's program, as far as there is such a setting); what it does not
 * tell is left at its default. */
MIEN_API int  mien_picture_settings_load(const char *png, mien_picture_settings *out);
MIEN_API void mien_picture_settings_free(mien_picture_settings *s);

/* A picture that was finished. */
typedef struct {
    const char *path;                           /* NULL: not written */
    const char *map;                            /* NULL, or where the map was written */
    long long seed;
    int width, height, steps, control_steps;    /* runs of the UNet, and those of them beside the ControlNet */
    double seconds;
    const mien_judgement *judgement;            /* of a check; or NULL */
    int candidate;                              /* it is one of those of which the best are kept, and not written yet */
    int place;                                  /* it was kept, being at that place, from 1; 0: it was not chosen */
} mien_picture;

/* Seconds; each step by itself. */
typedef struct {
    uint64_t pictures, skipped, failed;         /* skipped: of a batch, made by an earlier run */
    double load, map, text, hint, decode, check, write, total;
    double *steps;
    size_t n_steps;
} mien_generate_result;
MIEN_API void mien_generate_result_free(mien_generate_result *r);

typedef struct {
    const char *base, *control;                 /* files or folders; control NULL: the one in the base's file. base NULL (or "mien-tiny"):
                                                 * mien-tiny, and its control, which the log is told (info) */
    const char *photo, *map, *faces;            /* one of them; faces: landmarks JSON. In a batch, for lines that have none. None, and no
                                                 * control: the base makes the picture alone, which the log is told (info) */
    const char *output;                         /* a PNG; further pictures are OUT-2.png, ...; NULL with steps 0: none. Of
                                                 * a batch: a folder */
    const char *batch;                          /* JSON lines, one job each (docs/formats.md); NULL: none */
    mien_picture_settings picture;              /* in a batch, what lines don't tell */
    const char *like;                           /* the file that `picture` was read from, which is not written over; NULL: none */
    int count;                                  /* pictures with seeds seed, seed + 1, ...; 0: 1 */
    mien_face_settings search;                  /* max_faces: how many of those found are taken; 0: 1 */
    int face;                                   /* takes this one alone, 1 being the first; 0: the first max_faces */
    int allow_empty;                            /* no face: an empty map */
    mien_dtype dtype;
    mien_prediction prediction;                 /* AUTO: as the model says or, if it does not, as one look at it does */
    size_t memory;                              /* the most to be used, in bytes; 0: what the machine has free, without
                                                 * swap, or ulimit leaves */
    int preview;                                /* OUT.preview.png every so many steps; 0: none */
    const char *save_map;                       /* PNG; NULL: none */
    int check;                                  /* every picture is judged: mien_picture has the judgement. A map needs its landmarks beside it */
    int keep_best;                              /* of count pictures the K whose score is lowest are written, the best first: OUT.png, OUT-2.png, ...; the
                                                 * others never are. It checks, too. 0: all */
    int no_metadata, force;
    const char *models, *cpu;                   /* as in mien_options */
    int jobs;                                   /* threads; 0: all cores */
    void (*picture_done)(void *context, const mien_picture *p);   /* hooks.context, as all; may be NULL */
    void (*profile)(void *context, const char *line);             /* not NULL: every kernel is timed, and this told at the end */
    mien_hooks hooks;                           /* progress counts steps: total, done, of skipped and of failed pictures;
                                                 * counts pictures and control_steps */
} mien_generate_options;

/* To begin with: the original's settings (mien_picture_defaults); the rest zeroed. */
MIEN_API mien_generate_options mien_generate_defaults(void);

/* From a photo (or a map, or landmarks) and a prompt to a picture, by Stable Diffusion 1.x or 2.x and a ControlNet. Files that
 * exist are not replaced unless forced, but for pictures of a batch that were made by the very same settings and map: these
 * are left alone. 0, in a batch also if lines failed (result tells how many), else what stopped it: MIEN_ERR_USAGE and
 * MIEN_ERR_EXISTS before any work; MIEN_ERR_LIMIT if memory does not suffice, with what would fit. */
MIEN_API int mien_generate(const mien_generate_options *options, mien_generate_result *result);

/* ---- eval -------------------------------------------------------------------------------------------------------- */

enum { MIEN_EVAL_ITEMS = 10000, MIEN_EVAL_SEEDS = 100 };

typedef struct {
    const char *base, *control;                 /* as of mien_generate; a base without a ControlNet gives pictures without control alone */
    const char *data;                           /* as of mien_train: the maps, captions, photos and landmarks */
    const char *output;                         /* the report's folder, made if needed */
    mien_picture_settings picture;              /* the prompt apart, which is the item's caption; seed: of the choice of items and of all noise */
    int count, seeds;                           /* items (0: 100), fewer if there are no more; pictures of each (0: 1) */
    const char *only, *exclude;                 /* lists of items; NULL: all */
    int redraw;                                 /* maps are drawn from the landmarks, at the pictures' size */
    int no_photos, no_free;                     /* without the photos through the VAE; without the pictures without control */
    int no_pictures, no_metadata;               /* pictures are not kept; they tell no settings */
    int show;                                   /* items with pictures in report.html: 24; below 0: none */
    mien_dtype dtype;
    mien_prediction prediction;
    size_t memory;
    const char *models, *cpu;                   /* as in mien_options */
    int jobs;                                   /* threads; 0: all cores */
    int part, parts;                            /* this process does part 1..parts; 0: all */
    void (*table)(void *context, const char *line);     /* the report in words, once it is made; hooks.context, as all; may be NULL */
    void (*profile)(void *context, const char *line);
    mien_hooks hooks;                           /* progress counts pictures */
} mien_eval_options;

typedef struct {
    uint64_t items;                             /* of the whole set that is measured */
    uint64_t left_out, unmeasured;              /* of these: what cannot be used; pictures that failed */
    uint64_t pictures, skipped, failed;         /* of this part, now; skipped: measured by an earlier run; failed: with those of items left out */
    uint64_t missing;                           /* pictures of other parts that nobody has measured yet */
    int reported;                               /* report.json and report.html are written: nothing is missing */
    double load, text, hint, sample, decode, photos, find, report, total;   /* seconds */
} mien_eval_result;

MIEN_API mien_eval_options mien_eval_defaults(void);    /* mien_picture_defaults with seed 0, count 100, seeds 1, show 24 */

/* Makes pictures from items of a data set, finds the faces again, and reports how far they are from those that were wanted, beside the photos
 * through the VAE, pictures without control and the faces of other items. What an earlier run, or another part, measured by the same settings
 * is not done again; other settings are refused. The report is made by whichever run finds nothing missing. 0 also if items failed, or
 * if others' parts are missing (result tells); else as mien_annotate. */
MIEN_API int mien_eval(const mien_eval_options *options, mien_eval_result *result);

/* ---- models: convert ---------------------------------------------------------------------------------------------- */

/* LDM: one file under the original's names. CONTROL: the ControlNet alone, its names without "control_model.". DIFFUSERS: a
 * folder. */
typedef enum { MIEN_LAYOUT_LDM, MIEN_LAYOUT_CONTROL, MIEN_LAYOUT_DIFFUSERS } mien_layout;

typedef struct {
    const char *input;                          /* .safetensors, .ckpt, .pth, ..., or a diffusers folder */
    const char *output;                         /* a .safetensors file, or for DIFFUSERS a folder */
    mien_layout to;
    mien_dtype dtype;                           /* of all tensors of the networks; schedule buffers and integers stay as they are */
    mien_prediction prediction;                 /* what the output says of the model; AUTO: as the input does */
    int ema;                                    /* the UNet's moving average in place of its weights; else it is left out */
    int force;                                  /* the output may exist (but may not be an input) */
    mien_hooks hooks;                           /* progress is in megabytes */
} mien_convert_options;

typedef struct {
    uint64_t tensors, bytes;                    /* written */
    uint64_t extra;                             /* of these, carried along for the way back: the new layout has no place for them */
    uint64_t ema;                               /* keys of a moving average, not written as such */
    uint64_t moved;                             /* transfer: tensors that were offset */
    double seconds;
} mien_convert_result;

/* Bytes of tensors are carried as they are, unless dtype asks for another; so back and forth gives each tensor the same
 * bytes under the same name (docs/formats.md, "Models", says what each layout keeps where). Memory does not grow with the file. What is
 * written is seen under its name only when it is whole. MIEN_ERR_USAGE, MIEN_ERR_EXISTS: refused before anything was done. */
MIEN_API int mien_convert(const mien_convert_options *options, mien_convert_result *result);

typedef struct {
    const char *controlled;                     /* a model with a ControlNet that was trained on `from`, or the ControlNet alone */
    const char *from, *onto;                    /* the base it was trained on, and the one it is wanted for */
    const char *output;                         /* a .safetensors file, with the names of `controlled` */
    mien_dtype dtype;
    int force;
    mien_hooks hooks;
} mien_transfer_options;

/* The original's tool_transfer_control.py: what the ControlNet copied from its base, and the base's own weights, become
 * p + onto - from, in f32; text encoder and VAE are those of `onto`; the rest is copied. */
MIEN_API int mien_transfer(const mien_transfer_options *options, mien_convert_result *result);

/* ---- models: init ------------------------------------------------------------------------------------------------- */

typedef struct {
    const char *base;                           /* Stable Diffusion 1.x or 2.x in any layout: a ControlNet is made for it */
    const char *scratch;                        /* or a diffusers folder's config files: a base is made as they say */
    const char *captions;                       /* of a base from scratch, may be NULL: a prompt.jsonl, or a caption a line, from which
                                                 * a tokenizer of vocab_size tokens at most is learnt, which the base carries */
    const char *output;                         /* a .safetensors file */
    uint64_t seed;                              /* of the numbers that are drawn */
    mien_dtype dtype;
    mien_layout layout;                         /* CONTROL, the default; LDM: the base and the ControlNet in one file, as
                                                 * the original has it. scratch gives a base in LDM's names, whatever
                                                 * is said here */
    int force;
    mien_hooks hooks;                           /* log: each tensor that is newly made (info) */
} mien_init_options;

MIEN_API mien_init_options mien_init_defaults(void);   /* CONTROL, the rest zeroed */

typedef struct {
    uint64_t copied, zero, ones, drawn;         /* tensors; in LDM, copied counts those of the base too */
    uint64_t parameters, bytes;
    uint64_t tokens;                            /* of the tokenizer that it carries; 0: it has none of its own */
    double seconds;
} mien_init_result;

/* The original's tool_add_control.py: encoder and middle block copied, zero convolutions zero, the hint network drawn as
 * PyTorch draws convolutions, but its last layer zero. The same base and seed give the same bytes.
 * From scratch: those of unet/config.json, vae/config.json, text_encoder/config.json and scheduler/scheduler_config.json that are there are
 * read; MIEN_ERR_UNSUPPORTED or MIEN_ERR_FORMAT names the field that can't be followed. dtype AUTO is f32. */
MIEN_API int mien_init(const mien_init_options *options, mien_init_result *result);

/* ---- train ------------------------------------------------------------------------------------------------------- */

/* A ControlNet, its base locked; the base: UNet and text encoder, over its VAE as it is; or the base's VAE. */
typedef enum { MIEN_TRAIN_CONTROL, MIEN_TRAIN_BASE, MIEN_TRAIN_VAE } mien_train_what;
typedef enum { MIEN_VAE_L1, MIEN_VAE_MSE } mien_vae_loss;      /* of what is reconstructed: absolute differences, or squares */
typedef enum { MIEN_ADAMW, MIEN_ADAMW8 } mien_optimizer;      /* ADAMW8: moments of 8 bits, 6.03 bytes a weight instead of 12 */
typedef enum { MIEN_CACHE_ALL, MIEN_CACHE_LATENTS, MIEN_CACHE_NONE } mien_train_cache;
typedef enum { MIEN_RATE_CONSTANT, MIEN_RATE_LINEAR, MIEN_RATE_COSINE } mien_rate;

/* What an evaluation came to, docs/eval.md; NaN where nothing is to tell it from. */
typedef struct {
    int measured, items;                        /* measured 0: there was none at this step */
    double found, score, score_low, score_high; /* found: a fraction; the score with its 95% interval */
    double landmarks, gaze_x, gaze_y;           /* IOD, eye widths */
} mien_train_figures;

/* One optimiser step, after it. */
typedef struct {
    uint64_t step, steps;                       /* from 1; of how many */
    double loss, smoothed, rate, norm;          /* norm of the gradients: 0 where none is asked for */
    double seconds, wait;                       /* of the step; of that, waiting for data */
    double images_per_second;
    size_t peak_bytes;                          /* of the process, so far */
    uint64_t epoch;                             /* of its first item, from 0 */
    double divergence;                          /* of a VAE's posteriors from the standard normal distribution, a picture; else 0 */
    double exchange;                            /* seconds of it that were spent waiting for other ranks' gradients */
    mien_train_figures figures;                 /* of the pictures that were made after it */
    double score;                               /* of the last evaluation; NaN: none yet */
} mien_train_step;

typedef struct {
    uint64_t steps, images;                     /* done by this run of the program */
    uint64_t done;                              /* steps of the run in all; with steps 0: as many as were asked for, or more, were done before */
    double load, total, wait;                   /* seconds */
    double loss;                                /* smoothed, at the end */
    uint64_t failed;                            /* items that were left out: missing, broken or mismatched; the log was told of each */
    size_t peak_bytes;
    char checkpoint[MIEN_PATH];                 /* the newest one's folder; "": there is none */
    int rank, ranks;                            /* under mpirun: of how many; 0 of 1 otherwise */
    int elsewhere;                              /* it was another rank that failed, or was told to stop: that one, or rank 0, says so */
    int stopped;                                /* with MIEN_ERR_CANCELLED: what hooks.stop was set to, here or at the rank that was told to stop; 0: not known */
} mien_train_result;

typedef struct {
    const char *base, *control;                 /* files, folders or names of pulled models; control NULL: one is made of the base, as mien_init does */
    const char *data;                           /* the folder of prompt.jsonl, or a root that holds the original's folders */
    const char *output;                         /* the run's folder */
    mien_train_what what;
    int unlock_decoder, only_mid_control;       /* of a ControlNet */
    mien_prediction prediction;                 /* of the base; AUTO: as it says or, if it does not, for a ControlNet as one look at it does, for a base the noise */
    int freeze_text;                            /* of a base: the text encoder is not trained */
    int crop;                                   /* of a VAE: it is given windows of so many pixels, by chance, of the squares of `size`; 0: all of them */
    mien_vae_loss vae_loss;
    int measure_scale;                          /* of a VAE from scratch: its checkpoints say by which factor their latents have a variance of 1 */
    double kl_weight;                           /* of a VAE's divergence: 1e-6, in the proportion to the reconstruction that the original's has */
    int batch, accumulate;                      /* pictures of a micro-batch; micro-batches of a step */
    double rate;                                /* learning rate: 1e-5 */
    mien_rate schedule;
    uint64_t warmup;                            /* steps */
    uint64_t steps, epochs;                     /* one of them; both 0: until it is stopped */
    int size;                                   /* pixels: 512 */
    uint64_t seed;
    mien_dtype dtype;
    size_t memory;                              /* the most to be used, in bytes; 0: what the machine has free */
    mien_optimizer optimizer;
    double beta1, beta2, epsilon, decay;        /* 0.9, 0.999, 1e-8, 0.01 */
    double clip;                                /* the largest norm of the gradients; 0: any */
    double average;                             /* decay of the weights' average; 0: none */
    double prompt_dropout, min_snr, noise_offset;   /* 0: none */
    int redraw, mirror;
    const char *only, *exclude;                 /* lists of items; NULL: all */
    mien_train_cache cache;
    const char *cache_folder;                   /* NULL: cache, in the run's folder. Runs may share one */
    const char *replay;                         /* a file of items and draws; NULL: none */
    int resume, data_changed;
    uint64_t checkpoint_every, sheet_every;     /* steps: 5000, 2500; a sheet is made at the end, too; 0: none */
    const char *eval_data;                      /* of a ControlNet: a data set by which it is evaluated whenever sheets are made, best of items that it is not
                                                 * trained with; the best checkpoint is then the one of the best score. NULL: it is not */
    int eval_items;                             /* how many of its items: 8, those that mien_eval takes */
    double eval_cfg;                            /* guidance of these pictures: 9 */
    double checkpoint_minutes;                  /* 30 */
    int keep;                                   /* checkpoints: 5 */
    const char *cpu;
    int jobs;                                   /* threads of a step; 0: all cores */
    void (*step)(void *context, const mien_train_step *s);        /* hooks.context; may be NULL */
    void (*evaluated)(void *context, const char *line);           /* what an evaluation came to; may be NULL */
    void (*plan)(void *context, const char *line);                /* what memory and disk will be used, before the first step; may be NULL */
    void (*profile)(void *context, const char *line);
    mien_hooks hooks;                           /* progress counts steps */
} mien_train_options;

MIEN_API mien_train_options mien_train_defaults(void);      /* the original's, where it has such a setting */
MIEN_API const char *const *mien_rate_names(void);          /* "constant", "linear", "cosine"; NULL ends them */

/* Trains a ControlNet (or what else `what` says; control, redraw and what is said to be of another target are refused then) and keeps it in the run's folder, from where
 * it goes on after any end (resume). A base, or its VAE, is kept as the whole model that it is of, with what is trained in its place. MIEN_ERR_USAGE and
 * MIEN_ERR_EXISTS before any work; MIEN_ERR_LIMIT if memory or the disk does not suffice, with what would fit, or if a loss is not finite;
 * MIEN_ERR_CANCELLED by hooks.stop: a checkpoint was written. result may be NULL. */
MIEN_API int mien_train(const mien_train_options *options, mien_train_result *result);

/* ---- synth ------------------------------------------------------------------------------------------------------- */

typedef enum { MIEN_PICTURE_PNG, MIEN_PICTURE_JPG } mien_picture_format;

/* Seconds, summed over all workers. */
typedef struct { double draw, render, encode, write; } mien_synth_times;

typedef struct {
    const char *output;                         /* folder, made if needed */
    uint64_t seed, first, count;                /* pictures `first`, `first` + 1, ... of this seed's; first from 1 on */
    int width, height;                          /* 16..4096 */
    double yaw, pitch, roll;                    /* degrees, up to 45, 35 and 90: as far as heads turn to either side */
    double face_least, face_most;               /* 0.2..1: 18 cm of face as a fraction of the picture's shorter side */
    uint64_t identities;                        /* so many people and no more; 0: each picture has its own */
    int plain;                                  /* one colour behind the heads */
    mien_picture_format format;
    int quality;                                /* of JPEG */
    int no_metadata;                            /* pictures don't say that they were rendered */
    int force;                                  /* do all again, over whatever is there */
    const char *cpu;
    int jobs;                                   /* 0: all cores */
    int part, parts;                            /* this process does part 1..parts; 0: all */
    mien_hooks hooks;
    mien_synth_times *times;                    /* filled at the end; may be NULL */
} mien_synth_options;

/* 256x256, yaw 35, pitch 20, roll 25, face 0.42 to 0.66, PNG, quality 95, first 1; output is NULL, seed and count are 0. */
MIEN_API mien_synth_options mien_synth_defaults(void);

/* Renders faces by chance: for each a picture <seed>-<number>.png and a sidecar <seed>-<number>.json with a caption and all that is true of it, as mien_build
 * takes them. A picture follows from seed, number, settings and the renderer's version alone. What an earlier run made of the same is left alone, what it made of others is
 * replaced, and what anybody else made or changed is neither, unless forced. It counts replaced.
 * 0, or as mien_annotate. */
MIEN_API int mien_synth(const mien_synth_options *options, mien_progress *result);

/* ---- profile ------------------------------------------------------------------------------------------------------ */

/* Where the networks' time went: for each the kernels, with their time a run, GFLOP/s and GB/s, as lines of a table. Only
 * after mien_open with `profile`; pictures still being looked at are not counted. */
MIEN_API int mien_profile(const mien *m, void (*line)(void *context, const char *text), void *context);

/* ---- about this machine ------------------------------------------------------------------------------------------ */

/* Lines "name value" about the processor level and which kernels serve the face networks; m may be NULL: less of it. */
MIEN_API int mien_describe(const mien *m, void (*line)(void *context, const char *text), void *context);
/* The same about a file: a picture, a map that mien drew, landmarks JSON, or a model (file or folder), of which only
 * headers are read. */
MIEN_API int mien_describe_file(const char *path, void (*line)(void *context, const char *text), void *context);

#ifdef __cplusplus
}
#endif
#endif
