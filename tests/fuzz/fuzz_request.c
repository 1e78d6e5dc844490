/* Any bytes as requests to a server with a small model, through everything but the sockets (carrier.h): guard, routes, bodies,
 * the store, the engine. Requests are parted by a marker; {report}, {study}, {image} and {link} in them stand for what the last
 * reply that had one told. Each is answered with a status and a document that is as it says; nobody gets in without the token
 * or a link; nothing outside of the server's own folders is written, shown or named. */
#include "carrier.h"

#include "base/file.h"
#include "base/json.h"
#include "pefomed/image.h"
#include "pefomed/serve.h"
#include "serve/routes.h"
#include "train/tiny_training.h"

#include <ftw.h>
#include <pthread.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_REQUESTS = 12, MOST_KNOWN = 4 * MOST_REQUESTS, MOST_NAME = 64, MOST_BODY = 8 << 10, OUTSIDE_SIDE = 61 };

static const char marker[] = "<next request>", token[] = "the-token";
static const char outside_word[] = "nobody-may-read-this-5091"; /* in a file beside the folders that are served */

static char root[64];
static uint64_t untouched; /* a number of all that lies in the root and is not the server's to write */

/* ---- what has been told ---- */

typedef enum known_kind { KNOWN_REPORT, KNOWN_STUDY, KNOWN_IMAGE, KNOWN_LINK, KNOWN_KINDS } known_kind;
static const char *const known_names[KNOWN_KINDS] = {"{report}", "{study}", "{image}", "{link}"};
static const char *const known_paths[KNOWN_LINK] = {"/api/reports/", "/api/studies/", "/api/images/"};

static struct {
    known_kind kind;
    char name[MOST_NAME];
} known[MOST_KNOWN];
static size_t known_count;

static void learn(known_kind kind, const char *name)
{
    if (name == NULL || strlen(name) >= MOST_NAME || known_count == MOST_KNOWN)
        return;
    known[known_count].kind = kind;
    (void)snprintf(known[known_count++].name, MOST_NAME, "%s", name);
}

/* "/#rate/SECRET" */
static void learn_link(const json_t *object)
{
    const char *link = json_string_value(json_object_get(object, "link")), *secret = link != NULL ? strrchr(link, '/') : NULL;
    if (secret == NULL)
        abort();
    learn(KNOWN_LINK, secret + 1);
}

static const char *last_of(known_kind kind)
{
    for (size_t i = known_count; i-- > 0;)
        if (known[i].kind == kind)
            return known[i].name;
    return "none";
}

/* ---- the server ---- */

static void write_text(const char *name, const char *text)
{
    pfm_error err = PFM_ERROR_INIT;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    assert_ok(pfm_file_write(path, text, strlen(text), &err));
}

static void make_folder(const char *name)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    if (mkdir(path, 0700) != 0)
        abort();
}

static void make_picture(const char *name, int side)
{
    pfm_error err = PFM_ERROR_INIT;
    static uint8_t rgb[OUTSIDE_SIDE * OUTSIDE_SIDE * 3];
    char path[128];
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = (uint8_t)(i * 7);
    const pfm_image image = {.width = side, .height = side, .rgb = rgb};
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    assert_ok(pfm_image_write_png(&image, path, &err));
}

static void make_run(const char *folder, const char *recipe)
{
    static const char rows[] =
        "{\"id\":1,\"question\":\"Is it normal?\",\"answer\":\"yes\",\"prediction\":\"yes\",\"modality\":\"CT\","
        "\"image\":\"in.png\",\"images\":[\"in.png\",\"../../outside.png\",\"link.png\",\"below/../../../outside.png\"]}\n"
        "{\"id\":2,\"question\":\"Where?\",\"answer\":\"left\",\"prediction\":\"right\",\"modality\":\"MR\","
        "\"image\":\"in.png\",\"correct\":false}\n";
    char name[64];
    make_folder(folder);
    (void)snprintf(name, sizeof name, "%s/recipe.yaml", folder);
    write_text(name, recipe);
    (void)snprintf(name, sizeof name, "%s/log.jsonl", folder);
    write_text(name, "{\"step\":1,\"loss\":2.5,\"learning_rate\":0.001}\n{\"step\":2,\"loss\":2.25}\n");
    (void)snprintf(name, sizeof name, "%s/predictions.jsonl", folder);
    write_text(name, rows);
}

