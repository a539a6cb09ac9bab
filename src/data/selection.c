/* SPDX-License-Identifier: Apache-2.0
 *
 * Each line is kept as the first half of a SHA-256 of what it is and says: no list can be made so that it selects, or leaves
 * out, something that is not in it. */
#include "data/selection.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/http.h"
#include "data/journal.h"
#include "data/list.h"

enum { LINE_MOST = 1 << 16, HOST_MOST = 253 };
static const char kind_removed[] = "removed";   /* of the journal */

typedef enum { IS_ID, IS_URL, IS_DOMAIN, IS_SHA256, KINDS } kind;

/* used: something was asked for that it is. Set by any thread. */
typedef struct { uint8_t hash[16], used; } key;

/* Keys, sorted once all are there. */
typedef struct { key *keys; size_t count, room, of[KINDS]; } set;

struct selection {
    bool has_only;
    set only, exclude, removed;
    set later;                     /* removed too, once they are counted in */
    char *only_path, *exclude_path;
};

/* ---- sets ---------------------------------------------------------------------------------------------------------- */

static key key_of(kind k, const char *s) {
    static const char marks[KINDS] = { 'i', 'u', 'd', 's' };
    uint8_t digest[32];
    sha256_state state;
    key out = { .used = 0 };
    sha256_begin(&state);
    sha256_add(&state, &marks[k], 1);
    sha256_add(&state, s, strlen(s));
    sha256_end(&state, digest);
    memcpy(out.hash, digest, sizeof out.hash);
    return out;
}

static int set_add(set *to, kind k, const char *s) {
    if (to->count == to->room) {
        size_t room = to->room ? to->room + to->room / 2 : 64;
        key *keys = realloc(to->keys, room * sizeof *keys);
        if (!keys) return error_memory(room * sizeof *keys);
        to->keys = keys;
        to->room = room;
    }
    to->keys[to->count++] = key_of(k, s);
    to->of[k]++;
    return 0;
}

static int compare(const void *a, const void *b) { return memcmp(((const key *)a)->hash, ((const key *)b)->hash, sizeof((const key *)a)->hash); }

static void set_sort(set *s) {
    if (s->count) qsort(s->keys, s->count, sizeof *s->keys, compare);
}

static key *set_find(const set *s, kind k, const char *what) {
    if (!s->of[k]) return NULL;
    key wanted = key_of(k, what);
    return bsearch(&wanted, s->keys, s->count, sizeof *s->keys, compare);
}

static bool set_has(const set *s, kind k, const char *what) {
    key *found = set_find(s, k, what);
    if (found && !__atomic_load_n(&found->used, __ATOMIC_RELAXED)) __atomic_store_n(&found->used, 1, __ATOMIC_RELAXED);
    return found;
}

static int set_join(set *to, const set *from) {
    if (!from->count) return 0;
    key *keys = realloc(to->keys, (to->count + from->count) * sizeof *keys);
    if (!keys) return error_memory((to->count + from->count) * sizeof *keys);
    memcpy(keys + to->count, from->keys, from->count * sizeof *keys);
    to->keys = keys;
    to->room = to->count += from->count;
    for (int k = 0; k < KINDS; k++) to->of[k] += from->of[k];
    set_sort(to);
    return 0;
}

/* ---- lines --------------------------------------------------------------------------------------------------------- */

static bool is_sha256(const char *s) { return strlen(s) == 64 && strspn(s, "0123456789abcdefABCDEF") == 64; }

/* `s` as a domain, in lower case, without "*." or "." in front or a dot behind; false if it is none. Names of one label are no
 * domains: "com" should not be. In a list it is written in ASCII (xn--...), for nobody here knows that both are one; a
 * URL's host may be anything. */
static bool read_domain(const char *s, bool of_url, char out[HOST_MOST + 1]) {
    if (strncmp(s, "*.", 2) == 0) s += 2;
    else if (*s == '.') s++;
    size_t n = strlen(s);
    if (n && s[n - 1] == '.') n--;
    if (n == 0 || n > HOST_MOST) return false;
    bool dot = false;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '.' ? i == 0 || s[i - 1] == '.' : !(isalnum(c) || c == '-' || c == '_' || (of_url && c >= 0x80))) return false;
        dot |= c == '.';
        out[i] = (char)tolower(c);
    }
    out[n] = 0;
    return dot && out[n - 1] != '.';
}

