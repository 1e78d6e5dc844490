/* Images that are opened on the page: kept in memory (shelf.h), shown through a window, sorted into series. */
#include "serve/routes.h"

#include "base/json.h"
#include "base/try.h"
#include "image/image.h"
#include "image/window.h"
#include "pefomed/series.h"
#include "serve/kept.h"
#include "serve/server.h"
#include "serve/viewing.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SORTED = 4096, MOST_VALUES = 1 << 22 };

pfm_status pfm_kept_use(pfm_server *server, const char *id, pfm_http_reply *reply, pfm_shelf_image **out, pfm_error *err)
{
    *out = pfm_shelf_use(server->shelf, id);
    return *out != NULL ? PFM_OK
                        : pfm_http_refuse(reply, 404, "image_not_found", err,
                                          "the image is not here any more (it was not used for a while, or newer ones needed "
                                          "its place); open it again");
}

/* ---- what is told of an image ---- */

/* The windows that fit its values: those in Hounsfield units only where it has them. */
static json_t *list_windows(const pfm_image_values *values)
{
    static const char *const measured[] = {"file", "percentile", "full"};
    json_t *list = json_array();
    double center, width;
    for (size_t i = 0; values->data != NULL && i < sizeof measured / sizeof *measured; i++)
        list = pfm_json_add(list, json_pack("{s:s}", "name", measured[i]));
    const char *name = pfm_window_preset(0, &center, &width);
    for (size_t i = 1; values->is_hounsfield && name != NULL; name = pfm_window_preset(i++, &center, &width))
        list = pfm_json_add(list, json_pack("{s:s, s:f, s:f}", "name", name, "center", center, "width", width));
    return list;
}

static pfm_status describe(const pfm_shelf_image *image, const char *window, const pfm_image_values *values, pfm_buffer *out,
                           pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *text = NULL;
    json_t *document = NULL;
    PFM_TRY(pfm_image_applied_json(&image->applied, &text, err));
    document = json_pack("{s:s, s:s, s:i, s:i, s:i, s:s?, s:b, s:o, s:o}", "id", image->id, "kind", image->applied.kind,
                         "width", image->width, "height", image->height, "frames", image->applied.frames, "window", window,
                         "values", values->data != NULL, "windows", list_windows(values), "shown", json_loads(text, 0, NULL));
    if (document == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not describe an image");
    PFM_TRY(pfm_json_append(out, document, err));
done:
    free(text);
    json_decref(document);
    return status;
}

pfm_status pfm_route_image_open(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_image_file file = {.path = "the image"};
    pfm_image picture = {0};
    pfm_image_applied applied, unused;
    pfm_image_values values = {0};
    pfm_buffer bytes = {0};
    pfm_shelf_image *image = NULL;
    PFM_TRY(pfm_server_wait(server, reply, err));
    const char *window = server->session->recipe->model.window;
    pfm_server_begin_decoding(server);
    status = pfm_image_decode_file(request->body, request->size, &file, window, &picture, &applied, err);
    if (status == PFM_OK)
        status = pfm_image_look_for_text(&picture, &applied, err);
    if (status == PFM_OK && applied.has_values)
        status = pfm_image_decode_values(request->body, request->size, &file, &values, &unused, err);
    pfm_server_end_decoding(server);
    PFM_TRY(status);
    PFM_TRY(pfm_buffer_append(&bytes, request->body, request->size, err));
    status = pfm_shelf_put(server->shelf, &bytes, &picture, &applied, &image, err);
    if (status == PFM_ERROR_MISMATCH)
        reply->status = 413;
    PFM_TRY(status);
    PFM_TRY(describe(image, window, &values, &reply->body, err));
done:
    pfm_shelf_give_back(server->shelf, image);
    pfm_image_values_free(&values);
    pfm_image_free(&picture);
    pfm_buffer_free(&bytes);
    return status;
}

pfm_status pfm_route_image_close(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    pfm_shelf_forget(server->shelf, request->places[0]);
    return pfm_buffer_append_string(&reply->body, "{}", err);
}

/* ---- pictures ---- */

/* Which frame of the file the query names. */
static pfm_status read_frame(const pfm_http_request *request, pfm_image_file *file, pfm_error *err)
{
    enum { MOST_FRAME = 1 << 20 };
    size_t frame;
    const pfm_status status = pfm_view_number(request, "frame", 0, MOST_FRAME, 0, &frame, err);
    file->frame = (int)frame;
    return status;
}

/* The frame and window that the query names, as the model would be shown them. */
static pfm_status decode_asked(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_image *out,
                               pfm_image_applied *applied, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_image_file file = {.path = "the image"};
    const char *window = pfm_http_query(request, "window");
    pfm_shelf_image *image = NULL;
    PFM_TRY(pfm_server_wait(server, reply, err));
    PFM_TRY(read_frame(request, &file, err));
    PFM_TRY(pfm_kept_use(server, request->places[0], reply, &image, err));
    pfm_server_begin_decoding(server);
    status = pfm_image_decode_file(image->bytes.data, image->bytes.size, &file,
                                   window != NULL ? window : server->session->recipe->model.window, out, applied, err);
    pfm_server_end_decoding(server);
done:
    pfm_shelf_give_back(server->shelf, image);
    return status;
}

/* By what whole number sides are divided so that none is longer than `most`; 1: by none. */
static int factor_of(int width, int height, int most)
{
    const int longer = width > height ? width : height;
    return most > 0 && longer > most ? (longer + most - 1) / most : 1;
}

/* Each pixel is the mean of factor x factor; what is left over at the right and below is cut off. */
static void reduce(pfm_image *image, int factor)
{
    const int width = image->width / factor, height = image->height / factor;
    const unsigned pixels = (unsigned)(factor * factor);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++) {
                unsigned sum = 0;
                for (int k = 0; k < factor * factor; k++) {
                    const size_t at =
                        (size_t)(y * factor + k / factor) * (size_t)image->width + (size_t)(x * factor + k % factor);
                    sum += image->rgb[3 * at + (size_t)c];
                }
                image->rgb[3 * ((size_t)y * (size_t)width + (size_t)x) + (size_t)c] = (uint8_t)((sum + pixels / 2) / pixels);
            }
    image->width = width;
    image->height = height;
}