/* Runs, one with a broken recipe, whose predictions name images in and out of their folder, and what lies outside. */
static void make_files(void)
{
    char text[128], path[128], target[128];
    make_folder("data");
    make_folder("data/runs");
    make_folder("data/images");
    make_folder("data/images/below");
    make_run("data/runs/a", "data: {dataset: table}\ntrain: {batch: 4}\n");
    make_run("data/runs/b", "data: {dataset: table}\ntrain: {steps: x}\n");
    make_run("data/runs/c", "data: {dataset: table}\ntrain: {batch: 8}\nstages: [{name: one}]\n");
    (void)snprintf(text, sizeof text, "{\"id\":1,\"answer\":\"%s\",\"prediction\":\"%s\"}\n", outside_word, outside_word);
    write_text("outside.jsonl", text);
    make_picture("data/images/in.png", 8);
    make_picture("outside.png", OUTSIDE_SIDE);
    (void)snprintf(path, sizeof path, "%s/data/images/link.png", root);
    (void)snprintf(target, sizeof target, "%s/outside.png", root);
    if (symlink(target, path) != 0)
        abort();
}

static int remove_one(const char *path, const struct stat *facts, int kind, struct FTW *place)
{
    (void)facts;
    (void)kind;
    (void)place;
    return remove(path);
}

