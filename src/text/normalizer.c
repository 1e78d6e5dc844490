/* The normalisers of tokenizer.json that this program knows: Unicode's four forms, Prepend, Replace of a string or a pattern,
 * BertNormalizer.
 */
#include "text/tokenizer_internal.h"

#include "base/try.h"
#include "text/bert_text.h"
#include "text/pattern.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

typedef enum step_kind { STEP_UNICODE, STEP_PREPEND, STEP_REPLACE, STEP_BERT } step_kind;

typedef struct normal_step {
    step_kind kind;
    int options;     /* STEP_UNICODE: utf8proc's */
    char *from, *to; /* STEP_PREPEND uses `to` */
    size_t from_size, to_size;
    pfm_pattern *pattern; /* in place of `from`, or NULL */
    pfm_bert_normal bert; /* STEP_BERT */
} normal_step;

struct pfm_normalizer {
    normal_step *steps;
    size_t count, capacity;
};

static pfm_status copy_text(const json_t *value, char **out, size_t *size, pfm_error *err)
{
    *size = json_string_length(value);
    return pfm_string_copy_n(json_string_value(value), *size, out, err);
}

/* Prepend {"prepend"}, Replace {"pattern": {"String"} or {"Regex"}, "content"}. */
static pfm_status read_texts(const json_t *definition, normal_step *step, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const json_t *to = json_object_get(definition, step->kind == STEP_PREPEND ? "prepend" : "content");
    if (!json_is_string(to))
        PFM_FAIL(PFM_ERROR_FORMAT, "a normalizer of type %s has no text to put in", pfm_member_text(definition, "type"));
    PFM_TRY(copy_text(to, &step->to, &step->to_size, err));
    if (step->kind == STEP_PREPEND)
        goto done;
    const json_t *pattern = json_object_get(definition, "pattern"), *from = json_object_get(pattern, "String"),
                 *regex = json_object_get(pattern, "Regex");
    if (json_is_string(regex)) {
        PFM_TRY(pfm_pattern_create(json_string_value(regex), json_string_length(regex), false, &step->pattern, err));
        goto done;
    }
    if (!json_is_string(from) || json_string_length(from) == 0)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "a normalizer of type Replace has neither a string nor a pattern to look for");
    PFM_TRY(copy_text(from, &step->from, &step->from_size, err));
done:
    return status;
}

/* Accents go where that is said, and where nothing is said with the capital letters. */
static void read_bert(const json_t *definition, pfm_bert_normal *out)
{
    out->clean = pfm_member_flag(definition, "clean_text", true);
    out->chinese = pfm_member_flag(definition, "handle_chinese_chars", true);
    out->lower = pfm_member_flag(definition, "lowercase", true);
    out->strip = pfm_member_flag(definition, "strip_accents", out->lower);
}

static pfm_status read_step(const json_t *definition, normal_step *step, pfm_error *err)
{
    if (step->kind == STEP_BERT)
        read_bert(definition, &step->bert);
    return step->kind == STEP_PREPEND || step->kind == STEP_REPLACE ? read_texts(definition, step, err) : PFM_OK;
}

static pfm_status add_step(pfm_normalizer *normalizer, const json_t *definition, int depth, pfm_error *err)
{
    static const struct {
        const char *name;
        step_kind kind;
        int options;
    } known[] = {
        {"NFC", STEP_UNICODE, UTF8PROC_STABLE | UTF8PROC_COMPOSE},
        {"NFD", STEP_UNICODE, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE},
        {"NFKC", STEP_UNICODE, UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT},
        {"NFKD", STEP_UNICODE, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT},
        {"Prepend", STEP_PREPEND, 0},
        {"Replace", STEP_REPLACE, 0},
        {"BertNormalizer", STEP_BERT, 0},
    };
    pfm_status status = PFM_OK;
    const char *type = pfm_member_text(definition, "type");
    if (type == NULL || depth > 8)
        PFM_FAIL(PFM_ERROR_FORMAT, "a normalizer has no type, or stands more than 8 sequences deep");
    if (strcmp(type, "Sequence") == 0) {
        size_t index;
        json_t *part;
        json_array_foreach(json_object_get(definition, "normalizers"), index, part)
            PFM_TRY(add_step(normalizer, part, depth + 1, err));
        goto done;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(type, known[i].name) != 0)
            continue;
        PFM_TRY(pfm_array_reserve(&normalizer->steps, &normalizer->capacity, normalizer->count + 1, sizeof *normalizer->steps,
                                  err));
        normal_step *step = &normalizer->steps[normalizer->count++];
        *step = (normal_step){.kind = known[i].kind, .options = known[i].options};
        status = read_step(definition, step, err);
        goto done;
    }
    PFM_FAIL(PFM_ERROR_UNSUPPORTED, "this program does not know normalizers of type %s", type);
