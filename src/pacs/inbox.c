#include "pacs/inbox.h"

#include "base/chance.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/process.h"
#include "base/salt.h"
#include "base/try.h"
#include "image/dicom_set.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char sender_name[] = "sender.json", incoming[] = "incoming-";

struct pfm_inbox {
    char *path;
    int held;
    pfm_inbox_limits limits;
    pfm_salt salt;
    pthread_mutex_t lock; /* of what follows */
    pfm_inbox_study **studies;
    size_t count, capacity;
    uint64_t bytes;         /* of all studies, and of what is coming */
    unsigned long received; /* files begun, which are numbered */
};

struct pfm_inbox_visit {
    pfm_inbox *inbox;
    pfm_dimse_title title;
    char host[64];
    size_t most;
    pfm_inbox_tally tally;
    pfm_inbox_study **studies; /* that it added to */
    size_t count, capacity;
    /* the object that is coming: */
    int descriptor;
    char *path;
    size_t size, counted; /* its bytes; those of them that the inbox counts */
    pfm_inbox_fate fate;  /* so far */
    bool coming;
    char sop_class[65], sop_instance[65];
};

/* ---- names ---- */

/* out [size] = the first digits of a salted hash. */
static pfm_status hash(const pfm_inbox *inbox, const char *kind, const char *const *texts, size_t count, char *out, size_t size,
                       pfm_error *err)
{
    pfm_hash *running = NULL;
    pfm_hash_hex hex;
    const pfm_status status = pfm_hash_create(&running, err);
    if (status != PFM_OK)
        return status;
    pfm_hash_update(running, &inbox->salt, sizeof inbox->salt);
    pfm_hash_update(running, kind, strlen(kind) + 1);
    for (size_t i = 0; i < count; i++)
        pfm_hash_update(running, texts[i], strlen(texts[i]) + 1);
    pfm_hash_finish(running, hex);
    pfm_hash_free(running);
    memcpy(out, hex, size - 1);
    out[size - 1] = '\0';
    return PFM_OK;
}

static void free_study(pfm_inbox_study *study)
{
    if (study == NULL)
        return;
    free(study->folder);
    free(study);
}

/* ---- from one process to the next ---- */

/* Who sent a study, as its folder says. */
static pfm_status read_sender(pfm_inbox_study *study, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    json_t *json = NULL;
    PFM_TRY(pfm_path_join(study->folder, sender_name, &path, err));
    PFM_TRY(pfm_json_load(path, &json, err));
    const char *title = json_string_value(json_object_get(json, "title")),
               *host = json_string_value(json_object_get(json, "host")),
               *key = json_string_value(json_object_get(json, "study"));
    if (title == NULL || strlen(title) >= sizeof study->title || host == NULL || strlen(host) >= sizeof study->host ||
        key == NULL || strlen(key) >= sizeof study->key)
        PFM_FAIL(PFM_ERROR_FORMAT, "%s does not say who sent a study", path);
    memcpy(study->title, title, strlen(title) + 1);
    memcpy(study->host, host, strlen(host) + 1);
    memcpy(study->key, key, strlen(key) + 1);
done:
    json_decref(json);
    free(path);
    return status;
}

static pfm_status write_sender(const pfm_inbox_study *study, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *path = NULL;
    json_t *json = json_pack("{s:s,s:s,s:s}", "title", study->title, "host", study->host, "study", study->key);
    if (json == NULL)
        PFM_FAIL(PFM_ERROR_NO_MEMORY, "out of memory: could not receive a study");
    PFM_TRY(pfm_path_join(study->folder, sender_name, &path, err));
    PFM_TRY(pfm_json_save(path, json, err));
done:
    json_decref(json);
    free(path);
    return status;
}

static uint64_t size_of(const char *path)
{
    struct stat how;
    return stat(path, &how) == 0 ? (uint64_t)how.st_size : 0;
}

