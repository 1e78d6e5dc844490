#include "eval/card.h"

#include "base/file.h"
#include "base/try.h"
#include "eval/card_text.h"
#include "eval/probe.h"
#include "pefomed/context.h"

#include <string.h>

typedef struct field {
    const char *key, *label;
    pfm_card_unit unit;
} field;

static const field part_fields[] = {{"part", "Part", PFM_CARD_TEXT},      {"model", "Model", PFM_CARD_TEXT},
                                    {"source", "Source", PFM_CARD_TEXT},  {"license", "Licence", PFM_CARD_TEXT},
                                    {"sha256", "SHA-256", PFM_CARD_TEXT}, {0}};
static const field data_fields[] = {{"split", "Split", PFM_CARD_TEXT},    {"rows", "Rows", PFM_CARD_COUNT},
                                    {"images", "Images", PFM_CARD_COUNT}, {"language", "Language", PFM_CARD_TEXT},
                                    {"sha256", "SHA-256", PFM_CARD_TEXT}, {0}};
static const field stage_fields[] = {{"name", "Stage", PFM_CARD_TEXT},
                                     {"dataset", "Data", PFM_CARD_TEXT},
                                     {"first_step", "First step", PFM_CARD_COUNT},
                                     {"steps", "Steps", PFM_CARD_COUNT},
                                     {"trainable_parameters", "Trainable parameters", PFM_CARD_COUNT},
                                     {"logits_change", "Change of the logits, of their norm", PFM_CARD_NUMBER},
                                     {0}};
static const field training_fields[] = {{"trainable_parameters", "Trainable parameters", PFM_CARD_COUNT},
                                        {"total_parameters", "All parameters", PFM_CARD_COUNT},
                                        {"steps", "Steps", PFM_CARD_COUNT},
                                        {"epochs", "Epochs", PFM_CARD_NUMBER},
                                        {"samples", "Samples", PFM_CARD_COUNT},
                                        {"tokens", "Tokens", PFM_CARD_COUNT},
                                        {"final_loss", "Loss at the end", PFM_CARD_NUMBER},
                                        {"best_loss", "Lowest validation loss", PFM_CARD_NUMBER},
                                        {"best_step", "Step of the lowest validation loss", PFM_CARD_COUNT},
                                        {"seconds", "Time", PFM_CARD_SECONDS},
                                        {"peak_bytes", "Peak memory", PFM_CARD_BYTES},
                                        {"threads", "Threads", PFM_CARD_COUNT},
                                        {"precision", "Precision", PFM_CARD_TEXT},
                                        {"cpu_level", "Instruction set", PFM_CARD_TEXT},
                                        {"machine", "Machine", PFM_CARD_TEXT},
                                        {"seed", "Seed", PFM_CARD_COUNT},
                                        {"started", "Started", PFM_CARD_TEXT},
                                        {"finished", "Finished", PFM_CARD_TEXT},
                                        {0}};

static const struct {
    const char *key;
    json_type type;
    const field *fields; /* of the object, or of each object of the array; NULL: strings, or checked elsewhere */
} members[] = {
    {"name", JSON_STRING, NULL},          {"summary", JSON_STRING, NULL},     {"license", JSON_STRING, NULL},
    {"base_models", JSON_ARRAY, NULL},    {"datasets", JSON_ARRAY, NULL},     {"languages", JSON_ARRAY, NULL},
    {"tags", JSON_ARRAY, NULL},           {"parts", JSON_ARRAY, part_fields}, {"data", JSON_ARRAY, data_fields},
    {"recipe", JSON_STRING, NULL},        {"prompt", JSON_STRING, NULL},      {"training", JSON_OBJECT, training_fields},
    {"scores", JSON_ARRAY, NULL},         {"limits", JSON_ARRAY, NULL},       {"run", JSON_STRING, NULL},
    {"stages", JSON_ARRAY, stage_fields}, {"text_only", JSON_TRUE, NULL}};
