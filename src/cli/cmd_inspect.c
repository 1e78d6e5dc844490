#include "cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const json_t *member(const json_t *object, const char *key) { return json_object_get(object, key); }

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(member(object, key));
    return text == NULL ? "" : text;
}

/* "134.5 million", "576". */
static void format_count(double count, char out[32])
{
    if (count >= 1e9)
        (void)snprintf(out, 32, "%.2f billion", count / 1e9);
    else if (count >= 1e6)
        (void)snprintf(out, 32, "%.1f million", count / 1e6);
    else
        (void)snprintf(out, 32, "%.0f", count);
}

static void format_bytes(double bytes, char out[32])
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    int unit = 0;
    for (; bytes >= 1000 && unit < 4; unit++)
        bytes /= 1000;
    (void)snprintf(out, 32, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
}

/* A value on one line: texts without quotes and cut, arrays by their begin. */
static void print_value(const json_t *value, FILE *out)
{
    enum { WIDTH = 100 };
    const json_t *first = member(value, "first");
    if (json_is_integer(member(value, "count")))
        fprintf(out, "%" JSON_INTEGER_FORMAT " values: ", json_integer_value(member(value, "count")));
    if (json_is_integer(member(value, "length")))
        fprintf(out, "%" JSON_INTEGER_FORMAT " bytes: ", json_integer_value(member(value, "length")));
    const json_t *shown = first != NULL ? first : value;
    char *text =
        json_is_string(shown) ? strdup(json_string_value(shown)) : json_dumps(shown, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
    if (text == NULL)
        return;
    size_t length = strlen(text), kept = length;
    if (length > WIDTH) {
        for (kept = WIDTH; kept > 0 && ((unsigned char)text[kept] & 0xc0) == 0x80;)
            kept--;
    }
    for (size_t i = 0; i < kept; i++) {
        bool control = (unsigned char)text[i] < 0x20 || text[i] == 0x7f;
        fputc(control ? ' ' : text[i], out);
    }
    fputs(kept < length || first != NULL ? " ...\n" : "\n", out);
    free(text);
}

static void print_object(const char *title, const json_t *object, FILE *out)
{
    const char *key = NULL;
    const json_t *value = NULL;
    if (json_object_size(object) == 0)
        return;
    fprintf(out, "%s\n", title);
    json_object_foreach((json_t *)(uintptr_t)object, key, value) /* the macro reads only, but takes no const */
    {
        fprintf(out, "  %-44s ", key);
        print_value(value, out);
    }
}

static void format_shape(const json_t *shape, char out[160])
{
    size_t used = 0, index = 0;
    const json_t *size = NULL;
    (void)snprintf(out, 160, "scalar");
    json_array_foreach(shape, index, size)
    {
        int wrote =
            snprintf(out + used, 160 - used, "%s%" JSON_INTEGER_FORMAT, index > 0 ? " x " : "", json_integer_value(size));
        used += (size_t)wrote;
        if (used >= 150)
            return;
    }
}

/* A tensor's name with every number replaced by *, its type and shape: tensors that share it are printed as one line. */
static void describe_group(const json_t *tensor, char out[1400])
{
    const char *name = text_of(tensor, "name");
    char pattern[1100], shape[160];
    size_t used = 0;
    for (size_t i = 0; name[i] != '\0' && used + 2 < sizeof pattern;) {
        bool digit = name[i] >= '0' && name[i] <= '9', part = digit && (i == 0 || name[i - 1] == '.' || name[i - 1] == '_');
        if (part) {
            i += strspn(name + i, "0123456789");
            pattern[used++] = '*';
        } else {
            pattern[used++] = name[i++];
        }
    }
    pattern[used] = '\0';
    format_shape(member(tensor, "shape"), shape);
    (void)snprintf(out, 1400, "%-52s %-6s %s", pattern, text_of(tensor, "dtype"), shape);
}

/* One line a group: the tensor itself where it is alone, else the pattern and how many there are. */
static void print_tensors(const json_t *tensors, FILE *out)
{
    json_t *groups = json_object();
    char group[1400], shape[160];
    size_t index = 0;
    const json_t *tensor = NULL;
    json_t *members = NULL;
    const char *key = NULL;
    json_array_foreach(tensors, index, tensor)
    {
        describe_group(tensor, group);
        if (member(groups, group) == NULL)
            (void)json_object_set_new(groups, group, json_array());
        (void)json_array_append(json_object_get(groups, group), (json_t *)(uintptr_t)tensor);
    }
    fputs("tensors (* stands for a number)\n", out);
    json_object_foreach(groups, key, members)
    {
        const json_t *first = json_array_get(members, 0);
        format_shape(member(first, "shape"), shape);
        if (json_array_size(members) > 1)
            fprintf(out, "  %s  (%zu of them)\n", key, json_array_size(members));
        else
            fprintf(out, "  %-52s %-6s %s\n", text_of(first, "name"), text_of(first, "dtype"), shape);
    }
    json_decref(groups);
}

static void print_types(const json_t *document, FILE *out)
{
    const char *name = NULL;
    const json_t *type = NULL;
    char count[32];
    format_count((double)json_integer_value(member(document, "parameters")), count);
    fprintf(out, "%zu tensors, %s parameters", json_array_size(member(document, "tensors")), count);
    const char *separator = ": ";
    json_object_foreach((json_t *)(uintptr_t)member(document, "types"), name, type)
    {
        format_bytes((double)json_integer_value(member(type, "bytes")), count);
        fprintf(out, "%s%" JSON_INTEGER_FORMAT " %s in %s", separator, json_integer_value(member(type, "tensors")), name,
                count);
        separator = ", ";
    }
    fputc('\n', out);
}

static void print_weights(const json_t *document, FILE *out)
{
    print_types(document, out);
    print_object("metadata", member(document, "metadata"), out);
    print_object("config.json", member(document, "config"), out);
    print_tensors(member(document, "tensors"), out);
}

static void print_adapter(const json_t *document, FILE *out)
{
    static const char *const numbers[] = {"rank", "alpha", "dropout"};
    fputs(text_of(document, "method"), out);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (json_is_number(member(document, numbers[i])))
            fprintf(out, ", %s %g", numbers[i], json_number_value(member(document, numbers[i])));
    }
    fputs(json_is_true(member(document, "rslora")) ? ", rank-stabilised" : "", out);
    if (json_is_null(member(document, "targets"))) {
        fputc('\n', out);
    } else {
        fputs(", on ", out);
        print_value(member(document, "targets"), out);
    }
    fprintf(out, "base: %s\n", json_is_string(member(document, "base")) ? text_of(document, "base") : "not named");
    print_types(document, out);
    print_tensors(member(document, "tensors"), out);
}

