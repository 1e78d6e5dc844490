#include "eval/text_profile.h"

#include "base/file.h"
#include "base/try.h"
#include "eval/metric.h"

#include <stdlib.h>
#include <string.h>

enum { LARGEST_FILE = 1 << 16, MOST_NAMES = 64, MOST_DIGITS = 6 };

typedef struct reader {
    pfm_yaml yaml;
    pfm_text_profile *profile;
} reader;

static const char *const keys[] = {"definition", "metrics", "references", "predictions", "bert", "bert_layer"};
enum { DEFINITION, METRICS, REFERENCES, PREDICTIONS, BERT, BERT_LAYER, KEYS };

static pfm_status refuse(const reader *r, const yaml_node_t *node, const char *problem, pfm_error *err)
{
    return pfm_yaml_refuse(&r->yaml, node, problem, err);
}

static pfm_status read_definition(reader *r, const yaml_node_t *node, pfm_error *err)
{
    if (pfm_yaml_text(node) == NULL || pfm_yaml_text(node)[0] == '\0')
        return refuse(r, node, "definition must be a text", err);
    return pfm_string_copy(pfm_yaml_text(node), &r->profile->definition, err);
}

static pfm_status read_metrics(reader *r, const yaml_node_t *node, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer names = {0};
    pfm_error inner = PFM_ERROR_INIT;
    if (node->type != YAML_SEQUENCE_NODE || node->data.sequence.items.start == node->data.sequence.items.top)
        return refuse(r, node, "metrics must be a list of names, as in [bleu4, rouge_l]", err);
    for (yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++) {
        const char *name = pfm_yaml_text(pfm_yaml_node(&r->yaml, *item));
        if (name == NULL || strchr(name, ',') != NULL) {
            status = refuse(r, node, "metrics must be a list of names, as in [bleu4, rouge_l]", err);
            goto done;
        }
        PFM_TRY(pfm_buffer_append_format(&names, err, "%s%s", names.size == 0 ? "" : ",", name));
    }
    if (pfm_metrics_check(names.data, &inner) != PFM_OK)
        PFM_FAIL(inner.code, "%s line %zu: %s", r->yaml.file, node->start_mark.line + 1, inner.message);
    PFM_TRY(pfm_string_copy(names.data, &r->profile->metrics, err));
done:
    pfm_buffer_free(&names);
    return status;
}

static pfm_status read_number(const reader *r, const yaml_node_t *node, const char *problem, size_t *out, pfm_error *err)
{
    const char *text = pfm_yaml_text(node);
    size_t digits = text == NULL ? 0 : strspn(text, "0123456789");
    if (digits == 0 || digits > MOST_DIGITS || text[digits] != '\0' || strtol(text, NULL, 10) == 0)
        return refuse(r, node, problem, err);
    *out = (size_t)strtol(text, NULL, 10);
    return PFM_OK;
}

/* `name` or `name: number`. */
static pfm_status read_step(reader *r, const yaml_node_t *node, pfm_preparation *into, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const yaml_node_t *key = node, *number = NULL;
    const char *names[MOST_NAMES];
    size_t count = 0, chosen = 0;
    if (node->type == YAML_MAPPING_NODE && node->data.mapping.pairs.top - node->data.mapping.pairs.start == 1) {
        key = pfm_yaml_node(&r->yaml, node->data.mapping.pairs.start->key);
        number = pfm_yaml_node(&r->yaml, node->data.mapping.pairs.start->value);
    }
    const char *name = pfm_yaml_text(key);
    if (name == NULL)
        return refuse(r, node, "a step is a name, as lower, or a name with a number, as {first_words: 60}", err);
    for (; pfm_prepare_kinds[count] != NULL && count < MOST_NAMES; count++)
        names[count] = pfm_prepare_kinds[count]->name;
    while (chosen < count && strcmp(names[chosen], name) != 0)
        chosen++;
    if (chosen == count)
        return pfm_yaml_refuse_name(&r->yaml, node, "step", name, names, count, err);
    if (into->count == PFM_PREPARE_MAX_STEPS)
        return refuse(r, node, "a profile has at most 16 steps", err);
    pfm_prepare_step step = {.kind = pfm_prepare_kinds[chosen]};
    if (step.kind->takes_number != (number != NULL))
        PFM_FAIL(PFM_ERROR_USAGE, "%s line %zu: the step %s %s", r->yaml.file, node->start_mark.line + 1, name,
                 number == NULL ? "needs a number, as in {first_words: 60}" : "takes no number");
    if (number != NULL)
        PFM_TRY(read_number(r, number, "a step's number must be whole, from 1 to 999999", &step.number, err));
    into->steps[into->count++] = step;
done:
    return status;
}

