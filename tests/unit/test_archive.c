/* SPDX-License-Identifier: Apache-2.0
 *
 * Zip files as written, read back by the rules; tar files written and looked through, hostile ones too. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <ftw.h>
#include <malloc.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/archive.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "scratch.h"

static int files_here;
static int count_one(const char *path, const struct stat *st, int type, struct FTW *where) {
    (void)path, (void)st, (void)where;
    files_here += type == FTW_F;
    return 0;
}
static int count_files(void) {
    files_here = 0;
    assert_int_equal(nftw(".", count_one, 16, FTW_PHYS), 0);
    return files_here;
}

/* ---- zip ------------------------------------------------------------------------------------------------------------- */

static uint64_t number(const uint8_t *p, int bytes) {
    uint64_t n = 0;
    for (int i = 0; i < bytes; i++) n |= (uint64_t)p[i] << 8 * i;
    return n;
}

static uint32_t slow_crc(const uint8_t *p, uint64_t n) {
    uint32_t c = 0xffffffff;
    for (uint64_t i = 0; i < n; i++) {
        c ^= p[i];
        for (int k = 0; k < 8; k++) c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
    }
    return ~c;
}

typedef struct { uint64_t members, at, bytes; } directory;

/* The end record, which is the last 22 bytes, and the larger one that it may point to. */
static directory read_end(const uint8_t *zip, size_t size) {
    const uint8_t *end = zip + size - 22;
    assert_int_equal(number(end, 4), 0x06054b50);
    directory d = { number(end + 10, 2), number(end + 16, 4), number(end + 12, 4) };
    if (d.members != 0xffff && d.at != 0xffffffff && d.bytes != 0xffffffff) return d;
    const uint8_t *locator = end - 20;
    assert_int_equal(number(locator, 4), 0x07064b50);
    const uint8_t *large = zip + number(locator + 8, 8);
    assert_int_equal(number(large, 4), 0x06064b50);
    assert_int_equal(number(large + 4, 8), 44);
    assert_ptr_equal(large + 56, locator);
    return (directory){ number(large + 32, 8), number(large + 48, 8), number(large + 40, 8) };
}

/* A field of the directory that may stand in the extra field instead. */
static uint64_t wide(uint64_t n, const uint8_t **extra) {
    if (n != 0xffffffff) return n;
    *extra += 8;
    return number(*extra - 8, 8);
}

typedef struct { char name[5000]; uint64_t size; const uint8_t *data; uint32_t crc; const uint8_t *next; } zip_member;

static void read_member(const uint8_t *zip, const uint8_t *entry, zip_member *m) {
    assert_int_equal(number(entry, 4), 0x02014b50);
    size_t name = (size_t)number(entry + 28, 2), extra_size = (size_t)number(entry + 30, 2);
    const uint8_t *extra = entry + 46 + name + 4;
    if (extra_size) assert_int_equal(number(extra - 4, 2), 1), assert_int_equal(number(extra - 2, 2), extra_size - 4);
    m->size = wide(number(entry + 24, 4), &extra);
    assert_int_equal(wide(number(entry + 20, 4), &extra), m->size);
    uint64_t at = wide(number(entry + 42, 4), &extra);
    assert_ptr_equal(extra, entry + 46 + name + (extra_size ? extra_size : 4));
    m->next = entry + 46 + name + extra_size;
    m->crc = (uint32_t)number(entry + 16, 4);
    memcpy(m->name, entry + 46, name);
    m->name[name] = 0;
    assert_int_equal(number(entry + 10, 2), 0);                  /* stored */
    assert_int_equal(number(entry + 12, 4), 0x00210000);         /* when time began */
    assert_int_equal(number(entry + 38, 4), 0100644u << 16);

    const uint8_t *local = zip + at;
    assert_int_equal(number(local, 4), 0x04034b50);
    assert_memory_equal(local + 4, entry + 6, 14);               /* version, flags, method, time, checksum */
    assert_int_equal(number(local + 26, 2), name);
    assert_memory_equal(local + 30, m->name, name);
    size_t local_extra = (size_t)number(local + 28, 2);
    if (local_extra) {
        assert_int_equal(local_extra, 20);
        assert_int_equal(number(local + 30 + name, 4), 0x00100001);
        assert_int_equal(number(local + 34 + name, 8), m->size);
        assert_int_equal(number(local + 42 + name, 8), m->size);
        assert_int_equal(number(local + 18, 8), UINT64_MAX);
    } else {
        assert_int_equal(number(local + 18, 4), m->size);
        assert_int_equal(number(local + 22, 4), m->size);
    }
    m->data = local + 30 + name + local_extra;
}

