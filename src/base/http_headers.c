/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "base/http_inside.h"

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_space(char c) { return c == ' ' || c == '\t'; }

/* ---- opting out -------------------------------------------------------------------------------------------------------- */

static bool word_is(const char *word, size_t size, const char *name) { return strlen(name) == size && strncasecmp(word, name, size) == 0; }

static bool any_of(const char *word, size_t size, const char *const *names) {
    for (; *names; names++)
        if (word_is(word, size, *names)) return true;
    return false;
}

/* "noai, noimageai", "otherbot: noindex, nofollow, mien: noai": a word before a colon says whose the following are, unless
 * it is one of those that have a value. Words may be separated by spaces or semicolons too: whoever writes "noai noimageai"
 * means it. */
static bool robots_tag_opts_out(const char *at) {
    static const char *const out[] = { "noai", "noimageai", "noindex", "noimageindex", "none", NULL };
    static const char *const valued[] = { "unavailable_after", "max-snippet", "max-image-preview", "max-video-preview", NULL };
    bool mine = true, first = true;      /* first: of those between two commas */
    while (*at) {
        if (*at == ',' || *at == ';' || is_space(*at)) {
            if (!is_space(*at)) first = true;
            at++;
            continue;
        }
        const char *word = at;
        at += strcspn(at, ",;: \t");
        size_t size = (size_t)(at - word);
        const char *after = at + strspn(at, " \t");
        if (*after != ':') {
            if (mine && any_of(word, size, out)) return true;
        } else if (first && size && !is_digit(*word) && !any_of(word, size, valued)) {
            mine = word_is(word, size, "mien") || word_is(word, size, "*") || (size > 5 && strncasecmp(word, "mien/", 5) == 0);
            at = after + 1;
            continue;    /* what follows is the first of its own */
        } else {
            at = after + strcspn(after, ",;");   /* a value; a date has colons in it */
        }
        first = false;
    }
    return false;
}

static bool reservation_opts_out(const char *value) {
    value += strspn(value, " \t");
    return *value == '1' && !is_digit(value[1]) && value[1] != '.';
}

bool http_header_opts_out(const char *name, const char *value) {
    if (strcasecmp(name, "x-robots-tag") == 0) return robots_tag_opts_out(value);
    return strcasecmp(name, "tdm-reservation") == 0 && reservation_opts_out(value);
}

/* ---- Retry-After --------------------------------------------------------------------------------------------------------- */

typedef struct { int year, month, day, hour, minute, second; } date;   /* month, day: from 1 */

static int64_t unix_time(const date *d) {
    /* Days since 1 March of year 0, then of 1970: leap days come last so. */
    int64_t year = d->year - (d->month <= 2), month = (d->month + 9) % 12;
    int64_t days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + d->day - 1 - 719468;
    return ((days * 24 + d->hour) * 60 + d->minute) * 60 + d->second;
}

static const char *skip(const char *s, const char *bytes) { return s + strspn(s, bytes); }

/* At most `most` digits; NULL if there are none. */
static const char *read_digits(const char *s, int most, int *out) {
    if (!is_digit(*s)) return NULL;
    for (*out = 0; most > 0 && is_digit(*s); most--) *out = *out * 10 + (*s++ - '0');
    return is_digit(*s) ? NULL : s;
}

static const char *read_month(const char *s, int *out) {
    static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";
    for (*out = 1; *out <= 12; ++*out)
        if (strncasecmp(s, names + 3 * (*out - 1), 3) == 0) return s + 3;
    return NULL;
}

