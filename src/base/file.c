/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/stop.h"

/* Opens a regular file for reading. O_NONBLOCK so that a FIFO without a writer cannot hang us before fstat refuses it. */
static int open_regular(const char *path, size_t *size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return error_errno("%s", path);
    struct stat st;
    int rc = 0;
    if (fstat(fd, &st) < 0) rc = error_errno("%s", path);
    else if (S_ISDIR(st.st_mode)) rc = error_set(ERR_IO, "%s: is a folder", path);
    else if (!S_ISREG(st.st_mode)) rc = error_set(ERR_IO, "%s: is not a regular file", path);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    *size = (size_t)st.st_size;
    return fd;
}

int file_map_open(const char *path, file_map *out) {
    size_t size;
    int fd = open_regular(path, &size);
    if (fd < 0) return fd;
    void *data = size ? mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0) : NULL;
    int rc = data == MAP_FAILED ? error_errno("%s: cannot be mapped", path) : 0;
    close(fd);
    if (rc == 0) *out = (file_map){ data, size };
    return rc;
}

void file_map_close(file_map *map) {
    if (map->data) munmap((void *)map->data, map->size);
    *map = (file_map){0};
}

int file_load(const char *path, size_t limit, uint8_t **data, size_t *size) {
    size_t room;
    int fd = open_regular(path, &room);
    if (fd < 0) return fd;
    int rc = 0;
    size_t used = 0;
    uint8_t *buffer = NULL;
    if (room > limit) rc = error_set(ERR_LIMIT, "%s: %zu bytes, more than the limit of %zu", path, room, limit);
    else if (!(buffer = malloc(room + 1))) rc = error_memory(room + 1);   /* +1: a file that grew is noticed */
    while (rc == 0 && used <= room) {
        ssize_t n = read(fd, buffer + used, room + 1 - used);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) rc = error_errno("%s", path);
        if (n <= 0) break;
        used += (size_t)n;
    }
    if (rc == 0 && used > room) rc = error_set(ERR_IO, "%s: grew while it was read", path);
    close(fd);
    if (rc < 0) {
        free(buffer);
        return rc;
    }
    *data = buffer;
    *size = used;
    return 0;
}

int file_hash(const char *path, char hex[65]) { return file_hash_until(path, NULL, hex); }

int file_hash_until(const char *path, const volatile int *stop, char hex[65]) {
    uint8_t digest[32], buffer[1 << 14];
    sha256_state s;
    size_t size;
    ssize_t n = 0;
    *hex = 0;
    if (access(path, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR)) return 0;
    int fd = open_regular(path, &size);
    if (fd < 0) return fd;
    sha256_begin(&s);
    while (!stop_asked(stop) && ((n = read(fd, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR)))
        if (n > 0) sha256_add(&s, buffer, (size_t)n);
    int rc = stop_asked(stop) ? error_set(ERR_CANCELLED, "stopped") : n < 0 ? error_errno("%s", path) : 1;
    close(fd);
    sha256_end(&s, digest);
    if (rc == 1) sha256_hex(digest, hex);
    return rc;
}

static int write_all(int fd, const uint8_t *data, size_t size) {
    while (size) {
        ssize_t n = write(fd, data, size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        data += n;
        size -= (size_t)n;
    }
    return 0;
}

/* The temporary name of a path: ".<name>.mien-tmp-<pid>-<n>" in its folder. Cut, so that the name's own length never matters. */
int file_temporary(const char *path, char temporary[PATH_MAX]) {
    static atomic_uint serial;   /* only makes names unique; nothing is remembered in it */
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash - path + 1) : 0, fd = -1;
    /* A name can be there already: in a container, the killed process had the number that we have. */
    for (int attempt = 0; fd < 0 && attempt < 1000; attempt++) {
        int n = snprintf(temporary, PATH_MAX, "%.*s.%.200s.mien-tmp-%ld-%u", folder, path, path + folder, (long)getpid(),
                         atomic_fetch_add(&serial, 1));
        if (n < 0 || n >= PATH_MAX) return error_set(ERR_IO, "%s: the path is too long", path);
        fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST) break;
    }
    return fd < 0 ? error_errno("%s", path) : fd;
}

/* Not every file system knows RENAME_NOREPLACE: a look must do there. */
static int rename_new(const char *from, const char *to) {
    struct stat st;
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return -1;
    if (lstat(to, &st) == 0) return errno = EEXIST, -1;
    return rename(from, to);
}

static int rename_to(const char *from, const char *to, bool replace) {
    if ((replace ? rename : rename_new)(from, to) == 0) return 0;
    return errno == EEXIST && !replace ? error_set(ERR_EXISTS, "%s is there by now: it was not when the work began", to) : error_errno("%s", to);
}

int file_rename_new(const char *temporary, const char *path) { return rename_to(temporary, path, false); }

