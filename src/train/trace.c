#include "train/trace.h"

#include "base/file.h"
#include "base/process.h"

static void observe(void *user, const pfm_op *op, bool backward, double start, double seconds, double operations,
                    const pfm_op_call *call)
{
    pfm_trace *trace = user;
    if (trace->status != PFM_OK)
        return;
    trace->status = pfm_buffer_append_format(
        &trace->events, &trace->err,
        "%s\n{\"name\":\"%s\",\"cat\":\"%s\",\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":%.3f,\"dur\":%.3f,\"args\":{\"rows\":%lld,"
        "\"inputs\":%lld,\"outputs\":%lld,\"operations\":%.0f,\"GFLOP/s\":%.1f}}",
        trace->events.size > 0 ? "," : "", op->name, backward ? "backward" : "forward", 1e6 * (start - trace->begun),
        1e6 * seconds, (long long)call->in[0].rows, (long long)call->in[0].columns, (long long)call->out[0].columns, operations,
        seconds > 0 ? operations / seconds * 1e-9 : 0);
}

void pfm_trace_begin(pfm_trace *trace, pfm_executor *executor)
{
    trace->begun = pfm_process_clock();
    pfm_executor_observe(executor, observe, trace);
}

pfm_status pfm_trace_end(pfm_trace *trace, pfm_executor *executor, const char *path, pfm_error *err)
{
    pfm_buffer document = {0};
    pfm_executor_observe(executor, NULL, NULL);
    if (trace->status != PFM_OK) {
        *err = trace->err;
        return trace->status;
    }
    pfm_status status = pfm_buffer_append_format(&document, err, "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[%s\n]}\n",
                                                 trace->events.data != NULL ? trace->events.data : "");
    if (status == PFM_OK)
        status = pfm_file_write(path, document.data, document.size, err);
    pfm_buffer_free(&document);
    return status;
}

void pfm_trace_free(pfm_trace *trace) { pfm_buffer_free(&trace->events); }
