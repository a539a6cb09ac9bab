/* SPDX-License-Identifier: Apache-2.0
 *
 * The configs of a new base from hostile bytes: one document is read as a UNet's, a VAE's and a text encoder's, and what is accepted keeps its
 * promises. */
#include <stdlib.h>

#include "weights/checkpoint_inside.h"
#include "weights/scratch_config.h"

static void check(bool holds) {
    if (!holds) abort();
}

static void check_unet(const scratch_config *c) {
    const scratch_unet *u = &c->unet;
    const checkpoint_settings *s = &c->settings;
    int blocks = 0;
    check(u->levels >= 1 && u->levels <= NAME_MAX_LEVELS && u->depth >= 1 && u->context >= 1 && s->groups >= 1 && (s->heads > 0) != (s->head_width > 0));
    for (int i = 0; i < u->levels; i++) {
        check(u->width[i] >= 1 && u->width[i] <= 1 << 14 && u->width[i] % (size_t)s->groups == 0 && u->layers[i] >= 1);
        if (u->attention[i]) check(u->width[i] % (size_t)(s->heads ? s->heads : s->head_width) == 0);
        blocks += u->layers[i] + 1;
    }
    check(blocks <= NAME_MAX_BLOCKS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json *document;
    if (json_parse("fuzz", data, size, 1 << 22, &document) < 0) return 0;
    json_at root = json_root(document);
    scratch_config c = { .settings = checkpoint_family_settings(1) };
    if (scratch_config_unet(&root, &c) == 0) check_unet(&c);
    if (scratch_config_vae(&root, &c) == 0)
        for (int i = 0; i < c.vae.levels; i++) check(c.vae.width[i] % (size_t)(c.settings.vae_groups ? c.settings.vae_groups : c.settings.groups) == 0);
    if (scratch_config_text(&root, &c) == 0) {
        check(c.text.vocabulary >= 2 && c.text.positions >= 77 && c.text.layers >= 1);
        check(c.text.width % (c.settings.text_heads ? (size_t)c.settings.text_heads : c.text.width / 64) == 0);
    }
    settings_from_scheduler(&c.settings, &root);
    if (scratch_config_check("fuzz", &c) == 0) check(c.settings.pad_token >= 0);
    json_free(document);
    return 0;
}
