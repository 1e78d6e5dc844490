#include "serve/routes.h"
#include "test.h"

static pfm_error err = PFM_ERROR_INIT;

static const pfm_route *find(const char *method, const char *path, char allowed[64], char *place)
{
    pfm_http_request request = {.method = method, .path = path};
    const pfm_route *route = NULL;
    assert_ok(pfm_route_find(&request, &route, allowed, &err));
    (void)snprintf(place, 64, "%s", request.places[0] != NULL ? request.places[0] : "");
    for (size_t i = 0; i < PFM_HTTP_PLACES; i++)
        free(request.places[i]);
    return route;
}

static void paths_are_whole_and_exact(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path, *name, *place, *allowed;
    } cases[] = {
        {"GET", "/health", "health", "", ""},
        {"HEAD", "/health", "health", "", ""},
        {"POST", "/health", NULL, "", "GET"},
        {"GET", "/health/", NULL, "", ""},
        {"GET", "/healt", NULL, "", ""},
        {"GET", "", NULL, "", ""},
        {"GET", "/v1/models", "models", "", ""},
        {"GET", "/v1/models/", NULL, "", ""},
        {"GET", "/v1/models/a b", "model", "a b", ""},
        {"GET", "/v1/models/..", "model", "..", ""},
        {"GET", "/v1/models/a/b", NULL, "", ""},
        {"GET", "/v1/models/../../etc/passwd", NULL, "", ""},
        {"DELETE", "/v1/models/a", NULL, "", "GET"},
        {"GET", "/v1/chat/completions", NULL, "", "POST"},
        {"POST", "/v1/chat/completions", "chat_completions", "", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char allowed[64], place[64];
        const pfm_route *route = find(cases[i].method, cases[i].path, allowed, place);
        assert_string_equal(route != NULL ? route->name : "", cases[i].name != NULL ? cases[i].name : "");
        assert_string_equal(place, cases[i].place);
        assert_string_equal(allowed, cases[i].allowed);
    }
}

static void only_what_tells_nothing_is_public(void **state)
{
    (void)state;
    for (size_t i = 0; i < PFM_ROUTE_COUNT; i++)
        if (strncmp(pfm_routes[i].path, "/v1", 3) == 0 || strcmp(pfm_routes[i].path, "/metrics") == 0)
            assert_int_not_equal(pfm_routes[i].who, PFM_ROUTE_PUBLIC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(paths_are_whole_and_exact),
                                       cmocka_unit_test(only_what_tells_nothing_is_public)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
