#include "pacs/pacs_rules.h"

#include "base/file.h"
#include "base/try.h"
#include "base/utf8.h"
#include "eval/yaml_file.h"
#include "pefomed/image.h"
#include "pefomed/series.h"
#include "pefomed/sr.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LARGEST_FILE = 1 << 18, MOST_RULES = 256, MOST_TEXTS = 64, LONGEST_TEXT = 4096, LONGEST_NAME = 40 };

static const char *const keys[] = {"wait", "give_up", "rules"};
enum { WAIT, GIVE_UP, RULES, KEYS };
static const char *const rule_keys[] = {"name",   "modality", "body_part", "description", "questions", "report",   "indication",
                                        "series", "slices",   "window",    "max_tokens",  "kind",      "language", "return"};
enum {
    NAME,
    MODALITY,
    BODY_PART,
    DESCRIPTION,
    QUESTIONS,
    REPORT,
    INDICATION,
    SERIES,
    SLICES,
    WINDOW,
    MAX_TOKENS,
    KIND,
    LANGUAGE,
    RETURN,
    RULE_KEYS
};
static const char *const return_keys[] = {"dicomweb", "credentials"};
enum { DICOMWEB, CREDENTIALS, RETURN_KEYS };

typedef struct reader {
    pfm_yaml yaml;
    pfm_pacs_rules *rules;
    pfm_pacs_rule *rule; /* that is being read */
} reader;

/* ---- addresses ---- */

void pfm_pacs_target_free(pfm_pacs_target *target)
{
    free(target->title);
    free(target->host);
    free(target->url);
    free(target->credentials);
    *target = (pfm_pacs_target){0};
}

/* Up to 16 characters of the default repertoire without backslash and control characters (PS3.5, 6.2); blanks around do not
 * count, so none may be there. */
static bool is_title(const char *text, size_t length)
{
    if (length == 0 || length > 16 || text[0] == ' ' || text[length - 1] == ' ')
        return false;
    for (size_t i = 0; i < length; i++)
        if (text[i] < ' ' || text[i] > '~' || text[i] == '\\')
            return false;
    return true;
}

bool pfm_pacs_title_is(const char *text) { return is_title(text, strlen(text)); }

/* "SCANNER@[2001:db8::5]", `at` of it being "@[...]". DCMTK 3.6.7 connects by IPv4 alone, so that nothing can be returned
 * there. */
static pfm_status read_six(const char *what, const char *text, const char *at, bool need_port, pfm_pacs_target *out,
                           pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *host = at + 2;
    const size_t length = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:%-_");
    if (!is_title(text, (size_t)(at - text)) || length == 0 || length > 60 || host[length] != ']')
        PFM_FAIL(PFM_ERROR_USAGE, "%s '%.100s' is no application entity; give one as SCANNER@[2001:db8::5]", what, text);
    if (host[length + 1] != '\0' || need_port)
        PFM_FAIL(PFM_ERROR_USAGE,
                 "%s '%.100s' is an address of IPv6, to which no results can be sent (DCMTK 3.6.7); name one of IPv4, or "
                 "return them by DICOMweb",
                 what, text);
    PFM_TRY(pfm_string_copy_n(text, (size_t)(at - text), &out->title, err));
    PFM_TRY(pfm_string_copy_n(host, length, &out->host, err));
done:
    return status;
}

pfm_status pfm_pacs_target_read(const char *what, const char *text, bool need_port, pfm_pacs_target *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    const char *at = strrchr(text, '@'), *host = at != NULL ? at + 1 : "", *colon = strrchr(host, ':');
    const size_t length = colon != NULL ? (size_t)(colon - host) : strlen(host);
    const size_t digits = colon != NULL ? strspn(colon + 1, "0123456789") : 0;
    const int port =
        colon != NULL && digits > 0 && digits <= 5 && colon[1 + digits] == '\0' ? (int)strtol(colon + 1, NULL, 10) : 0;
    if (at != NULL && at[1] == '[')
        return read_six(what, text, at, need_port, out, err);
    if (at == NULL || !is_title(text, (size_t)(at - text)) || length == 0 || length > 255 ||
        strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") < length ||
        (colon != NULL && (port < 1 || port > 65535)) || (colon == NULL && need_port))
        PFM_FAIL(PFM_ERROR_USAGE, "%s '%.100s' is no application entity; give one as %s", what, text,
                 need_port ? "ARCHIVE@127.0.0.1:104, a title of at most 16 characters, an IPv4 host and a port"
                           : "SCANNER@10.0.0.5 or SCANNER@10.0.0.5:104, a title of at most 16 characters and a host; of IPv6 "
                             "as SCANNER@[2001:db8::5]");
    PFM_TRY(pfm_string_copy_n(text, (size_t)(at - text), &out->title, err));
    PFM_TRY(pfm_string_copy_n(host, length, &out->host, err));
    out->port = port;
done:
    return status;
}

