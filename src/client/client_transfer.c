/* One attempt: a POST and what came of it. */
#include "base/context.h"
#include "base/process.h"
#include "base/try.h"
#include "client/client_internal.h"

#include <string.h>

static const double most_connect_seconds = 20;

static size_t on_data(char *bytes, size_t size, size_t count, void *user)
{
    pfm_transfer *transfer = user;
    if (size * count > PFM_CLIENT_MOST_BYTES - transfer->in.size) {
        transfer->too_large = true;
        return 0;
    }
    return pfm_buffer_append(&transfer->in, bytes, size * count, NULL) == PFM_OK ? size * count : 0;
}

static CURLcode configure(const pfm_client *client, pfm_transfer *t)
{
    const double seconds = client->options.timeout;
    const double connect = seconds < most_connect_seconds ? seconds : most_connect_seconds;
    CURL *curl = t->curl;
    CURLcode code = curl_easy_setopt(curl, CURLOPT_URL, client->endpoint);
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    code =
        code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L); /* the key and the data go nowhere else */
    if (client->local)                                                                /* nor to a proxy */
        code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(seconds * 1000));
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)(connect * 1000));
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_USERAGENT, "pefomed/" PEFOMED_VERSION);
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_HTTPHEADER, client->headers);
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_POST, 1L);
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_POSTFIELDS, t->out.data);
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->out.size);
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    return code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_PRIVATE, (void *)t);
}

pfm_status pfm_transfer_start(const pfm_client *client, CURLM *multi, pfm_transfer *transfer, pfm_error *err)
{
    if (transfer->curl == NULL)
        transfer->curl = curl_easy_init();
    if (transfer->curl == NULL || configure(client, transfer) != CURLE_OK ||
        curl_multi_add_handle(multi, transfer->curl) != CURLM_OK)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not ask %s", client->url);
    pfm_buffer_clear(&transfer->in);
    transfer->too_large = false;
    transfer->busy = true;
    transfer->started = pfm_process_clock();
    return PFM_OK;
}

void pfm_transfer_free(pfm_transfer *transfer)
{
    if (transfer->curl != NULL)
        curl_easy_cleanup(transfer->curl);
    pfm_buffer_free(&transfer->in);
    pfm_buffer_free(&transfer->out);
    *transfer = (pfm_transfer){0};
}

static void refuse_transfer(const pfm_client *client, const pfm_transfer *t, CURLcode code, pfm_outcome *out)
{
    if (t->too_large)
        (void)pfm_error_set(&out->error, PFM_ERROR_NETWORK, "the server's reply has more than %d MiB",
                            PFM_CLIENT_MOST_BYTES >> 20);
    else if (code == CURLE_OPERATION_TIMEDOUT)
        (void)pfm_error_set(&out->error, PFM_ERROR_NETWORK, "the server did not answer within %g seconds (--timeout)",
                            client->options.timeout);
    else
        (void)pfm_error_set(&out->error, PFM_ERROR_NETWORK, "could not ask %.300s: %s", client->url, curl_easy_strerror(code));
    out->unreachable =
        code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_COULDNT_RESOLVE_PROXY;
}

/* Others would be refused as often as they are asked. */
static bool may_change(long status)
{
    return status == 408 || status == 409 || status == 425 || status == 429 || status >= 500;
}

void pfm_transfer_finish(const pfm_client *client, pfm_transfer *transfer, CURLcode code, pfm_outcome *out)
{
    curl_off_t wait = 0;
    *out = (pfm_outcome){.error = PFM_ERROR_INIT, .seconds = pfm_process_clock() - transfer->started, .again = true};
    (void)curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &out->status);
    transfer->busy = false;
    if (code != CURLE_OK) {
        refuse_transfer(client, transfer, code, out);
    } else if (out->status == 200) {
        if (pfm_chat_reply_read(transfer->in.data, transfer->in.size, &out->reply, &out->error) == PFM_OK)
            out->again = false;
    } else {
        (void)pfm_chat_reply_refuse(out->status, transfer->in.data, transfer->in.size, &out->error);
        out->again = may_change(out->status);
        if (out->status == 429 || out->status == 503)
            (void)curl_easy_getinfo(transfer->curl, CURLINFO_RETRY_AFTER, &wait);
        out->wait = (double)wait;
    }
}
