/* The record of answers: what is appended, what a kill leaves, and that each kind of tampering is found and named. */
#include "test.h"

#include "base/file.h"
#include "base/json.h"
#include "infer/record.h"
#include "infer/record_line.h"
#include "pefomed/record.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENTRIES = 5 };

static const char *record_path(void) { return test_path(test_scratch_folder(), "record.jsonl"); }

static pfm_context *make_context(void)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = NULL;
    const pfm_context_options options = {.threads = 1, .home = test_scratch_folder()};
    assert_ok(pfm_context_create(&options, &context, &err));
    return context;
}

static void append_one(pfm_record *record, const char *answer, pfm_record_receipt *receipt)
{
    pfm_error err = PFM_ERROR_INIT;
    json_t *members = json_pack("{s:s}", "answer", answer);
    assert_ok(pfm_record_append(record, members, receipt, &err));
    json_decref(members);
}

/* A new record of ENTRIES entries; receipts of them. */
static void make_record(pfm_context *context, pfm_record_receipt receipts[ENTRIES])
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_record *record = NULL;
    char answer[32];
    (void)unlink(record_path());
    assert_ok(pfm_record_open(context, record_path(), &record, &err));
    for (int i = 0; i < ENTRIES; i++) {
        (void)snprintf(answer, sizeof answer, "the answer \"%d\"", i + 1);
        append_one(record, answer, &receipts[i]);
        assert_int_equal(receipts[i].sequence, i + 1);
    }
    pfm_record_close(record);
}

static json_t *verify(const char *head)
{
    pfm_error err = PFM_ERROR_INIT;
    char *json = NULL;
    assert_ok(pfm_record_verify(record_path(), head, &json, &err));
    json_t *document = json_loads(json, 0, NULL);
    assert_non_null(document);
    free(json);
    return document;
}

static void assert_intact(const char *head, int entries, int answers, int torn)
{
    json_t *found = verify(head);
    if (!json_is_true(json_object_get(found, "intact")))
        fail_msg("%s", json_dumps(found, 0));
    assert_int_equal(json_integer_value(json_object_get(found, "entries")), entries);
    assert_int_equal(json_integer_value(json_object_get(found, "answers")), answers);
    assert_int_equal(json_array_size(json_object_get(found, "torn")), torn);
    assert_true(json_is_null(json_object_get(found, "broken")));
    json_decref(found);
}

static void assert_broken(const char *head, const char *kind, int line, int sequence)
{
    json_t *found = verify(head), *broken = json_object_get(found, "broken");
    assert_true(json_is_false(json_object_get(found, "intact")));
    assert_string_equal(json_string_value(json_object_get(broken, "kind")), kind);
    assert_int_equal(json_integer_value(json_object_get(broken, "line")), line);
    assert_int_equal(json_integer_value(json_object_get(broken, "sequence")), sequence);
    json_decref(found);
}

/* The lines of the record, in place, each ended by NUL. */
static size_t read_lines(pfm_buffer *text, char *lines[16])
{
    pfm_error err = PFM_ERROR_INIT;
    size_t count = 0;
    pfm_buffer_free(text);
    assert_ok(pfm_file_read(record_path(), 0, text, &err));
    for (char *line = strtok(text->data, "\n"); line != NULL && count < 16; line = strtok(NULL, "\n"))
        lines[count++] = line;
    return count;
}

static void write_lines(char *const *lines, size_t count)
{
    FILE *file = fopen(record_path(), "w");
    assert_non_null(file);
    for (size_t i = 0; i < count; i++)
        if (lines[i] != NULL)
            fprintf(file, "%s\n", lines[i]);
    (void)fclose(file);
}

