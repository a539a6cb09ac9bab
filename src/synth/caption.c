/* SPDX-License-Identifier: Apache-2.0 */
#include "synth/caption.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "synth/chance.h"

enum { CLAUSES = 16, CLAUSE_ROOM = 64 };
typedef struct { char said[CLAUSES][CLAUSE_ROOM]; int n; } clauses;

static void __attribute__((format(printf, 2, 3))) say(clauses *k, const char *format, ...) {
    va_list args;
    va_start(args, format);
    if (k->n < CLAUSES) vsnprintf(k->said[k->n++], CLAUSE_ROOM, format, args);
    va_end(args);
}

static const char *age_word(const synth_face *f) { return f->age < 0.27f ? "young " : f->age > 0.66f ? "old " : ""; }

/* ---- the face ---------------------------------------------------------------------------------------------------------- */

static float least(const float sides[2]) { return sides[0] < sides[1] ? sides[0] : sides[1]; }
static float most(const float sides[2]) { return sides[0] > sides[1] ? sides[0] : sides[1]; }

static bool winks(const synth_face *f) { return least(f->eyes) == 0 && most(f->eyes) > 0.5f; }

/* One word for the whole of it, or "". */
static const char *mood_word(const synth_face *f) {
    bool calm = f->smile > -0.15f && f->smile < 0.3f;
    if (winks(f)) return "winking";
    if (f->smile > 0.5f && f->mouth > 0.35f) return "laughing";
    if (f->smile > 0.35f) return "smiling";
    if (calm && f->mouth > 0.28f && least(f->brows) > 0.5f && least(f->eyes) > 0.95f) return "surprised";
    if (f->smile < 0.1f && most(f->brows) < -0.5f && most(f->eyes) > 0) return "angry";
    if (f->smile < -0.25f) return most(f->brows) > -0.2f && f->mouth < 0.3f ? "sad" : "frowning";
    return "";
}

/* Where the eyes look as seen in the picture: degrees right and up of the camera. The eyes turn with the head, which
 * leans last. */
static void look(const synth_face *f, double *right, double *up) {
    /* |r| is small, or nothing is said */
    double r = (double)f->roll * 0.017453292519943295, c = 1 - r * r / 2 + r * r * r * r / 24,
        s = r - r * r * r / 6 + r * r * r * r * r / 120;
    double x = (double)f->yaw + (double)(f->gaze_x[0] + f->gaze_x[1]) / 2,
        y = (double)f->pitch + (double)(f->gaze_y[0] + f->gaze_y[1]) / 2;
    *right = x * c + y * s;
    *up = y * c - x * s;
}

static void say_gaze(clauses *k, const synth_face *f) {
    double right, up;
    if (most(f->eyes) == 0) {
        say(k, "eyes closed");
        return;
    }
    if (most(f->eyes) < 0.5f || f->roll > 40 || f->roll < -40) return;
    look(f, &right, &up);
    const char *x = right > 14 ? "right" : right < -14 ? "left" : "", *y = up > 11 ? "up" : up < -11 ? "down" : "";
    bool straight_x = right > -7 && right < 7, straight_y = up > -6 && up < 6;
    if (*x && *y) say(k, "looking %s and %s", y, x);
    else if ((*x && straight_y) || (*y && straight_x)) say(k, "looking %s%s", x, y);
    else if (straight_x && straight_y) say(k, "looking at the camera");
}

static void say_mouth(clauses *k, const synth_face *f, chance *c) {
    if (f->mouth > 0.65f) say(k, "mouth wide open");
    else if (f->mouth > 0.25f) say(k, "mouth open");
    else if (f->mouth == 0 && chance_of(c, 0.4)) say(k, "mouth closed");
}

static void say_brows(clauses *k, const synth_face *f) {
    if (least(f->brows) > 0.55f) say(k, "brows raised");
    else if (most(f->brows) < -0.55f) say(k, "brows lowered");
    else if (most(f->brows) > 0.55f && least(f->brows) < 0.1f) say(k, "one brow raised");
}

