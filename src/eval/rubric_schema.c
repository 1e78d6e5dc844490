/* To what a server can hold a judge's reply: a JSON object of the rubric's scale, as a JSON schema. */
#include "base/try.h"
#include "eval/verdict.h"

#include <string.h>

enum { MOST_LISTED = 101, MOST_OF_A_TYPE = 10 };

static const char openai[] = "json_schema", other[] = "json_object"; /* the types of response_format */

/* Whole numbers: each by itself, which every server that knows schemas understands, of a long scale its ends. */
static json_t *describe_numbers(int low, int high)
{
    if (high - low >= MOST_LISTED)
        return json_pack("{s:s, s:i, s:i}", "type", "integer", "minimum", low, "maximum", high);
    json_t *list = json_array();
    for (int n = low; n <= high; n++)
        list = pfm_json_add(list, json_integer(n));
    return json_pack("{s:s, s:o}", "type", "integer", "enum", list);
}

/* An object that has to have all of these, in this order, and nothing else; takes the reference. */
static json_t *describe_object(json_t *properties)
{
    const char *name = NULL;
    json_t *value = NULL, *names = json_array();
    json_object_foreach(properties, name, value) names = pfm_json_add(names, json_string(name));
    return json_pack("{s:s, s:o, s:o, s:b}", "type", "object", "properties", properties, "required", names,
                     "additionalProperties", 0);
}

static json_t *describe_counts(const pfm_rubric *rubric)
{
    json_t *properties = json_object();
    for (int i = 0; i < PFM_ERROR_TYPES; i++) {
        const char type[2] = {(char)('A' + i), '\0'};
        const int most = rubric->high < MOST_OF_A_TYPE ? rubric->high : MOST_OF_A_TYPE;
        if (json_object_set_new(properties, type, describe_numbers(0, most)) != 0) {
            json_decref(properties);
            return NULL;
        }
    }
    return describe_object(properties);
}

static pfm_status create_schema(const pfm_rubric *rubric, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *properties = json_object();
    if (!rubric->no_reasons) /* first, so that they are there when the score is chosen */
        PFM_TRY(pfm_json_take(properties, PFM_REPLY_REASONS, json_pack("{s:s}", "type", "string"), err));
    if (rubric->verdict == PFM_RUBRIC_ERRORS) {
        PFM_TRY(pfm_json_take(properties, PFM_REPLY_SIGNIFICANT, describe_counts(rubric), err));
        PFM_TRY(pfm_json_take(properties, PFM_REPLY_INSIGNIFICANT, describe_counts(rubric), err));
    } else {
        PFM_TRY(pfm_json_take(properties, PFM_REPLY_SCORE, describe_numbers(rubric->low, rubric->high), err));
    }
    *out = describe_object(properties);
    properties = NULL;
    if (*out == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not say what a reply is to be");
done:
    json_decref(properties);
    return status;
}

pfm_status pfm_rubric_response_format(const pfm_rubric *rubric, const char *type, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *schema = NULL;
    if (strcmp(type, openai) != 0 && strcmp(type, other) != 0)
        PFM_FAIL(PFM_ERROR_USAGE,
                 "--constrain is %s (OpenAI's form, which llama.cpp and vLLM know too) or %s (that of llama-cpp-python), not "
                 "'%.60s'",
                 openai, other, type);
    PFM_TRY(create_schema(rubric, &schema, err));
    *out = strcmp(type, openai) == 0
               ? json_pack("{s:s, s:{s:s, s:b, s:O}}", "type", type, type, "name", "verdict", "strict", 1, "schema", schema)
               : json_pack("{s:s, s:O}", "type", type, "schema", schema);
    if (*out == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not say what a reply is to be");
done:
    json_decref(schema);
    return status;
}