static void lower(const char *s, char out[65]) {
    size_t i = 0;
    for (; i < 64 && s[i]; i++) out[i] = (char)tolower((unsigned char)s[i]);
    out[i] = 0;
}

static int add_sha256(set *to, const char *s) {
    char hex[65];
    lower(s, hex);
    return set_add(to, IS_SHA256, hex);
}

typedef int each_key(void *context, kind k, const char *what);   /* ends it with what it returns but 0 */

/* Calls each for all that a line may be; 0 if none of that ended it. *any: it is something at all. */
static int each_of_line(const char *s, each_key *each, void *context, bool *any) {
    char domain[HOST_MOST + 1], hex[65];
    int rc = 0;
    *any = true;
    if (strstr(s, "://")) return each(context, IS_URL, s);
    *any = false;
    if (list_id_fits(s)) rc = each(context, IS_ID, s), *any = true;
    if (rc == 0 && is_sha256(s)) lower(s, hex), rc = each(context, IS_SHA256, hex), *any = true;
    if (rc == 0 && read_domain(s, false, domain)) rc = each(context, IS_DOMAIN, domain), *any = true;
    return rc;
}

static int add_key(void *context, kind k, const char *what) { return set_add(context, k, what); }

static int no_line(stream *s, const char *line) {
    return error_set(ERR_FORMAT, "%s: line %llu: is no id, URL, domain or SHA-256: %.200s", stream_name(s), (unsigned long long)stream_lines(s), line);
}

/* Cuts a line to what it is about. A URL is all of it: it may have blanks. Behind a SHA-256 sha256sum writes a name (and a backslash
 * before it if that has escapes). Whatever else has further words is not what it was taken for: a sentence must not select its first. */
static bool cut_line(char **line) {
    char *from = *line;
    size_t word = strcspn(from, " \t\v\f\r");
    bool one = !from[word];
    const char *scheme = strstr(from, "://");
    if (one ? scheme != NULL : scheme && scheme < from + word) return true;
    char after = from[word];
    from[word] = 0;
    if (*from == '\\' && is_sha256(from + 1)) *line = from + 1;
    else if (!one && !is_sha256(from)) return from[word] = after, false;
    return true;
}

/* The next line that says something: 1, 0 at the end, or ERR_*. */
static int next_line(stream *s, char **out) {
    static const char mark[] = "\xef\xbb\xbf";
    stream_text line;
    int rc;
    while ((rc = stream_line(s, LINE_MOST, &line)) == 1) {
        char *from = line.text;
        if (strlen(from) != line.size) return no_line(s, from);
        if (stream_lines(s) == 1 && strncmp(from, mark, 3) == 0) from += 3;
        while (isspace((unsigned char)*from)) from++;
        size_t n = strlen(from);
        while (n && isspace((unsigned char)from[n - 1])) from[--n] = 0;
        if (!n || *from == '#') continue;
        *out = from;
        if (!cut_line(out))
            return error_set(ERR_FORMAT, "%s: line %llu: has more than one word, which only a URL or a SHA-256 may: %.200s", stream_name(s), (unsigned long long)stream_lines(s), from);
        return 1;
    }
    return rc == ERR_LIMIT ? error_set(ERR_FORMAT, "%s", error_message()) : rc;
}

static int read_lines(set *to, stream *s) {
    char *line;
    int rc;
    while ((rc = next_line(s, &line)) == 1) {
        bool any;
        rc = each_of_line(line, add_key, to, &any);
        if (rc < 0 || !any) return rc < 0 ? rc : no_line(s, line);
    }
    return rc;
}

static int read_list(set *to, const char *path) {
    stream *s;
    int rc = stream_open(path, &s);
    if (rc == 0) {
        rc = read_lines(to, s);
        stream_close(s);
    }
    return rc == ERR_IO || rc == ERR_FORMAT ? error_set(ERR_USAGE, "%s", error_message()) : rc;
}

/* ---- removed.jsonl ----------------------------------------------------------------------------------------------------- */

