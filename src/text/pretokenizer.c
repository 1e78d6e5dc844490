/* The pre-tokenisers of tokenizer.json that this program knows: Sequence, Split, Digits, ByteLevel, Metaspace,
 * BertPreTokenizer. Each step cuts the pieces of the step before it. */
#include "text/tokenizer_internal.h"

#include "base/try.h"
#include "text/bert_text.h"
#include "text/pattern.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>

static const char gpt2_pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

typedef enum behavior { ISOLATED, REMOVED, CONTIGUOUS, MERGED_WITH_PREVIOUS, MERGED_WITH_NEXT } behavior;

typedef enum split_kind { SPLIT_PATTERN, SPLIT_CHARACTERS, SPLIT_PREFIX_SPACE, SPLIT_METASPACE } split_kind;

/* Which pieces Metaspace puts its mark before, where they do not begin with it: all, the one that begins the text, none. */
typedef enum prepend_scheme { PREPEND_ALWAYS, PREPEND_FIRST, PREPEND_NEVER } prepend_scheme;

typedef struct split_step {
    split_kind kind;
    pfm_pattern *pattern;
    bool (*matches)(uint32_t code); /* SPLIT_CHARACTERS */
    behavior behavior;
    bool invert;
    prepend_scheme prepend;
    char mark[8]; /* SPLIT_METASPACE: what stands for a space */
    size_t mark_size;
} split_step;

struct pfm_pretokenizer {
    split_step *steps;
    size_t count, capacity;
    bool bytes; /* the last step spells the pieces in the byte alphabet */
};

struct pfm_split_scratch {
    pfm_pattern_scratch *pattern;
    pfm_words from, to, parts;
    bool *matched; /* whether a part is a match */
    size_t matched_capacity;
    pfm_buffer text; /* where spaces were put in or marked */
};

static pfm_status new_step(pfm_pretokenizer *pretokenizer, split_kind kind, split_step **out, pfm_error *err)
{
    pfm_status status =
        pfm_array_reserve(&pretokenizer->steps, &pretokenizer->capacity, pretokenizer->count + 1, sizeof **out, err);
    if (status == PFM_OK) {
        *out = &pretokenizer->steps[pretokenizer->count++];
        **out = (split_step){.kind = kind, .behavior = ISOLATED};
    }
    return status;
}

static pfm_status add_split(pfm_pretokenizer *pretokenizer, const json_t *definition, pfm_error *err)
{
    static const char *const names[] = {[ISOLATED] = "Isolated",
                                        [REMOVED] = "Removed",
                                        [CONTIGUOUS] = "Contiguous",
                                        [MERGED_WITH_PREVIOUS] = "MergedWithPrevious",
                                        [MERGED_WITH_NEXT] = "MergedWithNext"};
    pfm_status status = PFM_OK;
    split_step *step = NULL;
    const json_t *pattern = json_object_get(definition, "pattern");
    const json_t *regex = json_object_get(pattern, "Regex"), *string = json_object_get(pattern, "String");
    const json_t *text = json_is_string(regex) ? regex : string;
    const char *name = pfm_member_text(definition, "behavior");
    size_t index = 0, count = sizeof names / sizeof names[0];
    while (name != NULL && index < count && strcmp(names[index], name) != 0)
        index++;
    if (!json_is_string(text) || name == NULL)
        PFM_FAIL(PFM_ERROR_FORMAT, "a pre-tokenizer of type Split has no pattern or no behavior");
    if (index == count)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "this program does not know the behavior %s of the pre-tokenizer Split", name);
    PFM_TRY(new_step(pretokenizer, SPLIT_PATTERN, &step, err));
    step->behavior = (behavior)index;
    step->invert = pfm_member_flag(definition, "invert", false);
    PFM_TRY(pfm_pattern_create(json_string_value(text), json_string_length(text), text == string, &step->pattern, err));
done:
    return status;
}

static pfm_status add_byte_level(pfm_pretokenizer *pretokenizer, const json_t *definition, pfm_error *err)
{
    pfm_status status = PFM_OK;
    split_step *step = NULL;
    pretokenizer->bytes = true;
    if (pfm_member_flag(definition, "add_prefix_space", true))
        PFM_TRY(new_step(pretokenizer, SPLIT_PREFIX_SPACE, &step, err));
    if (pfm_member_flag(definition, "use_regex", true)) {
        PFM_TRY(new_step(pretokenizer, SPLIT_PATTERN, &step, err));
        PFM_TRY(pfm_pattern_create(gpt2_pattern, strlen(gpt2_pattern), false, &step->pattern, err));
    }
done:
    return status;
}