static void write_small(const char *path) {
    archive_writer *a;
    assert_int_equal(archive_create(path, ARCHIVE_ZIP, &a), 0);
    assert_int_equal(archive_add(a, "a/one.png", "first", 5), 0);
    assert_int_equal(archive_begin(a, "a/list"), 0);
    for (int i = 0; i < 100000; i++) assert_int_equal(archive_write(a, "line\n", 5), 0);
    assert_int_equal(archive_write(a, NULL, 0), 0);
    assert_int_equal(archive_end(a), 0);
    assert_int_equal(archive_add(a, "", "", 0), 0);
    assert_int_equal(archive_begin(a, "nothing"), 0);
    assert_int_equal(archive_end(a), 0);
    assert_int_equal(archive_add(a, "\xc3\xa4\xe2\x82\xac.json", "{}", 2), 0);
    assert_int_equal(archive_finish(a, 0), 0);
}

static void test_zip(void **state) {
    (void)state;
    static const struct { const char *name, *begin; uint64_t size; int flags, version; } want[] = {
        { "a/one.png", "first", 5, 0, 20 }, { "a/list", "line\nline\n", 500000, 0, 45 }, { "", "", 0, 0, 20 }, { "nothing", "", 0, 0, 45 },
        { "\xc3\xa4\xe2\x82\xac.json", "{}", 2, 1 << 11, 20 },
    };
    enum { WANT = sizeof want / sizeof *want };
    write_small("small.zip");
    assert_int_equal(count_files(), 1);
    uint8_t *zip;
    size_t size;
    assert_int_equal(file_load("small.zip", 1 << 20, &zip, &size), 0);
    directory d = read_end(zip, size);
    assert_int_equal(d.members, WANT);
    const uint8_t *entry = zip + d.at;
    static zip_member m;
    for (int i = 0; i < WANT; i++, entry = m.next) {
        assert_int_equal(number(entry + 6, 2), want[i].version);
        assert_int_equal(number(entry + 8, 2), want[i].flags);
        read_member(zip, entry, &m);
        assert_string_equal(m.name, want[i].name);
        assert_int_equal(m.size, want[i].size);
        assert_memory_equal(m.data, want[i].begin, strlen(want[i].begin));
        assert_int_equal(m.crc, slow_crc(m.data, m.size));
    }
    assert_ptr_equal(entry, zip + d.at + d.bytes);
    uint8_t digest[32];
    char hex[65];
    sha256(zip, size, digest);
    sha256_hex(digest, hex);   /* the bytes must stay what they are; Python's zipfile.testzip() was content with these */
    assert_string_equal(hex, "08c246cd3476002c0914d017009aff71ef1bf76602751c1eff336e032db81ab0");
    free(zip);
}

