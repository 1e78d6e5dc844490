/* METEOR (Lavie and Agarwal, METEOR: An Automatic Metric for MT Evaluation with High Levels of Correlation with Human
 * Judgments, 2007) as nltk's meteor_score computes it, which is neither METEOR 1.5 nor its Java program. */
#include "eval/metric.h"

#include "base/try.h"
#include "eval/lower.h"
#include "eval/ngrams.h"
#include "eval/porter.h"
#include "eval/wordnet.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* What is known of a word once it was needed. Words are numbers of the space, synonyms too. */
typedef struct word_facts {
    uint32_t stem; /* 0: not known yet */
    bool looked_up;
    size_t first_synonym, synonym_count;
} word_facts;

typedef struct aligner {
    pfm_ngram_space space;
    pfm_wordnet *wordnet;
    word_facts *facts; /* by word */
    uint32_t *synonyms, *letters;
    size_t fact_capacity, synonym_count, synonym_capacity, letter_capacity;
    pfm_buffer text;
    pfm_ngram_text prediction, reference, scratch;
    /* Of the pair that is aligned: */
    uint32_t *match;  /* of each of the prediction's words: the reference's, + 1; 0: none yet */
    uint32_t *taken;  /* of each of the reference's words: whether one has it */
    uint32_t *last;   /* by word: its last free place in the reference, + 1 */
    uint32_t *before; /* of each of the reference's words: the free place before it that has the same word, + 1 */
    size_t match_capacity, taken_capacity, last_capacity, before_capacity;
} aligner;

static void free_aligner(aligner *a)
{
    pfm_ngram_space_free(&a->space);
    pfm_wordnet_free(a->wordnet);
    free(a->facts);
    free(a->synonyms);
    free(a->letters);
    pfm_buffer_free(&a->text);
    pfm_ngram_text_free(&a->prediction);
    pfm_ngram_text_free(&a->reference);
    pfm_ngram_text_free(&a->scratch);
    free(a->match);
    free(a->taken);
    free(a->last);
    free(a->before);
}

static const char *word_text(const aligner *a, uint32_t word) { return a->space.words.texts[word - 1]; }

/* *out = the number of a word, which may be new. */
static pfm_status number_word(aligner *a, const char *text, size_t length, uint32_t *out, pfm_error *err)
{
    a->scratch.count = 0;
    pfm_status status = pfm_ngram_text_add_word(&a->space, text, length, &a->scratch, err);
    if (status == PFM_OK)
        *out = a->scratch.ids[0];
    return status;
}

static pfm_status find_facts(aligner *a, uint32_t word, word_facts **out, pfm_error *err)
{
    pfm_status status = pfm_array_reserve(&a->facts, &a->fact_capacity, a->space.words.count + 1, sizeof *a->facts, err);
    *out = status == PFM_OK ? &a->facts[word] : NULL;
    return status;
}

/* *out = the number of the word's stem. */
static pfm_status stem_word(aligner *a, uint32_t word, uint32_t *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    word_facts *facts = NULL;
    const char *text = word_text(a, word);
    size_t left = strlen(text), letters = 0;
    PFM_TRY(find_facts(a, word, &facts, err));
    *out = facts->stem;
    if (*out != 0)
        goto done;
    PFM_TRY(pfm_array_reserve(&a->letters, &a->letter_capacity, left + 1, sizeof *a->letters, err));
    while (left > 0) {
        utf8proc_int32_t c = 0;
        utf8proc_ssize_t length = utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)left, &c);
        a->letters[letters++] = length > 0 ? (uint32_t)c : 0xFFFD;
        text += length > 0 ? length : 1;
        left -= length > 0 ? (size_t)length : 1;
    }
    letters = pfm_porter_stem(a->letters, letters);
    pfm_buffer_clear(&a->text);
    for (size_t i = 0; i < letters; i++) {
        utf8proc_uint8_t bytes[4];
        PFM_TRY(pfm_buffer_append(&a->text, bytes, (size_t)utf8proc_encode_char((utf8proc_int32_t)a->letters[i], bytes), err));
    }
    PFM_TRY(number_word(a, a->text.size == 0 ? "" : a->text.data, a->text.size, out, err));
    PFM_TRY(find_facts(a, word, &facts, err));
    facts->stem = *out;
