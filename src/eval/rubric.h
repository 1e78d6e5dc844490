/* Rubrics: files that say what a judge is told, what it is shown of a row, and on which scale it scores. Those of
 * src/eval/rubrics are part of the program; a user's own is named by its path (docs/judge.md). */
#ifndef PFM_EVAL_RUBRIC_H
#define PFM_EVAL_RUBRIC_H

#include "base/hash.h"
#include "eval/predictions.h"
#include "eval/yaml_file.h"

/* One text of a row that is shown. */
typedef struct pfm_rubric_part {
    char *title;
    char **columns; /* [count] the first of them that a row has */
    size_t count;
    bool optional; /* a row may have none of them */
} pfm_rubric_part;

typedef struct pfm_rubric_level {
    int score;
    char *text;
} pfm_rubric_level;

typedef enum pfm_rubric_verdict {
    PFM_RUBRIC_SCORE, /* a line "Score: N" */
    PFM_RUBRIC_ERRORS /* counts of errors of six types, by significance: the score is the number of significant ones */
} pfm_rubric_verdict;

typedef struct pfm_rubric {
    char *name; /* the file's, without .yaml */
    char *definition, *instruction;
    pfm_rubric_part *parts; /* [part_count] one of them shows the prediction */
    size_t part_count, part_capacity;
    int low, high;            /* the scale: whole numbers, low < high */
    pfm_rubric_level *levels; /* [level_count], ascending; may be none */
    size_t level_count, level_capacity;
    pfm_rubric_verdict verdict;
    bool lower_is_better;
    bool no_reasons;   /* the judge is to give its score alone */
    int missing;       /* what a verdict that is none counts as where all count */
    pfm_hash_hex hash; /* of the file */
} pfm_rubric;

enum { PFM_RUBRIC_MOST_PARTS = 16, PFM_RUBRIC_MOST_COLUMNS = 8, PFM_RUBRIC_MOST_LEVELS = 101 };

extern const pfm_builtin_file pfm_rubric_files[]; /* that are part of the program */

/* *out = the rubric of this name, or of a file. USAGE names the line that is wrong; FORMAT: it is no YAML. */
pfm_status pfm_rubric_load(const char *name, pfm_rubric **out, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_rubric_parse(const char *file, const char *text, size_t size, pfm_rubric **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_rubric_free(pfm_rubric *rubric);

/* How a judge is to reply. */
typedef enum pfm_reply_form {
    PFM_REPLY_LINES, /* "Score: N", behind its reasons */
    PFM_REPLY_JSON   /* a JSON object, to which a server can hold it */
} pfm_reply_form;

/* *out = what a judge is asked about a row: the instruction, the scale, the row's texts between marks that occur in none of
 * them, and how to end. FORMAT names the place of a row that lacks what is shown. Release with free(). */
pfm_status pfm_rubric_question(const pfm_rubric *rubric, pfm_reply_form form, const json_t *row, const pfm_place *place,
                               char **out, pfm_error *err) PFM_MUST_CHECK;
/* *out = the response_format of a request by which a server holds the reply to such an object (rubric_schema.c). type:
 * json_schema, OpenAI's own, or json_object, with the schema beside it; USAGE for any other. */
pfm_status pfm_rubric_response_format(const pfm_rubric *rubric, const char *type, json_t **out, pfm_error *err) PFM_MUST_CHECK;
/* Appends what is to be judged, and what the scores mean: for judges and people alike. */
pfm_status pfm_rubric_instructions(const pfm_rubric *rubric, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;
/* Appends the texts of a row that are shown, a line's end behind each, and nothing else. */
pfm_status pfm_rubric_shown(const pfm_rubric *rubric, const json_t *row, const pfm_place *place, pfm_buffer *out,
                            pfm_error *err) PFM_MUST_CHECK;

#endif
