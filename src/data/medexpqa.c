/* MedExpQA (Alonso, Oronoz and Agerri, MedExpQA: Multilingual Benchmarking of Large Language Models for Medical Question
 * Answering, 2024): clinical cases of the Spanish examination for resident doctors with up to nine options each, text alone, in
 * English, Spanish, French and Italian: SPLIT.LANGUAGE.jsonl, a case a line.
 *
 * The question is the published prompt up to the sentence that the answer ends, in the case's language; the answer is what the
 * published code learns, "4. Intestinal biopsy.". The prompt has a place for documents, which the grounding fills. */
#include "data/medexpqa.h"

#include "base/file.h"
#include "base/json.h"
#include "base/try.h"

#include <stdlib.h>
#include <string.h>

static const pfm_columns columns = {.id = "id", .question = "question", .answer = "answer", .answer_type = "answer_type"};
static const char language_column[] = "lang", question_column[] = "full_question"; /* which the row's question holds */
static const char *const published[] = {"train", "dev", "test"};
enum { LARGEST_OPTION = 9 }; /* the measure reads one character */

static const pfm_medexpqa_words languages[] = {
    {"en",
     "You are a helpful medical expert, and your task is to answer a multi-choice medical question using the relevant "
     "documents. Please choose the answer from the provided options. Your responses will be used for research purposes only, "
     "so please have a definite answer.",
     "Here are the relevant documents:", "Here is the question:", "Here are the potential choices:", "The correct answer is:"},
    {"es",
     "Eres un experto médico y tu tarea consiste en responder a una pregunta médica de test utilizando tu conocimiento y los "
     "siguientes documentos relevantes. Por favor, elige la respuesta entre las opciones proporcionadas. Tus respuestas se "
     "utilizarán únicamente con fines de investigación, así que te rogamos que proporciones una respuesta definitiva.",
     "Estos son los documentos relevantes:", "Aquí está la pregunta:", "Aquí están las posibles opciones:",
     "La opción correcta es:"},
    {"fr",
     "Vous êtes un expert en médecine et votre tâche consiste à répondre à une question d’examen médical en utilisant vos "
     "connaissances et les documents suivants. Veuillez choisir la réponse parmi les options proposées. Vos réponses seront "
     "utilisées uniquement à des fins de recherche, veuillez donc fournir une réponse claire.",
     "Voici les documents pertinents:", "Voici la question:", "Voici les options possibles:", "La bonne option est:"},
    {"it",
     "Sei un medico esperto e il tuo compito consiste nel rispondere a una domanda di test medico utilizzando le tue "
     "conoscenze e i documenti successivi rilevanti. Per favore, scegli la risposta tra le opzioni fornite. Le tue risposte "
     "verranno utilizzate esclusivamente con fini di indagine, quindi ti chiediamo di fornirti una risposta definitiva.",
     "Questi sono i documenti rilevanti:", "Ecco la domanda:", "Ecco le opzioni possibili:", "L'opzione corretta è:"},
};

const pfm_medexpqa_words *pfm_medexpqa_find_words(const char *language)
{
    for (size_t i = 0; i < sizeof languages / sizeof *languages; i++) {
        if (strcmp(languages[i].language, language) == 0)
            return &languages[i];
    }
    return NULL;
}

/* ---- the files ---- */

/* The split (canonical) and the language of which a file is called: "dev.es.jsonl". NULL: it is no file of the data set. */
static const pfm_medexpqa_words *words_of_file(const char *file, const char **split)
{
    for (size_t s = 0; s < sizeof published / sizeof *published; s++) {
        const size_t length = strlen(published[s]);
        if (strncmp(file, published[s], length) != 0 || file[length] != '.')
            continue;
        for (size_t i = 0; i < sizeof languages / sizeof *languages; i++) {
            const char *name = languages[i].language, *rest = file + length + 1;
            *split = pfm_split_canonical(published[s]);
            if (strncmp(rest, name, strlen(name)) == 0 && strcmp(rest + strlen(name), ".jsonl") == 0)
                return &languages[i];
        }
    }
    return NULL;
}

typedef struct case_file {
    char *path;
    const pfm_medexpqa_words *words;
} case_file;

enum { LANGUAGES = sizeof languages / sizeof *languages };

/* What the folder holds in the wanted language. */
typedef struct contents {
    pfm_names splits;
    bool present[LANGUAGES];    /* some split is there in this language, wanted or not */
    case_file files[LANGUAGES]; /* of the wanted split, in the folder's order */
    size_t file_count;
} contents;

