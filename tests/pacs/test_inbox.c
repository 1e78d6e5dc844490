#include "pacs/inbox.h"

#include "base/file.h"
#include "make_dicom.h"
#include "test.h"

#include <sys/stat.h>

static pfm_error err = PFM_ERROR_INIT;

#define SECONDARY "1.2.840.10008.5.1.4.1.1.7"

static const pfm_inbox_limits roomy = {100, 1 << 20};

/* The data set of an image, as an association carries it. */
static void make(const char *study, const char *instance, const char *patient, pfm_buffer *out)
{
    dicom_text(out, 0x0008, 0x0016, "UI", SECONDARY);
    dicom_text(out, 0x0008, 0x0018, "UI", instance);
    dicom_text(out, 0x0010, 0x0010, "PN", "MARKED^NAME");
    dicom_text(out, 0x0010, 0x0020, "LO", patient);
    dicom_text(out, 0x0020, 0x000D, "UI", study);
    dicom_text(out, 0x0020, 0x000E, "UI", "1.2.3.1");
    dicom_element(out, 0x7FE0, 0x0010, "OW", "\1\2\3\4", 4);
}

static uint16_t send_of(pfm_inbox_visit *visit, const char *study, const char *instance, const char *said, const char *patient)
{
    pfm_buffer bytes = {0};
    const pfm_dimse_object object = {SECONDARY, said, "1.2.840.10008.1.2.1"};
    make(study, instance, patient, &bytes);
    pfm_inbox_object_begin(visit, &object);
    const bool taken =
        pfm_inbox_object_data(visit, bytes.data, 10) && pfm_inbox_object_data(visit, bytes.data + 10, bytes.size - 10);
    pfm_buffer_free(&bytes);
    return taken ? pfm_inbox_object_end(visit) : 1;
}

static uint16_t send_as(pfm_inbox_visit *visit, const char *study, const char *instance, const char *said)
{
    return send_of(visit, study, instance, said, "MARKED-1");
}

static const char *fresh_home(const char *name)
{
    const char *home = test_path(test_scratch_folder(), name);
    assert_ok(pfm_folder_create(home, &err));
    return home;
}

static pfm_inbox_visit *begin(pfm_inbox *inbox, const char *title)
{
    pfm_inbox_visit *visit = NULL;
    assert_ok(pfm_inbox_visit_begin(inbox, "127.0.0.1", 4096, &visit, &err));
    pfm_inbox_visit_name(visit, title);
    return visit;
}

static void a_study_waits_until_it_is_whole(void **state)
{
    (void)state;
    pfm_inbox *inbox = NULL;
    pfm_inbox_tally tally;
    assert_ok(pfm_inbox_open(fresh_home("whole"), &roomy, &inbox, &err));
    assert_null(pfm_inbox_take(inbox, 0));
    pfm_inbox_visit *visit = begin(inbox, "SCANNER"), *other = begin(inbox, "SCANNER");
    assert_int_equal(send_as(visit, "1.2.3", "1.2.3.1.1", "1.2.3.1.1"), PFM_DIMSE_SUCCESS);
    assert_int_equal(send_as(visit, "1.2.3", "1.2.3.1.2", "1.2.3.1.2"), PFM_DIMSE_SUCCESS);
    assert_int_equal(send_as(other, "1.2.3", "1.2.3.1.2", "1.2.3.1.2"), PFM_DIMSE_SUCCESS); /* once more */
    assert_null(pfm_inbox_take(inbox, 0));
    pfm_inbox_visit_end(visit, tally);
    assert_int_equal(tally[PFM_INBOX_STORED], 2);
    assert_null(pfm_inbox_take(inbox, 0));
    pfm_inbox_visit_end(other, tally);
    assert_null(pfm_inbox_take(inbox, 1000));
    pfm_inbox_study *study = pfm_inbox_take(inbox, 0);
    assert_non_null(study);
    assert_int_equal(study->objects, 2);
    assert_string_equal(study->title, "SCANNER");
    assert_null(pfm_inbox_take(inbox, 0));

    visit = begin(inbox, "SCANNER"); /* what comes while it is answered is a study of its own */
    assert_int_equal(send_as(visit, "1.2.3", "1.2.3.1.3", "1.2.3.1.3"), PFM_DIMSE_SUCCESS);
    pfm_inbox_visit_end(visit, tally);
    pfm_inbox_study *next = pfm_inbox_take(inbox, 0);
    assert_non_null(next);
    assert_string_not_equal(next->folder, study->folder);
    pfm_inbox_put_back(inbox, next, 1000);
    assert_null(pfm_inbox_take(inbox, 0));
    assert_true(pfm_path_is_folder(study->folder));
    char *folder = NULL;
    assert_ok(pfm_string_copy(study->folder, &folder, &err));
    pfm_inbox_remove(inbox, study);
    assert_false(pfm_path_exists(folder));
    free(folder);
    pfm_inbox_close(inbox);
}