static void entries_are_chained(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = make_context();
    pfm_record_receipt receipts[ENTRIES], head;
    pfm_record *record = NULL;
    struct stat file;
    make_record(context, receipts);
    assert_int_equal(stat(record_path(), &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
    assert_intact(NULL, ENTRIES, ENTRIES, 0);
    for (int i = 0; i < ENTRIES; i++)
        assert_intact(receipts[i].hash, ENTRIES, ENTRIES, 0);
    /* Opened again it goes on. */
    assert_ok(pfm_record_open(context, record_path(), &record, &err));
    pfm_record_head(record, &head);
    assert_int_equal(head.sequence, ENTRIES);
    assert_string_equal(head.hash, receipts[ENTRIES - 1].hash);
    append_one(record, "more", &head);
    assert_int_equal(head.sequence, ENTRIES + 1);
    pfm_record_close(record);
    assert_intact(receipts[ENTRIES - 1].hash, ENTRIES + 1, ENTRIES + 1, 0);
    pfm_context_free(context);
}

/* Each line by another program's arithmetic: prev and hash are what the header says. */
static void hashes_are_what_is_said(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = make_context();
    pfm_record_receipt receipts[ENTRIES];
    pfm_buffer text = {0};
    char *lines[16];
    pfm_hash_hex before = PFM_RECORD_NONE, own;
    make_record(context, receipts);
    assert_int_equal(read_lines(&text, lines), ENTRIES);
    for (int i = 0; i < ENTRIES; i++) {
        json_t *line = json_loads(lines[i], 0, NULL);
        const char *cut = strstr(lines[i], ",\"hash\":\"");
        assert_non_null(cut);
        assert_string_equal(json_string_value(json_object_get(line, "prev")), before);
        assert_ok(pfm_hash_bytes(lines[i], (size_t)(cut - lines[i]), own, &err));
        assert_string_equal(json_string_value(json_object_get(line, "hash")), own);
        assert_string_equal(own, receipts[i].hash);
        assert_ok(pfm_hash_bytes(lines[i], strlen(lines[i]), before, &err));
        json_decref(line);
    }
    pfm_buffer_free(&text);
    pfm_context_free(context);
}

/* Writes a line as if it had always been so: with the hash of its own. */
static char *forge(const char *line, const char *from, const char *to)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_hash_hex own;
    pfm_buffer out = {0};
    const char *place = strstr(line, from), *cut = strstr(line, ",\"hash\":\"");
    assert_non_null(place);
    assert_ok(pfm_buffer_append(&out, line, (size_t)(place - line), &err));
    assert_ok(pfm_buffer_append_string(&out, to, &err));
    assert_ok(pfm_buffer_append(&out, place + strlen(from), (size_t)(cut - place) - strlen(from), &err));
    assert_ok(pfm_hash_bytes(out.data, out.size, own, &err));
    assert_ok(pfm_buffer_append_format(&out, &err, ",\"hash\":\"%s\"}", own));
    return out.data;
}

static void tampering_is_named(void **state)
{
    (void)state;
    pfm_context *context = make_context();
    pfm_record_receipt receipts[ENTRIES];
    pfm_buffer text = {0};
    char *lines[16], *swap;
    make_record(context, receipts);
    /* A byte is changed. */
    assert_int_equal(read_lines(&text, lines), ENTRIES);
    strstr(lines[2], "answer \\\"3")[9] = '8';
    write_lines(lines, ENTRIES);
    assert_broken(NULL, "changed", 3, 3);
    /* With the hash of its own made anew, in the middle and at the end. */
    make_record(context, receipts);
    (void)read_lines(&text, lines);
    char *forged = forge(lines[1], "answer \\\"2", "answer \\\"7");
    lines[1] = forged;
    write_lines(lines, ENTRIES);
    assert_broken(NULL, "changed", 2, 2);
    free(forged);
    make_record(context, receipts);
    (void)read_lines(&text, lines);
    lines[4] = forged = forge(lines[4], "answer \\\"5", "answer \\\"7");
    write_lines(lines, ENTRIES);
    assert_intact(NULL, ENTRIES, ENTRIES, 0); /* nothing follows that could tell */
    assert_broken(receipts[4].hash, "cut", 6, 6);
    free(forged);
    /* One is missing, two are, the first is. */
    make_record(context, receipts);
    (void)read_lines(&text, lines);
    lines[2] = NULL;
    write_lines(lines, ENTRIES);
    assert_broken(NULL, "missing", 3, 3);
    lines[1] = NULL;
    write_lines(lines, ENTRIES);
    assert_broken(NULL, "missing", 2, 2);
    lines[0] = NULL;
    write_lines(lines, ENTRIES);
    assert_broken(NULL, "missing", 1, 1);
    /* Two have changed places; one comes twice. */
    make_record(context, receipts);
    (void)read_lines(&text, lines);
    swap = lines[1], lines[1] = lines[3], lines[3] = swap;
    write_lines(lines, ENTRIES);
    assert_broken(NULL, "reordered", 2, 4);
    swap = lines[1], lines[1] = lines[3], lines[3] = swap;
    lines[4] = lines[2];
    write_lines(lines, ENTRIES);
    assert_broken(NULL, "repeated", 5, 3);
    pfm_buffer_free(&text);
    pfm_context_free(context);
}

static void a_cut_end_shows_by_the_head_alone(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = make_context();
    pfm_record_receipt receipts[ENTRIES];
    pfm_buffer text = {0};
    char *lines[16], *json = NULL;
    make_record(context, receipts);
    (void)read_lines(&text, lines);
    write_lines(lines, ENTRIES - 1);
    assert_intact(NULL, ENTRIES - 1, ENTRIES - 1, 0);
    assert_intact(receipts[ENTRIES - 2].hash, ENTRIES - 1, ENTRIES - 1, 0);
    assert_broken(receipts[ENTRIES - 1].hash, "cut", ENTRIES, ENTRIES);
    write_lines(lines, 0);
    assert_intact(NULL, 0, 0, 0);
    assert_broken(receipts[0].hash, "cut", 1, 1);
    assert_error(pfm_record_verify(record_path(), "12", &json, &err), PFM_ERROR_USAGE, "64 hexadecimal digits");
    assert_error(pfm_record_verify(test_path(test_scratch_folder(), "none"), NULL, &json, &err), PFM_ERROR_IO, "none");
    pfm_buffer_free(&text);
    pfm_context_free(context);
}

/* Lines that are no entries where there should be some. */
static void foreign_lines_are_named(void **state)
{
    (void)state;
    pfm_context *context = make_context();
    pfm_record_receipt receipts[ENTRIES];
    static char *const foreign[] = {"",        "{}",
                                    "garbage", "{\"record\":1,\"sequence\":3}",
                                    "\r",      "{\"record\":1,\"sequence\":99999999999999999999,\"hash\":\""};
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        pfm_buffer text = {0};
        char *lines[16];
        make_record(context, receipts);
        (void)read_lines(&text, lines);
        char *all[] = {lines[0], lines[1], foreign[i], lines[2], lines[3], lines[4]};
        write_lines(all, 6);
        json_t *found = verify(NULL), *broken = json_object_get(found, "broken");
        assert_string_equal(json_string_value(json_object_get(broken, "kind")), "changed");
        assert_int_equal(json_integer_value(json_object_get(broken, "line")), 3);
        json_decref(found);
        pfm_buffer_free(&text);
    }
    pfm_context_free(context);
}

