/* What a token of the Penn Treebank's may be, for cut_ptb.h: words, numbers, links, marks and so on, the longest of each. */
#ifndef PFM_EVAL_PTB_KINDS_H
#define PFM_EVAL_PTB_KINDS_H

#include <stdbool.h>
#include <stddef.h>
#include <utf8proc.h>

/* What a text holds from a place on, up to its end. */
typedef struct pfm_ptb_view {
    const char *at, *end;
} pfm_ptb_view;

#define PFM_PTB_COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* The byte at a place; NUL behind the end. */
static inline char pfm_ptb_byte(pfm_ptb_view v, size_t i) { return v.at + i < v.end ? v.at[i] : '\0'; }
static inline bool pfm_ptb_is_digit(char c) { return c >= '0' && c <= '9'; }
static inline bool pfm_ptb_is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/* The character of which `at` is the first byte, and its bytes; -1 for a byte that is no UTF-8. */
utf8proc_int32_t pfm_ptb_character(const char *at, const char *end, size_t *bytes);
/* The bytes of a letter (with marks), of a letter or digit, of an apostrophe straight or curved; 0 where there is another. */
size_t pfm_ptb_letter(pfm_ptb_view v, size_t i);
size_t pfm_ptb_letter_or_digit(pfm_ptb_view v, size_t i);
size_t pfm_ptb_apostrophe(pfm_ptb_view v, size_t i);
/* The bytes of a run of what one of those finds. */
size_t pfm_ptb_run(pfm_ptb_view v, size_t i, size_t (*bytes)(pfm_ptb_view v, size_t i));
/* Whether a word [length] is in a list. */
bool pfm_ptb_is_one_of(const char *word, size_t length, const char *const *list, size_t count, bool any_case);

/* The length of the longest word, and of the longest token of any kind, that begins here; 0 where there is none. */
size_t pfm_ptb_match_word(pfm_ptb_view v);
size_t pfm_ptb_match_any(pfm_ptb_view v);

#endif
