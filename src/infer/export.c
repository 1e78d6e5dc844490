/* pefomed export: a run for other programs. */
#include "pefomed/infer.h"

#include "base/file.h"
#include "base/json.h"
#include "base/try.h"
#include "formats/gguf.h"
#include "infer/llava.h"
#include "models/language/language_wrapped.h"
#include "models/language/tokenizer_save.h"
#include "train/run.h"
#include "train/session.h"

#include <stdlib.h>
#include <string.h>

typedef struct exporting {
    const pfm_export_options *options;
    pfm_session *session;
    pfm_weights *weights;     /* of the base */
    pfm_weight *tensors;      /* of the language model: Hugging Face's names, or GGUF's */
    int *parameters;          /* [count] the parameter behind each */
    pfm_tensor_place *places; /* [count] and where it is written */
    size_t count;
    bool gguf;
    pfm_llava *llava; /* NULL: the language model alone is written */
} exporting;

static pfm_status fill(void *user, const pfm_weight *tensor, void *out, pfm_error *err)
{
    const exporting *x = user;
    pfm_status status = PFM_OK;
    float *values = NULL;
    bool found = false;
    if (x->llava != NULL)
        PFM_TRY(pfm_llava_fill(x->llava, tensor, out, &found, err));
    if (found)
        goto done;
    size_t i = 0;
    while (strcmp(x->tensors[i].name, tensor->name) != 0)
        i++;
    const pfm_parameter *p = pfm_parameters_get(x->session->model->parameters, x->parameters[i]);
    const pfm_language_config *config = &x->session->model->language;
    pfm_tensor_place place;
    PFM_TRY(pfm_language_place(config, NULL, x->gguf, p->name, &place, err));
    PFM_TRY(pfm_allocate((size_t)(p->n * p->k), sizeof *values, &values, err));
    PFM_TRY(pfm_language_read_tensor(x->weights, config, p->name, p->n, p->k, values, err));
    PFM_TRY(pfm_language_round_to_blocks(x->weights, config, p, values, err));
    if (x->options->merge)
        PFM_TRY(pfm_peft_merge_parameter(x->session->peft, x->session->model->parameters, p, values, err));
    PFM_TRY(pfm_language_to_file_order(&place, p->n, p->k, values, err));
    memset(out, 0, tensor->bytes); /* rows that the embedding grew by */
    memcpy(out, values, (size_t)(p->n * p->k) * sizeof *values);
done:
    free(values);
    return status;
}

/* A tensor with a row for each token, where transformers' LLaVA has tokens more. */
static int64_t extra_rows(const exporting *x, const pfm_parameter *p)
{
    const pfm_language_family *family = x->session->model->language.family;
    bool has_rows = strcmp(p->name, family->embedding) == 0 || strcmp(p->name, PFM_LANGUAGE_HEAD) == 0;
    return x->llava != NULL && has_rows ? x->llava->extra_rows : 0;
}

static pfm_status list_language(exporting *x, const char *prefix, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_parameters *parameters = x->session->model->parameters;
    char name[sizeof x->places->name];
    for (int i = 0; i < pfm_parameters_count(parameters); i++) {
        const pfm_parameter *p = pfm_parameters_get(parameters, i);
        if (!pfm_language_owns(p))
            continue;
        pfm_tensor_place *place = &x->places[x->count];
        PFM_TRY(pfm_language_place(&x->session->model->language, NULL, x->gguf, p->name, place, err));
        (void)snprintf(name, sizeof name, "%s%.100s", prefix, place->name); /* one of a family's table */
        memcpy(place->name, name, sizeof name);
        bool transposed = place->order == PFM_ORDER_TRANSPOSED;
        const int64_t n = p->n + extra_rows(x, p);
        x->tensors[x->count] = (pfm_weight){.name = place->name,
                                            .dtype = PFM_DTYPE_F32,
                                            .rank = p->k == 1 ? 1 : 2,
                                            .shape = {transposed ? p->k : n, transposed ? n : p->k},
                                            .bytes = (size_t)(n * p->k) * sizeof(float)};
        x->parameters[x->count++] = i;
    }
done:
    return status;
}

