/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/cli.h"

const char *const cpu_choices[] = { "best", "avx512bf16", "avx512", "avx2", "reference", NULL };

enum { MAX_OPTIONS = 64, FIRST_LONG = 256 };

/* ---- words --------------------------------------------------------------------------------------------------------- */

int misuse(const command_help *c, const char *format, ...) {
    char raw[1024], text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    fprintf(stderr, "mien%s%s: %s\n", c ? " " : "", c ? c->name : "", text_escape(text, sizeof text, raw));
    return EXIT_MISUSE;
}

/* How many letters must be changed, added, left out or swapped with their neighbour. */
static size_t distance(const char *a, const char *b) {
    enum { MOST = 40 };
    size_t n = strlen(a), m = strlen(b), d[MOST + 1][MOST + 1];
    if (n > MOST || m > MOST) return MOST;
    for (size_t i = 0; i <= n; i++) d[i][0] = i;
    for (size_t k = 0; k <= m; k++) d[0][k] = k;
    for (size_t i = 1; i <= n; i++)
        for (size_t k = 1; k <= m; k++) {
            size_t best = d[i - 1][k - 1] + (a[i - 1] != b[k - 1]);
            if (d[i - 1][k] + 1 < best) best = d[i - 1][k] + 1;
            if (d[i][k - 1] + 1 < best) best = d[i][k - 1] + 1;
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1] && d[i - 2][k - 2] + 1 < best) best = d[i - 2][k - 2] + 1;
            d[i][k] = best;
        }
    return d[n][m];
}

const char *nearest(const char *word, const char *const *names) {
    const char *best = NULL;
    size_t least = strlen(word) < 5 ? 2 : 3;   /* must be less than that */
    for (; *names; names++) {
        size_t d = strlen(word) >= 3 && strncmp(*names, word, strlen(word)) == 0 ? 1 : distance(word, *names);
        if (d < least) least = d, best = *names;
    }
    return best;
}

/* ---- help ---------------------------------------------------------------------------------------------------------- */

static void print_option(const option *o) {
    char left[256], letter[8] = "    ", choices[128] = "";
    if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
    for (const char *const *s = o->choices; s && *s && !o->argument; s++)
        snprintf(choices + strlen(choices), sizeof choices - strlen(choices), "%s%s", s == o->choices ? "" : "|", *s);
    const char *argument = o->argument ? o->argument : choices;
    const char *open = o->kind == OPTION_MAYBE ? "[=" : *argument ? " " : "", *close = o->kind == OPTION_MAYBE ? "]" : "";
    snprintf(left, sizeof left, "  %s--%s%s%s%s", letter, o->name, open, argument, close);
    if (strlen(left) > 29) printf("%s\n%31s%s\n", left, "", o->help);
    else printf("%-31s%s\n", left, o->help);
}

static void print_help(const command_help *c, const option *common, size_t n_common) {
    printf("Usage: mien %s %s\n\n%s\n\nOptions:\n", c->name, c->usage, c->about);
    for (size_t i = 0; i < c->n_options; i++) print_option(&c->options[i]);
    printf("\nOptions of every command:\n");
    for (size_t i = 0; i < n_common; i++) print_option(&common[i]);
    if (c->notes) printf("\n%s\n", c->notes);
}

/* ---- values -------------------------------------------------------------------------------------------------------- */

static bool parse_whole(const char *text, double least, double most, long long *out, char **end) {
    if (*text != '-' && (*text < '0' || *text > '9')) return false;   /* strtoll takes blanks and "+" */
    errno = 0;
    *out = strtoll(text, end, 10);
    if (errno || *end == text || (double)*out < least || (double)*out > most) return false;
    return most >= 0x1p62 || *out <= (long long)most;   /* a double has not every number beyond 2^53 */
}

/* Two whole numbers with a sign between: "640x480", "2/8". */
static bool parse_pair(const char *text, char sign, double least, double most, int out[2]) {
    char *end;
    long long a, b;
    if (!parse_whole(text, least, most, &a, &end) || *end != sign || !parse_whole(end + 1, least, most, &b, &end) || *end) return false;
    out[0] = (int)a;
    out[1] = (int)b;
    return true;
}

static bool parse_number(const char *text, double least, double most, double *out) {
    char *end;
    if (!strchr("0123456789.-", *text) || strpbrk(text, "xXnN")) return false;   /* no hexadecimal, no inf or nan */
    errno = 0;
    *out = strtod(text, &end);
    return errno == 0 && end != text && *end == 0 && *out >= least && *out <= most;
}

