/* SPDX-License-Identifier: Apache-2.0 */
#include "train/batch_item.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "face/faces_json.h"
#include "face/map.h"
#include "face/mirror.h"
#include "train/mirror.h"

enum { ALIGNMENT = 64 };
static const size_t most_drawn = (size_t)1 << 26;   /* pixels of a map that is drawn whole, to be cut */

/* ---- the room -------------------------------------------------------------------------------------------------------------- */

static bool add_part(size_t *end, size_t count, size_t size, size_t *at) {
    size_t bytes;
    *at = *end;
    return !__builtin_mul_overflow(count, size, &bytes) &&
           !__builtin_add_overflow(*end, (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT, end);
}

int item_lay_out(item_maker *m) {
    size_t square = (size_t)m->cut.size * (size_t)m->cut.size * 3, latent = m->side * m->side * m->channels;
    size_t end = (sizeof(item_head) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    bool drawn = m->wants & (ITEM_LATENT | ITEM_PICTURE);
    bool fits = add_part(&end, m->wants & ITEM_HINT ? square : 0, 1, &m->at.hint) &&
                add_part(&end, drawn ? square : 0, 1, &m->at.photo) &&
                add_part(&end, m->wants & ITEM_LATENT ? 2 * latent : 0, 4, &m->at.moments) &&
                add_part(&end, m->wants & ITEM_TEXT ? TOKENS * m->width : 0, 2, &m->at.text) &&
                add_part(&end, drawn ? latent : 0, 4, &m->at.posterior) &&
                add_part(&end, m->wants & ITEM_LATENT ? latent : 0, 4, &m->at.noise);
    m->at.bytes = end;
    return fits ? 0 : error_memory(SIZE_MAX);
}

/* ---- the map --------------------------------------------------------------------------------------------------------------- */

typedef struct { int width, height; } pixel_size;

/* A stored picture's size, without decoding it. */
static int look_at(const dataset *d, const dataset_item *item, dataset_part part, const uint8_t *data, size_t size,
                   const item_maker *m, pixel_size *out) {
    int rc = image_verify(data, size, true, &(image_options){ .max_pixels = m->cut.max_pixels }, &out->width, &out->height);
    return rc < 0 ? sample_name_part(d, item, part) : 0;
}

static int map_size(const item_maker *m, const dataset *d, const dataset_item *item, pixel_size *out, sample_fault *fault) {
    uint8_t *data;
    size_t size;
    *fault = SAMPLE_MISSING;
    int rc = dataset_load(d, item, DATASET_SOURCE, &data, &size);
    if (rc < 0) return rc;
    *fault = SAMPLE_BROKEN;
    rc = look_at(d, item, DATASET_SOURCE, data, size, m, out);
    free(data);
    return rc;
}

static int read_map(const item_maker *m, const dataset *d, const dataset_item *item, bool mirrored, uint8_t *hint,
                    pixel_size *out, sample_fault *fault) {
    image map;
    sample_frame frame;
    int rc = sample_load_part(d, item, DATASET_SOURCE, &m->cut, &map, fault);
    if (rc < 0) return rc;
    *out = (pixel_size){ map.width, map.height };
    rc = sample_frame_of(map.width, map.height, m->cut.size, &frame);
    if (rc == 0) rc = sample_cut_one(&map, frame, &m->cut, hint);
    image_free(&map);
    if (rc < 0) return sample_name_part(d, item, DATASET_SOURCE);
    if (mirrored) face_map_mirror(hint, (size_t)m->cut.size, (size_t)m->cut.size);
    return 0;
}

static int read_faces(const dataset *d, const dataset_item *item, faces *f, double *min_face, sample_fault *fault) {
    uint8_t *data;
    size_t size;
    faces_origin origin;
    *fault = SAMPLE_MISSING;
    int rc = dataset_load(d, item, DATASET_FACES, &data, &size);
    if (rc < 0) return dataset_fault(d, item, DATASET_FACES);
    *fault = SAMPLE_BROKEN;
    rc = faces_json_read("landmarks", data, size, f, &origin);
    free(data);
    if (rc < 0) return dataset_fault(d, item, DATASET_FACES);
    *min_face = origin.has_settings ? origin.settings.min_face : 0;
    return 0;
}

/* The window of the whole that sample_cut_one would take; in the mirror, the same one seen from behind. */
static void copy_window(const image *whole, int size, bool mirrored, uint8_t *out) {
    int x = (whole->width - size) / 2, y = (whole->height - size) / 2;
    if (mirrored) x = whole->width - size - x;
    for (int row = 0; row < size; row++)
        memcpy(out + (size_t)row * (size_t)size * 3,
               whole->rgb + ((size_t)(y + row) * (size_t)whole->width + (size_t)x) * 3, (size_t)size * 3);
}

/* Drawn whole at the size that the photo is resized to, then cut: lines that begin outside the square and end in it are
 * there, and those that would leave the photo are not. */
static int draw_whole(const item_maker *m, const faces *f, double min_face, bool mirrored, uint8_t *hint) {
    sample_frame frame;
    image whole;
    int rc = sample_frame_of(f->width, f->height, m->cut.size, &frame);
    if (rc == 0 && (size_t)frame.width * (size_t)frame.height > most_drawn)
        rc = error_set(ERR_LIMIT, "%dx%d pixels: too long and thin", f->width, f->height);
    if (rc == 0) rc = image_new(frame.width, frame.height, &whole);
    if (rc < 0) return rc;
    face_map_draw(f, min_face, &whole);
    copy_window(&whole, m->cut.size, mirrored, hint);
    image_free(&whole);
    return 0;
}

static int draw_map(const item_maker *m, const dataset *d, const dataset_item *item, bool mirrored, uint8_t *hint,
                    pixel_size *out, sample_fault *fault) {
    faces f = { 0 };
    double min_face = 0;
    int rc = read_faces(d, item, &f, &min_face, fault);
    if (rc < 0) return rc;
    *out = (pixel_size){ f.width, f.height };
    if (mirrored) face_mirror(&f);
    rc = draw_whole(m, &f, min_face, mirrored, hint);
    free(f.face);
    return rc < 0 ? dataset_fault(d, item, DATASET_FACES) : 0;
}

int item_redraw(const sample_settings *cut, const dataset *d, const dataset_item *item, uint8_t *hint) {
    const item_maker m = { .cut = *cut };
    pixel_size size;
    sample_fault fault;
    return draw_map(&m, d, item, false, hint, &size, &fault);
}

static int make_hint(const item_maker *m, const dataset *d, const dataset_item *item, item_head *h, pixel_size *map,
                     sample_fault *fault) {
    uint8_t *hint = (uint8_t *)h + m->at.hint;
    if (!(m->wants & ITEM_HINT)) return map_size(m, d, item, map, fault);
    return (m->redraw ? draw_map : read_map)(m, d, item, h->draws.mirrored, hint, map, fault);
}

int item_side(const item_maker *m) { return m->crop ? m->crop : m->cut.size; }

/* ---- the photo ------------------------------------------------------------------------------------------------------------- */

static int cut_photo(const item_maker *m, const dataset *d, const dataset_item *item, const uint8_t *data, size_t size,
                     sample_frame frame, item_head *h) {
    image photo;
    uint8_t *out = (uint8_t *)h + m->at.photo;
    int rc = image_decode(data, size, &(image_options){ .max_pixels = m->cut.max_pixels }, &photo);
    if (rc < 0) return sample_name_part(d, item, DATASET_TARGET);
    rc = sample_cut_one(&photo, frame, &m->cut, out);
    image_free(&photo);
    if (rc < 0) return sample_name_part(d, item, DATASET_TARGET);
    if (h->draws.mirrored) face_photo_mirror(out, (size_t)m->cut.size, (size_t)m->cut.size);
    return 0;
}

/* The window at these fractions of where it may begin, moved to the beginning, where nothing of it was before. */
static void crop_photo(const item_maker *m, const float at[2], uint8_t *photo) {
    size_t size = (size_t)m->cut.size, crop = (size_t)m->crop, places = size - crop + 1;
    size_t y = (size_t)(at[0] * (float)places), x = (size_t)(at[1] * (float)places);
    if (y >= places) y = places - 1;   /* f32 rounds up to it */
    if (x >= places) x = places - 1;
    for (size_t row = 0; row < crop; row++) memmove(photo + row * crop * 3, photo + ((y + row) * size + x) * 3, crop * 3);
}

/* A photo whose moments are kept was decoded once: it is only hashed. It is compared with its map all the same, so that
 * a warm cache leaves out the same items. */
static int use_photo(const item_maker *m, const dataset *d, const dataset_item *item, const uint8_t *data, size_t size,
                     pixel_size map, item_head *h, sample_fault *fault) {
    pixel_size photo;
    sample_frame frame;
    *fault = SAMPLE_BROKEN;
    int rc = look_at(d, item, DATASET_TARGET, data, size, m, &photo);
    if (rc == 0) rc = sample_match(d, item, photo.width, photo.height, map.width, map.height, &m->cut, fault);
    if (rc < 0) return rc;
    rc = sample_frame_of(map.width, map.height, m->cut.size, &frame);
    if (rc < 0) return sample_name_part(d, item, DATASET_SOURCE);
    if (m->wants & ITEM_LATENT && cache_keeps(m->cache, CACHE_LATENTS)) {
        cache_name_photo(data, size, frame.width, frame.height, m->cut.size, h->draws.mirrored, h->latent);
        h->has_moments = cache_find(m->cache, CACHE_LATENTS, h->latent, (uint8_t *)h + m->at.moments);
    }
    if (h->has_moments && !(m->wants & ITEM_PICTURE)) return 0;
    return cut_photo(m, d, item, data, size, frame, h);
}

static int make_photo(const item_maker *m, const dataset *d, const dataset_item *item, pixel_size map, item_head *h,
                      sample_fault *fault) {
    uint8_t *data;
    size_t size;
    *fault = SAMPLE_MISSING;
    int rc = dataset_load(d, item, DATASET_TARGET, &data, &size);
    if (rc < 0) return rc;
    rc = use_photo(m, d, item, data, size, map, h, fault);
    free(data);
    return rc;
}

/* ---- the prompt, the draws ---------------------------------------------------------------------------------------------- */

static int make_text(const item_maker *m, const dataset_item *item, item_head *h) {
    char *turned = h->draws.mirrored && !h->draws.dropped ? mirror_words(sample_prompt(item)) : NULL;
    if (h->draws.mirrored && !h->draws.dropped && !turned) return error_code();
    const char *prompt = h->draws.dropped ? "" : turned ? turned : sample_prompt(item);
    size_t cut;
    int rc = tokenizer_prompt(m->t, prompt, m->pad, h->ids, &cut);
    free(turned);
    if (rc < 0 || !(m->wants & ITEM_TEXT) || !cache_keeps(m->cache, CACHE_TEXTS)) return rc;
    cache_name_tokens(h->ids, TOKENS, h->text);
    h->has_text = cache_find(m->cache, CACHE_TEXTS, h->text, (uint8_t *)h + m->at.text);
    return 0;
}

static int draw_normals(const item_maker *m, noise_source *s, item_head *h) {
    float *posterior = (float *)((uint8_t *)h + m->at.posterior), *noise = (float *)((uint8_t *)h + m->at.noise);
    int rc = 0;
    if (m->wants & (ITEM_LATENT | ITEM_PICTURE)) rc = noise_pictures(s, 1, m->side, m->side, m->channels, posterior);
    if (rc == 0 && m->wants & ITEM_LATENT) rc = noise_pictures(s, 1, m->side, m->side, m->channels, noise);
    if (rc == 0 && m->wants & ITEM_LATENT) noise_normal(s, h->offset, m->channels);
    return rc;
}

int item_make(void *context, const dataset *d, const dataset_item *item, uint64_t place, void *room, sample_fault *fault) {
    const item_maker *m = context;
    item_head *h = room;
    noise_source s;
    pixel_size map;
    *h = (item_head){ .place = place };
    if (place != ITERATOR_NO_PLACE) {
        draws_begin(&s, m->seed, place);
        h->draws = draws_choose(&s, &m->draws);
    }
    int rc = make_hint(m, d, item, h, &map, fault);
    if (rc == 0 && m->wants & (ITEM_LATENT | ITEM_PICTURE)) rc = make_photo(m, d, item, map, h, fault);
    if (rc == 0 && m->wants & (ITEM_TEXT | ITEM_TOKENS)) rc = make_text(m, item, h);
    if (rc == 0 && place != ITERATOR_NO_PLACE) rc = draw_normals(m, &s, h);
    if (rc == 0 && m->crop && place != ITERATOR_NO_PLACE) {
        float at[2];
        noise_uniform(&s, at, 2);
        crop_photo(m, at, (uint8_t *)room + m->at.photo);
    }
    return rc;
}