/* What the language model's file holds; in transformers' LLaVA that is one file with the other parts. */
static pfm_status list_tensors(exporting *x, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const bool together = x->llava != NULL && !x->gguf;
    size_t most = (size_t)pfm_parameters_count(x->session->model->parameters) + (together ? x->llava->count : 0);
    PFM_TRY(pfm_allocate(most, sizeof *x->tensors, &x->tensors, err));
    PFM_TRY(pfm_allocate(most, sizeof *x->parameters, &x->parameters, err));
    PFM_TRY(pfm_allocate(most, sizeof *x->places, &x->places, err));
    PFM_TRY(list_language(x, together ? "language_model." : "", err));
    for (size_t i = 0; together && i < x->llava->count; i++)
        x->tensors[x->count++] = x->llava->tensors[i];
done:
    return status;
}

static pfm_status write_gguf(exporting *x, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_gguf_writer *writer = NULL;
    char *mmproj = NULL;
    static const char *const except[] = {"general.file_type", "general.quantization_version", NULL};
    if (strcmp(pfm_weights_format(x->weights), "gguf") != 0)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED,
                 "the base %s is no GGUF, and its key-values cannot be made up; export --to safetensors and convert that",
                 pfm_weights_path(x->weights));
    PFM_TRY(list_tensors(x, err));
    PFM_TRY(pfm_gguf_writer_create(&writer, err));
    PFM_TRY(pfm_gguf_copy_meta(writer, x->weights, except, err));
    PFM_TRY(pfm_gguf_set_u32(writer, "general.file_type", 0, err)); /* all F32 */
    for (size_t i = 0; i < x->count; i++)
        PFM_TRY(pfm_gguf_add_tensor(writer, &x->tensors[i], err));
    if (x->llava != NULL) {
        PFM_TRY(pfm_llava_mmproj_path(x->options->out, &mmproj, err));
        PFM_TRY(pfm_llava_write_mmproj(x->llava, mmproj, err));
        pfm_log(x->session->context, PFM_LOG_INFO, "the vision encoder and the aligner are in %s", mmproj);
    }
    PFM_TRY(pfm_gguf_write(writer, x->options->out, fill, x, err));
done:
    free(mmproj);
    pfm_gguf_writer_free(writer);
    return status;
}

static pfm_status save_in(const char *folder, const char *name, const json_t *document, pfm_error *err)
{
    char *path = NULL;
    pfm_status status = pfm_path_join(folder, name, &path, err);
    if (status == PFM_OK)
        status = pfm_json_save(path, document, err);
    free(path);
    return status;
}

static pfm_status add_id(const pfm_weights *weights, json_t *document, const char *name, const char *key, pfm_error *err)
{
    int64_t id;
    return pfm_weights_meta_integer(weights, key, &id) ? pfm_json_take(document, name, json_integer(id), err) : PFM_OK;
}

/* config.json and generation_config.json as transformers reads them, from a GGUF's metadata. */
static pfm_status make_configs(const exporting *x, json_t **config, json_t *generation, pfm_error *err)
{
    static const char *const ids[][2] = {{"bos_token_id", "tokenizer.ggml.bos_token_id"},
                                         {"eos_token_id", "tokenizer.ggml.eos_token_id"},
                                         {"pad_token_id", "tokenizer.ggml.padding_token_id"}};
    pfm_status status = PFM_OK;
    const pfm_language_config *c = &x->session->model->language;
    *config = c->family->write_config_json != NULL ? c->family->write_config_json(c) : NULL;
    if (*config == NULL)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "%s: no config.json can be made of this GGUF of the family %s; export --to gguf",
                 pfm_weights_path(x->weights), c->family->architecture);
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        PFM_TRY(add_id(x->weights, *config, ids[i][0], ids[i][1], err));
        PFM_TRY(add_id(x->weights, generation, ids[i][0], ids[i][1], err));
    }
done:
    return status;
}

