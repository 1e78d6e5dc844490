/* POST /v1/chat/completions: whole answers, and streamed ones. */
#include "serve/chat_job.h"

#include "base/try.h"
#include "serve/routes.h"

#include <stdlib.h>
#include <string.h>

/* A streamed answer: events that were written and are not sent yet. */
typedef struct event_stream {
    pfm_chat_job *job;
    pfm_buffer events;
    size_t sent;
    bool over;
} event_stream;

static void free_events(void *user)
{
    event_stream *s = user;
    pfm_chat_job_free(s->job);
    pfm_buffer_free(&s->events);
    free(s);
}

/* Writes the events that are due; waits where there are none. */
static pfm_status collect_events(event_stream *s, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_http_reply unused = {0};
    pfm_buffer_clear(&s->events);
    s->sent = 0;
    (void)pthread_mutex_lock(&s->job->lock);
    while (s->events.size == 0) {
        PFM_TRY(pfm_chat_job_record(s->job, err));
        PFM_TRY(pfm_chat_events_write(s->job, &s->events, &s->over, err));
        if (s->events.size == 0)
            PFM_TRY(pfm_chat_job_wait(s->job, &unused, err));
    }
done:
    (void)pthread_mutex_unlock(&s->job->lock);
    return status;
}

static ssize_t read_events(void *user, char *out, size_t most)
{
    event_stream *s = user;
    pfm_error failure = PFM_ERROR_INIT;
    if (s->sent == s->events.size && s->over)
        return 0;
    if (s->sent == s->events.size && collect_events(s, &failure) != PFM_OK) {
        s->over = true;
        if (pfm_chat_events_fail(&failure, &s->events, NULL) != PFM_OK)
            return -1;
    }
    const size_t left = s->events.size - s->sent, count = left < most ? left : most;
    memcpy(out, s->events.data + s->sent, count);
    s->sent += count;
    return (ssize_t)count;
}

static pfm_status stream(pfm_chat_job *job, pfm_http_reply *reply, pfm_error *err)
{
    event_stream *s = NULL;
    pfm_status status = pfm_allocate(1, sizeof *s, &s, err);
    if (status != PFM_OK) {
        pfm_chat_job_free(job);
        return status;
    }
    s->job = job;
    reply->type = "text/event-stream; charset=utf-8";
    reply->stream = (pfm_http_stream){read_events, free_events, s};
    return PFM_OK;
}

static bool all_ended(const pfm_chat_job *job)
{
    for (int i = 0; i < job->request.answers; i++)
        if (!job->answers[i].ended)
            return false;
    return true;
}

/* What went wrong in one of the answers. A cancelled one was cancelled by the server's end. */
static pfm_status check_answers(const pfm_chat_job *job, pfm_http_reply *reply, pfm_error *err)
{
    for (int i = 0; i < job->request.answers; i++) {
        const pfm_chat_answer *answer = &job->answers[i];
        if (answer->status == PFM_ERROR_INTERRUPTED)
            return pfm_http_refuse(reply, 503, "stopping", err, "the server is being stopped");
        if (answer->status != PFM_OK) {
            reply->status = answer->status == PFM_ERROR_NO_MEMORY ? 503 : 500;
            return pfm_error_set(err, answer->status, "%s", answer->err.message);
        }
    }
    return PFM_OK;
}

static pfm_status answer_whole(pfm_chat_job *job, pfm_http_reply *reply, pfm_error *err)
{
    pfm_status status = PFM_OK;
    (void)pthread_mutex_lock(&job->lock);
    while (!all_ended(job))
        PFM_TRY(pfm_chat_job_wait(job, reply, err));
    PFM_TRY(check_answers(job, reply, err));
    PFM_TRY(pfm_chat_job_record(job, err));
    PFM_TRY(pfm_chat_reply_write(job, &reply->body, err));
done:
    (void)pthread_mutex_unlock(&job->lock);
    return status;
}

pfm_status pfm_route_chat_completions(pfm_server *server, const pfm_http_request *request, pfm_http_reply *reply,
                                      pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_chat_job *job = NULL;
    PFM_TRY(pfm_chat_job_create(server, request, reply, &job, err));
    if (job->request.stream)
        return stream(job, reply, err);
    PFM_TRY(answer_whole(job, reply, err));
done:
    pfm_chat_job_free(job);
    return status;
}
