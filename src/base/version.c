#include "pefomed/context.h"

const char *pfm_version(void) { return PEFOMED_VERSION; }
