/* Several adapters side by side beside one base. At each place every one computes its output from the bare one, and a number
 * that each token has says whose it goes on with; -1 is the base. A row's bits are those that it has with its adapter alone. */
#ifndef PFM_PEFT_PEFT_SET_H
#define PFM_PEFT_PEFT_SET_H

#include "peft/peft.h"

typedef struct pfm_peft_set pfm_peft_set;

/* Starts empty. Members are borrowed, have names of parameters of their own (pfm_peft_set_slot), and count from 0 in their
 * order. */
pfm_status pfm_peft_set_create(pfm_peft_set **out, pfm_error *err) PFM_MUST_CHECK;
void pfm_peft_set_free(pfm_peft_set *set);
/* UNSUPPORTED where it trains parameters of the base in place, which are there once. `name` is for errors. */
pfm_status pfm_peft_set_add(pfm_peft_set *set, pfm_peft *peft, const char *name, pfm_error *err) PFM_MUST_CHECK;
/* The hook for a builder that has adapters' numbers; borrowed. */
const pfm_hook *pfm_peft_set_hook(const pfm_peft_set *set);

#endif