static void count_objects(pfm_inbox_study *study)
{
    char **names = NULL;
    size_t count = 0;
    if (pfm_folder_list(study->folder, &names, &count, NULL) != PFM_OK)
        return;
    for (size_t i = 0; i < count; i++) {
        const size_t length = strlen(names[i]);
        char *path = NULL;
        if (length > 4 && strcmp(names[i] + length - 4, ".dcm") == 0 &&
            pfm_path_join(study->folder, names[i], &path, NULL) == PFM_OK) {
            study->objects++;
            study->bytes += size_of(path);
        }
        free(path);
        free(names[i]);
    }
    free(names);
}

/* A study that was left. One without an object, or that does not say whose it is, was never acknowledged. */
static pfm_status take_up_one(pfm_inbox *inbox, const char *path, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_inbox_study *study = NULL;
    if (!pfm_path_is_folder(path)) {
        (void)unlink(path);
        return PFM_OK;
    }
    PFM_TRY(pfm_array_reserve(&inbox->studies, &inbox->capacity, inbox->count + 1, sizeof *inbox->studies, err));
    PFM_TRY(pfm_allocate(1, sizeof *study, &study, err));
    PFM_TRY(pfm_string_copy(path, &study->folder, err));
    count_objects(study);
    study->changed = pfm_process_clock();
    if (study->objects == 0 || read_sender(study, NULL) != PFM_OK) {
        pfm_private_folder_remove(path);
        goto done;
    }
    inbox->bytes += study->bytes;
    inbox->studies[inbox->count++] = study;
    study = NULL;
done:
    free_study(study);
    return status;
}

static pfm_status take_up(pfm_inbox *inbox, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char **names = NULL;
    size_t count = 0;
    PFM_TRY(pfm_folder_list(inbox->path, &names, &count, err));
    for (size_t i = 0; i < count; i++) {
        char *path = NULL;
        if (status == PFM_OK)
            status = pfm_path_join(inbox->path, names[i], &path, err);
        if (status == PFM_OK)
            status = take_up_one(inbox, path, err);
        free(path);
        free(names[i]);
    }
done:
    free(names);
    return status;
}

pfm_status pfm_inbox_open(const char *home, const pfm_inbox_limits *limits, pfm_inbox **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_inbox *inbox = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *inbox, &inbox, err));
    inbox->held = -1;
    inbox->limits = *limits;
    (void)pthread_mutex_init(&inbox->lock, NULL);
    PFM_TRY(pfm_private_folder(home, "inbox", &inbox->path, err));
    PFM_TRY(pfm_folder_hold(inbox->path, &inbox->held, err));
    PFM_TRY(pfm_salt_load(home, &inbox->salt, err));
    PFM_TRY(take_up(inbox, err));
    *out = inbox;
    inbox = NULL;
done:
    pfm_inbox_close(inbox);
    return status;
}

void pfm_inbox_close(pfm_inbox *inbox)
{
    if (inbox == NULL)
        return;
    for (size_t i = 0; i < inbox->count; i++)
        free_study(inbox->studies[i]);
    free(inbox->studies);
    if (inbox->held >= 0)
        (void)close(inbox->held);
    free(inbox->path);
    (void)pthread_mutex_destroy(&inbox->lock);
    free(inbox);
}

void pfm_inbox_count(pfm_inbox *inbox, size_t *studies, uint64_t *bytes)
{
    (void)pthread_mutex_lock(&inbox->lock);
    *studies = inbox->count;
    *bytes = inbox->bytes;
    (void)pthread_mutex_unlock(&inbox->lock);
}

/* ---- an association ---- */

pfm_status pfm_inbox_visit_begin(pfm_inbox *inbox, const char *host, size_t most_bytes, pfm_inbox_visit **out, pfm_error *err)
{
    pfm_inbox_visit *visit = NULL;
    const pfm_status status = pfm_allocate(1, sizeof *visit, &visit, err);
    if (status != PFM_OK)
        return status;
    *visit = (pfm_inbox_visit){.inbox = inbox, .most = most_bytes, .descriptor = -1};
    (void)snprintf(visit->host, sizeof visit->host, "%s", host);
    *out = visit;
    return PFM_OK;
}

void pfm_inbox_visit_name(pfm_inbox_visit *visit, const char *title)
{
    (void)snprintf(visit->title, sizeof visit->title, "%s", title);
}

