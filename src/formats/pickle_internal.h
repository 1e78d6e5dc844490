/* Shared by the two halves of the pickle reader: pickle.c reads opcodes, pickle_build.c makes what globals stand for. */
#ifndef PFM_FORMATS_PICKLE_INTERNAL_H
#define PFM_FORMATS_PICKLE_INTERNAL_H

#include "formats/cursor.h"
#include "formats/pickle.h"

typedef struct pfm_pickle_machine {
    pfm_pickle *pickle;
    pfm_cursor cursor;
    size_t at;       /* of the opcode that runs, in the file */
    uint32_t *stack; /* indices of nodes */
    size_t depth, stack_capacity;
    size_t *marks; /* depths of the stack */
    size_t mark_count, mark_capacity;
    uint32_t *memo; /* index of a node, plus one */
    size_t memo_count, memo_capacity;
} pfm_pickle_machine;

/* *index = a fresh node of this kind. */
pfm_status pfm_pickle_add(pfm_pickle_machine *machine, pfm_pickle_kind kind, uint32_t *index, pfm_error *err) PFM_MUST_CHECK;
pfm_status pfm_pickle_append(pfm_pickle_machine *machine, uint32_t list, uint32_t item, pfm_error *err) PFM_MUST_CHECK;

/* *line = the line of an allowed global; FORMAT names any other. */
pfm_status pfm_pickle_find_global(pfm_pickle_machine *machine, const char *module, size_t module_length, const char *name,
                                  size_t name_length, int *line, pfm_error *err) PFM_MUST_CHECK;
/* *result = the node that the global of node `callee`, called with the tuple `arguments`, stands for. */
pfm_status pfm_pickle_call(pfm_pickle_machine *machine, uint32_t callee, uint32_t arguments, uint32_t *result,
                           pfm_error *err) PFM_MUST_CHECK;
/* *result = the storage that a persistent id describes. */
pfm_status pfm_pickle_refer(pfm_pickle_machine *machine, uint32_t id, uint32_t *result, pfm_error *err) PFM_MUST_CHECK;

#endif