/* Metaspace in its two forms: add_prefix_space (older) or prepend_scheme; it cuts before each mark unless "split" is false. */
static pfm_status add_metaspace(pfm_pretokenizer *pretokenizer, const json_t *definition, pfm_error *err)
{
    static const char *const schemes[] = {[PREPEND_ALWAYS] = "always", [PREPEND_FIRST] = "first", [PREPEND_NEVER] = "never"};
    pfm_status status = PFM_OK;
    split_step *step = NULL;
    const char *scheme = pfm_member_text(definition, "prepend_scheme"), *mark = pfm_member_text(definition, "replacement");
    size_t index = 0, count = sizeof schemes / sizeof schemes[0], length = 0;
    if (scheme == NULL)
        scheme = schemes[pfm_member_flag(definition, "add_prefix_space", true) ? PREPEND_ALWAYS : PREPEND_NEVER];
    while (index < count && strcmp(schemes[index], scheme) != 0)
        index++;
    if (index == count)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "this program does not know the prepend_scheme %s of the pre-tokenizer Metaspace",
                 scheme);
    if (index != PREPEND_NEVER && !pfm_member_flag(definition, "add_prefix_space", true))
        PFM_FAIL(PFM_ERROR_FORMAT, "the pre-tokenizer Metaspace has add_prefix_space false and prepend_scheme %s", scheme);
    if (mark != NULL && mark[0] != '\0')
        (void)pfm_utf8_decode(mark, strlen(mark), &length);
    if (length == 0 || mark[length] != '\0' || strcmp(mark, " ") == 0)
        PFM_FAIL(PFM_ERROR_FORMAT, "the replacement of the pre-tokenizer Metaspace is not one character other than a space");
    PFM_TRY(new_step(pretokenizer, SPLIT_METASPACE, &step, err));
    step->prepend = (prepend_scheme)index;
    step->mark_size = length;
    memcpy(step->mark, mark, length);
    if (!pfm_member_flag(definition, "split", true))
        goto done;
    PFM_TRY(new_step(pretokenizer, SPLIT_PATTERN, &step, err));
    step->behavior = MERGED_WITH_NEXT;
    PFM_TRY(pfm_pattern_create(mark, length, true, &step->pattern, err));
done:
    return status;
}

static pfm_status add_steps(pfm_pretokenizer *pretokenizer, const json_t *definition, int depth, pfm_error *err)
{
    pfm_status status = PFM_OK;
    split_step *step = NULL;
    const char *type = pfm_member_text(definition, "type");
    if (type == NULL || depth > 8)
        PFM_FAIL(PFM_ERROR_FORMAT, "a pre-tokenizer has no type, or stands more than 8 sequences deep");
    if (pretokenizer->bytes)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "this program does not know a pre-tokenizer (%s) behind ByteLevel", type);
    if (strcmp(type, "Sequence") == 0) {
        size_t index;
        json_t *part;
        json_array_foreach(json_object_get(definition, "pretokenizers"), index, part)
            PFM_TRY(add_steps(pretokenizer, part, depth + 1, err));
    } else if (strcmp(type, "Split") == 0) {
        status = add_split(pretokenizer, definition, err);
    } else if (strcmp(type, "Digits") == 0) {
        PFM_TRY(new_step(pretokenizer, SPLIT_CHARACTERS, &step, err));
        step->matches = pfm_utf8_is_numeric;
        step->behavior = pfm_member_flag(definition, "individual_digits", false) ? ISOLATED : CONTIGUOUS;
    } else if (strcmp(type, "ByteLevel") == 0) {
        status = add_byte_level(pretokenizer, definition, err);
    } else if (strcmp(type, "BertPreTokenizer") == 0) {
        PFM_TRY(new_step(pretokenizer, SPLIT_CHARACTERS, &step, err));
        step->matches = pfm_utf8_is_space;
        step->behavior = REMOVED;
        PFM_TRY(new_step(pretokenizer, SPLIT_CHARACTERS, &step, err));
        step->matches = pfm_bert_is_punctuation;
    } else if (strcmp(type, "Metaspace") == 0) {
        status = add_metaspace(pretokenizer, definition, err);
    } else {
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "this program does not know pre-tokenizers of type %s", type);
    }
done:
    return status;
}

pfm_status pfm_pretokenizer_create(const json_t *definition, pfm_pretokenizer **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_pretokenizer *pretokenizer = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *pretokenizer, &pretokenizer, err));
    if (definition != NULL && !json_is_null(definition))
        PFM_TRY(add_steps(pretokenizer, definition, 0, err));
    *out = pretokenizer;
    pretokenizer = NULL;
