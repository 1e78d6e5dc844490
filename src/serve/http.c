/* The carrier of requests and replies: libmicrohttpd, a thread a connection. */
#include "serve/http.h"

#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/try.h"
#include "base/waiting.h"
#include "eval/answers.h"
#include "serve/guard.h"
#include "serve/routes.h"
#include "serve/server.h"
#include "serve/socket.h"
#include "serve/watch.h"

#include <microhttpd.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum {
    HEAD_BYTES = 64 << 10,
    STREAM_BYTES = 16 << 10,
    STACK_BYTES = 8 << 20,
    IDLE_SECONDS = 30,
    HEAD_SECONDS = 40,
    BODY_SECONDS = 120,
    DROPPED = 4,
    MOST_BODIES = 4
};

struct pfm_http {
    pfm_server *server;
    struct MHD_Daemon *daemon;
    char *address;
    pfm_watch *watch;
    pthread_mutex_t lock;
    pthread_cond_t quiet;
    int running;       /* requests whose head has come and whose reply has not been sent whole */
    size_t body_bytes; /* of all requests that are being read or answered */
    bool draining;
};

/* One request from its head to the last byte of its reply. */
typedef struct exchange {
    pfm_http *http;
    pfm_http_request request;
    const pfm_route *route;
    pfm_buffer body;
    size_t held;                    /* of http->body_bytes */
    size_t dropped;                 /* read past what is taken */
    bool begun, too_large, crowded; /* crowded: others' bodies take what there is */
    unsigned status;
} exchange;

/* ---- what routes see ---- */

const char *pfm_http_header(const pfm_http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->carrier, MHD_HEADER_KIND, name);
}

const char *pfm_http_query(const pfm_http_request *request, const char *name)
{
    return MHD_lookup_connection_value(request->carrier, MHD_GET_ARGUMENT_KIND, name);
}

typedef struct sought {
    bool (*is_known)(void *user, const char *name);
    void *user;
    const char *found;
} sought;

static enum MHD_Result seek_other(void *user, enum MHD_ValueKind kind, const char *name, const char *value)
{
    sought *s = user;
    (void)kind;
    (void)value;
    if (!s->is_known(s->user, name))
        s->found = name;
    return s->found == NULL ? MHD_YES : MHD_NO;
}

const char *pfm_http_query_other(const pfm_http_request *request, bool (*is_known)(void *user, const char *name), void *user)
{
    sought s = {.is_known = is_known, .user = user};
    (void)MHD_get_connection_values(request->carrier, MHD_GET_ARGUMENT_KIND, seek_other, &s);
    return s.found;
}