/* Whatever a kill leaves of the last line, the chain goes on and the audit says so; what was whole before stays. */
static void torn_lines_are_passed(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = make_context();
    pfm_record_receipt receipts[ENTRIES], receipt;
    pfm_buffer text = {0};
    char *lines[16];
    struct stat file;
    make_record(context, receipts);
    (void)read_lines(&text, lines);
    const size_t last = strlen(lines[ENTRIES - 1]);
    assert_int_equal(stat(record_path(), &file), 0);
    for (size_t left = 1; left <= last; left++) {
        pfm_record *record = NULL;
        make_record(context, receipts);
        assert_int_equal(truncate(record_path(), file.st_size - (off_t)(last + 1 - left)), 0);
        assert_intact(receipts[ENTRIES - 2].hash, left == last ? ENTRIES : ENTRIES - 1, left == last ? ENTRIES : ENTRIES - 1,
                      left == last ? 0 : 1);
        assert_ok(pfm_record_open(context, record_path(), &record, &err));
        append_one(record, "after", &receipt);
        pfm_record_close(record);
        if (left == last) { /* but for its newline it was whole */
            assert_int_equal(receipt.sequence, ENTRIES + 1);
            assert_intact(receipts[ENTRIES - 1].hash, ENTRIES + 1, ENTRIES + 1, 0);
            continue;
        }
        assert_int_equal(receipt.sequence, ENTRIES + 1); /* the event has the number of the one that was lost */
        assert_intact(receipts[ENTRIES - 2].hash, ENTRIES + 1, ENTRIES, 1);
        assert_intact(receipt.hash, ENTRIES + 1, ENTRIES, 1);
        /* What it left may not be changed either. */
        FILE *changed = fopen(record_path(), "r+");
        assert_non_null(changed);
        assert_int_equal(fseek(changed, file.st_size - (long)(last + 1), SEEK_SET), 0);
        fputc('x', changed);
        (void)fclose(changed);
        assert_broken(NULL, "changed", ENTRIES, 0);
    }
    pfm_buffer_free(&text);
    pfm_context_free(context);
}