static void what_is_no_image_of_a_study_is_refused(void **state)
{
    (void)state;
    pfm_inbox *inbox = NULL;
    pfm_inbox_tally tally;
    const char *home = fresh_home("refused");
    assert_ok(pfm_inbox_open(home, &roomy, &inbox, &err));
    pfm_inbox_visit *visit = begin(inbox, "SCANNER");
    const pfm_dimse_object object = {SECONDARY, "1.2.3.1.1", "1.2.840.10008.1.2.1"};
    assert_int_equal(send_as(visit, NULL, "1.2.3.1.1", "1.2.3.1.1"), PFM_DIMSE_MISMATCH);
    assert_int_equal(send_as(visit, "1.2.3", "1.2.3.1.1", "1.2.3.1.2"), PFM_DIMSE_MISMATCH);
    pfm_inbox_object_begin(visit, &object);
    assert_true(pfm_inbox_object_data(visit, "rubbish rubbish rubbish", 23));
    assert_int_equal(pfm_inbox_object_end(visit), PFM_DIMSE_NOT_UNDERSTOOD);
    pfm_inbox_object_begin(visit, &object);
    assert_int_equal(pfm_inbox_object_end(visit), PFM_DIMSE_MISMATCH); /* nothing at all */
    pfm_inbox_object_begin(visit, &object);
    char much[4097] = "";
    assert_true(pfm_inbox_object_data(visit, much, 4096));
    assert_false(pfm_inbox_object_data(visit, much, 1));
    pfm_inbox_visit_end(visit, tally);
    const pfm_inbox_tally expected = {[PFM_INBOX_DAMAGED] = 1, [PFM_INBOX_STRANGE] = 3, [PFM_INBOX_LARGE] = 1};
    assert_memory_equal(tally, expected, sizeof tally);
    visit = begin(inbox, "SCANNER");
    pfm_inbox_object_begin(visit, &object);
    pfm_inbox_visit_end(visit, tally);
    assert_int_equal(tally[PFM_INBOX_BROKEN], 1);
    size_t studies = 1;
    uint64_t bytes = 1;
    pfm_inbox_count(inbox, &studies, &bytes);
    assert_true(studies == 0 && bytes == 0);
    char **names = NULL;
    size_t count = 0;
    assert_ok(pfm_folder_list(test_path(home, "serve/inbox"), &names, &count, &err));
    assert_int_equal(count, 0);
    free(names);
    pfm_inbox_close(inbox);
}

static bool always(void *user, const char *name)
{
    (*(int *)user)++;
    return strstr(name, "/") == NULL;
}

