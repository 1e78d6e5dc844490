/* Verdicts: how a judge's reply is read, and the file of them. */
#ifndef PFM_EVAL_VERDICT_H
#define PFM_EVAL_VERDICT_H

#include "eval/rubric.h"

enum { PFM_ERROR_TYPES = 6 }; /* A..F */

/* What a reply that is a JSON object holds (rubric_question.c asks for it, rubric_schema.c demands it). */
#define PFM_REPLY_REASONS "reasons"
#define PFM_REPLY_SCORE "score"
#define PFM_REPLY_SIGNIFICANT "significant"
#define PFM_REPLY_INSIGNIFICANT "insignificant"

typedef enum pfm_verdict_state {
    PFM_VERDICT_NONE,
    PFM_VERDICT_OK,
    PFM_VERDICT_UNPARSABLE,
    PFM_VERDICT_FAILED
} pfm_verdict_state;

typedef struct pfm_verdict {
    pfm_verdict_state state;
    int score;                               /* of an ok one */
    bool has_significant, has_insignificant; /* counts of errors were given */
    int significant[PFM_ERROR_TYPES], insignificant[PFM_ERROR_TYPES];
    int attempts;
} pfm_verdict;

/* Reads a reply: *out is ok or unparsable, with no attempts.
 *
 * The last line of the form "Score: N" is the verdict, N a whole number of the scale; case, marks of Markdown around it,
 * "/HIGH" and a remark that begins with a sign and has no digit make no difference. A rubric of errors has the lines "Number of
 * clinically significant (insignificant) errors by type: [(A, n), ...]", the last of each; the sum of the significant ones is
 * the score, and the line "Score: N" where they are missing. What a model thinks aloud between <think> and </think> is no part
 * of the reply. */
void pfm_verdict_read(const pfm_rubric *rubric, const char *reply, pfm_verdict *out);
/* The same of a reply that was to be a JSON object (verdict_json.c): what stands from its first { to its last } must be one,
 * with "score" on the scale; of a rubric of errors with "significant" and "insignificant", counts by type: the sum of the
 * significant ones is the score. Anything else is unparsable. */
pfm_status pfm_verdict_read_json(const pfm_rubric *rubric, const char *reply, pfm_verdict *out, pfm_error *err) PFM_MUST_CHECK;
/* What stands behind a model's thoughts. */
const char *pfm_verdict_said(const char *reply);

/* ---- the file (verdict_file.c) ---- */

/* What one line says. */
typedef struct pfm_verdict_line {
    const char *model; /* who judged */
    const json_t *id;  /* as the predictions file has it */
    int repeat;        /* from 1 */
    const char *asked; /* 16 letters that stand for rubric, model, settings and texts */
    pfm_verdict verdict;
    const char *reply, *error; /* one of the two */
} pfm_verdict_line;

typedef struct pfm_verdict_file {
    char *path;
    int descriptor; /* -1: closed */
    size_t size;
} pfm_verdict_file;

/* Called for each line of the file; `line` borrows from the object during the call. *keep (true) = whether the line stays. */
typedef pfm_status (*pfm_verdict_function)(void *user, const pfm_verdict_line *line, const pfm_place *place, bool *keep,
                                           pfm_error *err);
/* Reads the verdicts of a file (none, where there is no file); what a kill left behind the last whole line is passed over.
 * tidy: that, and the lines that do not stay, are taken out of the file. FORMAT names the line that is no verdict. */
pfm_status pfm_verdicts_read(const char *path, pfm_verdict_function function, void *user, bool tidy,
                             pfm_error *err) PFM_MUST_CHECK;

pfm_status pfm_verdict_file_open(const char *path, pfm_verdict_file *out, pfm_error *err) PFM_MUST_CHECK;
/* Writes a line, whole, by one call of the system. IO: it cannot be written; the file is as before. */
pfm_status pfm_verdict_file_append(pfm_verdict_file *file, const pfm_verdict_line *line, pfm_error *err) PFM_MUST_CHECK;
void pfm_verdict_file_close(pfm_verdict_file *file);
/* Appends a line's text, its end included. */
pfm_status pfm_verdict_line_write(const pfm_verdict_line *line, pfm_buffer *out, pfm_error *err) PFM_MUST_CHECK;

#endif
