#include "pacs/pacs.h"

#include "base/context.h"
#include "base/file.h"
#include "base/process.h"
#include "base/try.h"
#include "client/web.h"
#include "image/dicom_syntax.h"
#include "models/model.h"
#include "pacs/dicom_port.h"
#include "pacs/dicomweb.h"
#include "pacs/inbox.h"
#include "pacs/outbox.h"
#include "pacs/study_answer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    ASSOCIATIONS = 8,
    OBJECT_MIB = 2048,
    INBOX_MIB = 8192,
    STUDIES = 1000,
    SECONDS = 30,
    PDU = 131072,
    LOOK_MILLISECONDS = 100,
    MOST_SYNTAXES = 64
};
static const double retry_seconds = 60;

typedef struct caller {
    pfm_pacs_target target; /* port 0: results have another place */
    pfm_dicom_address addresses[PFM_DICOM_ADDRESSES];
    size_t address_count;
} caller;

struct pfm_pacs {
    pfm_context *context;
    pfm_pacs_options options; /* complete */
    pfm_pacs_rules rules;
    caller *callers; /* [options.caller_count] */
    pfm_pacs_target back;
    bool has_back;
    const char *syntaxes[MOST_SYNTAXES];
    pfm_dimse_service service;
    pfm_inbox *inbox;
    pfm_outbox *outbox;
    pfm_dicom_tls *tls; /* NULL: without */
    pfm_dicom_port *port;
    pfm_answerer by;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* of what follows */
    bool stopping;
    pfm_pacs_stats stats; /* without what inbox and outbox count */
};

/* ---- options ---- */

static pfm_status read_callers(pfm_pacs *pacs, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_pacs_options *o = &pacs->options;
    PFM_TRY(pfm_allocate(o->caller_count, sizeof *pacs->callers, &pacs->callers, err));
    for (size_t i = 0; i < o->caller_count; i++) {
        PFM_TRY(pfm_pacs_target_read("--dicom-allow", o->callers[i], false, &pacs->callers[i].target, err));
        PFM_TRY(
            pfm_dicom_resolve(pacs->callers[i].target.host, pacs->callers[i].addresses, &pacs->callers[i].address_count, err));
    }
    pacs->has_back = o->back != NULL;
    if (pacs->has_back)
        PFM_TRY(pfm_pacs_target_read("--dicom-return", o->back, true, &pacs->back, err));
done:
    return status;
}

/* Whether an archive is this machine, or one that an option names. */
static bool is_named(const pfm_pacs *pacs, const char *host)
{
    pfm_dicom_address addresses[PFM_DICOM_ADDRESSES];
    size_t count = 0;
    bool here = pfm_dicom_resolve(host, addresses, &count, NULL) == PFM_OK && count > 0;
    for (size_t i = 0; i < count; i++)
        here = here && pfm_dicom_is_loopback(addresses[i]);
    if (here)
        return true;
    for (size_t i = 0; i < pacs->options.caller_count; i++)
        if (strcmp(pacs->callers[i].target.host, host) == 0)
            return true;
    return pacs->options.allow_remote || (pacs->has_back && strcmp(pacs->back.host, host) == 0);
}

static pfm_status check_target(const pfm_pacs *pacs, const pfm_pacs_rule *rule, pfm_error *err)
{
    pfm_web *web = NULL;
    pfm_error inner = PFM_ERROR_INIT;
    const pfm_pacs_target *target = &rule->target;
    if (target->url == NULL)
        return is_named(pacs, target->host)
                   ? PFM_OK
                   : pfm_error_set(err, PFM_ERROR_USAGE,
                                   "%s line %zu: results would leave this machine for %s; name it with --dicom-allow, or say "
                                   "--dicom-allow-remote",
                                   pacs->options.rules, rule->line, target->host);
    const pfm_status status = pfm_dicomweb_open(target->url, target->credentials, pacs->options.allow_remote, 0, &web, &inner);
    pfm_web_free(web);
    return status == PFM_OK ? PFM_OK
                            : pfm_error_set(err, status, "%s line %zu: %s", pacs->options.rules, rule->line, inner.message);
}