/* ---- single values ---- */

static pfm_status refuse(const reader *r, const yaml_node_t *node, const char *problem, pfm_error *err)
{
    return pfm_yaml_refuse(&r->yaml, node, problem, err);
}

/* A text that says something, in UTF-8. */
static const char *text_of(const yaml_node_t *node)
{
    const char *text = pfm_yaml_text(node);
    return text != NULL && text[strspn(text, " \t\r\n")] != '\0' && strlen(text) <= LONGEST_TEXT &&
                   pfm_utf8_valid(text, strlen(text))
               ? text
               : NULL;
}

static pfm_status read_text(const reader *r, const yaml_node_t *node, const char *problem, char **out, pfm_error *err)
{
    const char *text = text_of(node);
    return text != NULL ? pfm_string_copy(text, out, err) : refuse(r, node, problem, err);
}

static pfm_status add_text(const reader *r, const yaml_node_t *node, const char *problem, pfm_pacs_list *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    PFM_TRY(pfm_array_reserve(&out->texts, &out->capacity, out->count + 1, sizeof *out->texts, err));
    PFM_TRY(read_text(r, node, problem, &out->texts[out->count], err));
    out->count++;
done:
    return status;
}

/* One text, or a list of some. */
static pfm_status read_list(reader *r, const yaml_node_t *node, const char *problem, pfm_pacs_list *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (node->type != YAML_SEQUENCE_NODE)
        return add_text(r, node, problem, out, err);
    const size_t count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    if (count == 0 || count > MOST_TEXTS)
        return refuse(r, node, problem, err);
    for (size_t i = 0; i < count; i++)
        PFM_TRY(add_text(r, pfm_yaml_node(&r->yaml, node->data.sequence.items.start[i]), problem, out, err));
done:
    return status;
}

/* What another function refuses is refused with the line. */
static pfm_status place(const reader *r, const yaml_node_t *node, pfm_status status, const pfm_error *inner, pfm_error *err)
{
    return status == PFM_OK ? PFM_OK : pfm_yaml_refuse(&r->yaml, node, inner->message, err);
}

static pfm_status read_name(const reader *r, const yaml_node_t *node, char **out, pfm_error *err)
{
    const char *text = pfm_yaml_text(node);
    const size_t length = text != NULL ? strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") : 0;
    if (length == 0 || length > LONGEST_NAME || text[length] != '\0')
        return refuse(r, node, "a rule's name has letters, digits, - and _, at most 40; the log calls it so", err);
    for (const pfm_pacs_rule *other = r->rules->rules; other < r->rule; other++)
        if (strcmp(other->name, text) == 0)
            return refuse(r, node, "an earlier rule has this name; give each its own", err);
    return pfm_string_copy(text, out, err);
}

static pfm_status read_report(const reader *r, const yaml_node_t *node, bool *out, pfm_error *err)
{
    const char *text = pfm_yaml_text(node);
    if (text == NULL || strcmp(text, "true") != 0)
        return refuse(r, node, "report must be true: a report is written; leave it out where questions are asked", err);
    *out = true;
    return PFM_OK;
}

static pfm_status read_series(const reader *r, const yaml_node_t *node, bool *out, pfm_error *err)
{
    const char *text = pfm_yaml_text(node);
    if (text == NULL || (strcmp(text, "largest") != 0 && strcmp(text, "all") != 0))
        return refuse(r, node, "series must be largest (the one of the most slices among those that match) or all", err);
    *out = text[0] == 'a';
    return PFM_OK;
}

/* ---- where a result goes ---- */

static pfm_status read_return_key(void *user, size_t key, const yaml_node_t *node, pfm_error *err)
{
    const reader *r = user;
    pfm_pacs_target *target = &r->rule->target;
    return key == DICOMWEB ? read_text(r, node, "dicomweb must be the URL of a server, as http://localhost:8042/dicom-web",
                                       &target->url, err)
                           : read_text(r, node, "credentials must be the path of a file", &target->credentials, err);
}

static pfm_status read_return(reader *r, const yaml_node_t *node, pfm_error *err)
{
    static const char problem[] = "return must be AET@HOST:PORT, or {dicomweb: URL}, or {dicomweb: URL, credentials: FILE}";
    const char *text = pfm_yaml_text(node);
    pfm_error inner = PFM_ERROR_INIT;
    uint64_t given = 0;
    r->rule->returns = true;
    if (text != NULL)
        return place(r, node, pfm_pacs_target_read("return", text, true, &r->rule->target, &inner), &inner, err);
    if (node->type != YAML_MAPPING_NODE)
        return refuse(r, node, problem, err);
    const pfm_status status = pfm_yaml_read_keys(&r->yaml, node, return_keys, RETURN_KEYS, read_return_key, r, &given, err);
    return status == PFM_OK && (given >> DICOMWEB & 1) == 0 ? refuse(r, node, problem, err) : status;
}

