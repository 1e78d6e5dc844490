/* The measure of MedExpQA (the repository hitz-zentroa/MedExpQA, evaluate_predictions.py): of a text with the prompt the first
 * character behind the sentence that the answer ends. Our predictions are what stands behind a prompt that ends so; one that
 * says the sentence again, as a model that was not trained may, is read behind it. */
#include "eval/profile.h"

#include "data/medexpqa.h"

#include <math.h>
#include <string.h>
#include <utf8proc.h>

/* Where the answer begins: behind the sentence and one blank, or where the text begins. */
static const char *answer_of(const char *text, const json_t *columns)
{
    const char *language = json_string_value(json_object_get(columns, "lang"));
    const pfm_medexpqa_words *words = pfm_medexpqa_find_words(language != NULL ? language : "en");
    const size_t length = words == NULL ? 0 : strlen(words->sentence);
    for (const char *at = text; words != NULL && (at = strstr(at, words->sentence)) != NULL; at += length) {
        if (at[length] == ' ')
            return at + length + 1;
    }
    return text;
}

static pfm_status reduce(const char *text, bool predicted, const json_t *columns, pfm_buffer *out, pfm_error *err)
{
    utf8proc_int32_t point = 0;
    const char *answer = predicted ? answer_of(text, columns) : text;
    const utf8proc_ssize_t length =
        utf8proc_iterate((const utf8proc_uint8_t *)answer, (utf8proc_ssize_t)strlen(answer), &point);
    pfm_buffer_clear(out);
    return length > 0 ? pfm_buffer_append(out, answer, (size_t)length, err) : PFM_OK;
}

/* One of the options that there are: a null is none. */
static double guess(const json_t *columns)
{
    const char *key = NULL;
    json_t *value = NULL, *options = json_object_get(columns, "options");
    size_t count = 0;
    json_object_foreach(options, key, value) count += json_is_string(value);
    return count > 0 ? 1 / (double)count : NAN;
}

static const char *const columns[] = {"type", "lang", NULL};

const pfm_score_profile pfm_score_profile_medexpqa = {
    .name = "medexpqa",
    .definition =
        "Accuracy in per cent: the first character of the prediction, or of what stands behind the sentence \"The correct "
        "answer "
        "is: \" (in the language of the column lang) where it says that, is that of the answer. Beside it the chance of a "
        "guess "
        "among the options, and the prior: the most common option of the training rows. The rest as in vqa; intervals are over "
        "rows, since they show no images.",
    .rule = "text:first.character.behind.sentence",
    .reduce = reduce,
    .guess = guess,
    .training_answer = "correct_option",
    .columns = columns,
};
