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
    pfm_salt salt;
    pthread_mutex_t lock; /* of what follows */
    pfm_inbox_study **studies;
    size_t count, capacity;
    unsigned long received; /* files begun, which are numbered */
};

struct pfm_inbox_visit {
    pfm_inbox *inbox;
    pfm_dimse_title title;
    char host[64];
    size_t most, stored;
    pfm_inbox_study **studies; /* that it added to */
    size_t count, capacity;
    /* the object that is coming: */
    int descriptor;
    char *path;
    size_t size;
    bool failed;
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

static size_t count_objects(const char *folder)
{
    char **names = NULL;
    size_t count = 0, objects = 0;
    if (pfm_folder_list(folder, &names, &count, NULL) != PFM_OK)
        return 0;
    for (size_t i = 0; i < count; i++) {
        const size_t length = strlen(names[i]);
        objects += length > 4 && strcmp(names[i] + length - 4, ".dcm") == 0;
        free(names[i]);
    }
    free(names);
    return objects;
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
    study->objects = count_objects(path);
    study->changed = pfm_process_clock();
    if (study->objects == 0 || read_sender(study, NULL) != PFM_OK) {
        pfm_private_folder_remove(path);
        goto done;
    }
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

pfm_status pfm_inbox_open(const char *home, pfm_inbox **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_inbox *inbox = NULL;
    PFM_TRY(pfm_allocate(1, sizeof *inbox, &inbox, err));
    inbox->held = -1;
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

/* What came of an object is gone. */
static void drop(pfm_inbox_visit *visit)
{
    if (visit->descriptor >= 0)
        (void)close(visit->descriptor);
    if (visit->path != NULL)
        (void)unlink(visit->path);
    free(visit->path);
    visit->path = NULL;
    visit->descriptor = -1;
}

void pfm_inbox_visit_end(pfm_inbox_visit *visit, size_t *stored)
{
    if (visit == NULL)
        return;
    drop(visit);
    (void)pthread_mutex_lock(&visit->inbox->lock);
    for (size_t i = 0; i < visit->count; i++) {
        visit->studies[i]->open--;
        visit->studies[i]->changed = pfm_process_clock();
    }
    (void)pthread_mutex_unlock(&visit->inbox->lock);
    *stored = visit->stored;
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

void pfm_inbox_object_begin(pfm_inbox_visit *visit, const pfm_dimse_object *object)
{
    pfm_buffer header = {0};
    pfm_inbox *inbox = visit->inbox;
    drop(visit);
    (void)pthread_mutex_lock(&inbox->lock);
    const unsigned long number = inbox->received++;
    (void)pthread_mutex_unlock(&inbox->lock);
    (void)snprintf(visit->sop_class, sizeof visit->sop_class, "%s", object->sop_class);
    (void)snprintf(visit->sop_instance, sizeof visit->sop_instance, "%s", object->sop_instance);
    visit->size = 0;
    visit->failed = pfm_string_format(&visit->path, NULL, "%s/%s%lu", inbox->path, incoming, number) != PFM_OK ||
                    (visit->descriptor = open(visit->path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600)) < 0 ||
                    make_header(object, &header) != PFM_OK || !write_all(visit->descriptor, header.data, header.size);
    pfm_buffer_free(&header);
}

bool pfm_inbox_object_data(pfm_inbox_visit *visit, const void *bytes, size_t count)
{
    if (count > visit->most - visit->size)
        return false;
    visit->size += count;
    visit->failed = visit->failed || !write_all(visit->descriptor, bytes, count);
    return true;
}

/* out = the study that an object says it is of. */
static uint16_t look_at(const pfm_inbox_visit *visit, char study[80])
{
    pfm_mapping mapping = {0};
    pfm_dicom file = {0};
    char text[80];
    uint16_t status = PFM_DIMSE_NOT_UNDERSTOOD;
    if (pfm_mapping_open(visit->path, &mapping, NULL) != PFM_OK)
        return PFM_DIMSE_NO_RESOURCES;
    if (pfm_dicom_open(mapping.data, mapping.size, "an object", &file, NULL) == PFM_OK && !file.cut) {
        status = PFM_DIMSE_SUCCESS;
        pfm_dicom_text(pfm_dicom_find(&file, DICOM_TAG(0x0020, 0x000D)), study, 80);
        if (study[0] == '\0' || strlen(study) > 64)
            status = PFM_DIMSE_MISMATCH;
        pfm_dicom_text(pfm_dicom_find(&file, DICOM_TAG(0x0020, 0x000E)), text, sizeof text);
        if (text[0] == '\0')
            status = PFM_DIMSE_MISMATCH;
        pfm_dicom_text(pfm_dicom_find(&file, DICOM_TAG(0x0008, 0x0016)), text, sizeof text);
        if (strcmp(text, visit->sop_class) != 0)
            status = PFM_DIMSE_MISMATCH;
        pfm_dicom_text(pfm_dicom_find(&file, DICOM_TAG(0x0008, 0x0018)), text, sizeof text);
        if (strcmp(text, visit->sop_instance) != 0)
            status = PFM_DIMSE_MISMATCH;
    }
    pfm_dicom_close(&file);
    pfm_mapping_close(&mapping);
    return status;
}

/* Locked. The study's folder, a new one where it is not there or is being answered. */
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

/* The file gets its name, which the same object has each time it is sent. */
static pfm_status file_object(pfm_inbox_visit *visit, const char *uid, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_inbox *inbox = visit->inbox;
    pfm_inbox_study *study = NULL;
    char key[33], name[33], *path = NULL;
    const char *const whose[] = {uid, visit->title, visit->host}, *const which[] = {visit->sop_instance};
    PFM_TRY(hash(inbox, "study", whose, 3, key, sizeof key, err));
    PFM_TRY(hash(inbox, "object", which, 1, name, sizeof name, err));
    (void)pthread_mutex_lock(&inbox->lock);
    status = find_study(visit, key, &study, err);
    if (study != NULL)
        status = hold(visit, study, err);
    (void)pthread_mutex_unlock(&inbox->lock);
    if (status != PFM_OK || study == NULL)
        goto done;
    PFM_TRY(pfm_string_format(&path, err, "%s/%s.dcm", study->folder, name));
    const bool new = !pfm_path_exists(path);
    if (rename(visit->path, path) != 0 || !pfm_private_folder_sync(study->folder))
        PFM_FAIL(PFM_ERROR_IO, "cannot write to %s: %s", study->folder, strerror(errno));
    (void)pthread_mutex_lock(&inbox->lock);
    study->objects += new ? 1 : 0;
    study->changed = pfm_process_clock();
    (void)pthread_mutex_unlock(&inbox->lock);
done:
    free(path);
    return status;
}

uint16_t pfm_inbox_object_end(pfm_inbox_visit *visit)
{
    char uid[80] = "";
    uint16_t status = PFM_DIMSE_NO_RESOURCES;
    if (!visit->failed && fsync(visit->descriptor) == 0)
        status = look_at(visit, uid);
    if (status == PFM_DIMSE_SUCCESS && file_object(visit, uid, NULL) != PFM_OK)
        status = PFM_DIMSE_NO_RESOURCES;
    visit->stored += status == PFM_DIMSE_SUCCESS ? 1 : 0;
    drop(visit);
    return status;
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
