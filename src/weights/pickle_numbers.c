/* SPDX-License-Identifier: Apache-2.0
 *
 * What follows an operation in a pickle: numbers and texts, as bytes or as lines. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "weights/pickle_inside.h"

enum { MOST_LINE = 1 << 16 };

/* ---- what follows an operation ------------------------------------------------------------------------------------------------ */

int pickle_take_bytes(pickle *p, uint64_t n, const uint8_t **out) {
    if (n > p->size - p->at) return pickle_fault(p, "it is cut short");
    *out = p->data + p->at;
    p->at += (size_t)n;
    return 0;
}

/* An unsigned number of 1, 2, 4 or 8 bytes, the least first. */
int pickle_take_number(pickle *p, size_t bytes, uint64_t *out) {
    const uint8_t *b;
    int rc = pickle_take_bytes(p, bytes, &b);
    if (rc < 0) return rc;
    *out = 0;
    for (size_t i = 0; i < bytes; i++) *out |= (uint64_t)b[i] << 8 * i;
    return 0;
}

/* A length of so many bytes, and then as many bytes. */
static int take_counted(pickle *p, size_t length_bytes, const uint8_t **out, uint64_t *n) {
    int rc = pickle_take_number(p, length_bytes, n);
    return rc < 0 ? rc : pickle_take_bytes(p, *n, out);
}

int pickle_take_line(pickle *p, const char **line, size_t *size) {
    size_t most = p->size - p->at;
    const uint8_t *begin = p->data + p->at, *end = memchr(begin, '\n', most < MOST_LINE ? most : MOST_LINE);
    if (!end) return pickle_fault(p, "a line without an end");
    *line = (const char *)begin;
    *size = (size_t)(end - begin);
    p->at += *size + 1;
    return 0;
}

int pickle_push_counted(pickle *p, pickle_kind kind, size_t length_bytes) {
    const uint8_t *b;
    uint64_t n;
    int rc = take_counted(p, length_bytes, &b, &n);
    return rc < 0 ? rc : pickle_push_text(p, kind, (const char *)b, (size_t)n);
}

/* ---- numbers and texts -------------------------------------------------------------------------------------------------------- */

static int push_long(pickle *p, const uint8_t *b, size_t n) {
    if (n > 8) return pickle_push_text(p, PICKLE_BIG, (const char *)b, n);
    uint64_t x = n && b[n - 1] & 0x80 ? ~(uint64_t)0 : 0;
    for (size_t i = n; i-- > 0;) x = x << 8 | b[i];
    return pickle_push_integer(p, PICKLE_INTEGER, (int64_t)x);
}

int pickle_push_counted_long(pickle *p, size_t length_bytes) {
    const uint8_t *b;
    uint64_t n;
    int rc = take_counted(p, length_bytes, &b, &n);
    return rc < 0 ? rc : push_long(p, b, (size_t)n);
}

/* Decimal digits of any length as bytes, the least first: of each digit, ten times what was before. */
static int push_decimal(pickle *p, const char *digits, size_t n, bool negative) {
    enum { MOST_DIGITS = 40 };
    if (n == 0 || n > MOST_DIGITS) return pickle_fault(p, "no number");
    uint8_t *b = pickle_memory(p, n, 1);   /* a digit is less than a byte, and the sign fits too */
    if (!b) return error_code();
    for (size_t i = 0; i < n; i++) {
        if (digits[i] < '0' || digits[i] > '9') return pickle_fault(p, "no number");
        unsigned carry = (unsigned)(digits[i] - '0');
        for (size_t k = 0; k < n; k++) carry += b[k] * 10u, b[k] = (uint8_t)carry, carry >>= 8;
    }
    if (negative) {
        unsigned carry = 1;
        for (size_t k = 0; k < n; k++) carry += (uint8_t)~b[k], b[k] = (uint8_t)carry, carry >>= 8;
    }
    while (n > 1 && b[n - 1] == (b[n - 2] & 0x80 ? 0xff : 0)) n--;
    return push_long(p, b, n);
}