static void say_eyes(clauses *k, const synth_draw *d) {
    const synth_face *f = &d->face;
    if (least(f->eyes) > 1.12f) say(k, "eyes wide open");
    else if (most(f->eyes) < 0.55f && least(f->eyes) > 0) say(k, "eyes half closed");
    else if (least(f->eyes) > 0.75f) say(k, "%s eyes", synth_eye_words[d->eye_colour]);
}

static void say_head(clauses *k, const synth_face *f) {
    if (f->yaw > 12) say(k, "head turned right");
    else if (f->yaw < -12) say(k, "head turned left");
    if (f->pitch > 10) say(k, "head up");
    else if (f->pitch < -10) say(k, "head down");
    if (f->roll > 9) say(k, "head tilted right");
    else if (f->roll < -9) say(k, "head tilted left");
}

/* ---- the person and what is round it --------------------------------------------------------------------------------------- */

/* What follows "with", or "" where there is no hair. */
static void hair_words(const synth_draw *d, char out[CLAUSE_ROOM]) {
    static const char *const with[SYNTH_HAIRS] = {
        [SYNTH_HAIR_BALD] = "", [SYNTH_HAIR_SHAVED] = "very short %s hair", [SYNTH_HAIR_SHORT] = "short %s hair",
        [SYNTH_HAIR_FRINGE] = "%s hair and a fringe",
        [SYNTH_HAIR_CURLY] = "curly %s hair", [SYNTH_HAIR_BOB] = "a %s bob", [SYNTH_HAIR_LONG] = "long %s hair",
        [SYNTH_HAIR_BUN] = "%s hair in a bun",
    };
    const char *at = strstr(with[d->face.hair], "%s"), *form = with[d->face.hair];
    out[0] = 0;
    if (at) snprintf(out, CLAUSE_ROOM, "%.*s%s%s", (int)(at - form), form, synth_hair_words[d->hair_colour], at + 2);
}

static void say_extras(clauses *k, const synth_draw *d, chance *c) {
    static const char *const beards[SYNTH_BEARDS] = { "", "stubble", "a moustache", "a goatee", "a beard" };
    const synth_face *f = &d->face;
    if (f->beard && chance_of(c, 0.8)) say(k, "%s", beards[f->beard]);
    if (f->glasses && chance_of(c, 0.85)) say(k, "glasses");
    if (f->freckles > 0.5f && chance_of(c, 0.5)) say(k, "freckles");
    if (d->lipstick && chance_of(c, 0.6)) say(k, "red lips");
    if (chance_of(c, 0.2)) say(k, "%s skin", synth_skin_words[d->skin]);
}

static const char *article(const char *word) { return strchr("aeiou", *word) ? "an" : "a"; }

/* Shoulders begin about 12 cm below the middle of the face; what they wear is told if some of it is to be seen. */
static bool clothes_are_seen(const synth_face *f, const synth_draw_settings *s) {
    float shorter = (float)(s->width < s->height ? s->width : s->height);
    float below = ((float)s->height / shorter / 2 + f->offset_y) * 18 / f->size;
    return below > 16.5f;
}

static void say_surroundings(clauses *k, const synth_draw *d, const synth_draw_settings *s, chance *c) {
    static const char *const clothes[SYNTH_CLOTHES_KINDS] = { "t-shirt", "turtleneck", "v-neck", "striped shirt" };
    const char *paint = synth_paint_words[d->clothes_paint], *behind = synth_paint_words[d->background_paint];
    const synth_face *f = &d->face;
    if (chance_of(c, 0.35) && clothes_are_seen(f, s)) {
        if (f->clothes == SYNTH_CLOTHES_STRIPES) say(k, "wearing a striped shirt");
        else say(k, "wearing %s %s %s", article(paint), paint, clothes[f->clothes]);
    }
    if (!chance_of(c, 0.4)) return;
    switch (f->background) {
    case SYNTH_BACKGROUND_PLAIN: say(k, "plain %s background", behind); break;
    case SYNTH_BACKGROUND_BOKEH: say(k, "%s background with lights", behind); break;
    case SYNTH_BACKGROUND_BLOCKS: say(k, "%s background with blocks", behind); break;
    case SYNTH_BACKGROUND_CLOUDS: say(k, "cloudy %s background", behind); break;
    default: say(k, "%s background", behind); break;
    }
}