static int read_removed(void *context, const json_at *line) {
    static const char *const names[] = { "id", "url", "sha256" };
    static const kind kinds[] = { IS_ID, IS_URL, IS_SHA256 };
    set *to = context;
    int rc = 0;
    for (int i = 0; rc == 0 && i < 3; i++) {
        json_at field;
        const char *value;
        if (!json_field(line, names[i], &field) || json_is_nothing(&field)) continue;
        rc = json_need_string(&field, &value);
        if (rc == 0) rc = kinds[i] == IS_SHA256 ? add_sha256(to, value) : set_add(to, kinds[i], value);
    }
    return rc;
}

/* A link that leads nowhere, to a disk that is not there say, is not a file that never was: nobody knows what was removed. */
static int read_all_removed(const char *dataset, set *to) {
    char path[PATH_MAX];
    struct stat st;
    if ((size_t)snprintf(path, sizeof path, "%s/removed.jsonl", dataset) >= sizeof path) return error_set(ERR_IO, "%s: the path is too long", dataset);
    if (stat(path, &st) < 0 && lstat(path, &st) == 0) return error_set(ERR_IO, "%s: is a link that leads nowhere: what was removed for good is not known", path);
    return journal_read(dataset, kind_removed, read_removed, to);
}

static void put_field(text *line, const char *name, const char *value) {
    if (!value) return;
    text_printf(line, "%s\"%s\":", line->size > 1 ? "," : "", name);
    text_json_exact(line, value);
}

int selection_remember(const char *dataset, const char *id, const char *url, const char *sha256) {
    journal *j;
    int rc = journal_open(dataset, kind_removed, 0, 0, &j);
    if (rc < 0) return rc;
    text line = { 0 };
    text_add(&line, "{");
    put_field(&line, "id", id);
    put_field(&line, "url", url);
    put_field(&line, "sha256", sha256);
    text_add(&line, "}");
    rc = journal_append(j, &line);
    text_free(&line);
    journal_close(j);
    return rc;
}

/* ---- asking -------------------------------------------------------------------------------------------------------- */

static int new_selection(selection **out) {
    *out = calloc(1, sizeof **out);
    return *out ? 0 : error_memory(sizeof **out);
}

static int done(selection *s, int rc, selection **out) {
    if (rc < 0) {
        selection_free(s);
        return rc;
    }
    set_sort(&s->only), set_sort(&s->exclude), set_sort(&s->removed);
    *out = s;
    return 0;
}

int selection_new(const char *only, const char *exclude, const char *dataset, selection **out) {
    selection *s;
    int rc = new_selection(&s);
    if (rc < 0) return rc;
    s->has_only = only;
    if ((only && !(s->only_path = strdup(only))) || (exclude && !(s->exclude_path = strdup(exclude)))) rc = error_memory(strlen(only ? only : exclude));
    if (rc == 0 && only) rc = read_list(&s->only, only);
    if (rc == 0 && exclude) rc = read_list(&s->exclude, exclude);
    if (rc == 0 && dataset) rc = read_all_removed(dataset, &s->removed);
    return done(s, rc, out);
}

int selection_of(stream *only, selection **out) {
    selection *s;
    int rc = new_selection(&s);
    if (rc == 0) {
        s->has_only = true;
        rc = done(s, read_lines(&s->only, only), out);
    }
    stream_close(only);
    return rc;
}

void selection_free(selection *s) {
    if (!s) return;
    free(s->only.keys);
    free(s->exclude.keys);
    free(s->removed.keys);
    free(s->later.keys);
    free(s->only_path);
    free(s->exclude_path);
    free(s);
}

/* The host of a URL as it is in a list of domains. URLs that nobody should fetch have one too: what is excluded must be found. */
static bool host_of(const char *url, char out[HOST_MOST + 1]) {
    http_url parts;
    const char *from = parts.host;
    char rest[HOST_MOST + 1];
    if (!http_url_read(url, &parts)) {
        from = strstr(url, "://");
        if (!from) return false;
        from += 3;
        size_t n = strcspn(from, "/?#\\");
        for (size_t i = n; i > 0; i--)
            if (from[i - 1] == '@') { from += i, n -= i; break; }
        n = strcspn(from, ":") < n ? strcspn(from, ":") : n;
        if (n > HOST_MOST) return false;
        memcpy(rest, from, n);
        rest[n] = 0;
        from = rest;
    }
    return *from != '.' && *from != '*' && read_domain(from, true, out);
}

