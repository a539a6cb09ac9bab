/* SPDX-License-Identifier: Apache-2.0
 *
 * Items taken out of shards: asked for first, while all shards are as they were opened; then each shard that has one
 * is copied without its members. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/part.h"
#include "base/stop.h"
#include "data/shards_inside.h"

/* Ids, one after another: each at a multiple of 16, so that a set finds them. */
typedef struct { text all; name_set set; } id_list;
typedef struct { const id_list *ids; const char *id; } lookup;

static bool is_id(void *context, uint64_t place) {
    const lookup *l = context;
    return strcmp(l->ids->all.data + place, l->id) == 0;
}

static bool id_listed(const id_list *ids, const char *id) {
    uint64_t found;
    return name_set_find(&ids->set, part_hash(id), is_id, &(lookup){ ids, id }, &found);
}

static int id_add(id_list *ids, const char *id) {
    size_t place = ids->all.size, n = strlen(id) + 1, room = (n + 15) & ~(size_t)15;
    char *to = text_room(&ids->all, room);
    if (!to) return text_check(&ids->all);
    memset(to, 0, room);
    memcpy(to, id, n);
    text_grown(&ids->all, room);
    uint64_t found;
    return name_set_add(&ids->set, part_hash(id), place, is_id, &(lookup){ ids, id }, &found);
}

static int ask(const shards *s, const shards_removal *removal, id_list *gone, bool *touched, uint64_t *removed) {
    for (uint64_t i = 0; i < s->count; i++) {
        shard_item item;
        if (stop_asked(removal->stop)) return error_set(ERR_CANCELLED, "stopped");
        int rc = shards_read(s, i, &item);
        if (rc == ERR_FORMAT) continue;          /* a prompt that is no text: nobody knows the item */
        if (rc < 0) return rc;
        rc = removal->remove(removal->context, s, i, &item);
        if (rc > 0) {
            rc = id_add(gone, item.id);
            touched[shards_file_of(s, i)] = true;
            ++*removed;
        }
        shard_item_free(&item);
        if (rc < 0) return rc;
    }
    return 0;
}

/* ---- copying ------------------------------------------------------------------------------------------------------------- */

typedef struct {
    const id_list *gone;
    file_writer *to;               /* NULL: only looking whether there is something to leave out */
    int fd;
    const char *path;
    bool keeping, any, any_kept;
    uint64_t first_kept;           /* the member that will stand first */
    uint64_t kept_from;            /* while keeping: where that begins */
    int rc;
} copying;

static int copy_bytes(copying *c, uint64_t from, uint64_t to) {
    uint8_t buffer[1 << 16];
    while (from < to) {
        ssize_t n = pread(c->fd, buffer, to - from < sizeof buffer ? (size_t)(to - from) : sizeof buffer, (off_t)from);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_errno("%s", c->path);
        if (n == 0) return error_set(ERR_FORMAT, "%s: ends before its last member does: items can't be taken out of it", c->path);
        int rc = file_write(c->to, buffer, (size_t)n);
        if (rc < 0) return rc;
        from += (uint64_t)n;
    }
    return 0;
}

static int copy_member(void *context, const tar_member *m) {
    copying *c = context;
    shard_name name;
    bool keep = shard_name_read(m->name, &name) != NULL || !id_listed(c->gone, name.id);
    c->any |= !keep;
    if (!c->to) return c->any;
    if (c->keeping && !keep && (c->rc = copy_bytes(c, c->kept_from, m->at)) < 0) return c->rc;
    if (!c->keeping && keep) c->kept_from = m->at;
    if (keep && !c->any_kept) c->any_kept = true, c->first_kept = m->at;
    c->keeping = keep;
    return 0;
}

static int stop_here(void *context, const tar_member *m) {
    (void)context, (void)m;
    return 1;
}

/* A damaged header can pass for a member after others, and for no tar at all once it stands first: all after it would be lost. */
static int check_first(const shards *s, const copying *c) {
    if (!c->any_kept || tar_scan(s->library, c->fd, c->path, c->first_kept, stop_here, NULL, NULL) == 1) return 0;
    return error_set(ERR_FORMAT, "%s: byte %llu: a damaged member: items can't be taken out of it", c->path, (unsigned long long)c->first_kept);
}

static int copy_shard(const shards *s, copying *c) {
    static const uint8_t zeros[1024];
    uint64_t end;
    int rc = tar_scan(s->library, c->fd, c->path, 0, copy_member, c, &end);
    if (rc == 0 && c->keeping) rc = copy_bytes(c, c->kept_from, end);
    if (rc == 0) rc = check_first(s, c);
    return rc < 0 ? rc : file_write(c->to, zeros, sizeof zeros);
}

/* needed: one of its items is to go, so that it must be whole. */
static int rewrite(const shards *s, size_t file, bool needed, const id_list *gone) {
    char path[PATH_MAX];
    copying c = { .gone = gone, .path = path, .fd = shards_open_file(s, file, path) };
    if (c.fd < 0) return c.fd;
    int rc = tar_scan(s->library, c.fd, path, 0, copy_member, &c, NULL);
    if (rc == ERR_FORMAT && !needed) rc = 0;
    if (rc == 1) {
        c.any = false;
        rc = file_create(path, &c.to);
        if (rc == 0) rc = copy_shard(s, &c);
        if (rc == 0) rc = file_commit(c.to, true);
        else file_abandon(c.to);
    }
    close(c.fd);
    return rc;
}

int shards_remove(const char *folder, const shards_removal *removal, uint64_t *removed) {
    shards *s;
    id_list gone = { { 0 }, { 0 } };
    *removed = 0;
    int rc = shards_open(folder, &(shards_hooks){ .stop = removal->stop }, &s);
    if (rc < 0) return rc;
    bool *touched = calloc(s->n_files, sizeof *touched);
    rc = touched ? ask(s, removal, &gone, touched, removed) : error_memory(s->n_files);
    /* A second item of an id isn't in the index, but in some shard. */
    for (size_t i = 0; rc == 0 && *removed && i < s->n_files; i++) {
        if (stop_asked(removal->stop)) rc = error_set(ERR_CANCELLED, "stopped");
        else if (touched[i] || s->left_out) rc = rewrite(s, i, touched[i], &gone);
    }
    free(touched);
    text_free(&gone.all);
    name_set_free(&gone.set);
    shards_close(s);
    return rc;
}
