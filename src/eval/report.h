/* SPDX-License-Identifier: Apache-2.0
 *
 * What is reported of an evaluation, from its journals alone: everything is measured anew from the landmarks that they keep. The
 * same journals give the same numbers, in whatever order their lines stand.
 *
 * Groups: pictures with control; without it (same caption, same noise); the photos through the VAE; and the faces of the first
 * group beside the wanted face of another item, which is what a face is worth that nobody asked for. Where there is no control,
 * the pictures without it are judged. Of these, faces are compared wherever they are: nothing told them their place. */
#ifndef EVAL_REPORT_H
#define EVAL_REPORT_H

#include "eval/eval_inside.h"
#include "eval/judge.h"
#include "eval/statistics.h"

typedef enum { GROUP_CONTROL, GROUP_FREE, GROUP_PHOTO, GROUP_OTHERS, GROUPS } group_kind;
_Static_assert((int)GROUP_CONTROL == (int)EVAL_CONTROL && (int)GROUP_FREE == (int)EVAL_FREE
               && (int)GROUP_PHOTO == (int)EVAL_PHOTO, "a group of each kind");
extern const char *const group_word[GROUPS], *const group_title[GROUPS];    /* "control"; "with control" */

typedef struct {
    bool there, failed;
    judgement j;                         /* of faces at their places (match_most) */
    mien_face_judgement *anywhere;       /* of a picture without control: of faces wherever they are; j.wanted of them */
    char *why;                           /* it failed */
} report_picture;

typedef struct {
    const eval_item *item;
    bool known, from_photo;
    int width, height;
    char *prompt, *why;                  /* why: it cannot be used */
    faces wanted;
    report_picture *picture;             /* eval_slots of them */
} report_item;

typedef struct {
    size_t pictures, faces;              /* that were made; that were wanted in them. 0: no such group */
    /* Rates: pictures with any face; wanted faces that one answers at its place; pictures with as many faces as wanted. */
    estimate detected, answered, agree;
    estimate score;
    estimate mean[ERRORS], median[ERRORS];
    estimate correlation[READINGS], slope[READINGS];    /* of what was found over what was wanted; not of GROUP_OTHERS */
} report_group;

/* Means of the judged group by those of another, over the faces that both have. */
typedef struct { estimate ratio[ERRORS]; bool overlap[ERRORS]; } report_ratio;

typedef struct {
    const evaluation *v;
    report_item *item;                   /* as chosen */
    size_t n, measured, left_out, failed, from_photo;   /* failed: pictures */
    group_kind judged;
    report_group group[GROUPS];
    report_ratio against[GROUPS];        /* where that group is there, and is not the judged one */
} report;

/* The part of it that counts: of what was read. */
int  report_count(report *r);
int  report_make(const evaluation *v, report *out);
void report_free(report *r);

/* ---- as words and files: text grows, text_check tells ---- */

int  report_json(const report *r, text *out);
/* Lines for people, each told; NULL tells nothing. */
void report_table(const report *r, void (*line)(void *context, const char *text), void *context);
/* What was seen, in so many sentences; each without an end of line. */
enum { REPORT_SENTENCES = 5, REPORT_SENTENCE = 400 };
int  report_sentences(const report *r, char out[REPORT_SENTENCES][REPORT_SENTENCE]);
/* Self-contained. Pictures are read from the report's folder, maps and photos from the data set. */
int  report_html(evaluation *v, const report *r, text *out);

#endif