/* Every result has a place to go to. */
static pfm_status check_targets(const pfm_pacs *pacs, pfm_error *err)
{
    bool all_callers = pacs->options.caller_count > 0;
    for (size_t i = 0; i < pacs->options.caller_count; i++)
        all_callers = all_callers && pacs->callers[i].target.port > 0;
    for (size_t i = 0; i < pacs->rules.count; i++) {
        const pfm_pacs_rule *rule = &pacs->rules.rules[i];
        const pfm_status status = rule->returns ? check_target(pacs, rule, err) : PFM_OK;
        if (status != PFM_OK)
            return status;
        if (!rule->returns && !all_callers && !pacs->has_back)
            return pfm_error_set(
                err, PFM_ERROR_USAGE,
                "%s line %zu: it is not said where this rule's results go; say --dicom-return AET@HOST:PORT, or "
                "return in the rule, or the ports of all callers in --dicom-allow AET@HOST:PORT",
                pacs->options.rules, rule->line);
    }
    return PFM_OK;
}

static pfm_pacs_options complete(const pfm_pacs_options *given)
{
    pfm_pacs_options o = *given;
    o.title = o.title != NULL ? o.title : "PEFOMED";
    o.associations = o.associations > 0 ? o.associations : ASSOCIATIONS;
    o.object_mib = o.object_mib > 0 ? o.object_mib : OBJECT_MIB;
    o.inbox_mib = o.inbox_mib > 0 ? o.inbox_mib : INBOX_MIB;
    o.studies = o.studies > 0 ? o.studies : STUDIES;
    o.seconds = o.seconds > 0 ? o.seconds : SECONDS;
    return o;
}

/* ---- receiving ---- */

static bool has_address(const caller *one, const char *address)
{
    for (size_t i = 0; i < one->address_count; i++)
        if (strcmp(one->addresses[i], address) == 0)
            return true;
    return false;
}

static bool knows(void *user, const char *address)
{
    const pfm_pacs *pacs = user;
    for (size_t i = 0; i < pacs->options.caller_count; i++)
        if (has_address(&pacs->callers[i], address))
            return true;
    return pacs->options.caller_count == 0;
}

static const caller *find_caller(const pfm_pacs *pacs, const char *title, const char *address)
{
    for (size_t i = 0; i < pacs->options.caller_count; i++)
        if (strcmp(pacs->callers[i].target.title, title) == 0 && has_address(&pacs->callers[i], address))
            return &pacs->callers[i];
    return NULL;
}

typedef struct receiving {
    pfm_pacs *pacs;
    const char *address;
    pfm_inbox_visit *visit;
    char untaken[300]; /* some of the classes that it proposed and that are not taken */
    size_t untaken_count;
} receiving;

static bool accepts(void *user, const char *title)
{
    const receiving *r = user;
    if (!pfm_pacs_title_is(title) || (r->pacs->options.caller_count > 0 && find_caller(r->pacs, title, r->address) == NULL))
        return false;
    pfm_inbox_visit_name(r->visit, title);
    return true;
}

static void refuse_class(void *user, const char *name)
{
    enum { TOLD = 3 };
    receiving *r = user;
    const size_t used = strlen(r->untaken);
    if (r->untaken_count < TOLD)
        (void)snprintf(r->untaken + used, sizeof r->untaken - used, "%s%.60s", used > 0 ? ", " : "", name);
    else if (r->untaken_count == TOLD)
        (void)snprintf(r->untaken + used, sizeof r->untaken - used, ", and others");
    r->untaken_count++;
}

static void begin_object(void *user, const pfm_dimse_object *object)
{
    pfm_inbox_object_begin(((receiving *)user)->visit, object);
}
static bool take_object(void *user, const void *bytes, size_t count)
{
    return pfm_inbox_object_data(((receiving *)user)->visit, bytes, count);
}
static uint16_t end_object(void *user) { return pfm_inbox_object_end(((receiving *)user)->visit); }

