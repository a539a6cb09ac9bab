/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "mien.h"

static const char notes[] =
    "A line is bad, and the exit status 3, for the first of these reasons that applies:\n"
    "  broken_line       it is no {\"source\", \"target\", \"prompt\"}\n"
    "  removed           it was removed for good (removed.jsonl) and is here again; --fix removes it once more\n"
    "  source_missing, source_broken, target_missing, target_broken\n"
    "                    map or photo is not there, or can't be decoded to its end\n"
    "  unreadable        a file can't be read now; --fix leaves the line where it is\n"
    "  aspect_changed    the photo isn't its map's shape (by more than 1%): the original stretches it silently\n"
    "  landmarks_broken, landmarks_differ\n"
    "                    the JSON beside the map can't be read, or the map is not what it gives\n"
    "  faces_differ      the map's faces are not where the photo has them, within 5% of the distance between the eyes: by\n"
    "                    their landmarks, or without a JSON by the pupils in the map\n"
    "  target_twice, duplicate\n"
    "                    the same photo as that of an earlier line, by name or by its bytes\n"
    "  near_duplicate    it looks like that of an earlier line: bad with --reject-near-duplicates, else a note\n"
    "Notes are counted, and named with --notes or --log-json: rescaled (same shape, other size), prompt_empty (training takes \"an image\"),\n"
    "more_faces (than the map shows), faces_unknown (a map without pupils to compare), other_photo (the JSON names another file's\n"
    "hash), unnamed_file (in source/ or target/, and in no line).\n"
    "--fix keeps prompt.jsonl.bak (.bak.2, ... if there is one). With --exclude it deletes what is listed: photos, maps, landmarks,\n"
    "overlays, lines, entries of metadata.json and the journals, members of shards, and remembers ids, URLs and hashes in\n"
    "removed.jsonl, so that neither download nor build brings them back. Without --fix and --merge nothing is written.";

typedef struct {
    common_options common;
    mien_check_options job;
    int no_faces, notes;
} arguments;

static int parse(arguments *a, int argc, char **argv) {
    mien_check_options *j = &a->job;
    const option options[] = {
        { "data", 0, OPTION_TEXT, &j->data, 0, 0, "DIR", "the data set's folder", NULL },
        { "fix", 0, OPTION_FLAG, &j->fix, 0, 0, NULL, "move bad lines to prompt.rejected.jsonl; delete what --exclude lists", NULL },
        { "dry-run", 0, OPTION_FLAG, &j->dry_run, 0, 0, NULL, "with --fix: say what would be done, and do nothing", NULL },
        { "remove-unnamed", 0, OPTION_FLAG, &j->remove_unnamed, 0, 0, NULL, "with --fix: delete files of the set that no line names", NULL },
        { "notes", 0, OPTION_FLAG, &a->notes, 0, 0, NULL, "name what is noted, too, not only what is bad", NULL },
        { "only", 0, OPTION_TEXT, &j->only, 0, 0, "LIST", "check only these ids, URLs, domains or SHA-256, one a line", NULL },
        { "exclude", 0, OPTION_TEXT, &j->exclude, 0, 0, "LIST", "leave these out; with --fix, remove them for good", NULL },
        { "no-faces", 0, OPTION_FLAG, &a->no_faces, 0, 0, NULL, "do not look for faces in the photos: about twice as fast, without models", NULL },
        { "reject-near-duplicates", 0, OPTION_FLAG, &j->reject_near_duplicates, 0, 0, NULL, "photos that look the same are bad, except the first", NULL },
        { "merge", 0, OPTION_FLAG, &j->merge, 0, 0, NULL, "check nothing: make one of what the parts of download and build did", NULL },
        { "max-pixels", 0, OPTION_COUNT, &j->max_pixels, 1, 4e9, "N", "refuse pictures with more pixels (default 178956970, as Pillow)", NULL },
    };
    const command_help help = {
        "check", "--data DIR [OPTION...]", "Looks at every line of a data set: what is missing, broken, mismatched or there twice.", options,
        sizeof options / sizeof *options, notes,
    };
    int rest;
    int status = options_parse(&help, &a->common, argc, argv, &rest);
    if (status >= 0) return status;
    int wrong = a->common.wrong;
    if (rest != argc) wrong |= misuse(&help, "%s: nothing but options was expected", argv[rest]);
    if (!j->data || !*j->data) wrong |= misuse(&help, "--data DIR is missing: the data set");
    if (j->dry_run && !j->fix) wrong |= misuse(&help, "--dry-run: says what --fix would do, so it needs that");
    if (j->remove_unnamed && !j->fix) wrong |= misuse(&help, "--remove-unnamed: is a part of --fix (try --dry-run with both first)");
    if (j->remove_unnamed && j->only) wrong |= misuse(&help, "--remove-unnamed: needs all lines, so it does not go with --only");
    if (j->merge && (j->fix || j->only || j->exclude || j->reject_near_duplicates || a->no_faces)) wrong |= misuse(&help, "--merge checks nothing: it goes with --data only");
    wrong |= timings_check(&help, &a->common, NULL, j->data);
    if (wrong) return misuse_end(&help);
    j->jobs = a->common.jobs;
    return -1;
}

/* ---- what it prints ------------------------------------------------------------------------------------------------- */

static void print_counts_json(const char *name, const mien_count *count, int n) {
    printf(",\"%s\":{", name);
    const char *comma = "";
    for (int i = 0; i < n; i++) {
        printf("%s\"%s\":%" PRIu64, comma, count[i].name, count[i].n);
        comma = ",";
    }
    printf("}");
}

