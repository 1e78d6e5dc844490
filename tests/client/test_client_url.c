#include "client/client_internal.h"
#include "test.h"

static pfm_error err = PFM_ERROR_INIT;

static void check(const char *url, const char *wanted, bool wanted_local)
{
    char *base = NULL;
    bool local = !wanted_local;
    assert_ok(pfm_client_url_read(url, true, &base, &local, &err));
    assert_string_equal(base, wanted);
    assert_int_equal(local, wanted_local);
    free(base);
}

static void test_read(void **state)
{
    (void)state;
    check("http://localhost:8080/v1", "http://localhost:8080/v1", true);
    check("http://LOCALHOST/v1/", "http://LOCALHOST/v1", true);
    check("http://127.0.0.1:1/", "http://127.0.0.1:1", true);
    check("http://127.1.2.3/v1/chat/completions", "http://127.1.2.3/v1", true);
    check("https://[::1]:8443/v1/chat/completions/", "https://[::1]:8443/v1", true);
    check("http://2130706433/", "http://127.0.0.1", true); /* the same address in one number */
    check("https://api.example.com/v1", "https://api.example.com/v1", false);
    check("http://127.0.0.1.example.com/", "http://127.0.0.1.example.com", false);
    check("http://localhost.example.com/", "http://localhost.example.com", false);
    check("http://0.0.0.0:80/", "http://0.0.0.0:80", false);
    check("http://[::2]/", "http://[::2]", false);
    check("http://[::ffff:127.0.0.1]/", "http://[::ffff:127.0.0.1]", false);
    check("http://128.0.0.1/", "http://128.0.0.1", false);
}

static void refuse(const char *url, const char *part)
{
    char *base = NULL;
    bool local = false;
    assert_error(pfm_client_url_read(url, false, &base, &local, &err), PFM_ERROR_USAGE, part);
    assert_null(base);
}

static void test_refused(void **state)
{
    (void)state;
    refuse("localhost:8080", "");
    refuse("", "is no URL");
    refuse("http://", "is no URL");
    refuse("ftp://localhost/", "not by ftp");
    refuse("file:///etc/passwd", "");
    refuse("http://me:secret@localhost/", "holds a user or password");
    refuse("http://localhost@example.com/", "holds a user or password");
    refuse("http://localhost/v1?key=1", "has no part behind ?");
    refuse("http://localhost/v1#x", "has no part behind ?");
    refuse("http://example.com/v1", "is not this machine");
    refuse("http://192.168.1.4:8080/v1", "is not this machine");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_read), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