enum { MEMBER_COUNT = sizeof members / sizeof members[0] };

static pfm_status check_fields(const json_t *object, const field *fields, const char *name, pfm_error *err)
{
    const char *key = NULL;
    json_t *value = NULL;
    if (!json_is_object(object))
        return pfm_error_set(err, PFM_ERROR_USAGE, "a model card's \"%s\" holds objects", name);
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        const field *f = fields;
        while (f->key != NULL && strcmp(f->key, key) != 0)
            f++;
        if (f->key == NULL || !pfm_card_fits(value, f->unit))
            return pfm_error_set(err, PFM_ERROR_USAGE, "a model card's \"%s\" %s \"%s\"", name,
                                 f->key == NULL ? "has no member" : "has another type for", key);
    }
    return PFM_OK;
}

static pfm_status check_member(const char *key, const json_t *value, pfm_error *err)
{
    size_t m = 0, i = 0;
    json_t *item = NULL;
    while (m < MEMBER_COUNT && strcmp(members[m].key, key) != 0)
        m++;
    if (m == MEMBER_COUNT || json_typeof(value) != members[m].type)
        return pfm_error_set(err, PFM_ERROR_USAGE, "a model card's facts %s \"%s\"",
                             m == MEMBER_COUNT ? "have no member" : "have another type for", key);
    if (members[m].type == JSON_OBJECT)
        return check_fields(value, members[m].fields, key, err);
    if (members[m].type != JSON_ARRAY)
        return PFM_OK;
    bool objects = strcmp(key, "scores") == 0;
    json_array_foreach(value, i, item)
    {
        if (members[m].fields != NULL) {
            pfm_status status = check_fields(item, members[m].fields, key, err);
            if (status != PFM_OK)
                return status;
        } else if (objects ? !json_is_object(item) : !json_is_string(item)) {
            return pfm_error_set(err, PFM_ERROR_USAGE, "a model card's \"%s\" holds %s", key, objects ? "scores" : "strings");
        }
    }
    return PFM_OK;
}

static pfm_status check_facts(const json_t *facts, pfm_error *err)
{
    const char *key = NULL;
    json_t *value = NULL;
    if (!json_is_object(facts))
        return pfm_error_set(err, PFM_ERROR_USAGE, "a model card needs an object of facts");
    json_object_foreach((json_t *)(uintptr_t)facts, key, value)
    {
        pfm_status status = check_member(key, value, err);
        if (status != PFM_OK)
            return status;
    }
    return PFM_OK;
}

static const char *text_of(const json_t *facts, const char *key) { return json_string_value(json_object_get(facts, key)); }

static bool is_text_only(const json_t *facts) { return json_is_true(json_object_get(facts, "text_only")); }

/* What the hub calls such a model's task. */
static const char *task_of(const json_t *facts)
{
    return is_text_only(facts) ? "question-answering" : "visual-question-answering";
}

static pfm_status append_yaml_list(pfm_buffer *out, const char *key, const json_t *list, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t i = 0;
    json_t *item = NULL;
    if (json_array_size(list) == 0)
        return PFM_OK;
    PFM_TRY(pfm_buffer_append_format(out, err, "%s:\n", key));
    json_array_foreach(list, i, item)
    {
        PFM_TRY(pfm_buffer_append_string(out, "- ", err));
        PFM_TRY(pfm_card_yaml(out, json_string_value(item), err));
        PFM_TRY(pfm_buffer_append_string(out, "\n", err));
    }
done:
    return status;
}

static bool is_probed(const json_t *score)
{
    const char *probe = text_of(score, "probe");
    return probe != NULL && strcmp(probe, "none") != 0;
}

