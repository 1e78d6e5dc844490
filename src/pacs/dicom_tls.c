#include "pacs/dicom_tls.h"

#include "base/memory.h"
#include "base/process.h"
#include "base/try.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_MILLISECONDS = 100, LARGEST_LOOK = (1 << 20) + 6 };

struct pfm_dicom_tls {
    SSL_CTX *context;
};

struct pfm_dicom_secure {
    SSL *ssl;
    int socket;
    unsigned char *looked; /* [size] what was read and not given yet, from `given` on */
    size_t size, given;
};

/* ---- the certificates ---- */

static pfm_status load(SSL_CTX *context, const char *certificate, const char *key, const char *trust, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1)
        PFM_FAIL(PFM_ERROR_USAGE, "--dicom-tls-certificate %s cannot be read as a certificate in PEM", certificate);
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
        PFM_FAIL(PFM_ERROR_USAGE, "--dicom-tls-key %s cannot be read as the key of --dicom-tls-certificate %s, in PEM", key,
                 certificate);
    if (trust == NULL)
        return PFM_OK;
    if (SSL_CTX_load_verify_locations(context, trust, NULL) != 1)
        PFM_FAIL(PFM_ERROR_USAGE, "--dicom-tls-trust %s cannot be read as certificates in PEM", trust);
    SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(trust));
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
done:
    return status;
}

pfm_status pfm_dicom_tls_create(const char *certificate, const char *key, const char *trust, pfm_dicom_tls **out,
                                pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_dicom_tls *tls = NULL;
    static const unsigned char session[] = "pefomed dicom";
    PFM_TRY(pfm_allocate(1, sizeof *tls, &tls, err));
    tls->context = SSL_CTX_new(TLS_server_method());
    if (tls->context == NULL || SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_cipher_list(tls->context, "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM") != 1 || /* RFC 9325, 4.2 */
        SSL_CTX_set_session_id_context(tls->context, session, sizeof session - 1) != 1)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: cannot prepare TLS for the DICOM port");
    (void)SSL_CTX_set_options(tls->context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    (void)SSL_CTX_set_mode(tls->context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    PFM_TRY(load(tls->context, certificate, key, trust, err));
    *out = tls;
    tls = NULL;
done:
    ERR_clear_error();
    pfm_dicom_tls_free(tls);
    return status;
}

void pfm_dicom_tls_free(pfm_dicom_tls *tls)
{
    if (tls == NULL)
        return;
    SSL_CTX_free(tls->context);
    free(tls);
}

/* ---- a connection ---- */

/* Whether the socket is as OpenSSL wants it within the time. */
static bool wait_for(const pfm_dicom_secure *stream, int result, int milliseconds)
{
    const int fault = SSL_get_error(stream->ssl, result);
    struct pollfd one = {.fd = stream->socket, .events = fault == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN};
    return poll(&one, 1, milliseconds) != 0;
}

static bool may_go_on(const pfm_dicom_secure *stream, int result)
{
    const int fault = SSL_get_error(stream->ssl, result);
    return fault == SSL_ERROR_WANT_READ || fault == SSL_ERROR_WANT_WRITE;
}

static bool is_over(const pfm_dicom_patience *patience)
{
    return pfm_process_clock() >= patience->until || patience->stopping(patience->user);
}

pfm_dicom_secure *pfm_dicom_secure_open(pfm_dicom_tls *tls, int socket, const pfm_dicom_patience *patience)
{
    pfm_dicom_secure *stream = NULL;
    int result = 0;
    const int flags = fcntl(socket, F_GETFL);
    if (pfm_allocate(1, sizeof *stream, &stream, NULL) != PFM_OK)
        return NULL;
    stream->socket = socket;
    stream->ssl = SSL_new(tls->context);
    bool good = stream->ssl != NULL && flags >= 0 && fcntl(socket, F_SETFL, flags | O_NONBLOCK) == 0 &&
                SSL_set_fd(stream->ssl, socket) == 1;
    while (good && (ERR_clear_error(), result = SSL_accept(stream->ssl)) != 1) {
        good = may_go_on(stream, result) && !is_over(patience);
        if (good)
            (void)wait_for(stream, result, LOOK_MILLISECONDS);
    }
    if (!good) {
        ERR_clear_error();
        pfm_dicom_secure_free(stream);
        return NULL;
    }
    return stream;
}

void pfm_dicom_secure_free(pfm_dicom_secure *stream)
{
    if (stream == NULL)
        return;
    SSL_free(stream->ssl);
    free(stream->looked);
    free(stream);
}

bool pfm_dicom_secure_look(pfm_dicom_secure *stream, size_t count, const pfm_dicom_patience *patience,
                           const unsigned char **bytes)
{
    if (count > LARGEST_LOOK)
        return false;
    if (count > stream->size) {
        unsigned char *more = realloc(stream->looked, count);
        if (more == NULL)
            return false;
        stream->looked = more;
    }
    while (stream->size < count) {
        ERR_clear_error();
        const int result = SSL_read(stream->ssl, stream->looked + stream->size, (int)(count - stream->size));
        if (result > 0)
            stream->size += (size_t)result;
        else if (!may_go_on(stream, result) || is_over(patience))
            return false;
        else
            (void)wait_for(stream, result, LOOK_MILLISECONDS);
    }
    *bytes = stream->looked;
    return true;
}

ssize_t pfm_dicom_secure_read(pfm_dicom_secure *stream, void *bytes, size_t count, int seconds)
{
    const size_t left = stream->size - stream->given;
    if (left > 0) {
        const size_t some = count < left ? count : left;
        memcpy(bytes, stream->looked + stream->given, some);
        stream->given += some;
        return (ssize_t)some;
    }
    for (;;) {
        ERR_clear_error();
        const int result = SSL_read(stream->ssl, bytes, count < 1 << 30 ? (int)count : 1 << 30);
        if (result > 0)
            return result;
        if (SSL_get_error(stream->ssl, result) == SSL_ERROR_ZERO_RETURN)
            return 0;
        if (!may_go_on(stream, result) || !wait_for(stream, result, seconds * 1000)) {
            errno = ETIMEDOUT;
            return -1;
        }
    }
}

ssize_t pfm_dicom_secure_write(pfm_dicom_secure *stream, const void *bytes, size_t count, int seconds)
{
    for (;;) {
        ERR_clear_error();
        const int result = SSL_write(stream->ssl, bytes, count < 1 << 30 ? (int)count : 1 << 30);
        if (result > 0)
            return result;
        if (!may_go_on(stream, result) || !wait_for(stream, result, seconds * 1000)) {
            errno = EPIPE;
            return -1;
        }
    }
}

bool pfm_dicom_secure_wait(pfm_dicom_secure *stream, int seconds)
{
    struct pollfd one = {.fd = stream->socket, .events = POLLIN};
    return stream->size > stream->given || SSL_has_pending(stream->ssl) == 1 || poll(&one, 1, seconds * 1000) > 0;
}

void pfm_dicom_secure_end(pfm_dicom_secure *stream)
{
    ERR_clear_error();
    (void)SSL_shutdown(stream->ssl);
    ERR_clear_error();
}