done:
    return status;
}

pfm_status pfm_normalizer_create(const json_t *definition, pfm_normalizer **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_normalizer *normalizer = NULL;
    if (definition != NULL && !json_is_null(definition)) {
        PFM_TRY(pfm_allocate(1, sizeof *normalizer, &normalizer, err));
        PFM_TRY(add_step(normalizer, definition, 0, err));
    }
    *out = normalizer;
    normalizer = NULL;
done:
    pfm_normalizer_free(normalizer);
    return status;
}

void pfm_normalizer_free(pfm_normalizer *normalizer)
{
    if (normalizer == NULL)
        return;
    for (size_t i = 0; i < normalizer->count; i++) {
        free(normalizer->steps[i].from);
        free(normalizer->steps[i].to);
        pfm_pattern_free(normalizer->steps[i].pattern);
    }
    free(normalizer->steps);
    free(normalizer);
}

static bool is_ascii(const char *text, size_t size)
{
    unsigned char all = 0;
    for (size_t i = 0; i < size; i++)
        all |= (unsigned char)text[i];
    return all < 0x80;
}

pfm_status pfm_unicode_form(const char *text, size_t size, int options, pfm_buffer *out, pfm_error *err)
{
    if (is_ascii(text, size)) /* is in every form */
        return pfm_buffer_append(out, text, size, err);
    utf8proc_uint8_t *result = NULL;
    utf8proc_ssize_t length =
        utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)size, &result, (utf8proc_option_t)options);
    if (length < 0)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "cannot normalise a text of %zu bytes: %s", size,
                             utf8proc_errmsg(length));
    pfm_status status = pfm_buffer_append(out, result, (size_t)length, err);
    free(result);
    return status;
}

static pfm_status replace(const char *text, size_t size, const normal_step *step, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *at = text, *end = text + size;
    while (at < end) {
        const char *hit = memmem(at, (size_t)(end - at), step->from, step->from_size);
        const char *stop = hit == NULL ? end : hit;
        PFM_TRY(pfm_buffer_append(out, at, (size_t)(stop - at), err));
        if (hit == NULL)
            break;
        PFM_TRY(pfm_buffer_append(out, step->to, step->to_size, err));
        at = hit + step->from_size;
    }
done:
    return status;
}

/* The same for a pattern. An empty match puts the text in without taking anything out. */
static pfm_status replace_pattern(const char *text, size_t size, const normal_step *step, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_pattern_scratch *scratch = NULL;
    PFM_TRY(pfm_pattern_scratch_create(&scratch, err));
    size_t done_to = 0;
    for (size_t from = 0, begin, end; from <= size;) {
        PFM_TRY(pfm_pattern_find(step->pattern, scratch, text, size, from, &begin, &end, err));
        if (begin == SIZE_MAX)
            break;
        PFM_TRY(pfm_buffer_append(out, text + done_to, begin - done_to, err));
        PFM_TRY(pfm_buffer_append(out, step->to, step->to_size, err));
        done_to = from = end;
        if (end == begin) { /* go on behind the next character */
            size_t length = 1;
            if (end < size)
                (void)pfm_utf8_decode(text + end, size - end, &length);
            from += length;
        }
    }
    PFM_TRY(pfm_buffer_append(out, text + done_to, size - done_to, err));
done:
    pfm_pattern_scratch_free(scratch);
    return status;
}

static pfm_status run_step(const normal_step *step, const char *text, size_t size, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    switch (step->kind) {
    case STEP_UNICODE: return pfm_unicode_form(text, size, step->options, out, err);
    case STEP_BERT: return pfm_bert_normalise(&step->bert, text, size, out, err);
    case STEP_REPLACE:
        return step->pattern != NULL ? replace_pattern(text, size, step, out, err) : replace(text, size, step, out, err);
    case STEP_PREPEND:
        if (size > 0) /* nothing stays nothing */
            PFM_TRY(pfm_buffer_append(out, step->to, step->to_size, err));
        PFM_TRY(pfm_buffer_append(out, text, size, err));
    }
done:
    return status;
}

pfm_status pfm_normalizer_run(const pfm_normalizer *normalizer, const char *text, size_t size, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer from = {0};
    pfm_buffer_clear(out);
    PFM_TRY(pfm_buffer_append(out, text, size, err));
    for (size_t i = 0; i < normalizer->count; i++) {
        pfm_buffer swap = from;
        from = *out;
        *out = swap;
        pfm_buffer_clear(out);
        PFM_TRY(run_step(&normalizer->steps[i], from.data, from.size, out, err));
    }
done:
    pfm_buffer_free(&from);
    return status;
}
