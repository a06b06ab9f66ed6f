#include "reduce.h"
#include "report.h"

#include <math.h>
#include <string.h>

const char *const SUM_NAME[SUM_KINDS] = {[SUM_EXACT] = "exact", [SUM_F64] = "f64", [SUM_F32] = "f32"};

static const double UNIT = 0x1p-40;
static const float LIMIT = 0x1p19f; /* 2^59 units: room for the sum of 15 */

_Static_assert(sizeof(batch_sums) == SUM_LENGTH * sizeof(float), "batch_sums has no padding");

void sum_clear(running_sum *sum, sum_kind kind) {
    memset(sum, 0, sizeof *sum);
    sum->kind = kind;
}

static int64_t to_units(float x) {
    if (!(fabsf(x) < LIMIT)) { /* a NaN too */
        die("a gradient of %g: the training diverges", (double)x);
    }
    return (int64_t)llrint((double)x / UNIT);
}

void sum_add(running_sum *sum, float factor, const batch_sums *part) {
    const float *x = (const float *)part;
    for (size_t i = 0; i < SUM_LENGTH; i++) {
        switch (sum->kind) {
        case SUM_F64: sum->of.f64[i] += (double)factor * (double)x[i]; break;
        case SUM_F32: sum->of.f32[i] += factor * x[i]; break;
        default: sum->of.exact[i] += to_units(factor * x[i]);
        }
    }
}

void sum_over_ranks(running_sum *sum, MPI_Comm ranks, batch_sums *total) {
    MPI_Datatype type = sum->kind == SUM_F64 ? MPI_DOUBLE : sum->kind == SUM_F32 ? MPI_FLOAT : MPI_INT64_T;
    float *x = (float *)total;
    /* MPI's default is to end the whole job on an error: no status is lost here. */
    MPI_Allreduce(MPI_IN_PLACE, &sum->of, SUM_LENGTH, type, MPI_SUM, ranks);
    for (size_t i = 0; i < SUM_LENGTH; i++) {
        switch (sum->kind) {
        case SUM_F64: x[i] = (float)sum->of.f64[i]; break;
        case SUM_F32: x[i] = sum->of.f32[i]; break;
        default: x[i] = (float)((double)sum->of.exact[i] * UNIT);
        }
    }
}
