#include "models/vision/feature_file.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/try.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LANES = 4, STALE_SECONDS = 3600 };

typedef struct feature_header {
    char magic[8];
    uint32_t grid, channels;
    uint64_t payload_bytes, checksum;
    char key[64];
    uint64_t told_bytes, told_checksum; /* 0: no text */
    uint8_t text;                       /* pfm_feature_text; 0 in files of before 2026-11-27 */
    char unused[15];
} feature_header;
_Static_assert(sizeof(feature_header) == PFM_FEATURE_HEADER_BYTES, "the header has no holes");

/* Against damage, not against forgery: four multiply-and-rotate lanes over 64-bit words, any change of one word changes it. */
static uint64_t checksum(const void *bytes, size_t count)
{
    const uint64_t prime = 0x9E3779B97F4A7C15u;
    uint64_t lanes[LANES] = {1, 2, 3, count}, word;
    const unsigned char *next = bytes;
    size_t words = count / sizeof word, tail = count % sizeof word;
    for (size_t i = 0; i < words; i++, next += sizeof word) {
        memcpy(&word, next, sizeof word);
        uint64_t mixed = (lanes[i % LANES] ^ word) * prime;
        lanes[i % LANES] = mixed << 31 | mixed >> 33;
    }
    word = 0;
    memcpy(&word, next, tail);
    uint64_t sum = word;
    for (int l = 0; l < LANES; l++) {
        sum = (sum ^ lanes[l]) * prime;
        sum ^= sum >> 29;
    }
    return sum;
}

static feature_header make_header(const pfm_hash_hex key, const pfm_vision_shape *shape)
{
    feature_header header = {.magic = "PFMFEAT", .grid = (uint32_t)shape->grid, .channels = (uint32_t)shape->channels};
    header.payload_bytes = pfm_vision_shape_values(shape) * sizeof(uint16_t);
    memcpy(header.key, key, sizeof header.key);
    return header;
}

