/* SPDX-License-Identifier: Apache-2.0
 *
 * libjpeg's failures as ours: they jump to `escape`, with what to say. Only image/jpeg*.c use this. */
#ifndef IMAGE_JPEG_ERRORS_H
#define IMAGE_JPEG_ERRORS_H

#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>

#include <jpeglib.h>

typedef struct {
    struct jpeg_error_mgr manager;   /* first: libjpeg hands back a pointer to it */
    jmp_buf escape;
    int code;
    char reason[JMSG_LENGTH_MAX];
} jpeg_errors;

struct jpeg_error_mgr *jpeg_errors_begin(jpeg_errors *errors);

#endif
