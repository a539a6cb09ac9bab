/* SPDX-License-Identifier: Apache-2.0
 *
 * Template behind vector.h, compiled for each level: vectors of 32-bit integers with as many lanes, for loops that look into numbers or hold them in fewer bits. */
#ifndef NN_CPU_VECTOR_BITS_H
#define NN_CPU_VECTOR_BITS_H

#include "nn/cpu/vector.h"

#ifdef __AVX512F__

typedef __m512i bits;

static inline bits b_all(uint32_t x) { return _mm512_set1_epi32((int)x); }
static inline bits b_lanes(void) { return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15); }
static inline bits b_add(bits a, bits b) { return _mm512_add_epi32(a, b); }
static inline bits b_sub(bits a, bits b) { return _mm512_sub_epi32(a, b); }
static inline bits b_mul(bits a, bits b) { return _mm512_mullo_epi32(a, b); }
static inline bits b_and(bits a, bits b) { return _mm512_and_si512(a, b); }
static inline bits b_or(bits a, bits b) { return _mm512_or_si512(a, b); }
static inline bits b_xor(bits a, bits b) { return _mm512_xor_si512(a, b); }
#define b_left(a, n) _mm512_slli_epi32(a, n)
#define b_right(a, n) _mm512_srli_epi32(a, n)
static inline bits b_of(vec x) { return _mm512_castps_si512(x); }              /* the same bits */
static inline vec v_of(bits x) { return _mm512_castsi512_ps(x); }
static inline bits b_truncate(vec x) { return _mm512_cvttps_epi32(x); }        /* the number */
static inline vec v_number(bits x) { return _mm512_cvtepi32_ps(x); }
static inline bits load_u8(const uint8_t *p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p)); }
static inline bits load_u16(const uint16_t *p) { return _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)); }
static inline bits load_i16(const uint16_t *p) { return _mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)p)); }
static inline void store_u8(uint8_t *p, bits x) { _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(x)); }
static inline void store_u16(uint16_t *p, bits x) { _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(x)); }

#else

typedef __m256i bits;

static inline bits b_all(uint32_t x) { return _mm256_set1_epi32((int)x); }
static inline bits b_lanes(void) { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }
static inline bits b_add(bits a, bits b) { return _mm256_add_epi32(a, b); }
static inline bits b_sub(bits a, bits b) { return _mm256_sub_epi32(a, b); }
static inline bits b_mul(bits a, bits b) { return _mm256_mullo_epi32(a, b); }
static inline bits b_and(bits a, bits b) { return _mm256_and_si256(a, b); }
static inline bits b_or(bits a, bits b) { return _mm256_or_si256(a, b); }
static inline bits b_xor(bits a, bits b) { return _mm256_xor_si256(a, b); }
#define b_left(a, n) _mm256_slli_epi32(a, n)
#define b_right(a, n) _mm256_srli_epi32(a, n)
static inline bits b_of(vec x) { return _mm256_castps_si256(x); }
static inline vec v_of(bits x) { return _mm256_castsi256_ps(x); }
static inline bits b_truncate(vec x) { return _mm256_cvttps_epi32(x); }
static inline vec v_number(bits x) { return _mm256_cvtepi32_ps(x); }
static inline bits load_u8(const uint8_t *p) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)p)); }
static inline bits load_u16(const uint16_t *p) { return _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)); }
static inline bits load_i16(const uint16_t *p) { return _mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)p)); }
static inline __m128i b_halves(bits x) {   /* the lower 16 bits of each */
    x = _mm256_and_si256(x, _mm256_set1_epi32(0xffff));
    return _mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
}
static inline void store_u8(uint8_t *p, bits x) {
    __m128i h = b_halves(_mm256_and_si256(x, _mm256_set1_epi32(0xff)));
    _mm_storel_epi64((__m128i *)p, _mm_packus_epi16(h, h));
}
static inline void store_u16(uint16_t *p, bits x) { _mm_storeu_si128((__m128i *)p, b_halves(x)); }

#endif

#endif