static void free_contents(contents *held)
{
    pfm_names_free(&held->splits);
    for (size_t i = 0; i < held->file_count; i++)
        free(held->files[i].path);
}

static pfm_status note_file(const char *folder, const char *file, const char *wanted, const pfm_dataset_options *options,
                            contents *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *split = NULL;
    const pfm_medexpqa_words *words = words_of_file(file, &split);
    if (words == NULL)
        return PFM_OK;
    out->present[words - languages] = true;
    if (options->language != NULL && strcmp(options->language, words->language) != 0)
        goto done;
    PFM_TRY(pfm_names_add(&out->splits, split, err));
    if (wanted != NULL && strcmp(split, wanted) == 0) {
        PFM_TRY(pfm_path_join(folder, file, &out->files[out->file_count].path, err));
        out->files[out->file_count++].words = words;
    }
done:
    return status;
}

static bool holds(const contents *held, const char *language)
{
    const pfm_medexpqa_words *words = pfm_medexpqa_find_words(language);
    return words != NULL && held->present[words - languages];
}

/* Appends "en, es". */
static pfm_status append_languages(const contents *held, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (int i = 0; status == PFM_OK && i < LANGUAGES; i++) {
        if (held->present[i])
            status = pfm_buffer_append_format(out, err, "%s%s", out->size > 0 ? ", " : "", languages[i].language);
    }
    return status;
}

/* wanted NULL: no split's files. */
static pfm_status scan(const char *path, const char *wanted, const pfm_dataset_options *options, contents *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char **files = NULL;
    size_t count = 0;
    pfm_buffer known = {0};
    if (!pfm_path_is_folder(path))
        PFM_FAIL(PFM_ERROR_IO, "%s is not a folder; give the one that holds train.en.jsonl", path);
    PFM_TRY(pfm_folder_list(path, &files, &count, err));
    for (size_t i = 0; i < count; i++)
        PFM_TRY(note_file(path, files[i], wanted, options, out, err));
    PFM_TRY(append_languages(out, &known, err));
    if (options->language != NULL && known.size > 0 && !holds(out, options->language))
        PFM_FAIL(PFM_ERROR_USAGE, "%s holds no rows in the language '%s'; it holds %s", path, options->language, known.data);
done:
    for (size_t i = 0; i < count; i++)
        free(files[i]);
    free(files);
    pfm_buffer_free(&known);
    return status;
}

static pfm_status list_splits(const char *path, const pfm_dataset_options *options, pfm_names *out, pfm_error *err)
{
    contents held = {0};
    pfm_status status = scan(path, NULL, options, &held, err);
    for (size_t i = 0; status == PFM_OK && i < held.splits.count; i++)
        status = pfm_names_add(out, held.splits.items[i], err);
    free_contents(&held);
    return status;
}

/* ---- a case ---- */

static pfm_status refuse(const pfm_row_place *place, const char *column, const char *reason, pfm_error *err)
{
    return pfm_error_set(err, PFM_ERROR_FORMAT, "%s line %zu: \"%s\" %s", place->file, place->number, column, reason);
}

/* *out = a text of the case without the blanks around it, which must leave something; released with free(). */
static pfm_status copy_text(const json_t *record, const char *column, const pfm_row_place *place, char **out, pfm_error *err)
{
    const char *text = NULL;
    pfm_status status = pfm_row_get_text(record, column, place, &text, err);
    if (status == PFM_OK && text == NULL)
        return refuse(place, column, "is missing; every row needs it", err);
    if (status == PFM_OK)
        status = pfm_answer_prepare(text, false, out, err);
    return status == PFM_OK && (*out)[0] == '\0' ? refuse(place, column, "is empty; every row needs it", err) : status;
}

/* The texts of a case's options by their number, in the file's order; NULL where there is no such option. */
typedef struct option_list {
    char *texts[LARGEST_OPTION + 1];
    int order[LARGEST_OPTION], count;
} option_list;

static void free_options(option_list *options)
{
    for (int i = 0; i <= LARGEST_OPTION; i++)
        free(options->texts[i]);
}

