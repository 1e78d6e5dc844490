/* The description says what the routes are, and no more. */
#include "base/builtin_file.h"
#include "serve/routes.h"
#include "test.h"

#include <ctype.h>

extern const pfm_builtin_file pfm_interface_files[];

static json_t *load(void)
{
    json_error_t fault;
    const pfm_builtin_file *file = pfm_builtin_find_file(pfm_interface_files, "openapi.json");
    assert_non_null(file);
    json_t *document = json_loadb(file->text, file->size, JSON_REJECT_DUPLICATES, &fault);
    if (document == NULL)
        fail_msg("openapi.json:%d: %s", fault.line, fault.text);
    return document;
}

static void lower(const char *method, char out[16])
{
    size_t i = 0;
    for (; method[i] != '\0' && i < 15; i++)
        out[i] = (char)tolower((unsigned char)method[i]);
    out[i] = '\0';
}

static void every_route_is_described(void **state)
{
    (void)state;
    json_t *document = load();
    for (size_t i = 0; i < PFM_ROUTE_COUNT; i++) {
        char method[16];
        lower(pfm_routes[i].method, method);
        const json_t *one = json_object_get(json_object_get(json_object_get(document, "paths"), pfm_routes[i].path), method);
        if (one == NULL)
            fail_msg("%s %s is not described", pfm_routes[i].method, pfm_routes[i].path);
        const json_t *security = json_object_get(one, "security");
        const bool is_public = security != NULL && json_array_size(security) == 0;
        assert_int_equal(is_public, pfm_routes[i].who == PFM_ROUTE_PUBLIC);
        assert_int_equal(json_object_get(json_array_get(security, 0), "rater") != NULL, pfm_routes[i].who == PFM_ROUTE_RATER);
        for (const char *place = strchr(pfm_routes[i].path, '{'); place != NULL; place = strchr(place + 1, '{')) {
            bool named = false;
            const json_t *parameters = json_object_get(one, "parameters");
            for (size_t p = 0; p < json_array_size(parameters); p++) {
                const char *name = json_string_value(json_object_get(json_array_get(parameters, p), "name"));
                named = named || (strncmp(name, place + 1, strlen(name)) == 0 && place[1 + strlen(name)] == '}');
            }
            assert_true(named);
        }
    }
    json_decref(document);
}

static void nothing_else_is(void **state)
{
    (void)state;
    size_t count = 0;
    const char *path = NULL;
    json_t *document = load(), *methods = NULL;
    json_object_foreach(json_object_get(document, "paths"), path, methods) count += json_object_size(methods);
    assert_int_equal(count, PFM_ROUTE_COUNT);
    json_decref(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_route_is_described), cmocka_unit_test(nothing_else_is)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
