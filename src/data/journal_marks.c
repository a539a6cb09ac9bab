/* SPDX-License-Identifier: Apache-2.0
 *
 * Which parts of a job have come to their end. A run of a part writes a line as it begins and one at its end:
 *
 *     {"mark":"begin","part":2,"parts":3,"time":"2026-11-30T12:00:00.123456Z"}
 *
 * Of each part the last one counts. A process that works alone is part 1 of 1, and writes "end" only, if it did anything.
 * Journals from before there were marks have none: nothing is known of these parts but that they are there. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "data/journal.h"

enum { PARTS_MOST = 1 << 20, TIME = 32, NAMED = 20 };

/* ---- writing ------------------------------------------------------------------------------------------------------- */

int journal_mark(journal *j, const char *mark, int part, int parts) {
    struct timespec now;
    struct tm utc;
    char when[TIME];
    clock_gettime(CLOCK_REALTIME, &now);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &utc));
    text line = { 0 };
    text_printf(&line, "{\"mark\":\"%s\",\"part\":%d,\"parts\":%d,\"time\":\"%s.%06ldZ\"}", mark, parts ? part : 1, parts ? parts : 1, when, now.tv_nsec / 1000);
    int rc = journal_append(j, &line);
    text_free(&line);
    return rc;
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

typedef enum { UNKNOWN, BEGUN, ENDED } state;
typedef struct { int part, parts; state state; char time[TIME]; } seen;
typedef struct { seen *at; size_t count, room; } all_seen;

static int by_round(const void *a, const void *b) {
    const seen *x = a, *y = b;
    return x->parts != y->parts ? (x->parts > y->parts) - (x->parts < y->parts) : (x->part > y->part) - (x->part < y->part);
}

/* Kept in order; there are as many as parts. */
static int note(all_seen *all, const seen *s) {
    size_t i = 0;
    while (i < all->count && by_round(&all->at[i], s) < 0) i++;
    if (i < all->count && by_round(&all->at[i], s) == 0) {
        if (s->state != UNKNOWN && strcmp(s->time, all->at[i].time) >= 0) all->at[i] = *s;
        return 0;
    }
    if (all->count == all->room) {
        size_t room = all->room ? 2 * all->room : 16;
        seen *grown = realloc(all->at, room * sizeof *grown);
        if (!grown) return error_memory(room * sizeof *grown);
        all->at = grown;
        all->room = room;
    }
    memmove(all->at + i + 1, all->at + i, (all->count++ - i) * sizeof *s);
    all->at[i] = *s;
    return 0;
}

static int take_line(void *context, const json_at *line) {
    json_at at;
    const char *mark, *time;
    long long part, parts;
    if (!json_field(line, "mark", &at) || json_need_string(&at, &mark) < 0) return 0;
    if (!json_field(line, "parts", &at) || json_need_integer(&at, 1, PARTS_MOST, &parts) < 0) return 0;
    if (!json_field(line, "part", &at) || json_need_integer(&at, 1, parts, &part) < 0) return 0;
    if (!json_field(line, "time", &at) || json_need_string(&at, &time) < 0) return 0;
    seen s = { (int)part, (int)parts, strcmp(mark, "end") == 0 ? ENDED : BEGUN, "" };
    snprintf(s.time, sizeof s.time, "%s", time);
    return note(context, &s);
}

/* Parts whose journals are there, marked or not. */
static int take_files(const char *folder, const char *kind, all_seen *all) {
    DIR *dir = opendir(folder);
    if (!dir) return errno == ENOENT ? 0 : error_errno("%s", folder);
    int rc = 0;
    size_t n = strlen(kind);
    for (const struct dirent *e; rc == 0 && (e = readdir(dir));) {
        seen s = { .state = UNKNOWN };
        int end = 0;
        if (strncmp(e->d_name, kind, n) != 0 || sscanf(e->d_name + n, ".%9d-of-%9d.jsonl%n", &s.part, &s.parts, &end) != 2) continue;
        if (end && !e->d_name[n + (size_t)end] && s.part >= 1 && s.part <= s.parts && s.parts <= PARTS_MOST) rc = note(all, &s);
    }
    closedir(dir);
    return rc;
}

/* ---- judging ------------------------------------------------------------------------------------------------------- */

/* The parts of one N, all that were seen of them. */
typedef struct { const seen *at; size_t count; int parts; } round_of;

static bool is_complete(const round_of *r) {
    if (r->count != (size_t)r->parts) return false;
    for (size_t i = 0; i < r->count; i++)
        if (r->at[i].state == BEGUN) return false;
    return true;
}

static round_of next_round(const all_seen *all, size_t from) {
    round_of r = { all->at + from, 1, all->at[from].parts };
    while (from + r.count < all->count && r.at[r.count].parts == r.parts) r.count++;
    return r;
}

/* Whether the work was done later by another number of parts, each of which ended after all that is known of these. */
static bool is_made_up_for(const all_seen *all, const round_of *r) {
    const char *last = "";
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->at[i].time, last) > 0) last = r->at[i].time;
    for (size_t at = 0; at < all->count;) {
        round_of other = next_round(all, at);
        at += other.count;
        bool later = other.parts != r->parts && is_complete(&other);
        for (size_t i = 0; later && i < other.count; i++) later = *other.at[i].time && strcmp(other.at[i].time, last) >= 0;
        if (later) return true;
    }
    return false;
}

typedef struct { text names; int n; } listing;

static void add(listing *l, int part) {
    if (l->n++ < NAMED) text_printf(&l->names, "%s%d", l->n > 1 ? ", " : "", part);
}

static void tell(const char *kind, int parts, listing *l, const char *one, const char *many, void (*say)(void *context, const char *message), void *context) {
    text message = { 0 };
    if (!l->n) return;
    text_printf(&message, "%s: part%s %s", kind, l->n == 1 ? "" : "s", l->names.size ? l->names.data : "");
    if (l->n > NAMED) text_printf(&message, " and %d more", l->n - NAMED);
    text_printf(&message, " of %d %s", parts, l->n == 1 ? one : many);
    if (text_check(&message) == 0) say(context, message.data);
    text_free(&message);
    text_free(&l->names);
}

static int judge(const char *kind, const round_of *r, void (*say)(void *context, const char *message), void *context) {
    listing missing = { .n = 0 }, unfinished = { .n = 0 };
    size_t i = 0;
    for (int part = 1; part <= r->parts; part++) {
        if (i == r->count || r->at[i].part != part) add(&missing, part);
        else if (r->at[i++].state == BEGUN) add(&unfinished, part);
    }
    tell(kind, r->parts, &missing, "was not found", "were not found", say, context);
    tell(kind, r->parts, &unfinished, "did not finish: start it again", "did not finish: start them again", say, context);
    return missing.n + unfinished.n;
}

int journal_unfinished(const char *folder, const char *kind, void (*say)(void *context, const char *message), void *context, int *out) {
    all_seen all = { 0 };
    *out = 0;
    int rc = journal_read(folder, kind, take_line, &all);
    if (rc == 0) rc = take_files(folder, kind, &all);
    for (size_t at = 0; rc == 0 && at < all.count;) {
        round_of r = next_round(&all, at);
        at += r.count;
        if (!is_complete(&r) && !is_made_up_for(&all, &r)) *out += judge(kind, &r, say, context);
    }
    free(all.at);
    return rc;
}
