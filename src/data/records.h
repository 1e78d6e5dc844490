/* Tables from files: records of JSON lines and of CSV, each with its line. */
#ifndef PFM_DATA_RECORDS_H
#define PFM_DATA_RECORDS_H

#include "base/json.h"

/* Records of a table file with the line on which each begins. */
typedef struct pfm_records {
    json_t **items; /* objects */
    size_t *lines;
    size_t count, capacity, line_capacity;
} pfm_records; /* start with {0} */
pfm_status pfm_records_take(pfm_records *records, json_t *object, size_t line, pfm_error *err) PFM_MUST_CHECK;
void pfm_records_free(pfm_records *records);
/* Where a file of JSON lines is read. */
typedef struct pfm_json_line {
    size_t next, line; /* the byte that comes next; the line of the value, from 1 */
    json_t *value;     /* the caller's; NULL at the end */
} pfm_json_line;       /* start with {0} */
/* The next value; empty lines are passed over. */
pfm_status pfm_json_lines_next(const char *text, size_t length, const char *file, pfm_json_line *at,
                               pfm_error *err) PFM_MUST_CHECK;
/* Adds the values of JSON lines. */
pfm_status pfm_json_lines_parse(const char *text, size_t length, const char *file, pfm_records *out,
                                pfm_error *err) PFM_MUST_CHECK;
/* Adds the records of a CSV file (RFC 4180, UTF-8, the first record names the columns); every value is a string. */
pfm_status pfm_csv_parse(const char *text, size_t length, const char *file, pfm_records *out, pfm_error *err) PFM_MUST_CHECK;
/* The same for what spreadsheets leave of a table: columns separated by commas, semicolons or tabs (the first line decides; a
 * line `sep=;` above it is passed over), rows without the empty cells at their end, empty columns and rows. *separator = which.
 */
pfm_status pfm_spreadsheet_parse(const char *text, size_t length, const char *file, char *separator, pfm_records *out,
                                 pfm_error *err) PFM_MUST_CHECK;

#endif