pfm_status pfm_route_image_picture(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_image picture = {0};
    size_t most;
    PFM_TRY(pfm_view_number(request, "most", 0, PFM_IMAGE_MAX_SIDE, 0, &most, err));
    PFM_TRY(decode_asked(server, request, reply, &picture, NULL, err));
    const int factor = factor_of(picture.width, picture.height, (int)most);
    if (factor > 1 && picture.width >= factor && picture.height >= factor)
        reduce(&picture, factor);
    PFM_TRY(pfm_image_append_png(&picture, "the picture", &reply->body, err));
    reply->type = "image/png";
done:
    pfm_image_free(&picture);
    return status;
}

/* How the picture is made of the file, and whether there seems to be text in it. */
pfm_status pfm_route_image_shown(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_image picture = {0};
    pfm_image_applied applied;
    char *text = NULL;
    PFM_TRY(decode_asked(server, request, reply, &picture, &applied, err));
    PFM_TRY(pfm_image_look_for_text(&picture, &applied, err));
    PFM_TRY(pfm_image_applied_json(&applied, &text, err));
    PFM_TRY(pfm_buffer_append_string(&reply->body, text, err));
done:
    free(text);
    pfm_image_free(&picture);
    return status;
}

pfm_status pfm_route_image_square(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_image picture = {0}, square = {0};
    PFM_TRY(decode_asked(server, request, reply, &picture, NULL, err));
    if (server->session->vision == NULL)
        PFM_TRY(pfm_http_refuse(reply, 404, "sees_nothing", err, "this model is shown no images"));
    PFM_TRY(pfm_vision_fit(server->session->vision, &picture, &square, err));
    PFM_TRY(pfm_image_append_png(&square, "the picture", &reply->body, err));
    reply->type = "image/png";
done:
    pfm_image_free(&picture);
    pfm_image_free(&square);
    return status;
}

/* ---- values ---- */

/* How values become 16-bit numbers: value = low + number * step. By the file's own step nothing is lost where they fit. */
static void choose_step(const pfm_image_values *values, double slope, double *low, double *step)
{
    const size_t count = (size_t)values->width * (size_t)values->height;
    double high = -INFINITY;
    *low = INFINITY;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(values->data[i]))
            continue;
        *low = values->data[i] < *low ? values->data[i] : *low;
        high = values->data[i] > high ? values->data[i] : high;
    }
    if (high < *low)
        *low = high = 0;
    *step = fabs(slope) > 0 && isfinite(slope) && (high - *low) / fabs(slope) <= UINT16_MAX ? fabs(slope)
            : high > *low                                                                   ? (high - *low) / UINT16_MAX
                                                                                            : 1;
}

/* A head of 32 bytes (width and height as u32, low and step as f64, inverted as u32, 0), then u16 [height][width], all in
 * little endian, which this machine is. Of a large frame every factor-th value. */
