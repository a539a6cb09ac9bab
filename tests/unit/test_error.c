/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/text.h"

static void failures_have_code_and_message(void **state) {
    (void)state;
    assert_int_equal(error_set(ERR_LIMIT, "%d is too many", 3), ERR_LIMIT);
    assert_string_equal(error_message(), "3 is too many");
    assert_int_equal(error_code(), ERR_LIMIT);
    errno = ENOSPC;
    assert_int_equal(error_errno("%s", "out.png"), ERR_FULL);
    assert_int_equal(error_code(), ERR_FULL);
    assert_int_equal(error_memory(7), ERR_MEMORY);
    assert_int_equal(error_code(), ERR_MEMORY);
}

static void a_prefix_names_what_it_was_about(void **state) {
    (void)state;
    error_set(ERR_FORMAT, "PNG: no end\n");
    assert_int_equal(error_prefix("%s", "a\x1b.png"), ERR_FORMAT);
    assert_string_equal(error_message(), "a\\x1b.png: PNG: no end\\x0a");
    assert_int_equal(error_prefix("photo %d", 2), ERR_FORMAT);
    assert_string_equal(error_message(), "photo 2: a\\x1b.png: PNG: no end\\x0a");
    char name[3000];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    error_prefix("%s", name);
    assert_int_equal(strlen(error_message()), 1023);
}

static void *look(void *message) { return strcpy(message, error_message()), (void *)(ptrdiff_t)error_code(); }

static void a_message_is_its_threads(void **state) {
    (void)state;
    pthread_t other;
    char message[1024];
    void *code;
    error_set(ERR_IO, "here");
    assert_int_equal(pthread_create(&other, NULL, look, message), 0);
    assert_int_equal(pthread_join(other, &code), 0);
    assert_null(code);
    assert_string_equal(message, "");
    assert_string_equal(error_message(), "here");
}

static void outside_text_is_safe_to_print(void **state) {
    (void)state;
    static const struct { const char *text, *shown; } cases[] = {
        { "plain, \xc3\xa4\xe2\x82\xac\xf0\x9f\x99\x82", "plain, \xc3\xa4\xe2\x82\xac\xf0\x9f\x99\x82" },
        { "\x1b[2J\x7f\t", "\\x1b[2J\\x7f\\x09" },
        { "\xc2\x9b", "\\xc2\\x9b" },                 /* a C1 control */
        { "\xc0\xaf", "\\xc0\\xaf" },                 /* overlong */
        { "\xed\xa0\x80", "\\xed\\xa0\\x80" },        /* a surrogate */
        { "\xe2\x82", "\\xe2\\x82" },                 /* cut */
    };
    char out[64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) assert_string_equal(text_escape(out, sizeof out, cases[i].text), cases[i].shown);
    assert_string_equal(text_escape(out, 6, "ab\x01z"), "ab");   /* no half escape */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_have_code_and_message),
        cmocka_unit_test(a_prefix_names_what_it_was_about),
        cmocka_unit_test(a_message_is_its_threads),
        cmocka_unit_test(outside_text_is_safe_to_print),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
