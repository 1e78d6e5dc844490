#include "infer/record_line.h"

#include "base/json.h"
#include "base/try.h"
#include "pefomed/context.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char hash_member[] = ",\"hash\":\"", end_of_line[] = "\"}";
enum {
    HASH_SIZE = sizeof(pfm_hash_hex) - 1,
    TAIL_SIZE = sizeof hash_member - 1 + HASH_SIZE + sizeof end_of_line - 1,
    LONGEST_LINE = 64 << 20
};

static bool is_hash(const char *text)
{
    return text != NULL && strlen(text) == HASH_SIZE && strspn(text, "0123456789abcdef") == HASH_SIZE;
}

/* The hash that stands at a line's end, of which the bytes before are size - TAIL_SIZE. */
static bool cut_hash(const char *text, size_t size, pfm_hash_hex out)
{
    if (size <= TAIL_SIZE || size > LONGEST_LINE)
        return false;
    const char *tail = text + size - TAIL_SIZE;
    if (memcmp(tail, hash_member, sizeof hash_member - 1) != 0 ||
        memcmp(text + size - (sizeof end_of_line - 1), end_of_line, sizeof end_of_line - 1) != 0)
        return false;
    memcpy(out, tail + sizeof hash_member - 1, HASH_SIZE);
    out[HASH_SIZE] = '\0';
    return is_hash(out);
}

static bool read_event(const json_t *document, pfm_record_line *out)
{
    const char *event = json_string_value(json_object_get(document, "event"));
    const json_t *bytes = json_object_get(document, "bytes");
    const char *hash = json_string_value(json_object_get(document, "sha256"));
    out->is_event = event != NULL;
    if (event == NULL)
        return true;
    if (strcmp(event, PFM_RECORD_TORN) != 0 || !json_is_integer(bytes) || json_integer_value(bytes) < 1 || !is_hash(hash))
        return false;
    out->torn = (size_t)json_integer_value(bytes);
    memcpy(out->torn_hash, hash, sizeof out->torn_hash);
    return true;
}

static bool read_members(const json_t *document, pfm_record_line *out)
{
    const json_t *sequence = json_object_get(document, "sequence");
    const char *prev = json_string_value(json_object_get(document, "prev"));
    const char *time = json_string_value(json_object_get(document, "time"));
    if (!json_is_integer(sequence) || json_integer_value(sequence) < 1 || !is_hash(prev) || time == NULL ||
        strlen(time) >= sizeof out->time)
        return false;
    out->sequence = (uint64_t)json_integer_value(sequence);
    memcpy(out->prev, prev, sizeof out->prev);
    (void)snprintf(out->time, sizeof out->time, "%s", time);
    return read_event(document, out);
}

pfm_status pfm_record_line_read(const char *text, size_t size, pfm_record_line *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *document = NULL;
    pfm_hash_hex own;
    *out = (pfm_record_line){0};
    if (size < sizeof PFM_RECORD_BEGIN - 1 || memcmp(text, PFM_RECORD_BEGIN, sizeof PFM_RECORD_BEGIN - 1) != 0 ||
        !cut_hash(text, size, out->hash))
        goto done;
    PFM_TRY(pfm_hash_bytes(text, size - TAIL_SIZE, own, err));
    if (strcmp(own, out->hash) != 0)
        goto done;
    document = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    out->whole = document != NULL && read_members(document, out);
done:
    json_decref(document);
    return status;
}

uint64_t pfm_record_line_sequence(const char *text, size_t size)
{
    uint64_t number = 0;
    size_t i = sizeof PFM_RECORD_BEGIN - 1;
    if (size <= i || memcmp(text, PFM_RECORD_BEGIN, i) != 0)
        return 0;
    for (int digits = 0; i < size && digits < 18 && isdigit((unsigned char)text[i]); i++, digits++)
        number = number * 10 + (uint64_t)(text[i] - '0');
    return number;
}

static void tell_time(pfm_record_time out)
{
    struct timespec now;
    struct tm utc;
    char seconds[24] = "";
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &utc) != NULL)
        (void)strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(out, sizeof(pfm_record_time), "%s.%03dZ", seconds, (int)(now.tv_nsec / 1000000));
}

pfm_status pfm_record_line_write(uint64_t sequence, const json_t *members, const pfm_hash_hex prev, pfm_buffer *out,
                                 pfm_hash_hex hash, pfm_hash_hex line_hash, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_record_time time;
    char *text = NULL;
    const size_t begin = out->size;
    tell_time(time);
    PFM_TRY(pfm_json_print(members, &text, err));
    const size_t length = strlen(text); /* "{...}", of which the inner part is taken */
    PFM_TRY(pfm_buffer_append_format(out, err, PFM_RECORD_BEGIN "%llu,\"time\":\"%s\",\"program\":\"pefomed %s\"%s",
                                     (unsigned long long)sequence, time, pfm_version(), length > 2 ? "," : ""));
    PFM_TRY(pfm_buffer_append(out, text + 1, length - 2, err));
    PFM_TRY(pfm_buffer_append_format(out, err, ",\"prev\":\"%s\"", prev));
    PFM_TRY(pfm_hash_bytes(out->data + begin, out->size - begin, hash, err));
    PFM_TRY(pfm_buffer_append_format(out, err, "%s%s%s", hash_member, hash, end_of_line));
    PFM_TRY(pfm_hash_bytes(out->data + begin, out->size - begin, line_hash, err));
    if (out->size - begin > LONGEST_LINE)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "an answer of %zu bytes is too long to be recorded", out->size - begin);
    PFM_TRY(pfm_buffer_append_string(out, "\n", err));
done:
    free(text);
    return status;
}
