/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "base/lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

#define LOCK_NAME ".mien.lock"

/* What a lock file says of its owner: "process 123 on host". */
static void owner_write(int fd) {
    char host[65] = "", line[128];
    gethostname(host, sizeof host - 1);
    int n = snprintf(line, sizeof line, "process %ld on %s\n", (long)getpid(), host);
    if (ftruncate(fd, 0) < 0 || pwrite(fd, line, (size_t)n, 0) < 0) return;   /* a courtesy: the lock holds without it */
}

static void owner_read(int fd, char *out, size_t room) {
    ssize_t n = pread(fd, out, room - 1, 0);
    out[n > 0 ? n : 0] = 0;
    out[strcspn(out, "\n")] = 0;
    if (!*out) snprintf(out, room, "another process");
}

/* A lock file is a plain one under one name, empty or with an owner's line: anything else is the user's. */
static int check_lock(const char *path, int fd, const struct stat *st) {
    static const char begin[] = "process ";
    char head[sizeof begin] = "";
    if (S_ISREG(st->st_mode) && st->st_nlink == 1) {
        ssize_t n = pread(fd, head, sizeof begin - 1, 0);
        if (n >= 0 && strncmp(head, begin, (size_t)n) == 0) return 0;
    }
    return error_set(ERR_IO, "%s: is there and is no lock of mien", path);
}

/* Opens and locks one file. A file that its last owner removed between our open and our lock is no lock: again, but not
 * for ever, where a file system tells every look another inode. */
static int take(const char *path, int how, int *fd_out) {
    for (int attempt = 0; attempt < 1000; attempt++) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (fd < 0) return error_errno("%s", path);
        int rc;
        while ((rc = flock(fd, how | LOCK_NB)) < 0 && errno == EINTR) {}
        struct stat ours, there;
        if (rc == 0 && (fstat(fd, &ours) < 0 || stat(path, &there) < 0 || ours.st_ino != there.st_ino || ours.st_dev != there.st_dev)) {
            close(fd);
            continue;
        }
        *fd_out = fd;
        if (rc == 0) return check_lock(path, fd, &ours);
        return errno == EWOULDBLOCK ? ERR_EXISTS : ERR_UNSUPPORTED;
    }
    return ERR_UNSUPPORTED;
}

/* The process that keeps us from the folder's lock: the one that is alone writes its name there, parts into theirs. */
static void find_owner(const char *folder, int fd, char *owner, size_t room) {
    owner_read(fd, owner, room);
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (strncmp(e->d_name, LOCK_NAME ".", strlen(LOCK_NAME) + 1) != 0) continue;
        int part = openat(dirfd(dir), e->d_name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        if (part < 0) continue;
        bool held = flock(part, LOCK_SH | LOCK_NB) < 0;
        if (held) owner_read(part, owner, room);
        close(part);
        if (held) break;
    }
    if (dir) closedir(dir);
}

static int refuse(const char *folder, int fd) {
    char owner[128];
    find_owner(folder, fd, owner, sizeof owner);
    return error_set(ERR_EXISTS, "%s: is being written by %s", folder, owner);
}

/* Parts that were killed leave their lock files. Who holds the folder alone knows that none of them lives. */
static void remove_dead_parts(const char *folder) {
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        struct stat st;
        int part, parts, n = 0;
        if (sscanf(e->d_name, LOCK_NAME ".%d-of-%d%n", &part, &parts, &n) != 2 || e->d_name[n]) continue;
        int fd = openat(dirfd(dir), e->d_name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0) continue;
        if (fstat(fd, &st) == 0 && check_lock(e->d_name, fd, &st) == 0) unlinkat(dirfd(dir), e->d_name, 0);
        close(fd);
    }
    if (dir) closedir(dir);
}

int folder_lock_take(const char *folder, int part, int parts, folder_lock *out) {
    *out = FOLDER_UNLOCKED;
    if (asprintf(&out->folder_path, "%s/%s", folder, LOCK_NAME) < 0) return out->folder_path = NULL, error_memory(strlen(folder) + 64);
    if (parts && asprintf(&out->part_path, "%s/%s.%d-of-%d", folder, LOCK_NAME, part, parts) < 0) {
        out->part_path = NULL;
        folder_lock_release(out);
        return error_memory(strlen(folder) + 64);
    }
    int rc = take(out->folder_path, parts ? LOCK_SH : LOCK_EX, &out->folder);
    if (rc == ERR_EXISTS) rc = refuse(folder, out->folder);
    else if (rc == 0 && !parts) owner_write(out->folder), remove_dead_parts(folder);
    else if (rc == 0 && (rc = take(out->part_path, LOCK_EX, &out->part)) == ERR_EXISTS) {
        char owner[128];
        owner_read(out->part, owner, sizeof owner);
        rc = error_set(ERR_EXISTS, "%s: part %d of %d is being written by %s", folder, part, parts, owner);
    } else if (rc == 0) {
        owner_write(out->part);
    }
    if (rc == ERR_UNSUPPORTED) {
        folder_lock_release(out);
        out->missing = true;
        return 0;
    }
    if (rc < 0) {
        /* What we hold is let go without removing the files: they are another's. */
        if (out->part >= 0) close(out->part);
        if (out->folder >= 0) close(out->folder);
        free(out->part_path);
        free(out->folder_path);
        *out = FOLDER_UNLOCKED;
    }
    return rc;
}

void folder_lock_release(folder_lock *lock) {
    if (lock->part >= 0) {
        unlink(lock->part_path);   /* while it is held: whoever opened it meanwhile will notice (take) */
        close(lock->part);
    }
    if (lock->folder >= 0) {
        /* The last part to leave takes the file along: it alone can have the lock to itself. */
        if (flock(lock->folder, LOCK_EX | LOCK_NB) == 0) {
            struct stat ours, there;
            if (fstat(lock->folder, &ours) == 0 && stat(lock->folder_path, &there) == 0 && ours.st_ino == there.st_ino)
                unlink(lock->folder_path);
        }
        close(lock->folder);
    }
    free(lock->part_path);
    free(lock->folder_path);
    *lock = FOLDER_UNLOCKED;
}