/* The hub shows these beside the model; it wants the data set's name and a type for each figure. */
static pfm_status append_index_entry(pfm_buffer *out, const json_t *score, const char *task, pfm_error *err)
{
    static const struct {
        const char *key, *type, *name;
    } figures[] = {{"overall", "exact_match", "exact match"},
                   {"closed", "exact_match", "exact match, closed questions"},
                   {"open", "exact_match", "exact match, open questions"},
                   {"recall_open", "recall", "recall of words, open questions"}};
    pfm_status status = PFM_OK;
    const char *dataset = text_of(score, "dataset"), *split = text_of(score, "split");
    PFM_TRY(pfm_buffer_append_format(out, err, "  - task:\n      type: %s\n    dataset:\n      name: ", task));
    PFM_TRY(pfm_card_yaml(out, dataset, err));
    PFM_TRY(pfm_buffer_append_string(out, "\n      type: ", err));
    PFM_TRY(pfm_card_yaml(out, dataset, err));
    if (split != NULL) {
        PFM_TRY(pfm_buffer_append_string(out, "\n      split: ", err));
        PFM_TRY(pfm_card_yaml(out, split, err));
    }
    PFM_TRY(pfm_buffer_append_string(out, "\n    metrics:\n", err));
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        const json_t *value = json_object_get(score, figures[i].key);
        if (json_is_number(value))
            PFM_TRY(pfm_buffer_append_format(out, err, "    - type: %s\n      name: %s\n      value: %.2f\n", figures[i].type,
                                             figures[i].name, json_number_value(value)));
    }
done:
    return status;
}

static pfm_status append_index(pfm_buffer *out, const json_t *facts, const char *title, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t i = 0;
    json_t *score = NULL;
    bool begun = false;
    json_array_foreach(json_object_get(facts, "scores"), i, score)
    {
        if (is_probed(score) || text_of(score, "dataset") == NULL || !json_is_number(json_object_get(score, "overall")))
            continue;
        if (!begun) {
            PFM_TRY(pfm_buffer_append_string(out, "model-index:\n- name: ", err));
            PFM_TRY(pfm_card_yaml(out, title, err));
            PFM_TRY(pfm_buffer_append_string(out, "\n  results:\n", err));
            begun = true;
        }
        PFM_TRY(append_index_entry(out, score, task_of(facts), err));
    }
done:
    return status;
}

static pfm_status append_front_matter(pfm_buffer *out, const json_t *facts, const char *title, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *tags = json_pack("[s,s]", "medical", "pefomed");
    if (tags == NULL ||
        (json_object_get(facts, "tags") != NULL && json_array_extend(tags, json_object_get(facts, "tags")) != 0))
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write a model card");
    PFM_TRY(pfm_buffer_append_string(out, "---\n", err));
    if (text_of(facts, "license") != NULL) {
        PFM_TRY(pfm_buffer_append_string(out, "license: ", err));
        PFM_TRY(pfm_card_yaml(out, text_of(facts, "license"), err));
        PFM_TRY(pfm_buffer_append_string(out, "\n", err));
    }
    PFM_TRY(append_yaml_list(out, "base_model", json_object_get(facts, "base_models"), err));
    PFM_TRY(append_yaml_list(out, "datasets", json_object_get(facts, "datasets"), err));
    PFM_TRY(append_yaml_list(out, "language", json_object_get(facts, "languages"), err));
    PFM_TRY(append_yaml_list(out, "tags", tags, err));
    PFM_TRY(pfm_buffer_append_format(out, err, "pipeline_tag: %s\nlibrary_name: pefomed\n", task_of(facts)));
    PFM_TRY(append_index(out, facts, title, err));
    PFM_TRY(pfm_buffer_append_string(out, "---\n", err));
done:
    json_decref(tags);
    return status;
}

static bool any_has(const json_t *rows, const char *key)
{
    size_t i = 0;
    json_t *row = NULL;
    json_array_foreach(rows, i, row)
    {
        if (json_object_get(row, key) != NULL)
            return true;
    }
    return false;
}

