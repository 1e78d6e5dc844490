#include "data/medexpqa_grounding.h"

#include "base/try.h"

#include <stdlib.h>
#include <string.h>

static const char full_column[] = "full_answer", plain_column[] = "explanation", hidden_column[] = "full_answer_no_ref";

static pfm_status refuse(const pfm_row_place *place, const char *column, const char *reason, pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_FORMAT, "%s line %zu: \"%s\" %s", place->file, place->number, column, reason);
}

/* *out = the whole explanation: the published files call it full_answer, smaller ones explanation. */
static pfm_status get_full(const json_t *record, const pfm_row_place *place, const char **out, pfm_error *err)
{
    pfm_status status = pfm_row_get_text(record, full_column, place, out, err);
    if (status == PFM_OK && *out == NULL)
        status = pfm_row_get_text(record, plain_column, place, out, err);
    if (status == PFM_OK && *out == NULL)
        return refuse(place, full_column, "(or \"explanation\") is missing, which data.grounding shows; take none", err);
    return status;
}

/* The byte at which a character begins, or the end. */
static size_t byte_of(const char *text, json_int_t character)
{
    size_t at = 0;
    for (; text[at] != '\0' && (character > 0 || ((unsigned char)text[at] & 0xC0) == 0x80); at++)
        character -= ((unsigned char)text[at + 1] & 0xC0) != 0x80;
    return at;
}

/* Replaces the characters of a range by a blank. */
static pfm_status cut_range(pfm_buffer *text, const json_t *range, const pfm_row_place *place, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer cut = {0};
    const json_t *first = json_array_get(range, 0), *last = json_array_get(range, 1);
    if (json_array_size(range) != 2 || !json_is_integer(first) || !json_is_integer(last) || json_integer_value(first) < 0 ||
        json_integer_value(first) > json_integer_value(last))
        return refuse(place, "explanations", "must hold char_ranges, pairs of whole numbers as in [[0, 120]]", err);
    const char *whole = text->size == 0 ? "" : text->data;
    PFM_TRY(pfm_buffer_append(&cut, whole, byte_of(whole, json_integer_value(first)), err));
    PFM_TRY(pfm_buffer_append_format(&cut, err, " %s", whole + byte_of(whole, json_integer_value(last))));
    pfm_buffer_free(text);
    *text = cut;
    cut = (pfm_buffer){0};
done:
    pfm_buffer_free(&cut);
    return status;
}

/* As the published code does it: a second range counts in the text that the first one left, though it was noted in the whole.
 */
static pfm_status append_wrong(const json_t *record, int correct, const pfm_row_place *place, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    const char *full = NULL;
    const char key[] = {(char)('0' + correct), '\0'};
    const json_t *ranges = json_object_get(json_object_get(json_object_get(record, "explanations"), key), "char_ranges");
    PFM_TRY(get_full(record, place, &full, err));
    if (!json_is_array(ranges))
        PFM_TRY(refuse(place, "explanations",
                       "has no char_ranges for the correct option, which data.grounding: wrong needs; take "
                       "the published files, or another grounding",
                       err));
    PFM_TRY(pfm_buffer_append_string(&text, full, err));
    for (size_t i = 0; i < json_array_size(ranges); i++)
        PFM_TRY(cut_range(&text, json_array_get(ranges, i), place, err));
    PFM_TRY(pfm_buffer_append(out, text.data, text.size, err));
done:
    pfm_buffer_free(&text);
    return status;
}

/* The explanation with the answer hidden. */
static pfm_status append_hidden(const json_t *record, const pfm_row_place *place, pfm_buffer *out, pfm_error *err)
{
    const char *text = NULL;
    pfm_status status = pfm_row_get_text(record, hidden_column, place, &text, err);
    if (status == PFM_OK && text == NULL)
        return refuse(place, hidden_column,
                      "is missing, which data.grounding: hidden shows; take the published files, or another grounding", err);
    return status == PFM_OK ? pfm_buffer_append_string(out, text, err) : status;
}

pfm_status pfm_medexpqa_retrieve(const pfm_medexpqa_grounding *grounding, const char *query, const pfm_own_texts *own,
                                 pfm_buffer *out, json_t *places, pfm_error *err)
{
    return pfm_index_find(grounding->index, query, own, grounding->limits.snippets, grounding->limits.words, out, places, err);
}

/* A row is never shown what it knows itself. */
static pfm_status append_retrieved(const json_t *record, const pfm_medexpqa_grounding *grounding, const char *query,
                                   const pfm_row_place *place, pfm_buffer *out, json_t *places, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *id = NULL;
    pfm_own_texts own = {0};
    PFM_TRY(pfm_row_copy_scalar(record, "id", place, &id, err));
    PFM_TRY(pfm_row_get_text(record, full_column, place, &own.texts[0], err));
    PFM_TRY(pfm_row_get_text(record, plain_column, place, &own.texts[1], err));
    own.record = id;
    PFM_TRY(pfm_medexpqa_retrieve(grounding, query, &own, out, places, err));
done:
    free(id);
    return status;
}

pfm_status pfm_medexpqa_ground(const json_t *record, const pfm_medexpqa_grounding *grounding, int correct, const char *query,
                               const pfm_row_place *place, pfm_buffer *out, json_t *places, pfm_error *err)
{
    const char *name = grounding == NULL || grounding->name == NULL ? "none" : grounding->name, *text = NULL;
    if (strcmp(name, "retrieved") == 0)
        return append_retrieved(record, grounding, query, place, out, places, err);
    if (strcmp(name, "wrong") == 0)
        return append_wrong(record, correct, place, out, err);
    if (strcmp(name, "hidden") == 0)
        return append_hidden(record, place, out, err);
    if (strcmp(name, "full") != 0)
        return PFM_OK;
    pfm_status status = get_full(record, place, &text, err);
    return status == PFM_OK ? pfm_buffer_append_string(out, text, err) : status;
}

static bool is_known(const char *name)
{
    static const char *const names[] = {"none", "full", "wrong", "hidden", "retrieved"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

pfm_status pfm_medexpqa_open_grounding(const pfm_dataset_options *options, pfm_medexpqa_grounding *out, pfm_error *err)
{
    const pfm_retrieval *limits = &options->retrieval;
    *out = (pfm_medexpqa_grounding){.name = options->grounding, .limits = *limits};
    if (out->name != NULL && !is_known(out->name))
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "there is no grounding '%.60s'; there are none, full, wrong, hidden, retrieved", out->name);
    if (out->name == NULL || strcmp(out->name, "retrieved") != 0)
        return PFM_OK;
    if (limits->index == NULL)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "data.grounding: retrieved needs an index of documents: make one with pefomed index, and name it "
                             "with data.index");
    if (limits->snippets < 1 || limits->snippets > PFM_MOST_SNIPPETS || limits->words < 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "of an index 1 to %d snippets are shown, not %d, and not %d words",
                             PFM_MOST_SNIPPETS, limits->snippets, limits->words);
    return pfm_index_open(limits->index, limits->sha256, &out->index, err);
}

void pfm_medexpqa_close_grounding(pfm_medexpqa_grounding *grounding)
{
    pfm_index_close(grounding->index);
    *grounding = (pfm_medexpqa_grounding){0};
}