/* The base's own file, its weights' type now f32; *out stays as it is where there is none. */
static pfm_status load_config(const exporting *x, const char *name, bool needed, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    PFM_TRY(pfm_path_beside(pfm_weights_path(x->weights), name, &path, err));
    if (!needed && !pfm_path_exists(path))
        goto done;
    json_decref(*out);
    *out = NULL;
    PFM_TRY(pfm_json_load(path, out, err));
    if (json_object_get(*out, "dtype") != NULL) /* transformers 5's name for it */
        PFM_TRY(pfm_json_take(*out, "dtype", json_string("float32"), err));
    else if (needed)
        PFM_TRY(pfm_json_take(*out, "torch_dtype", json_string("float32"), err));
done:
    free(path);
    return status;
}

static pfm_status write_configs(const exporting *x, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *whole = NULL, *config = NULL, *generation = json_object();
    bool wrapped = false;
    if (strcmp(pfm_weights_format(x->weights), "gguf") == 0) {
        PFM_TRY(make_configs(x, &config, generation, err));
    } else {
        PFM_TRY(load_config(x, "config.json", true, &whole, err));
        PFM_TRY(pfm_wrapped_config(whole, &config, &wrapped, err));
        PFM_TRY(load_config(x, "generation_config.json", false, &generation, err));
    }
    if (x->options->merge && pfm_parameters_find(x->session->model->parameters, PFM_LANGUAGE_HEAD) >= 0)
        PFM_TRY(pfm_json_take(config, "tie_word_embeddings", json_false(), err)); /* it may have become one of its own */
    if (x->llava != NULL)
        PFM_TRY(pfm_llava_wrap_configs(x->llava, &config, generation, err));
    PFM_TRY(save_in(x->options->out, "config.json", config, err));
    if (json_object_size(generation) > 0)
        PFM_TRY(save_in(x->options->out, "generation_config.json", generation, err));
done:
    json_decref(whole);
    json_decref(config);
    json_decref(generation);
    return status;
}

static pfm_status write_folder(exporting *x, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    static const char *const metadata[] = {"format", "pt"};
    PFM_TRY(pfm_folder_create(x->options->out, err));
    PFM_TRY(pfm_tokenizer_save(x->weights, x->options->out, err));
    if (x->llava != NULL) {
        PFM_TRY(pfm_llava_add_image_token(x->llava, x->options->out, err));
        PFM_TRY(pfm_llava_write_processor(x->llava, x->options->out, err));
    }
    PFM_TRY(list_tensors(x, err));
    PFM_TRY(pfm_path_join(x->options->out, "model.safetensors", &path, err));
    PFM_TRY(pfm_safetensors_write_from(path, x->tensors, x->count, metadata, 1, fill, x, err));
    PFM_TRY(write_configs(x, err));
done:
    free(path);
    return status;
}

/* A file of the run, as `name` in the result. */
static pfm_status copy_file(const exporting *x, const char *file, const char *name, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *from = NULL, *to = NULL;
    pfm_buffer text = {0};
    PFM_TRY(pfm_path_join(x->session->run, file, &from, err));
    PFM_TRY(pfm_path_join(x->options->out, name, &to, err));
    if (!pfm_path_exists(from))
        PFM_FAIL(PFM_ERROR_IO, "%s is missing; the run trained no adapter, or has not finished", from);
    PFM_TRY(pfm_file_read(from, 0, &text, err));
    PFM_TRY(pfm_file_write(to, text.data, text.size, err));
done:
    free(from);
    free(to);
    pfm_buffer_free(&text);
    return status;
}

/* The vision encoder's adapter in a folder of its own. */
static pfm_status copy_vision_adapter(const exporting *x, pfm_error *err)
{
    static const char *const files[] = {"adapter-vision/adapter_config.json", "adapter-vision/adapter_model.safetensors"};
    pfm_status status = PFM_OK;
    char *folder = NULL;
    PFM_TRY(pfm_path_join(x->options->out, "adapter-vision", &folder, err));
    PFM_TRY(pfm_folder_create(folder, err));
    for (int i = 0; i < 2; i++)
        PFM_TRY(copy_file(x, files[i], files[i], err));
done:
    free(folder);
    return status;
}

