#include "base/try.h"
#include "pipeline/pipeline_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct writer {
    yaml_document_t document;
    bool failed; /* memory ran out */
} writer;

static int add_scalar(writer *w, const char *text, yaml_scalar_style_t style)
{
    const int node = yaml_document_add_scalar(&w->document, NULL, (const yaml_char_t *)text, (int)strlen(text), style);
    w->failed |= node == 0;
    return node;
}

static void add_pair(writer *w, int mapping, const char *key, int value)
{
    const int name = add_scalar(w, key, YAML_PLAIN_SCALAR_STYLE);
    w->failed |= w->failed || yaml_document_append_mapping_pair(&w->document, mapping, name, value) == 0;
}

static void add_text(writer *w, int mapping, const char *key, const char *text)
{
    const yaml_scalar_style_t style = strchr(text, '\n') != NULL ? YAML_LITERAL_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE;
    add_pair(w, mapping, key, add_scalar(w, text, style));
}

static void add_plain(writer *w, int mapping, const char *key, const char *text)
{
    add_pair(w, mapping, key, add_scalar(w, text, YAML_PLAIN_SCALAR_STYLE));
}

static void add_number(writer *w, int mapping, const char *key, double value)
{
    char text[40];
    (void)snprintf(text, sizeof text, "%.17g", value);
    for (int digits = 1; digits < 17; digits++) { /* the fewest that read back as the same */
        char shorter[40];
        (void)snprintf(shorter, sizeof shorter, "%.*g", digits, value);
        if (strtod(shorter, NULL) == value) {
            memcpy(text, shorter, sizeof text);
            break;
        }
    }
    add_plain(w, mapping, key, text);
}

static void add_stop(writer *w, int mapping, const pfm_pipeline_step *step)
{
    const int list = yaml_document_add_sequence(&w->document, NULL, YAML_FLOW_SEQUENCE_STYLE);
    w->failed |= list == 0;
    for (size_t i = 0; !w->failed && i < step->stop_count; i++) {
        const int text = add_scalar(w, step->stop[i], YAML_DOUBLE_QUOTED_SCALAR_STYLE);
        w->failed |= w->failed || yaml_document_append_sequence_item(&w->document, list, text) == 0;
    }
    add_pair(w, mapping, "stop", list);
}

static void add_take(writer *w, int mapping, const pfm_take *take)
{
    const char *name = pfm_take_names[take->kind];
    if (take->argument == NULL) {
        add_plain(w, mapping, "take", name);
        return;
    }
    const int inner = yaml_document_add_mapping(&w->document, NULL, YAML_FLOW_MAPPING_STYLE);
    w->failed |= inner == 0;
    if (!w->failed)
        add_pair(w, inner, name, add_scalar(w, take->argument, YAML_DOUBLE_QUOTED_SCALAR_STYLE));
    add_pair(w, mapping, "take", inner);
}

static int add_step(writer *w, const pfm_pipeline_step *step)
{
    char whole[32];
    const int mapping = yaml_document_add_mapping(&w->document, NULL, YAML_BLOCK_MAPPING_STYLE);
    w->failed |= mapping == 0;
    if (w->failed)
        return 0;
    add_plain(w, mapping, "name", step->name);
    add_plain(w, mapping, "images", step->images ? "true" : "false");
    add_text(w, mapping, "prompt", step->prompt);
    add_number(w, mapping, "temperature", step->temperature);
    if (!isnan(step->top_p))
        add_number(w, mapping, "top_p", step->top_p);
    (void)snprintf(whole, sizeof whole, "%d", step->max_tokens);
    if (step->max_tokens > 0)
        add_plain(w, mapping, "max_tokens", whole);
    (void)snprintf(whole, sizeof whole, "%lld", (long long)step->seed);
    if (step->seed >= 0)
        add_plain(w, mapping, "seed", whole);
    if (step->stop_count > 0)
        add_stop(w, mapping, step);
    add_take(w, mapping, &step->take);
    const char *const texts[][2] = {{"url", step->url}, {"model", step->model}, {"run", step->run}};
    for (size_t i = 0; i < 3; i++)
        if (texts[i][1] != NULL)
            add_text(w, mapping, texts[i][0], texts[i][1]);
    return mapping;
}

static void fill_document(writer *w, const pfm_pipeline *pipeline)
{
    const int root = yaml_document_add_mapping(&w->document, NULL, YAML_BLOCK_MAPPING_STYLE);
    const int steps = yaml_document_add_sequence(&w->document, NULL, YAML_BLOCK_SEQUENCE_STYLE);
    w->failed = root == 0 || steps == 0;
    if (!w->failed && pipeline->definition != NULL)
        add_text(w, root, "definition", pipeline->definition);
    for (size_t i = 0; !w->failed && i < pipeline->count; i++) {
        const int step = add_step(w, &pipeline->steps[i]);
        w->failed |= w->failed || yaml_document_append_sequence_item(&w->document, steps, step) == 0;
    }
    if (!w->failed)
        add_pair(w, root, "steps", steps);
}

static int on_bytes(void *user, unsigned char *bytes, size_t size)
{
    return pfm_buffer_append(user, bytes, size, NULL) == PFM_OK;
}

pfm_status pfm_pipeline_write(const pfm_pipeline *pipeline, pfm_buffer *out, pfm_error *err)
{
    writer w = {0};
    yaml_emitter_t emitter;
    if (!yaml_emitter_initialize(&emitter))
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not write a pipeline");
    yaml_emitter_set_output(&emitter, on_bytes, out);
    yaml_emitter_set_unicode(&emitter, 1);
    yaml_emitter_set_width(&emitter, -1);
    w.failed = !yaml_document_initialize(&w.document, NULL, NULL, NULL, 1, 1);
    if (!w.failed)
        fill_document(&w, pipeline);
    if (w.failed)
        yaml_document_delete(&w.document);
    const bool written = !w.failed && yaml_emitter_open(&emitter) &&
                         yaml_emitter_dump(&emitter, &w.document) && /* which deletes it */
                         yaml_emitter_close(&emitter);
    yaml_emitter_delete(&emitter);
    return written ? PFM_OK : pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not write a pipeline");
}
