#include "carrier.h"

#include <fcntl.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { MOST_STREAM = 1 << 20 };

struct MHD_Response {
    char *body;
    size_t size;
    MHD_ContentReaderCallback read;
    MHD_ContentReaderFreeCallback free_read;
    void *user;
    size_t block;
    carrier_value headers[CARRIER_MOST_VALUES];
    size_t header_count;
};

struct MHD_Connection {
    const carrier_request *request;
    carrier_reply *reply;
    union MHD_ConnectionInfo info;
};

struct MHD_Daemon {
    int listener;
    MHD_AccessHandlerCallback handle;
    MHD_RequestCompletedCallback completed;
    void *user;
};

static struct MHD_Daemon the_daemon;
static atomic_bool is_started;

bool carrier_is_started(void) { return atomic_load(&is_started); }

static void *must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

/* ---- what the server calls ---- */

/* Of the options only what a request meets; http.c gives NOTIFY_COMPLETED and hands the same `user` to all. */
struct MHD_Daemon *MHD_start_daemon(unsigned flags, uint16_t port, MHD_AcceptPolicyCallback accept, void *accept_user,
                                    MHD_AccessHandlerCallback handle, void *user, ...)
{
    (void)flags;
    (void)port;
    (void)accept;
    (void)accept_user;
    va_list options;
    the_daemon = (struct MHD_Daemon){.listener = -1, .handle = handle, .user = user};
    va_start(options, user);
    for (int option; (option = va_arg(options, int)) != MHD_OPTION_ARRAY && option != MHD_OPTION_END;) {
        switch (option) {
        case MHD_OPTION_LISTEN_SOCKET: the_daemon.listener = va_arg(options, int); break;
        case MHD_OPTION_CONNECTION_LIMIT:
        case MHD_OPTION_CONNECTION_TIMEOUT: (void)va_arg(options, unsigned); break;
        case MHD_OPTION_CONNECTION_MEMORY_LIMIT:
        case MHD_OPTION_THREAD_STACK_SIZE: (void)va_arg(options, size_t); break;
        case MHD_OPTION_NOTIFY_COMPLETED:
            the_daemon.completed = va_arg(options, MHD_RequestCompletedCallback);
            (void)va_arg(options, void *);
            break;
        case MHD_OPTION_NOTIFY_CONNECTION:
            (void)va_arg(options, MHD_NotifyConnectionCallback);
            (void)va_arg(options, void *);
            break;
        default: abort();
        }
    }
    va_end(options);
    if (the_daemon.completed == NULL)
        abort();
    atomic_store(&is_started, true);
    return &the_daemon;
}

int MHD_quiesce_daemon(struct MHD_Daemon *daemon)
{
    const int listener = daemon->listener;
    daemon->listener = -1;
    return listener;
}

void MHD_stop_daemon(struct MHD_Daemon *daemon)
{
    if (daemon->listener >= 0)
        (void)close(daemon->listener);
    daemon->listener = -1;
}

const char *MHD_lookup_connection_value(struct MHD_Connection *connection, enum MHD_ValueKind kind, const char *name)
{
    const carrier_request *r = connection->request;
    return kind == MHD_HEADER_KIND ? carrier_find(r->headers, r->header_count, name)
                                   : carrier_find(r->arguments, r->argument_count, name);
}

int MHD_get_connection_values(struct MHD_Connection *connection, enum MHD_ValueKind kind, MHD_KeyValueIterator visit,
                              void *user)
{
    const carrier_request *r = connection->request;
    if (kind != MHD_GET_ARGUMENT_KIND)
        abort();
    for (size_t i = 0; i < r->argument_count; i++)
        if (visit(user, kind, r->arguments[i].name, r->arguments[i].value) != MHD_YES)
            return (int)i + 1;
    return (int)r->argument_count;
}

