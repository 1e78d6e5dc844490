/* adapter_config.json: what it says of a method becomes options, and is written from them. */
#include "peft/peft_methods.h"

#include "base/json.h"
#include "base/memory.h"
#include "base/try.h"
#include "peft/targets.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- values ---- */

json_t *pfm_peft_number(double value)
{
    return value == floor(value) && fabs(value) < 1e15 ? json_integer((json_int_t)value) : json_real(value);
}

json_t *pfm_peft_texts(char *const *items, size_t count)
{
    json_t *list = count == 0 ? json_null() : json_array();
    for (size_t i = 0; i < count; i++)
        list = pfm_json_add(list, json_string(items[i]));
    return list;
}

static pfm_status refuse(const char *key, const char *wanted, pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_FORMAT, "the adapter's \"%s\" must be %s", key, wanted);
}

/* NULL where the key is absent or null. */
static const json_t *find(const json_t *config, const char *key)
{
    const json_t *value = json_object_get(config, key);
    return json_is_null(value) ? NULL : value;
}

pfm_status pfm_peft_read_number(const json_t *config, const char *key, double fallback, double low, double high, double *out,
                                pfm_error *err)
{
    const json_t *value = find(config, key);
    if (value == NULL) {
        *out = fallback;
        return PFM_OK;
    }
    *out = json_number_value(value);
    if (!json_is_number(value))
        return refuse(key, "a number", err);
    if (!(*out >= low && *out <= high))
        return pfm_error_set(err, PFM_ERROR_FORMAT, "the adapter's \"%s\" is %g; it must be from %g to %g", key, *out, low,
                             high);
    return PFM_OK;
}

pfm_status pfm_peft_read_integer(const json_t *config, const char *key, int fallback, int low, int high, int *out,
                                 pfm_error *err)
{
    double number = 0;
    pfm_status status = pfm_peft_read_number(config, key, fallback, low, high, &number, err);
    if (status == PFM_OK && number != floor(number))
        status = refuse(key, "a whole number", err);
    if (status == PFM_OK)
        *out = (int)number;
    return status;
}

pfm_status pfm_peft_read_flag(const json_t *config, const char *key, bool fallback, bool *out, pfm_error *err)
{
    const json_t *value = find(config, key);
    if (value != NULL && !json_is_boolean(value))
        return refuse(key, "true or false", err);
    *out = value == NULL ? fallback : json_is_true(value);
    return PFM_OK;
}

pfm_status pfm_peft_read_text(const json_t *config, const char *key, const char *fallback, char **out, pfm_error *err)
{
    const json_t *value = find(config, key);
    const char *text = value == NULL ? fallback : json_string_value(value);
    if (value != NULL && text == NULL)
        return refuse(key, "a text", err);
    free(*out);
    *out = NULL;
    return text == NULL ? PFM_OK : pfm_string_copy(text, out, err);
}

/* Adds a copy of a text to a list that grows by one. */
static pfm_status add_text(char ***items, size_t *count, const char *before, const char *text, pfm_error *err)
{
    size_t capacity = *count;
    pfm_status status = pfm_array_reserve(items, &capacity, *count + 1, sizeof **items, err);
    if (status == PFM_OK)
        status = pfm_string_format(&(*items)[*count], err, "%s%s", before, text);
    *count += status == PFM_OK;
    return status;
}

