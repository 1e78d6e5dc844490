#include "pipeline/pipeline_file.h"

#include "base/file.h"
#include "base/try.h"
#include "pipeline/prompt_template.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST_FILE = 1 << 18, LONGEST_NAME = 40, MOST_STOPS = 16 };

/* Names that no step may have: those of other places of a prompt come first. */
static const char *const places[] = {"question", "text"};
enum { PLACES = 2 };

static const char *const keys[] = {"definition", "steps"};
enum { DEFINITION, STEPS, KEYS };
static const char *const step_keys[] = {"name", "prompt", "images", "temperature", "top_p", "max_tokens",
                                        "seed", "stop",   "take",   "url",         "model", "run"};
enum { NAME, PROMPT, IMAGES, TEMPERATURE, TOP_P, MAX_TOKENS, SEED, STOP, TAKE, URL, MODEL, RUN, STEP_KEYS };

typedef struct reader {
    pfm_yaml yaml;
    pfm_pipeline *pipeline;
} reader;

static pfm_status refuse(const reader *r, const yaml_node_t *node, const char *problem, pfm_error *err)
{
    return pfm_yaml_refuse(&r->yaml, node, problem, err);
}

static pfm_status read_text(const reader *r, const yaml_node_t *node, const char *problem, char **out, pfm_error *err)
{
    const char *text = pfm_yaml_text(node);
    if (text == NULL || text[strspn(text, " \t\r\n")] == '\0')
        return refuse(r, node, problem, err);
    return pfm_string_copy(text, out, err);
}

static pfm_status read_switch(const reader *r, const yaml_node_t *node, bool *out, pfm_error *err)
{
    const char *text = pfm_yaml_text(node);
    if (text == NULL || (strcmp(text, "true") != 0 && strcmp(text, "false") != 0))
        return refuse(r, node, "images must be true or false: whether the case's images go with the prompt", err);
    *out = text[0] == 't';
    return PFM_OK;
}

/* What can stand between braces, and in a file's name. */
static pfm_status read_name(const reader *r, const yaml_node_t *node, char **out, pfm_error *err)
{
    const char *text = pfm_yaml_text(node);
    const size_t length = text != NULL ? strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") : 0;
    if (length == 0 || length > LONGEST_NAME || text[length] != '\0')
        return refuse(r, node, "a step's name has small letters, digits, - and _, at most 40", err);
    for (size_t i = 0; i < PLACES; i++)
        if (strcmp(text, places[i]) == 0)
            return refuse(r, node, "no step can be called question or text, which prompts know already", err);
    for (size_t i = 0; i + 1 < r->pipeline->count; i++)
        if (r->pipeline->steps[i].name != NULL && strcmp(text, r->pipeline->steps[i].name) == 0)
            return refuse(r, node, "an earlier step has this name; give each its own", err);
    return pfm_string_copy(text, out, err);
}

static pfm_status read_stop(reader *r, const yaml_node_t *node, pfm_pipeline_step *step, pfm_error *err)
{
    static const char problem[] = "stop must be a list of 1 to 16 texts, as in [\"\\n\\n\"]";
    pfm_status status = PFM_OK;
    if (node->type != YAML_SEQUENCE_NODE)
        return refuse(r, node, problem, err);
    const size_t count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    if (count == 0 || count > MOST_STOPS)
        return refuse(r, node, problem, err);
    PFM_TRY(pfm_allocate(count, sizeof *step->stop, &step->stop, err));
    for (size_t i = 0; i < count; i++) {
        const char *text = pfm_yaml_text(pfm_yaml_node(&r->yaml, node->data.sequence.items.start[i]));
        if (text == NULL || text[0] == '\0') {
            status = refuse(r, node, problem, err);
            goto done;
        }
        PFM_TRY(pfm_string_copy(text, &step->stop[step->stop_count], err));
        step->stop_count++;
    }
done:
    return status;
}