static bool read_whole(int fd, void *out, size_t count, off_t offset)
{
    char *next = out;
    while (count > 0) {
        ssize_t got = pread(fd, next, count, offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        next += got;
        offset += got;
        count -= (size_t)got;
    }
    return true;
}

/* The file's descriptor and its header where header and length are as expected, else -1. */
static int open_checked(const char *path, const pfm_hash_hex key, const pfm_vision_shape *shape, feature_header *header)
{
    feature_header expected = make_header(key, shape);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    struct stat info;
    bool right = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && read_whole(fd, header, sizeof *header, 0) &&
                 header->told_bytes <= PFM_FEATURE_TOLD_BYTES &&
                 (uint64_t)info.st_size == sizeof expected + expected.payload_bytes + header->told_bytes;
    if (right) {
        expected.checksum = header->checksum;
        expected.told_bytes = header->told_bytes;
        expected.told_checksum = header->told_checksum;
        expected.text = header->text;
    }
    if (right && memcmp(header, &expected, sizeof expected) == 0)
        return fd;
    close(fd);
    return -1;
}

bool pfm_feature_file_present(const char *path, const pfm_hash_hex key, const pfm_vision_shape *shape, pfm_feature_text *text)
{
    feature_header header;
    int fd = open_checked(path, key, shape, &header);
    *text = PFM_FEATURE_TEXT_UNKNOWN;
    if (fd >= 0 && header.text <= PFM_FEATURE_TEXT_FOUND)
        *text = (pfm_feature_text)header.text;
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

bool pfm_feature_file_read(const char *path, const pfm_hash_hex key, const pfm_vision_shape *shape, uint16_t *out)
{
    feature_header header;
    int fd = open_checked(path, key, shape, &header);
    if (fd < 0)
        return false;
    bool whole =
        read_whole(fd, out, header.payload_bytes, sizeof header) && checksum(out, header.payload_bytes) == header.checksum;
    close(fd);
    return whole;
}

pfm_status pfm_feature_file_read_told(const char *path, const pfm_hash_hex key, const pfm_vision_shape *shape, char **told,
                                      pfm_error *err)
{
    pfm_status status = PFM_OK;
    feature_header header;
    char *text = NULL;
    *told = NULL;
    int fd = open_checked(path, key, shape, &header);
    if (fd < 0 || header.told_bytes == 0)
        goto done;
    PFM_TRY(pfm_allocate((size_t)header.told_bytes + 1, 1, &text, err));
    if (!read_whole(fd, text, (size_t)header.told_bytes, (off_t)(sizeof header + header.payload_bytes)) ||
        checksum(text, (size_t)header.told_bytes) != header.told_checksum)
        goto done;
    *told = text;
    text = NULL;
done:
    if (fd >= 0)
        close(fd);
    free(text);
    return status;
}

static pfm_status write_whole(int fd, const void *bytes, size_t count, const char *path, pfm_error *err)
{
    const char *next = bytes;
    while (count > 0) {
        ssize_t put = write(fd, next, count);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return pfm_error_set(err, PFM_ERROR_IO, "cannot write %s: %s", path, strerror(errno));
        next += put;
        count -= (size_t)put;
    }
    return PFM_OK;
}

pfm_status pfm_feature_file_write(const char *path, const pfm_hash_hex key, const pfm_vision_shape *shape,
                                  const uint16_t *values, const char *told, pfm_feature_text text, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *temporary = NULL;
    feature_header header = make_header(key, shape);
    header.text = (uint8_t)text;
    header.checksum = checksum(values, header.payload_bytes);
    if (told != NULL && strlen(told) <= PFM_FEATURE_TOLD_BYTES) {
        header.told_bytes = strlen(told);
        header.told_checksum = checksum(told, strlen(told));
    }
    int fd = -1;
    /* The address of a local tells the threads of a process apart. */
    PFM_TRY(pfm_string_format(&temporary, err, "%s.tmp.%ld.%zx", path, (long)getpid(), (size_t)(uintptr_t)&header));
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        PFM_FAIL(PFM_ERROR_IO, "cannot create %s: %s", path, strerror(errno));
    status = write_whole(fd, &header, sizeof header, path, err);
    if (status == PFM_OK)
        status = write_whole(fd, values, header.payload_bytes, path, err);
    if (status == PFM_OK && header.told_bytes > 0)
        status = write_whole(fd, told, (size_t)header.told_bytes, path, err);
    if (close(fd) != 0 && status == PFM_OK)
        status = pfm_error_set(err, PFM_ERROR_IO, "cannot write %s: %s", path, strerror(errno));
    if (status == PFM_OK && rename(temporary, path) != 0)
        status = pfm_error_set(err, PFM_ERROR_IO, "cannot create %s: %s", path, strerror(errno));
    if (status != PFM_OK)
        (void)unlink(temporary);
done:
    free(temporary);
    return status;
}

void pfm_feature_file_note(const char *path, pfm_feature_text text)
{
    const uint8_t byte = (uint8_t)text;
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    const ssize_t put = pwrite(fd, &byte, sizeof byte, (off_t)offsetof(feature_header, text));
    (void)put;
    close(fd);
}

/* The size of one file of the folder; 0 for a left temporary file, which is removed. */
static uint64_t measure_one(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode))
        return 0;
    bool stale = strstr(pfm_path_name(path), ".tmp.") != NULL && time(NULL) - info.st_mtime > STALE_SECONDS;
    if (stale && unlink(path) == 0)
        return 0;
    return (uint64_t)info.st_size;
}

pfm_status pfm_feature_folder_measure(const char *folder, uint64_t *bytes, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char **names = NULL, *path = NULL;
    size_t count = 0;
    *bytes = 0;
    if (!pfm_path_exists(folder))
        return PFM_OK;
    PFM_TRY(pfm_folder_list(folder, &names, &count, err));
    for (size_t i = 0; i < count; i++) {
        PFM_TRY(pfm_path_join(folder, names[i], &path, err));
        *bytes += measure_one(path);
        free(path);
        path = NULL;
    }
done:
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    free(path);
    return status;
}
