/* What a run's files know of its adapters. Inside this folder. */
#ifndef PFM_TRAIN_RUN_ADAPTER_H
#define PFM_TRAIN_RUN_ADAPTER_H

#include "formats/adapter.h"
#include "models/model.h"
#include "peft/peft.h"

/* Where a run's folder holds what was learned in the vision encoder. */
#define PFM_RUN_VISION_FOLDER "adapter-vision"

/* The networks that have an adapter's folder of their own. */
extern const pfm_peft_network pfm_run_language_network, pfm_run_vision_network;

/* adapter_config.json: what the method says of itself, what else the adapter holds whole, and how the base keeps its weights.
 */
pfm_status pfm_run_describe_adapter(const pfm_peft_network *network, const char *base, const pfm_model *model,
                                    const pfm_peft *peft, pfm_adapter_config *config, pfm_error *err) PFM_MUST_CHECK;

#endif