/* A kill in the middle of the line that tells of what an earlier kill left. */
static void torn_twice(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = make_context();
    pfm_record_receipt receipts[ENTRIES], receipt;
    pfm_record *record = NULL;
    make_record(context, receipts);
    FILE *file = fopen(record_path(), "a");
    fputs("{\"record\":1,\"sequence\":6,\"time\":\"20\n{\"record\":1,\"seq", file);
    (void)fclose(file);
    assert_ok(pfm_record_open(context, record_path(), &record, &err));
    append_one(record, "after", &receipt);
    pfm_record_close(record);
    assert_intact(receipt.hash, ENTRIES + 2, ENTRIES + 1, 1);
    /* Zeros, as some file systems leave them; and the first line of all. */
    file = fopen(record_path(), "a");
    assert_int_equal(fwrite("\0\0\0\0\0\0\0\0", 1, 8, file), 8);
    (void)fclose(file);
    assert_ok(pfm_record_open(context, record_path(), &record, &err));
    pfm_record_close(record);
    assert_intact(receipt.hash, ENTRIES + 3, ENTRIES + 1, 2);
    assert_ok(pfm_file_write(record_path(), "{\"rec", 5, &err));
    assert_ok(pfm_record_open(context, record_path(), &record, &err));
    append_one(record, "first", &receipt);
    pfm_record_close(record);
    assert_intact(receipt.hash, 2, 1, 1);
    pfm_context_free(context);
}

static void what_is_no_record_is_left_alone(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = make_context();
    pfm_record_receipt receipts[ENTRIES];
    pfm_record *record = NULL;
    pfm_buffer text = {0}, after = {0};
    char *lines[16];
    static const char *const others[] = {"my notes", "my notes\n", "{\"id\":1}\n{\"id\":2}\n",
                                         "\n",       "\n\n{\"rec", "{\"id\":1}\n{\"rec"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_ok(pfm_file_write(record_path(), others[i], strlen(others[i]), &err));
        assert_error(pfm_record_open(context, record_path(), &record, &err), PFM_ERROR_FORMAT, "no");
        pfm_buffer_free(&after);
        assert_ok(pfm_file_read(record_path(), 0, &after, &err));
        assert_string_equal(after.data, others[i]);
    }
    /* A record whose last entry was changed is not gone on with. */
    make_record(context, receipts);
    (void)read_lines(&text, lines);
    strstr(lines[4], "answer \\\"5")[9] = '8';
    write_lines(lines, ENTRIES);
    assert_error(pfm_record_open(context, record_path(), &record, &err), PFM_ERROR_FORMAT, "pefomed audit");
    assert_error(pfm_record_open(context, test_scratch_folder(), &record, &err), PFM_ERROR_IO, "directory");
    assert_error(pfm_record_open(context, "/dev/null", &record, &err), PFM_ERROR_USAGE, "is no file");
    assert_error(pfm_record_open(context, test_path(test_scratch_folder(), "no/folder"), &record, &err), PFM_ERROR_IO,
                 "no/folder");
    pfm_buffer_free(&text);
    pfm_buffer_free(&after);
    pfm_context_free(context);
}

