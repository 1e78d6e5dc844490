/* Which rows of a file of predictions are asked for, how many there are beside each filter, and what two files differ in. */
#ifndef PFM_SERVE_ANSWER_QUERY_H
#define PFM_SERVE_ANSWER_QUERY_H

#include "serve/answer_file.h"

/* Of two files: rows whose normalised predictions differ, of which one is right and the other wrong, of which the first alone
 * or the second alone is right; or all. */
#define PFM_DIFFER_LIST(X) X(answers) X(verdicts) X(better) X(worse) X(all)
#define PFM_DIFFER_NUMBER(name) PFM_DIFFER_##name,
typedef enum pfm_differ { PFM_DIFFER_LIST(PFM_DIFFER_NUMBER) PFM_DIFFERS } pfm_differ;
#undef PFM_DIFFER_NUMBER
extern const char *const pfm_differ_names[PFM_DIFFERS];

typedef struct pfm_answer_query {
    int right;                      /* 1, 0, or -1: both */
    int kind;                       /* a pfm_answer_kind, or -1 */
    const char *words;              /* all of them, whole; one that ends in * is the beginning of one. NULL or "": none */
    const char **values;            /* [columns of the set] the value that is asked for, or NULL */
    const pfm_answer_file *against; /* NULL: one file */
    pfm_differ differ;
    size_t from, count; /* of the rows that are asked for, which are told */
} pfm_answer_query;

/* *out = {"n","matching","from","right":{"right","wrong"} or null of reports,"kinds":[{"value","n","right"}],
 * "columns":[{"name","values":[..]}],"against":null or {"rows" (that both have),"answers","both","better","worse","neither"},
 * "rows":[..]}. Beside each filter stands how many rows there are when the others hold. The caller calls json_decref. */
pfm_status pfm_answer_query_run(const pfm_answer_file *file, const pfm_answer_query *query, json_t **out,
                                pfm_error *err) PFM_MUST_CHECK;

/* *out = the difference of two files' scores, this one's less the other's, in percentage points over the rows that both have:
 * {"rows","only_here","only_there","groups":[{"column" (null: of all),"value","n","images","a","b","mean","ci95","p"}]}. Groups
 * are all, the kinds, and the values of each column of few; ci95 and p of one image alone are null. MISMATCH where the files do
 * not ask the same. */
pfm_status pfm_answer_gap(const pfm_answer_file *a, const pfm_answer_file *b, uint64_t seed, json_t **out,
                          pfm_error *err) PFM_MUST_CHECK;

#endif
