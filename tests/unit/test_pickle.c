/* SPDX-License-Identifier: Apache-2.0
 *
 * The pickle machine: each operation's value, what is refused, and that small pickles take little memory and time. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/text.h"
#include "weights/pickle.h"

enum { MEMORY = 1 << 20 };

/* As Python would print it, about; a global is module.name, an object <module.name>. */
static void print(const pickle_value *v, int depth, text *out) {
    static const char *const open[] = { [PICKLE_TUPLE] = "(", [PICKLE_LIST] = "[", [PICKLE_DICT] = "{" }, *const close[] = { [PICKLE_TUPLE] = ")", [PICKLE_LIST] = "]", [PICKLE_DICT] = "}" };
    const pickle_value *g = v->kind == PICKLE_OBJECT ? v->made_of : v;
    switch (v->kind) {
    case PICKLE_NONE: text_add(out, "None"); break;
    case PICKLE_BOOL: text_add(out, v->integer ? "True" : "False"); break;
    case PICKLE_INTEGER: text_printf(out, "%" PRId64, v->integer); break;
    case PICKLE_FLOAT: text_printf(out, "%g", v->number); break;
    case PICKLE_TEXT: text_printf(out, "'%.*s'", (int)v->text.size, v->text.data); break;
    case PICKLE_BYTES: text_printf(out, "b'%.*s'", (int)v->text.size, v->text.data); break;
    case PICKLE_BIG:
        text_add(out, "0x");
        for (size_t i = v->text.size; i-- > 0;) text_printf(out, "%02x", (uint8_t)v->text.data[i]);
        break;
    case PICKLE_TUPLE: case PICKLE_LIST: case PICKLE_DICT:
        text_add(out, open[v->kind]);
        for (size_t i = 0; i < v->list.count && depth < 5; i++) {
            text_add(out, i == 0 ? "" : v->kind == PICKLE_DICT && i % 2 ? ":" : ",");
            print(v->list.item[i], depth + 1, out);
        }
        text_add(out, close[v->kind]);
        break;
    case PICKLE_GLOBAL: case PICKLE_OBJECT:
        if (!g) text_add(out, "<>");
        else text_printf(out, v == g ? "%.*s.%.*s" : "<%.*s.%.*s>", (int)g->global.module_size, g->global.module, (int)g->global.name_size, g->global.name);
        break;
    case PICKLE_CUSTOM: text_printf(out, "custom %d", v->custom.tag); break;
    }
}

#define P(bytes) bytes, sizeof bytes - 1

static const struct { const char *data; size_t size; const char *want; } good[] = {
    { P("N."), "None" }, { P("\210."), "True" }, { P("\211."), "False" }, { P("I01\n."), "True" }, { P("I00\n."), "False" }, { P("I0\n."), "0" },
    { P("I-12\n."), "-12" }, { P("L12L\n."), "12" }, { P("L-9223372036854775808L\n."), "-9223372036854775808" },
    { P("L9223372036854775808L\n."), "0x008000000000000000" }, { P("L119547037146038801333356L\n."), "0x1950a86a20f9469cfc6c" },
    { P("L-1L\n."), "-1" }, { P("L-256L\n."), "-256" }, { P("K\377."), "255" }, { P("M\1\2."), "513" }, { P("J\376\377\377\377."), "-2" },
    { P("\212\0."), "0" }, { P("\212\1\377."), "-1" }, { P("\212\2\377\0."), "255" }, { P("\212\10\1\2\3\4\5\6\7\200."), "-9221395093405892095" },
    { P("\213\1\0\0\0\5."), "5" }, { P("\212\11\1\0\0\0\0\0\0\0\1."), "0x010000000000000001" },
    { P("F-1.5\n."), "-1.5" }, { P("G\77\370\0\0\0\0\0\0."), "1.5" },
    { P("S'a\\'b\\\\\\x41\\n'\n."), "'a'b\\A\n'" }, { P("S\"\"\n."), "''" }, { P("Va\\u00e9\\U0001f600\351\n."), "'a\xc3\xa9\xf0\x9f\x98\x80\xc3\xa9'" },
    { P("U\2ab."), "'ab'" }, { P("T\2\0\0\0ab."), "'ab'" }, { P("X\2\0\0\0ab."), "'ab'" }, { P("\214\2ab."), "'ab'" }, { P("\215\2\0\0\0\0\0\0\0ab."), "'ab'" },
    { P("C\2ab."), "b'ab'" }, { P("B\2\0\0\0ab."), "b'ab'" }, { P("\216\2\0\0\0\0\0\0\0ab."), "b'ab'" }, { P("\226\2\0\0\0\0\0\0\0ab."), "b'ab'" },
    { P(")."), "()" }, { P("]."), "[]" }, { P("}."), "{}" }, { P("(t."), "()" }, { P("(K\1K\2t."), "(1,2)" }, { P("(K\1l."), "[1]" }, { P("(K\1K\2d."), "{1:2}" },
    { P("K\1\205."), "(1)" }, { P("K\1K\2\206."), "(1,2)" }, { P("K\1K\2K\3\207."), "(1,2,3)" },
    { P("]K\1a(K\2K\3e."), "[1,2,3]" }, { P("}K\1K\2s(K\3K\4K\5K\6u."), "{1:2,3:4,5:6}" }, { P("](e."), "[]" },
    { P("K\1K\0020."), "1" }, { P("K\1(0."), "1" }, { P("K\1(K\2K\0031."), "1" }, { P("]2a."), "[[[[[[]]]]]]" },
    { P("K\1p0\n0g0\n."), "1" }, { P("K\1q\0000h\0."), "1" }, { P("K\1r\0\0\0\0000j\0\0\0\0."), "1" }, { P("K\1\2240h\0."), "1" }, { P("K\7q\1K\1q\0000h\1."), "7" },
    { P("\200\2N."), "None" }, { P("\200\4\225\2\0\0\0\0\0\0\0N."), "None" },
    { P("cos\nsystem\n."), "os.system" }, { P("\214\2os\214\6system\223."), "os.system" }, { P("cos\nsystem\n)R."), "<os.system>" },
    { P("cos\nsystem\nNR."), "<os.system>" }, { P("ca\nb\n)\201."), "<a.b>" }, { P("ca\nb\n)}\222."), "<a.b>" }, { P("(K\1ia\nb\n."), "<a.b>" },
    { P("(ca\nb\nK\1o."), "<a.b>" }, { P("(o."), "<>" }, { P("ca\nb\n)R)R."), "<a.b>" }, { P("K\1)R."), "<>" },
    { P("ca\nb\n)R}b."), "<a.b>" }, { P("ca\nb\n)R(K\1K\2uK\1a(K\1eK\1K\2s."), "<a.b>" },
    { P("\217(K\1\220."), "<>" }, { P("(K\1\221."), "<>" }, { P("\202\1."), "<>" }, { P("\203\1\1."), "<>" }, { P("\204\1\1\1\1."), "<>" }, { P("K\1Q."), "<>" },
};

