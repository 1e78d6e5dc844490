#include "serve/socket.h"

#include "base/memory.h"
#include "base/try.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool is_loopback(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
    return address->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
}

static pfm_status describe(const struct sockaddr_storage *address, char **out, pfm_error *err)
{
    char host[NI_MAXHOST] = "", service[NI_MAXSERV] = "";
    const bool v6 = address->ss_family == AF_INET6;
    const int fault =
        getnameinfo((const struct sockaddr *)address, v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in), host,
                    sizeof host, service, sizeof service, NI_NUMERICHOST | NI_NUMERICSERV);
    if (fault != 0)
        return pfm_error_set(err, PFM_ERROR_IO, "cannot tell where the server listens: %s", gai_strerror(fault));
    return pfm_string_format(out, err, v6 ? "[%s]:%s" : "%s:%s", host, service);
}

pfm_status pfm_socket_listen(const char *host, int port, int *out, bool *loopback, char **address, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *name = host != NULL ? host : "127.0.0.1";
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    struct sockaddr_storage bound = {0};
    socklen_t size = sizeof bound;
    char service[16];
    const int yes = 1;
    int s = -1;
    (void)snprintf(service, sizeof service, "%d", port);
    const int fault = getaddrinfo(name, service, &hints, &found);
    if (fault != 0)
        PFM_FAIL(PFM_ERROR_USAGE, "--host cannot be %s: %s; give an address of this machine, as 127.0.0.1", name,
                 gai_strerror(fault));
    s = socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC, found->ai_protocol);
    if (s < 0 || setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
        bind(s, found->ai_addr, found->ai_addrlen) != 0 || listen(s, SOMAXCONN) != 0 ||
        getsockname(s, (struct sockaddr *)&bound, &size) != 0)
        PFM_FAIL(PFM_ERROR_USAGE, "cannot listen on %s port %d: %s; choose another with --host and --port", name, port,
                 strerror(errno));
    PFM_TRY(describe(&bound, address, err));
    *loopback = is_loopback(&bound);
    *out = s;
    s = -1;
done:
    if (found != NULL)
        freeaddrinfo(found);
    if (s >= 0)
        (void)close(s);
    return status;
}