static int save(const char *path, const void *data, size_t size, bool replace) {
    char temporary[PATH_MAX];
    int fd = file_temporary(path, temporary);
    if (fd < 0) return fd;
    int rc = 0;
    if (write_all(fd, data, size) < 0) rc = error_errno("%s", path);
    if (close(fd) < 0 && rc == 0) rc = error_errno("%s", path);
    if (rc == 0) rc = rename_to(temporary, path, replace);
    if (rc < 0) unlink(temporary);
    return rc;
}

int file_save(const char *path, const void *data, size_t size) { return save(path, data, size, true); }
int file_save_new(const char *path, const void *data, size_t size) { return save(path, data, size, false); }

/* ---- piece by piece --------------------------------------------------------------------------------------------------- */

enum { WRITER_BUFFER = 1 << 16 };

struct file_writer {
    int fd;
    size_t used;
    char *path, temporary[PATH_MAX];
    uint8_t buffer[WRITER_BUFFER];
};

int file_create(const char *path, file_writer **out) {
    file_writer *w = malloc(sizeof *w);
    if (!w || !(w->path = strdup(path))) {
        free(w);
        return error_memory(sizeof *w);
    }
    w->used = 0;
    w->fd = file_temporary(path, w->temporary);
    int rc = w->fd < 0 ? w->fd : 0;
    if (rc < 0) free(w->path), free(w);
    else *out = w;
    return rc;
}

static int flush(file_writer *w) {
    int rc = write_all(w->fd, w->buffer, w->used) < 0 ? error_errno("%s", w->path) : 0;
    w->used = 0;
    return rc;
}

int file_write(file_writer *w, const void *data, size_t size) {
    int rc = w->used + size > sizeof w->buffer ? flush(w) : 0;
    if (rc == 0 && size > sizeof w->buffer) return write_all(w->fd, data, size) < 0 ? error_errno("%s", w->path) : 0;
    if (rc < 0) return rc;
    memcpy(w->buffer + w->used, data, size);
    w->used += size;
    return 0;
}

int file_change(file_writer *w, uint64_t place, const void *data, size_t size) {
    int rc = flush(w);
    for (const uint8_t *p = data; rc == 0 && size;) {
        ssize_t n = pwrite(w->fd, p, size, (off_t)place);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return error_errno("%s", w->path);
        p += n;
        place += (uint64_t)n;
        size -= (size_t)n;
    }
    return rc;
}

static int writer_end(file_writer *w, int rc) {
    if (w->fd >= 0) close(w->fd);
    if (rc < 0) unlink(w->temporary);
    free(w->path);
    free(w);
    return rc;
}

int file_commit(file_writer *w, bool replace) {
    int rc = flush(w);
    if (close(w->fd) < 0 && rc == 0) rc = error_errno("%s", w->path);
    w->fd = -1;
    if (rc == 0) rc = rename_to(w->temporary, w->path, replace);
    return writer_end(w, rc);
}

void file_abandon(file_writer *w) {
    if (w) writer_end(w, ERR_CANCELLED);
}

/* ---- links ------------------------------------------------------------------------------------------------------------ */

static bool has_no_links(int why) { return why == EXDEV || why == EPERM || why == EMLINK || why == EOPNOTSUPP || why == ENOSYS || why == EINVAL; }

static int link_over(const char *from, const char *path) {
    char temporary[PATH_MAX];
    int fd = file_temporary(path, temporary);   /* takes a name that nobody has */
    if (fd < 0) return fd;
    close(fd);
    unlink(temporary);
    if (linkat(AT_FDCWD, from, AT_FDCWD, temporary, AT_SYMLINK_FOLLOW) < 0)
        return has_no_links(errno) ? error_set(ERR_UNSUPPORTED, "%s: no hard link can be made here", path) : error_errno("%s", path);
    int rc = rename(temporary, path) < 0 ? error_errno("%s", path) : 0;
    unlink(temporary);                          /* still there if both were the same file already */
    return rc;
}

