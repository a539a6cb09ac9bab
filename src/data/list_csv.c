/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists in CSV (RFC 4180: quotes, "" for a quote, newlines inside of them), with commas, tabs, semicolons or bars. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "data/list_inside.h"

static int add_cell(list *l) {
    if (l->n_cells == l->cell_room) {
        size_t room = l->cell_room ? 2 * l->cell_room : 32;
        size_t *cell = realloc(l->cell, room * sizeof *cell);
        if (!cell) return error_memory(room * sizeof *cell);
        l->cell = cell;
        l->cell_room = room;
    }
    l->cell[l->n_cells++] = l->cells.size;
    return 0;
}

static void put(list *l, const char *s, size_t n) {
    char *to = text_room(&l->cells, n);
    if (!to) return;
    if (n) memcpy(to, s, n);
    text_grown(&l->cells, n);
}

/* Where a record is in the middle of a quoted cell when a line ends. */
typedef enum { CELL_BEGIN, CELL_PLAIN, CELL_QUOTED, CELL_AFTER } cell_state;   /* AFTER: its quote was closed */

/* Adds a line to the record; *state is CELL_QUOTED if the record goes on with the next. */
static int add_line(list *l, const char *s, size_t size, cell_state *state) {
    size_t i = 0;
    for (;;) {
        if (*state == CELL_BEGIN) {
            int rc = add_cell(l);
            if (rc < 0) return rc;
            *state = i < size && s[i] == '"' ? i++, CELL_QUOTED : CELL_PLAIN;
        }
        size_t from = i;
        if (*state == CELL_QUOTED) {
            const char *quote = memchr(s + i, '"', size - i);
            i = quote ? (size_t)(quote - s) : size;
            put(l, s + from, i - from);
            if (i == size) return 0;
            if (++i < size && s[i] == '"') put(l, s + i++, 1);
            else *state = CELL_AFTER;
            continue;
        }
        const char *end = l->separator ? memchr(s + i, l->separator, size - i) : NULL;
        i = end ? (size_t)(end - s) : size;
        put(l, s + from, i - from);               /* also what stands behind a closed quote, where nothing should */
        put(l, "", 1);
        if (i++ == size) return 0;
        *state = CELL_BEGIN;
    }
}

/* Reads a record into the cells: 1, 0 at the end, ERR_*. */
static int read_record(list *l, list_item *out) {
    stream_text line;
    cell_state state = CELL_BEGIN;
    l->n_cells = l->cells.size = 0;
    int rc;
    do rc = list_line(l, &line, out);
    while (rc == 1 && !out->wrong && strspn(line.text, " \t\r") == line.size);
    uint64_t first = out->line;
    while (rc == 1 && !out->wrong) {
        rc = add_line(l, line.text, line.size, &state);
        if (rc == 0) rc = text_check(&l->cells);
        if (rc < 0 || state != CELL_QUOTED) {
            rc = rc < 0 ? rc : 1;
            break;
        }
        put(l, line.cr ? "\r\n" : "\n", line.cr ? 2 : 1);
        rc = l->cells.size > LIST_ENTRY ? 0 : list_line(l, &line, out);
        if (rc == 0) return error_set(ERR_FORMAT, "%s: line %llu: a quote that is never closed", stream_name(l->in), (unsigned long long)first);
        if (rc == 1 && out->wrong) return error_set(ERR_FORMAT, "%s: line %llu: %s", stream_name(l->in), (unsigned long long)out->line, out->wrong);
    }
    out->line = first;
    return rc;
}

static const char *cell(const list *l, size_t i) { return l->cells.data + l->cell[i]; }

/* A cell's size; the next one begins behind its NUL. */
static size_t cell_size(const list *l, size_t i) { return (i + 1 < l->n_cells ? l->cell[i + 1] : l->cells.size) - l->cell[i] - 1; }

/* ---- the header ---------------------------------------------------------------------------------------------------- */

/* A column's name without the space round it. */
static bool column_called(const list *l, size_t i, list_field *field, int *rank) {
    char name[32];
    const char *s = cell(l, i);
    while (isspace((unsigned char)*s)) s++;
    size_t n = strlen(s);
    while (n && isspace((unsigned char)s[n - 1])) n--;
    if (n >= sizeof name) return false;
    memcpy(name, s, n);
    name[n] = 0;
    return list_field_called(name, field, rank);
}

int list_csv_is_header(list *l, const uint8_t *data, size_t size) {
    static const char separators[] = ",\t;|";     /* none in it: a single column */
    const uint8_t *end = memchr(data, '\n', size);
    size_t line = end ? (size_t)(end - data) : size;
    if (line && data[line - 1] == '\r') line--;
    for (size_t k = 0; k < sizeof separators; k++) {
        cell_state state = CELL_BEGIN;
        l->separator = separators[k];
        l->n_cells = l->cells.size = 0;
        int rc = add_line(l, (const char *)data, line, &state);
        if (rc == 0) rc = text_check(&l->cells);
        if (rc < 0) return rc;
        list_field field;
        int rank;
        for (size_t i = 0; state != CELL_QUOTED && i < l->n_cells; i++)
            if (column_called(l, i, &field, &rank) && field == LIST_URL) {
                if (l->n_cells == 1) l->separator = 0;
                return 1;
            }
    }
    return 0;
}

int list_csv_begin(list *l) {
    list_item header = { 0 };
    int rc = read_record(l, &header);
    if (rc < 0) return rc;
    l->columns = l->n_cells;
    if (l->columns && !(l->column = calloc(l->columns, sizeof *l->column))) return error_memory(l->columns * sizeof *l->column);
    for (size_t i = 0; i < l->columns; i++) l->column[i].used = column_called(l, i, &l->column[i].field, &l->column[i].rank);
    return 0;
}

void list_free_csv(list *l) {
    free(l->column);
    free(l->cell);
    text_free(&l->cells);
}

int list_csv_next(list *l, list_item *out) {
    int rc = read_record(l, out);
    if (rc != 1 || out->wrong) return rc;
    if (l->n_cells > l->columns) {
        snprintf(l->why, sizeof l->why, "%zu columns, the header has %zu: a quote may be missing", l->n_cells, l->columns);
        out->wrong = l->why;
        return 1;
    }
    for (size_t i = 0; i < l->n_cells; i++)
        if (l->column[i].used && cell_size(l, i)) list_take(l, l->column[i].field, l->column[i].rank, FIELD_TEXT, cell(l, i), cell_size(l, i));
    return 1;
}
