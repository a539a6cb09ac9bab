/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the download job. One thread (the caller's) has the network, the queues, the journal and all counts; others check what
 * came (download_check.c). Nobody else includes this.
 *
 *   download.c         the job: folder, plan, end            download_queue.c    what waits: by host, and for another try
 *   download_list.c    --list into metadata.json             download_fetch.c    transfers, redirects, retries, full disks
 *   download_before.c  what earlier runs did                 download_robots.c   robots.txt of each host
 *   download_record.c  reasons, the journal's lines          download_check.c    threads that check photos and name them */
#ifndef DATA_DOWNLOAD_INSIDE_H
#define DATA_DOWNLOAD_INSIDE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/http.h"
#include "base/name_set.h"
#include "base/spool.h"
#include "data/download.h"
#include "data/journal.h"
#include "data/list.h"
#include "data/selection.h"

/* ---- reasons (download_record.c) ------------------------------------------------------------------------------------- */

/* In the order in which they are counted; the first two are successes. */
typedef enum {
    GOT_OK, GOT_RESCALED,
    GOT_403, GOT_404, GOT_410, GOT_429, GOT_4XX, GOT_5XX, GOT_OTHER_STATUS,
    GOT_DNS, GOT_CONNECT, GOT_TLS, GOT_TIMEOUT, GOT_CUT, GOT_PROTOCOL, GOT_REDIRECTS, GOT_TOO_LARGE,
    GOT_NO_PICTURE, GOT_REPLACED, GOT_BROKEN_FILE,
    GOT_OPTED_OUT, GOT_ROBOTS, GOT_PRIVATE, GOT_BAD_URL, GOT_BAD_ID,
    GOT_EXCLUDED, GOT_REMOVED, GOT_DUPLICATE,
    GOT_REASONS
} download_reason;
_Static_assert((int)GOT_REASONS <= MIEN_COUNTS, "each is counted");

extern const char *const download_reason_names[GOT_REASONS + 1];
download_reason download_reason_find(const char *name);          /* GOT_REASONS: there is none */
download_reason download_reason_of_status(int status);
static inline bool download_is_redirect(int status) { return status == 301 || status == 302 || status == 303 || status == 307 || status == 308; }
download_reason download_reason_of_outcome(http_outcome outcome);
bool download_can_heal(download_reason reason);                  /* worth another try in a while */
static inline bool download_is_success(download_reason r) { return r <= GOT_RESCALED; }
static inline bool download_left_out(download_reason r) { return r == GOT_EXCLUDED || r == GOT_REMOVED || r == GOT_DUPLICATE; }

/* ---- one item -------------------------------------------------------------------------------------------------------- */

enum { ID_MOST = 200, URL_MOST = 8192, NO_PLACE = UINT32_MAX };

typedef struct host host;

/* What a transfer's context begins with. */
typedef enum { TRANSFER_ITEM, TRANSFER_ROBOTS } transfer_kind;

/* An item that is under way: fetched, then checked. Its memory, and its empty file under a temporary name, serve many. */
typedef struct download_item {
    transfer_kind kind;
    uint32_t place, origin;        /* of its record in the spool, / 16; of that with the URL it began with */
    char id[ID_MOST + 1];
    char *url, *now;               /* the list's, and where redirects have led (the same pointer: nowhere) */
    int width, height;             /* as the list says; 0: it doesn't */
    bool has_sha256, there;        /* there: the file has its true name already, it is only to be checked */
    uint8_t want_sha256[32], attempt, hops, before;   /* before: what an earlier run made of it + 1, or 0 */
    host *host;

    int fd;                        /* -1: no file */
    bool dirty;                    /* something was written to it */
    char temporary[PATH_MAX];

    download_reason reason;        /* what became of it */
    int rc;                        /* below 0: the machine failed, not the item: why says so */
    int status, got_width, got_height;
    uint64_t bytes, fetched_bytes; /* fetched_bytes: while it is checked */
    double seconds;
    char sha256[65], note[200], why[1024];
    struct download_item *next;
} download_item;

static inline void download_item_forget(download_item *i) {
    if (i->now != i->url) free(i->now);
    free(i->url);
    i->url = i->now = NULL;
}

/* ---- what earlier runs did (download_before.c) ------------------------------------------------------------------------- */

typedef struct {
    spool *ids;
    name_set names;
    uint8_t *mark;                 /* by place / 16 of an id in the spool: reason + 1, and SEEN */
    uint32_t *when;                /* of the line that counts */
    size_t room;
    uint64_t ok_count, ok_bytes;
} download_before;

enum { BEFORE_SEEN = 0x80 };       /* the list has had this id already */

int  download_before_load(download_before *b, const char *folder, bool journals);
/* The mark of an id, which is entered if need be; holds until the next call. */
int  download_before_find(download_before *b, const char *id, uint8_t **mark);
void download_before_free(download_before *b);

/* ---- what waits (download_queue.c) ------------------------------------------------------------------------------------- */

typedef enum { ROBOTS_UNKNOWN, ROBOTS_ASKED, ROBOTS_KNOWN, ROBOTS_FAILED } robots_state;

/* Of a host, at most one is under way. */
typedef struct { transfer_kind kind; host *host; int hops; } robots_fetch;

struct host {
    host *next_same, *next_ready;  /* in its bucket; in the row of those that something can be started for */
    uint32_t first, last;          /* entries of the queue; NO_PLACE: none waits */
    int active;                    /* under way */
    bool ready, timed;             /* in that row; in the heap */
    double next;                   /* no request before then */
    robots_state robots;
    download_reason robots_reason; /* ROBOTS_FAILED: what all its items get */
    uint8_t robots_attempt;
    robots_fetch fetch;
    uint8_t refusals;              /* answers in a row that ask for more patience than a run has */
    download_reason refuses;       /* after some of them: what all its items get; or GOT_OK */
    char *robots_text;
    size_t robots_size;
    bool tls;
    int port;
    char name[];
};

typedef struct { double due; uint32_t place; host *host; } timed;   /* an item's next try, or a host's next request */

typedef struct {
    spool *spool;                  /* records of all items to do, then of where redirects led */
    uint64_t items, at, end;       /* where those begin that were not yet looked at, and where they end */
    struct { uint32_t place, next; } *entry;
    uint32_t entries, entry_room, unused;   /* unused: the first of the free ones */
    uint64_t waiting;              /* entries in use */
    host **bucket, *ready, *ready_last;
    size_t buckets, hosts;
    timed *heap;
    size_t heap_used, heap_room, tries;   /* tries: of them, those of items */
    int host_connections;
    double host_interval;          /* seconds between requests; 0: none */
} download_queue;

int  download_queue_new(const download_options *o, const char *folder, download_queue *q);
void download_queue_free(download_queue *q);
/* Before anything is started: an item for later. */
int  download_queue_enter(download_queue *q, const download_item *item);
/* Reads a record. The item's url and now are allocated: download_item_forget. */
int  download_queue_load(download_queue *q, uint32_t place, download_item *item);
/* The next item that was not looked at: 1, 0 at the end, ERR_*. */
int  download_queue_next(download_queue *q, download_item *item);
/* It waits for its host (that of `now`). front: before those that wait there already. */
int  download_queue_wait(download_queue *q, const download_item *item, bool front);
/* All are entered. */
int  download_queue_entered(download_queue *q);
/* A redirect: it goes on at another URL, which is a sound one (http_url_read). After ERR_FULL all is as before. */
int  download_queue_moved(download_queue *q, const download_item *item, const char *url);
/* From the URL that it began with, now. */
int  download_queue_anew(download_queue *q, const download_item *item);
/* It is tried again at that time, from the URL that it began with. */
int  download_queue_again(download_queue *q, const download_item *item, double due);
/* Hosts whose time has come become ready, items that are due wait for their hosts. *look_again: made earlier, if need be. */
int  download_queue_turn(download_queue *q, double now, double *look_again);
/* The next host to which a request may go now, or NULL. It is ready no longer: begin something, or look at it again. */
int  download_queue_ready(download_queue *q, double now, host **out);
uint32_t download_queue_take(download_queue *q, host *h);            /* the place of the first that waits for it */
int  download_queue_begun(download_queue *q, host *h, double now);   /* a request to it was started */
int  download_queue_ended(download_queue *q, host *h, double now);
int  download_queue_look(download_queue *q, host *h, double now);    /* something about it has changed */
void download_queue_pause(host *h, double until);                    /* no request before then */

/* ---- checking (download_check.c) --------------------------------------------------------------------------------------- */

typedef struct checker checker;
typedef struct {
    const char *folder;
    const download_options *options;
    const selection *selection;
    void (*wake)(void *context);   /* from its threads: something is done */
    void *context;
} checker_options;

int  checker_new(const checker_options *o, checker **out);
void checker_add(checker *c, download_item *item);
/* An item that is done (reason and so on are set; rc below 0: see why), or NULL. Waits at most so long for one. */
download_item *checker_take(checker *c, double seconds);
size_t checker_pending(const checker *c);      /* added and not yet taken */
void checker_stop(checker *c);                 /* its threads end what they do and then themselves; what is done can still be taken */
void checker_free(checker *c, mien_download_times *times);   /* times: added up, but for network_cpu; may be NULL */

/* ---- the job ---------------------------------------------------------------------------------------------------------- */

typedef struct {
    const download_options *options;
    char folder[PATH_MAX], target[PATH_MAX];
    double begin;
    selection *selection;
    journal *journal;
    download_before before;
    download_queue queue;
    checker *checker;
    mien_progress progress;
    mien_download_times times;
    double told;                   /* when progress was told last */
    uint64_t to_look_at;           /* of the queue's items, those whose file is there */

    http *http;                    /* opened with the first request */
    char user_agent[300];
    int connections, running;      /* running: transfers */
    download_item **item;          /* all that were ever allocated */
    size_t items, room;
    download_item *unused, *kept;  /* kept: done, and the disk was too full for their lines */
    uint64_t checking_bytes, dice;
    bool behind;                   /* not all items were looked at */
    bool full;                     /* waiting for space: */
    double full_until, full_said;
} download;

void download_say(download *d, mien_log_kind kind, const char *id, const char *message);
void download_tell(download *d);               /* progress, now and then */

/* Adds to <folder>/metadata.json what a list has and it has not. What can't be used is counted and told of. */
int  download_take_list(download *d, const char *list);
void download_refuse(download *d, const list_item *item);

/* Counts what became of an item, tells of it and writes its line. ERR_FULL: nothing is counted, try again. */
int  download_record(download *d, const download_item *item);
/* earlier: an earlier run recorded it. there: its file was there and is as it should be. */
void download_count(download *d, download_reason reason, bool earlier, bool there);

/* Fetches and checks all that is in the queue. */
int  download_fetch_all(download *d);

/* Robots.txt (download_robots.c). Asks for it if it was not asked; its answer; what it says of a URL. */
int  download_robots_ask(download *d, host *h, double now);
int  download_robots_answer(download *d, void *context, const http_reply *reply, double now);
bool download_robots_allow(const host *h, const char *url);

/* The network, opened when first needed. */
int  download_open_http(download *d);

#endif