/* What came of an object is gone, and no longer counted. */
static void drop(pfm_inbox_visit *visit)
{
    (void)pthread_mutex_lock(&visit->inbox->lock);
    visit->inbox->bytes -= visit->counted;
    (void)pthread_mutex_unlock(&visit->inbox->lock);
    visit->counted = 0;
    if (visit->descriptor >= 0)
        (void)close(visit->descriptor);
    if (visit->path != NULL)
        (void)unlink(visit->path);
    free(visit->path);
    visit->path = NULL;
    visit->descriptor = -1;
}

/* An object is over. */
static void count_fate(pfm_inbox_visit *visit, pfm_inbox_fate fate)
{
    visit->tally[fate]++;
    visit->coming = false;
    drop(visit);
}

void pfm_inbox_visit_end(pfm_inbox_visit *visit, pfm_inbox_tally tally)
{
    if (visit->coming)
        count_fate(visit, visit->fate == PFM_INBOX_LARGE ? PFM_INBOX_LARGE : PFM_INBOX_BROKEN);
    (void)pthread_mutex_lock(&visit->inbox->lock);
    for (size_t i = 0; i < visit->count; i++) {
        visit->studies[i]->open--;
        visit->studies[i]->changed = pfm_process_clock();
    }
    (void)pthread_mutex_unlock(&visit->inbox->lock);
    memcpy(tally, visit->tally, sizeof visit->tally);
    free(visit->studies);
    free(visit);
}

/* ---- an object ---- */

static void put_element(pfm_buffer *out, uint16_t element, const char *vr, const void *value, size_t size, pfm_status *status)
{
    const size_t padded = size + size % 2;
    const unsigned char head[8] = {2,
                                   0,
                                   (unsigned char)(element & 0xFF),
                                   (unsigned char)(element >> 8),
                                   (unsigned char)vr[0],
                                   (unsigned char)vr[1],
                                   (unsigned char)(padded & 0xFF),
                                   (unsigned char)(padded >> 8)};
    if (*status == PFM_OK)
        *status = pfm_buffer_append(out, head, sizeof head, NULL);
    if (*status == PFM_OK)
        *status = pfm_buffer_append(out, value, size, NULL);
    if (*status == PFM_OK && padded > size)
        *status = pfm_buffer_append(out, "", 1, NULL);
}

/* Preamble and meta header (PS3.10, 7.1), which only say what the association agreed on. */
static pfm_status make_header(const pfm_dimse_object *object, pfm_buffer *out)
{
    static const char preamble[132] = {[128] = 'D', 'I', 'C', 'M'};
    static const unsigned char version[] = {0, 1};
    static const char maker[] = "2.25.189735911361431418527254327423574221617";
    pfm_buffer rest = {0};
    pfm_status status = PFM_OK;
    put_element(&rest, 0x02, "UI", object->sop_class, strlen(object->sop_class), &status);
    put_element(&rest, 0x03, "UI", object->sop_instance, strlen(object->sop_instance), &status);
    put_element(&rest, 0x10, "UI", object->syntax, strlen(object->syntax), &status);
    put_element(&rest, 0x12, "UI", maker, strlen(maker), &status);
    const size_t length = rest.size + 14; /* with the version, whose length has four bytes */
    const unsigned char size[4] = {(unsigned char)length, (unsigned char)(length >> 8)};
    static const unsigned char head[12] = {2, 0, 1, 0, 'O', 'B', 0, 0, 2};
    if (status == PFM_OK)
        status = pfm_buffer_append(out, preamble, sizeof preamble, NULL);
    put_element(out, 0x00, "UL", size, sizeof size, &status);
    if (status == PFM_OK)
        status = pfm_buffer_append(out, head, sizeof head, NULL);
    if (status == PFM_OK)
        status = pfm_buffer_append(out, version, sizeof version, NULL);
    if (status == PFM_OK)
        status = pfm_buffer_append(out, rest.data, rest.size, NULL);
    pfm_buffer_free(&rest);
    return status;
}