done:
    return status;
}

/* Synonyms of several words do not count. */
static pfm_status keep_synonym(void *user, const char *synonym, size_t length, pfm_error *err)
{
    aligner *a = user;
    pfm_status status = PFM_OK;
    uint32_t number = 0;
    if (memchr(synonym, '_', length) != NULL)
        return PFM_OK;
    PFM_TRY(number_word(a, synonym, length, &number, err));
    PFM_TRY(pfm_array_reserve(&a->synonyms, &a->synonym_capacity, a->synonym_count + 1, sizeof *a->synonyms, err));
    a->synonyms[a->synonym_count++] = number;
done:
    return status;
}

static pfm_status find_synonyms(aligner *a, uint32_t word, const word_facts **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    word_facts *facts = NULL;
    PFM_TRY(find_facts(a, word, &facts, err));
    if (!facts->looked_up) {
        size_t first = a->synonym_count;
        const char *text = word_text(a, word);
        PFM_TRY(pfm_wordnet_synonyms(a->wordnet, text, strlen(text), keep_synonym, a, err));
        PFM_TRY(find_facts(a, word, &facts, err));
        facts->first_synonym = first;
        facts->synonym_count = a->synonym_count - first;
        facts->looked_up = true;
    }
    *out = facts;
done:
    return status;
}

/* Notes where the reference's free words are. */
static pfm_status note_places(aligner *a, const pfm_ngram_text *reference, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_array_reserve(&a->last, &a->last_capacity, a->space.words.count + 1, sizeof *a->last, err));
    for (size_t j = 0; j < reference->count; j++)
        a->last[reference->ids[j]] = 0;
    for (size_t j = 0; j < reference->count; j++) {
        if (a->taken[j] != 0)
            continue;
        a->before[j] = a->last[reference->ids[j]];
        a->last[reference->ids[j]] = (uint32_t)j + 1;
    }
done:
    return status;
}

static void forget_places(aligner *a, const pfm_ngram_text *reference)
{
    for (size_t j = 0; j < reference->count; j++)
        a->last[reference->ids[j]] = 0;
}

static void take(aligner *a, size_t i, uint32_t place, const pfm_ngram_text *reference)
{
    a->match[i] = place;
    a->taken[place - 1] = 1;
    a->last[reference->ids[place - 1]] = a->before[place - 1];
}

/* The prediction's words from its end take each the last free place of the same word. */
static pfm_status match_equal(aligner *a, const pfm_ngram_text *prediction, const pfm_ngram_text *reference, pfm_error *err)
{
    pfm_status status = note_places(a, reference, err);
    if (status != PFM_OK)
        return status;
    for (size_t i = prediction->count; i-- > 0;) {
        uint32_t place = a->match[i] == 0 ? a->last[prediction->ids[i]] : 0;
        if (place != 0)
            take(a, i, place, reference);
    }
    forget_places(a, reference);
    return PFM_OK;
}

static pfm_status match_synonyms(aligner *a, const pfm_ngram_text *prediction, const pfm_ngram_text *reference, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < prediction->count; i++) { /* all first: looking up may number new words */
        const word_facts *facts = NULL;
        if (a->match[i] == 0)
            PFM_TRY(find_synonyms(a, prediction->ids[i], &facts, err));
    }
    PFM_TRY(note_places(a, reference, err));
    for (size_t i = prediction->count; i-- > 0;) {
        const word_facts *facts = &a->facts[prediction->ids[i]];
        uint32_t place = 0;
        if (a->match[i] != 0)
            continue;
        for (size_t s = 0; s < facts->synonym_count; s++) {
            uint32_t last = a->last[a->synonyms[facts->first_synonym + s]];
            place = last > place ? last : place;
        }
        if (place != 0)
            take(a, i, place, reference);
    }
    forget_places(a, reference);
done:
    return status;
}