/* `last_line` or `{after: "Diagnosis:"}`. */
static pfm_status read_take(reader *r, const yaml_node_t *node, pfm_take *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_error inner = PFM_ERROR_INIT;
    const yaml_node_t *key = node, *value = NULL;
    size_t kind = 0, count = 0;
    if (node->type == YAML_MAPPING_NODE && node->data.mapping.pairs.top - node->data.mapping.pairs.start == 1) {
        key = pfm_yaml_node(&r->yaml, node->data.mapping.pairs.start->key);
        value = pfm_yaml_node(&r->yaml, node->data.mapping.pairs.start->value);
    }
    const char *name = pfm_yaml_text(key);
    if (name == NULL)
        return refuse(r, node, "take is a name, as last_line, or a name with a text, as {after: \"Diagnosis:\"}", err);
    while (pfm_take_names[count] != NULL)
        count++;
    while (kind < count && strcmp(pfm_take_names[kind], name) != 0)
        kind++;
    if (kind == count)
        return pfm_yaml_refuse_name(&r->yaml, node, "way to take", name, pfm_take_names, count, err);
    out->kind = (pfm_take_kind)kind;
    if (value != NULL && !pfm_take_has_argument(out->kind))
        PFM_FAIL(PFM_ERROR_USAGE, "%s line %zu: take: %s needs no text", r->yaml.file, node->start_mark.line + 1, name);
    if (value != NULL && pfm_yaml_text(value) != NULL)
        PFM_TRY(pfm_string_copy(pfm_yaml_text(value), &out->argument, err));
    if (pfm_take_check(out, &inner) != PFM_OK)
        PFM_FAIL(inner.code, "%s line %zu: take: %s", r->yaml.file, node->start_mark.line + 1, inner.message);
done:
    return status;
}

typedef struct step_reader {
    reader *r;
    pfm_pipeline_step *step;
} step_reader;

static pfm_status read_step_key(void *user, size_t key, const yaml_node_t *node, pfm_error *err)
{
    const step_reader *s = user;
    reader *r = s->r;
    pfm_pipeline_step *step = s->step;
    double number = 0;
    pfm_status status = PFM_OK;
    switch (key) {
    case NAME: return read_name(r, node, &step->name, err);
    case PROMPT: return read_text(r, node, "prompt must be a text", &step->prompt, err);
    case IMAGES: return read_switch(r, node, &step->images, err);
    case TEMPERATURE:
        return pfm_yaml_read_number(&r->yaml, node, 0, 100, false, "temperature must be a number from 0 (the likeliest) to 100",
                                    &step->temperature, err);
    case TOP_P:
        return pfm_yaml_read_number(&r->yaml, node, 1e-6, 1, false, "top_p must be a number above 0, at most 1", &step->top_p,
                                    err);
    case MAX_TOKENS:
        status = pfm_yaml_read_number(&r->yaml, node, 1, 65536, true, "max_tokens must be a whole number from 1 to 65536",
                                      &number, err);
        step->max_tokens = (int)number;
        return status;
    case SEED:
        status = pfm_yaml_read_number(&r->yaml, node, 0, 9007199254740992.0, true, "seed must be a whole number, 0 to 2^53",
                                      &number, err);
        step->seed = (int64_t)number;
        return status;
    case STOP: return read_stop(r, node, step, err);
    case TAKE: return read_take(r, node, &step->take, err);
    case URL: return read_text(r, node, "url must be that of a server, as http://localhost:8080/v1", &step->url, err);
    case MODEL: return read_text(r, node, "model must be a name that the server knows", &step->model, err);
    default: return read_text(r, node, "run must be a run's folder, a recipe, or a language model", &step->run, err);
    }
}

/* What a step must have, and what does not go together. */
static pfm_status check_step(reader *r, const yaml_node_t *node, const pfm_pipeline_step *step, uint64_t given, pfm_error *err)
{
    const pfm_pipeline *p = r->pipeline;
    const char *names[PLACES + PFM_PIPELINE_MOST_STEPS];
    size_t count = 0;
    pfm_error inner = PFM_ERROR_INIT;
    if ((given >> NAME & 1) == 0 || (given >> PROMPT & 1) == 0)
        return refuse(r, node, "a step needs name and prompt", err);
    if ((given >> TOP_P & 1) != 0 && step->temperature == 0)
        return refuse(r, node,
                      "top_p says among which tokens one is drawn, and none is: set temperature above 0, or leave it out", err);
    if (step->run != NULL && (step->url != NULL || step->model != NULL))
        return refuse(r, node, "a step is answered by a run, or by a server with url and model; keep one of them", err);
    for (; count < PLACES; count++)
        names[count] = places[count];
    for (size_t i = 0; i + 1 < p->count; i++)
        names[count++] = p->steps[i].name;
    if (pfm_template_check(step->prompt, names, count, &inner) == PFM_OK)
        return PFM_OK;
    return pfm_error_set(err, inner.code, "%s line %zu: step %s: %s", r->yaml.file, node->start_mark.line + 1, step->name,
                         inner.message);
}

