/* Every function of the library that can fail returns a status and leaves a message: CHECK(call) ends the program with both. */
#ifndef CHECK_H
#define CHECK_H

#include "report.h"

#include <diffquant.h>

#define CHECK(call) check((call), #call)

static inline void check(diffquant_status status, const char *call) {
    if (status != DIFFQUANT_STATUS_OK) {
        die("%s\n  %s: %s", call, diffquant_status_name(status), diffquant_last_error_message());
    }
}

#endif