/* A table with a line a row, of those columns that some row has. */
static pfm_status append_rows(pfm_buffer *out, const char *heading, const json_t *rows, const field *fields, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t i = 0;
    json_t *row = NULL;
    if (json_array_size(rows) == 0)
        return PFM_OK;
    PFM_TRY(pfm_buffer_append_format(out, err, "\n## %s\n\n|", heading));
    for (const field *f = fields; f->key != NULL; f++) {
        if (any_has(rows, f->key))
            PFM_TRY(pfm_buffer_append_format(out, err, " %s |", f->label));
    }
    PFM_TRY(pfm_buffer_append_string(out, "\n|", err));
    for (const field *f = fields; f->key != NULL; f++) {
        if (any_has(rows, f->key))
            PFM_TRY(pfm_buffer_append_string(out, f->unit == PFM_CARD_TEXT ? "---|" : "---:|", err));
    }
    json_array_foreach(rows, i, row)
    {
        PFM_TRY(pfm_buffer_append_string(out, "\n|", err));
        for (const field *f = fields; f->key != NULL; f++) {
            if (!any_has(rows, f->key))
                continue;
            PFM_TRY(pfm_buffer_append_string(out, " ", err));
            if (json_object_get(row, f->key) != NULL)
                PFM_TRY(pfm_card_value(out, json_object_get(row, f->key), f->unit, err));
            PFM_TRY(pfm_buffer_append_string(out, " |", err));
        }
    }
    PFM_TRY(pfm_buffer_append_string(out, "\n", err));
done:
    return status;
}

static pfm_status append_training(pfm_buffer *out, const json_t *training, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (json_object_size(training) == 0)
        return PFM_OK;
    PFM_TRY(pfm_buffer_append_string(out, "\n## Training\n\n| | |\n|---|---|\n", err));
    for (const field *f = training_fields; f->key != NULL; f++) {
        const json_t *value = json_object_get(training, f->key);
        if (value == NULL)
            continue;
        PFM_TRY(pfm_buffer_append_format(out, err, "| %s | ", f->label));
        PFM_TRY(pfm_card_value(out, value, f->unit, err));
        PFM_TRY(pfm_buffer_append_string(out, " |\n", err));
    }
done:
    return status;
}

static pfm_status append_figure(pfm_buffer *out, const json_t *score, const char *key, pfm_error *err)
{
    const json_t *value = json_object_get(score, key), *interval = json_object_get(json_object_get(score, "ci95"), key);
    if (!json_is_number(value))
        return pfm_buffer_append_string(out, " |", err);
    pfm_status status = pfm_buffer_append_format(out, err, " %.1f", json_number_value(value));
    if (status == PFM_OK && json_array_size(interval) == 2)
        status = pfm_buffer_append_format(out, err, " (%.1f to %.1f)", json_number_value(json_array_get(interval, 0)),
                                          json_number_value(json_array_get(interval, 1)));
    return status == PFM_OK ? pfm_buffer_append_string(out, " |", err) : status;
}

static const char *describe_images(const json_t *score)
{
    static const char *const texts[] = {[PFM_PROBE_NONE] = "as they are",
                                        [PFM_PROBE_BLANK] = "one even grey",
                                        [PFM_PROBE_NOISE] = "noise",
                                        [PFM_PROBE_SWAP] = "another of the same modality and body part",
                                        [PFM_PROBE_SWAP_ANY] = "any other"};
    pfm_probe probe = PFM_PROBE_NONE;
    const char *name = text_of(score, "probe");
    const json_t *images = json_object_get(score, "n_images");
    if (json_is_integer(images) && json_integer_value(images) == 0)
        return "none";
    return pfm_probe_parse(name, &probe, NULL) == PFM_OK ? texts[probe] : name;
}

