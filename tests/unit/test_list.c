/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of all kinds say the same; what is wrong in them is told, not taken; tables; entries that are carried on. */
#define _GNU_SOURCE
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/file.h"
#include "data/list.h"
#include "scratch.h"

static void put(const char *path, const char *content) { assert_int_equal(file_save(path, content, strlen(content)), 0); }

/* An item in one line: line, metadata.json's entry; or line and what is wrong. */
static void describe(const list_item *item, text *out) {
    text_printf(out, "%d ", (int)item->line);
    if (item->wrong) text_printf(out, "%s!%s", item->id, item->wrong);
    else list_item_write(item, out);
    text_add(out, "\n");
}

static void collect(const char *data, size_t size, text *out) {
    stream *s;
    list *l;
    list_item item;
    text_add(out, "");
    assert_int_equal(stream_open_memory("LIST", data, size, &s), 0);
    int rc = list_open_stream(s, &l);
    if (rc < 0) {
        text_printf(out, "%d %s", rc, error_message());
        return;
    }
    while ((rc = list_next(l, &item)) == 1) describe(&item, out);
    if (rc < 0) text_printf(out, "%d %s", rc, error_message());
    else assert_int_equal(list_bytes_read(l), size);
    list_close(l);
}

static void expect(const char *data, const char *want) {
    text got = { 0 };
    collect(data, strlen(data), &got);
    assert_string_equal(got.data, want);
    text_free(&got);
}

#define NO_ID "the id can't be a file's name: 1 to 200 of A-Z a-z 0-9 . _ - are allowed, without a dot in front"
#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_kinds(void **state) {
    (void)state;
    static const char want[] = "1 \"a1\": {\"url\": \"http://x/1,2.jpg\", \"caption\": \"caf\\u00e9 \\\"q\\\"\", \"NSFW\": \"UNLIKELY\", \"width\": 640, \"height\": 480}\n"
                               "2 \"b.2\": {\"url\": \"https://y/\"}\n";
    static const char later[] = "2 \"a1\": {\"url\": \"http://x/1,2.jpg\", \"caption\": \"caf\\u00e9 \\\"q\\\"\", \"NSFW\": \"UNLIKELY\", \"width\": 640, \"height\": 480}\n"
                                "3 \"b.2\": {\"url\": \"https://y/\"}\n";
    expect("{\"a1\": {\"url\": \"http://x/1,2.jpg\", \"caption\": \"caf\\u00e9 \\\"q\\\"\", \"NSFW\": \"UNLIKELY\", \"width\": 640, \"height\": \"480\", \"id\": 5, \"similarity\": [1]},\n"
           "\"b.2\": {\"url\": \" https://y/ \", \"caption\": null, \"width\": null, \"height\": {}, \"sha256\": 5}}", want);
    expect("{\"URL\": \"http://x/1,2.jpg\", \"TEXT\": \"caf\\u00e9 \\\"q\\\"\", \"NSFW\": \"UNLIKELY\", \"WIDTH\": 640, \"HEIGHT\": 480.0, \"SAMPLE_ID\": \"a1\"}\n"
           "{\"url\": \"https://y/\", \"key\": \"b.2\"}\n", want);
    expect("SAMPLE_ID,URL,TEXT,WIDTH,HEIGHT,NSFW,other\na1,\"http://x/1,2.jpg\",\"caf\xc3\xa9 \"\"q\"\"\",640,480,UNLIKELY,zzz\nb.2,https://y/\n", later);
    expect("\xef\xbb\xbf\"name\"\tUrl\tprompt\toriginal_width\twidth\theight\tnsfw\r\na1\thttp://x/1,2.jpg\t\"caf\xc3\xa9 \"\"q\"\"\"\t640\t99\t480\tUNLIKELY\r\nb.2\thttps://y/\t\t\t\t\t\r\n", later);
    expect("# a remark\n\nhttp://x/1.jpg\r\n  https://y/  \n\t\n# another\nnonsense",
           "3 \"f05e86a17f7f960e\": {\"url\": \"http://x/1.jpg\"}\n4 \"31e9d10a991755f7\": {\"url\": \"https://y/\"}\n7 !this is no url\n");
    expect("", "");
    expect("\n", "");
    expect("{}", "");
    expect(" {\n} ", "");
    expect("url\n", "");
}