int file_link(const char *from, const char *path, bool replace) {
    if (linkat(AT_FDCWD, from, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0) return 0;
    if (errno == EEXIST) return replace ? link_over(from, path) : error_set(ERR_EXISTS, "%s is there by now: it was not when the work began", path);
    return has_no_links(errno) ? error_set(ERR_UNSUPPORTED, "%s: no hard link can be made here", path) : error_errno("%s", path);
}

/* ---- what was left ------------------------------------------------------------------------------------------------------ */

static bool ends_with(const char *s, const char *mark, const char *ending) {
    size_t n = strlen(ending);
    return (size_t)(mark - s) > n && strncasecmp(mark - n, ending, n) == 0;
}

/* The process number in a temporary name (unless any: of a picture or a JSON), or 0 if it is none. */
static long temporary_owner(const char *name, bool any) {
    if (name[0] != '.') return 0;
    const char *mark = NULL;
    for (const char *s = name; (s = strstr(s, ".mien-tmp-")); s++) mark = s;
    if (!mark) return 0;
    bool cut = any || mark - name == 201;   /* by file_temporary: its ending is gone */
    static const char *const endings[] = { "spool", ".png", ".json", ".jsonl", ".tar", ".zip", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif" };
    size_t k = 0;
    while (!cut && k < sizeof endings / sizeof *endings && !ends_with(name, mark, endings[k])) k++;
    if (k == sizeof endings / sizeof *endings) return 0;
    char *end;
    errno = 0;
    long pid = strtol(mark + 10, &end, 10);
    size_t digits = strspn(*end ? end + 1 : end, "0123456789");
    return errno == 0 && mark[10] != '+' && pid > 0 && *end == '-' && digits && end[1 + digits] == 0 ? pid : 0;
}

/* A folder of `depth` levels that was to become an output. */
static void remove_tree(int parent, const char *name, int depth) {
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (fd >= 0 && !dir) close(fd);
    for (const struct dirent *e; dir && (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if (unlinkat(dirfd(dir), e->d_name, 0) < 0 && depth > 1) remove_tree(dirfd(dir), e->d_name, depth - 1);
    }
    if (dir) closedir(dir);
    unlinkat(parent, name, AT_REMOVEDIR);
}

/* of: what their names begin with; "" for all pictures and JSON. */
static void remove_leftovers(const char *folder, const char *of, bool alone) {
    DIR *dir = opendir(folder);
    for (const struct dirent *e; dir && (e = readdir(dir));) {
        long pid = temporary_owner(e->d_name, *of);
        struct stat st;
        if (!pid || strncmp(e->d_name, of, strlen(of)) != 0) continue;
        if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_uid != geteuid()) continue;
        bool dead = pid != getpid() && kill((pid_t)pid, 0) < 0 && errno == ESRCH;
        if (S_ISDIR(st.st_mode) && *of && dead && alone) remove_tree(dirfd(dir), e->d_name, 3);   /* its age tells nothing: files are written below it */
        if (!S_ISREG(st.st_mode) || st.st_nlink != 1) continue;
        if ((dead && alone) || time(NULL) - st.st_mtime > 3600) unlinkat(dirfd(dir), e->d_name, 0);
    }
    if (dir) closedir(dir);
}

void file_remove_leftovers(const char *folder, int alone) { remove_leftovers(folder, "", alone); }

static void remove_leftovers_of(const char *path, bool alone) {
    char folder[PATH_MAX], of[256];
    size_t end = strlen(path), n;
    while (end > 1 && path[end - 1] == '/') end--;
    for (n = end; n && path[n - 1] != '/';) n--;
    if (n >= sizeof folder || n == end) return;
    memcpy(folder, path, n);
    folder[n] = 0;
    snprintf(of, sizeof of, ".%.*s.mien-tmp-", (int)(end - n > 200 ? 200 : end - n), path + n);   /* as file_temporary has it */
    remove_leftovers(n ? folder : ".", of, alone);
}

void file_remove_leftovers_of(const char *path) { remove_leftovers_of(path, true); }

void file_remove_old_leftovers_of(const char *path) { remove_leftovers_of(path, false); }

static bool stat_folder_of(const char *path, const char **name, struct stat *st) {
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash + 1 - path) : 0;
    *name = path + n;
    if (n >= sizeof folder) return false;
    memcpy(folder, path, n);
    folder[n] = 0;
    return stat(n ? folder : ".", st) == 0;
}

bool file_same_place(const char *a, const char *b) {
    struct stat x, y;
    const char *p, *q;
    return stat_folder_of(a, &p, &x) && stat_folder_of(b, &q, &y) && strcmp(p, q) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

bool file_is_at(int fd, const char *path) {
    struct stat ours, there;
    return fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

int folder_next(DIR *dir, const char *path, const struct dirent **out) {
    errno = 0;
    *out = readdir(dir);
    return *out ? 1 : errno ? error_errno("%s", path) : 0;
}

int folder_make(const char *path) {
    char part[PATH_MAX];
    size_t n = strlen(path);
    if (n >= sizeof part) return error_set(ERR_IO, "%s: the path is too long", path);
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (part[i] != '/' && part[i] != 0) continue;
        char saved = part[i];
        part[i] = 0;
        struct stat st;
        if (mkdir(part, 0777) < 0 && (errno != EEXIST || stat(part, &st) < 0 || !S_ISDIR(st.st_mode))) {
            if (errno == EEXIST) errno = ENOTDIR;
            return error_errno("%s", part);
        }
        part[i] = saved;
    }
    return 0;
}

int folder_check_links(const char *root, const char *path) {
    char part[PATH_MAX];
    size_t n = strlen(path);
    if (n >= sizeof part) return error_set(ERR_IO, "%s: the path is too long", path);
    memcpy(part, path, n + 1);
    for (size_t i = strlen(root) + 1; i < n; i++) {
        struct stat st;
        if (part[i] != '/') continue;
        part[i] = 0;
        if (lstat(part, &st) == 0 && S_ISLNK(st.st_mode)) return error_set(ERR_EXISTS, "%s is a link: nothing is written through it", part);
        part[i] = '/';
    }
    return 0;
}