static bool write_all(int descriptor, const char *bytes, size_t count)
{
    for (size_t done = 0; done < count;) {
        const ssize_t wrote = write(descriptor, bytes + done, count - done);
        if (wrote < 0 && errno != EINTR)
            return false;
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    return true;
}

/* Counts bytes that come; false where there is no room for them. */
static bool make_room(pfm_inbox_visit *visit, size_t count)
{
    pfm_inbox *inbox = visit->inbox;
    (void)pthread_mutex_lock(&inbox->lock);
    const bool fits = inbox->bytes < inbox->limits.bytes && count <= inbox->limits.bytes - inbox->bytes;
    if (fits) {
        inbox->bytes += count;
        visit->counted += count;
    }
    (void)pthread_mutex_unlock(&inbox->lock);
    return fits;
}

void pfm_inbox_object_begin(pfm_inbox_visit *visit, const pfm_dimse_object *object)
{
    pfm_buffer header = {0};
    pfm_inbox *inbox = visit->inbox;
    (void)pthread_mutex_lock(&inbox->lock);
    const unsigned long number = inbox->received++;
    (void)pthread_mutex_unlock(&inbox->lock);
    (void)snprintf(visit->sop_class, sizeof visit->sop_class, "%s", object->sop_class);
    (void)snprintf(visit->sop_instance, sizeof visit->sop_instance, "%s", object->sop_instance);
    visit->size = 0;
    visit->coming = true;
    const bool begun = pfm_string_format(&visit->path, NULL, "%s/%s%lu", inbox->path, incoming, number) == PFM_OK &&
                       (visit->descriptor = open(visit->path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600)) >= 0 &&
                       make_header(object, &header) == PFM_OK && write_all(visit->descriptor, header.data, header.size);
    visit->fate = begun ? PFM_INBOX_STORED : PFM_INBOX_FAILED;
    if (begun && !make_room(visit, header.size))
        visit->fate = PFM_INBOX_FULL;
    pfm_buffer_free(&header);
}

bool pfm_inbox_object_data(pfm_inbox_visit *visit, const void *bytes, size_t count)
{
    if (count > visit->most - visit->size) {
        visit->fate = PFM_INBOX_LARGE;
        return false;
    }
    visit->size += count;
    if (visit->fate == PFM_INBOX_STORED && !make_room(visit, count))
        visit->fate = PFM_INBOX_FULL;
    else if (visit->fate == PFM_INBOX_STORED && !write_all(visit->descriptor, bytes, count))
        visit->fate = PFM_INBOX_FAILED;
    if (visit->fate != PFM_INBOX_STORED)
        drop(visit);
    return true;
}

/* out = the study that an object says it is of, and the patient: the number, or the name of one without. */
static pfm_inbox_fate look_at(const pfm_inbox_visit *visit, char study[80], char patient[400])
{
    pfm_mapping mapping = {0};
    pfm_dicom file = {0};
    char text[80];
    pfm_inbox_fate fate = PFM_INBOX_DAMAGED;
    if (pfm_mapping_open(visit->path, &mapping, NULL) != PFM_OK)
        return PFM_INBOX_FAILED;
    if (pfm_dicom_open(mapping.data, mapping.size, "an object", &file, NULL) == PFM_OK && !file.cut) {
        fate = PFM_INBOX_STORED;
        pfm_dicom_text(pfm_dicom_find(&file, DICOM_TAG(0x0020, 0x000D)), study, 80);
        if (study[0] == '\0' || strlen(study) > 64)
            fate = PFM_INBOX_STRANGE;
        pfm_dicom_text(pfm_dicom_find(&file, DICOM_TAG(0x0020, 0x000E)), text, sizeof text);
        if (text[0] == '\0')
            fate = PFM_INBOX_STRANGE;
        pfm_dicom_text(pfm_dicom_find(&file, DICOM_TAG(0x0008, 0x0016)), text, sizeof text);
        if (strcmp(text, visit->sop_class) != 0)
            fate = PFM_INBOX_STRANGE;
        pfm_dicom_text(pfm_dicom_find(&file, DICOM_TAG(0x0008, 0x0018)), text, sizeof text);
        if (strcmp(text, visit->sop_instance) != 0)
            fate = PFM_INBOX_STRANGE;
        pfm_dicom_text(pfm_dicom_find(&file, DICOM_TAG(0x0010, 0x0020)), patient, 400);
        if (patient[0] == '\0')
            pfm_dicom_text(pfm_dicom_find(&file, DICOM_TAG(0x0010, 0x0010)), patient, 400);
    }
    pfm_dicom_close(&file);
    pfm_mapping_close(&mapping);
    return fate;
}

/* Locked. The study's folder, a new one where it is not there or is being answered; *out NULL where there is no room for one.
 */
static pfm_status find_study(pfm_inbox_visit *visit, const char *key, pfm_inbox_study **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_inbox *inbox = visit->inbox;
    pfm_inbox_study *study = NULL;
    char chance[9];
    for (size_t i = 0; i < inbox->count; i++) {
        if (inbox->studies[i]->taken || strcmp(inbox->studies[i]->key, key) != 0)
            continue;
        *out = inbox->studies[i];
        return PFM_OK;
    }
    if (inbox->count >= inbox->limits.studies)
        return PFM_OK;
    PFM_TRY(pfm_chance_draw(chance, sizeof chance - 1, err));
    PFM_TRY(pfm_array_reserve(&inbox->studies, &inbox->capacity, inbox->count + 1, sizeof *inbox->studies, err));
    PFM_TRY(pfm_allocate(1, sizeof *study, &study, err));
    PFM_TRY(pfm_string_format(&study->folder, err, "%s/%s-%s", inbox->path, key, chance));
    memcpy(study->key, key, sizeof study->key);
    memcpy(study->title, visit->title, sizeof study->title);
    memcpy(study->host, visit->host, sizeof study->host);
    if (mkdir(study->folder, 0700) != 0)
        PFM_FAIL(PFM_ERROR_IO, "cannot create %s: %s", study->folder, strerror(errno));
    PFM_TRY(write_sender(study, err));
    if (!pfm_private_folder_sync(inbox->path))
        PFM_FAIL(PFM_ERROR_IO, "cannot write to %s: %s", inbox->path, strerror(errno));
    inbox->studies[inbox->count++] = *out = study;
    study = NULL;
done:
    free_study(study);
    return status;
}

/* Locked. The association keeps the study from being answered until it ends. */
static pfm_status hold(pfm_inbox_visit *visit, pfm_inbox_study *study, pfm_error *err)
{
    for (size_t i = 0; i < visit->count; i++)
        if (visit->studies[i] == study)
            return PFM_OK;
    const pfm_status status =
        pfm_array_reserve(&visit->studies, &visit->capacity, visit->count + 1, sizeof *visit->studies, err);
    if (status == PFM_OK) {
        visit->studies[visit->count++] = study;
        study->open++;
    }
    return status;
}

/* What the inbox counted as coming is the study's, in place of what stood there. Locked. */
static void hand_over(pfm_inbox_visit *visit, pfm_inbox_study *study, bool new, uint64_t before)
{
    study->objects += new ? 1 : 0;
    study->bytes += visit->counted;
    study->bytes -= before;
    visit->inbox->bytes -= before;
    visit->counted = 0;
    study->changed = pfm_process_clock();
}

/* The file gets its name, which the same object has each time it is sent. */
static pfm_inbox_fate file_object(pfm_inbox_visit *visit, const char *uid, const char *patient)
{
    pfm_inbox *inbox = visit->inbox;
    pfm_inbox_study *study = NULL;
    pfm_inbox_fate fate = PFM_INBOX_FAILED;
    char key[33], name[33], *path = NULL;
    const char *const whose[] = {uid, patient, visit->title, visit->host}, *const which[] = {visit->sop_instance};
    if (hash(inbox, "study", whose, 4, key, sizeof key, NULL) != PFM_OK ||
        hash(inbox, "object", which, 1, name, sizeof name, NULL) != PFM_OK)
        return PFM_INBOX_FAILED;
    (void)pthread_mutex_lock(&inbox->lock);
    const pfm_status found = find_study(visit, key, &study, NULL);
    const bool held = study != NULL && hold(visit, study, NULL) == PFM_OK;
    (void)pthread_mutex_unlock(&inbox->lock);
    if (!held)
        return found == PFM_OK && study == NULL ? PFM_INBOX_FULL : PFM_INBOX_FAILED;
    if (pfm_string_format(&path, NULL, "%s/%s.dcm", study->folder, name) == PFM_OK) {
        const bool new = !pfm_path_exists(path);
        const uint64_t before = size_of(path);
        if (rename(visit->path, path) == 0) {
            (void)pthread_mutex_lock(&inbox->lock);
            hand_over(visit, study, new, before);
            (void)pthread_mutex_unlock(&inbox->lock);
            if (pfm_private_folder_sync(study->folder))
                fate = PFM_INBOX_STORED;
        }
    }
    free(path);
    return fate;
}

uint16_t pfm_inbox_object_end(pfm_inbox_visit *visit)
{
    static const uint16_t statuses[PFM_INBOX_FATES] = {
        [PFM_INBOX_STORED] = PFM_DIMSE_SUCCESS,     [PFM_INBOX_DAMAGED] = PFM_DIMSE_NOT_UNDERSTOOD,
        [PFM_INBOX_STRANGE] = PFM_DIMSE_MISMATCH,   [PFM_INBOX_FAILED] = PFM_DIMSE_NO_RESOURCES,
        [PFM_INBOX_FULL] = PFM_DIMSE_NO_RESOURCES,  [PFM_INBOX_LARGE] = PFM_DIMSE_NO_RESOURCES,
        [PFM_INBOX_BROKEN] = PFM_DIMSE_NO_RESOURCES};
    char uid[80] = "", patient[400] = "";
    pfm_inbox_fate fate = visit->fate;
    if (fate == PFM_INBOX_STORED && fsync(visit->descriptor) != 0)
        fate = PFM_INBOX_FAILED;
    if (fate == PFM_INBOX_STORED)
        fate = look_at(visit, uid, patient);
    if (fate == PFM_INBOX_STORED)
        fate = file_object(visit, uid, patient);
    count_fate(visit, fate);
    return statuses[fate];
}

/* ---- answering ---- */

pfm_inbox_study *pfm_inbox_take(pfm_inbox *inbox, double wait)
{
    pfm_inbox_study *found = NULL;
    (void)pthread_mutex_lock(&inbox->lock);
    for (size_t i = 0; found == NULL && i < inbox->count; i++) {
        pfm_inbox_study *study = inbox->studies[i];
        if (!study->taken && study->open == 0 && pfm_process_clock() - study->changed >= wait)
            found = study;
    }
    if (found != NULL)
        found->taken = true;
    (void)pthread_mutex_unlock(&inbox->lock);
    return found;
}

void pfm_inbox_remove(pfm_inbox *inbox, pfm_inbox_study *study)
{
    pfm_private_folder_remove(study->folder);
    (void)pfm_private_folder_sync(inbox->path);
    (void)pthread_mutex_lock(&inbox->lock);
    size_t at = 0;
    while (inbox->studies[at] != study)
        at++;
    memmove(&inbox->studies[at], &inbox->studies[at + 1], (inbox->count - at - 1) * sizeof *inbox->studies);
    inbox->count--;
    inbox->bytes -= study->bytes;
    (void)pthread_mutex_unlock(&inbox->lock);
    free_study(study);
}

void pfm_inbox_sweep(pfm_inbox *inbox, bool (*is_answered)(void *user, const char *name), void *user)
{
    for (size_t i = inbox->count; i > 0; i--)
        if (is_answered(user, pfm_path_name(inbox->studies[i - 1]->folder)))
            pfm_inbox_remove(inbox, inbox->studies[i - 1]);
}

void pfm_inbox_put_back(pfm_inbox *inbox, pfm_inbox_study *study, double seconds)
{
    (void)pthread_mutex_lock(&inbox->lock);
    study->taken = false;
    study->changed = pfm_process_clock() + seconds;
    (void)pthread_mutex_unlock(&inbox->lock);
}