static pfm_status read_step(reader *r, const yaml_node_t *node, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_pipeline *p = r->pipeline;
    uint64_t given = 0;
    if (node->type != YAML_MAPPING_NODE)
        return refuse(r, node, "a step is a list of keys: name, prompt, and what else it says", err);
    if (p->count == PFM_PIPELINE_MOST_STEPS)
        return refuse(r, node, "a pipeline has at most 16 steps", err);
    PFM_TRY(pfm_array_reserve(&p->steps, &p->capacity, p->count + 1, sizeof *p->steps, err));
    pfm_pipeline_step *step = &p->steps[p->count++];
    step->top_p = NAN;
    step->seed = -1;
    PFM_TRY(pfm_yaml_read_keys(&r->yaml, node, step_keys, STEP_KEYS, read_step_key, &(step_reader){r, step}, &given, err));
    PFM_TRY(check_step(r, node, step, given, err));
done:
    return status;
}

static pfm_status read_key(void *user, size_t key, const yaml_node_t *node, pfm_error *err)
{
    reader *r = user;
    pfm_status status = PFM_OK;
    if (key == DEFINITION)
        return read_text(r, node, "definition must be a text", &r->pipeline->definition, err);
    if (node->type != YAML_SEQUENCE_NODE || node->data.sequence.items.start == node->data.sequence.items.top)
        return refuse(r, node, "steps must be a list of at least one step", err);
    for (yaml_node_item_t *item = node->data.sequence.items.start; status == PFM_OK && item < node->data.sequence.items.top;
         item++)
        status = read_step(r, pfm_yaml_node(&r->yaml, *item), err);
    return status;
}

pfm_status pfm_pipeline_parse(const char *file, const char *text, size_t size, pfm_pipeline **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    uint64_t given = 0;
    reader r = {0};
    PFM_TRY(pfm_allocate(1, sizeof *r.pipeline, &r.pipeline, err));
    PFM_TRY(pfm_yaml_name(file, &r.pipeline->name, err));
    PFM_TRY(pfm_yaml_parse(file, text, size, &r.yaml, err));
    const yaml_node_t *root = yaml_document_get_root_node(&r.yaml.document);
    if (root == NULL || root->type != YAML_MAPPING_NODE)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s: a pipeline is a file of keys: definition, steps", file);
    PFM_TRY(pfm_yaml_read_keys(&r.yaml, root, keys, KEYS, read_key, &r, &given, err));
    if ((given >> STEPS & 1) == 0)
        PFM_FAIL(PFM_ERROR_USAGE, "%s: a pipeline needs steps", file);
    *out = r.pipeline;
    r.pipeline = NULL;
done:
    pfm_yaml_free(&r.yaml);
    pfm_pipeline_free(r.pipeline);
    return status;
}

static pfm_status refuse_unknown(const char *name, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer known = {0};
    for (size_t i = 0; pfm_pipeline_files[i].name != NULL; i++)
        PFM_TRY(pfm_buffer_append_format(&known, err, "%s%s", i > 0 ? ", " : "", pfm_pipeline_files[i].name));
    PFM_FAIL(PFM_ERROR_USAGE, "there is no pipeline '%.100s'; there are %s, and files of one's own (./mine.yaml)", name,
             known.data);
done:
    pfm_buffer_free(&known);
    return status;
}

pfm_status pfm_pipeline_load(const char *name, pfm_pipeline **out, pfm_error *err)
{
    const pfm_builtin_file *file = pfm_builtin_find(pfm_pipeline_files, name);
    if (file != NULL)
        return pfm_pipeline_parse(name, file->text, file->size, out, err);
    if (!pfm_yaml_is_path(name))
        return refuse_unknown(name, err);
    pfm_buffer text = {0};
    pfm_status status = pfm_file_read(name, LARGEST_FILE, &text, err);
    if (status == PFM_OK)
        status = pfm_pipeline_parse(name, text.size == 0 ? "" : text.data, text.size, out, err);
    pfm_buffer_free(&text);
    return status;
}

void pfm_pipeline_free(pfm_pipeline *pipeline)
{
    if (pipeline == NULL)
        return;
    for (size_t i = 0; i < pipeline->count; i++) {
        pfm_pipeline_step *step = &pipeline->steps[i];
        for (size_t k = 0; k < step->stop_count; k++)
            free(step->stop[k]);
        free(step->stop);
        free(step->name);
        free(step->prompt);
        free(step->take.argument);
        free(step->url);
        free(step->model);
        free(step->run);
    }
    free(pipeline->steps);
    free(pipeline->name);
    free(pipeline->definition);
    free(pipeline);
}