const union MHD_ConnectionInfo *MHD_get_connection_info(struct MHD_Connection *connection, enum MHD_ConnectionInfoType type,
                                                        ...)
{
    static int open_end = -1; /* of a client that stays */
    if (open_end < 0)
        open_end = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (type == MHD_CONNECTION_INFO_SOCKET_CONTEXT)
        connection->info.socket_context = NULL;
    else if (type == MHD_CONNECTION_INFO_CONNECTION_FD)
        connection->info.connect_fd = open_end;
    else
        abort();
    return &connection->info;
}

struct MHD_Response *MHD_create_response_from_buffer(size_t size, void *bytes, enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *response = must(calloc(1, sizeof *response));
    response->body = must(calloc(size + 1, 1)); /* what a client gets is read whole here: a size too large is seen */
    if (size > 0)
        memcpy(response->body, bytes, size);
    response->size = size;
    if (mode == MHD_RESPMEM_MUST_FREE)
        free(bytes);
    return response;
}

struct MHD_Response *MHD_create_response_from_callback(uint64_t size, size_t block, MHD_ContentReaderCallback read, void *user,
                                                       MHD_ContentReaderFreeCallback free_read)
{
    struct MHD_Response *response = must(calloc(1, sizeof *response));
    if (size != MHD_SIZE_UNKNOWN)
        abort();
    response->read = read;
    response->free_read = free_read;
    response->user = user;
    response->block = block;
    return response;
}

enum MHD_Result MHD_add_response_header(struct MHD_Response *response, const char *name, const char *value)
{
    if (response->header_count == CARRIER_MOST_VALUES || name[0] == '\0' || value[0] == '\0' ||
        name[strcspn(name, ": \t\r\n")] != '\0' || value[strcspn(value, "\r\n")] != '\0')
        abort(); /* libmicrohttpd would leave it out */
    response->headers[response->header_count++] = (carrier_value){must(strdup(name)), must(strdup(value))};
    return MHD_YES;
}

/* Reads a stream to its end, as a connection's thread does. */
static void read_stream(const struct MHD_Response *response, carrier_reply *reply)
{
    reply->body = must(calloc(1, 1));
    while (reply->size < MOST_STREAM) {
        reply->body = must(realloc(reply->body, reply->size + response->block + 1));
        const ssize_t count = response->read(response->user, reply->size, reply->body + reply->size, response->block);
        if (count == MHD_CONTENT_READER_END_OF_STREAM || count == MHD_CONTENT_READER_END_WITH_ERROR)
            break;
        if (count <= 0 || (size_t)count > response->block)
            abort();
        reply->size += (size_t)count;
    }
    reply->body[reply->size] = '\0';
}

enum MHD_Result MHD_queue_response(struct MHD_Connection *connection, unsigned status, struct MHD_Response *response)
{
    carrier_reply *reply = connection->reply;
    if (reply->status != 0 || status == 0)
        abort();
    reply->status = status;
    memcpy(reply->headers, response->headers, sizeof reply->headers);
    reply->header_count = response->header_count;
    response->header_count = 0;
    if (response->read != NULL) {
        read_stream(response, reply);
    } else {
        reply->body = response->body;
        reply->size = response->size;
        response->body = NULL;
    }
    return MHD_YES;
}

void MHD_destroy_response(struct MHD_Response *response)
{
    if (response->free_read != NULL)
        response->free_read(response->user);
    if (response->header_count > 0)
        abort(); /* one that was not sent */
    free(response->body);
    free(response);
}

/* ---- requests ---- */

const char *carrier_find(const carrier_value *values, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(values[i].name, name) == 0)
            return values[i].value;
    return NULL;
}

/* The text up to a mark, which becomes its end; *rest = what stands behind, NULL where the mark is not there. */
static char *cut(char *text, char mark, char **rest)
{
    char *at = text != NULL ? strchr(text, mark) : NULL;
    *rest = at != NULL ? at + 1 : NULL;
    if (at != NULL)
        *at = '\0';
    return text;
}