/* In a list, `a: 3, b: 4` within flow brackets are two mappings, of one key each. */
static pfm_status read_steps(reader *r, const yaml_node_t *node, pfm_preparation *into, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (node->type != YAML_SEQUENCE_NODE)
        return refuse(r, node, "must be a list of steps, as in [lower, first_words: 60]", err);
    for (yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++)
        PFM_TRY(read_step(r, pfm_yaml_node(&r->yaml, *item), into, err));
done:
    return status;
}

static pfm_status read_bert(reader *r, const yaml_node_t *node, pfm_error *err)
{
    if (pfm_yaml_text(node) == NULL || pfm_yaml_text(node)[0] == '\0')
        return refuse(r, node, "bert must be a model's name or path", err);
    return pfm_string_copy(pfm_yaml_text(node), &r->profile->bert, err);
}

static pfm_status read_bert_layer(reader *r, const yaml_node_t *node, pfm_error *err)
{
    size_t layer = 0;
    pfm_status status = read_number(r, node, "bert_layer must be a whole number, 1 or more", &layer, err);
    r->profile->bert_layer = (int)layer;
    return status;
}

static pfm_status read_key(void *user, size_t key, const yaml_node_t *node, pfm_error *err)
{
    reader *r = user;
    switch (key) {
    case DEFINITION: return read_definition(r, node, err);
    case METRICS: return read_metrics(r, node, err);
    case BERT: return read_bert(r, node, err);
    case BERT_LAYER: return read_bert_layer(r, node, err);
    case REFERENCES: return read_steps(r, node, &r->profile->references, err);
    default: return read_steps(r, node, &r->profile->predictions, err);
    }
}

static pfm_status read_text(const char *file, const char *text, size_t size, pfm_text_profile *profile, pfm_error *err)
{
    pfm_status status = PFM_OK;
    uint64_t given = 0, needed = UINT64_C(1) << DEFINITION | UINT64_C(1) << METRICS;
    reader r = {.profile = profile};
    PFM_TRY(pfm_yaml_parse(file, text, size, &r.yaml, err));
    const yaml_node_t *root = yaml_document_get_root_node(&r.yaml.document);
    if (root == NULL || root->type != YAML_MAPPING_NODE)
        PFM_FAIL(PFM_ERROR_FORMAT,
                 "%s: a profile is a file of keys: definition, metrics, references, predictions, bert, bert_layer", file);
    PFM_TRY(pfm_yaml_read_keys(&r.yaml, root, keys, KEYS, read_key, &r, &given, err));
    if ((given & needed) != needed)
        PFM_FAIL(PFM_ERROR_USAGE, "%s: a profile needs definition and metrics", file);
done:
    pfm_yaml_free(&r.yaml);
    return status;
}

static pfm_status load_file(const char *path, pfm_text_profile *profile, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    PFM_TRY(pfm_yaml_name(path, &profile->name, err));
    PFM_TRY(pfm_file_read(path, LARGEST_FILE, &text, err));
    PFM_TRY(read_text(path, text.size == 0 ? "" : text.data, text.size, profile, err));
done:
    pfm_buffer_free(&text);
    return status;
}

pfm_status pfm_text_profile_load(const char *name, pfm_text_profile **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_text_profile *profile = NULL;
    const pfm_builtin_file *file = pfm_builtin_find(pfm_profile_files, name);
    *out = NULL;
    if (file == NULL && !pfm_yaml_is_path(name))
        return PFM_OK;
    PFM_TRY(pfm_allocate(1, sizeof *profile, &profile, err));
    if (file != NULL) {
        PFM_TRY(pfm_string_copy(name, &profile->name, err));
        PFM_TRY(read_text(name, file->text, file->size, profile, err));
    } else {
        PFM_TRY(load_file(name, profile, err));
    }
    *out = profile;
    profile = NULL;
done:
    pfm_text_profile_free(profile);
    return status;
}

void pfm_text_profile_free(pfm_text_profile *profile)
{
    if (profile == NULL)
        return;
    free(profile->name);
    free(profile->definition);
    free(profile->metrics);
    free(profile->bert);
    pfm_preparation_free(&profile->references);
    pfm_preparation_free(&profile->predictions);
    free(profile);
}

pfm_status pfm_text_profile_describe(const pfm_text_profile *profile, char **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    *out = NULL;
    if (profile->references.count > 0) {
        PFM_TRY(pfm_buffer_append_string(&text, "references:", err));
        PFM_TRY(pfm_preparation_describe(&profile->references, &text, err));
    }
    if (profile->predictions.count > 0) {
        PFM_TRY(pfm_buffer_append_format(&text, err, "%spredictions:", text.size > 0 ? "|" : ""));
        PFM_TRY(pfm_preparation_describe(&profile->predictions, &text, err));
    }
    if (text.size > 0)
        PFM_TRY(pfm_string_copy(text.data, out, err));
done:
    pfm_buffer_free(&text);
    return status;
}