/* What begins with { may be two kinds. */
static void test_objects(void **state) {
    (void)state;
    expect("{\"url\": \"http://x\", \"id\": \"a\"}", "1 \"a\": {\"url\": \"http://x\"}\n");
    expect("{\"a\": {\"url\": \"http://x\"}}", "1 \"a\": {\"url\": \"http://x\"}\n");
    expect("{\n  \"a\": {\n    \"url\": \"http://x\"\n  }\n}\n", "1 \"a\": {\"url\": \"http://x\"}\n");
    expect("{\n\n \"a\": null, \"b\": {\"url\": \"http://x\"}}", "1 a!an object {...} was expected\n2 \"b\": {\"url\": \"http://x\"}\n");
    expect("{\"meta\": {\"x\": 1}, \"url\": \"http://x\", \"id\": \"a\"}\n\n{\"url\": \"http://y\", \"id\": \"b\"}\n",
           "1 \"a\": {\"url\": \"http://x\"}\n3 \"b\": {\"url\": \"http://y\"}\n");
    text big = { 0 };   /* a first line that is longer than what is looked at */
    text_add(&big, "{");
    for (int i = 0; i < 3000; i++) text_printf(&big, "%s\"%d\": {\"url\": \"http://example.com/%d\"}", i ? ", " : "", i, i);
    text_add(&big, "}");
    text got = { 0 };
    collect(big.data, big.size, &got);
    assert_non_null(strstr(got.data, "\n3000 \"2999\": {\"url\": \"http://example.com/2999\"}\n"));
    text_free(&big), text_free(&got);
}

static void test_marks(void **state) {
    (void)state;
    static const struct { const char *field; bool safe; } marks[] = {
        { "\"x\":1", true }, { "\"NSFW\":null", true }, { "\"NSFW\":\"unlikely\"", true }, { "\"nsfw\":\"UNLIKELY\"", true }, { "\"NSFW\":NaN", true },
        { "\"NSFW\":\"\"", false }, { "\"NSFW\":\"UNSURE\"", false }, { "\"NSFW\":\"NSFW\"", false }, { "\"NSFW\":\"0.05\"", false }, { "\"NSFW\":[]", false },
        { "\"punsafe\":0.1", true }, { "\"punsafe\":0.10001", false }, { "\"punsafe\":1e-3", true }, { "\"punsafe\":\"0.05\"", true }, { "\"punsafe\":\"0.5\"", false },
        { "\"NSFW\":0.05", true }, { "\"NSFW\":0.9", false }, { "\"unsafe\":true", false }, { "\"unsafe\":false", true }, { "\"unsafe\":\"yes\"", false }, { "\"punsafe\":{}", false },
        { "\"NSFW\":\"UNLIKELY\",\"punsafe\":0.9", false }, { "\"NSFW\":\"UNLIKELY\",\"unsafe\":\"yes\"", false }, { "\"NSFW\":\"NSFW\",\"punsafe\":0.0", false }, { "\"punsafe\":1.5E+0", false },
    };
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        char line[200];
        stream *s;
        list *l;
        list_item item;
        snprintf(line, sizeof line, "{\"url\":\"http://x\",%s}", marks[i].field);
        assert_int_equal(stream_open_memory("x", line, strlen(line), &s), 0);
        assert_int_equal(list_open_stream(s, &l), 0);
        assert_int_equal(list_next(l, &item), 1);
        assert_null(item.wrong);
        if (list_safe(&item, 0.1) != marks[i].safe) print_error("%s: %s %g\n", marks[i].field, item.nsfw ? item.nsfw : "-", item.unsafe);
        assert_int_equal(list_safe(&item, 0.1), marks[i].safe);
        list_close(l);
    }
    expect("url,id,punsafe\nhttp://x,a,4.811111111111111111111e77\nhttp://x,b,0.10000000149011612\nhttp://x,c,.5\nhttp://x,d,1e-400\nhttp://x,e,1e400\nhttp://x,f,12345678901234567890e-20\n",
           "2 \"a\": {\"url\": \"http://x\", \"punsafe\": 4.811111111111111e+77}\n3 \"b\": {\"url\": \"http://x\", \"punsafe\": 0.10000000149011612}\n"
           "4 \"c\": {\"url\": \"http://x\", \"punsafe\": 0.5}\n5 \"d\": {\"url\": \"http://x\", \"punsafe\": 0}\n6 \"e\": {\"url\": \"http://x\", \"NSFW\": \"1e400\"}\n"
           "7 \"f\": {\"url\": \"http://x\", \"punsafe\": 0.12345678901234568}\n");
    expect("url,id,nsfw,punsafe\nhttp://x,a,0.25,\nhttp://x,b,UNLIKELY,0.125\nhttp://x,c,,\n",
           "2 \"a\": {\"url\": \"http://x\", \"punsafe\": 0.25}\n3 \"b\": {\"url\": \"http://x\", \"NSFW\": \"UNLIKELY\", \"punsafe\": 0.125}\n4 \"c\": {\"url\": \"http://x\"}\n");
}