/* out = ", 2 refused (1 no DICOM or cut, 1 no room)": what became of objects that were not received; "" where all were. */
static size_t tell_refused(const pfm_inbox_tally tally, char *out, size_t size)
{
    static const char *const fates[PFM_INBOX_FATES] = {[PFM_INBOX_DAMAGED] = "no DICOM or cut",
                                                       [PFM_INBOX_STRANGE] =
                                                           "without study or series, or not what was announced",
                                                       [PFM_INBOX_FAILED] = "could not be written",
                                                       [PFM_INBOX_FULL] = "no room in the inbox",
                                                       [PFM_INBOX_LARGE] = "too large",
                                                       [PFM_INBOX_BROKEN] = "broken off"};
    size_t refused = 0, used = 0;
    for (size_t i = PFM_INBOX_STORED + 1; i < PFM_INBOX_FATES; i++)
        refused += tally[i];
    out[0] = '\0';
    if (refused > 0)
        used = (size_t)snprintf(out, size, ", %zu refused (", refused);
    for (size_t i = PFM_INBOX_STORED + 1, told = 0; i < PFM_INBOX_FATES; i++)
        if (tally[i] > 0 && used < size)
            used += (size_t)snprintf(out + used, size - used, "%s%zu %s", told++ > 0 ? ", " : "", tally[i], fates[i]);
    if (refused > 0 && used < size)
        (void)snprintf(out + used, size - used, ")");
    return refused;
}

static void receive(void *user, int socket, pfm_dicom_secure *stream, const char *address)
{
    static const char *const ends[] = {"released", "aborted", "rejected", "no association", "failed"};
    pfm_pacs *pacs = user;
    receiving r = {.pacs = pacs, .address = address};
    const pfm_dimse_handler handler = {accepts, refuse_class, begin_object, take_object, end_object, &r};
    pfm_dimse_title calling;
    pfm_inbox_tally tally;
    char refusals[300];
    if (pfm_inbox_visit_begin(pacs->inbox, address, (size_t)pacs->options.object_mib << 20, &r.visit, NULL) != PFM_OK) {
        (void)close(socket);
        return;
    }
    const pfm_dimse_end end = pfm_dimse_serve(socket, stream, &pacs->service, &handler, calling);
    pfm_inbox_visit_end(r.visit, tally);
    if (calling[0] != '\0' && !pfm_pacs_title_is(calling)) /* whatever it holds is not for a log */
        memcpy(calling, "?", 2);
    const size_t refused = tell_refused(tally, refusals, sizeof refusals);
    const bool good = end == PFM_DIMSE_RELEASED && refused == 0 && (r.untaken_count == 0 || tally[PFM_INBOX_STORED] > 0);
    pfm_log(pacs->context, good ? PFM_LOG_INFO : PFM_LOG_WARNING, "%s@%s: %zu objects received%s, %s%s%s", calling, address,
            tally[PFM_INBOX_STORED], refusals, ends[end],
            r.untaken_count > 0 ? "; proposed and not taken, as images alone are: " : "", r.untaken);
    (void)pthread_mutex_lock(&pacs->lock);
    pacs->stats.associations++;
    pacs->stats.received += tally[PFM_INBOX_STORED];
    pacs->stats.refused += refused;
    (void)pthread_mutex_unlock(&pacs->lock);
}

/* ---- answering ---- */

static bool is_stopping(void *user)
{
    pfm_pacs *pacs = user;
    (void)pthread_mutex_lock(&pacs->lock);
    const bool stopping = pacs->stopping;
    (void)pthread_mutex_unlock(&pacs->lock);
    return stopping;
}

static const pfm_pacs_target *choose_target(const pfm_pacs *pacs, const pfm_pacs_rule *rule, const pfm_inbox_study *study)
{
    const caller *sender = find_caller(pacs, study->title, study->host);
    if (rule->returns)
        return &rule->target;
    if (sender != NULL && sender->target.port > 0)
        return &sender->target;
    return pacs->has_back ? &pacs->back : NULL;
}

/* *made = a result is in the outbox. */
static pfm_status answer(pfm_pacs *pacs, const pfm_inbox_study *received, bool *made, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_dicom_study study = {0};
    const char *name = pfm_path_name(received->folder);
    char *path = NULL;
    const double started = pfm_process_clock();
    PFM_TRY(pfm_dicom_study_open(received->folder, &pacs->rules, pacs->by.session->recipe->data.slices, &study, err));
    if (study.rule == NULL) {
        pfm_log(pacs->context, PFM_LOG_INFO, "study %.12s: %zu objects of %s, no rule is for them", name, received->objects,
                received->title);
        goto done;
    }
    const pfm_pacs_target *target = choose_target(pacs, study.rule, received);
    if (target == NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "%s is no longer among those whose ports are named, so that nothing can be returned",
                 received->title);
    PFM_TRY(pfm_outbox_path(pacs->outbox, name, &path, err));
    PFM_TRY(pfm_dicom_study_answer(&pacs->by, &study, is_stopping, pacs, path, err));
    PFM_TRY(pfm_outbox_add(pacs->outbox, name, target, err));
    *made = true;
    pfm_log(pacs->context, PFM_LOG_INFO, "study %.12s: %zu objects of %s, rule %s, %zu pictures, answered in %.1f s", name,
            received->objects, received->title, study.rule->name, study.picture_count, pfm_process_clock() - started);
done:
    pfm_dicom_study_free(&study);
    free(path);
    return status;
}