done:
    pfm_pretokenizer_free(pretokenizer);
    return status;
}

void pfm_pretokenizer_free(pfm_pretokenizer *pretokenizer)
{
    if (pretokenizer == NULL)
        return;
    for (size_t i = 0; i < pretokenizer->count; i++)
        pfm_pattern_free(pretokenizer->steps[i].pattern);
    free(pretokenizer->steps);
    free(pretokenizer);
}

bool pfm_pretokenizer_is_byte_level(const pfm_pretokenizer *pretokenizer) { return pretokenizer->bytes; }

pfm_status pfm_split_scratch_create(pfm_split_scratch **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_split_scratch *scratch = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *scratch, &scratch, err));
    PFM_TRY(pfm_pattern_scratch_create(&scratch->pattern, err));
    *out = scratch;
    scratch = NULL;
done:
    pfm_split_scratch_free(scratch);
    return status;
}

void pfm_split_scratch_free(pfm_split_scratch *scratch)
{
    if (scratch == NULL)
        return;
    pfm_pattern_scratch_free(scratch->pattern);
    free(scratch->from.items);
    free(scratch->to.items);
    free(scratch->parts.items);
    free(scratch->matched);
    pfm_buffer_free(&scratch->text);
    free(scratch);
}

static pfm_status add_word(pfm_words *words, const char *data, size_t length, pfm_error *err)
{
    if (length == 0)
        return PFM_OK;
    pfm_status status = pfm_array_reserve(&words->items, &words->capacity, words->count + 1, sizeof *words->items, err);
    if (status == PFM_OK)
        words->items[words->count++] = (pfm_text_view){data, length};
    return status;
}

/* A part of a piece, a match or what stands between matches; empty matches are kept, for they divide. */
static pfm_status add_part(pfm_split_scratch *scratch, const char *data, size_t length, bool matched, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_words *parts = &scratch->parts;
    PFM_TRY(pfm_array_reserve(&parts->items, &parts->capacity, parts->count + 1, sizeof *parts->items, err));
    PFM_TRY(pfm_array_reserve(&scratch->matched, &scratch->matched_capacity, parts->count + 1, sizeof *scratch->matched, err));
    scratch->matched[parts->count] = matched;
    parts->items[parts->count++] = (pfm_text_view){data, length};
done:
    return status;
}

static pfm_status find_matches(const split_step *step, pfm_split_scratch *scratch, pfm_text_view piece, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t done_to = 0, begin, end;
    for (size_t from = 0; from <= piece.length;) {
        PFM_TRY(pfm_pattern_find(step->pattern, scratch->pattern, piece.data, piece.length, from, &begin, &end, err));
        if (begin == SIZE_MAX)
            break;
        if (begin > done_to)
            PFM_TRY(add_part(scratch, piece.data + done_to, begin - done_to, step->invert, err));
        if (end > begin || begin > done_to || begin == 0)
            PFM_TRY(add_part(scratch, piece.data + begin, end - begin, !step->invert, err));
        done_to = end;
        from = end;
        if (end == begin && end < piece.length) { /* an empty match: go on behind the next character */
            size_t length;
            (void)pfm_utf8_decode(piece.data + end, piece.length - end, &length);
            from += length;
        } else if (end == begin) {
            break;
        }
    }
    if (done_to < piece.length)
        PFM_TRY(add_part(scratch, piece.data + done_to, piece.length - done_to, step->invert, err));
done:
    return status;
}

static pfm_status find_characters(const split_step *step, pfm_split_scratch *scratch, pfm_text_view piece, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t done_to = 0;
    for (size_t i = 0, length = 0; i < piece.length; i += length) {
        if (!step->matches(pfm_utf8_decode(piece.data + i, piece.length - i, &length)))
            continue;
        if (i > done_to)
            PFM_TRY(add_part(scratch, piece.data + done_to, i - done_to, false, err));
        PFM_TRY(add_part(scratch, piece.data + i, length, true, err));
        done_to = i + length;
    }
    if (done_to < piece.length)
        PFM_TRY(add_part(scratch, piece.data + done_to, piece.length - done_to, false, err));
done:
    return status;
}

