/* SPDX-License-Identifier: Apache-2.0
 *
 * Zip files to read in place: the list at their end, and where a member's bytes lie. Stored members are not copied. */
#ifndef WEIGHTS_ZIP_H
#define WEIGHTS_ZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

typedef struct {
    const char *name;              /* in the file, not terminated */
    size_t name_size;
    uint64_t at;                   /* of the header in front of it */
    uint64_t packed, size;         /* bytes in the file, and as they are meant */
    uint32_t crc;
    uint16_t method, flags;
    const uint8_t *bytes;          /* once asked for */
} zip_member;

typedef struct {
    const char *what;              /* for messages */
    const uint8_t *data;
    size_t size;
    zip_member *member;            /* sorted by name */
    size_t members;
} zip_list;

/* ERR_FORMAT if it is none, is cut short, or names a member twice. */
int  zip_list_read(const char *what, const uint8_t *data, size_t size, zip_list *out);
void zip_list_free(zip_list *z);
zip_member *zip_list_find(const zip_list *z, const char *name, size_t name_size);   /* or NULL */

/* Where a member's bytes lie: in the file, or, if it is compressed, in memory of a, of which no more than *most bytes
 * (which become less) are taken. Stored bytes are not summed up; unpacked ones must give their checksum. */
int zip_member_read(const zip_list *z, zip_member *m, arena *a, size_t *most, const uint8_t **bytes);
/* ERR_FORMAT if two members that were read share bytes of the file. */
int zip_list_check(const zip_list *z);

#endif