/* "12", "-7", "12L"; "00" and "01" are false and true. */
int pickle_push_integer_line(pickle *p, bool is_long) {
    const char *s;
    size_t n;
    int rc = pickle_take_line(p, &s, &n);
    if (rc < 0) return rc;
    if (!is_long && n == 2 && s[0] == '0' && (s[1] == '0' || s[1] == '1')) return pickle_push_integer(p, PICKLE_BOOL, s[1] == '1');
    if (is_long && n && s[n - 1] == 'L') n--;
    bool negative = n && s[0] == '-';
    return push_decimal(p, s + negative, n - negative, negative);
}

static int push_float(pickle *p, double x) {
    pickle_value *v = pickle_new(p, PICKLE_FLOAT);
    if (v) v->number = x;
    return pickle_push(p, v);
}

int pickle_push_float_line(pickle *p) {
    const char *s;
    char copy[64], *end;
    size_t n;
    int rc = pickle_take_line(p, &s, &n);
    if (rc < 0) return rc;
    if (n == 0 || n >= sizeof copy) return pickle_fault(p, "no number");
    memcpy(copy, s, n);
    copy[n] = 0;
    double x = strtod(copy, &end);
    return *end || end == copy ? pickle_fault(p, "no number") : push_float(p, x);
}

int pickle_push_float_bytes(pickle *p) {
    uint64_t bits;
    double x;
    int rc = pickle_take_number(p, 8, &bits);
    if (rc < 0) return rc;
    bits = __builtin_bswap64(bits);   /* the one number with its highest byte first */
    memcpy(&x, &bits, sizeof x);
    return push_float(p, x);
}

static int hex(const char *s, size_t n, size_t digits, unsigned *out) {
    *out = 0;
    if (n < digits) return -1;
    for (size_t i = 0; i < digits; i++) {
        char c = s[i];
        int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (d < 0) return -1;
        *out = *out << 4 | (unsigned)d;
    }
    return 0;
}

/* A line with Python's escapes: \\ \' \" \n \t \r \xNN of a quoted string; of unicode \uXXXX and \UXXXXXXXX, and what is above 127 stands
 * for itself in Latin-1. What else may be escaped stays as it is: these are names. */
static int unescape(pickle *p, const char *s, size_t n, bool unicode, pickle_kind kind) {
    char *out = pickle_memory(p, 2 * n + 1, 1);
    size_t used = 0;
    if (!out) return error_code();
    for (size_t i = 0; i < n;) {
        unsigned c = (uint8_t)s[i++], escape = c == '\\' && i < n ? (uint8_t)s[i] : 0;
        size_t digits = unicode ? (escape == 'u' ? 4 : escape == 'U' ? 8 : 0) : escape == 'x' ? 2 : 0;
        if (digits) {
            if (hex(s + i + 1, n - i - 1, digits, &c) < 0) return pickle_fault(p, "a broken escape");
            i += 1 + digits;
        } else if (!unicode && escape) {
            const char *at = strchr("\\\\''\"\"n\nt\tr\r", (int)escape);
            if (at) c = (uint8_t)at[1], i++;
        }
        if (!unicode || c < 0x80) out[used++] = (char)c;
        else if (c < 0x800) out[used++] = (char)(0xc0 | c >> 6), out[used++] = (char)(0x80 | (c & 63));
        else if (c < 0x10000) out[used++] = (char)(0xe0 | c >> 12), out[used++] = (char)(0x80 | (c >> 6 & 63)), out[used++] = (char)(0x80 | (c & 63));
        else {
            out[used++] = (char)(0xf0 | (c >> 18 & 7));
            out[used++] = (char)(0x80 | (c >> 12 & 63));
            out[used++] = (char)(0x80 | (c >> 6 & 63));
            out[used++] = (char)(0x80 | (c & 63));
        }
    }
    return pickle_push_text(p, kind, out, used);
}

int pickle_push_quoted_line(pickle *p) {
    const char *s;
    size_t n;
    int rc = pickle_take_line(p, &s, &n);
    if (rc < 0) return rc;
    if (n < 2 || (s[0] != '\'' && s[0] != '"') || s[n - 1] != s[0]) return pickle_fault(p, "a string without quotes");
    return unescape(p, s + 1, n - 2, false, PICKLE_TEXT);
}

int pickle_push_unicode_line(pickle *p) {
    const char *s;
    size_t n;
    int rc = pickle_take_line(p, &s, &n);
    return rc < 0 ? rc : unescape(p, s, n, true, PICKLE_TEXT);
}