static bool has_domain(const set *s, const char *host) {
    bool is = false;
    for (; host; host = strchr(host, '.') ? strchr(host, '.') + 1 : NULL) is |= set_has(s, IS_DOMAIN, host);
    return is;
}

typedef struct { const char *id, *url, *sha256, *host; } item;

/* All of it is looked for, whatever is found: each line that selects something is to be known. */
static bool in_set(const set *s, const item *i) {
    if (!s->count) return false;
    bool is = i->id && set_has(s, IS_ID, i->id);
    is |= i->url && set_has(s, IS_URL, i->url);
    is |= i->host && has_domain(s, i->host);
    return (i->sha256 && set_has(s, IS_SHA256, i->sha256)) || is;
}

selection_answer selection_asks(const selection *s, const char *id, const char *url, const char *sha256) {
    char host[HOST_MOST + 1], hex[65];
    item i = { id, url, NULL, NULL };
    if (sha256) {
        lower(sha256, hex);
        i.sha256 = hex;
    }
    if (url && s->only.of[IS_DOMAIN] + s->exclude.of[IS_DOMAIN] > 0 && host_of(url, host)) i.host = host;
    bool removed = in_set(&s->removed, &i), excluded = in_set(&s->exclude, &i), only = !s->has_only || in_set(&s->only, &i);
    return excluded ? EXCLUDED : removed ? REMOVED : only ? SELECTED : NOT_ONLY;
}

static bool any_of(const selection *s, kind k) { return s->only.of[k] + s->exclude.of[k] + s->removed.of[k] > 0; }

bool selection_takes_all(const selection *s) { return !s->has_only && !s->exclude.count && !s->removed.count; }
bool selection_needs_url(const selection *s) { return any_of(s, IS_URL) || any_of(s, IS_DOMAIN); }
bool selection_needs_sha256(const selection *s) { return any_of(s, IS_SHA256); }

const char *selection_word(selection_answer a) {
    static const char *const words[] = { "selected", "not in --only", "excluded", "removed" };
    return words[a];
}

/* ---- what is removed while a job runs ------------------------------------------------------------------------------ */

int selection_removed_later(selection *s, const char *sha256) { return add_sha256(&s->later, sha256); }

int selection_count_in(selection *s) {
    int rc = set_join(&s->removed, &s->later);
    if (rc == 0) s->later.count = 0, memset(s->later.of, 0, sizeof s->later.of);
    return rc;
}

int selection_share(const selection *from, selection *to) { return set_join(&to->removed, &from->removed); }

/* ---- lines that selected nothing ----------------------------------------------------------------------------------- */

typedef struct { const set *of[3]; } looking;

/* What was removed before is as good as found: a list is to be used again. */
static int is_used(void *context, kind k, const char *what) {
    const looking *l = context;
    for (int i = 0; i < 2; i++) {
        const key *found = l->of[i] ? set_find(l->of[i], k, what) : NULL;
        if (found && found->used) return 1;
    }
    return set_find(l->of[2], k, what) != NULL;
}

static int tell_unused(const char *path, const looking *l, selection_unused *found, void *context) {
    struct stat st;
    stream *s;
    char *line;
    bool any;
    if (!path || stat(path, &st) < 0 || !S_ISREG(st.st_mode)) return 0;   /* can't be read a second time */
    int rc = stream_open(path, &s);
    if (rc < 0) return rc;
    while ((rc = next_line(s, &line)) == 1)
        if (each_of_line(line, is_used, (void *)l, &any) == 0) found(context, path, line);
    stream_close(s);
    return rc;
}

int selection_each_unused(const selection *s, const selection *other, selection_unused *found, void *context) {
    int rc = tell_unused(s->only_path, &(looking){ { &s->only, NULL, &s->removed } }, found, context);
    return rc < 0 ? rc : tell_unused(s->exclude_path, &(looking){ { &s->exclude, other ? &other->exclude : NULL, &s->removed } }, found, context);
}