static void moved_or_cut_meanwhile(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = make_context();
    pfm_record_receipt receipts[ENTRIES], receipt;
    pfm_record *record = NULL;
    json_t *members = json_pack("{s:s}", "answer", "more");
    make_record(context, receipts);
    assert_ok(pfm_record_open(context, record_path(), &record, &err));
    assert_int_equal(truncate(record_path(), 700), 0);
    for (int i = 0; i < 2; i++) /* and it stays so */
        assert_error(pfm_record_append(record, members, &receipt, &err), PFM_ERROR_IO, "was cut from");
    pfm_record_close(record);
    make_record(context, receipts);
    assert_ok(pfm_record_open(context, record_path(), &record, &err));
    assert_int_equal(unlink(record_path()), 0);
    for (int i = 0; i < 2; i++)
        assert_error(pfm_record_append(record, members, &receipt, &err), PFM_ERROR_IO, "was moved or removed");
    assert_ok(pfm_file_write(record_path(), "", 0, &err)); /* nor is another one taken for it */
    assert_error(pfm_record_append(record, members, &receipt, &err), PFM_ERROR_IO, "was moved or removed");
    pfm_record_close(record);
    json_decref(members);
    pfm_context_free(context);
}

/* No answer is acknowledged that did not fit, and what was written of it is taken back. */
static void a_full_disk_is_an_error(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = make_context();
    pfm_record_receipt receipts[ENTRIES], receipt;
    pfm_record *record = NULL;
    struct rlimit before, limit;
    struct stat file;
    json_t *members = json_pack("{s:s}", "answer", "more");
    make_record(context, receipts);
    assert_int_equal(stat(record_path(), &file), 0);
    assert_ok(pfm_record_open(context, record_path(), &record, &err));
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = (rlim_t)file.st_size + 40;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    pfm_status failed = pfm_record_append(record, members, &receipt, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(failed, PFM_ERROR_IO);
    err = (pfm_error)PFM_ERROR_INIT;
    assert_intact(receipts[ENTRIES - 1].hash, ENTRIES, ENTRIES, 0);
    assert_ok(pfm_record_append(record, members, &receipt, &err));
    assert_int_equal(receipt.sequence, ENTRIES + 1);
    pfm_record_close(record);
    assert_intact(receipt.hash, ENTRIES + 1, ENTRIES + 1, 0);
    json_decref(members);
    pfm_context_free(context);
}

enum { WRITERS = 6, EACH = 40 };

static void *write_many(void *user)
{
    pfm_record_receipt receipt;
    for (int i = 0; i < EACH; i++)
        append_one(user, "one of many", &receipt);
    return NULL;
}

/* Threads of one process, and files that were opened by themselves, as other processes have them. */
static void many_write_at_once(void **state)
{
    (void)state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_context *context = make_context();
    pfm_record *records[2] = {NULL, NULL};
    pthread_t threads[WRITERS];
    (void)unlink(record_path());
    for (int i = 0; i < 2; i++)
        assert_ok(pfm_record_open(context, record_path(), &records[i], &err));
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, records[i % 2]), 0);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 2; i++)
        pfm_record_close(records[i]);
    assert_intact(NULL, WRITERS * EACH, WRITERS * EACH, 0);
    pfm_context_free(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_chained),
        cmocka_unit_test(hashes_are_what_is_said),
        cmocka_unit_test(tampering_is_named),
        cmocka_unit_test(a_cut_end_shows_by_the_head_alone),
        cmocka_unit_test(foreign_lines_are_named),
        cmocka_unit_test(torn_lines_are_passed),
        cmocka_unit_test(torn_twice),
        cmocka_unit_test(what_is_no_record_is_left_alone),
        cmocka_unit_test(moved_or_cut_meanwhile),
        cmocka_unit_test(a_full_disk_is_an_error),
        cmocka_unit_test(many_write_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