static pfm_status add_value(const json_t *value, const char *key, char ***items, size_t *count, pfm_error *err)
{
    char digits[32];
    const char *text = json_string_value(value);
    if (json_is_integer(value)) {
        (void)snprintf(digits, sizeof digits, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        text = digits;
    }
    return text == NULL || text[0] == '\0' ? refuse(key, "a list of names", err) : add_text(items, count, "", text, err);
}

pfm_status pfm_peft_read_texts(const json_t *config, const char *key, char ***items, size_t *count, pfm_error *err)
{
    const json_t *value = find(config, key);
    pfm_status status = PFM_OK;
    pfm_peft_texts_free(items, count);
    if (value == NULL)
        return PFM_OK;
    if (!json_is_array(value))
        return add_value(value, key, items, count, err);
    for (size_t i = 0; status == PFM_OK && i < json_array_size(value); i++)
        status = add_value(json_array_get(value, i), key, items, count, err);
    return status;
}

/* ---- names of modules ---- */

/* A list of names, or one text: an expression, or all linear layers. */
static pfm_status read_names(const json_t *config, const char *key, char ***items, size_t *count, pfm_error *err)
{
    const char *text = json_string_value(json_object_get(config, key));
    if (text == NULL)
        return pfm_peft_read_texts(config, key, items, count, err);
    pfm_peft_texts_free(items, count);
    if (strcmp(text, PFM_TARGET_NONE) == 0)
        return PFM_OK;
    const bool all = strcasecmp(text, PFM_TARGET_ALL_LINEAR) == 0;
    return add_text(items, count, all ? "" : PFM_TARGET_EXPRESSION, all ? PFM_TARGET_ALL_LINEAR : text, err);
}

static const char *expression_of(const char *item)
{
    const size_t mark = sizeof PFM_TARGET_EXPRESSION - 1;
    return strncmp(item, PFM_TARGET_EXPRESSION, mark) == 0 ? item + mark : NULL;
}

/* Appends an expression for the end of a name. */
static pfm_status append_suffix(pfm_buffer *out, const char *name, pfm_error *err)
{
    pfm_status status = pfm_buffer_append_string(out, "(?:.*\\.)?", err);
    for (; status == PFM_OK && *name != '\0'; name++)
        status = pfm_buffer_append_format(out, err, "%s%c", *name == '.' ? "\\" : "", *name);
    return status;
}

/* A list of names as it is; with an expression among them one expression for all, with all linear layers that word alone. */
static pfm_status write_names(char *const *items, size_t count, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    bool all = false, plain = true;
    for (size_t i = 0; i < count; i++) {
        all |= strcmp(items[i], PFM_TARGET_ALL_LINEAR) == 0;
        plain &= expression_of(items[i]) == NULL;
    }
    if (all || plain) {
        *out = all ? json_string(PFM_TARGET_ALL_LINEAR) : pfm_peft_texts(items, count);
        return PFM_OK;
    }
    for (size_t i = 0; i < count; i++) {
        const char *expression = expression_of(items[i]);
        if (i > 0)
            PFM_TRY(pfm_buffer_append_string(&text, "|", err));
        PFM_TRY(expression != NULL ? pfm_buffer_append_format(&text, err, count > 1 ? "(?:%s)" : "%s", expression)
                                   : append_suffix(&text, items[i], err));
    }
    *out = json_string(text.data);
done:
    pfm_buffer_free(&text);
    return status;
}

/* {"NAME": NUMBER, ...} */
static pfm_status read_pattern(const json_t *config, const char *key, char ***items, size_t *count, pfm_error *err)
{
    const json_t *value = find(config, key), *number = NULL;
    const char *name = NULL;
    char *text = NULL;
    pfm_status status = PFM_OK;
    pfm_peft_texts_free(items, count);
    if (value != NULL && !json_is_object(value))
        return refuse(key, "an object of names and numbers", err);
    json_object_foreach((json_t *)(uintptr_t)value, name, number)
    {
        if (!json_is_number(number) || name[0] == '\0')
            return refuse(key, "an object of names and numbers", err);
        status = pfm_string_format(&text, err, "%s=%.15g", name, json_number_value(number));
        if (status == PFM_OK)
            status = add_text(items, count, "", text, err);
        free(text);
        text = NULL;
        if (status != PFM_OK)
            return status;
    }
    return PFM_OK;
}

static json_t *write_pattern(char *const *items, size_t count)
{
    json_t *object = json_object();
    for (size_t i = 0; object != NULL && i < count; i++) {
        const char *equals = strrchr(items[i], '=');
        if (json_object_setn_new(object, items[i], (size_t)(equals - items[i]), pfm_peft_number(strtod(equals + 1, NULL))) !=
            0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *write_layers(char *const *items, size_t count)
{
    json_t *list = count == 0 ? json_null() : json_array();
    for (size_t i = 0; i < count; i++)
        list = pfm_json_add(list, json_integer(strtol(items[i], NULL, 10)));
    return list;
}

/* ---- reading ---- */

/* The method of a type, and of several the one that says that it is its own. */
static pfm_status find_method(const pfm_adapter_config *config, const pfm_peft_method **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer known = {0};
    const pfm_peft_method *method = NULL, *other = NULL;
    for (size_t i = 0; (method = pfm_peft_method_at(i)) != NULL; i++) {
        if (method->read_config == NULL)
            continue;
        if (strcmp(method->type, config->peft_type) != 0) {
            PFM_TRY(pfm_buffer_append_format(&known, err, "%s%s", known.size > 0 ? ", " : "", method->type));
            continue;
        }
        if (method->is_config != NULL && method->is_config(config->document)) {
            *out = method;
            goto done;
        }
        other = method->is_config == NULL ? method : other;
    }
    if (other == NULL)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "the adapter's method is %.60s, which is not read here; there are %s",
                 config->peft_type, known.size > 0 ? known.data : "none");
    *out = other;
done:
    pfm_buffer_free(&known);
    return status;
}

/* What names modules, whatever the method. */
static pfm_status read_places(const json_t *config, const pfm_peft_method *method, pfm_peft_options *o, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_peft_read_texts(config, "modules_to_save", &o->modules_to_save, &o->module_to_save_count, err));
    if (method->targets == NULL)
        goto done;
    PFM_TRY(read_names(config, "target_modules", &o->targets, &o->target_count, err));
    PFM_TRY(read_names(config, "exclude_modules", &o->exclude, &o->exclude_count, err));
    if (method->feedforward != NULL)
        PFM_TRY(read_names(config, "feedforward_modules", &o->feedforward, &o->feedforward_count, err));
    PFM_TRY(pfm_peft_read_texts(config, "layers_to_transform", &o->layers, &o->layer_count, err));
    PFM_TRY(pfm_peft_read_texts(config, "layers_pattern", &o->layers_pattern, &o->layers_pattern_count, err));
    PFM_TRY(read_pattern(config, "rank_pattern", &o->rank_pattern, &o->rank_pattern_count, err));
    PFM_TRY(read_pattern(config, "alpha_pattern", &o->alpha_pattern, &o->alpha_pattern_count, err));
    if (json_is_null(json_object_get(config, "target_modules")) || json_object_get(config, "target_modules") == NULL)
        PFM_FAIL(
            PFM_ERROR_UNSUPPORTED,
            "the adapter's \"target_modules\" does not say which layers it acts on; PEFT's older versions chose them by the "
            "model: write them there, as in [\"q_proj\", \"v_proj\"]");
done:
    return status;
}

/* null, false, 0 and empty containers change nothing. */
static bool is_off(const json_t *value)
{
    return value == NULL || json_is_null(value) || json_is_false(value) ||
           (json_is_number(value) && json_number_value(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0) || (json_is_array(value) && json_array_size(value) == 0);
}

/* Settings that say where the adapter comes from, how it began or what trained it, and nothing of what it computes. */
static bool is_history(const char *key)
{
    static const char *const keys[] = {"auto_mapping",
                                       "inference_mode",
                                       "revision",
                                       "base_model_name_or_path",
                                       "task_type",
                                       "peft_type",
                                       "peft_version",
                                       "fan_in_fan_out",
                                       "init_lora_weights",
                                       "init_weights",
                                       "init_ia3_weights",
                                       "loftq_config",
                                       "eva_config",
                                       "corda_config",
                                       "lora_ga_config",
                                       "runtime_config",
                                       "megatron_config",
                                       "megatron_core",
                                       "qalora_group_size",

                                       "merge_weights",
                                       "prompt_tuning_init",
                                       "prompt_tuning_init_text",
                                       "prompt_tuning_init_state_dict_path",
                                       "prompt_tuning_init_state_dict_key",
                                       "tokenizer_name_or_path",
                                       "tokenizer_kwargs",
                                       "prefix_projection",
                                       "encoder_reparameterization_type",
                                       "encoder_hidden_size",
                                       "encoder_num_layers",
                                       "encoder_dropout",
                                       "token_dim",
                                       "num_transformer_submodules",
                                       "num_attention_heads",
                                       "num_layers"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (strcmp(keys[i], key) == 0)
            return true;
    }
    return false;
}

static bool is_same(const json_t *a, const json_t *b);

/* Lists in any order: PEFT keeps names as sets. */
static bool holds(const json_t *list, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (is_same(json_array_get(list, i), value))
            return true;
    }
    return false;
}

static bool is_same(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) == json_number_value(b);
    if (json_is_array(a) != json_is_array(b)) /* one value may stand for a list of one */
        return json_is_array(a) ? json_array_size(a) == 1 && is_same(json_array_get(a, 0), b)
                                : json_array_size(b) == 1 && is_same(a, json_array_get(b, 0));
    if (json_is_string(a) && json_is_string(b) && strcasecmp(json_string_value(a), PFM_TARGET_ALL_LINEAR) == 0)
        return strcasecmp(json_string_value(b), PFM_TARGET_ALL_LINEAR) == 0;
    if (!json_is_array(a)) {
        const char *name = NULL;
        const json_t *value = NULL;
        if (!json_is_object(a) || !json_is_object(b) || json_object_size(a) != json_object_size(b))
            return json_equal(a, b);
        json_object_foreach((json_t *)(uintptr_t)a, name, value)
        {
            if (!is_same(value, json_object_get(b, name)))
                return false;
        }
        return true;
    }
    bool same = true;
    for (size_t i = 0; same && i < json_array_size(a); i++)
        same = holds(b, json_array_get(a, i));
    for (size_t i = 0; same && i < json_array_size(b); i++)
        same = holds(a, json_array_get(b, i));
    return same;
}

/* Initialisations that also change the base's weights, so that the adapter's tensors alone do not say what was learnt. */
static pfm_status check_start(const json_t *config, pfm_error *err)
{
    static const char *const changing[] = {"pissa", "olora", "corda", "loftq", "lora_ga"};
    const char *text = json_string_value(json_object_get(config, "init_lora_weights"));
    for (size_t i = 0; text != NULL && i < sizeof changing / sizeof *changing; i++) {
        if (strncmp(text, changing[i], strlen(changing[i])) == 0)
            return pfm_error_set(err, PFM_ERROR_UNSUPPORTED,
                                 "the adapter began with \"init_lora_weights\": \"%.60s\", which changed its base's weights; "
                                 "convert it in PEFT first",
                                 text);
    }
    return PFM_OK;
}

/* Every setting that is on must be written again as it was read: what is not understood here shows, and no list of all that
 * PEFT may say is needed. */
static pfm_status check_kept(const json_t *config, const pfm_peft_options *options, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_peft *peft = NULL;
    pfm_adapter_config written = {0};
    const char *key = NULL;
    const json_t *value = NULL;
    PFM_TRY(pfm_peft_create(options, &peft, err));
    PFM_TRY(pfm_peft_write_config(peft, NULL, &written, err));
    json_object_foreach((json_t *)(uintptr_t)config, key, value)
    {
        if (is_off(value) || is_history(key) || is_same(value, json_object_get(written.document, key)))
            continue;
        char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        status = pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "the adapter's \"%.60s\" is %.100s, which is not read here", key,
                               text == NULL ? "set" : text);
        free(text);
        goto done;
    }
done:
    pfm_adapter_config_free(&written);
    pfm_peft_free(peft);
    return status;
}