static void test_many_members(void **state) {
    (void)state;
    enum { MANY = 70000 };
    archive_writer *a;
    char name[32];
    assert_int_equal(archive_create("many.zip", ARCHIVE_ZIP, &a), 0);
    struct mallinfo2 before = mallinfo2();
    for (int i = 0; i < MANY; i++) {
        int n = sprintf(name, "source/%d.png", i);
        assert_int_equal(archive_add(a, name, name + 7, (size_t)n - 7), 0);
    }
    struct mallinfo2 after = mallinfo2();
    assert_true(after.uordblks + after.hblkhd <= before.uordblks + before.hblkhd + (1 << 17));   /* a buffer: nothing a member */
    assert_int_equal(archive_finish(a, 0), 0);
    uint8_t *zip;
    size_t size;
    assert_int_equal(file_load("many.zip", 1 << 24, &zip, &size), 0);
    directory d = read_end(zip, size);
    assert_int_equal(d.members, MANY);
    const uint8_t *entry = zip + d.at;
    static zip_member m;
    for (int i = 0; i < MANY; i++, entry = m.next) {
        read_member(zip, entry, &m);
        int n = sprintf(name, "source/%d.png", i);
        assert_string_equal(m.name, name);
        assert_int_equal(m.size, n - 7);
        assert_memory_equal(m.data, name + 7, m.size);
    }
    assert_ptr_equal(entry, zip + d.at + d.bytes);
    free(zip);
}

/* Places and sizes above 4 GB: with MIEN_TEST_LARGE only (tests/soak/zip_large.sh), since it writes 9 GB. */
static void test_large(void **state) {
    (void)state;
    if (!getenv("MIEN_TEST_LARGE")) {
        print_message("skipped: it writes 9 GB: tests/soak/zip_large.sh\n");
        skip();
    }
    enum { BLOCK = 1 << 20, BLOCKS = 4097 };
    uint8_t *block = malloc(BLOCK);
    for (int i = 0; i < BLOCK; i++) block[i] = (uint8_t)(i * 31 >> 3);
    archive_writer *a;
    assert_int_equal(archive_create("large.zip", ARCHIVE_ZIP, &a), 0);
    assert_int_equal(archive_add(a, "before", "1", 1), 0);
    assert_int_equal(archive_begin(a, "large"), 0);
    for (int i = 0; i < BLOCKS; i++) assert_int_equal(archive_write(a, block, BLOCK), 0);
    assert_int_equal(archive_end(a), 0);
    assert_int_equal(archive_add(a, "behind", "22", 2), 0);
    assert_int_equal(archive_begin(a, "large, behind"), 0);
    for (int i = 0; i < BLOCKS; i++) assert_int_equal(archive_write(a, block, BLOCK), 0);
    assert_int_equal(archive_end(a), 0);
    assert_int_equal(archive_finish(a, 0), 0);
    file_map map;
    assert_int_equal(file_map_open("large.zip", &map), 0);
    directory d = read_end(map.data, map.size);
    assert_int_equal(d.members, 4);
    const uint8_t *entry = map.data + d.at;
    static const struct { const char *name; uint64_t size; } want[] = {
        { "before", 1 }, { "large", (uint64_t)BLOCK * BLOCKS }, { "behind", 2 }, { "large, behind", (uint64_t)BLOCK * BLOCKS },
    };
    static zip_member m;
    for (int i = 0; i < 4; i++, entry = m.next) {
        read_member(map.data, entry, &m);
        assert_string_equal(m.name, want[i].name);
        assert_int_equal(m.size, want[i].size);
        if (m.size > BLOCK) assert_memory_equal(m.data + m.size - BLOCK, block, BLOCK);
    }
    file_map_close(&map);
    free(block);
}

static void test_appears_whole(void **state) {
    (void)state;
    for (int kind = ARCHIVE_ZIP; kind <= ARCHIVE_TAR; kind++) {
        archive_writer *a;
        assert_int_equal(archive_create("x", (archive_kind)kind, &a), 0);
        assert_int_equal(archive_add(a, "name", "text", 4), 0);
        assert_int_equal(access("x", F_OK), -1);
        archive_abandon(a);
        assert_int_equal(count_files(), 0);
        assert_int_equal(file_save("x", "user's", 6), 0);
        assert_int_equal(archive_create("x", (archive_kind)kind, &a), 0);
        assert_int_equal(archive_finish(a, 0), ERR_EXISTS);
        struct stat st;
        assert_int_equal(stat("x", &st), 0);
        assert_int_equal(st.st_size, 6);
        assert_int_equal(archive_create("x", (archive_kind)kind, &a), 0);
        assert_int_equal(archive_finish(a, 1), 0);
        assert_int_equal(stat("x", &st), 0);
        assert_int_not_equal(st.st_size, 6);
        assert_int_equal(archive_create("nowhere/x", (archive_kind)kind, &a), ERR_IO);
        assert_int_equal(count_files(), 1);
        assert_int_equal(unlink("x"), 0);
    }
    archive_abandon(NULL);
}