/* ---- rules ---- */

static bool is_part_of_word(char c)
{
    return (unsigned char)c >= 0x80 || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

static pfm_status read_description(reader *r, const yaml_node_t *node, pfm_error *err)
{
    static const char problem[] = "description must be words or a list of some, as \"chest pa\"";
    pfm_pacs_list *list = &r->rule->description;
    const pfm_status status = read_list(r, node, problem, list, err);
    for (size_t i = 0; status == PFM_OK && i < list->count; i++) {
        const char *at = list->texts[i];
        while (*at != '\0' && !is_part_of_word(*at))
            at++;
        if (*at == '\0')
            return refuse(r, node, problem, err);
    }
    return status;
}

static pfm_status read_window(const reader *r, const yaml_node_t *node, pfm_error *err)
{
    pfm_error inner = PFM_ERROR_INIT;
    const pfm_status status = read_text(r, node, "window must be a window as --window takes it", &r->rule->window, err);
    return status == PFM_OK ? place(r, node, pfm_image_check_window(r->rule->window, &inner), &inner, err) : status;
}

static pfm_status read_slices(const reader *r, const yaml_node_t *node, pfm_error *err)
{
    pfm_error inner = PFM_ERROR_INIT;
    const pfm_status status = read_text(r, node, "slices must be slices as --slices takes them", &r->rule->slices, err);
    return status == PFM_OK ? place(r, node, pfm_slices_check(r->rule->slices, &inner), &inner, err) : status;
}

/* kind or language. */
static pfm_status read_form(const reader *r, const yaml_node_t *node, char **out, pfm_error *err)
{
    pfm_error inner = PFM_ERROR_INIT;
    const pfm_status status = read_text(r, node, "kind and language must be texts, as enhanced and en", out, err);
    return status == PFM_OK ? place(r, node, pfm_sr_check(r->rule->kind, r->rule->language, &inner), &inner, err) : status;
}

static pfm_status read_rule_key(void *user, size_t key, const yaml_node_t *node, pfm_error *err)
{
    reader *r = user;
    pfm_pacs_rule *rule = r->rule;
    double number = 0;
    pfm_status status = PFM_OK;
    switch (key) {
    case NAME: return read_name(r, node, &rule->name, err);
    case MODALITY:
        return read_list(r, node, "modality must be a code or a list of some, as CT or [CR, DX]", &rule->modality, err);
    case BODY_PART: return read_list(r, node, "body_part must be a word or a list of some, as CHEST", &rule->body_part, err);
    case DESCRIPTION: return read_description(r, node, err);
    case QUESTIONS: return read_list(r, node, "questions must be a question or a list of 1 to 64", &rule->questions, err);
    case REPORT: return read_report(r, node, &rule->report, err);
    case INDICATION: return read_text(r, node, "indication must be a text", &rule->indication, err);
    case SERIES: return read_series(r, node, &rule->every, err);
    case SLICES: return read_slices(r, node, err);
    case WINDOW: return read_window(r, node, err);
    case KIND: return read_form(r, node, &rule->kind, err);
    case LANGUAGE: return read_form(r, node, &rule->language, err);
    case RETURN: return read_return(r, node, err);
    default:
        status = pfm_yaml_read_number(&r->yaml, node, 1, 65536, true, "max_tokens must be a whole number from 1 to 65536",
                                      &number, err);
        rule->max_tokens = (int)number;
        return status;
    }
}

static pfm_status read_rule(reader *r, const yaml_node_t *node, pfm_error *err)
{
    pfm_status status = PFM_OK;
    pfm_pacs_rules *rules = r->rules;
    uint64_t given = 0;
    if (node->type != YAML_MAPPING_NODE)
        return refuse(r, node, "a rule is a mapping, as {modality: CT, questions: [Is there a fracture?]}", err);
    PFM_TRY(pfm_array_reserve(&rules->rules, &rules->capacity, rules->count + 1, sizeof *rules->rules, err));
    r->rule = &rules->rules[rules->count++];
    r->rule->line = node->start_mark.line + 1;
    PFM_TRY(pfm_yaml_read_keys(&r->yaml, node, rule_keys, RULE_KEYS, read_rule_key, r, &given, err));
    if (r->rule->report == (r->rule->questions.count > 0)) {
        status = refuse(r, node, "a rule has either questions or report: true", err);
        goto done;
    }
    if (r->rule->indication != NULL && !r->rule->report) {
        status = refuse(r, node, "indication belongs to report: true; a question says itself why it is asked", err);
        goto done;
    }
    if (r->rule->name == NULL)
        PFM_TRY(pfm_string_format(&r->rule->name, err, "%zu", rules->count));
done:
    return status;
}

static pfm_status read_rules(reader *r, const yaml_node_t *node, pfm_error *err)
{
    pfm_status status = PFM_OK;
    if (node->type != YAML_SEQUENCE_NODE)
        return refuse(r, node, "rules must be a list of 1 to 256 rules", err);
    const size_t count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    if (count == 0 || count > MOST_RULES)
        return refuse(r, node, "rules must be a list of 1 to 256 rules", err);
    for (size_t i = 0; i < count; i++)
        PFM_TRY(read_rule(r, pfm_yaml_node(&r->yaml, node->data.sequence.items.start[i]), err));
done:
    return status;
}

static pfm_status read_key(void *user, size_t key, const yaml_node_t *node, pfm_error *err)
{
    reader *r = user;
    if (key == RULES)
        return read_rules(r, node, err);
    return key == WAIT ? pfm_yaml_read_number(&r->yaml, node, 0.1, 3600, false,
                                              "wait must be a number of seconds from 0.1 to 3600", &r->rules->wait, err)
                       : pfm_yaml_read_number(&r->yaml, node, 0.001, 720, false,
                                              "give_up must be a number of hours, at most 720", &r->rules->give_up, err);
}

pfm_status pfm_pacs_rules_parse(const char *file, const char *text, size_t size, pfm_pacs_rules *out, pfm_error *err)
{
    pfm_status status = PFM_OK;
    reader r = {.rules = out};
    uint64_t given = 0;
    *out = (pfm_pacs_rules){.wait = 5, .give_up = 72};
    PFM_TRY(pfm_yaml_parse(file, text, size, &r.yaml, err));
    yaml_node_t *root = yaml_document_get_root_node(&r.yaml.document);
    if (root == NULL || root->type != YAML_MAPPING_NODE)
        status = pfm_error_set(err, PFM_ERROR_USAGE, "%s line 1: a file of rules begins with a key, as rules:", file);
    else
        status = pfm_yaml_read_keys(&r.yaml, root, keys, KEYS, read_key, &r, &given, err);
    if (status == PFM_OK && (given >> RULES & 1) == 0)
        status = refuse(&r, root, "there are no rules; add a list, as rules: [{questions: [Is this normal?]}]", err);
    pfm_yaml_free(&r.yaml);
done:
    return status;
}

pfm_status pfm_pacs_rules_load(const char *path, pfm_pacs_rules *out, pfm_error *err)
{
    pfm_buffer text = {0};
    pfm_status status = pfm_file_read(path, LARGEST_FILE, &text, err);
    if (status == PFM_OK)
        status = pfm_pacs_rules_parse(path, text.data != NULL ? text.data : "", text.size, out, err);
    pfm_buffer_free(&text);
    return status;
}

static void free_list(pfm_pacs_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->texts[i]);
    free(list->texts);
}

