#include "client_options.h"

pfm_status cli_get_client(const cli_call *call, pfm_client_options *out, pfm_error *err)
{
    *out = pfm_client_defaults();
    out->url = cli_get(call, "url");
    out->model = cli_get(call, "model");
    out->allow_remote = cli_has(call, "allow-remote");
    int64_t concurrency = out->concurrency, retries = out->retries;
    pfm_status status = cli_get_integer(call, "concurrency", 1, 256, &concurrency, err);
    if (status == PFM_OK)
        status = cli_get_integer(call, "retries", 0, 100, &retries, err);
    if (status == PFM_OK)
        status = cli_get_number(call, "pause", 0, 60, &out->pause, err);
    if (status == PFM_OK)
        status = cli_get_number(call, "timeout", 0.01, 86400, &out->timeout, err);
    if (status == PFM_OK)
        status = cli_get_number(call, "per-minute", 0.01, 1e6, &out->per_minute, err);
    out->concurrency = (int)concurrency;
    out->retries = (int)retries;
    return status;
}
