#include "formats/zip_map.h"

#include "base/memory.h"
#include "base/try.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { END_BYTES = 22, LOCATOR_BYTES = 20, END64_BYTES = 56, CENTRAL_BYTES = 46, LOCAL_BYTES = 30, MAX_COMMENT = 65535 };

typedef struct archive {
    const unsigned char *data;
    size_t size;
    const char *place;
} archive;

typedef struct directory {
    uint64_t entries, bytes, offset;
} directory;

static uint64_t number(const unsigned char *at, size_t bytes)
{
    uint64_t value = 0;
    memcpy(&value, at, bytes);
    return value;
}

static pfm_status damaged(const archive *zip, const char *what, pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_FORMAT, "%s: the zip archive %s; it was cut short or is damaged", zip->place, what);
}

/* zip64: the locator before the end record points at the larger end record. */
static pfm_status read_end64(const archive *zip, size_t end, directory *out, pfm_error *err)
{
    if (end < LOCATOR_BYTES || memcmp(zip->data + end - LOCATOR_BYTES, "PK\6\7", 4) != 0)
        return PFM_OK;
    uint64_t offset = number(zip->data + end - LOCATOR_BYTES + 8, 8);
    if (offset > end || end - offset < END64_BYTES || memcmp(zip->data + offset, "PK\6\6", 4) != 0)
        return damaged(zip, "has a wrong zip64 end record", err);
    out->entries = number(zip->data + offset + 32, 8);
    out->bytes = number(zip->data + offset + 40, 8);
    out->offset = number(zip->data + offset + 48, 8);
    return PFM_OK;
}

static pfm_status find_directory(const archive *zip, directory *out, pfm_error *err)
{
    size_t furthest = zip->size > END_BYTES + MAX_COMMENT ? zip->size - END_BYTES - MAX_COMMENT : 0;
    for (size_t end = zip->size < END_BYTES ? 0 : zip->size - END_BYTES + 1; end > furthest; end--) {
        const unsigned char *record = zip->data + end - 1;
        if (memcmp(record, "PK\5\6", 4) != 0 || number(record + 20, 2) != zip->size - END_BYTES - (end - 1))
            continue;
        *out =
            (directory){.entries = number(record + 10, 2), .bytes = number(record + 12, 4), .offset = number(record + 16, 4)};
        pfm_status status = read_end64(zip, end - 1, out, err);
        if (status == PFM_OK &&
            (out->offset > end - 1 || out->bytes > end - 1 - out->offset || out->entries > out->bytes / CENTRAL_BYTES))
            status = damaged(zip, "has a directory that does not fit in it", err);
        return status;
    }
    return damaged(zip, "has no end record", err);
}

/* Sizes and offset that are all ones stand in the zip64 field among the extra ones, in this order, only where needed. */
static bool read_extra(const unsigned char *extra, size_t length, uint64_t *unpacked, uint64_t *packed, uint64_t *offset)
{
    uint64_t *wanted[3] = {unpacked, packed, offset};
    while (length >= 4) {
        uint64_t tag = number(extra, 2), bytes = number(extra + 2, 2);
        if (bytes > length - 4)
            return false;
        const unsigned char *field = extra + 4;
        for (int i = 0; tag == 1 && i < 3; i++) {
            if (*wanted[i] != UINT32_MAX)
                continue;
            if (field + 8 > extra + 4 + bytes)
                return false;
            *wanted[i] = number(field, 8);
            field += 8;
        }
        extra += 4 + bytes;
        length -= 4 + (size_t)bytes;
    }
    return true;
}

static pfm_status locate(const archive *zip, uint64_t offset, uint64_t bytes, pfm_zip_entry *entry, pfm_error *err)
{
    if (offset > zip->size || zip->size - offset < LOCAL_BYTES || memcmp(zip->data + offset, "PK\3\4", 4) != 0)
        return damaged(zip, "has an entry without its header", err);
    uint64_t begin = offset + LOCAL_BYTES + number(zip->data + offset + 26, 2) + number(zip->data + offset + 28, 2);
    if (begin > zip->size || bytes > zip->size - begin)
        return damaged(zip, "has an entry that does not fit in it", err);
    entry->data = zip->data + begin;
    return PFM_OK;
}

/* Reads the directory's entry at *at and moves behind it. */
static pfm_status read_entry(const archive *zip, size_t end, size_t *at, pfm_zip_entry *entry, pfm_error *err)
{
    const unsigned char *record = zip->data + *at;
    if (end - *at < CENTRAL_BYTES || memcmp(record, "PK\1\2", 4) != 0)
        return damaged(zip, "has a damaged directory", err);
    size_t name = (size_t)number(record + 28, 2), extra = (size_t)number(record + 30, 2),
           comment = (size_t)number(record + 32, 2);
    if (name + extra + comment > end - *at - CENTRAL_BYTES)
        return damaged(zip, "has a damaged directory", err);
    uint64_t packed = number(record + 20, 4), unpacked = number(record + 24, 4), offset = number(record + 42, 4);
    if (!read_extra(record + CENTRAL_BYTES + name, extra, &unpacked, &packed, &offset))
        return damaged(zip, "has a damaged zip64 field", err);
    if ((number(record + 8, 2) & 1) != 0)
        return pfm_error_set(err, PFM_ERROR_UNSUPPORTED, "%s is an encrypted zip archive", zip->place);
    *entry = (pfm_zip_entry){
        .name = (const char *)record + CENTRAL_BYTES, .name_length = name, .method = (uint16_t)number(record + 10, 2)};
    if (entry->method == 0 && packed != unpacked)
        return damaged(zip, "has an entry of two sizes", err);
    *at += CENTRAL_BYTES + name + extra + comment;
    if (entry->method != 0)
        return PFM_OK;
    entry->size = (size_t)unpacked;
    return locate(zip, offset, unpacked, entry, err);
}

pfm_status pfm_zip_list(const unsigned char *data, size_t size, const char *place, pfm_zip_entry **out, size_t *count,
                        pfm_error *err)
{
    pfm_status status = PFM_OK;
    archive zip = {data, size, place};
    directory found = {0};
    pfm_zip_entry *entries = NULL;
    PFM_TRY(find_directory(&zip, &found, err));
    PFM_TRY(pfm_allocate((size_t)found.entries, sizeof *entries, &entries, err));
    size_t at = (size_t)found.offset, end = (size_t)(found.offset + found.bytes);
    for (uint64_t i = 0; i < found.entries; i++)
        PFM_TRY(read_entry(&zip, end, &at, &entries[i], err));
    *out = entries;
    *count = (size_t)found.entries;
    entries = NULL;
done:
    free(entries);
    return status;
}