/* What another attempt may mend is attempted again. */
static bool may_change(pfm_status status) { return status == PFM_ERROR_NO_MEMORY || status == PFM_ERROR_IO; }

static void count_study(pfm_pacs *pacs, pfm_status status, bool made)
{
    (void)pthread_mutex_lock(&pacs->lock);
    (*(status != PFM_OK ? &pacs->stats.failed : made ? &pacs->stats.answered : &pacs->stats.ignored))++;
    (void)pthread_mutex_unlock(&pacs->lock);
}

void pfm_pacs_stats_get(pfm_pacs *pacs, pfm_pacs_stats *out)
{
    size_t studies = 0, reports = 0;
    uint64_t bytes = 0, returned = 0, given_up = 0;
    pfm_inbox_count(pacs->inbox, &studies, &bytes);
    pfm_outbox_count(pacs->outbox, &returned, &given_up, &reports);
    (void)pthread_mutex_lock(&pacs->lock);
    *out = pacs->stats;
    (void)pthread_mutex_unlock(&pacs->lock);
    out->returned = returned;
    out->given_up = given_up;
    out->studies = studies;
    out->bytes = bytes;
    out->reports = reports;
}

static void answer_one(pfm_pacs *pacs, pfm_inbox_study *study)
{
    pfm_error err = PFM_ERROR_INIT;
    char *name = NULL;
    bool made = false;
    pfm_status status = pfm_string_copy(pfm_path_name(study->folder), &name, &err);
    if (status == PFM_OK)
        status = answer(pacs, study, &made, &err);
    if (status == PFM_ERROR_INTERRUPTED) {
        pfm_inbox_put_back(pacs->inbox, study, 0);
    } else if (may_change(status)) {
        pfm_log(pacs->context, PFM_LOG_WARNING, "study %.12s: %s; tried again in %g seconds", name != NULL ? name : "",
                err.message, retry_seconds);
        pfm_inbox_put_back(pacs->inbox, study, retry_seconds);
    } else {
        if (status != PFM_OK)
            pfm_log(pacs->context, PFM_LOG_WARNING, "study %.12s: not answered: %s", name, err.message);
        pfm_inbox_remove(pacs->inbox, study);
        count_study(pacs, status, made);
        if (made)
            pfm_outbox_send(pacs->outbox, name);
    }
    free(name);
}

static bool is_answered(void *user, const char *name) { return pfm_outbox_has(user, name); }

