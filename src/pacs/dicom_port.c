#include "pacs/dicom_port.h"

#include "base/memory.h"
#include "base/process.h"
#include "base/try.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    LOOK_MILLISECONDS = 100,
    SHORTEST_REQUEST = 68,
    LARGEST_REQUEST = 1 << 20,
    ENOUGH = 32768,
    RECEIVE_BUFFER = 1 << 18,
    THREAD_STACK = 1 << 20
};

typedef struct connection {
    pfm_dicom_port *port;
    int socket, watched; /* watched: a copy, to end it from outside */
    char address[64];
    bool used;
} connection;

struct pfm_dicom_port {
    pfm_dicom_port_options options;
    int socket, number;
    char address[64];
    bool started;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    bool stopping;
    connection *connections; /* [options.associations] */
    int open;
};

/* An IPv4 caller of a port of both families is called by its IPv4 address. */
static void tell_address(const struct sockaddr *at, socklen_t size, char out[64])
{
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)at;
    out[0] = '\0';
    if (at->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr))
        (void)inet_ntop(AF_INET, &six->sin6_addr.s6_addr[12], out, 64);
    else
        (void)getnameinfo(at, size, out, 64, NULL, 0, NI_NUMERICHOST);
}

pfm_status pfm_dicom_resolve(const char *host, pfm_dicom_address *out, size_t *count, pfm_error *err)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const int fault = getaddrinfo(host, NULL, &hints, &found);
    if (fault != 0)
        return pfm_error_set(err, PFM_ERROR_USAGE, "the host %.200s has no address: %s", host, gai_strerror(fault));
    *count = 0;
    for (const struct addrinfo *one = found; one != NULL && *count < PFM_DICOM_ADDRESSES; one = one->ai_next)
        tell_address(one->ai_addr, one->ai_addrlen, out[(*count)++]);
    freeaddrinfo(found);
    return PFM_OK;
}

bool pfm_dicom_is_loopback(const char *address) { return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0; }