/* A file may not grow any more, as on a full disk: nothing stays. */
static void test_no_room(void **state) {
    (void)state;
    struct rlimit was, limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    limit = was;
    limit.rlim_cur = 300000;
    static uint8_t data[100000];
    for (int kind = ARCHIVE_ZIP; kind <= ARCHIVE_TAR; kind++) {
        archive_writer *a;
        assert_int_equal(archive_create("x", (archive_kind)kind, &a), 0);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        int rc = 0;
        for (int i = 0; rc == 0 && i < 10; i++) rc = archive_add(a, "name", data, sizeof data);
        assert_true(rc < 0);
        assert_non_null(strstr(error_message(), "x: File too large"));
        archive_abandon(a);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
        assert_int_equal(count_files(), 0);
    }
}

/* ---- tar ------------------------------------------------------------------------------------------------------------- */

static tar_library *library;
static int found, fd_of;
static char seen[65536];

static void open_tar(const char *path) {
    fd_of = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd_of >= 0);
    found = 0;
    seen[0] = 0;
}

/* "name=text\n" for a member, or "name!why\n". */
static int note(void *context, const tar_member *m) {
    (void)context;
    size_t n = strlen(seen);
    found++;
    if (m->wrong) return snprintf(seen + n, sizeof seen - n, "%.40s!%s\n", m->name, m->wrong), 0;
    char text[64] = "";
    assert_true(pread(fd_of, text, m->size < 60 ? m->size : 60, (off_t)m->offset) >= 0);
    snprintf(seen + n, sizeof seen - n, "%.40s=%s\n", m->name, text);
    return 0;
}

static int scan_file(const char *path, uint64_t *end) {
    open_tar(path);
    int rc = tar_scan(library, fd_of, path, 0, note, NULL, end);
    close(fd_of);
    return rc;
}

enum { MEMBERS = 6 };
static tar_member place[MEMBERS];
static int note_place(void *context, const tar_member *m) {
    (void)context;
    if (found < MEMBERS) place[found] = *m;
    return found++, 0;
}
static int stop_at_once(void *context, const tar_member *m) { return *(uint64_t *)context = m->size, 7; }

static void test_tar(void **state) {
    (void)state;
    char name[MEMBERS][300] = { "a.jpg", "a.map.png", "a.json", "" , "b.jpg", "c.txt" };
    memset(name[3], 'n', 250);
    strcpy(name[3] + 250, ".txt");
    static char data[MEMBERS][2000];
    archive_writer *a;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(archive_create(round ? "2.tar" : "1.tar", ARCHIVE_TAR, &a), 0);
        for (int i = 0; i < MEMBERS; i++) {
            memset(data[i], 'a' + i, sizeof data[i]);
            assert_int_equal(archive_add(a, name[i], data[i], (size_t)i * 300), 0);
        }
        assert_int_equal(archive_finish(a, 0), 0);
    }
    uint8_t *first, *second;
    size_t n, m;
    assert_int_equal(file_load("1.tar", 1 << 20, &first, &n), 0);
    assert_int_equal(file_load("2.tar", 1 << 20, &second, &m), 0);
    assert_int_equal(n, m);
    assert_memory_equal(first, second, n);
    assert_int_equal(n % 512, 0);
    open_tar("1.tar");
    uint64_t end = 0, size = 0;
    assert_int_equal(tar_scan(library, fd_of, "1.tar", 0, note_place, NULL, &end), 0);
    assert_int_equal(found, MEMBERS);
    assert_int_equal(end + 1024, n);
    for (int i = 0; i < MEMBERS; i++) {
        assert_null(place[i].wrong);
        assert_int_equal(place[i].size, i * 300);
        assert_memory_equal(first + place[i].offset, data[i], place[i].size);
        if (i != 3) assert_string_equal((char *)first + place[i].at, name[i]);
        assert_int_equal(tar_scan(library, fd_of, "1.tar", place[i].at, stop_at_once, &size, NULL), 7);
        assert_int_equal(size, i * 300);
    }
    assert_int_equal(place[3].offset - place[3].at, 3 * 512);   /* the long name has a header of its own before it */
    close(fd_of);
    assert_int_equal(scan_file("1.tar", NULL), 0);
    assert_non_null(strstr(seen, "nnnn"));
    free(first);
    free(second);
}