/* ---- the whole --------------------------------------------------------------------------------------------------------- */

static void shuffle(clauses *k, chance *c) {
    char kept[CLAUSE_ROOM];
    for (int i = k->n - 1; i > 0; i--) {
        int other = (int)(chance_bits(c) % (uint64_t)(i + 1));
        memcpy(kept, k->said[i], CLAUSE_ROOM);
        memmove(k->said[i], k->said[other], CLAUSE_ROOM);
        memcpy(k->said[other], kept, CLAUSE_ROOM);
    }
}

/* "with long red hair, glasses and freckles" */
static void add_list(text *out, const clauses *k) {
    for (int i = 0; i < k->n; i++) text_printf(out, "%s%s", i == 0 ? " with " : i + 1 < k->n ? ", " : " and ", k->said[i]);
}

static const char *person_word(const synth_draw *d, chance *c) {
    return chance_of(c, 0.08) ? "person" : d->woman ? "woman" : "man";
}

/* "a smiling young bald man with glasses" */
static void add_subject(text *out, const synth_draw *d, bool alone, chance *c) {
    const synth_face *f = &d->face;
    const char *mood = chance_of(c, 0.85) ? mood_word(f) : "", *age = chance_of(c, 0.75) ? age_word(f) : "",
        *person = person_word(d, c);
    const char *bald = f->hair == SYNTH_HAIR_BALD && chance_of(c, 0.85) ? "bald " : "";
    char hair[CLAUSE_ROOM], all[128];
    snprintf(all, sizeof all, "%s%s%s%s%s", mood, *mood ? " " : "", age, bald, person);
    text_printf(out, "%s %s", article(all), all);
    clauses with = { .n = 0 };
    hair_words(d, hair);
    if (*hair && !alone && chance_of(c, 0.85)) say(&with, "%s", hair);
    if (!alone) say_extras(&with, d, c);
    add_list(out, &with);
}

/* Words alone: "woman, young, smiling, red hair". */
static void add_tags(text *out, const synth_draw *d, clauses *k, chance *c) {
    const char *mood = mood_word(&d->face), *age = age_word(&d->face);
    char hair[CLAUSE_ROOM];
    hair_words(d, hair);
    if (*mood) say(k, "%s", mood);
    if (*age) say(k, "%.*s", (int)strlen(age) - 1, age);
    if (*hair) say(k, "%s", hair);
    else say(k, "bald");
    say_extras(k, d, c);
    shuffle(k, c);
    text_add(out, person_word(d, c));
}

void synth_caption(uint64_t seed, uint64_t number, const synth_draw_settings *s, const synth_draw *d, text *out) {
    static const char *const beginnings[] = { "", "a portrait of ", "a picture of ", "a 3d render of " };
    static const double beginning_weight[] = { 0.6, 0.18, 0.12, 0.1 };
    enum { EMPTY, ALONE, TAGS, SENTENCE, FORMS };
    static const double form_weight[FORMS] = { 0.02, 0.08, 0.15, 0.75 };
    chance c = chance_begin(seed, number, "caption");
    text_add(out, "");
    int form = chance_pick(&c, form_weight, FORMS), beginning = chance_pick(&c, beginning_weight, 4);
    if (form == EMPTY) return;
    clauses k = { .n = 0 };
    if (form != ALONE) {
        if (chance_of(&c, 0.85)) say_gaze(&k, &d->face);
        if (chance_of(&c, 0.8)) say_mouth(&k, &d->face, &c);
        if (chance_of(&c, 0.55)) say_brows(&k, &d->face);
        if (chance_of(&c, 0.35)) say_eyes(&k, d);
        if (chance_of(&c, 0.6)) say_head(&k, &d->face);
        say_surroundings(&k, d, s, &c);
    }
    if (form == TAGS) {
        add_tags(out, d, &k, &c);
    } else {
        shuffle(&k, &c);
        text_add(out, beginnings[beginning]);
        add_subject(out, d, form == ALONE, &c);
    }
    for (int i = 0; i < k.n; i++) text_printf(out, ", %s", k.said[i]);
}