bool pfm_http_is_gone(const pfm_http_request *request)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(request->carrier, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct pollfd watched = {.fd = info != NULL ? info->connect_fd : -1, .events = POLLRDHUP};
    return watched.fd < 0 || (poll(&watched, 1, 0) > 0 && (watched.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0);
}

pfm_status pfm_http_refuse(pfm_http_reply *reply, unsigned status, const char *code, pfm_error *err, const char *format, ...)
{
    char message[sizeof err->message];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    reply->status = status;
    reply->code = code;
    return pfm_error_set(err, PFM_ERROR_USAGE, "%s", message);
}

pfm_status pfm_http_reply_json(pfm_http_reply *reply, json_t *document, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (document == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not write the answer");
    PFM_TRY(pfm_json_append(&reply->body, document, err));
done:
    json_decref(document);
    return status;
}

/* Where a route did not say. */
static unsigned status_of(pfm_status code)
{
    switch (code) {
    case PFM_ERROR_USAGE:
    case PFM_ERROR_FORMAT:
    case PFM_ERROR_MISMATCH:
    case PFM_ERROR_UNSUPPORTED: return 400;
    case PFM_ERROR_NO_MEMORY: return 503;
    default: return 500;
    }
}

static const char *type_of(unsigned status)
{
    switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 503:
    case 504: return "overloaded_error";
    default: return status < 500 ? "invalid_request_error" : "server_error";
    }
}

pfm_status pfm_http_describe_error(pfm_http_reply *reply, const pfm_error *failure, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *document = NULL;
    pfm_buffer message = {0};
    pfm_buffer_clear(&reply->body);
    reply->fixed = NULL;
    reply->type = NULL;
    reply->page = false;
    reply->status = reply->status >= 400 ? reply->status : status_of(failure->code);
    PFM_TRY(pfm_answer_make_valid(failure->message, &message, err)); /* it may name, cut short, what a client sent */
    document = json_pack("{s:{s:s, s:s, s:n, s:s?}}", "error", "message", message.data, "type", type_of(reply->status), "param",
                         "code", reply->code);
    PFM_TRY(pfm_http_reply_json(reply, document, err));
done:
    pfm_buffer_free(&message);
    return status;
}

/* ---- replies ---- */

static ssize_t read_stream(void *user, uint64_t at, char *out, size_t most)
{
    (void)at;
    const pfm_http_stream *stream = user;
    const ssize_t count = stream->read(stream->user, out, most);
    return count > 0 ? count : count == 0 ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void free_stream(void *user)
{
    pfm_http_stream *stream = user;
    stream->free(stream->user);
    free(stream);
}

/* Takes the reply's body or stream, also where there is no memory for the response. */
static struct MHD_Response *make_response(pfm_http_reply *reply)
{
    struct MHD_Response *response = NULL;
    if (reply->stream.read != NULL) {
        pfm_http_stream *stream = malloc(sizeof *stream);
        if (stream == NULL) {
            reply->stream.free(reply->stream.user);
            return NULL;
        }
        *stream = reply->stream;
        response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BYTES, read_stream, stream, free_stream);
        if (response == NULL)
            free_stream(stream);
        return response;
    }
    if (reply->fixed != NULL)
        return MHD_create_response_from_buffer(reply->fixed_size, (void *)(uintptr_t)reply->fixed, MHD_RESPMEM_PERSISTENT);
    if (reply->body.data == NULL)
        return MHD_create_response_from_buffer(0, (void *)(uintptr_t) "", MHD_RESPMEM_PERSISTENT);
    response = MHD_create_response_from_buffer(reply->body.size, reply->body.data, MHD_RESPMEM_MUST_FREE);
    if (response == NULL)
        pfm_buffer_free(&reply->body);
    reply->body = (pfm_buffer){0};
    return response;
}

/* Nothing that is answered is kept by anybody on the way, is guessed to be of another kind, or is shown within another site. */
static void add_headers(struct MHD_Response *response, const pfm_http_reply *reply)
{
    static const char page[] =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src "
        "'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    const struct {
        const char *name, *value;
    } headers[] = {
        {"Content-Type", reply->type != NULL ? reply->type : "application/json"},
        {"Cache-Control", reply->page ? "no-cache" : "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Content-Security-Policy", reply->page ? page : "default-src 'none'; frame-ancestors 'none'"},
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        (void)MHD_add_response_header(response, headers[i].name, headers[i].value);
    if (reply->tag != NULL) {
        char quoted[80];
        (void)snprintf(quoted, sizeof quoted, "\"%s\"", reply->tag);
        (void)MHD_add_response_header(response, "ETag", quoted);
    }
    if (reply->status == 401)
        (void)MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
    if (reply->status == 503)
        (void)MHD_add_response_header(response, "Retry-After", "1");
}

static enum MHD_Result send_reply(exchange *x, pfm_http_reply *reply, const char *allowed)
{
    x->status = reply->status != 0 ? reply->status : 200;
    reply->status = x->status;
    struct MHD_Response *response = make_response(reply);
    if (response == NULL)
        return MHD_NO;
    add_headers(response, reply);
    if (allowed != NULL)
        (void)MHD_add_response_header(response, "Allow", allowed);
    const enum MHD_Result result = MHD_queue_response(x->request.carrier, x->status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result send_error(exchange *x, pfm_http_reply *reply, const pfm_error *failure, const char *allowed)
{
    if (pfm_http_describe_error(reply, failure, NULL) != PFM_OK) {
        reply->status = 503;
        reply->fixed = "{}";
        reply->fixed_size = 2;
    }
    return send_reply(x, reply, allowed);
}

/* ---- requests ---- */

static size_t length_of(const pfm_http_request *request)
{
    const char *text = pfm_http_header(request, "Content-Length");
    return text != NULL ? (size_t)strtoull(text, NULL, 10) : 0;
}

static pfm_status refuse_length(const pfm_server *server, pfm_http_reply *reply, pfm_error *err)
{
    return pfm_http_refuse(reply, 413, "request_too_large", err,
                           "the request is larger than the %zu bytes that this server takes (--max-body)", server->limits.body);
}

/* Whether the client asked whether it may send its body. */
static bool waits_for_word(const pfm_http_request *request)
{
    const char *wanted = pfm_http_header(request, "Expect");
    return wanted != NULL && strcasecmp(wanted, "100-continue") == 0;
}

/* What a head alone tells. A client that sends its body without asking hears of nothing before its end, so that of what is not
 * much too large all is read. */
static pfm_status check_head(exchange *x, pfm_http_reply *reply, char allowed[64], pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_server *server = x->http->server;
    PFM_TRY(pfm_route_find(&x->request, &x->route, allowed, err));
    PFM_TRY(pfm_guard_check(server, &x->request, x->route, reply, err));
    if (x->route == NULL && allowed[0] != '\0')
        PFM_TRY(pfm_http_refuse(reply, 405, "method_not_allowed", err, "%.16s is not for %.100s, which takes %s",
                                x->request.method, x->request.path, allowed));
    if (x->route == NULL)
        PFM_TRY(pfm_http_refuse(reply, 404, "unknown_path", err, "there is nothing at %.200s", x->request.path));
    if (x->http->draining)
        PFM_TRY(pfm_http_refuse(reply, 503, "stopping", err, "the server is being stopped"));
    if (length_of(&x->request) > server->limits.body * (waits_for_word(&x->request) ? 1 : DROPPED))
        PFM_TRY(refuse_length(server, reply, err));
done:
    return status;
}

static enum MHD_Result begin(exchange *x)
{
    pfm_error failure = PFM_ERROR_INIT;
    pfm_http_reply reply = {0};
    char allowed[64] = "";
    x->begun = true;
    if (check_head(x, &reply, allowed, &failure) == PFM_OK)
        return MHD_YES;
    return send_error(x, &reply, &failure, reply.status == 405 ? allowed : NULL);
}

/* Whether so many bytes more can be kept: of one body as many as are taken, of all together four times that. */
static bool hold(exchange *x, size_t size)
{
    pfm_http *http = x->http;
    const size_t most = http->server->limits.body;
    (void)pthread_mutex_lock(&http->lock);
    x->too_large = x->body.size + size > most;
    x->crowded = !x->too_large && http->body_bytes + size > MOST_BODIES * most;
    const bool fits = !x->too_large && !x->crowded;
    http->body_bytes += fits ? size : 0;
    http->body_bytes -= fits ? 0 : x->held; /* what was kept of it is of no use */
    x->held = fits ? x->held + size : 0;
    (void)pthread_mutex_unlock(&http->lock);
    return fits;
}

/* Reads on to the end of what is too large, for a reply to it comes behind; but not for ever. */
static enum MHD_Result receive(exchange *x, const char *bytes, size_t *size)
{
    const bool late = pfm_process_clock() - x->request.started > BODY_SECONDS;
    if (late || x->dropped > DROPPED * x->http->server->limits.body)
        return MHD_NO;
    const bool fits = !x->too_large && !x->crowded && hold(x, *size);
    if (!fits) {
        pfm_buffer_free(&x->body);
        x->dropped += *size;
    } else if (pfm_buffer_append(&x->body, bytes, *size, NULL) != PFM_OK) {
        return MHD_NO;
    }
    *size = 0;
    return MHD_YES;
}

static enum MHD_Result answer(exchange *x)
{
    pfm_error failure = PFM_ERROR_INIT;
    pfm_http_reply reply = {0};
    pfm_server *server = x->http->server;
    x->request.body = x->body.data != NULL ? x->body.data : "";
    x->request.size = x->body.size;
    pfm_status status = x->too_large ? refuse_length(server, &reply, &failure)
                        : x->crowded ? pfm_http_refuse(&reply, 503, "overloaded", &failure,
                                                       "other requests' bodies take all the memory that there is for them; try "
                                                       "again later")
                                     : x->route->answer(server, &x->request, &reply, &failure);
    return status == PFM_OK ? send_reply(x, &reply, NULL) : send_error(x, &reply, &failure, NULL);
}

static pfm_watched *watched_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}

static void note_connection(void *user, struct MHD_Connection *connection, void **state,
                            enum MHD_ConnectionNotificationCode code)
{
    pfm_http *http = user;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *state = pfm_watch_add(http->watch, MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd);
    } else {
        pfm_watch_remove(http->watch, *state);
        *state = NULL;
    }
}

static enum MHD_Result serve(void *user, struct MHD_Connection *connection, const char *path, const char *method,
                             const char *version, const char *bytes, size_t *size, void **state)
{
    (void)version;
    exchange *x = *state;
    pfm_http *http = user;
    if (x == NULL) {
        if (pfm_allocate(1, sizeof *x, &x, NULL) != PFM_OK)
            return MHD_NO;
        x->http = http;
        x->request = (pfm_http_request){.method = method, .path = path, .started = pfm_process_clock(), .carrier = connection};
        *state = x;
        pfm_watch_asked(http->watch, watched_of(connection));
        (void)pthread_mutex_lock(&http->lock);
        http->running++;
        (void)pthread_mutex_unlock(&http->lock);
        return begin(x);
    }
    return *size > 0 ? receive(x, bytes, size) : answer(x);
}

static void finished(void *user, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode code)
{
    (void)code;
    pfm_http *http = user;
    exchange *x = *state;
    if (x == NULL)
        return;
    pfm_watch_answered(http->watch, watched_of(connection));
    pfm_tally_request(&http->server->tally, x->route, x->status, pfm_process_clock() - x->request.started);
    (void)pthread_mutex_lock(&http->lock);
    http->running--;
    http->body_bytes -= x->held;
    (void)pthread_cond_broadcast(&http->quiet);
    (void)pthread_mutex_unlock(&http->lock);
    for (size_t i = 0; i < PFM_HTTP_PLACES; i++)
        free(x->request.places[i]);
    pfm_buffer_free(&x->body);
    free(x);
    *state = NULL;
}

/* ---- the daemon ---- */

static pfm_status read_pem(const char *path, pfm_buffer *out, pfm_error *err)
{
    return path != NULL ? pfm_file_read(path, 1 << 20, out, err) : PFM_OK;
}

static pfm_status start(pfm_http *http, int listener, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_serve_options *o = http->server->options;
    pfm_buffer certificate = {0}, key = {0};
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL;
    PFM_TRY(read_pem(o->certificate, &certificate, err));
    PFM_TRY(read_pem(o->key, &key, err));
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, certificate.data}, {MHD_OPTION_HTTPS_MEM_KEY, 0, key.data}, {MHD_OPTION_END, 0, NULL}};
    if (certificate.data != NULL)
        flags |= MHD_USE_TLS;
    else
        tls[0].option = MHD_OPTION_END;
    http->daemon =
        MHD_start_daemon(flags, 0, NULL, NULL, serve, http, MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_LIMIT,
                         (unsigned)http->server->limits.connections, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_BYTES, MHD_OPTION_THREAD_STACK_SIZE,
                         (size_t)STACK_BYTES, MHD_OPTION_NOTIFY_COMPLETED, finished, http, MHD_OPTION_NOTIFY_CONNECTION,
                         note_connection, http, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    if (http->daemon == NULL)
        PFM_FAIL(PFM_ERROR_USAGE,
                 o->certificate != NULL ? "cannot start the server with %s and its key; both must be PEM files "
                                          "of one certificate"
                                        : "cannot start the server%s",
                 o->certificate != NULL ? o->certificate : "");
done:
    pfm_buffer_free(&certificate);
    pfm_buffer_free(&key);
    return status;
}