static void remove_files(void) { (void)nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

static void *serve(void *user)
{
    pfm_error err = PFM_ERROR_INIT;
    static char home[96], runs[96], images[96], record[96];
    static const char *const run_folders[] = {runs}, *const image_folders[] = {images};
    pfm_context *context = NULL;
    (void)snprintf(home, sizeof home, "%s/home", root);
    (void)snprintf(runs, sizeof runs, "%s/data/runs", root);
    (void)snprintf(images, sizeof images, "%s/data/images", root);
    (void)snprintf(record, sizeof record, "%s/home/record.jsonl", root);
    const pfm_context_options options = {.threads = 1, .seed = 1, .home = home};
    const pfm_serve_options server = {.run = user,
                                      .token = token,
                                      .run_folders = run_folders,
                                      .run_folder_count = 1,
                                      .image_folders = image_folders,
                                      .image_folder_count = 1,
                                      .keep = 1 << 20,
                                      .record = {.path = record, .texts = "hash"},
                                      .limits = {.body = MOST_BODY, .images = 4, .tokens = 8}};
    pfm_status status = pfm_context_create(&options, &context, &err);
    if (status == PFM_OK)
        status = pfm_serve(context, &server, &err);
    (void)fprintf(stderr, "the server ended: %s\n", err.message); /* it never should */
    abort();
}

static int add_facts(const char *path, const struct stat *facts, int kind, struct FTW *place)
{
    (void)place;
    const size_t length = strlen(root);
    if (strncmp(path + length, "/home/", 6) == 0)
        return 0;
    uint64_t hash = 14695981039346656037U ^ (uint64_t)kind;
    for (const char *c = path; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * 1099511628211U;
    if (kind == FTW_F)
        hash = (hash ^ (uint64_t)facts->st_size ^ (uint64_t)facts->st_mtim.tv_nsec) * 1099511628211U;
    untouched += hash;
    return 0;
}

static uint64_t look_at_files(void)
{
    untouched = 0;
    if (nftw(root, add_facts, 16, FTW_PHYS) != 0)
        abort();
    return untouched;
}

/* ---- what must hold of a reply ---- */

static const char *header_of(const carrier_request *request, const char *name)
{
    return carrier_find(request->headers, request->header_count, name);
}

static bool begins_with(const char *text, const char *beginning)
{
    return text != NULL && strncmp(text, beginning, strlen(beginning)) == 0;
}

static const pfm_route *route_of(const carrier_request *request, char *place, size_t room)
{
    pfm_error err = PFM_ERROR_INIT;
    char allowed[64];
    const pfm_route *route = NULL;
    pfm_http_request asked = {.method = request->method, .path = request->path};
    if (pfm_route_find(&asked, &route, allowed, &err) != PFM_OK || strlen(allowed) > 40)
        abort();
    (void)snprintf(place, room, "%s", asked.places[0] != NULL ? asked.places[0] : "");
    for (size_t i = 0; i < PFM_HTTP_PLACES; i++)
        free(asked.places[i]);
    return route;
}

/* Written apart from guard.c: who was answered must have been allowed to ask. */
static void check_guard(const carrier_request *request, const pfm_route *route, const carrier_reply *reply)
{
    const char *shown = header_of(request, "Authorization"), *origin = header_of(request, "Origin"),
               *host = header_of(request, "Host");
    const char *secret = shown != NULL && strncasecmp(shown, "Bearer ", 7) == 0 ? shown + 7 + strspn(shown + 7, " ") : "";
    bool is_link = false;
    for (size_t i = 0; i < known_count; i++)
        is_link = is_link || (known[i].kind == KNOWN_LINK && strcmp(known[i].name, secret) == 0);
    const bool refused = reply->status == 401 || reply->status == 403;
    if ((route == NULL || route->who == PFM_ROUTE_OWNER) && strcmp(secret, token) != 0 && !refused)
        abort();
    if (route != NULL && route->who == PFM_ROUTE_RATER && !is_link && !refused)
        abort();
    const char *site = origin != NULL ? strstr(origin, "://") : NULL;
    if (origin != NULL && (site == NULL || host == NULL || strcasecmp(site + 3, host) != 0) && reply->status != 403)
        abort();
    if (host != NULL && strncasecmp(host, "localhost", 9) != 0 && strncmp(host, "127.0.0.1", 9) != 0 &&
        strncmp(host, "[::1]", 5) != 0 && reply->status != 403)
        abort();
}

static void check_error(const carrier_reply *reply, const json_t *document)
{
    const json_t *error = json_object_get(document, "error");
    const char *message = json_string_value(json_object_get(error, "message"));
    if (message == NULL || message[0] == '\0' || json_string_value(json_object_get(error, "type")) == NULL ||
        (reply->status == 405) != (carrier_find(reply->headers, reply->header_count, "Allow") != NULL))
        abort();
}

/* *document: of a reply that says that it is one; the caller calls json_decref. */
static void check_reply(const carrier_reply *reply, json_t **document)
{
    const char *type = carrier_find(reply->headers, reply->header_count, "Content-Type"),
               *kept = carrier_find(reply->headers, reply->header_count, "Cache-Control"),
               *guess = carrier_find(reply->headers, reply->header_count, "X-Content-Type-Options");
    if (reply->status < 200 || reply->status > 504 || type == NULL || kept == NULL || guess == NULL ||
        carrier_find(reply->headers, reply->header_count, "Content-Security-Policy") == NULL)
        abort();
    if (reply->status == 500)
        abort(); /* nothing that is sent breaks the server's own files */
    if (strcmp(type, "application/json") == 0 &&
        (*document = json_loadb(reply->body, reply->size, JSON_DECODE_ANY, NULL)) == NULL)
        abort();
    if (reply->status >= 400)
        check_error(reply, *document);
    if (strcmp(type, "image/png") == 0 && (reply->size < 33 || memcmp(reply->body, "\x89PNG", 4) != 0))
        abort();
    if (strcmp(type, "application/dicom") == 0 && (reply->size < 132 || memcmp(reply->body + 128, "DICM", 4) != 0))
        abort();
}

/* What lies outside is neither shown nor named. input [size]: all that was sent, also before, which may come back. */
static void check_secrets(const carrier_request *request, const carrier_reply *reply, const uint8_t *input, size_t size)
{
    const struct {
        const char *text;
        size_t length;
    } secrets[] = {{root, strlen(root)}, {outside_word, strlen(outside_word)}};
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
        if (memmem(reply->body, reply->size, secrets[i].text, secrets[i].length) != NULL &&
            memmem(input, size, secrets[i].text, secrets[i].length) == NULL)
            abort();
    const bool of_files = begins_with(request->path, "/api/predictions/") || begins_with(request->path, "/api/rate/");
    if (of_files && reply->size > 24 && memcmp(reply->body, "\x89PNG", 4) == 0 &&
        reply->body[19] == OUTSIDE_SIDE) /* the width, of four bytes */
        abort();
}

/* ---- requests ---- */

static void learn_from(const pfm_route *route, const carrier_reply *reply, const json_t *document)
{
    const char *id = json_string_value(json_object_get(document, "id"));
    if (route == NULL || reply->status >= 400)
        return;
    if (strcmp(route->name, "report_create") == 0)
        learn(KNOWN_REPORT, id);
    if (strcmp(route->name, "image_open") == 0)
        learn(KNOWN_IMAGE, id);
    if (strcmp(route->name, "study_link") == 0)
        learn_link(document);
    if (strcmp(route->name, "study_create") != 0)
        return;
    learn(KNOWN_STUDY, id);
    const json_t *links = json_object_get(document, "links");
    for (size_t i = json_array_size(links); i-- > 0;) /* the first rater's last */
        learn_link(json_array_get(links, i));
}

static void ask(char *text, size_t size, const uint8_t *input, size_t input_size)
{
    carrier_request request;
    carrier_reply reply;
    json_t *document = NULL;
    char place[MOST_NAME];
    if (!carrier_parse(text, size, &request))
        return;
    const pfm_route *route = route_of(&request, place, sizeof place);
    carrier_ask(&request, &reply);
    if (reply.status != 0) {
        check_reply(&reply, &document);
        check_guard(&request, route, &reply);
        check_secrets(&request, &reply, input, input_size);
        learn_from(route, &reply, document);
    } else if (request.size <= MOST_BODY) {
        abort(); /* only what is much too large is closed without a word */
    }
    json_decref(document);
    carrier_reply_free(&reply);
}

/* A copy with what was told in the place of its name. */
static char *fill_in(const uint8_t *data, size_t size, size_t *length)
{
    char *out = malloc(size * MOST_NAME + 1);
    *length = 0;
    if (out == NULL)
        abort();
    while (size > 0) {
        known_kind kind = 0;
        while (kind < KNOWN_KINDS &&
               (size < strlen(known_names[kind]) || memcmp(data, known_names[kind], strlen(known_names[kind])) != 0))
            kind++;
        const size_t taken = kind < KNOWN_KINDS ? strlen(known_names[kind]) : 1;
        if (kind < KNOWN_KINDS)
            *length += (size_t)snprintf(out + *length, MOST_NAME, "%s", last_of(kind));
        else
            out[(*length)++] = (char)*data;
        data += taken;
        size -= taken;
    }
    out[*length] = '\0';
    return out;
}

/* What one input left is not there for the next one. */
static void forget(void)
{
    char text[256];
    for (size_t i = 0; i < known_count; i++) {
        carrier_request request;
        carrier_reply reply;
        if (known[i].kind == KNOWN_LINK)
            continue;
        const int length = snprintf(text, sizeof text, "DELETE %s%s\nAuthorization: Bearer %s\n\n", known_paths[known[i].kind],
                                    known[i].name, token);
        if (!carrier_parse(text, (size_t)length, &request))
            abort();
        carrier_ask(&request, &reply);
        if (reply.status != 200 && reply.status != 404)
            abort();
        carrier_reply_free(&reply);
    }
    known_count = 0;
}

/* ---- from the first to the last ---- */

static bool is_healthy(void)
{
    char text[] = "GET /health\n\n";
    carrier_request request;
    carrier_reply reply;
    if (!carrier_parse(text, strlen(text), &request))
        abort();
    carrier_ask(&request, &reply);
    const bool healthy = reply.status == 200;
    carrier_reply_free(&reply);
    return healthy;
}

int LLVMFuzzerInitialize(int *count, char ***arguments)
{
    (void)count;
    (void)arguments;
    const struct timespec pause = {.tv_nsec = 10000000};
    char models[80];
    pthread_t thread;
    (void)snprintf(root, sizeof root, "%s/fuzz-request-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(root) == NULL)
        abort();
    (void)atexit(remove_files);
    (void)snprintf(models, sizeof models, "%s/models", root);
    make_folder("models");
    make_folder("home");
    if (setenv("PFM_SCRATCH", models, 1) != 0)
        abort();
    make_training();
    make_files();
    if (pthread_create(&thread, NULL, serve, (void *)(uintptr_t)training_recipe()) != 0)
        abort();
    while (!carrier_is_started() || !is_healthy())
        (void)nanosleep(&pause, NULL);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint64_t before = look_at_files();
    const uint8_t *input = data;
    const size_t input_size = size;
    for (int i = 0; i < MOST_REQUESTS; i++) {
        const uint8_t *next = memmem(data, size, marker, sizeof marker - 1);
        const size_t own = next != NULL ? (size_t)(next - data) : size;
        size_t length = 0;
        char *text = fill_in(data, own, &length);
        ask(text, length, input, input_size);
        free(text);
        if (next == NULL)
            break;
        size -= own + sizeof marker - 1;
        data = next + sizeof marker - 1;
    }
    forget();
    if (look_at_files() != before)
        abort();
    return 0;
}
