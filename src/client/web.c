#include "client/web.h"

#include "base/base64.h"
#include "base/try.h"
#include "client/client_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_LINE = 4096 };
static const double connect_seconds = 10;

struct pfm_web {
    char *url, *authorization;
    bool local;
    double timeout;
};

typedef struct asking {
    CURL *curl;
    const pfm_web_request *request;
    bool typed; /* the type was told */
    pfm_status status;
    pfm_error *err;
} asking;

/* ---- credentials ---- */

/* "USER:PASSWORD" or "Bearer TOKEN"; never shown. */
static pfm_status make_authorization(const char *text, const char *from, char **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer encoded = {0};
    for (const char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            PFM_FAIL(PFM_ERROR_USAGE, "%s holds a control character, which no credentials have; write them anew", from);
    if (strncmp(text, "Bearer ", 7) == 0 && text[7] != '\0') {
        PFM_TRY(pfm_string_format(out, err, "Authorization: %s", text));
    } else if (strchr(text, ':') != NULL) {
        PFM_TRY(pfm_base64_append(&encoded, text, strlen(text), err));
        PFM_TRY(pfm_string_format(out, err, "Authorization: Basic %s", encoded.data));
    } else {
        PFM_FAIL(PFM_ERROR_USAGE, "%s holds no credentials; they are USER:PASSWORD, or Bearer and a token", from);
    }
done:
    pfm_buffer_free(&encoded);
    return status;
}

static pfm_status read_credentials(pfm_web *web, const pfm_web_options *o, pfm_error *err)
{
    char line[LONGEST_LINE] = "";
    const char *said = o->variable != NULL ? getenv(o->variable) : NULL;
    if (o->credentials == NULL)
        return said != NULL && said[0] != '\0' ? make_authorization(said, o->variable, &web->authorization, err) : PFM_OK;
    FILE *file = fopen(o->credentials, "r");
    const bool read = file != NULL && fgets(line, sizeof line, file) != NULL;
    if (file != NULL)
        (void)fclose(file);
    if (!read)
        return pfm_error_set(err, PFM_ERROR_IO, "%s: cannot read credentials from it; write USER:PASSWORD on its first line",
                             o->credentials);
    line[strcspn(line, "\r\n")] = '\0';
    return make_authorization(line, o->credentials, &web->authorization, err);
}

pfm_status pfm_web_create(const pfm_web_options *options, pfm_web **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_web *web = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *web, &web, err));
    web->timeout = options->timeout;
    PFM_TRY(pfm_client_url_read(options->url, options->allow_remote, &web->url, &web->local, err));
    PFM_TRY(read_credentials(web, options, err));
    if (web->authorization != NULL && !web->local && strncmp(web->url, "https:", 6) != 0)
        PFM_FAIL(PFM_ERROR_USAGE, "%s is asked by http, and credentials could be read on the way; ask it by https", web->url);
    *out = web;
    web = NULL;
done:
    pfm_web_free(web);
    return status;
}

void pfm_web_free(pfm_web *web)
{
    if (web == NULL)
        return;
    free(web->url);
    free(web->authorization);
    free(web);
}

const char *pfm_web_url(const pfm_web *web) { return web->url; }

/* ---- a request ---- */

static bool is_wanted(const asking *a, long status)
{
    return (status >= 200 && status < 300) || (a->request->conflict && status == 409);
}

static size_t on_data(char *bytes, size_t size, size_t count, void *user)
{
    asking *a = user;
    long status = 0;
    const char *type = NULL;
    (void)curl_easy_getinfo(a->curl, CURLINFO_RESPONSE_CODE, &status);
    if (!is_wanted(a, status))
        return size * count; /* what a server says that refuses may be about a patient */
    (void)curl_easy_getinfo(a->curl, CURLINFO_CONTENT_TYPE, &type);
    if (!a->typed && a->request->on_type != NULL)
        a->status = a->request->on_type(a->request->user, type != NULL ? type : "", a->err);
    a->typed = true;
    if (a->status == PFM_OK && a->request->on_data != NULL)
        a->status = a->request->on_data(a->request->user, bytes, size * count, a->err);
    return a->status == PFM_OK ? size * count : 0;
}

static pfm_status add_header(struct curl_slist **list, const char *name, const char *value, pfm_error *err)
{
    char *line = NULL;
    pfm_status status = pfm_string_format(&line, err, "%s%s", name, value);
    if (status != PFM_OK)
        return status;
    struct curl_slist *longer = curl_slist_append(*list, line);
    free(line);
    if (longer == NULL)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not ask a server");
    *list = longer;
    return PFM_OK;
}

static CURLcode configure(const pfm_web *web, asking *a, const char *url, struct curl_slist *headers)
{
    const pfm_web_request *r = a->request;
    CURL *curl = a->curl;
    CURLcode code = curl_easy_setopt(curl, CURLOPT_URL, url);
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    if (web->local)
        code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)(connect_seconds * 1000));
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    code =
        code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)(web->timeout < 1 ? 1 : web->timeout));
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_USERAGENT, "pefomed/" PEFOMED_VERSION);
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (r->body != NULL) {
        code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_POST, 1L);
        code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_POSTFIELDS, r->body);
        code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_size);
    }
    code = code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
    return code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_WRITEDATA, a);
}

static pfm_status judge(const pfm_web *web, const asking *a, CURLcode code, long status, pfm_error *err)
{
    if (a->status != PFM_OK)
        return a->status;
    if (code == CURLE_OPERATION_TIMEDOUT)
        return pfm_error_set(err, PFM_ERROR_NETWORK, "%.300s sent nothing for %g seconds", web->url, web->timeout);
    if (code != CURLE_OK)
        return pfm_error_set(err, PFM_ERROR_NETWORK, "cannot ask %.300s: %s", web->url, curl_easy_strerror(code));
    if (!is_wanted(a, status))
        return pfm_error_set(err, PFM_ERROR_NETWORK, "%.300s answers with status %ld%s", web->url, status,
                             status == 401 || status == 403  ? ": it wants other credentials"
                             : status == 404                 ? ": it has nothing there; is its URL right?"
                             : status >= 300 && status < 400 ? ": it points elsewhere, which is not followed; give that URL"
                                                             : "");
    return PFM_OK;
}

pfm_status pfm_web_ask(pfm_web *web, const pfm_web_request *request, long *answered, pfm_error *err)
{
    pfm_status status = PFM_OK;
    struct curl_slist *headers = NULL;
    char *url = NULL;
    asking a = {.curl = curl_easy_init(), .request = request, .err = err};
    *answered = 0;
    if (a.curl == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not ask %s", web->url);
    PFM_TRY(pfm_string_format(&url, err, "%s%s", web->url, request->path));
    PFM_TRY(add_header(&headers, "Accept: ", request->accept, err));
    PFM_TRY(add_header(&headers, "Expect:", "", err));
    if (request->body != NULL)
        PFM_TRY(add_header(&headers, "Content-Type: ", request->content_type, err));
    if (web->authorization != NULL)
        PFM_TRY(add_header(&headers, web->authorization, "", err));
    if (configure(web, &a, url, headers) != CURLE_OK)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not ask %s", web->url);
    const CURLcode code = curl_easy_perform(a.curl);
    (void)curl_easy_getinfo(a.curl, CURLINFO_RESPONSE_CODE, answered);
    status = judge(web, &a, code, *answered, err);
done:
    curl_slist_free_all(headers);
    if (a.curl != NULL)
        curl_easy_cleanup(a.curl);
    free(url);
    return status;
}