/* ---- hostile tar files ------------------------------------------------------------------------------------------------- */

static uint8_t tar[1 << 16];
static size_t tar_size;

/* Appends a member as POSIX has it; claims: its size as it says. */
static void add_header(const char *name, char type, const char *link, uint64_t claims) {
    uint8_t *h = tar + tar_size;
    memset(h, 0, 512);
    strncpy((char *)h, name, 100);
    memcpy(h + 100, "0000644\0000000000\0000000000", 24);
    snprintf((char *)h + 124, 12, "%011llo", (unsigned long long)claims & 077777777777);
    memcpy(h + 136, "00000000000", 12);
    memset(h + 148, ' ', 8);
    h[156] = (uint8_t)type;
    strncpy((char *)h + 157, link, 100);
    memcpy(h + 257, "ustar\00000", 8);
    unsigned sum = 0;
    for (int i = 0; i < 512; i++) sum += h[i];
    snprintf((char *)h + 148, 8, "%06o", sum);
    tar_size += 512;
}

static void add_bytes(const void *data, size_t size) {
    memset(tar + tar_size, 0, size + 512);
    memcpy(tar + tar_size, data, size);
    tar_size += (size + 511) & ~(size_t)511;
}

static void add_file(const char *name, const char *content) {
    add_header(name, '0', "", strlen(content));
    add_bytes(content, strlen(content));
}

static int scan_bytes(size_t zeros) {
    memset(tar + tar_size, 0, zeros);
    assert_int_equal(file_save("h.tar", tar, tar_size + zeros), 0);
    tar_size = 0;
    return scan_file("h.tar", NULL);
}

static void test_names_and_kinds(void **state) {
    (void)state;
    add_file("plain.txt", "0");
    add_file("/etc/passwd", "1");
    add_file("../up.txt", "2");
    add_file("a/../b.txt", "3");
    add_file("a/..", "4");
    add_file("..b/c..txt", "5");
    add_file("./sub/d.txt", "6");
    add_header("folder/", '5', "", 0);
    add_header("soft", '2', "/etc/passwd", 0);
    add_header("hard", '1', "plain.txt", 0);
    add_header("device", '3', "", 0);
    add_header("fifo", '6', "", 0);
    add_file("twice.txt", "7");
    add_file("twice.txt", "8");
    add_file("\xff\x01odd", "9");
    assert_int_equal(scan_bytes(1024), 0);
    assert_string_equal(seen, "plain.txt=0\n/etc/passwd!has an absolute name\n../up.txt!has \"..\" in its name\na/../b.txt!has \"..\" in its name\n"
                              "a/..!has \"..\" in its name\n..b/c..txt=5\n./sub/d.txt=6\nsoft!is a link\nhard!is a link\ndevice!is no file\nfifo!is no file\n"
                              "twice.txt=7\ntwice.txt=8\n\xff\x01odd=9\n");
}

