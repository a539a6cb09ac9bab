/* SPDX-License-Identifier: Apache-2.0
 *
 * What can become of an item, and how that is counted, told and written down. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/text.h"
#include "data/download_inside.h"

const char *const download_reason_names[GOT_REASONS + 1] = {
    [GOT_OK] = "ok", [GOT_RESCALED] = "rescaled", [GOT_403] = "403", [GOT_404] = "404", [GOT_410] = "410", [GOT_429] = "429",
    [GOT_4XX] = "4xx", [GOT_5XX] = "5xx", [GOT_OTHER_STATUS] = "other_status", [GOT_DNS] = "dns", [GOT_CONNECT] = "connect",
    [GOT_TLS] = "tls", [GOT_TIMEOUT] = "timeout", [GOT_CUT] = "cut", [GOT_PROTOCOL] = "protocol", [GOT_REDIRECTS] = "redirects",
    [GOT_TOO_LARGE] = "too_large", [GOT_NO_PICTURE] = "not_a_picture", [GOT_REPLACED] = "replaced", [GOT_BROKEN_FILE] = "broken_file",
    [GOT_OPTED_OUT] = "opted_out", [GOT_ROBOTS] = "robots", [GOT_PRIVATE] = "private_address", [GOT_BAD_URL] = "bad_url",
    [GOT_BAD_ID] = "bad_id", [GOT_EXCLUDED] = "excluded", [GOT_REMOVED] = "removed", [GOT_DUPLICATE] = "duplicate",
};

download_reason download_reason_find(const char *name) {
    int i = 0;
    while (i < GOT_REASONS && strcmp(name, download_reason_names[i]) != 0) i++;
    return (download_reason)i;
}

const char *const *download_reasons(void) { return download_reason_names; }
bool download_reason_known(const char *name) { return download_reason_find(name) != GOT_REASONS; }

bool download_contact_fits(const char *contact) {
    size_t n = contact ? strlen(contact) : 0;
    for (size_t i = 0; i < n; i++)
        if (contact[i] < ' ' || contact[i] > '~' || strchr("()\\", contact[i])) return false;
    return n <= 200;
}

download_reason download_reason_of_status(int status) {
    switch (status) {
    case 403: return GOT_403;
    case 404: return GOT_404;
    case 410: return GOT_410;
    case 429: return GOT_429;
    default: return status >= 400 && status < 500 ? GOT_4XX : status >= 500 && status < 600 ? GOT_5XX : GOT_OTHER_STATUS;
    }
}

download_reason download_reason_of_outcome(http_outcome outcome) {
    static const download_reason of[] = {
        [HTTP_BAD_URL] = GOT_BAD_URL, [HTTP_PRIVATE] = GOT_PRIVATE, [HTTP_DNS] = GOT_DNS, [HTTP_CONNECT] = GOT_CONNECT, [HTTP_TLS] = GOT_TLS,
        [HTTP_TIMEOUT] = GOT_TIMEOUT, [HTTP_CUT] = GOT_CUT, [HTTP_PROTOCOL] = GOT_PROTOCOL, [HTTP_TOO_LARGE] = GOT_TOO_LARGE, [HTTP_WRITE] = GOT_CUT,
    };
    return of[outcome];
}

bool download_can_heal(download_reason r) {
    return r == GOT_429 || r == GOT_5XX || r == GOT_DNS || r == GOT_CONNECT || r == GOT_TIMEOUT || r == GOT_CUT;
}

void download_count(download *d, download_reason r, bool earlier, bool there) {
    d->progress.count[r].n++;
    if (download_left_out(r)) return;
    d->progress.total += earlier;              /* the others were counted when they were planned */
    if (earlier || there) d->progress.skipped++;
    else if (download_is_success(r)) d->progress.done++;
    else d->progress.failed++;
}

static void add_string(text *t, const char *name, const char *value) {
    text_printf(t, ",\"%s\":", name);
    text_json_exact(t, value);
}

static void add_time(text *t) {
    char when[32];
    time_t now = time(NULL);
    struct tm utc;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    add_string(t, "time", when);
}

static void write_line(const download_item *i, text *line) {
    text_add(line, "{\"id\":");
    text_json_exact(line, i->id);
    if (i->url) add_string(line, "url", i->url);
    add_string(line, "status", i->reason == GOT_RESCALED ? "ok" : download_reason_names[i->reason]);
    if (i->status) text_printf(line, ",\"http\":%d", i->status);
    if (i->got_width) text_printf(line, ",\"width\":%d,\"height\":%d", i->got_width, i->got_height);
    if (i->bytes) text_printf(line, ",\"bytes\":%" PRIu64, i->bytes);
    if (i->sha256[0]) add_string(line, "sha256", i->sha256);
    if (!i->there) text_printf(line, ",\"seconds\":%.3f", i->seconds);
    if (i->now && i->now != i->url) add_string(line, "final_url", i->now);
    if (i->note[0]) add_string(line, "note", i->note);
    if (i->why[0]) add_string(line, "why", i->why);
    add_time(line);
    text_add(line, "}");
}

static void tell(download *d, const download_item *i) {
    char message[2400], url[1024];
    const char *reason = download_reason_names[i->reason];
    if (i->reason == GOT_RESCALED) download_say(d, MIEN_LOG_INFO, i->id, i->note);
    if (download_is_success(i->reason)) return;
    text_escape(url, sizeof url, i->now ? i->now : "");
    snprintf(message, sizeof message, "%s: %s%s%s", reason, url, i->why[0] ? ": " : "", i->why);
    download_say(d, download_left_out(i->reason) ? MIEN_LOG_INFO : MIEN_LOG_ITEM_FAILED, i->id, message);
}

/* What an earlier run wrote of a file that is there need not be written again. */
static bool is_known(const download_item *i) { return i->there && i->before == i->reason + 1; }

int download_record(download *d, const download_item *i) {
    text line = { 0 };
    int rc = 0;
    if (list_id_fits(i->id) && !is_known(i)) {
        write_line(i, &line);
        rc = text_check(&line);
        if (rc == 0) rc = journal_append(d->journal, &line);
    }
    text_free(&line);
    if (rc < 0) return rc;
    download_count(d, i->reason, false, i->there && download_is_success(i->reason));
    if (download_left_out(i->reason)) d->progress.total--;   /* found out when it had come */
    tell(d, i);
    return 0;
}