/* Whether part i belongs to the word that part i - 1 is in. */
static bool joins_previous(const pfm_split_scratch *scratch, behavior rule, size_t i)
{
    if (i == 0)
        return false;
    bool before = scratch->matched[i - 1], here = scratch->matched[i];
    switch (rule) {
    case CONTIGUOUS: return before == here;
    case MERGED_WITH_PREVIOUS: return here && !before;
    case MERGED_WITH_NEXT: return before && !here;
    case ISOLATED:
    case REMOVED: break;
    }
    return false;
}

static pfm_status join_parts(pfm_split_scratch *scratch, behavior rule, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_words *parts = &scratch->parts;
    for (size_t i = 0, next; i < parts->count; i = next) {
        size_t length = parts->items[i].length;
        for (next = i + 1; next < parts->count && joins_previous(scratch, rule, next); next++)
            length += parts->items[next].length;
        if (rule != REMOVED || !scratch->matched[i])
            PFM_TRY(add_word(&scratch->to, parts->items[i].data, length, err));
    }
done:
    return status;
}

static pfm_status run_split(const split_step *step, pfm_split_scratch *scratch, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < scratch->from.count; i++) {
        scratch->parts.count = 0;
        if (step->kind == SPLIT_CHARACTERS)
            PFM_TRY(find_characters(step, scratch, scratch->from.items[i], err));
        else
            PFM_TRY(find_matches(step, scratch, scratch->from.items[i], err));
        PFM_TRY(join_parts(scratch, step->behavior, err));
    }
done:
    return status;
}

/* Appends a piece with a space before it where it has none. */
static pfm_status append_prefixed(pfm_text_view piece, pfm_buffer *text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (piece.data[0] != ' ')
        PFM_TRY(pfm_buffer_append(text, " ", 1, err));
    PFM_TRY(pfm_buffer_append(text, piece.data, piece.length, err));
done:
    return status;
}

/* Appends a piece with the mark in place of each space, and before it where it has none and the scheme wants one. */
static pfm_status append_marked(const split_step *step, pfm_text_view piece, bool begins_text, pfm_buffer *text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    bool has_one =
        piece.data[0] == ' ' || (piece.length >= step->mark_size && memcmp(piece.data, step->mark, step->mark_size) == 0);
    if (!has_one && (step->prepend == PREPEND_ALWAYS || (step->prepend == PREPEND_FIRST && begins_text)))
        PFM_TRY(pfm_buffer_append(text, step->mark, step->mark_size, err));
    for (size_t i = 0, next; i < piece.length; i = next + 1) {
        const char *space = memchr(piece.data + i, ' ', piece.length - i);
        next = space == NULL ? piece.length : (size_t)(space - piece.data);
        PFM_TRY(pfm_buffer_append(text, piece.data + i, next - i, err));
        if (space != NULL)
            PFM_TRY(pfm_buffer_append(text, step->mark, step->mark_size, err));
    }
done:
    return status;
}

/* Writes the pieces anew. The old text may be scratch->text itself. */
static pfm_status rewrite(const split_step *step, pfm_split_scratch *scratch, bool begins_text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    for (size_t i = 0; i < scratch->from.count; i++) { /* the text moves while it grows, so lengths come first */
        size_t before = text.size;
        pfm_text_view piece = scratch->from.items[i];
        if (step->kind == SPLIT_METASPACE)
            PFM_TRY(append_marked(step, piece, begins_text && i == 0, &text, err));
        else
            PFM_TRY(append_prefixed(piece, &text, err));
        scratch->from.items[i].length = text.size - before;
    }
    for (size_t i = 0, at = 0; i < scratch->from.count; i++) {
        PFM_TRY(add_word(&scratch->to, text.data + at, scratch->from.items[i].length, err));
        at += scratch->from.items[i].length;
    }
    pfm_buffer swap = scratch->text;
    scratch->text = text;
    text = swap;
done:
    pfm_buffer_free(&text);
    return status;
}

pfm_status pfm_pretokenizer_run(const pfm_pretokenizer *pretokenizer, pfm_split_scratch *scratch, const char *text, size_t size,
                                bool begins_text, const pfm_words **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    scratch->to.count = 0;
    PFM_TRY(add_word(&scratch->to, text, size, err));
    for (size_t i = 0; i < pretokenizer->count; i++) {
        pfm_words swap = scratch->from;
        scratch->from = scratch->to;
        scratch->to = swap;
        scratch->to.count = 0;
        const split_step *step = &pretokenizer->steps[i];
        if (step->kind == SPLIT_PREFIX_SPACE || step->kind == SPLIT_METASPACE)
            PFM_TRY(rewrite(step, scratch, begins_text, err));
        else
            PFM_TRY(run_split(step, scratch, err));
    }
    *out = &scratch->to;
done:
    return status;
}