/* The adapter's own two files, and the aligner's where there is one, in one folder with the tokenizer. */
static pfm_status write_peft(exporting *x, pfm_error *err)
{
    const pfm_recipe *recipe = x->session->recipe;
    const bool vision = pfm_recipe_adapts(recipe, "vision");
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_folder_create(x->options->out, err));
    if (!vision || pfm_recipe_adapts(recipe, "language") || recipe->adapts_norms) {
        PFM_TRY(copy_file(x, "adapter/adapter_config.json", "adapter_config.json", err));
        PFM_TRY(copy_file(x, "adapter/adapter_model.safetensors", "adapter_model.safetensors", err));
    }
    if (vision)
        PFM_TRY(copy_vision_adapter(x, err));
    if (pfm_model_sees(x->session->model))
        PFM_TRY(copy_file(x, "aligner.safetensors", "aligner.safetensors", err));
    PFM_TRY(pfm_tokenizer_save(x->weights, x->options->out, err));
done:
    return status;
}

/* The run's trained values are needed to merge them; building declares what is to be written. */
static pfm_status load_run(exporting *x, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_model_graph graph = {0};
    const int64_t capacity[PFM_DIM_COUNT] = {
        [PFM_DIM_TOKENS] = 1, [PFM_DIM_ANSWERS] = 1, [PFM_DIM_VISUAL] = x->session->model->visual_tokens};
    PFM_TRY(pfm_model_build(x->session->model, capacity, false, false, &graph, err));
    if (x->options->merge)
        PFM_TRY(pfm_session_load_weights(x->session, err));
done:
    pfm_model_graph_free(&graph);
    return status;
}

/* Whether all parts leave together. */
static pfm_status find_form(exporting *x, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *why = NULL;
    if (!pfm_model_sees(x->session->model))
        return PFM_OK; /* the language model is all there is */
    PFM_TRY(pfm_llava_unfit(x->session, x->gguf, &why, err));
    if (why == NULL)
        PFM_TRY(pfm_llava_create(x->session, x->gguf, &x->llava, err));
    else
        pfm_log(x->session->context, PFM_LOG_WARNING,
                "%s holds the language model alone%s, since %s; with a CLIP, mlp2x_gelu and a LLaMA it would be a LLaVA",
                x->options->out, x->session->model->tower != NULL ? ", without what was learned in the vision encoder" : "",
                why);
done:
    return status;
}

static pfm_status check(const pfm_export_options *options, const char **to, pfm_error *err)
{
    bool whole = options->merge || options->base;
    *to = options->to != NULL ? options->to : whole ? "safetensors" : "peft";
    bool peft = strcmp(*to, "peft") == 0;
    if (!peft && strcmp(*to, "safetensors") != 0 && strcmp(*to, "gguf") != 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "cannot export to '%s'; it is peft, safetensors or gguf", *to);
    if (options->merge && options->base)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             "--merge and --base exclude each other: the base has nothing merged into it");
    if (peft == whole)
        return pfm_error_set(err, PFM_ERROR_USAGE,
                             peft ? "peft is the adapter alone; leave out --merge and --base"
                                  : "say whether the language model is the --base or has the adapter in it (--merge)");
    return PFM_OK;
}

pfm_status pfm_export(pfm_context *context, const pfm_export_options *options, pfm_error *err)
{
    pfm_status status = PFM_OK;
    exporting x = {.options = options};
    const char *to = NULL;
    PFM_TRY(check(options, &to, err));
    PFM_TRY(pfm_session_open(context, options->run, false, &x.session, err));
    if (!options->base && x.session->run == NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "%s is a recipe: only its --base can be exported", options->run);
    if (options->merge)
        PFM_TRY(pfm_peft_check_merge(x.session->peft, err));
    PFM_TRY(pfm_weights_open(x.session->language_path, &x.weights, err));
    x.gguf = strcmp(to, "gguf") == 0;
    if (strcmp(to, "peft") == 0) {
        PFM_TRY(write_peft(&x, err));
    } else {
        PFM_TRY(load_run(&x, err));
        if (options->merge)
            PFM_TRY(find_form(&x, err));
        PFM_TRY(x.gguf ? write_gguf(&x, err) : write_folder(&x, err));
    }
done:
    pfm_llava_free(x.llava);
    pfm_weights_close(x.weights);
    pfm_session_free(x.session);
    free(x.tensors);
    free(x.parameters);
    free(x.places);
    return status;
}