/* Where a case has fewer options than others the published files have null in their place. */
static pfm_status read_options(const json_t *record, const pfm_row_place *place, option_list *out, pfm_error *err)
{
    const char *key = NULL;
    json_t *value = NULL, *options = json_object_get(record, "options");
    if (!json_is_object(options))
        return refuse(place, "options", "must be an object such as {\"1\": \"Colonoscopy.\", \"2\": ...}", err);
    json_object_foreach(options, key, value)
    {
        if (key[0] < '1' || key[0] > '0' + LARGEST_OPTION || key[1] != '\0')
            return refuse(place, "options", "must be numbered from 1 to 9 at most", err);
        if (json_is_null(value))
            continue;
        if (!json_is_string(value))
            return refuse(place, "options", "must hold texts", err);
        const int number = key[0] - '0';
        pfm_status status = pfm_answer_prepare(json_string_value(value), false, &out->texts[number], err);
        if (status != PFM_OK)
            return status;
        if (out->texts[number][0] == '\0')
            return refuse(place, "options", "must hold texts, none of them empty", err);
        out->order[out->count++] = number;
    }
    return out->count < 2 ? refuse(place, "options", "must hold two options at least", err) : PFM_OK;
}

/* *out = the number of the correct option; 0 where the data do not know it. */
static pfm_status read_correct(const json_t *record, const option_list *options, const pfm_row_place *place, int *out,
                               pfm_error *err)
{
    const json_t *value = json_object_get(record, "correct_option");
    const json_int_t number = json_integer_value(value);
    *out = 0;
    if (json_is_null(value))
        return PFM_OK;
    if (value == NULL)
        return refuse(place, "correct_option", "is missing; every row needs it", err);
    if (!json_is_integer(value) || number < 1 || number > LARGEST_OPTION || options->texts[number] == NULL)
        return refuse(place, "correct_option", "is not the number of one of the options", err);
    *out = (int)number;
    return PFM_OK;
}

/* What stands behind the line of the question: the case, its options, and the sentence that the answer ends. */
static pfm_status write_case(const json_t *record, const pfm_medexpqa_words *words, const option_list *options,
                             const pfm_row_place *place, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    char *type = NULL, *question = NULL;
    PFM_TRY(copy_text(record, "type", place, &type, err));
    PFM_TRY(copy_text(record, question_column, place, &question, err));
    PFM_TRY(pfm_buffer_append_format(out, err, "%s: %s\n%s\n", type, question, words->options));
    for (int i = 0; i < options->count; i++)
        PFM_TRY(pfm_buffer_append_format(out, err, "%d. %s\n", options->order[i], options->texts[options->order[i]]));
    PFM_TRY(pfm_buffer_append_string(out, words->sentence, err));
done:
    free(type);
    free(question);
    return status;
}

/* The published prompt: `documents`, and what write_case makes. */
static pfm_status write_prompt(const pfm_medexpqa_words *words, const pfm_buffer *documents, const char *asked, pfm_buffer *out,
                               pfm_error *err)
{
    return pfm_buffer_append_format(out, err, "%s\n%s\n%s\n%s\n%s", words->task, words->documents,
                                    documents->size == 0 ? "" : documents->data, words->question, asked);
}

/* What of a case is searched for: the lines that stand in every prompt, and the options' numbers, say nothing. */
static pfm_status write_query(const pfm_medexpqa_words *words, const char *asked, pfm_buffer *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    for (const char *line = asked; *line != '\0';) {
        const size_t length = strcspn(line, "\n"), number = strspn(line, "0123456789");
        const char *const same[] = {words->options, words->sentence};
        bool says = true;
        for (size_t i = 0; i < 2; i++)
            says = says && !(strlen(same[i]) == length && memcmp(line, same[i], length) == 0);
        const size_t skipped = number > 0 && number < length && line[number] == '.' ? number + 1 : 0;
        if (says)
            PFM_TRY(pfm_buffer_append_format(out, err, "%.*s\n", (int)(length - skipped), line + skipped));
        line += length + (line[length] == '\n');
    }
done:
    return status;
}

static pfm_status check_language(const json_t *record, const pfm_medexpqa_words *words, const pfm_row_place *place,
                                 pfm_error *err)
{
    const char *language = NULL;
    pfm_status status = pfm_row_get_text(record, language_column, place, &language, err);
    if (status == PFM_OK && language == NULL)
        return refuse(place, language_column, "is missing; every row needs it", err);
    if (status == PFM_OK && strcmp(language, words->language) != 0)
        return refuse(place, language_column, "is not the language that the file is called after", err);
    return status;
}

