#include "serve/tally.h"

#include "base/try.h"

static const double bounds[PFM_TALLY_BUCKETS] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60};

void pfm_tally_init(pfm_tally *tally)
{
    *tally = (pfm_tally){0};
    (void)pthread_mutex_init(&tally->lock, NULL);
}

void pfm_tally_destroy(pfm_tally *tally) { (void)pthread_mutex_destroy(&tally->lock); }

static void add_time(pfm_tally_times *times, double seconds)
{
    size_t i = 0;
    while (i < PFM_TALLY_BUCKETS && seconds > bounds[i])
        i++;
    times->counts[i]++;
    times->sum += seconds;
}

void pfm_tally_request(pfm_tally *tally, const pfm_route *route, unsigned status, double seconds)
{
    const size_t number = route != NULL ? (size_t)(route - pfm_routes) : PFM_ROUTE_COUNT;
    (void)pthread_mutex_lock(&tally->lock);
    tally->requests[number][status / 100 < 6 ? status / 100 : 5]++;
    add_time(&tally->answered, seconds);
    (void)pthread_mutex_unlock(&tally->lock);
}

void pfm_tally_first_token(pfm_tally *tally, double seconds)
{
    (void)pthread_mutex_lock(&tally->lock);
    add_time(&tally->first_token, seconds);
    (void)pthread_mutex_unlock(&tally->lock);
}

void pfm_tally_cancelled(pfm_tally *tally)
{
    (void)pthread_mutex_lock(&tally->lock);
    tally->cancelled++;
    (void)pthread_mutex_unlock(&tally->lock);
}

pfm_status pfm_tally_write_one(pfm_buffer *out, const char *name, const char *help, const char *type, double value,
                               pfm_error *err)
{
    return pfm_buffer_append_format(out, err, "# HELP pefomed_%s %s\n# TYPE pefomed_%s %s\npefomed_%s %.17g\n", name, help,
                                    name, type, name, value);
}

static pfm_status write_times(pfm_buffer *out, const char *name, const char *help, const pfm_tally_times *times, pfm_error *err)
{
    pfm_status status = PFM_OK;
    uint64_t count = 0;
    PFM_TRY(pfm_buffer_append_format(out, err, "# HELP pefomed_%s %s\n# TYPE pefomed_%s histogram\n", name, help, name));
    for (size_t i = 0; i < PFM_TALLY_BUCKETS; i++) {
        count += times->counts[i];
        PFM_TRY(pfm_buffer_append_format(out, err, "pefomed_%s_bucket{le=\"%g\"} %llu\n", name, bounds[i],
                                         (unsigned long long)count));
    }
    count += times->counts[PFM_TALLY_BUCKETS];
    PFM_TRY(pfm_buffer_append_format(out, err,
                                     "pefomed_%s_bucket{le=\"+Inf\"} %llu\npefomed_%s_sum %.17g\npefomed_%s_count %llu\n", name,
                                     (unsigned long long)count, name, times->sum, name, (unsigned long long)count));
done:
    return status;
}

static pfm_status write_requests(const pfm_tally *tally, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_buffer_append_string(out,
                                     "# HELP pefomed_requests_total Requests by route and class of status.\n"
                                     "# TYPE pefomed_requests_total counter\n",
                                     err));
    for (size_t r = 0; r <= PFM_ROUTE_COUNT; r++)
        for (size_t s = 0; s < 6; s++)
            if (tally->requests[r][s] > 0)
                PFM_TRY(pfm_buffer_append_format(out, err, "pefomed_requests_total{route=\"%s\",status=\"%zuxx\"} %llu\n",
                                                 r < PFM_ROUTE_COUNT ? pfm_routes[r].name : "none", s,
                                                 (unsigned long long)tally->requests[r][s]));
done:
    return status;
}

pfm_status pfm_tally_write(pfm_tally *tally, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    (void)pthread_mutex_lock(&tally->lock);
    PFM_TRY(write_requests(tally, out, err));
    PFM_TRY(write_times(out, "request_seconds", "From a request's head to the end of its reply.", &tally->answered, err));
    PFM_TRY(write_times(out, "first_token_seconds", "From a request's head to the first token of its answer.",
                        &tally->first_token, err));
    PFM_TRY(pfm_tally_write_one(out, "cancelled_total", "Requests whose client hung up or whose time was over.", "counter",
                                (double)tally->cancelled, err));
done:
    (void)pthread_mutex_unlock(&tally->lock);
    return status;
}