pfm_status pfm_http_open(pfm_server *server, pfm_http **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    int listener = -1;
    pfm_http *http = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *http, &http, err));
    http->server = server;
    (void)pthread_mutex_init(&http->lock, NULL);
    (void)pthread_cond_init(&http->quiet, NULL);
    PFM_TRY(
        pfm_socket_listen(server->options->host, server->options->port, &listener, &server->is_loopback, &http->address, err));
    if (!server->is_loopback && server->options->token == NULL)
        PFM_FAIL(PFM_ERROR_USAGE,
                 "%s can be reached from other machines, and anyone there could ask; give a token (--token, --token-file or "
                 "PEFOMED_TOKEN), or listen to 127.0.0.1",
                 server->options->host);
    PFM_TRY(pfm_watch_create(HEAD_SECONDS, &http->watch, err));
    PFM_TRY(start(http, listener, err));
    listener = -1;
    *out = http;
    http = NULL;
done:
    if (listener >= 0)
        (void)close(listener);
    pfm_http_close(http);
    return status;
}

pfm_status pfm_http_address(const pfm_http *http, char **out, pfm_error *err)
{
    return pfm_string_format(out, err, "http%s://%s/", http->server->options->certificate != NULL ? "s" : "", http->address);
}

void pfm_http_drain(pfm_http *http, double seconds)
{
    const double until = pfm_process_clock() + seconds;
    const int listener = MHD_quiesce_daemon(http->daemon);
    if (listener >= 0)
        (void)close(listener);
    (void)pthread_mutex_lock(&http->lock);
    http->draining = true;
    while (http->running > 0 && pfm_process_clock() < until)
        pfm_wait_for(&http->quiet, &http->lock, until - pfm_process_clock());
    (void)pthread_mutex_unlock(&http->lock);
}

void pfm_http_close(pfm_http *http)
{
    if (http == NULL)
        return;
    if (http->daemon != NULL)
        MHD_stop_daemon(http->daemon);
    pfm_watch_free(http->watch);
    (void)pthread_mutex_destroy(&http->lock);
    (void)pthread_cond_destroy(&http->quiet);
    free(http->address);
    free(http);
}