/* Binds to the first address of the host that can be had; errno says why none could. */
static bool listen_on(pfm_dicom_port *port, const struct addrinfo *at)
{
    const int yes = 1, no = 0, buffer = RECEIVE_BUFFER;
    union {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
    } bound = {.six = {0}};
    socklen_t size = sizeof bound;
    tell_address(at->ai_addr, at->ai_addrlen, port->address);
    port->socket = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (port->socket >= 0) { /* room for a whole request for an association */
        (void)setsockopt(port->socket, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
        if (at->ai_family == AF_INET6)
            (void)setsockopt(port->socket, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
    }
    if (port->socket >= 0 && setsockopt(port->socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
        bind(port->socket, at->ai_addr, at->ai_addrlen) == 0 && listen(port->socket, SOMAXCONN) == 0 &&
        getsockname(port->socket, &bound.any, &size) == 0) {
        port->number = ntohs(bound.any.sa_family == AF_INET6 ? bound.six.sin6_port : bound.four.sin_port);
        return true;
    }
    const int fault = errno;
    if (port->socket >= 0)
        (void)close(port->socket);
    port->socket = -1;
    errno = fault;
    return false;
}

pfm_status pfm_dicom_port_open(const pfm_dicom_port_options *options, pfm_dicom_port **out, bool *loopback, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_dicom_port *port = NULL;
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    const char *host = options->host != NULL ? options->host : "127.0.0.1";
    char number[16];
    PFM_TRY(pfm_allocate(1, sizeof *port, &port, err));
    *port = (pfm_dicom_port){.options = *options, .socket = -1};
    (void)pthread_mutex_init(&port->lock, NULL);
    (void)pthread_cond_init(&port->changed, NULL);
    PFM_TRY(pfm_allocate((size_t)options->associations, sizeof *port->connections, &port->connections, err));
    (void)snprintf(number, sizeof number, "%d", options->port);
    const int fault = getaddrinfo(host, number, &hints, &found);
    if (fault != 0)
        PFM_FAIL(PFM_ERROR_USAGE, "the host %.200s has no address: %s; choose another with --dicom-host", host,
                 gai_strerror(fault));
    for (const struct addrinfo *at = found; at != NULL && port->socket < 0; at = at->ai_next)
        (void)listen_on(port, at);
    if (port->socket < 0)
        PFM_FAIL(PFM_ERROR_USAGE, "cannot listen on %s port %d: %s; choose another with --dicom-host and --dicom-port",
                 port->address, options->port, strerror(errno));
    *loopback = pfm_dicom_is_loopback(port->address);
    *out = port;
    port = NULL;
done:
    if (found != NULL)
        freeaddrinfo(found);
    pfm_dicom_port_close(port);
    return status;
}

int pfm_dicom_port_number(const pfm_dicom_port *port) { return port->number; }
const char *pfm_dicom_port_address(const pfm_dicom_port *port) { return port->address; }

static bool is_stopping(pfm_dicom_port *port)
{
    (void)pthread_mutex_lock(&port->lock);
    const bool stopping = port->stopping;
    (void)pthread_mutex_unlock(&port->lock);
    return stopping;
}

/* Of a PDU, which begins here. */
static size_t length_of(const unsigned char *bytes)
{
    return (size_t)bytes[2] << 24 | (size_t)bytes[3] << 16 | (size_t)bytes[4] << 8 | bytes[5];
}

/* Whether what comes is a request for an association (PS3.8, 9.3.2) that is there as a whole, or as much of it as fits. It is
 * only looked at: DCMTK, which serves one newcomer at a time, reads it then without waiting for anybody. */
static bool asks_for_association(const connection *c)
{
    unsigned char bytes[ENOUGH];
    const double until = pfm_process_clock() + c->port->options.seconds;
    const struct timespec pause = {.tv_nsec = 5000000};
    while (pfm_process_clock() < until && !is_stopping(c->port)) {
        struct pollfd one = {.fd = c->socket, .events = POLLIN};
        if (poll(&one, 1, LOOK_MILLISECONDS) == 0)
            continue;
        const ssize_t got = recv(c->socket, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR) || (got > 0 && bytes[0] != 1) ||
            (got > 1 && bytes[1] != 0))
            return false;
        if (got >= 6) {
            const size_t length = length_of(bytes);
            if (length < SHORTEST_REQUEST || length > LARGEST_REQUEST)
                return false;
            if ((size_t)got == sizeof bytes || (size_t)got >= length + 6)
                return true;
        }
        (void)nanosleep(&pause, NULL); /* poll would say at once that there is something */
    }
    return false;
}

static bool is_stopping_port(void *user) { return is_stopping(user); }

/* The same through TLS, where the bytes are read, and given again. NULL where it does not come. */
static pfm_dicom_secure *secure(const connection *c)
{
    const pfm_dicom_patience patience = {pfm_process_clock() + c->port->options.seconds, is_stopping_port, c->port};
    const unsigned char *b = NULL;
    pfm_dicom_secure *stream = pfm_dicom_secure_open(c->port->options.tls, c->socket, &patience);
    if (stream == NULL)
        return NULL;
    if (pfm_dicom_secure_look(stream, 6, &patience, &b) && b[0] == 1 && b[1] == 0) {
        const size_t length = length_of(b);
        if (length >= SHORTEST_REQUEST && length <= LARGEST_REQUEST && pfm_dicom_secure_look(stream, length + 6, &patience, &b))
            return stream;
    }
    pfm_dicom_secure_free(stream);
    return NULL;
}

static void *serve_connection(void *user)
{
    connection *c = user;
    pfm_dicom_port *port = c->port;
    pfm_dicom_secure *stream = port->options.tls != NULL ? secure(c) : NULL;
    if (stream != NULL || (port->options.tls == NULL && asks_for_association(c)))
        port->options.serve(port->options.user, c->socket, stream, c->address);
    else
        (void)close(c->socket);
    pfm_dicom_secure_free(stream);
    (void)pthread_mutex_lock(&port->lock);
    (void)close(c->watched);
    c->used = false;
    port->open--;
    (void)pthread_cond_broadcast(&port->changed);
    (void)pthread_mutex_unlock(&port->lock);
    return NULL;
}

/* "Rejected for now, by the presentation service: the local limit is exceeded" (PS3.8, 9.3.4). */
static void turn_away(int socket)
{
    static const unsigned char rejected[] = {3, 0, 0, 0, 0, 4, 0, 2, 3, 2};
    (void)!send(socket, rejected, sizeof rejected, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)shutdown(socket, SHUT_WR);
    (void)close(socket);
}

static bool start_thread(connection *c)
{
    pthread_attr_t attributes;
    pthread_t thread;
    if (pthread_attr_init(&attributes) != 0)
        return false;
    const bool started = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0 &&
                         pthread_attr_setstacksize(&attributes, THREAD_STACK) == 0 &&
                         pthread_create(&thread, &attributes, serve_connection, c) == 0;
    (void)pthread_attr_destroy(&attributes);
    return started;
}

static void take_connection(pfm_dicom_port *port, int socket, const char *address)
{
    connection *c = NULL;
    (void)pthread_mutex_lock(&port->lock);
    for (int i = 0; c == NULL && i < port->options.associations; i++)
        if (!port->connections[i].used)
            c = &port->connections[i];
    if (c != NULL) {
        *c = (connection){.port = port, .socket = socket, .watched = dup(socket), .used = true};
        memcpy(c->address, address, sizeof c->address);
        port->open++;
        if (c->watched < 0 || !start_thread(c)) {
            if (c->watched >= 0)
                (void)close(c->watched);
            c->used = false;
            port->open--;
            c = NULL;
        }
    }
    (void)pthread_mutex_unlock(&port->lock);
    if (c == NULL && port->options.tls == NULL)
        turn_away(socket);
    else if (c == NULL) /* no handshake only to say so */
        (void)close(socket);
}

static void *listen_to_all(void *user)
{
    pfm_dicom_port *port = user;
    while (!is_stopping(port)) {
        struct pollfd one = {.fd = port->socket, .events = POLLIN};
        struct sockaddr_storage from = {0};
        socklen_t size = sizeof from;
        char address[64] = "";
        if (poll(&one, 1, LOOK_MILLISECONDS) <= 0)
            continue;
        const int socket = accept4(port->socket, (struct sockaddr *)&from, &size, SOCK_CLOEXEC);
        if (socket < 0)
            continue;
        tell_address((const struct sockaddr *)&from, size, address);
        if (port->options.knows(port->options.user, address))
            take_connection(port, socket, address);
        else
            (void)close(socket);
    }
    return NULL;
}

pfm_status pfm_dicom_port_start(pfm_dicom_port *port, pfm_error *err)
{
    if (pthread_create(&port->thread, NULL, listen_to_all, port) != 0)
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: cannot start a thread for the DICOM port");
    port->started = true;
    return PFM_OK;
}

void pfm_dicom_port_close(pfm_dicom_port *port)
{
    if (port == NULL)
        return;
    (void)pthread_mutex_lock(&port->lock);
    port->stopping = true;
    (void)pthread_mutex_unlock(&port->lock);
    if (port->started)
        (void)pthread_join(port->thread, NULL);
    (void)pthread_mutex_lock(&port->lock);
    for (int i = 0; port->connections != NULL && i < port->options.associations; i++)
        if (port->connections[i].used)
            (void)shutdown(port->connections[i].watched, SHUT_RDWR);
    while (port->open > 0)
        (void)pthread_cond_wait(&port->changed, &port->lock);
    (void)pthread_mutex_unlock(&port->lock);
    if (port->socket >= 0)
        (void)close(port->socket);
    (void)pthread_mutex_destroy(&port->lock);
    (void)pthread_cond_destroy(&port->changed);
    free(port->connections);
    free(port);
}
