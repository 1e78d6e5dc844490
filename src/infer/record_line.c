#include "infer/record_line.h"

#include "base/json.h"
#include "base/try.h"
#include "pefomed/context.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char time_member[] = ",\"time\":\"", program_member[] = ",\"program\":\"", event_member[] = ",\"event\":\"",
                  prev_member[] = ",\"prev\":\"", hash_member[] = "\",\"hash\":\"", end_of_line[] = "\"}";
enum {
    HASH_SIZE = sizeof(pfm_hash_hex) - 1,
    HASH_PART = sizeof hash_member - 2 + HASH_SIZE + sizeof end_of_line - 1, /* from the comma before "hash" */
    TAIL_SIZE = sizeof prev_member - 1 + HASH_SIZE + sizeof hash_member - 1 + HASH_SIZE + sizeof end_of_line - 1,
    LONGEST_LINE = 64 << 20
};

/* Lines are read as they are written, member by member, and not as any JSON: what says where an entry stands has one place. */
typedef struct scan {
    const char *at, *end;
} scan;

static bool take(scan *s, const char *text)
{
    const size_t length = strlen(text);
    if ((size_t)(s->end - s->at) < length || memcmp(s->at, text, length) != 0)
        return false;
    s->at += length;
    return true;
}

/* A number from 1, of at most 18 digits. */
static bool take_number(scan *s, uint64_t *out)
{
    *out = 0;
    for (int digits = 0; s->at < s->end && digits < 18 && isdigit((unsigned char)*s->at); s->at++, digits++)
        *out = *out * 10 + (uint64_t)(*s->at - '0');
    return *out > 0;
}

static bool take_hash(scan *s, pfm_hash_hex out)
{
    if (s->end - s->at < HASH_SIZE)
        return false;
    memcpy(out, s->at, HASH_SIZE);
    out[HASH_SIZE] = '\0';
    s->at += HASH_SIZE;
    return strspn(out, "0123456789abcdef") == HASH_SIZE;
}

/* A text without anything escaped, and the quote that ends it. */
static bool take_text(scan *s, char *out, size_t room)
{
    size_t length = 0;
    while (s->at < s->end && *s->at != '"' && *s->at != '\\' && (unsigned char)*s->at >= ' ' && length + 1 < room)
        out[length++] = *s->at++;
    out[length] = '\0';
    return take(s, "\"");
}

static bool read_head(scan *s, pfm_record_line *out)
{
    char program[64];
    uint64_t torn = 0;
    if (!take(s, PFM_RECORD_BEGIN) || !take_number(s, &out->sequence) || !take(s, time_member) ||
        !take_text(s, out->time, sizeof out->time) || !take(s, program_member) || !take_text(s, program, sizeof program))
        return false;
    out->is_event = take(s, event_member);
    if (!out->is_event)
        return true;
    const bool right = take(s, PFM_RECORD_TORN "\",\"bytes\":") && take_number(s, &torn) && take(s, ",\"sha256\":\"") &&
                       take_hash(s, out->torn_hash) && take(s, "\"");
    out->torn = (size_t)torn;
    return right && s->at == s->end;
}

pfm_status pfm_record_line_read(const char *text, size_t size, pfm_record_line *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_hash_hex own;
    *out = (pfm_record_line){0};
    if (size <= TAIL_SIZE || size > LONGEST_LINE)
        return PFM_OK;
    scan tail = {text + size - TAIL_SIZE, text + size}, head = {text, text + size - TAIL_SIZE};
    if (!take(&tail, prev_member) || !take_hash(&tail, out->prev) || !take(&tail, hash_member) ||
        !take_hash(&tail, out->hash) || !take(&tail, end_of_line) || !read_head(&head, out))
        return PFM_OK;
    PFM_TRY(pfm_hash_bytes(text, size - HASH_PART, own, err));
    out->whole = strcmp(own, out->hash) == 0;
done:
    return status;
}

uint64_t pfm_record_line_sequence(const char *text, size_t size)
{
    uint64_t number = 0;
    scan head = {text, text + size};
    return take(&head, PFM_RECORD_BEGIN) && take_number(&head, &number) ? number : 0;
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
    PFM_TRY(pfm_buffer_append_format(out, err, PFM_RECORD_BEGIN "%llu%s%s\"%spefomed %s\"%s", (unsigned long long)sequence,
                                     time_member, time, program_member, pfm_version(), length > 2 ? "," : ""));
    PFM_TRY(pfm_buffer_append(out, text + 1, length - 2, err));
    PFM_TRY(pfm_buffer_append_format(out, err, "%s%s\"", prev_member, prev));
    PFM_TRY(pfm_hash_bytes(out->data + begin, out->size - begin, hash, err));
    PFM_TRY(pfm_buffer_append_format(out, err, "%s%s%s", hash_member + 1, hash, end_of_line));
    PFM_TRY(pfm_hash_bytes(out->data + begin, out->size - begin, line_hash, err));
    if (out->size - begin > LONGEST_LINE)
        PFM_FAIL(PFM_ERROR_UNSUPPORTED, "an answer of %zu bytes is too long to be recorded", out->size - begin);
    PFM_TRY(pfm_buffer_append_string(out, "\n", err));
done:
    free(text);
    return status;
}
