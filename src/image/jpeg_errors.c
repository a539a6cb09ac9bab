/* SPDX-License-Identifier: Apache-2.0 */
#include "image/jpeg_errors.h"

#include <jerror.h>

#include "base/error.h"

static int code_of(int message) {
    switch (message) {
    case JERR_OUT_OF_MEMORY: return ERR_MEMORY;
    case JERR_IMAGE_TOO_BIG: return ERR_LIMIT;
#if JPEG_LIB_VERSION < 70   /* Ubuntu's libjpeg-turbo speaks version 8, which has no such code */
    case JERR_ARITH_NOTIMPL:
#endif
    case JERR_SOF_UNSUPPORTED: case JERR_BAD_PRECISION: case JERR_NOT_COMPILED:
    case JERR_CONVERSION_NOTIMPL: case JERR_CCIR601_NOTIMPL: case JERR_FRACT_SAMPLE_NOTIMPL: return ERR_UNSUPPORTED;
    default: return ERR_FORMAT;
    }
}

static void on_error(j_common_ptr info) {
    jpeg_errors *errors = (jpeg_errors *)info->err;
    errors->code = code_of(info->err->msg_code);
    info->err->format_message(info, errors->reason);
    longjmp(errors->escape, 1);
}

static void on_message(j_common_ptr info) { (void)info; }   /* the default prints on stderr */

struct jpeg_error_mgr *jpeg_errors_begin(jpeg_errors *errors) {
    jpeg_std_error(&errors->manager);
    errors->manager.error_exit = on_error;
    errors->manager.output_message = on_message;
    return &errors->manager;
}