/* What was scored: data, images, rows. */
static pfm_status append_subject(pfm_buffer *out, const json_t *score, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *dataset = text_of(score, "dataset"), *split = text_of(score, "split");
    PFM_TRY(pfm_buffer_append_string(out, "| ", err));
    PFM_TRY(pfm_card_cell(out, dataset == NULL ? "" : dataset, err));
    PFM_TRY(pfm_buffer_append_string(out, dataset != NULL && split != NULL ? ", " : "", err));
    PFM_TRY(pfm_card_cell(out, split == NULL ? "" : split, err));
    PFM_TRY(pfm_buffer_append_string(out, " | ", err));
    PFM_TRY(pfm_card_cell(out, describe_images(score), err));
    PFM_TRY(pfm_buffer_append_string(out, " | ", err));
    if (json_is_integer(json_object_get(score, "n")))
        PFM_TRY(pfm_card_value(out, json_object_get(score, "n"), PFM_CARD_COUNT, err));
    PFM_TRY(pfm_buffer_append_string(out, " |", err));
done:
    return status;
}

static pfm_status append_score_row(pfm_buffer *out, const json_t *score, pfm_error *err)
{
    static const char *const figures[] = {"overall", "closed", "open", "recall_open"};
    pfm_status status = append_subject(out, score, err);
    for (size_t i = 0; status == PFM_OK && i < 4; i++)
        status = append_figure(out, score, figures[i], err);
    return status == PFM_OK ? pfm_buffer_append_string(out, "\n", err) : status;
}

static pfm_status append_prior(pfm_buffer *out, const json_t *score, pfm_error *err)
{
    const json_t *prior = json_object_get(score, "prior");
    pfm_status status = PFM_OK;
    if (!json_is_object(prior))
        return PFM_OK;
    PFM_TRY(pfm_buffer_append_string(out, "| | never seen: the most common training answer | |", err));
    PFM_TRY(append_figure(out, prior, "overall", err));
    PFM_TRY(append_figure(out, prior, "closed", err));
    PFM_TRY(append_figure(out, prior, "open", err));
    PFM_TRY(pfm_buffer_append_string(out, " |\n", err));
done:
    return status;
}

/* What a guess among the options would score. */
static pfm_status append_chance(pfm_buffer *out, const json_t *score, pfm_error *err)
{
    const json_t *chance = json_object_get(score, "chance");
    if (!json_is_number(chance))
        return PFM_OK;
    return pfm_buffer_append_format(out, err, "| | chance: a guess among the options | | %.1f | | | |\n",
                                    json_number_value(chance));
}

/* Each signature once; unit: what the intervals are over, NULL where there are none. */
static pfm_status append_signatures(pfm_buffer *out, const json_t *scores, const char *unit, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *seen = json_object(), *score = NULL;
    size_t i = 0;
    PFM_TRY(pfm_buffer_append_string(out, "\n", err));
    if (unit != NULL)
        PFM_TRY(pfm_buffer_append_format(out, err, "Per cent, with intervals of 95 %% over %s. ", unit));
    PFM_TRY(pfm_buffer_append_string(out, "Equal signatures mean comparable figures.\n\n", err));
    json_array_foreach(scores, i, score)
    {
        const char *signature = text_of(score, "signature");
        if (signature == NULL || json_object_get(seen, signature) != NULL)
            continue;
        PFM_TRY(pfm_json_take(seen, signature, json_true(), err));
        PFM_TRY(pfm_buffer_append_format(out, err, "- `%s`\n", signature));
    }
done:
    json_decref(seen);
    return status;
}

static pfm_status append_groups(pfm_buffer *out, const json_t *score, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *column = NULL, *value = NULL;
    json_t *values = NULL, *figures = NULL;
    json_t *by = json_object_get(score, "by");
    if (json_object_size(by) == 0)
        return PFM_OK;
    PFM_TRY(
        pfm_buffer_append_string(out, "\n### By kind\n\n| Column | Value | Questions | Overall |\n|---|---|---:|---:|\n", err));
    json_object_foreach(by, column, values)
    {
        json_object_foreach(values, value, figures)
        {
            PFM_TRY(pfm_buffer_append_string(out, "| ", err));
            PFM_TRY(pfm_card_cell(out, column, err));
            PFM_TRY(pfm_buffer_append_string(out, " | ", err));
            PFM_TRY(pfm_card_cell(out, value, err));
            PFM_TRY(pfm_buffer_append_format(out, err, " | %lld | %.1f |\n",
                                             (long long)json_integer_value(json_object_get(figures, "n")),
                                             json_number_value(json_object_get(figures, "overall"))));
        }
    }
done:
    return status;
}

