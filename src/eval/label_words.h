/* A report cut into sentences, and the phrases of label_table.h found in one. */
#ifndef PFM_EVAL_LABEL_WORDS_H
#define PFM_EVAL_LABEL_WORDS_H

#include "base/memory.h"
#include "eval/labels.h"

#include <stdbool.h>

/* What a phrase is; a set of them is a mask. */
#define PFM_LABEL_KINDS(X)                                                                                                     \
    X(IGNORED)        /* nothing */                                                                                            \
    X(MENTION)        /* of findings */                                                                                        \
    X(SUBJECT)        /* a part of the body that a state makes a finding */                                                    \
    X(ENLARGED)       /* states of such subjects: the finding is there, */                                                     \
    X(NORMAL)         /* or it is not */                                                                                       \
    X(DENIED)         /* what follows is absent, */                                                                            \
    X(DENIED_BEHIND)  /* what went before is, */                                                                               \
    X(DOUBTED)        /* what follows is uncertain, */                                                                         \
    X(DOUBTED_BEHIND) /* what went before is */                                                                                \
    X(PASSED)         /* what follows is history and says nothing of this image */                                             \
    X(BARRIER)        /* no cue reaches across */                                                                              \
    X(JOINING)        /* and */                                                                                                \
    X(ACCOMPANIED)    /* with: doubt does not reach across */                                                                  \
    X(EITHER)         /* or */                                                                                                 \
    X(VERB)           /* behind a comma, "and" or "with" it begins a statement of its own, */                                  \
    X(ASSERTED)       /* and so does this */                                                                                   \
    X(COMMA)          /* not of the table */

#define PFM_LABEL_KIND_PLACE(name) PFM_LABEL_PLACE_##name,
enum { PFM_LABEL_KINDS(PFM_LABEL_KIND_PLACE) PFM_LABEL_KIND_COUNT };
#define PFM_LABEL_KIND_BIT(name) PFM_LABEL_##name = 1 << PFM_LABEL_PLACE_##name,
enum { PFM_LABEL_KINDS(PFM_LABEL_KIND_BIT) };

enum { PFM_LABEL_LUNGS = 1 << PFM_FINDINGS };

/* A phrase found, its words from `first` up to `last`, which it does not have; in the sentence's order. */
typedef struct pfm_label_phrase {
    unsigned kinds, findings; /* masks */
    size_t first, last;
    bool absent, uncertain, passed, used; /* what the rules find of it */
} pfm_label_phrase;

typedef struct pfm_label_word {
    size_t at, length; /* in the lowered text; a comma has length 0 */
} pfm_label_word;

typedef struct pfm_label_words {
    struct pfm_label_pattern *patterns; /* in the order of `starts` */
    size_t *starts;                     /* a word's first two characters -> the first pattern that begins so */
    char *lowered;                      /* the text */
    pfm_label_word *words;              /* of the sentence */
    pfm_label_phrase *phrases;          /* in it */
    size_t lowered_capacity, word_count, word_capacity, phrase_count, phrase_capacity;
    const char *rest; /* of the text, in `lowered` */
} pfm_label_words;    /* start with {0} */

pfm_status pfm_label_words_create(pfm_label_words *out, pfm_error *err) PFM_MUST_CHECK;
void pfm_label_words_free(pfm_label_words *words);
pfm_status pfm_label_words_begin(pfm_label_words *words, const char *text, pfm_error *err) PFM_MUST_CHECK;
/* Finds the phrases of the next sentence that has words; *more = false where there is none. */
pfm_status pfm_label_words_next(pfm_label_words *words, bool *more, pfm_error *err) PFM_MUST_CHECK;

#endif