/* "0.5:0.8", or "0.6" for both. */
static bool parse_range(const char *text, double least, double most, double out[2]) {
    char first[64];
    const char *colon = strchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : strlen(text);
    if (n >= sizeof first) return false;
    memcpy(first, text, n);
    first[n] = 0;
    return parse_number(first, least, most, &out[0]) && parse_number(colon ? colon + 1 : first, out[0], most, &out[1]);
}

/* "640x512", or "512" for the short side: then the second is 0. */
static bool parse_size(const char *text, double least, double most, int out[2]) {
    char *end;
    long long side;
    if (parse_pair(text, 'x', least, most, out)) return true;
    if (!parse_whole(text, least, most, &side, &end) || *end) return false;
    out[0] = (int)side;
    out[1] = 0;
    return true;
}

/* "3G", "512M", "2.5 GB" without the blank: powers of 1000, as memory is sold and told here. */
static bool parse_bytes(const char *text, double least, double most, size_t *out) {
    static const char letters[] = "KMGT";
    char *end;
    if (*text < '0' || *text > '9' || strpbrk(text, "xXnN")) return false;
    errno = 0;
    double x = strtod(text, &end);
    const char *unit = *end ? strchr(letters, *end >= 'a' && *end <= 'z' ? *end - 'a' + 'A' : *end) : NULL;
    if (unit) end++;
    for (long i = 0; unit && i <= unit - letters; i++) x *= 1000;
    if (*end == 'B' || *end == 'b') end++;
    if (errno || *end || !(x >= least && x <= most)) return false;
    *out = (size_t)x;
    return true;
}