static pfm_status write_values(const pfm_image_values *values, const pfm_image_applied *applied, pfm_buffer *out,
                               pfm_error *err)
{
    pfm_status status = PFM_OK;
    struct {
        uint32_t width, height;
        double low, step;
        uint32_t inverted, nothing;
    } head = {.inverted = values->inverted};
    uint16_t *row = NULL;
    size_t factor = 1;
    while ((size_t)values->width / factor * ((size_t)values->height / factor) > MOST_VALUES)
        factor++;
    head.width = (uint32_t)((size_t)values->width / factor);
    head.height = (uint32_t)((size_t)values->height / factor);
    choose_step(values, applied->has_modality_lut ? 0 : applied->slope, &head.low, &head.step);
    PFM_TRY(pfm_buffer_append(out, &head, sizeof head, err));
    PFM_TRY(pfm_allocate(head.width, sizeof *row, &row, err));
    for (size_t y = 0; y < head.height; y++) {
        for (size_t x = 0; x < head.width; x++) {
            const double number = (values->data[y * factor * (size_t)values->width + x * factor] - head.low) / head.step;
            row[x] = (uint16_t)(!(number > 0) ? 0 : number >= UINT16_MAX ? UINT16_MAX : number + 0.5);
        }
        PFM_TRY(pfm_buffer_append(out, row, head.width * sizeof *row, err));
    }
done:
    free(row);
    return status;
}

pfm_status pfm_route_image_values(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_image_file file = {.path = "the image"};
    pfm_image_values values = {0};
    pfm_image_applied applied;
    pfm_shelf_image *image = NULL;
    PFM_TRY(read_frame(request, &file, err));
    PFM_TRY(pfm_kept_use(server, request->places[0], reply, &image, err));
    pfm_server_begin_decoding(server);
    status = pfm_image_decode_values(image->bytes.data, image->bytes.size, &file, &values, &applied, err);
    pfm_server_end_decoding(server);
    PFM_TRY(status);
    if (values.data == NULL) {
        status =
            pfm_http_refuse(reply, 404, "no_values", err, "the image is a finished picture and holds no values for a window");
        goto done;
    }
    PFM_TRY(write_values(&values, &applied, &reply->body, err));
    reply->type = "application/octet-stream";
done:
    pfm_shelf_give_back(server->shelf, image);
    pfm_image_values_free(&values);
    return status;
}

/* ---- series ---- */

static json_t *describe_series(const pfm_series *series, pfm_shelf_image *const *images)
{
    json_t *slices = json_array();
    for (size_t i = 0; i < series->count; i++) {
        const pfm_slice *slice = &series->slices[i];
        slices = pfm_json_add(slices, json_pack("{s:s, s:i}", "id", images[slice->file - 1]->id, "frame", slice->frame));
    }
    return json_pack("{s:s, s:s, s:s, s:I, s:o}", "modality", series->modality, "plane", series->plane, "order", series->order,
                     "duplicates", (json_int_t)series->duplicates, "slices", slices);
}

static pfm_status use_all(pfm_server *server, const json_t *list, pfm_http_reply *reply, pfm_shelf_image **images,
                          pfm_series_file *files, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *id = json_string_value(json_array_get(list, i));
        if (id == NULL)
            PFM_FAIL(PFM_ERROR_USAGE, "images must be a list of images' ids");
        PFM_TRY(pfm_kept_use(server, id, reply, &images[i], err));
        files[i] = (pfm_series_file){images[i]->bytes.data, images[i]->bytes.size, "an image"};
    }
done:
    return status;
}

pfm_status pfm_route_image_series(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    json_t *document = json_loadb(request->body, request->size, JSON_REJECT_DUPLICATES, NULL), *list = NULL, *answer = NULL;
    const json_t *ids = json_object_get(document, "images");
    const size_t count = json_array_size(ids);
    pfm_shelf_image **images = NULL;
    pfm_series_file *files = NULL;
    pfm_series *series = NULL;
    size_t series_count = 0;
    if (count == 0 || count > MOST_SORTED || json_object_size(document) != 1)
        PFM_FAIL(PFM_ERROR_USAGE, "the body must be {\"images\": [ids]} with 1 to %d of them", MOST_SORTED);
    PFM_TRY(pfm_allocate(count, sizeof *images, &images, err));
    PFM_TRY(pfm_allocate(count, sizeof *files, &files, err));
    PFM_TRY(use_all(server, ids, reply, images, files, err));
    PFM_TRY(pfm_series_arrange(files, count, &series, &series_count, err));
    list = json_array();
    for (size_t i = 0; i < series_count; i++)
        list = pfm_json_add(list, describe_series(&series[i], images));
    answer = json_pack("{s:O}", "series", list);
    PFM_TRY(pfm_http_reply_json(reply, answer, err));
done:
    for (size_t i = 0; i < series_count; i++)
        pfm_series_free(&series[i]);
    for (size_t i = 0; images != NULL && i < count; i++)
        pfm_shelf_give_back(server->shelf, images[i]);
    free(series);
    free(files);
    free(images);
    json_decref(list);
    json_decref(document);
    return status;
}
