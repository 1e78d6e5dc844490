/* libpefomed: fine-tunes a few parameters of multimodal language models on medical images, says how good the result is, and
 * puts it to use. This header includes the whole public interface; each part says what it does. */
#ifndef PEFOMED_PEFOMED_H
#define PEFOMED_PEFOMED_H

#include "pefomed/agree.h"
#include "pefomed/bench.h"
#include "pefomed/client.h"
#include "pefomed/compare.h"
#include "pefomed/context.h"
#include "pefomed/corpus.h"
#include "pefomed/data.h"
#include "pefomed/dicom.h"
#include "pefomed/eval.h"
#include "pefomed/evaluate.h"
#include "pefomed/image.h"
#include "pefomed/infer.h"
#include "pefomed/inspect.h"
#include "pefomed/judge.h"
#include "pefomed/pacs.h"
#include "pefomed/phantom.h"
#include "pefomed/pipeline.h"
#include "pefomed/record.h"
#include "pefomed/series.h"
#include "pefomed/serve.h"
#include "pefomed/sr.h"
#include "pefomed/status.h"
#include "pefomed/tokens.h"
#include "pefomed/train.h"
#include "pefomed/weights.h"
#include "pefomed/words.h"

#endif