static void test_hostile(void **state) {
    (void)state;
    expect("{\"../../x\": {\"url\": \"http://x\"}, \"\": {\"url\": \"http://x\"}, \".a\": {\"url\": \"http://x\"}, \"a/b\": {\"url\": \"http://x\"}, \"b\": {\"url\": \"http://x/\\u0007\"},"
           "\"c\": {\"url\": 5}, \"d\": {\"url\": \"x\\u0000y\"}, \"e\": [], \"f\": \"http://x\", \"g\": {\"caption\": \"no url\"}, \"h\": {\"url\": \" \"},"
           "\"i\": {\"url\": \"http://x\", \"caption\": \"<script>\\u001b[31m\", \"width\": 1e99, \"height\": -5, \"sha256\": \"../\"}}",
           "1 ../../x!" NO_ID "\n2 !" NO_ID "\n3 .a!" NO_ID "\n4 a/b!" NO_ID "\n5 b!the url has control characters\n6 c!there is no url\n7 d!there is no url\n"
           "8 e!an object {...} was expected\n9 f!an object {...} was expected\n10 g!there is no url\n11 h!there is no url\n"
           "12 \"i\": {\"url\": \"http://x\", \"caption\": \"<script>\\u001b[31m\"}\n");
    expect("{\"url\":\"http://x\",\"id\":\"a\"}\nnonsense\n{\"url\":\"http://x\",\"id\":123}\n{\"url\":\"http://x\",\"id\":\"a b\"}\n[1]\n{\"url\":\"http://x\",\"url\":\"http://y\",\"id\":\"d\"}\n",
           "1 \"a\": {\"url\": \"http://x\"}\n2 !lexical error: invalid string in json text.\n3 \"123\": {\"url\": \"http://x\"}\n4 a b!" NO_ID "\n5 !an object {...} was expected\n"
           "6 \"d\": {\"url\": \"http://y\"}\n");
    expect("{\"a\": {\"url\": \"http://x\"}, \"b\": {\"url\": ", "1 \"a\": {\"url\": \"http://x\"}\n-2 LIST: byte 40: parse error: premature EOF");
    expect("[{\"url\":\"http://x\"}]", "-2 LIST: is a JSON list [...]: an object {\"id\": {\"url\": ...}, ...} or JSON lines were expected");
    expect("PAR1xxxx", "-2 LIST: is a Parquet file: export it as JSON lines or CSV");
    text got = { 0 };
    collect("a\0b", 3, &got);
    assert_string_equal(got.data, "-2 LIST: is no list: it is not text in UTF-8");
    text_free(&got);
    char list[2048], want[2048];   /* hashes, in either case, and an id that is just not too long */
    snprintf(list, sizeof list, "url,id,sha256\nhttp://x,%0200d,%064d\nhttp://x,%0201d,\nhttp://x,a,%063dF\nhttp://x,b,%063dg\n", 0, 0, 0, 0, 0);
    snprintf(want, sizeof want, "2 \"%0200d\": {\"url\": \"http://x\", \"sha256\": \"%064d\"}\n3 %0201d!" NO_ID "\n4 \"a\": {\"url\": \"http://x\", \"sha256\": \"%063df\"}\n"
             "5 \"b\": {\"url\": \"http://x\"}\n", 0, 0, 0, 0);
    expect(list, want);
}

