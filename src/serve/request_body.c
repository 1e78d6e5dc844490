#include "serve/request_body.h"

#include "base/try.h"

#include <string.h>

pfm_status pfm_body_check_keys(const json_t *object, const char *const *keys, pfm_error *err)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        size_t k = 0;
        while (keys[k] != NULL && strcmp(keys[k], key) != 0)
            k++;
        if (keys[k] == NULL)
            return pfm_error_set(err, PFM_ERROR_USAGE, "'%.60s' is no key that is known here", key);
    }
    return PFM_OK;
}

pfm_status pfm_body_read(const pfm_http_request *request, const char *const *keys, json_t **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_error_t fault;
    *out = json_loadb(request->body, request->size, JSON_REJECT_DUPLICATES, &fault);
    if (*out == NULL)
        PFM_FAIL(PFM_ERROR_FORMAT, "the body is no JSON: %s (line %d, column %d)", fault.text, fault.line, fault.column);
    if (!json_is_object(*out))
        PFM_FAIL(PFM_ERROR_FORMAT, "the body must be a JSON object");
    PFM_TRY(pfm_body_check_keys(*out, keys, err));
done:
    return status;
}

pfm_status pfm_body_text(const json_t *object, const char *key, const char *missing, size_t most, const char **out,
                         pfm_error *err)
{
    const json_t *value = json_object_get(object, key);
    *out = value == NULL ? missing : json_string_value(value);
    if (*out == NULL || (value != NULL && json_string_length(value) > most))
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s must be a text of at most %zu bytes", key, most);
    return PFM_OK;
}

pfm_status pfm_body_integer(const json_t *object, const char *key, int64_t low, int64_t high, int64_t missing, int64_t *out,
                            pfm_error *err)
{
    const json_t *value = json_object_get(object, key);
    *out = value == NULL ? missing : (int64_t)json_integer_value(value);
    if (value != NULL && (!json_is_integer(value) || *out < low || *out > high))
        return pfm_error_set(err, PFM_ERROR_USAGE, "%s must be a whole number from %lld to %lld", key, (long long)low,
                             (long long)high);
    return PFM_OK;
}