static const char *read_time(const char *s, date *d) {
    s = read_digits(s, 2, &d->hour);
    if (s && *s == ':') s = read_digits(s + 1, 2, &d->minute);
    else return NULL;
    return s && *s == ':' ? read_digits(s + 1, 2, &d->second) : NULL;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994". */
static bool read_date(const char *s, int64_t *out) {
    date d;
    s += strcspn(s, ", ");
    s = skip(s, ", ");
    if (is_digit(*s)) {
        s = read_digits(s, 2, &d.day);
        if (s) s = read_month(skip(s, " -"), &d.month);
        if (s) s = read_digits(skip(s, " -"), 4, &d.year);
        if (s) s = read_time(skip(s, " "), &d);
        if (s && d.year < 100) d.year += d.year < 70 ? 2000 : 1900;
    } else {
        s = read_month(s, &d.month);
        if (s) s = read_digits(skip(s, " "), 2, &d.day);
        if (s) s = read_time(skip(s, " "), &d);
        if (s) s = read_digits(skip(s, " "), 4, &d.year);
    }
    if (!s || d.day < 1 || d.day > 31 || d.hour > 23 || d.minute > 59 || d.second > 60 || d.year < 1970) return false;
    *out = unix_time(&d);
    return true;
}

double http_retry_after(const char *value, int64_t now) {
    value = skip(value, " \t");
    if (is_digit(*value)) {
        double seconds = 0;
        for (; is_digit(*value); value++) seconds = seconds < 1e9 ? seconds * 10 + (*value - '0') : seconds;
        return *skip(value, " \t") ? -1 : seconds < 1e9 ? seconds : 1e9;
    }
    int64_t then;
    if (!read_date(value, &then)) return -1;
    return then > now ? (double)(then - now) : 0;
}

/* ---- an answer's headers --------------------------------------------------------------------------------------------------- */

void http_head_begin(http_head *head) {
    text location = head->location;      /* its memory is used again */
    location.size = 0;
    location.failed = false;
    *head = (http_head){ .retry_after = -1, .content_length = UINT64_MAX, .range_from = UINT64_MAX, .range_total = UINT64_MAX,
                         .linked_size = UINT64_MAX, .location = location };
}

/* "HTTP/1.1 200 OK", "HTTP/2 200". */
static int read_status(const char *s, size_t size) {
    size_t i = 5;
    while (i < size && s[i] != ' ') i++;
    while (i < size && s[i] == ' ') i++;
    if (i + 3 > size || !is_digit(s[i]) || !is_digit(s[i + 1]) || !is_digit(s[i + 2])) return 0;
    return (s[i] - '0') * 100 + (s[i + 1] - '0') * 10 + (s[i + 2] - '0');
}

static void read_location(http_head *head, const char *value, int64_t now) {
    (void)now;
    if (head->location.size == 0) text_add(&head->location, value);   /* as curl does: the first counts */
}

/* Where the number ends; NULL if there is none, or a larger one than 64 bits hold. */
static const char *read_number(const char *s, uint64_t *out) {
    uint64_t n = 0;
    if (!is_digit(*s)) return NULL;
    for (; is_digit(*s); s++)
        if (__builtin_mul_overflow(n, (uint64_t)10, &n) || __builtin_add_overflow(n, (uint64_t)(*s - '0'), &n)) return NULL;
    *out = n;
    return s;
}

static void read_length(http_head *head, const char *value, int64_t now) {
    (void)now;
    uint64_t n;
    const char *end = read_number(value, &n);
    if (end && !*end) head->content_length = n;
}

static void read_linked_size(http_head *head, const char *value, int64_t now) {
    (void)now;
    uint64_t n;
    const char *end = read_number(value, &n);
    if (end && !*end) head->linked_size = n;
}

/* "bytes 100-199/200", "bytes 100-199" and a star: the whole is not known. */
static void read_range(http_head *head, const char *value, int64_t now) {
    (void)now;
    uint64_t from, last, total = UINT64_MAX;
    if (strncasecmp(value, "bytes ", 6) != 0) return;
    const char *s = read_number(skip(value + 6, " "), &from);
    s = s && *s == '-' ? read_number(s + 1, &last) : NULL;
    if (!s || last < from || *s != '/') return;
    if (strcmp(s + 1, "*") != 0 && (!(s = read_number(s + 1, &total)) || *s || total <= last)) return;
    head->range_from = from;
    head->range_total = total;
}

static void copy_tag(char out[128], const char *value) {
    size_t size = strlen(value);
    for (size_t i = 0; i < size; i++)
        if (value[i] <= ' ' || value[i] > '~') return;
    if (size < 128) memcpy(out, value, size + 1);
}
static void read_etag(http_head *head, const char *value, int64_t now) {
    (void)now;
    copy_tag(head->etag, value);
}
static void read_linked_etag(http_head *head, const char *value, int64_t now) {
    (void)now;
    copy_tag(head->linked_etag, value);
}

static void read_type(http_head *head, const char *value, int64_t now) {
    (void)now;
    text_escape(head->content_type, sizeof head->content_type, value);
}

static void read_encoding(http_head *head, const char *value, int64_t now) {
    (void)now;
    head->encoded |= *value && strcasecmp(value, "identity") != 0;
}

static void read_retry(http_head *head, const char *value, int64_t now) { head->retry_after = http_retry_after(value, now); }
static void read_robots_tag(http_head *head, const char *value, int64_t now) {
    (void)now;
    head->opted_out |= robots_tag_opts_out(value);
}
static void read_reservation(http_head *head, const char *value, int64_t now) {
    (void)now;
    head->opted_out |= reservation_opts_out(value);
}

static const struct {
    const char *name;
    size_t size;
    void (*read)(http_head *head, const char *value, int64_t now);
} known[] = {
    { "etag", 4, read_etag },                 { "x-linked-etag", 13, read_linked_etag }, { "x-linked-size", 13, read_linked_size },
    { "content-range", 13, read_range },      { "content-encoding", 16, read_encoding },
    { "location", 8, read_location },         { "retry-after", 11, read_retry },        { "content-type", 12, read_type },
    { "x-robots-tag", 12, read_robots_tag },  { "content-length", 14, read_length },    { "tdm-reservation", 15, read_reservation },
};

static void read_header(http_head *head, const char *line, size_t size, int64_t now) {
    const char *colon = memchr(line, ':', size);
    if (!colon) return;
    size_t name = (size_t)(colon - line), i = 0;
    while (i < sizeof known / sizeof *known && (known[i].size != name || strncasecmp(line, known[i].name, name))) i++;
    if (i == sizeof known / sizeof *known) return;

    const char *value = colon + 1, *end = line + size;
    while (value < end && is_space(*value)) value++;
    while (end > value && is_space(end[-1])) end--;
    char copy[HTTP_URL_MOST + 1];      /* what is longer says nothing we know */
    size_t length = (size_t)(end - value);
    if (length >= sizeof copy || memchr(value, 0, length)) return;
    memcpy(copy, value, length);
    copy[length] = 0;
    known[i].read(head, copy, now);
}

void http_head_line(http_head *head, const char *line, size_t size, int64_t now) {
    size_t bytes = head->bytes += size;
    if (head->complete) return;      /* trailers are no headers */
    while (size && (line[size - 1] == '\n' || line[size - 1] == '\r')) size--;
    if (size >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        http_head_begin(head);
        head->status = read_status(line, size);
    } else if (size == 0) {
        head->complete = head->status >= 200;
    } else {
        read_header(head, line, size, now);
    }
    head->bytes = bytes;
}