static void test_csv(void **state) {
    (void)state;
    expect("url,caption,id\nhttp://x,\"two\r\nlines, \"\"q\"\"\",a\nhttp://y,\"\",b\n\n\"http://z\",x\"y\",c\nhttp://w,\"q\"rest,d\nhttp://v,a,b,c,d\nhttp://u",
           "2 \"a\": {\"url\": \"http://x\", \"caption\": \"two\\r\\nlines, \\\"q\\\"\"}\n4 \"b\": {\"url\": \"http://y\"}\n6 \"c\": {\"url\": \"http://z\", \"caption\": \"x\\\"y\\\"\"}\n"
           "7 \"d\": {\"url\": \"http://w\", \"caption\": \"qrest\"}\n8 !5 columns, the header has 3: a quote may be missing\n9 \"190ae9431c918201\": {\"url\": \"http://u\"}\n");
    expect("URL\nhttp://x/a,b;c.jpg\n\"http://y/a,b\"\n", "2 \"6dedb0ac4337e2e6\": {\"url\": \"http://x/a,b;c.jpg\"}\n3 \"985817e153b489ac\": {\"url\": \"http://y/a,b\"}\n");
    expect("id;url\na;http://x,y\n", "2 \"a\": {\"url\": \"http://x,y\"}\n");
    expect("id|url\na|http://x\n", "2 \"a\": {\"url\": \"http://x\"}\n");
    expect("id,url\na,http://x\nb,\"http://y\nc,http://z\n", "2 \"a\": {\"url\": \"http://x\"}\n-2 LIST: line 3: a quote that is never closed");
    expect("id, url ,\"caption\"\na,http://x,y", "2 \"a\": {\"url\": \"http://x\", \"caption\": \"y\"}\n");
}

/* Lines and cells that are too long make one item wrong, and take no memory. */
static void test_long(void **state) {
    (void)state;
    enum { LONG = 3 << 20 };
    char *data = malloc(LONG + 100);
    static const char *const begins[] = { "http://x\n", "{\"url\":\"http://x\"}\n", "url\nhttp://x\n" };
    for (int i = 0; i < 3; i++) {
        memset(data, 'x', LONG);
        memcpy(data, begins[i], strlen(begins[i]));
        strcpy(data + LONG, "\nhttp://y\n");
        text got = { 0 };
        collect(data, LONG + 10, &got);
        const char *wrong = strchr(got.data, '!');
        assert_non_null(wrong);
        assert_int_equal(strncmp(wrong, "!a line of more than 1048576 bytes\n", 35), 0);
        if (i != 1) assert_non_null(strstr(wrong, "http://y"));
        text_free(&got);
    }
    memset(data, '\n', LONG);
    memcpy(data, "url\n\"http", 9);
    text got = { 0 };
    collect(data, LONG, &got);
    assert_string_equal(got.data, "-2 LIST: line 2: a quote that is never closed");
    text_free(&got);
    free(data);
}

/* ---- tables and entries -------------------------------------------------------------------------------------------- */