static pfm_status append_calibration(pfm_buffer *out, const json_t *score, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const json_t *calibration = json_object_get(score, "calibration");
    size_t i = 0;
    json_t *step = NULL;
    if (!json_is_object(calibration))
        return PFM_OK;
    PFM_TRY(pfm_buffer_append_format(out, err,
                                     "\n### When it is unsure\n\nExpected calibration error: %.1f points.\n\n"
                                     "| Answered, the surest | Accuracy |\n|---:|---:|\n",
                                     json_number_value(json_object_get(calibration, "ece"))));
    json_array_foreach(json_object_get(calibration, "coverage"), i, step) PFM_TRY(pfm_buffer_append_format(
        out, err, "| %lld %% | %.1f |\n", (long long)json_integer_value(json_object_get(step, "coverage")),
        json_number_value(json_object_get(step, "accuracy"))));
done:
    return status;
}

/* Captions are scored by text metrics, answers by how many are right. */
static bool is_of_captions(const json_t *score) { return json_object_get(score, "metrics") != NULL; }

static pfm_status append_caption_row(pfm_buffer *out, const json_t *score, const char *name, const json_t *value,
                                     pfm_error *err)
{
    pfm_status status = PFM_OK;
    const json_t *interval = json_object_get(json_object_get(score, "ci95"), name);
    PFM_TRY(append_subject(out, score, err));
    PFM_TRY(pfm_buffer_append_format(out, err, " %s | %.4f", name, json_number_value(value)));
    if (json_array_size(interval) == 2)
        PFM_TRY(pfm_buffer_append_format(out, err, " (%.4f to %.4f)", json_number_value(json_array_get(interval, 0)),
                                         json_number_value(json_array_get(interval, 1))));
    PFM_TRY(pfm_buffer_append_string(out, " |\n", err));
done:
    return status;
}

static pfm_status append_caption_scores(pfm_buffer *out, const json_t *scores, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t i = 0;
    json_t *score = NULL, *value = NULL;
    const char *name = NULL;
    bool begun = false;
    json_array_foreach(scores, i, score)
    {
        json_object_foreach(json_object_get(score, "metrics"), name, value)
        {
            if (!begun)
                PFM_TRY(
                    pfm_buffer_append_string(out,
                                             "\nCaptions, each metric in its own scale, with intervals of 95 % over images.\n\n"
                                             "| Data | Images | Captions | Metric | Figure |\n|---|---|---:|---|---:|\n",
                                             err));
            begun = true;
            PFM_TRY(append_caption_row(out, score, name, value, err));
        }
    }
done:
    return status;
}

static pfm_status append_scores(pfm_buffer *out, const json_t *facts, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const json_t *main_score = NULL, *scores = json_object_get(facts, "scores");
    size_t i = 0;
    json_t *score = NULL;
    bool begun = false;
    if (json_array_size(scores) == 0)
        return PFM_OK;
    PFM_TRY(pfm_buffer_append_string(out, "\n## Scores\n", err));
    PFM_TRY(append_caption_scores(out, scores, err));
    for (int probed = 0; probed < 2; probed++) {
        json_array_foreach(scores, i, score)
        {
            if (is_of_captions(score) || is_probed(score) != (probed == 1))
                continue;
            if (!begun)
                PFM_TRY(pfm_buffer_append_string(out,
                                                 "\n| Data | Images | Questions | Overall | Closed | Open | Open, recall |\n"
                                                 "|---|---|---:|---:|---:|---:|---:|\n",
                                                 err));
            begun = true;
            PFM_TRY(append_score_row(out, score, err));
            if (!probed)
                PFM_TRY(append_prior(out, score, err));
            if (!probed)
                PFM_TRY(append_chance(out, score, err));
            if (!probed && main_score == NULL)
                main_score = score;
        }
    }
    PFM_TRY(append_signatures(out, scores, !begun ? NULL : is_text_only(facts) ? "questions" : "images", err));
    if (main_score != NULL) {
        PFM_TRY(append_groups(out, main_score, err));
        PFM_TRY(append_calibration(out, main_score, err));
    }
done:
    return status;
}