static void print_run(const json_t *document, FILE *out)
{
    fputs("holds ", out);
    print_value(member(document, "files"), out);
    fprintf(out, "steps logged: %" JSON_INTEGER_FORMAT "\n", json_integer_value(member(document, "steps")));
    print_object("last step", member(document, "last"), out);
    print_object("made from", member(document, "audit"), out);
    if (member(document, "aligner") != NULL) {
        fputs("aligner: ", out);
        print_types(member(document, "aligner"), out);
    }
    static const char *const adapters[] = {"adapter", "adapter-vision"};
    for (int i = 0; i < 2; i++) {
        if (member(document, adapters[i]) == NULL)
            continue;
        fprintf(out, "%s: ", adapters[i]);
        print_adapter(member(document, adapters[i]), out);
    }
}

static void print_index(const json_t *document, FILE *out)
{
    static const char *const facts[] = {"words_at_most", "overlap", "stemmer", "columns", "search", "id", "sha256"};
    const json_t *sources = member(document, "sources"), *source = NULL;
    size_t i = 0;
    char bytes[32];
    format_count((double)json_integer_value(member(document, "snippets")), bytes);
    fprintf(out, "%s snippets of %zu files, version %" JSON_INTEGER_FORMAT "\n", bytes, json_array_size(sources),
            json_integer_value(member(document, "version")));
    for (size_t k = 0; k < sizeof facts / sizeof *facts; k++) {
        if (member(document, facts[k]) == NULL)
            continue;
        fprintf(out, "%-14s ", facts[k]);
        print_value(member(document, facts[k]), out);
    }
    json_array_foreach(sources, i, source)
    {
        fprintf(out, "  %-44s %8" JSON_INTEGER_FORMAT " snippets, %s\n", text_of(source, "name"),
                json_integer_value(member(source, "snippets")), text_of(source, "kind"));
    }
}