static void test_table(void **state) {
    (void)state;
    list_table *t;
    list_item item;
    text all = { 0 };
    text_add(&all, "{");
    for (int i = 0; i < 5000; i++)
        text_printf(&all, "\"%d\": {\"url\": \"http://example.com/%d\", \"caption\": \"caption %d\", \"width\": %d, \"height\": %d, \"NSFW\": %s},\n", i, i, i, i + 1, i + 2,
                    i % 2 ? "\"UNLIKELY\"" : "0.5");
    text_add(&all, "\"7\": {\"url\": \"http://example.com/other\"}, \"/\": {\"url\": \"http://example.com/wrong\"}}");
    assert_int_equal(file_save("list.json", all.data, all.size), 0);
    text_free(&all);
    assert_int_equal(list_table_open("list.json", ".", false, NULL, &t), 0);
    assert_int_equal(list_table_count(t), 5000);
    for (int i = 4999; i >= 0; i -= 7) {
        char id[16], url[64], caption[64];
        snprintf(id, sizeof id, "%d", i), snprintf(url, sizeof url, "http://example.com/%d", i), snprintf(caption, sizeof caption, "caption %d", i);
        assert_int_equal(list_table_find(t, id, &item), 1);
        assert_string_equal(item.id, id);
        assert_string_equal(item.url, url);
        assert_string_equal(item.caption, caption);
        assert_int_equal(item.width, i + 1), assert_int_equal(item.height, i + 2), assert_int_equal(item.line, i + 1);
        assert_null(item.sha256);
        assert_null(item.wrong);
        if (i % 2) assert_string_equal(item.nsfw, "UNLIKELY"), assert_true(item.unsafe < 0);
        else assert_null(item.nsfw), assert_true(item.unsafe == 0.5);
    }
    assert_int_equal(list_table_find(t, "5000", &item), 0);
    assert_int_equal(list_table_find(t, "/", &item), 0);
    list_table_close(t);
    assert_int_equal(list_table_open("nothing.json", ".", false, NULL, &t), 0);
    assert_int_equal(list_table_find(t, "1", &item), 0);
    assert_int_equal(list_table_count(t), 0);
    list_table_close(t);
    /* What build writes of a folder's photos has no addresses. */
    put("folder.json", "{\"a\": {\"url\": null, \"caption\": \"of a\", \"NSFW\": \"LIKELY\"}, \"b\": {\"punsafe\": 0.75, \"width\": 5}, \"../c\": {\"caption\": \"x\"},"
                       " \"d\": 5, \"a\": {\"url\": \"http://x\"}, \"e\": {\"url\": \"x\\u0001y\", \"sha256\": \"" SHA "\"}}");
    assert_int_equal(list_table_open("folder.json", ".", false, NULL, &t), 0);
    assert_int_equal(list_table_count(t), 3);
    assert_int_equal(list_table_find(t, "a", &item), 1);
    assert_null(item.url), assert_string_equal(item.caption, "of a"), assert_string_equal(item.nsfw, "LIKELY");
    assert_int_equal(list_table_find(t, "b", &item), 1);
    assert_null(item.caption), assert_true(item.unsafe == 0.75), assert_int_equal(item.width, 5);
    assert_int_equal(list_table_find(t, "e", &item), 1);
    assert_null(item.url), assert_string_equal(item.sha256, SHA);
    list_table_close(t);
    volatile int stop = 1;
    assert_int_equal(list_table_open("list.json", ".", false, &stop, &t), ERR_CANCELLED);
    put("broken.json", "{\"a\": {\"url\": ");
    assert_int_equal(list_table_open("broken.json", ".", false, NULL, &t), ERR_FORMAT);
}

/* metadata.json is one object, whatever else might be a list. */
static void test_table_of_no_object(void **state) {
    (void)state;
    static const char *const none[] = { "SECRET", "http://x/1\n", "url\nhttp://x/1\n", "[]", "{\"url\": \"http://x\", \"id\": \"a\"}\n{\"url\": \"http://x\"}\n", "", " \n", "\xef\xbb\xbf" };
    list_table *t;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        put("x.json", none[i]);
        assert_int_equal(list_table_open("x.json", ".", false, NULL, &t), ERR_FORMAT);
        assert_non_null(strstr(error_message(), "x.json: "));
        bool empty = i >= 5;
        assert_int_equal(list_table_open("x.json", ".", true, NULL, &t), empty ? 0 : ERR_FORMAT);
        if (empty) assert_int_equal(list_table_count(t), 0), list_table_close(t);
    }
    put("x.json", "{\"a\": 5, \"b\": {\"NSFW\": \"LIKELY\"}, \"c\\n\": {}, \"url\": \"http://x\"}");
    assert_int_equal(list_table_open("x.json", ".", false, NULL, &t), 0);
    assert_int_equal(list_table_count(t), 1);
    assert_int_equal(list_table_wrong(t), 3);
    assert_string_equal(list_table_why(t), "\"a\": an object {...} was expected");
    list_table_close(t);
}

