/* R2Gen's cleaning of reports (modules/tokenizers.py, clean_report_iu_xray and clean_report_mimic_cxr). */
#include "eval/prepare.h"

#include "base/try.h"
#include "eval/lower.h"
#include "eval/text_edit.h"

#include <string.h>

typedef struct replacement {
    const char *what, *with;
    int times;
} replacement;

/* Line ends, doubled blanks and stops, then the numbers of a list. (What it does to doubled underscores changes nothing: all of
 * them are removed.) */
static const replacement mimic_beginning[] = {{"\n", " ", 1}, {"  ", " ", 6}, {"..", ".", 8}};
static const replacement iu_beginning[] = {{"..", ".", 3}};
static const replacement numbers[] = {{"1. ", "", 1},     {". 2. ", ". ", 1}, {". 3. ", ". ", 1},
                                      {". 4. ", ". ", 1}, {". 5. ", ". ", 1}, {" 2. ", ". ", 1},
                                      {" 3. ", ". ", 1},  {" 4. ", ". ", 1},  {" 5. ", ". ", 1}};

static pfm_status replace_all(pfm_buffer *text, pfm_buffer *scratch, const replacement *list, size_t count, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < count; i++) {
        for (int t = 0; t < list[i].times; t++)
            PFM_TRY(pfm_text_replace(text, scratch, list[i].what, list[i].with, err));
    }
done:
    return status;
}

/* What its regular expression removes: between ':' and '[' it names a range, with capitals in it, and no hyphen. */
static bool is_removed(char c) { return c != '\0' && ((c >= ':' && c <= '[') || strchr(".,?;*!%^&_+()]{}\"/\\'", c) != NULL); }

/* Appends a sentence without the white space around it, and without what is removed; quotes and slashes go first. */
static pfm_status append_sentence(const char *text, size_t length, pfm_buffer *sentence, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t begin = 0;
    pfm_buffer_clear(sentence);
    for (size_t i = 0; i < length; i++) {
        if (strchr("\"/\\'", text[i]) == NULL)
            PFM_TRY(pfm_buffer_append(sentence, text + i, 1, err));
    }
    const char *kept = sentence->data == NULL ? "" : sentence->data;
    size_t end = pfm_text_trimmed(kept, sentence->size);
    for (size_t space = 0; begin < end && (space = pfm_space_length(kept + begin)) > 0;)
        begin += space;
    for (size_t i = begin; i < end; i++) {
        if (!is_removed(kept[i]))
            PFM_TRY(pfm_buffer_append(out, kept + i, 1, err));
    }
done:
    return status;
}

static pfm_status clean(const char *text, const replacement *beginning, size_t count, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer report = {0}, scratch = {0}, lowered = {0};
    PFM_TRY(pfm_buffer_append_string(&report, text, err));
    PFM_TRY(replace_all(&report, &scratch, beginning, count, err));
    PFM_TRY(replace_all(&report, &scratch, numbers, sizeof numbers / sizeof numbers[0], err));
    if (report.size > 0) {
        size_t end = pfm_text_trimmed(report.data, report.size), begin = 0;
        report.data[end] = '\0';
        for (size_t space = 0; (space = pfm_space_length(report.data + begin)) > 0;)
            begin += space;
        PFM_TRY(pfm_text_lower(report.data + begin, &lowered, err));
    }
    pfm_buffer_clear(out);
    const char *rest = lowered.size == 0 ? "" : lowered.data;
    for (const char *stop = NULL; (stop = strstr(rest, ". ")) != NULL; rest = stop + 2) {
        PFM_TRY(append_sentence(rest, (size_t)(stop - rest), &scratch, out, err));
        PFM_TRY(pfm_buffer_append_string(out, " . ", err));
    }
    PFM_TRY(append_sentence(rest, strlen(rest), &scratch, out, err));
    PFM_TRY(pfm_buffer_append_string(out, " .", err));
done:
    pfm_buffer_free(&report);
    pfm_buffer_free(&scratch);
    pfm_buffer_free(&lowered);
    return status;
}

static pfm_status apply_iu(const pfm_prepare_step *step, const char *text, pfm_buffer *out, pfm_error *err)
{
    (void)step;
    return clean(text, iu_beginning, sizeof iu_beginning / sizeof iu_beginning[0], out, err);
}
const pfm_prepare_kind pfm_prepare_r2gen_iu_xray = {.name = "r2gen_iu_xray", .apply = apply_iu};

static pfm_status apply_mimic(const pfm_prepare_step *step, const char *text, pfm_buffer *out, pfm_error *err)
{
    (void)step;
    return clean(text, mimic_beginning, sizeof mimic_beginning / sizeof mimic_beginning[0], out, err);
}
const pfm_prepare_kind pfm_prepare_r2gen_mimic_cxr = {.name = "r2gen_mimic_cxr", .apply = apply_mimic};