static pfm_status stem_all(aligner *a, pfm_ngram_text *text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < text->count && status == PFM_OK; i++)
        status = stem_word(a, text->ids[i], &text->ids[i], err);
    return status;
}

static double score_matches(const aligner *a)
{
    const double alpha = 0.9, beta = 3, gamma = 0.5;
    double matches = 0, chunks = 0;
    uint32_t expected = 0; /* the place that would go on with the chunk */
    for (size_t i = 0; i < a->prediction.count; i++) {
        matches += a->match[i] != 0;
        chunks += a->match[i] != 0 && a->match[i] != expected;
        expected = a->match[i] != 0 ? a->match[i] + 1 : 0;
    }
    if (matches == 0)
        return 0;
    double precision = matches / (double)a->prediction.count, recall = matches / (double)a->reference.count;
    double mean = precision * recall / (alpha * precision + (1 - alpha) * recall);
    return (1 - gamma * pow(chunks / matches, beta)) * mean;
}

static pfm_status cut_lower(aligner *a, const char *text, pfm_ngram_text *out, pfm_error *err)
{
    pfm_status status = pfm_text_lower(text, &a->text, err);
    return status == PFM_OK ? pfm_ngram_text_split(&a->space, a->text.data, out, err) : status;
}

/* What equal words leave over goes on as stems, also to the synonyms. */
static pfm_status score_pair(aligner *a, const char *prediction, const char *reference, double *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(cut_lower(a, prediction, &a->prediction, err));
    PFM_TRY(cut_lower(a, reference, &a->reference, err));
    size_t words = a->prediction.count, places = a->reference.count;
    PFM_TRY(pfm_array_reserve(&a->match, &a->match_capacity, words + 1, sizeof *a->match, err));
    PFM_TRY(pfm_array_reserve(&a->taken, &a->taken_capacity, places + 1, sizeof *a->taken, err));
    PFM_TRY(pfm_array_reserve(&a->before, &a->before_capacity, places + 1, sizeof *a->before, err));
    memset(a->match, 0, words * sizeof *a->match);
    memset(a->taken, 0, places * sizeof *a->taken);
    PFM_TRY(match_equal(a, &a->prediction, &a->reference, err));
    PFM_TRY(stem_all(a, &a->prediction, err));
    PFM_TRY(stem_all(a, &a->reference, err));
    PFM_TRY(match_equal(a, &a->prediction, &a->reference, err));
    PFM_TRY(match_synonyms(a, &a->prediction, &a->reference, err));
    *out = score_matches(a);
done:
    return status;
}

static pfm_status measure(const pfm_metric *metric, const pfm_answer_set *set, double *numbers, pfm_error *err)
{
    (void)metric;
    pfm_status status = PFM_OK;
    aligner a = {0};
    PFM_TRY(pfm_wordnet_open(NULL, &a.wordnet, err));
    for (size_t i = 0; i < set->count; i++) {
        const pfm_answer_row *row = &set->rows[i];
        for (size_t r = 0; r < row->reference_count; r++) {
            double score = 0;
            PFM_TRY(score_pair(&a, row->prediction, pfm_answer_references(set, row)[r], &score, err));
            numbers[i] = fmax(numbers[i], score);
        }
    }
done:
    free_aligner(&a);
    return status;
}

const pfm_metric pfm_metric_meteor_nltk = {
    .name = "meteor_nltk",
    .definition =
        "METEOR (0..1), mean over rows, of several references the best, as nltk 3.10's meteor_score computes it on words "
        "split at white space: equal words, then stems (nltk's Porter), then synonyms of WordNet 3.0 (Debian's "
        "wordnet-base, or the folder in PEFOMED_WORDNET); alpha 0.9, beta 3, gamma 0.5. Not METEOR 1.5 of the Java "
        "program, which coco's and R2Gen's scripts run.",
    .signature = "nltk3.10.lower.porter.wordnet3.0.alpha0.9.beta3.gamma0.5.space",
    .columns = 1,
    .measure = measure,
    .finish = pfm_metric_mean,
};