static void test_good(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        pickle *p;
        size_t used;
        text got = { 0 };
        uint8_t *exact = malloc(good[i].size);
        assert_non_null(exact);
        memcpy(exact, good[i].data, good[i].size);
        if (pickle_read("x", exact, good[i].size, MEMORY, NULL, &p, &used) < 0) fail_msg("%s: %s", good[i].want, error_message());
        print(pickle_result(p), 0, &got);
        assert_int_equal(text_check(&got), 0);
        if (strcmp(got.data, good[i].want)) fail_msg("\"%s\", and not \"%s\"", got.data, good[i].want);
        assert_int_equal(used, good[i].size);
        text_free(&got);
        pickle_free(p);
        /* cut short, it has no end */
        for (size_t n = 0; n < good[i].size; n++) {
            uint8_t *cut = malloc(n ? n : 1);
            assert_non_null(cut);
            memcpy(cut, exact, n);
            assert_int_equal(pickle_read("x", cut, n, MEMORY, NULL, &p, &used), ERR_FORMAT);
            free(cut);
        }
        free(exact);
    }
}

static const struct { const char *data; size_t size; int code; const char *said; } bad[] = {
    { P(""), ERR_FORMAT, "x: byte 0 of the pickle: it is cut short" }, { P("."), ERR_FORMAT, "takes more than was given" }, { P("z"), ERR_FORMAT, "is no operation of a pickle" },
    { P("(."), ERR_FORMAT, "takes more than was given" }, { P("K\1(."), ERR_FORMAT, "takes more than was given" }, { P("0"), ERR_FORMAT, "takes more" }, { P("1"), ERR_FORMAT, "there is no mark" },
    { P("2"), ERR_FORMAT, "takes more" }, { P("t"), ERR_FORMAT, "there is no mark" }, { P("\206"), ERR_FORMAT, "takes more" }, { P("K\1\206"), ERR_FORMAT, "takes more" }, { P("K\1(\205"), ERR_FORMAT, "takes more" },
    { P("(K\1d."), ERR_FORMAT, "a key without a value" }, { P("}(K\1u."), ERR_FORMAT, "a key without a value" }, { P("]K\1K\2s."), ERR_FORMAT, "puts items into what takes none of them" },
    { P("}K\1a."), ERR_FORMAT, "puts items into what takes none of them" }, { P("K\1K\1a."), ERR_FORMAT, "puts items" }, { P("K\1a."), ERR_FORMAT, "takes more" }, { P("(K\1e."), ERR_FORMAT, "takes more" },
    { P("h\0."), ERR_FORMAT, "asks for what is not in the memo" }, { P("K\1q\1000h\0."), ERR_FORMAT, "in the memo" }, { P("g12345678901234567890\n"), ERR_FORMAT, "no number" },
    { P("q\0."), ERR_FORMAT, "takes more" }, { P("K\1r\377\377\377\177."), ERR_FORMAT, "a place in the memo that no pickler would choose" }, { P("K\1pa\n."), ERR_FORMAT, "no number" },
    { P("\200\6N."), ERR_UNSUPPORTED, "x: is of pickle protocol 6; 0 to 5 are known" }, { P("\225\7\0\0\0\0\0\0\0N."), ERR_FORMAT, "it is cut short" },
    { P("X\377\377\377\377a."), ERR_FORMAT, "it is cut short" }, { P("\215\377\377\377\377\377\377\377\377a."), ERR_FORMAT, "it is cut short" }, { P("\213\377\377\377\377a."), ERR_FORMAT, "it is cut short" },
    { P("Ixy\n."), ERR_FORMAT, "no number" }, { P("I\n."), ERR_FORMAT, "no number" }, { P("I-\n."), ERR_FORMAT, "no number" }, { P("L11111111111111111111111111111111111111111L\n."), ERR_FORMAT, "no number" },
    { P("Fx\n."), ERR_FORMAT, "no number" }, { P("Sa\n."), ERR_FORMAT, "a string without quotes" }, { P("S'a\n."), ERR_FORMAT, "a string without quotes" }, { P("S'\\xg0'\n."), ERR_FORMAT, "a broken escape" },
    { P("V\\u00e\n."), ERR_FORMAT, "a broken escape" }, { P("K\1K\2\223."), ERR_FORMAT, "a name that is no text" }, { P("R"), ERR_FORMAT, "takes more" }, { P(")R"), ERR_FORMAT, "takes more" }, { P("Nb."), ERR_FORMAT, "takes more" },
    { P("\227."), ERR_FORMAT, "asks for bytes that are kept elsewhere" }, { P("Pabc\n."), ERR_UNSUPPORTED, "is of pickle protocol 0" },
};