static void unescape_plus(char *text)
{
    for (; *text != '\0'; text++)
        if (*text == '+')
            *text = ' ';
}

static void parse_arguments(char *query, carrier_request *out)
{
    char *rest = query;
    while (rest != NULL && out->argument_count < CARRIER_MOST_VALUES) {
        char *value = NULL, *name = cut(cut(rest, '&', &rest), '=', &value);
        if (name[0] == '\0')
            continue;
        unescape_plus(name);
        (void)MHD_http_unescape(name);
        if (value != NULL) {
            unescape_plus(value);
            (void)MHD_http_unescape(value);
        }
        out->arguments[out->argument_count++] = (carrier_value){name, value};
    }
}

static bool parse_header(char *line, carrier_request *out)
{
    char *value = NULL;
    const char *name = cut(line, ':', &value);
    if (value == NULL || name[0] == '\0' || strpbrk(name, " \t") != NULL || out->header_count == CARRIER_MOST_VALUES)
        return false;
    value += strspn(value, " \t");
    value[strcspn(value, "\r")] = '\0';
    out->headers[out->header_count++] = (carrier_value){name, value};
    return true;
}

bool carrier_parse(char *text, size_t size, carrier_request *out)
{
    *out = (carrier_request){.body = text + size};
    const char *end = memmem(text, size, "\n\n", 2);
    if (end != NULL) {
        out->body = end + 2;
        out->size = size - (size_t)(out->body - text);
        text[end - text] = '\0';
    }
    if (strlen(text) != (end != NULL ? (size_t)(end - text) : size))
        return false; /* a NUL in the head */
    char *rest = NULL, *query = NULL, *target = NULL, *version = NULL, *line = cut(text, '\n', &rest);
    out->method = cut(line, ' ', &target);
    out->path = cut(cut(target, ' ', &version), '?', &query);
    if (out->method[0] == '\0' || out->path == NULL || out->path[0] == '\0')
        return false;
    parse_arguments(query, out);
    (void)MHD_http_unescape(out->path);
    while (rest != NULL)
        if (!parse_header(cut(rest, '\n', &rest), out))
            return false;
    return true;
}

void carrier_ask(const carrier_request *request, carrier_reply *out)
{
    struct MHD_Connection connection = {.request = request, .reply = out};
    void *state = NULL;
    const size_t first = request->size / 2;
    size_t left = 0;
    *out = (carrier_reply){0};
    enum MHD_Result result =
        the_daemon.handle(the_daemon.user, &connection, request->path, request->method, "HTTP/1.1", NULL, &left, &state);
    for (size_t at = 0; result == MHD_YES && out->status == 0 && at < request->size;) {
        const size_t size = at == 0 && first > 0 ? first : request->size - at;
        char *piece = must(malloc(size)); /* alone, so that reading past it is seen */
        memcpy(piece, request->body + at, size);
        left = size;
        result =
            the_daemon.handle(the_daemon.user, &connection, request->path, request->method, "HTTP/1.1", piece, &left, &state);
        free(piece);
        if (result == MHD_YES && left != 0)
            abort();
        at += size;
    }
    left = 0;
    if (result == MHD_YES && out->status == 0)
        result =
            the_daemon.handle(the_daemon.user, &connection, request->path, request->method, "HTTP/1.1", NULL, &left, &state);
    if (result == MHD_YES && out->status == 0)
        abort(); /* a request that nobody answers */
    the_daemon.completed(the_daemon.user, &connection, &state,
                         result == MHD_YES ? MHD_REQUEST_TERMINATED_COMPLETED_OK : MHD_REQUEST_TERMINATED_WITH_ERROR);
    if (state != NULL)
        abort();
}

void carrier_reply_free(carrier_reply *reply)
{
    for (size_t i = 0; i < reply->header_count; i++) {
        free((void *)(uintptr_t)reply->headers[i].name);
        free((void *)(uintptr_t)reply->headers[i].value);
    }
    free(reply->body);
    *reply = (carrier_reply){0};
}