/* A list of 20 MB takes no more memory than its beginning did. */
static void test_memory(void **state) {
    (void)state;
    enum { ENTRIES = 100000 };
    static const char *const begins[] = { "{", "", "id,url,caption\n" }, *const ends[] = { "}", "", "" };
    static const char *const entries[] = { "%s\"%d\": {\"url\": \"http://example.com/%d\", \"caption\": \"%150s\"}", "%.0s{\"id\": %d, \"url\": \"http://example.com/%d\", \"caption\": \"%150s\"}\n", "%.0s%d,http://example.com/%d,\"%150s\"\n" };
    assert_int_equal(mkfifo("fifo", 0600), 0);
    for (int kind = 0; kind < 3; kind++) {
        pid_t child = fork();
        if (child == 0) {
            FILE *f = fopen("fifo", "w");
            fputs(begins[kind], f);
            for (int i = 0; i < ENTRIES; i++) fprintf(f, entries[kind], i ? ", " : "", i, i, "caf\xc3\xa9");
            fputs(ends[kind], f);
            _exit(fclose(f) != 0);
        }
        list *l;
        list_item item;
        size_t early = 0, used = 0;
        assert_int_equal(list_open("fifo", &l), 0);
        for (int i = 0; i < ENTRIES; i++) {
            assert_int_equal(list_next(l, &item), 1);
            assert_null(item.wrong);
            if (i % 1000) continue;
            used = mallinfo2().uordblks + mallinfo2().hblkhd;
            if (i == 10000) early = used;
            if (i > 10000) assert_true(used <= early + 65536);
        }
        assert_int_equal(list_next(l, &item), 0);
        list_close(l);
        assert_int_equal(waitpid(child, NULL, 0), child);
    }
    unlink("fifo");
}

/* Fields that mien doesn't know go on, where they can stand in a metadata.json as they are. */
static void test_entries(void **state) {
    (void)state;
    static const char *const lists[][2] = {
        { "{\"e\": {\"url\": \"http://e\",  \"similarity\": 0.25, \"deep\": [{}], \"nan\": NaN}, \"f\": {\"URL\": \"http://f\", \"similarity\": 0.25}}",
          "\"e\": {\"url\": \"http://e\",  \"similarity\": 0.25, \"deep\": [{}], \"nan\": null}\n\"f\": {\"url\": \"http://f\"}\n" },
        { "{\"id\":\"a\",\"url\":\"http://x\",\"x\":NaN} \n{\"TEXT\":\"t\",\"URL\":\"http://y\",\"key\":\"b\",\"x\":1}\n",
          "\"a\": {\"id\":\"a\",\"url\":\"http://x\",\"x\":null} \n\"b\": {\"url\": \"http://y\", \"caption\": \"t\"}\n" },
        { "id,url,x\na,http://x,1\n", "\"a\": {\"url\": \"http://x\"}\n" },
    };
    for (int i = 0; i < 3; i++) {
        stream *s;
        list *l;
        list_item item;
        text got = { 0 };
        assert_int_equal(stream_open_memory("x", lists[i][0], strlen(lists[i][0]), &s), 0);
        assert_int_equal(list_open_stream(s, &l), 0);
        while (list_next(l, &item) == 1) list_entry_write(l, &item, &got), text_add(&got, "\n");
        assert_string_equal(got.data, lists[i][1]);
        list_close(l);
        text_free(&got);
    }
}

static void test_ids(void **state) {
    (void)state;
    assert_true(list_id_fits("a") && list_id_fits("0001.x_y-Z") && list_id_fits("-"));
    assert_false(list_id_fits("") || list_id_fits(".") || list_id_fits("..") || list_id_fits(".a") || list_id_fits("a/b") || list_id_fits("a b") ||
                 list_id_fits("caf\xc3\xa9") || list_id_fits("a\n") || list_id_fits("a\\b") || list_id_fits("a:b"));
}

int main(void) {
#define T(name) cmocka_unit_test_setup_teardown(name, scratch_enter, scratch_leave)
    const struct CMUnitTest tests[] = { T(test_ids), T(test_kinds), T(test_objects), T(test_marks), T(test_hostile), T(test_csv), T(test_long), T(test_memory), T(test_table), T(test_table_of_no_object), T(test_entries) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