static void *answer_all(void *user)
{
    pfm_pacs *pacs = user;
    const struct timespec pause = {.tv_nsec = LOOK_MILLISECONDS * 1000000L};
    while (!is_stopping(pacs)) {
        pfm_inbox_study *study = pfm_inbox_take(pacs->inbox, pacs->rules.wait);
        if (study != NULL)
            answer_one(pacs, study);
        else
            (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

/* ---- from start to stop ---- */

static pfm_status open_port(pfm_pacs *pacs, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_pacs_options *o = &pacs->options;
    bool loopback = false;
    const pfm_dicom_port_options port = {.host = o->host,
                                         .port = o->port,
                                         .associations = o->associations,
                                         .seconds = o->seconds,
                                         .tls = pacs->tls,
                                         .knows = knows,
                                         .serve = receive,
                                         .user = pacs};
    PFM_TRY(pfm_dicom_port_open(&port, &pacs->port, &loopback, err));
    if (!loopback && o->caller_count == 0)
        PFM_FAIL(PFM_ERROR_USAGE,
                 "--dicom-host %s is reached from other machines; name those who may send with --dicom-allow "
                 "AET@HOST:PORT, once for each",
                 o->host);
    pacs->service = (pfm_dimse_service){.title = o->title, .syntaxes = pacs->syntaxes, .pdu = PDU, .seconds = o->seconds};
    pacs->service.syntax_count = pfm_dicom_list_syntaxes(pacs->syntaxes, MOST_SYNTAXES);
done:
    return status;
}

pfm_status pfm_pacs_create(pfm_context *context, const pfm_pacs_options *options, pfm_pacs **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_pacs *pacs = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *pacs, &pacs, err));
    *pacs = (pfm_pacs){.context = context, .options = complete(options)};
    (void)pthread_mutex_init(&pacs->lock, NULL);
    if (options->rules == NULL)
        PFM_FAIL(PFM_ERROR_USAGE, "--dicom-port needs --rules FILE, which says what becomes of what is received");
    if (!pfm_pacs_title_is(pacs->options.title))
        PFM_FAIL(PFM_ERROR_USAGE, "--aet is a title of 1 to 16 ASCII characters without a backslash");
    if (!pfm_dimse_start())
        PFM_FAIL(PFM_ERROR_IO, "DCMTK finds no data dictionary; install its libraries whole, or mend DCMDICTPATH");
    PFM_TRY(pfm_pacs_rules_load(options->rules, &pacs->rules, err));
    PFM_TRY(read_callers(pacs, err));
    PFM_TRY(check_targets(pacs, err));
    if (pacs->options.certificate != NULL)
        PFM_TRY(pfm_dicom_tls_create(pacs->options.certificate, pacs->options.key, pacs->options.trust, &pacs->tls, err));
    PFM_TRY(open_port(pacs, err));
    const pfm_inbox_limits limits = {(size_t)pacs->options.studies, (uint64_t)pacs->options.inbox_mib << 20};
    const pfm_outbox_options outbox = {pacs->options.title, pacs->rules.give_up, pacs->options.allow_remote};
    PFM_TRY(pfm_inbox_open(pfm_context_home(context), &limits, &pacs->inbox, err));
    PFM_TRY(pfm_outbox_open(context, &outbox, &pacs->outbox, err));
    pfm_inbox_sweep(pacs->inbox, is_answered, pacs->outbox);
    *out = pacs;
    pacs = NULL;
done:
    pfm_pacs_free(pacs);
    return status;
}

pfm_status pfm_pacs_address(const pfm_pacs *pacs, char **out, pfm_error *err)
{
    const char *address = pfm_dicom_port_address(pacs->port);
    const bool six = strchr(address, ':') != NULL;
    return pfm_string_format(out, err, "%s://%s@%s%s%s:%d", pacs->tls != NULL ? "dicom-tls" : "dicom", pacs->options.title,
                             six ? "[" : "", address, six ? "]" : "", pfm_dicom_port_number(pacs->port));
}

pfm_status pfm_pacs_start(pfm_pacs *pacs, const pfm_answerer *by, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pacs->by = *by;
    if (!pfm_model_sees(by->session->model))
        PFM_FAIL(PFM_ERROR_USAGE, "this run's model sees nothing (model.vision: none), so that it cannot answer images; leave "
                                  "--dicom-port out");
    PFM_TRY(pfm_outbox_start(pacs->outbox, err));
    if (pthread_create(&pacs->thread, NULL, answer_all, pacs) != 0)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: cannot start a thread that answers studies");
    pacs->started = true;
    PFM_TRY(pfm_dicom_port_start(pacs->port, err));
done:
    return status;
}

void pfm_pacs_stop(pfm_pacs *pacs)
{
    if (pacs == NULL)
        return;
    (void)pthread_mutex_lock(&pacs->lock);
    pacs->stopping = true;
    (void)pthread_mutex_unlock(&pacs->lock);
    pfm_dicom_port_close(pacs->port);
    pacs->port = NULL;
    if (pacs->started)
        (void)pthread_join(pacs->thread, NULL);
    pacs->started = false;
    pfm_outbox_stop(pacs->outbox);
}

void pfm_pacs_free(pfm_pacs *pacs)
{
    if (pacs == NULL)
        return;
    pfm_pacs_stop(pacs);
    pfm_outbox_close(pacs->outbox);
    pfm_dicom_tls_free(pacs->tls);
    pfm_inbox_close(pacs->inbox);
    pfm_pacs_rules_free(&pacs->rules);
    for (size_t i = 0; pacs->callers != NULL && i < pacs->options.caller_count; i++)
        pfm_pacs_target_free(&pacs->callers[i].target);
    pfm_pacs_target_free(&pacs->back);
    free(pacs->callers);
    (void)pthread_mutex_destroy(&pacs->lock);
    free(pacs);
}