static void print_rest(const json_t *document, FILE *out)
{
    const char *key = NULL;
    const json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)document, key, value)
    {
        if (strcmp(key, "path") == 0 || strcmp(key, "kind") == 0 || strcmp(key, "bytes") == 0 || strcmp(key, "next") == 0)
            continue;
        fprintf(out, "%-10s ", key);
        print_value(value, out);
    }
    if (json_is_string(member(document, "next")))
        fprintf(out, "more:      %s\n", text_of(document, "next"));
}

/* What it says of pixels in a column, then what it says of the patient. */
static void print_dicom(const json_t *document, FILE *out)
{
    const char *key = NULL;
    const json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)document, key, value)
    {
        if (strcmp(key, "path") == 0 || strcmp(key, "kind") == 0 || strcmp(key, "bytes") == 0 || json_is_object(value))
            continue;
        fprintf(out, "%-21s ", key);
        print_value(value, out);
    }
    print_object("identifiers", member(document, "identifiers"), out);
}

static void render(const json_t *document, FILE *out)
{
    static const struct {
        const char *kind;
        void (*print)(const json_t *document, FILE *out);
    } kinds[] = {{"weights", print_weights},
                 {"adapter", print_adapter},
                 {"run", print_run},
                 {"dicom", print_dicom},
                 {"index", print_index}};
    const char *kind = text_of(document, "kind"), *format = text_of(document, "format");
    fprintf(out, "%s: %s%s%s", text_of(document, "path"), kind, format[0] == '\0' ? "" : ", ", format);
    if (member(document, "bytes") != NULL) {
        char bytes[32];
        format_bytes((double)json_integer_value(member(document, "bytes")), bytes);
        fprintf(out, ", %s", bytes);
    }
    fputc('\n', out);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].kind, kind) == 0) {
            kinds[i].print(document, out);
            return;
        }
    }
    print_rest(document, out);
}

static pfm_status run(cli_call *call, pfm_error *err)
{
    char *document = NULL;
    pfm_status status = pfm_inspect(cli_context(call), cli_operand(call, 0), cli_has(call, "identifiers"), &document, err);
    if (status == PFM_OK)
        status = cli_print_text(call, document, render, err);
    free(document);
    return status;
}

static const cli_option options[] = {
    {"identifiers", NULL, "of a DICOM file: tell names, numbers and dates of patient and study, which else show as (hidden)",
     NULL},
    {0},
};

const cli_command cmd_inspect = {
    .name = "inspect",
    .arguments = "PATH [--identifiers]",
    .summary = "says what a checkpoint, adapter, run, image, DICOM file, data set or index holds",
    .details = "PATH is a weight file (GGUF, safetensors, PyTorch), a folder with one, an adapter's or a run's folder, an "
               "image, a DICOM\n"
               "file, a data set's folder, an index, a file of records, or the name of fetched weights. Nothing in a file is "
               "run. --json "
               "lists every "
               "tensor.\n\n"
               "pefomed inspect smollm2-135m-instruct\npefomed inspect runs/slake/adapter\npefomed inspect scan.dcm",
    .options = options,
    .min_operands = 1,
    .max_operands = 1,
    .needs_context = true,
    .run = run,
};