void pfm_pacs_rules_free(pfm_pacs_rules *rules)
{
    for (size_t i = 0; i < rules->count; i++) {
        pfm_pacs_rule *rule = &rules->rules[i];
        char *texts[] = {rule->name, rule->indication, rule->slices, rule->window, rule->kind, rule->language};
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++)
            free(texts[k]);
        free_list(&rule->modality);
        free_list(&rule->body_part);
        free_list(&rule->description);
        free_list(&rule->questions);
        pfm_pacs_target_free(&rule->target);
    }
    free(rules->rules);
    *rules = (pfm_pacs_rules){0};
}

/* ---- matching ---- */

static bool is_any(const pfm_pacs_list *list, const char *value)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcasecmp(list->texts[i], value) == 0)
            return true;
    return list->count == 0;
}

static bool has_word(const char *text, const char *word, size_t length)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (!is_part_of_word(*at))
            continue;
        size_t whole = 1;
        while (is_part_of_word(at[whole]))
            whole++;
        if (whole == length && strncasecmp(at, word, length) == 0)
            return true;
        at += whole - 1;
    }
    return false;
}

static bool has_all_words(const char *text, const char *words)
{
    for (const char *at = words; *at != '\0';) {
        size_t length = 0;
        while (is_part_of_word(at[length]))
            length++;
        if (length > 0 && !has_word(text, at, length))
            return false;
        at += length > 0 ? length : 1;
    }
    return true;
}

bool pfm_pacs_rule_matches(const pfm_pacs_rule *rule, const pfm_pacs_series *series)
{
    bool described = rule->description.count == 0;
    for (size_t i = 0; i < rule->description.count; i++)
        described = described || has_all_words(series->description, rule->description.texts[i]);
    return described && is_any(&rule->modality, series->modality) && is_any(&rule->body_part, series->body_part);
}