static void what_was_left_is_taken_up(void **state)
{
    (void)state;
    pfm_inbox *inbox = NULL, *second = NULL;
    pfm_inbox_tally tally;
    const char *home = fresh_home("left");
    char rest[4096];
    (void)snprintf(rest, sizeof rest, "%s/serve/inbox/incoming-7", home);
    assert_ok(pfm_inbox_open(home, &roomy, &inbox, &err));
    assert_error(pfm_inbox_open(home, &roomy, &second, &err), PFM_ERROR_IO, "another process is at work");
    pfm_inbox_visit *visit = begin(inbox, "SCANNER");
    assert_int_equal(send_as(visit, "1.2.3", "1.2.3.1.1", "1.2.3.1.1"), PFM_DIMSE_SUCCESS);
    pfm_inbox_visit_end(visit, tally);
    pfm_inbox_close(inbox);

    assert_ok(pfm_file_write(rest, "half", 4, &err)); /* of an object that was never acknowledged */
    assert_ok(pfm_inbox_open(home, &roomy, &inbox, &err));
    assert_false(pfm_path_exists(rest));
    visit = begin(inbox, "SCANNER"); /* the rest of the study joins it */
    assert_int_equal(send_as(visit, "1.2.3", "1.2.3.1.2", "1.2.3.1.2"), PFM_DIMSE_SUCCESS);
    pfm_inbox_visit_end(visit, tally);
    visit = begin(inbox, "OTHER"); /* of another sender it is another one */
    assert_int_equal(send_as(visit, "1.2.3", "1.2.3.1.2", "1.2.3.1.2"), PFM_DIMSE_SUCCESS);
    pfm_inbox_visit_end(visit, tally);
    pfm_inbox_study *study = pfm_inbox_take(inbox, 0), *of_other = pfm_inbox_take(inbox, 0);
    assert_true(study->objects == 2 && of_other->objects == 1);
    assert_string_equal(study->title, "SCANNER");
    assert_string_equal(of_other->title, "OTHER");
    struct stat how;
    assert_int_equal(stat(study->folder, &how), 0);
    assert_int_equal(how.st_mode & 0777, 0700);
    pfm_inbox_close(inbox);

    int asked = 0;
    assert_ok(pfm_inbox_open(home, &roomy, &inbox, &err));
    pfm_inbox_sweep(inbox, always, &asked);
    assert_int_equal(asked, 2);
    assert_null(pfm_inbox_take(inbox, 0));
    pfm_inbox_close(inbox);
}

/* A Study Instance UID that two patients have: pictures of both are not shown together. */
static void patients_are_kept_apart(void **state)
{
    (void)state;
    pfm_inbox *inbox = NULL;
    pfm_inbox_tally tally;
    assert_ok(pfm_inbox_open(fresh_home("patients"), &roomy, &inbox, &err));
    pfm_inbox_visit *visit = begin(inbox, "SCANNER");
    assert_int_equal(send_of(visit, "1.2.3", "1.2.3.1.1", "1.2.3.1.1", "MARKED-1"), PFM_DIMSE_SUCCESS);
    assert_int_equal(send_of(visit, "1.2.3", "1.2.3.1.2", "1.2.3.1.2", "MARKED-2"), PFM_DIMSE_SUCCESS);
    assert_int_equal(send_of(visit, "1.2.3", "1.2.3.1.3", "1.2.3.1.3", "MARKED-1"), PFM_DIMSE_SUCCESS);
    assert_int_equal(send_of(visit, "1.2.3", "1.2.3.1.4", "1.2.3.1.4", NULL), PFM_DIMSE_SUCCESS); /* the name alone */
    pfm_inbox_visit_end(visit, tally);
    const pfm_inbox_study *first = pfm_inbox_take(inbox, 0), *second = pfm_inbox_take(inbox, 0),
                          *third = pfm_inbox_take(inbox, 0);
    assert_non_null(first);
    assert_non_null(second);
    assert_non_null(third);
    assert_true(first->objects == 2 && second->objects == 1 && third->objects == 1);
    pfm_inbox_close(inbox);
}

