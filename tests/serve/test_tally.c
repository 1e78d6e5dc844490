#include "serve/tally.h"
#include "test.h"

static pfm_error err = PFM_ERROR_INIT;

static void counted_as_prometheus_reads_it(void **state)
{
    (void)state;
    pfm_tally tally;
    pfm_buffer text = {0};
    pfm_tally_init(&tally);
    pfm_tally_request(&tally, &pfm_routes[PFM_ROUTE_health], 200, 0.001);
    pfm_tally_request(&tally, &pfm_routes[PFM_ROUTE_health], 204, 0.02);
    pfm_tally_request(&tally, NULL, 404, 100);
    pfm_tally_first_token(&tally, 0.3);
    pfm_tally_cancelled(&tally);
    assert_ok(pfm_tally_write(&tally, &text, &err));
    static const char *const wanted[] = {"pefomed_requests_total{route=\"health\",status=\"2xx\"} 2\n",
                                         "pefomed_requests_total{route=\"none\",status=\"4xx\"} 1\n",
                                         "pefomed_request_seconds_bucket{le=\"0.005\"} 1\n",
                                         "pefomed_request_seconds_bucket{le=\"0.025\"} 2\n",
                                         "pefomed_request_seconds_bucket{le=\"60\"} 2\n",
                                         "pefomed_request_seconds_bucket{le=\"+Inf\"} 3\n",
                                         "pefomed_request_seconds_count 3\n",
                                         "pefomed_first_token_seconds_bucket{le=\"0.25\"} 0\n",
                                         "pefomed_first_token_seconds_bucket{le=\"0.5\"} 1\n",
                                         "# TYPE pefomed_cancelled_total counter\npefomed_cancelled_total 1\n"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        assert_non_null(strstr(text.data, wanted[i]));
    pfm_buffer_free(&text);
    pfm_tally_destroy(&tally);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(counted_as_prometheus_reads_it)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
