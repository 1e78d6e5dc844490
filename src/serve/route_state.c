/* What the server says of itself: /health, /metrics, /v1/models. */
#include "serve/routes.h"

#include "base/json.h"
#include "base/process.h"
#include "base/try.h"
#include "pacs/pacs.h"
#include "serve/server.h"

static bool is_ready(pfm_server *server)
{
    (void)pthread_mutex_lock(&server->lock);
    const bool ready = server->ready && !server->stopping;
    (void)pthread_mutex_unlock(&server->lock);
    return ready;
}

pfm_status pfm_route_health(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    (void)request;
    const bool ready = is_ready(server);
    reply->status = ready ? 200 : 503;
    return pfm_buffer_append_format(&reply->body, err, "{\"status\":\"%s\"}", ready ? "ok" : "loading");
}

static pfm_status write_engine(pfm_server *server, pfm_buffer *out, pfm_error *err)
{
    pfm_engine_stats s = {0};
    if (is_ready(server))
        pfm_engine_stats_get(server->engine, &s);
    const struct {
        const char *name, *help, *type;
        double value;
    } figures[] = {
        {"waiting", "Requests that wait for their first token.", "gauge", (double)s.waiting},
        {"running", "Requests that are being answered.", "gauge", (double)s.running},
        {"prompt_tokens_total", "Tokens of prompts that were read.", "counter", (double)s.read},
        {"prompt_tokens_shared_total", "Tokens of prompts that were found read.", "counter", (double)s.shared},
        {"generated_tokens_total", "Tokens of answers.", "counter", (double)s.generated},
        {"features_computed_total", "Images whose features were computed.", "counter", (double)s.features},
        {"features_found_total", "Images whose features were found.", "counter", (double)s.features_found},
        {"held_bytes", "Keys, values and features that are held.", "gauge", (double)s.bytes},
        {"steps_total", "Steps of the batch.", "counter", (double)s.steps},
        {"resident_bytes", "Memory of the process.", "gauge", (double)pfm_process_memory()},
    };
    pfm_status status = PFM_OK;
    for (size_t i = 0; status == PFM_OK && i < sizeof figures / sizeof *figures; i++)
        status = pfm_tally_write_one(out, figures[i].name, figures[i].help, figures[i].type, figures[i].value, err);
    return status;
}

static pfm_status write_pacs(pfm_server *server, pfm_buffer *out, pfm_error *err)
{
    pfm_pacs_stats s;
    pfm_pacs_stats_get(server->pacs, &s);
    const struct {
        const char *name, *help, *type;
        uint64_t value;
    } figures[] = {
        {"dicom_associations_total", "Connections of the DICOM service that ended.", "counter", s.associations},
        {"dicom_objects_received_total", "DICOM objects that were acknowledged.", "counter", s.received},
        {"dicom_objects_refused_total", "DICOM objects that were not.", "counter", s.refused},
        {"dicom_studies_answered_total", "Studies of which a report was made.", "counter", s.answered},
        {"dicom_studies_ignored_total", "Studies that no rule is for.", "counter", s.ignored},
        {"dicom_studies_failed_total", "Studies that could not be answered.", "counter", s.failed},
        {"dicom_reports_returned_total", "Reports that were delivered.", "counter", s.returned},
        {"dicom_reports_given_up_total", "Reports that could not be delivered in time.", "counter", s.given_up},
        {"dicom_studies_waiting", "Studies that are received or wait for their answer.", "gauge", s.studies},
        {"dicom_inbox_bytes", "Objects that are received or wait for their answer.", "gauge", s.bytes},
        {"dicom_reports_waiting", "Reports that wait for their delivery.", "gauge", s.reports},
    };
    pfm_status status = PFM_OK;
    for (size_t i = 0; status == PFM_OK && i < sizeof figures / sizeof *figures; i++)
        status = pfm_tally_write_one(out, figures[i].name, figures[i].help, figures[i].type, (double)figures[i].value, err);
    return status;
}

pfm_status pfm_route_metrics(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    (void)request;
    reply->type = "text/plain; version=0.0.4; charset=utf-8";
    pfm_status status = pfm_tally_write(&server->tally, &reply->body, err);
    if (status == PFM_OK)
        status = write_engine(server, &reply->body, err);
    return status == PFM_OK && server->pacs != NULL ? write_pacs(server, &reply->body, err) : status;
}

static json_t *describe_model(const pfm_server *server, const pfm_served_model *model)
{
    return json_pack("{s:s, s:s, s:I, s:s}", "id", model->name, "object", "model", "created", (json_int_t)server->created,
                     "owned_by", "pefomed");
}

pfm_status pfm_route_models(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    (void)request;
    pfm_status status = PFM_OK;
    json_t *list = json_array();
    PFM_TRY(pfm_server_wait(server, reply, err));
    for (size_t i = 0; i < server->model_count; i++)
        list = pfm_json_add(list, describe_model(server, &server->models[i]));
    PFM_TRY(pfm_http_reply_json(reply, json_pack("{s:s, s:O}", "object", "list", "data", list), err));
done:
    json_decref(list);
    return status;
}

pfm_status pfm_route_model(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    const pfm_status status = pfm_server_wait(server, reply, err);
    if (status != PFM_OK)
        return status;
    const pfm_served_model *model = pfm_server_find_model(server, request->places[0]);
    return model != NULL ? pfm_http_reply_json(reply, describe_model(server, model), err)
                         : pfm_http_refuse(reply, 404, "model_not_found", err,
                                           "there is no model %.200s; GET /v1/models lists them", request->places[0]);
}
