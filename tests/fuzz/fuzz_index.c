/* An index of a corpus, damaged: any bytes say where and by what, and are asked as a question. Opening, describing and finding
 * must succeed or say why not. */
#include "base/file.h"
#include "data/corpus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[] = "/tmp/fuzz-index-XXXXXX", path[64];
static pfm_buffer whole;

static void remove_files(void)
{
    (void)remove(path);
    (void)rmdir(folder);
}

/* The index that is damaged. */
static void make_index(void)
{
    char text[64], *json = NULL, words[6000] = "";
    if (mkdtemp(folder) == NULL)
        abort();
    (void)snprintf(text, sizeof text, "%s/a.txt", folder);
    (void)snprintf(path, sizeof path, "%s/a.sqlite", folder);
    for (int i = 0; i < 500; i++)
        (void)snprintf(words + strlen(words), sizeof words - strlen(words), "w%d%s ", i % 83, i % 11 == 0 ? "." : "");
    const char *paths[] = {text};
    const pfm_index_options options = {.paths = paths, .path_count = 1, .out = path, .words = 12, .overlap = 4};
    if (pfm_file_write(text, words, strlen(words), NULL) != PFM_OK || pfm_index_build(NULL, &options, &json, NULL) != PFM_OK ||
        pfm_file_read(path, 0, &whole, NULL) != PFM_OK)
        abort();
    (void)remove(text);
    free(json);
    (void)atexit(remove_files);
}

static void check(pfm_status status, const pfm_error *err)
{
    if (status != PFM_OK && err->message[0] == '\0')
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (whole.size == 0)
        make_index();
    pfm_error err = PFM_ERROR_INIT;
    pfm_index *index = NULL;
    pfm_buffer copy = {0}, question = {0}, out = {0};
    if (pfm_buffer_append(&copy, whole.data, whole.size, NULL) != PFM_OK ||
        pfm_buffer_append_format(&question, NULL, "w1 w2 w80 %.*s", (int)size, (const char *)data) != PFM_OK)
        abort();
    for (size_t i = 0; i + 3 < size; i += 4) {
        const size_t place = (size_t)data[i] << 16 | (size_t)data[i + 1] << 8 | data[i + 2];
        copy.data[place % copy.size] = (char)data[i + 3];
    }
    if (pfm_file_write(path, copy.data, copy.size, NULL) != PFM_OK)
        abort();
    const pfm_own_texts own = {.record = "r", .texts = {question.data, NULL}};
    const pfm_status status = pfm_index_open(path, NULL, &index, &err);
    check(status, &err);
    if (status == PFM_OK)
        check(pfm_index_find(index, question.data, &own, 20, 100, &out, NULL, &err), &err);
    pfm_index_close(index);
    pfm_buffer_free(&copy);
    pfm_buffer_free(&question);
    pfm_buffer_free(&out);
    return 0;
}