/* *out = the case as pfm_row_read takes it: what was made of its parts, and every other column. */
static pfm_status flatten(const json_t *record, const char *question, const char *answer, const pfm_row_place *place,
                          json_t **out, pfm_error *err)
{
    const char *name = NULL;
    json_t *value = NULL, *flat = json_object();
    bool good = flat != NULL && json_object_set_new(flat, columns.question, json_string(question)) == 0 &&
                json_object_set_new(flat, columns.answer, json_string(answer)) == 0 &&
                json_object_set_new(flat, columns.answer_type, json_string("CLOSED")) == 0;
    json_object_foreach((json_t *)(uintptr_t)record, name, value) /* the macro reads only, but takes no const */
    {
        if (json_object_get(flat, name) == NULL && strcmp(name, question_column) != 0)
            good = good && json_object_set(flat, name, value) == 0;
    }
    if (good) {
        *out = flat;
        return PFM_OK;
    }
    json_decref(flat);
    return pfm_error_set(err, PFM_ERROR_NO_MEMORY, "out of memory: could not read %s", place->file);
}

/* question = the prompt, ungrounded = that without documents, empty where it shows none. */
static pfm_status ask(const json_t *record, const pfm_medexpqa_words *words, const pfm_medexpqa_grounding *grounding,
                      const option_list *options, int correct, const pfm_row_place *place, pfm_buffer *question,
                      pfm_buffer *ungrounded, json_t *places, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_buffer none = {0};
    pfm_buffer documents = {0}, asked = {0}, query = {0};
    PFM_TRY(write_case(record, words, options, place, &asked, err));
    PFM_TRY(write_query(words, asked.data, &query, err));
    PFM_TRY(pfm_medexpqa_ground(record, grounding, correct, query.data, place, &documents, places, err));
    PFM_TRY(write_prompt(words, &documents, asked.data, question, err));
    if (documents.size > 0)
        PFM_TRY(write_prompt(words, &none, asked.data, ungrounded, err));
done:
    pfm_buffer_free(&documents);
    pfm_buffer_free(&asked);
    pfm_buffer_free(&query);
    return status;
}

/* Where what was retrieved came from stands beside the row. */
static pfm_status note_places(json_t *flat, json_t *places, pfm_error *err)
{
    if (json_array_size(places) == 0)
        return PFM_OK;
    return pfm_json_take(flat, "retrieved", json_incref(places), err);
}

pfm_status pfm_medexpqa_read_case(const json_t *record, const pfm_medexpqa_words *words,
                                  const pfm_medexpqa_grounding *grounding, const pfm_row_place *place, pfm_rows *out,
                                  pfm_error *err)
{
    pfm_status status = PFM_OK;
    option_list options = {.count = 0};
    pfm_buffer question = {0}, ungrounded = {0};
    pfm_row row = {0};
    json_t *flat = NULL, *places = json_array();
    char *answer = NULL;
    int correct = 0;
    if (!json_is_object(record))
        PFM_FAIL(PFM_ERROR_FORMAT, "%s line %zu: must be a JSON object with full_question, options and correct_option",
                 place->file, place->number);
    PFM_TRY(check_language(record, words, place, err));
    PFM_TRY(read_options(record, place, &options, err));
    PFM_TRY(read_correct(record, &options, place, &correct, err));
    if (correct == 0) {
        out->left_out++;
        out->left_out_why = "name no correct option";
        goto done;
    }
    PFM_TRY(ask(record, words, grounding, &options, correct, place, &question, &ungrounded, places, err));
    PFM_TRY(pfm_string_format(&answer, err, "%d. %s", correct, options.texts[correct]));
    PFM_TRY(flatten(record, question.data, answer, place, &flat, err));
    PFM_TRY(note_places(flat, places, err));
    PFM_TRY(pfm_row_read(flat, &columns, place, &row, err));
    row.ungrounded = ungrounded.data;
    ungrounded = (pfm_buffer){0};
    PFM_TRY(pfm_rows_take(out, &row, err));
done:
    free_options(&options);
    pfm_buffer_free(&question);
    pfm_buffer_free(&ungrounded);
    json_decref(flat);
    json_decref(places);
    free(answer);
    return status;
}

