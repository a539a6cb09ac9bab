/* SPDX-License-Identifier: Apache-2.0
 *
 * tokens FOLDER PAD < texts: of each text, which ends with NUL, a line with the ids of its tokens. */
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "model/tokenizer.h"

int main(int argc, char **argv) {
    tokenizer *t;
    if (argc != 3 || tokenizer_open(argv[1], &t) < 0) return fprintf(stderr, "tokens: %s\n", argc == 3 ? error_message() : "FOLDER PAD"), 1;
    char *text = NULL;
    size_t room = 0;
    while (getdelim(&text, &room, '\0', stdin) > 0) {
        tokens all;
        if (tokenizer_encode(t, text, atoi(argv[2]), &all) < 0) return fprintf(stderr, "tokens: %s\n", error_message()), 1;
        for (size_t i = 0; i < all.count; i++) printf("%s%d", i ? " " : "", all.ids[i]);
        putchar('\n');
        tokens_free(&all);
    }
    free(text);
    tokenizer_close(t);
    return 0;
}
