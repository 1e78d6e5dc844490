/* A predictions file in memory, row by row as the scores need it: texts once, each row judged as it is added. */
#ifndef PFM_EVAL_ANSWER_SET_H
#define PFM_EVAL_ANSWER_SET_H

#include "eval/predictions.h"
#include "eval/profile.h"
#include "eval/text_store.h"
#include "eval/vqa_text.h"

typedef struct pfm_answer_row {
    const char *question, *answer,
        *prediction; /* borrowed from the set; question may be NULL; a report's (first) reference is its answer */
    size_t first_reference, reference_count; /* what the prediction is compared with, at least one: see pfm_answer_references */
    uint32_t image;                          /* into the set's images */
    pfm_answer_kind kind;                    /* never UNKNOWN */
    bool kind_given;                         /* by answer_type, not inferred */
    bool correct;
    double recall;      /* pfm_word_list_recall of the normalised texts, 0..1 */
    double probability; /* NaN where there is none */
    double guess;       /* the profile's, NaN where there is none */
} pfm_answer_row;

/* A further column of the data by whose values a score is split. */
typedef struct pfm_answer_column {
    const char *name;
    pfm_intern values;
    bool left_out;   /* not a column to split by */
    bool wanted;     /* by the profile, however many values there are */
    uint16_t *codes; /* a row's value + 1, or 0 where it has none; rows behind `coded` have none */
    size_t coded, capacity;
} pfm_answer_column;

enum { PFM_ANSWER_MAX_NUMBERS = 16 };

/* Columns of numbers that are scored, each a number in every row. */
typedef struct pfm_answer_numbers {
    const char *names[PFM_ANSWER_MAX_NUMBERS];
    const json_t *sources[PFM_ANSWER_MAX_NUMBERS]; /* {id: number}, or NULL: the row's own column */
    size_t count;
} pfm_answer_numbers;

typedef struct pfm_answer_set {
    pfm_answer_row *rows;
    size_t count, capacity;
    pfm_intern ids, images; /* ids by row; images: what the bootstrap draws, of a row without an image the row itself */
    size_t shown;           /* how many of those are images */
    pfm_text_store texts;
    const char **references; /* of all rows behind each other */
    double *weights;         /* of each reference, 1 where the row gives none */
    size_t reference_count, reference_capacity, weight_capacity;
    pfm_answer_column *columns;
    size_t column_count, column_capacity;
    pfm_answer_numbers number_columns; /* set before the first row */
    double *numbers;                   /* [rows, number_columns.count] */
    size_t number_capacity;
    size_t kinds_given, probabilities;    /* how many rows have them */
    struct pfm_score_networks *networks;  /* of metrics that run one; NULL: none is there; borrowed */
    bool reports;                         /* set before the first row: reference (or answer) and prediction are enough */
    const pfm_score_profile *profile;     /* set before the first row: what is right; NULL: vqa */
    pfm_buffer answer, prediction, value; /* scratch */
    pfm_word_list answer_words, prediction_words;
} pfm_answer_set; /* start with {0}, or {.reports = true} */

enum { PFM_ANSWER_MAX_VALUES = 40, PFM_ANSWER_MAX_VALUE_BYTES = 64, PFM_ANSWER_MOST_VALUES = UINT16_MAX - 1 };

/* Checks a prediction and adds it. A pfm_row_function whose user is the set. */
pfm_status pfm_answer_set_add(void *user, json_t *json, const pfm_place *place, pfm_error *err) PFM_MUST_CHECK;
/* Whether a score is split by this column. It is, unless its name says what a row is rather than what kind (id, qid, image,
 * images, question, answer, prediction, reference, probability, correct, seconds, tokens and names that end in _id or _name),
 * or a value is longer than PFM_ANSWER_MAX_VALUE_BYTES, or there are more than PFM_ANSWER_MAX_VALUES values (a column that the
 * profile names may have PFM_ANSWER_MOST_VALUES of any length). Values are strings
 * (blanks around them removed), numbers and truth values; others count as absent. An `age` (a number of years, or DICOM's
 * 063Y) is put into its decade, "60-69". */
bool pfm_answer_column_splits(const pfm_answer_column *column);
void pfm_answer_set_free(pfm_answer_set *set);
/* Judges all rows again, after their texts were changed. */
pfm_status pfm_answer_set_judge(pfm_answer_set *set, pfm_error *err) PFM_MUST_CHECK;

/* A row's references [reference_count], and their weights. */
static inline const char *const *pfm_answer_references(const pfm_answer_set *set, const pfm_answer_row *row)
{
    return set->references + row->first_reference;
}
static inline const double *pfm_answer_weights(const pfm_answer_set *set, const pfm_answer_row *row)
{
    return set->weights + row->first_reference;
}

#endif
