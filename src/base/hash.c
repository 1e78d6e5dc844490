#include "base/hash.h"

#include "base/file.h"
#include "base/try.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct pfm_hash {
    EVP_MD_CTX *state;
};

pfm_status pfm_hash_create(pfm_hash **out, pfm_error *err)
{
    pfm_hash *hash = NULL;
    pfm_status status = pfm_allocate(1, sizeof *hash, &hash, err);
    if (status != PFM_OK)
        return status;
    hash->state = EVP_MD_CTX_new();
    if (hash->state == NULL || EVP_DigestInit_ex(hash->state, EVP_sha256(), NULL) != 1) {
        pfm_hash_free(hash);
        return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not start a SHA-256");
    }
    *out = hash;
    return PFM_OK;
}

void pfm_hash_free(pfm_hash *hash)
{
    if (hash == NULL)
        return;
    EVP_MD_CTX_free(hash->state);
    free(hash);
}

void pfm_hash_update(pfm_hash *hash, const void *bytes, size_t count) { (void)EVP_DigestUpdate(hash->state, bytes, count); }

void pfm_hash_finish(pfm_hash *hash, pfm_hash_hex out)
{
    unsigned char digest[32] = {0};
    unsigned int length = 0;
    (void)EVP_DigestFinal_ex(hash->state, digest, &length);
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 32; i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
    out[64] = '\0';
}

pfm_status pfm_hash_bytes(const void *bytes, size_t count, pfm_hash_hex out, pfm_error *err)
{
    pfm_hash *hash = NULL;
    pfm_status status = pfm_hash_create(&hash, err);
    if (status != PFM_OK)
        return status;
    pfm_hash_update(hash, bytes, count);
    pfm_hash_finish(hash, out);
    pfm_hash_free(hash);
    return PFM_OK;
}

pfm_status pfm_hash_file(const char *path, pfm_hash_hex out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_hash *hash = NULL;
    char *chunk = NULL;
    enum { CHUNK = 1 << 18 };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        PFM_FAIL(PFM_ERROR_IO, "cannot open %s: %s", path, strerror(errno));
    PFM_TRY(pfm_allocate(CHUNK, 1, &chunk, err));
    PFM_TRY(pfm_hash_create(&hash, err));
    for (;;) {
        ssize_t got = read(fd, chunk, CHUNK);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            PFM_FAIL(PFM_ERROR_IO, "cannot read %s: %s", path, strerror(errno));
        if (got == 0)
            break;
        pfm_hash_update(hash, chunk, (size_t)got);
    }
    pfm_hash_finish(hash, out);
done:
    if (fd >= 0)
        close(fd);
    pfm_hash_free(hash);
    free(chunk);
    return status;
}