pfm_status pfm_peft_read_config(const pfm_adapter_config *config, pfm_peft_options *o, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_peft_method *method = NULL;
    PFM_TRY(find_method(config, &method, err));
    PFM_TRY(check_start(config->document, err));
    pfm_peft_options_forget_others(o, method);
    PFM_TRY(read_places(config->document, method, o, err));
    free(o->method);
    o->method = NULL;
    const bool nothing = method->targets != NULL && o->target_count == 0 && o->module_to_save_count > 0;
    PFM_TRY(pfm_string_copy(nothing ? "none" : method->name, &o->method, err));
    PFM_TRY(method->read_config(config->document, o, err));
    PFM_TRY(check_kept(config->document, o, err));
done:
    return status;
}

/* ---- writing ---- */

static pfm_status write_places(const pfm_peft_method *method, const pfm_peft_options *o, json_t *config, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *names = NULL;
    if (o->module_to_save_count > 0)
        PFM_TRY(pfm_json_take(config, "modules_to_save", pfm_peft_texts(o->modules_to_save, o->module_to_save_count), err));
    if (method == NULL)
        return pfm_json_take(config, "target_modules", json_string(PFM_TARGET_NONE), err);
    if (method->targets == NULL)
        goto done;
    PFM_TRY(write_names(o->targets, o->target_count, &names, err));
    PFM_TRY(pfm_json_take(config, "target_modules", names, err));
    if (o->exclude_count > 0) {
        PFM_TRY(write_names(o->exclude, o->exclude_count, &names, err));
        PFM_TRY(pfm_json_take(config, "exclude_modules", names, err));
    }
    if (method->feedforward != NULL) {
        PFM_TRY(write_names(o->feedforward, o->feedforward_count, &names, err));
        PFM_TRY(pfm_json_take(config, "feedforward_modules", o->feedforward_count > 0 ? names : json_array(), err));
    }
    if (o->layer_count > 0)
        PFM_TRY(pfm_json_take(config, "layers_to_transform", write_layers(o->layers, o->layer_count), err));
    if (o->layers_pattern_count > 0)
        PFM_TRY(pfm_json_take(config, "layers_pattern", pfm_peft_texts(o->layers_pattern, o->layers_pattern_count), err));
    if (!pfm_peft_method_has(method, "rank_pattern"))
        goto done;
    PFM_TRY(pfm_json_take(config, "rank_pattern", write_pattern(o->rank_pattern, o->rank_pattern_count), err));
    PFM_TRY(pfm_json_take(config, "alpha_pattern", write_pattern(o->alpha_pattern, o->alpha_pattern_count), err));
done:
    return status;
}

/* A method that adapts nothing but keeps modules is, to PEFT, a LoRA without targets. */
pfm_status pfm_peft_write_config(const pfm_peft *peft, const char *base, pfm_adapter_config *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_peft_method *method = pfm_peft_get_method(peft), *described = method == NULL ? &pfm_peft_lora : method;
    PFM_TRY(pfm_adapter_config_create(described->type, "CAUSAL_LM", base, out, err));
    PFM_TRY(described->write_config(peft, out->document, err));
    PFM_TRY(write_places(method, pfm_peft_get_options(peft), out->document, err));
done:
    return status;
}
