/* Any bytes as a record of answers: reading says what is wrong. Where it is gone on with, what was intact stays intact, and an
 * entry more is there. */
#include "base/context.h"
#include "infer/record.h"
#include "pefomed/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_t *verify(const char *path)
{
    char *text = NULL;
    if (pfm_record_verify(path, NULL, &text, NULL) != PFM_OK)
        abort();
    json_t *document = json_loads(text, 0, NULL);
    free(text);
    if (document == NULL)
        abort();
    return document;
}

static json_int_t number(const json_t *document, const char *key) { return json_integer_value(json_object_get(document, key)); }

static void go_on(const char *path, const json_t *before)
{
    const pfm_context context = {0};
    pfm_record *record = NULL;
    pfm_record_receipt receipt;
    json_t *members = json_pack("{s:s}", "answer", "left");
    pfm_error err = PFM_ERROR_INIT;
    if (pfm_record_open(&context, path, &record, &err) == PFM_OK) {
        if (pfm_record_append(record, members, &receipt, NULL) != PFM_OK)
            abort();
        pfm_record_close(record);
        json_t *after = verify(path);
        if (json_is_true(json_object_get(before, "intact")) &&
            (!json_is_true(json_object_get(after, "intact")) || number(after, "answers") != number(before, "answers") + 1))
            abort();
        json_decref(after);
    } else if (err.message[0] == '\0') {
        abort();
    }
    json_decref(members);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[32];
    const int fd = memfd_create("record", 0);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    json_t *before = verify(path);
    go_on(path, before);
    json_decref(before);
    (void)close(fd);
    return 0;
}