static void what_there_is_no_room_for_is_refused(void **state)
{
    (void)state;
    pfm_inbox *inbox = NULL;
    pfm_inbox_tally tally;
    size_t studies = 0;
    uint64_t one = 0, two = 0, bytes = 0;
    const char *home = fresh_home("room");
    assert_ok(pfm_inbox_open(home, &(pfm_inbox_limits){2, 1 << 20}, &inbox, &err));
    pfm_inbox_visit *visit = begin(inbox, "SCANNER");
    assert_int_equal(send_as(visit, "1.2.3", "1.2.3.1.1", "1.2.3.1.1"), PFM_DIMSE_SUCCESS);
    pfm_inbox_count(inbox, &studies, &one);
    assert_int_equal(send_as(visit, "1.2.4", "1.2.4.1.1", "1.2.4.1.1"), PFM_DIMSE_SUCCESS);
    pfm_inbox_count(inbox, &studies, &two);
    assert_true(studies == 2 && one > 0 && two == 2 * one);
    assert_int_equal(send_as(visit, "1.2.5", "1.2.5.1.1", "1.2.5.1.1"), PFM_DIMSE_NO_RESOURCES); /* a third study */
    assert_int_equal(send_as(visit, "1.2.4", "1.2.4.1.1", "1.2.4.1.1"), PFM_DIMSE_SUCCESS);      /* the second once more */
    pfm_inbox_count(inbox, &studies, &bytes);
    assert_true(studies == 2 && bytes == two);
    pfm_inbox_visit_end(visit, tally);
    assert_true(tally[PFM_INBOX_STORED] == 3 && tally[PFM_INBOX_FULL] == 1);
    pfm_inbox_close(inbox);

    /* What is there already is taken up, and nothing comes to it until there is room. */
    assert_ok(pfm_inbox_open(home, &(pfm_inbox_limits){10, two}, &inbox, &err));
    pfm_inbox_count(inbox, &studies, &bytes);
    assert_true(studies == 2 && bytes == two);
    visit = begin(inbox, "SCANNER");
    assert_int_equal(send_as(visit, "1.2.3", "1.2.3.1.2", "1.2.3.1.2"), PFM_DIMSE_NO_RESOURCES);
    pfm_inbox_count(inbox, &studies, &bytes);
    assert_true(studies == 2 && bytes == two);
    pfm_inbox_study *study = pfm_inbox_take(inbox, 0);
    assert_non_null(study);
    assert_int_equal(study->objects, 1);
    pfm_inbox_remove(inbox, study);
    assert_int_equal(send_as(visit, "1.2.3", "1.2.3.1.2", "1.2.3.1.2"), PFM_DIMSE_SUCCESS);
    pfm_inbox_visit_end(visit, tally);
    assert_true(tally[PFM_INBOX_STORED] == 1 && tally[PFM_INBOX_FULL] == 1);
    pfm_inbox_count(inbox, &studies, &bytes);
    assert_int_equal(bytes, two);
    pfm_inbox_close(inbox);

    /* A byte too few, and as many as it takes. */
    for (uint64_t more = 0; more < 2; more++) {
        assert_ok(pfm_inbox_open(home, &(pfm_inbox_limits){10, two + one - 1 + more}, &inbox, &err));
        visit = begin(inbox, "SCANNER");
        assert_int_equal(send_as(visit, "1.2.5", "1.2.5.1.1", "1.2.5.1.1"),
                         more > 0 ? PFM_DIMSE_SUCCESS : PFM_DIMSE_NO_RESOURCES);
        pfm_inbox_visit_end(visit, tally);
        pfm_inbox_close(inbox);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_study_waits_until_it_is_whole),
                                       cmocka_unit_test(what_is_no_image_of_a_study_is_refused),
                                       cmocka_unit_test(what_was_left_is_taken_up), cmocka_unit_test(patients_are_kept_apart),
                                       cmocka_unit_test(what_there_is_no_room_for_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
