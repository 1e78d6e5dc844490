/* The record of answers where memory runs out: what was written is whole, and intact. */
#include "failing.h"

#include "base/context.h"
#include "base/try.h"
#include "infer/record.h"
#include "pefomed/record.h"

#include <unistd.h>

static pfm_status append_two(const char *path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_context context = {0};
    pfm_record *record = NULL;
    pfm_record_receipt receipt;
    json_t *members = json_pack("{s:s}", "answer", "left lung");
    if (members == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: the test's own");
    PFM_TRY(pfm_record_open(&context, path, &record, err));
    PFM_TRY(pfm_record_append(record, members, &receipt, err));
    PFM_TRY(pfm_record_append(record, members, &receipt, err));
done:
    json_decref(members);
    pfm_record_close(record);
    return status;
}

static pfm_status append_and_verify(pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *path = test_path(test_scratch_folder(), "record.jsonl");
    char *json = NULL;
    (void)unlink(path);
    PFM_TRY(append_two(path, err));
    PFM_TRY(pfm_record_verify(path, NULL, &json, err));
    assert_non_null(strstr(json, "\"intact\":true,\"entries\":2,"));
done:
    free(json);
    return status;
}

/* Torn bytes are told of, whatever fails, once. */
static pfm_status mend(pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *path = test_path(test_scratch_folder(), "torn.jsonl");
    char *json = NULL;
    FILE *file = fopen(path, "w");
    if (file == NULL) /* it takes memory too */
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: the test's own");
    (void)setvbuf(file, NULL, _IONBF, 0);
    fputs("{\"record\":1,\"sequ", file);
    (void)fclose(file);
    PFM_TRY(append_two(path, err));
    PFM_TRY(pfm_record_verify(path, NULL, &json, err));
    assert_non_null(strstr(json, "\"intact\":true,\"entries\":3,\"answers\":2,"));
done:
    free(json);
    return status;
}

static void the_record(void **state)
{
    (void)state;
    failing_try_all("a record", append_and_verify);
    failing_try_all("a record with a torn end", mend);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_record)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
