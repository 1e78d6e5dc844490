/* What a file or folder holds: weights, an adapter, a run, an image, a DICOM file, a data set, an index, a file of records. */
#ifndef PEFOMED_INSPECT_H
#define PEFOMED_INSPECT_H

#include "pefomed/context.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* *json_out (the caller calls free) = {"path","kind","bytes" (files only), ...}; kind is told from the content:
 * weights: "format","tensors":[{"name","dtype","shape","bytes"}],"types":{dtype:{"tensors","values","bytes"}},"parameters" (the
 *   values that are not integers), "metadata":{key: value; {"count","first"} for long arrays, {"length","first"} for long
 *   texts}, "config" (config.json beside it, where there is one);
 * adapter: "method","rank","alpha","dropout","rslora","targets","base","task","parameters","tensors","config";
 * run: "steps","last" (the log's last line),"audit","adapter" (as above),"files":[names],"unfinished";
 * image: "format","width","height","channels" and "bits" (of the file, not of the picture made from it),"text_like" (text seems
 * to be burned in),"text_rows"; dicom: what pfm_dicom_describe (dicom.h) tells; "identifiers" as "(hidden)" unless
 * `identifiers`; of a first frame that can be decoded "text_like","text_rows"; data: "dataset","files","next" (the command that
 * says more); index: what pfm_index_describe says (pefomed/corpus.h); records: "format" (csv, jsonl,
 * json),"records","columns","next". `name_or_path` may be a name that fetch knows. IO: nothing there. FORMAT, UNSUPPORTED: none
 * of these, or damaged. */
pfm_status pfm_inspect(const pfm_context *context, const char *name_or_path, bool identifiers, char **json_out,
                       pfm_error *err) PFM_MUST_CHECK;

#ifdef __cplusplus
}
#endif
#endif