static pfm_status append_limits(pfm_buffer *out, const json_t *facts, pfm_error *err)
{
    pfm_status status = PFM_OK;
    size_t i = 0;
    json_t *limit = NULL;
    const bool text_only = is_text_only(facts);
    PFM_TRY(pfm_buffer_append_format(
        out, err,
        "\n## Limits\n\n"
        "- Not for clinical use. This is no medical device; nobody has approved it for diagnosis or treatment.\n"
        "- It answers every question, fluently, also where it is wrong%s.\n"
        "- The scores hold for the data named above, not for other %shospitals, patients or ways of asking.\n",
        text_only ? "" : " or the image does not show what is asked", text_only ? "" : "scanners, "));
    json_array_foreach(json_object_get(facts, "limits"), i, limit)
        PFM_TRY(pfm_buffer_append_format(out, err, "- %s\n", json_string_value(limit)));
done:
    return status;
}

static pfm_status append_block_section(pfm_buffer *out, const char *heading, const char *language, const char *text,
                                       pfm_error *err)
{
    if (text == NULL)
        return PFM_OK;
    pfm_status status = pfm_buffer_append_format(out, err, "\n## %s\n\n", heading);
    return status == PFM_OK ? pfm_card_block(out, language, text, err) : status;
}

pfm_status pfm_model_card_append(pfm_buffer *out, const json_t *facts, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(check_facts(facts, err));
    const char *title = text_of(facts, "name"), *run = text_of(facts, "run"), *summary = text_of(facts, "summary");
    if (title == NULL)
        title = "Fine-tuned model";
    PFM_TRY(append_front_matter(out, facts, title, err));
    PFM_TRY(pfm_buffer_append_format(out, err, "\n# %s\n\n%s%sMade with pefomed %s. **Not for clinical use.**\n", title,
                                     summary == NULL ? "" : summary, summary == NULL ? "" : "\n\n", pfm_version()));
    if (run != NULL)
        PFM_TRY(pfm_buffer_append_format(out, err, "\n```\npefomed ask %s %s\"QUESTION\"\n```\n", run,
                                         is_text_only(facts) ? "" : "IMAGE "));
    PFM_TRY(append_rows(out, "Made from", json_object_get(facts, "parts"), part_fields, err));
    PFM_TRY(append_rows(out, "Data", json_object_get(facts, "data"), data_fields, err));
    PFM_TRY(append_block_section(out, "Prompt", "text", text_of(facts, "prompt"), err));
    PFM_TRY(append_block_section(out, "Recipe", "yaml", text_of(facts, "recipe"), err));
    PFM_TRY(append_rows(out, "Stages", json_object_get(facts, "stages"), stage_fields, err));
    PFM_TRY(append_training(out, json_object_get(facts, "training"), err));
    PFM_TRY(append_scores(out, facts, err));
    PFM_TRY(append_limits(out, facts, err));
done:
    return status;
}

pfm_status pfm_model_card_write(const char *path, const json_t *facts, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    PFM_TRY(pfm_model_card_append(&text, facts, err));
    PFM_TRY(pfm_file_write(path, text.data, text.size, err));
done:
    pfm_buffer_free(&text);
    return status;
}