static int wrong_value(const command_help *c, const option *o, const char *text) {
    switch (o->kind) {
    case OPTION_INT:
    case OPTION_COUNT: return misuse(c, "--%s %s: a whole number from %.0f to %.0f was expected", o->name, text, o->least, o->most);
    case OPTION_LONG: return misuse(c, "--%s %s: a whole number from %.0f on was expected", o->name, text, o->least);
    case OPTION_SIZE: return misuse(c, "--%s %s: WIDTHxHEIGHT or one number, the short side, was expected, such as 512x640 or 512, from %.0f to %.0f", o->name, text, o->least, o->most);
    case OPTION_BYTES: return misuse(c, "--%s %s: a number of bytes was expected, such as 3G or 500M", o->name, text);
    case OPTION_NUMBER: return misuse(c, "--%s %s: a number from %g to %g was expected", o->name, text, o->least, o->most);
    case OPTION_WXH: return misuse(c, "--%s %s: WIDTHxHEIGHT was expected, such as 512x512, each from %.0f to %.0f", o->name, text, o->least, o->most);
    case OPTION_RANGE: return misuse(c, "--%s %s: A:B was expected, such as %g:%g, with A not more than B, each from %g to %g", o->name, text, o->least, o->most, o->least, o->most);
    case OPTION_I_OF_N: return misuse(c, "--%s %s: I/N was expected, such as 1/4, with I from 1 to N and N up to %.0f", o->name, text, o->most);
    default: break;
    }
    char all[512] = "";
    for (const char *const *s = o->choices; *s; s++)
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s", s == o->choices ? "" : s[1] ? ", " : " or ", *s);
    const char *near = nearest(text, o->choices);
    return misuse(c, "--%s %s: %s was expected%s%s%s", o->name, text, all, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

/* A letter of a choice, as people and other programs may write it: in capitals, with blanks or strokes, "DPM++" for dpmpp. */
static int letter_of(char c) { return c == ' ' || c == '-' ? '_' : c == '+' ? 'p' : c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; }

static bool same_choice(const char *a, const char *b) {
    while (*a && letter_of(*a) == letter_of(*b)) a++, b++;
    return !*a && !*b;
}

/* Which of the choices; -1: none. */
static int choice_of(const option *o, const char *text) {
    for (int i = 0; o->choices[i]; i++)
        if (same_choice(o->choices[i], text)) return i;
    return -1;
}

static int set_value(const command_help *c, const option *o, const char *text) {
    char *end;
    long long whole;
    bool right = true;
    switch (o->kind) {
    case OPTION_FLAG: *(int *)o->value = 1; break;
    case OPTION_TEXT: *(const char **)o->value = text; break;
    case OPTION_NUMBER: right = parse_number(text, o->least, o->most, o->value); break;
    case OPTION_WXH: right = parse_pair(text, 'x', o->least, o->most, o->value); break;
    case OPTION_INT:
        right = parse_whole(text, o->least, o->most, &whole, &end) && !*end;
        if (right) *(int *)o->value = (int)whole;
        break;
    case OPTION_LONG:
        right = parse_whole(text, o->least, o->most, &whole, &end) && !*end;
        if (right) *(long long *)o->value = whole;
        break;
    case OPTION_RANGE: right = parse_range(text, o->least, o->most, o->value); break;
    case OPTION_SIZE: right = parse_size(text, o->least, o->most, o->value); break;
    case OPTION_BYTES: right = parse_bytes(text, o->least, o->most, o->value); break;
    case OPTION_COUNT:
        right = parse_whole(text, o->least, o->most, &whole, &end) && !*end;
        if (right) *(size_t *)o->value = (size_t)whole;
        break;
    case OPTION_I_OF_N: {
        int *pair = o->value;
        right = parse_pair(text, '/', 1, o->most, pair) && pair[0] <= pair[1];
        break;
    }
    case OPTION_CHOICE:
        whole = choice_of(o, text);
        right = whole >= 0;
        if (right) *(int *)o->value = (int)whole;
        break;
    case OPTION_MAYBE:
        whole = *text ? choice_of(o, text) : -1;
        right = !*text || whole >= 0;
        if (right) *(const char **)o->value = *text ? o->choices[whole] : text;
        break;
    }
    return right ? 0 : wrong_value(c, o, text);
}

/* ---- the parser ---------------------------------------------------------------------------------------------------- */

/* What it is called in other programs for the same work. */
static const char *const foreign[][2] = {
    { "width", "size" }, { "height", "size" }, { "resolution", "size" }, { "guidance", "cfg" }, { "guidance-scale", "cfg" }, { "scale", "cfg" },
    { "num-images", "count" }, { "batch-size", "count" }, { "image", "photo" }, { "input", "photo" }, { "scheduler", "sampler" }, { "num-inference-steps", "steps" },
    { "model", "base" }, { "ckpt", "base" }, { "controlnet", "control" }, { "control-strength", "strength" }, { "controlnet-conditioning-scale", "strength" },
    { "precision", "dtype" }, { "neg", "negative" },
};

/* By another program's name, or with more behind it ("negative-prompt"); NULL if it is neither. */
static const char *named_otherwise(const char *word, const char *const *names) {
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        for (const char *const *s = names; *s && strcmp(word, foreign[i][0]) == 0; s++)
            if (strcmp(*s, foreign[i][1]) == 0) return *s;
    for (const char *const *s = names; *s; s++) {
        size_t n = strlen(*s);
        if (strncmp(word, *s, n) == 0 && word[n] == '-') return *s;
    }
    return NULL;
}

/* The option that `given` ("--max-face5=3", "-o") was probably meant to be, or NULL. */
static const option *meant(const option *const *all, size_t n, const char *given) {
    const char *names[MAX_OPTIONS + 1] = { 0 };
    char word[64];
    const char *bare = given + strspn(given, "-");
    snprintf(word, sizeof word, "%.*s", (int)strcspn(bare, "="), bare);
    bool output = strcmp(word, "o") == 0 || strcmp(word, "output") == 0;   /* where there is no such option, --data says it */
    for (size_t i = 0; i < n; i++) names[i] = all[i]->name;
    const char *near = output ? "data" : given[1] == '-' ? named_otherwise(word, names) : NULL;
    if (!near && given[1] == '-') near = nearest(word, names);
    for (size_t i = 0; i < n; i++)
        if (near && strcmp(all[i]->name, near) == 0) return all[i];
    return NULL;
}

static bool is_unset(const option *o) { return o->kind == OPTION_TEXT && !*(const char *const *)o->value; }

/* `next`: the argument after it, or NULL. True if that is its value: of no use either, and no mistake of its own. What it was
 * probably meant to say counts as said. */
static bool unknown_option(const command_help *c, const option *const *all, size_t n, const char *given, const char *next) {
    const option *near = meant(all, n, given);
    const char *equals = given[1] == '-' ? strchr(given, '=') : NULL, *value = equals ? equals + 1 : NULL;
    bool taken = !equals && next && *next != '-' && (near ? near->kind != OPTION_FLAG && near->kind != OPTION_MAYBE : access(next, F_OK) != 0);
    if (taken) value = next;
    if (near) misuse(c, "%s: no such option; did you mean --%s?", given, near->name);
    else misuse(c, "%s: no such option", given);
    if (near && value && is_unset(near)) *(const char **)near->value = value;
    return taken;
}

/* Arguments of a command that has none: what options they were probably meant for, and count as. */
static void stray_arguments(const command_help *c, int n, char **argv) {
    const option *data = NULL, *output = NULL;
    for (size_t i = 0; i < c->n_options; i++) {
        if (strcmp(c->options[i].name, "data") == 0) data = &c->options[i];
        if (strcmp(c->options[i].name, "output") == 0) output = &c->options[i];
    }
    for (int i = 0; i < n; i++) {
        const option *o = data && is_unset(data) ? data : output && is_unset(output) ? output : NULL;
        if (!o) misuse(c, "%s: nothing but options was expected", argv[i]);
        else misuse(c, "%s: did you mean %s %s?", argv[i], o == data ? "--data" : "-o", argv[i]);
        if (o) *(const char **)o->value = argv[i];
    }
}

static int argument_of(const option *o) { return o->kind == OPTION_FLAG ? no_argument : o->kind == OPTION_MAYBE ? optional_argument : required_argument; }

int options_parse(const command_help *c, common_options *common, int argc, char **argv, int *rest) {
    *common = (common_options){ 0 };
    const option shared[] = {
        { "jobs", 'j', OPTION_INT, &common->jobs, 1, 4096, "N", "use N threads (default: all cores)", NULL },
        { "cpu", 0, OPTION_CHOICE, &common->cpu, 0, 0, "LEVEL", "best, avx512bf16, avx512, avx2 or reference: at most these kernels", cpu_choices },
        { "quiet", 'q', OPTION_FLAG, &common->quiet, 0, 0, NULL, "print failures only", NULL },
        { "log-json", 0, OPTION_FLAG, &common->log_json, 0, 0, NULL, "print one JSON object a line", NULL },
        { "profile", 0, OPTION_FLAG, &common->profile, 0, 0, NULL, "print on stderr where the time went", NULL },
        { "timings", 0, OPTION_TEXT, &common->timings, 0, 0, "FILE.json", "write the same as JSON, with the peak of memory", NULL },
    };
    enum { SHARED = sizeof shared / sizeof *shared };
    const option *all[MAX_OPTIONS];
    size_t n = 0;
    for (size_t i = 0; i < c->n_options; i++) all[n++] = &c->options[i];
    for (size_t i = 0; i < SHARED; i++) all[n++] = &shared[i];

    struct option longs[MAX_OPTIONS + 2] = { 0 };
    char letters[2 * MAX_OPTIONS + 4] = ":h";
    for (size_t i = 0; i < n; i++) {
        longs[i] = (struct option){ all[i]->name, argument_of(all[i]), NULL, FIRST_LONG + (int)i };
        if (all[i]->letter) sprintf(letters + strlen(letters), "%c%s", all[i]->letter, all[i]->kind == OPTION_FLAG ? "" : ":");
    }
    longs[n] = (struct option){ "help", no_argument, NULL, 'h' };

    int wrong = 0;
    opterr = 0;
    optind = 0;   /* start over, permuting: glibc */
    for (int got; (got = getopt_long(argc, argv, letters, longs, NULL)) != -1;) {
        if (got == 'h') return print_help(c, shared, SHARED), EXIT_DONE;
        const option *o = NULL;
        for (size_t i = 0; i < n; i++)
            if (got == FIRST_LONG + (int)i || got == all[i]->letter || ((got == ':' || got == '?') && optopt == FIRST_LONG + (int)i) ||
                (got == ':' && optopt && optopt == all[i]->letter))
                o = all[i];
        if (got == ':') misuse(c, "--%s: a value was expected", o ? o->name : "?"), wrong = 1;
        else if (got == '?' && o) misuse(c, "--%s takes no value", o->name), wrong = 1;
        else if (got == '?') {
            char letter[3] = { '-', (char)optopt, 0 };
            optind += unknown_option(c, all, n, optopt ? letter : argv[optind - 1], optind < argc ? argv[optind] : NULL);
            wrong = 1;
        } else {
            if (o->kind == OPTION_MAYBE && !optarg) optarg = optind < argc && choice_of(o, argv[optind]) >= 0 ? argv[optind++] : "";
            if (set_value(c, o, optarg)) wrong = 1;
        }
    }
    *rest = optind;
    if (*c->usage == '-' && optind < argc) {
        stray_arguments(c, argc - optind, argv + optind);
        *rest = argc;
        wrong = 1;
    }
    common->wrong = wrong;
    return -1;
}

int misuse_end(const command_help *c) {
    fprintf(stderr, "Try 'mien %s --help'.\n", c->name);
    return EXIT_MISUSE;
}