static void test_bad(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        pickle *p;
        size_t used;
        int rc = pickle_read("x", (const uint8_t *)bad[i].data, bad[i].size, MEMORY, NULL, &p, &used);
        if (rc != bad[i].code || !strstr(error_message(), bad[i].said)) fail_msg("%zu: %d \"%s\", and not %d \"%s\"", i, rc, rc ? error_message() : "", bad[i].code, bad[i].said);
    }
}

/* One operation many times over: refused by the limit, whatever it is that grows. */
static void test_limits(void **state) {
    (void)state;
    enum { BYTES = 4 << 20 };
    static const char *const grows[] = { "]", "(", "N2", "K\1", "]q\1", "cos\nx\n", ")K\1", "N\224", "\217" };
    uint8_t *data = malloc(BYTES);
    assert_non_null(data);
    for (size_t i = 0; i < sizeof grows / sizeof *grows; i++) {
        size_t n = strlen(grows[i]);
        pickle *p;
        for (size_t k = 0; k < BYTES; k++) data[k] = (uint8_t)grows[i][k % n];
        data[BYTES - 1] = '.';
        assert_int_equal(pickle_read("x", data, BYTES, MEMORY, NULL, &p, NULL), ERR_LIMIT);
        assert_non_null(strstr(error_message(), "would take too much memory"));
    }
    /* and names too long to be names */
    memset(data, 'a', 1000);
    data[0] = 'c';
    memcpy(data + 998, "\n\n", 2);
    pickle *p;
    assert_int_equal(pickle_read("x", data, 1000, MEMORY, NULL, &p, NULL), ERR_FORMAT);
    free(data);
}

static void test_fields(void **state) {
    (void)state;
    static const char data[] = "}(U\1aK\1U\1bK\2U\1aK\3K\1K\4u.";
    pickle *p;
    size_t used;
    assert_int_equal(pickle_read("x", (const uint8_t *)data, sizeof data - 1, MEMORY, NULL, &p, &used), 0);
    const pickle_value *v = pickle_result(p);
    assert_int_equal(pickle_field(v, "a")->integer, 3);   /* the last one set, as in Python */
    assert_int_equal(pickle_field(v, "b")->integer, 2);
    assert_null(pickle_field(v, "c"));
    assert_null(pickle_field(pickle_field(v, "a"), "a"));
    pickle_free(p);
}

static void test_globals(void **state) {
    (void)state;
    static const char data[] = "(ca\nb\nca\nb\nca\nc\ncb\nb\nt.";
    pickle *p;
    assert_int_equal(pickle_read("x", (const uint8_t *)data, sizeof data - 1, MEMORY, NULL, &p, NULL), 0);
    assert_int_equal(pickle_globals(p), 3);
    assert_true(pickle_is_global(pickle_global(p, 0), "a", "b") && pickle_is_global(pickle_global(p, 1), "a", "c") && pickle_is_global(pickle_global(p, 2), "b", "b"));
    pickle_free(p);
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_good), cmocka_unit_test(test_bad), cmocka_unit_test(test_limits), cmocka_unit_test(test_fields), cmocka_unit_test(test_globals) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
