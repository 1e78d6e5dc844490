/* GET /api/record: the newest entry of the record, so that another machine can keep its hash. */
#include "serve/routes.h"

#include "serve/server.h"

pfm_status pfm_route_record(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply, pfm_error *err)
{
    (void)request;
    pfm_record_receipt head;
    if (server->recorder == NULL)
        return pfm_http_refuse(reply, 404, "no_record", err, "this server records no answers; it does with --record FILE");
    pfm_recorder_head(server->recorder, &head);
    return pfm_http_reply_json(reply, pfm_record_receipt_describe(&head), err);
}
