/* SPDX-License-Identifier: Apache-2.0 */
#include "base/number.h"

#include <stdint.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS = 9, MAX_POWER = 27 };   /* 5^27 is the last power of five in 64 bits */

static uint64_t power_of_5(int n) {
    static const uint64_t table[MAX_POWER + 1] = {
        1ull, 5ull, 25ull, 125ull, 625ull, 3125ull, 15625ull, 78125ull, 390625ull, 1953125ull, 9765625ull, 48828125ull,
        244140625ull, 1220703125ull, 6103515625ull, 30517578125ull, 152587890625ull, 762939453125ull, 3814697265625ull,
        19073486328125ull, 95367431640625ull, 476837158203125ull, 2384185791015625ull, 11920928955078125ull,
        59604644775390625ull, 298023223876953125ull, 1490116119384765625ull, 7450580596923828125ull,
    };
    return table[n];
}

/* m * 2^e * 10^power to the nearest integer, ties to even as printf does. False, and nothing in *out, where the exact
 * product needs more than 128 bits, or the result more than 9 digits before it is rounded. power is 0..MAX_POWER. */
static bool scale(uint32_t m, int e, int power, uint32_t *out) {
    unsigned __int128 product = (unsigned __int128)m * power_of_5(power), rest = 0, half = 0;
    int shift = e + power;
    if (shift >= 0) {
        if (shift > 30 || product >> (64 - shift)) return false;
        product <<= shift;
    } else {
        if (shift < -120) return false;
        half = (unsigned __int128)1 << (-shift - 1);
        rest = product & (2 * half - 1);
        product >>= -shift;
    }
    if (product >= 1000000000u) return false;
    *out = (uint32_t)product;
    *out += rest > half || (half && rest == half && (product & 1));
    return true;
}

/* printf itself, with whatever the locale has for a decimal point made a point. */
static size_t by_printf(char *out, int digits, double x) {
    int n = snprintf(out, NUMBER_TEXT, "%.*g", digits, x);
    for (char *s = out; *s; s++)
        if (!strchr("0123456789+-einfa", *s)) *s = '.';
    return (size_t)n;
}

/* d.ddd * 10^exponent as %g shows it, `digits` without trailing zeros. */
static size_t lay_out(char *out, const char *digits, int n, int exponent) {
    char *at = out;
    if (exponent < -4 || exponent >= DIGITS) {
        *at++ = digits[0];
        if (n > 1) *at++ = '.';
        for (int i = 1; i < n; i++) *at++ = digits[i];
        *at++ = 'e';
        *at++ = exponent < 0 ? '-' : '+';
        int size = abs(exponent);
        *at++ = (char)('0' + size / 10);
        *at++ = (char)('0' + size % 10);
    } else if (exponent < 0) {
        *at++ = '0';
        *at++ = '.';
        for (int i = -1; i > exponent; i--) *at++ = '0';
        for (int i = 0; i < n; i++) *at++ = digits[i];
    } else {
        for (int i = 0; i <= exponent; i++) *at++ = i < n ? digits[i] : '0';
        if (n > exponent + 1) *at++ = '.';
        for (int i = exponent + 1; i < n; i++) *at++ = digits[i];
    }
    *at = 0;
    return (size_t)(at - out);
}

size_t number_f32(char out[NUMBER_TEXT], float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    uint32_t m = bits & 0x7fffff;
    int e = (int)(bits >> 23 & 255), negative = (int)(bits >> 31);
    if (e == 255 || (e == 0 && m)) return by_printf(out, DIGITS, x);   /* not finite, or subnormal */
    if (e == 0) return strcpy(out, negative ? "-0" : "0"), (size_t)(1 + negative);
    m |= 0x800000;
    e -= 150;
    /* 2^(e+23) <= |x| < 2^(e+24), so its decimal exponent is this or one more. */
    int exponent = ((e + 23) * 1233) >> 12;
    int power = DIGITS - 1 - exponent;
    if (power < 1 || power > MAX_POWER) return by_printf(out, DIGITS, x);
    uint32_t n;
    if (!scale(m, e, power, &n)) {
        exponent++;
        if (!scale(m, e, power - 1, &n)) return by_printf(out, DIGITS, x);
    }
    if (n == 1000000000u) n /= 10, exponent++;
    char digits[DIGITS];
    for (int i = DIGITS; i--; n /= 10) digits[i] = (char)('0' + n % 10);
    int count = DIGITS;
    while (count > 1 && digits[count - 1] == '0') count--;
    if (negative) *out = '-';
    return (size_t)negative + lay_out(out + negative, digits, count, exponent);
}

size_t number_shortest_f32(char out[NUMBER_TEXT], float x) {
    size_t n = 0;
    for (int digits = 1; digits <= 9; digits++) {
        char text[NUMBER_TEXT];
        snprintf(text, sizeof text, "%.*g", digits, (double)x);
        n = by_printf(out, digits, x);
        if (strtof(text, NULL) == x) break;
    }
    return n;
}

size_t number_shortest_f64(char out[NUMBER_TEXT], double x) {
    size_t n = 0;
    for (int digits = 1; digits <= 17; digits++) {
        char text[NUMBER_TEXT];
        snprintf(text, sizeof text, "%.*g", digits, x);
        n = by_printf(out, digits, x);
        if (strtod(text, NULL) == x) break;
    }
    return n;
}
