#include "base/try.h"
#include "client/client_internal.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* libcurl resolves "localhost" itself, to the loopback addresses alone. */
static bool is_this_machine(const char *host)
{
    unsigned char v4[4], v6[16];
    static const unsigned char loopback[16] = {[15] = 1};
    if (strcasecmp(host, "localhost") == 0)
        return true;
    if (inet_pton(AF_INET, host, v4) == 1)
        return v4[0] == 127;
    char bare[64];
    const size_t length = strlen(host);
    if (length < 3 || length > sizeof bare || host[0] != '[' || host[length - 1] != ']')
        return false;
    memcpy(bare, host + 1, length - 2);
    bare[length - 2] = '\0';
    return inet_pton(AF_INET6, bare, v6) == 1 && memcmp(v6, loopback, sizeof v6) == 0;
}

/* Cuts `end` off the text where it ends so. */
static bool cut_end(char *text, const char *end)
{
    const size_t a = strlen(text), b = strlen(end);
    if (a < b || strcmp(text + a - b, end) != 0)
        return false;
    text[a - b] = '\0';
    return true;
}

typedef struct parts {
    char *scheme, *user, *host, *port, *path, *query, *fragment;
} parts;

static pfm_status cut_url(const char *url, parts *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    CURLU *u = curl_url();
    if (u == NULL)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not read a URL");
    const CURLUcode code = curl_url_set(u, CURLUPART_URL, url, 0);
    if (code != CURLUE_OK)
        PFM_FAIL(PFM_ERROR_USAGE, "'%.200s' is no URL of a server (%s); give one as http://localhost:8080/v1", url,
                 curl_url_strerror(code));
    (void)curl_url_get(u, CURLUPART_SCHEME, &out->scheme, 0);
    (void)curl_url_get(u, CURLUPART_USER, &out->user, 0);
    (void)curl_url_get(u, CURLUPART_HOST, &out->host, 0);
    (void)curl_url_get(u, CURLUPART_PORT, &out->port, 0);
    (void)curl_url_get(u, CURLUPART_PATH, &out->path, 0);
    (void)curl_url_get(u, CURLUPART_QUERY, &out->query, 0);
    (void)curl_url_get(u, CURLUPART_FRAGMENT, &out->fragment, 0);
    if (out->scheme == NULL || out->host == NULL || out->path == NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "'%.200s' is no URL of a server; give one as http://localhost:8080/v1", url);
done:
    curl_url_cleanup(u);
    return status;
}

static void free_parts(parts *p)
{
    char *all[] = {p->scheme, p->user, p->host, p->port, p->path, p->query, p->fragment};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        curl_free(all[i]);
}

pfm_status pfm_client_url_read(const char *url, bool allow_remote, char **base, bool *local, pfm_error *err)
{
    pfm_status status = PFM_OK;
    parts p = {0};
    PFM_TRY(cut_url(url, &p, err));
    if (strcmp(p.scheme, "http") != 0 && strcmp(p.scheme, "https") != 0)
        PFM_FAIL(PFM_ERROR_USAGE, "a server is asked by http or https, not by %.40s", p.scheme);
    if (p.user != NULL) /* which the log would keep; so it is not shown here either */
        PFM_FAIL(PFM_ERROR_USAGE, "the URL holds a user or password; put an API key into PEFOMED_API_KEY instead");
    if (p.query != NULL || p.fragment != NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "the URL of a server has no part behind ? or #; give one as http://localhost:8080/v1");
    *local = is_this_machine(p.host);
    if (!*local && !allow_remote)
        PFM_FAIL(PFM_ERROR_USAGE,
                 "%.200s is not this machine; pictures and texts would leave it: ask a server at localhost, or say "
                 "--allow-remote",
                 p.host);
    while (cut_end(p.path, "/") || cut_end(p.path, "/chat/completions"))
        continue;
    PFM_TRY(pfm_string_format(base, err, "%s://%s%s%s%s", p.scheme, p.host, p.port != NULL ? ":" : "",
                              p.port != NULL ? p.port : "", p.path));
done:
    free_parts(&p);
    return status;
}