static pfm_status read_file(const case_file *file, const char *split, const pfm_medexpqa_grounding *grounding, pfm_rows *out,
                            pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer text = {0};
    pfm_records records = {0};
    pfm_row_place place = {.file = file->path, .unit = "line", .split = split};
    PFM_TRY(pfm_file_read(file->path, 0, &text, err));
    PFM_TRY(pfm_json_lines_parse(text.data, text.size, file->path, &records, err));
    for (size_t i = 0; i < records.count; i++) {
        place.number = records.lines[i];
        PFM_TRY(pfm_medexpqa_read_case(records.items[i], file->words, grounding, &place, out, err));
    }
done:
    pfm_records_free(&records);
    pfm_buffer_free(&text);
    return status;
}

static pfm_status read(const char *path, const char *split, const pfm_dataset_options *options, pfm_rows *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    contents held = {0};
    pfm_buffer known = {0};
    pfm_medexpqa_grounding grounding = {0};
    PFM_TRY(scan(path, split, options, &held, err));
    PFM_TRY(append_languages(&held, &known, err));
    if (held.file_count > 1 && !options->any_language) /* languages are never mixed by accident */
        PFM_FAIL(PFM_ERROR_USAGE, "%s: choose one language (data.language, --language); the folder holds %s", path, known.data);
    PFM_TRY(pfm_medexpqa_open_grounding(options, &grounding, err));
    for (size_t i = 0; i < held.file_count; i++)
        PFM_TRY(read_file(&held.files[i], split, &grounding, out, err));
done:
    pfm_medexpqa_close_grounding(&grounding);
    pfm_buffer_free(&known);
    free_contents(&held);
    return status;
}

/* ---- a case that a person asks ---- */

/* The language whose prompt the text begins like; else the only one that is named. */
static pfm_status find_words(const char *text, const char *language, const pfm_medexpqa_words **out, pfm_error *err)
{
    *out = language == NULL ? NULL : pfm_medexpqa_find_words(language);
    for (int i = 0; *out == NULL && language == NULL && i < LANGUAGES; i++) {
        if (strncmp(text, languages[i].task, strlen(languages[i].task)) == 0)
            *out = &languages[i];
    }
    return *out != NULL ? PFM_OK
                        : pfm_error_set(err, PFM_ERROR_USAGE,
                                        "in which language is this asked? set data.language in the recipe to en, es, fr or it");
}

/* What of a text is asked: all of it, or what the published prompt has behind the line of the question. NULL: it brings
 * documents of its own. */
static pfm_status find_asked(const pfm_medexpqa_words *words, const char *text, const char **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_buffer begin = {0}, empty = {0};
    PFM_TRY(pfm_buffer_append_format(&begin, err, "%s\n%s\n", words->task, words->documents));
    PFM_TRY(pfm_buffer_append_format(&empty, err, "%s\n%s\n", begin.data, words->question));
    const bool prompt = strncmp(text, begin.data, begin.size) == 0, bare = strncmp(text, empty.data, empty.size) == 0;
    *out = bare ? text + empty.size : prompt ? NULL : text;
done:
    pfm_buffer_free(&begin);
    pfm_buffer_free(&empty);
    return status;
}

static pfm_status ground(const pfm_dataset_options *options, const char *text, char **out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const pfm_medexpqa_words *words = NULL;
    const char *asked = NULL;
    pfm_medexpqa_grounding grounding = {0};
    pfm_buffer query = {0}, documents = {0}, prompt = {0};
    PFM_TRY(find_words(text, options->language, &words, err));
    PFM_TRY(find_asked(words, text, &asked, err));
    if (asked == NULL) {
        status = pfm_string_copy(text, out, err);
        goto done;
    }
    PFM_TRY(pfm_medexpqa_open_grounding(options, &grounding, err));
    PFM_TRY(write_query(words, asked, &query, err));
    if (query.size > 0)
        PFM_TRY(pfm_medexpqa_retrieve(&grounding, query.data, NULL, &documents, NULL, err));
    PFM_TRY(write_prompt(words, &documents, asked, &prompt, err));
    *out = prompt.data;
    prompt = (pfm_buffer){0};
done:
    pfm_medexpqa_close_grounding(&grounding);
    pfm_buffer_free(&query);
    pfm_buffer_free(&documents);
    pfm_buffer_free(&prompt);
    return status;
}

const pfm_dataset_format pfm_dataset_medexpqa = {.name = "medexpqa",
                                                 .profile = "medexpqa",
                                                 .language = language_column,
                                                 .grounds = true,
                                                 .list_splits = list_splits,
                                                 .read = read,
                                                 .ground = ground};
