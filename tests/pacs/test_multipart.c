#include "base/memory.h"
#include "pacs/multipart.h"
#include "test.h"

static pfm_error err = PFM_ERROR_INIT;

/* All parts as one text: "<type>data|" each; a part that did not end has no "|". */
static pfm_status begin(void *user, const char *type, pfm_error *e) { return pfm_buffer_append_format(user, e, "<%s>", type); }
static pfm_status data(void *user, const void *bytes, size_t count, pfm_error *e)
{
    return pfm_buffer_append(user, bytes, count, e);
}
static pfm_status end(void *user, pfm_error *e) { return pfm_buffer_append_string(user, "|", e); }

/* Feeds a text in pieces of so many bytes. */
static pfm_status cut(const char *type, const char *text, size_t size, size_t piece, pfm_buffer *out)
{
    const pfm_multipart_sink sink = {begin, data, end, out};
    pfm_multipart *m = NULL;
    pfm_status status = pfm_multipart_create(type, &sink, &m, &err);
    for (size_t at = 0; status == PFM_OK && at < size; at += piece)
        status = pfm_multipart_feed(m, text + at, size - at < piece ? size - at : piece, &err);
    if (status == PFM_OK)
        status = pfm_multipart_finish(m, &err);
    pfm_multipart_free(m);
    return status;
}

#define TYPE "multipart/related; type=\"application/dicom\"; boundary=xx-x"

static void parts_are_whole_however_they_come(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"--xx-x\r\nContent-Type: application/dicom\r\n\r\nDATA\r\n--xx-x--", "<application/dicom>DATA|"},
        {"\r\n--xx-x\r\nContent-Type:A;b=c\r\n\r\n1\r\n--xx-x\r\n\r\n2\r\n--xx-x--\r\nepilogue --xx-x", "<a;b=c>1|<>2|"},
        {"preamble\r\n--xx-x \t\r\nX: y\r\nCONTENT-TYPE:  t\r\n\r\n\r\n--xx-x--", "<t>|"},
        {"--xx-x\r\n\r\n\r\n\r\n--xx-\r\n--xx\r\n-\r\n\r\n--xx-x--", "<>\r\n\r\n--xx-\r\n--xx\r\n-\r\n|"},
        {"--xx-x\r\n\r\n--xx-x in the midst --xx-x--\r\n--xx-x--", "<>--xx-x in the midst --xx-x--|"},
        {"--xx-x\r\n\r\n\r\r\n\r\r\n--xx-x--", "<>\r\r\n\r|"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t size = strlen(cases[i].text);
        for (size_t piece = 1; piece <= size; piece++) {
            pfm_buffer out = {0};
            assert_ok(cut(TYPE, cases[i].text, size, piece, &out));
            assert_string_equal(out.data, cases[i].want);
            pfm_buffer_free(&out);
        }
    }
}

static void bytes_may_be_any(void **state)
{
    (void)state;
    char text[700];
    pfm_buffer out = {0};
    size_t size = (size_t)sprintf(text, "--xx-x\r\n\r\n");
    for (int i = 0; i < 512; i++)
        text[size++] = (char)(i % 256);
    size += (size_t)sprintf(text + size, "\r\n--xx-x--");
    assert_ok(cut(TYPE, text, size, 7, &out));
    assert_int_equal(out.size, 2 + 512 + 1);
    assert_memory_equal(out.data + 2, text + 10, 512);
    pfm_buffer_free(&out);
}

static void what_is_cut_or_none_is_refused(void **state)
{
    (void)state;
    const char whole[] = "--xx-x\r\nContent-Type: application/dicom\r\n\r\nDATA\r\n--xx-x--";
    pfm_buffer out = {0};
    for (size_t size = 0; size < sizeof whole - 1; size++)
        assert_error(cut(TYPE, whole, size, 5, &out), PFM_ERROR_FORMAT, "before its last boundary");
    assert_error(cut(TYPE, "--xx-xyz\r\n\r\n", 12, 12, &out), PFM_ERROR_FORMAT, "what does not belong there");
    assert_error(cut(TYPE, "--xx-x\n\n", 8, 8, &out), PFM_ERROR_FORMAT, "what does not belong there");
    pfm_buffer_free(&out);
}

static void heads_are_bounded(void **state)
{
    (void)state;
    pfm_buffer out = {0}, text = {0};
    assert_ok(pfm_buffer_append_string(&text, "--xx-x\r\nA: ", &err));
    for (int i = 0; i < 20000; i++)
        assert_ok(pfm_buffer_append(&text, "b", 1, &err));
    assert_error(cut(TYPE, text.data, text.size, 100, &out), PFM_ERROR_FORMAT, "16384 bytes of headers");
    text.size = 0;
    assert_ok(pfm_buffer_append_string(&text, "--xx-x", &err));
    for (int i = 0; i < 20000; i++)
        assert_ok(pfm_buffer_append(&text, " ", 1, &err));
    assert_error(cut(TYPE, text.data, text.size, 100, &out), PFM_ERROR_FORMAT, "16384 bytes of headers");
    pfm_buffer_free(&text);
    pfm_buffer_free(&out);
}

static void the_boundary_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *type, *boundary; /* NULL: there is none */
    } cases[] = {
        {"Multipart/Related;boundary=a", "a"},
        {"multipart/related; boundary=\"a b\"; type=x", "a b"},
        {"multipart/related; type=\"x; boundary=no\"; boundary=yes", "yes"},
        {"multipart/related; type=\"\\\"; boundary=no\"; BOUNDARY=yes ; a=b", "yes"},
        {"multipart/related", NULL},
        {"multipart/related; boundary=", NULL},
        {"multipart/related; boundary=\"a", NULL},
        {"multipart/related; boundary=\"\"", NULL},
        {"multipart/related; boundary=\"a \"", NULL},
        {"multipart/related; boundary=a\x01", NULL},
        {"multipart/related; boundary=0123456789012345678901234567890123456789012345678901234567890123456789",
         "0123456789012345678901234567890123456789012345678901234567890123456789"},
        {"multipart/related; boundary=01234567890123456789012345678901234567890123456789012345678901234567890", NULL},
        {"text/plain; boundary=a", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        pfm_buffer out = {0};
        const int size = sprintf(text, "--%s\r\n\r\nd\r\n--%s--", cases[i].boundary, cases[i].boundary);
        if (cases[i].boundary == NULL) {
            assert_error(cut(cases[i].type, text, (size_t)size, 9, &out), PFM_ERROR_FORMAT,
                         "no multipart/related with a boundary");
        } else {
            assert_ok(cut(cases[i].type, text, (size_t)size, 9, &out));
            assert_string_equal(out.data, "<>d|");
        }
        pfm_buffer_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_whole_however_they_come),
        cmocka_unit_test(bytes_may_be_any),
        cmocka_unit_test(what_is_cut_or_none_is_refused),
        cmocka_unit_test(heads_are_bounded),
        cmocka_unit_test(the_boundary_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
