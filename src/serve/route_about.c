/* What the page has to know of the run before it asks anything. */
#include "serve/routes.h"

#include "base/json.h"
#include "base/try.h"
#include "serve/server.h"

#include <string.h>

pfm_status pfm_route_about(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    (void)request;
    pfm_status status = PFM_OK;
    json_t *document = NULL, *models = json_array();
    PFM_TRY(pfm_server_wait(server, reply, err));
    const pfm_recipe *recipe = server->session->recipe;
    const char *instruction = server->session->model->instruction;
    for (size_t i = 0; i < server->model_count; i++)
        models = pfm_json_add(models,
                              json_pack("{s:s, s:b}", "id", server->models[i].name, "base", server->models[i].adapter == -1));
    document = json_pack("{s:s, s:O, s:s, s:b, s:b, s:i, s:s?, s:s?, s:{s:I, s:i, s:i}, s:s}", "version", pfm_version(),
                         "models", models, "instruction", instruction, "asks", strstr(instruction, "{question}") != NULL,
                         "sees", pfm_model_sees(server->session->model), "max_tokens", (int)recipe->eval.max_tokens, "window",
                         recipe->model.window, "slices", recipe->data.slices, "limits", "body", (json_int_t)server->limits.body,
                         "images", server->limits.images, "tokens", server->limits.tokens, "notice", "Not for clinical use.");
    PFM_TRY(pfm_http_reply_json(reply, document, err));
done:
    json_decref(models);
    return status;
}
