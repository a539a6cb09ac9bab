/* SPDX-License-Identifier: Apache-2.0
 *
 * Between list.c and the kinds of lists: list_json.c, list_csv.c. */
#ifndef DATA_LIST_INSIDE_H
#define DATA_LIST_INSIDE_H

#include "base/json_fields.h"
#include "base/json_stream.h"
#include "data/list.h"

enum { LIST_ENTRY = 1 << 20 };          /* the most bytes of one entry */

typedef enum { LIST_URL, LIST_ID, LIST_CAPTION, LIST_WIDTH, LIST_HEIGHT, LIST_NSFW, LIST_UNSAFE, LIST_SHA256, LIST_FIELDS } list_field;

/* Which field a name means, and how early it comes among the names of that field. False: none. */
bool list_field_called(const char *name, list_field *field, int *rank);

/* What an entry says of a field, in list.values. */
typedef struct { bool there; int rank; json_field_kind kind; size_t at, size; } list_value;

typedef enum { LIST_KIND_DOCUMENT, LIST_KIND_JSON_LINES, LIST_KIND_CSV, LIST_KIND_TEXT } list_kind;

typedef struct { bool used; list_field field; int rank; } list_column;

struct list {
    stream *in;
    list_kind kind;
    uint64_t number;                    /* entries of a document */
    list_value value[LIST_FIELDS];
    text values;
    char hash[17];                      /* an id that was made */
    char why[300];

    json_stream *document;
    json_fields *fields;
    bool own_url;                       /* the object has a field "url", so called */
    text object;                        /* of JSON lines */
    const char *bytes;                  /* the object, or NULL */
    size_t bytes_size;

    char separator;                     /* of columns; 0: there is only one */
    list_column *column;
    size_t columns;
    text cells;                         /* a record's, each terminated */
    size_t *cell, n_cells, cell_room;   /* where they begin */
};

/* Notes a value, unless one of a better name is there. */
void list_take(list *l, list_field field, int rank, json_field_kind kind, const char *text, size_t size);

/* Each kind reads an entry: 1 with the values taken and out->line set, 0 at the end, ERR_*. out->wrong may be set. out->id is set by
 * a document. */
int  list_document_next(list *l, list_item *out);
int  list_json_lines_next(list *l, list_item *out);
int  list_csv_next(list *l, list_item *out);
int  list_text_next(list *l, list_item *out);

int  list_document_begin(list *l);
int  list_json_begin(list *l);
/* Whether what begins with `{` is one document; else it is JSON lines. */
int  list_is_document(const uint8_t *data, size_t size, bool all, bool *out);
/* Whether the beginning of a file is a header line with a column of URLs; sets the separator. */
int  list_csv_is_header(list *l, const uint8_t *data, size_t size);
int  list_csv_begin(list *l);
void list_free_csv(list *l);

/* A line of at most LIST_ENTRY bytes, for a kind that has lines: as stream_line, but one that is too long, or has a NUL, makes the item
 * wrong. */
int  list_line(list *l, stream_text *line, list_item *out);

#endif