static void test_extended_headers(void **state) {
    (void)state;
    static const char path[] = "19 path=long/p.txt\n", utf8[] = "18 path=\xc3\xa4\xe2\x82\xac.txt\n", up[] = "19 path=../x/y.txt\n", sparse[] = "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n";
    static const char map[512] = "1\n0\n5\n";
    add_header("x", 'x', "", sizeof path - 1), add_bytes(path, sizeof path - 1);
    add_file("short", "0");
    add_header("x", 'x', "", sizeof utf8 - 1), add_bytes(utf8, sizeof utf8 - 1);
    add_file("short", "1");
    add_header("x", 'x', "", sizeof up - 1), add_bytes(up, sizeof up - 1);
    add_file("short", "2");
    add_header("././@LongLink", 'L', "", 10), add_bytes("gnu/g.txt", 10);
    add_file("gnu", "3");
    add_header("g", 'g', "", sizeof path - 1), add_bytes(path, sizeof path - 1);
    add_file("global", "4");
    add_header("x", 'x', "", sizeof sparse - 1), add_bytes(sparse, sizeof sparse - 1);
    add_header("holes", '0', "", 517), add_bytes(map, sizeof map), add_bytes("holes", 5);
    add_file("last", "5");
    assert_int_equal(scan_bytes(1024), 0);
    assert_non_null(strstr(seen, "long/p.txt=0\n\xc3\xa4\xe2\x82\xac.txt=1\n../x/y.txt!has \"..\" in its name\ngnu/g.txt=3\nglobal=4\n"));
    assert_non_null(strstr(seen, "!is stored with holes\nlast=5\n"));
}

static void test_broken(void **state) {
    (void)state;
    assert_int_equal(scan_bytes(0), ERR_FORMAT);         /* no byte at all */
    assert_int_equal(scan_bytes(1024), 0);               /* a tar without members */
    assert_int_equal(found, 0);
    memset(tar, 'x', 4096);
    tar_size = 4096;
    assert_int_equal(scan_bytes(0), ERR_FORMAT);
    assert_non_null(strstr(error_message(), "h.tar: byte 0: "));
    add_file("a", "0"), add_file("b", "1");
    tar[1024 + 10] ^= 1;                                 /* the second header's checksum is wrong */
    assert_int_equal(scan_bytes(1024), ERR_FORMAT);
    assert_non_null(strstr(error_message(), "h.tar: byte 1024: "));
    assert_string_equal(seen, "a=0\n");
    add_file("a", "0"), add_header("b", '0', "", 1000000), add_bytes("cut", 3);
    scan_bytes(0);
    assert_string_equal(seen, "a=0\nb!reaches over the end of the file\n");
    add_file("a", "0"), add_header("b", '0', "", 077777777777), add_bytes("cut", 3);
    scan_bytes(0);
    assert_string_equal(seen, "a=0\nb!reaches over the end of the file\n");
    add_file("a", "0"), add_header("b", '0', "", 3), tar_size -= 100;
    assert_int_equal(scan_bytes(0), ERR_FORMAT);
    assert_string_equal(seen, "a=0\n");
    add_file("a", "0");                                  /* no end: many writers leave it out */
    assert_int_equal(scan_bytes(0), 0);
    assert_string_equal(seen, "a=0\n");
    for (int i = 0; i < 100; i++) add_header("x", 'x', "", 0);   /* headers of headers of headers: which are refused is libarchive's */
    add_file("a", "0");
    scan_bytes(1024);
}

static int open_library(void **state) { return (void)state, tar_library_open(&library); }
static int close_library(void **state) { return (void)state, tar_library_close(library), 0; }

int main(void) {
    signal(SIGXFSZ, SIG_IGN);
#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, scratch_enter, scratch_leave)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_zip), IN_FOLDER(test_many_members), IN_FOLDER(test_large), IN_FOLDER(test_appears_whole), IN_FOLDER(test_no_room),
        IN_FOLDER(test_tar), IN_FOLDER(test_names_and_kinds), IN_FOLDER(test_extended_headers), IN_FOLDER(test_broken),
    };
    return cmocka_run_group_tests(tests, open_library, close_library);
}