static void print_json(const arguments *a, const mien_check_result *r, bool whole) {
    const mien_progress *p = &r->progress;
    printf("{\"event\":\"%s\",\"lines\":%" PRIu64 ",\"fine\":%" PRIu64 ",\"bad_lines\":%" PRIu64 ",\"left_out\":%" PRIu64, whole ? "summary" : "stopped", p->total, p->done,
           p->failed, p->skipped);
    print_counts_json("bad", p->count, r->n_bad);
    print_counts_json("notes", p->count + r->n_bad, p->n_counts - r->n_bad);
    printf(",\"left\":%" PRIu64 ",\"unnamed_removed\":%" PRIu64 ",\"moved\":%" PRIu64 ",\"backup\":\"%s\",\"removed\":{\"items\":%" PRIu64 ",\"files\":%" PRIu64 ",\"lines\":%" PRIu64 "},\"dry_run\":%s,\"seconds\":%.3f}\n", r->left, r->unnamed_removed, r->moved,
           r->backup, r->removed, r->removed_files, r->removed_lines, a->job.dry_run ? "true" : "false", p->seconds);
}

/* Whether there was anything to print. */
static bool print_table(const char *title, const mien_count *count, int n) {
    for (int i = 0; i < n; i++)
        if (count[i].n) {
            if (title) printf("%s\n", title);
            title = NULL;
            printf("  %-17s %10" PRIu64 "\n", count[i].name, count[i].n);
        }
    return !title;
}

static const char *plural(uint64_t n) { return n == 1 ? "" : "s"; }

static void print_text(const arguments *a, const mien_check_result *r, bool whole) {
    const mien_progress *p = &r->progress;
    const char *would = a->job.dry_run ? "would be " : "";
    printf("%s%" PRIu64 " line%s: %" PRIu64 " fine, %" PRIu64 " bad", whole ? "" : "stopped: ", p->total, plural(p->total), p->done, p->failed);
    if (p->skipped) printf(", %" PRIu64 " left out", p->skipped);
    printf("; %.1f s\n", p->seconds);
    print_table("bad:", p->count, r->n_bad);
    if (print_table("notes:", p->count + r->n_bad, p->n_counts - r->n_bad) && !a->notes) printf("--notes names what was noted\n");
    if (r->moved && a->job.fix)
        printf("%" PRIu64 " line%s %smoved to prompt.rejected.jsonl%s%s\n", r->moved, plural(r->moved), would, *r->backup ? "; before: " : "", r->backup);
    if (r->unnamed_removed) printf("%" PRIu64 " file%s %sremoved that no line names\n", r->unnamed_removed, plural(r->unnamed_removed), would);
    if (r->removed || r->removed_files || r->removed_lines)
        printf("%" PRIu64 " item%s %sremoved for good: %" PRIu64 " file%s, %" PRIu64 " line%s and entries of lists\n", r->removed, plural(r->removed), would, r->removed_files,
               plural(r->removed_files), r->removed_lines, plural(r->removed_lines));
}

static void print_merged(const arguments *a, const mien_check_result *r) {
    if (a->common.log_json) {
        printf("{\"event\":\"summary\",\"merged\":%d,\"unfinished\":%d,\"lines\":%" PRIu64 ",\"rejected_by_check_before\":%" PRIu64 ",\"seconds\":%.3f}\n", r->merged, r->unfinished,
               r->merged_lines, r->merged_rejected, r->progress.seconds);
        return;
    }
    printf("%d journal%s merged", r->merged, plural((uint64_t)r->merged));
    if (r->merged_lines || r->merged_rejected) printf("; prompt.jsonl has %" PRIu64 " line%s", r->merged_lines, plural(r->merged_lines));
    if (r->merged_rejected) printf(", rejected by check before: %" PRIu64, r->merged_rejected);
    printf("\n");
}

static void print_summary(const arguments *a, const mien_check_result *r, bool whole) {
    if (a->common.quiet) return;
    if (a->job.merge) print_merged(a, r);
    else if (a->common.log_json) print_json(a, r, whole);
    else print_text(a, r, whole);
}

/* ---- the job -------------------------------------------------------------------------------------------------------- */

static int run(arguments *a, double begin) {
    mien *m = NULL;
    const mien_options how = { .cpu = cpu_choices[a->common.cpu], .profile = a->common.profile };
    if (!a->no_faces && !a->job.merge && mien_open(&how, &m) < 0) return work_failed(&a->common);
    double loaded = clock_seconds();
    mien_check_times t = { 0 };
    mien_check_result result = { 0 };
    progress shown;
    progress_begin(&shown, &a->common, "lines");
    shown.notes = a->notes && !a->common.quiet;
    a->job.hooks = progress_hooks(&shown);
    a->job.times = &t;
    catch_signals();
    int rc = mien_check(m, &a->job, &result);
    progress_end(&shown);
    int status = job_status(&a->common, rc, result.left + (uint64_t)result.unfinished);
    if (rc == 0 || (rc == MIEN_ERR_CANCELLED && result.progress.total)) print_summary(a, &result, rc == 0);
    timings where = {
        .load = loaded - begin, .total = clock_seconds() - begin, .images = result.progress.done + result.progress.failed,
        .part = { { "read", t.read }, { "decode", t.decode }, { "find", t.find }, { "compare", t.compare } },
        .n_parts = 4,
    };
    int failed = rc == MIEN_ERR_USAGE ? 0 : timings_report(&a->common, &where);
    profile_networks(&a->common, m);
    mien_close(m);
    return status ? status : failed;
}

int command_check(int argc, char **argv) {
    double begin = clock_seconds();
    arguments a = { 0 };
    int status = parse(&a, argc, argv);
    return status >= 0 ? status : run(&a, begin);
}
