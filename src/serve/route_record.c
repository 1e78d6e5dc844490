/* GET /api/record: the newest entry of the record, so that another machine can keep its hash. */
#include "serve/routes.h"

#include "base/json.h"
#include "base/try.h"
#include "serve/server.h"

pfm_status pfm_route_record(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    (void)request;
    pfm_status status = PFM_OK;
    pfm_record_receipt head;
    json_t *document = NULL;
    if (server->recorder == NULL)
        return pfm_http_refuse(reply, 404, "no_record", err, "this server records no answers; it does with --record FILE");
    pfm_recorder_head(server->recorder, &head);
    document = pfm_record_receipt_describe(&head);
    if (document == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not tell of the record");
    PFM_TRY(pfm_json_append(&reply->body, document, err));
done:
    json_decref(document);
    return status;
}
