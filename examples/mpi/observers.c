#include "observers.h"
#include "check.h"
#include "data_parallel.h"
#include "report.h"

#include <limits.h>
#include <stdlib.h>

void observers_new(observers *seen, const mlp *net, const digits_split *split, int rank, int ranks) {
    static mlp_batch batch;
    for (size_t i = 0; i < QUANTIZED_ACTIVATIONS; i++) {
        CHECK(diffquant_observer_new(DIFFQUANT_OBSERVER_KIND_HISTOGRAM, 0.0f, &seen->layer[i]));
    }
    for (size_t s = (size_t)rank; s < slice_count(split->train_count); s += (size_t)ranks) {
        mlp_load(&batch, split->data, split->order + s * SLICE, slice_length(split->train_count, s));
        mlp_forward(net, &batch);
        for (size_t i = 0; i < QUANTIZED_ACTIVATIONS; i++) {
            CHECK(diffquant_observer_observe(seen->layer[i], batch.activations[i + 1], batch.batch * MLP_HIDDEN));
        }
    }
}

void observers_free(observers *seen) {
    for (size_t i = 0; i < QUANTIZED_ACTIVATIONS; i++) {
        diffquant_observer_free(seen->layer[i]);
        seen->layer[i] = NULL;
    }
}

char *observer_text(const diffquant_observer *observer, size_t *length) {
    diffquant_status status = diffquant_observer_to_json(observer, NULL, 0, length);
    if (status != DIFFQUANT_STATUS_BUFFER_TOO_SMALL) {
        check(status, "diffquant_observer_to_json");
    }
    char *text = allocate(*length + 1, 1);
    CHECK(diffquant_observer_to_json(observer, text, *length + 1, length));
    return text;
}

/* The texts of all ranks on every rank; MPI counts in int. */
typedef struct {
    char *bytes;
    int *length, *start; /* by rank */
} gathered;

static gathered gather(const char *text, size_t length, MPI_Comm comm, int ranks) {
    gathered all = {.length = allocate((size_t)ranks, sizeof(int)), .start = allocate((size_t)ranks, sizeof(int))};
    int total = 0;
    if (length > (size_t)(INT_MAX / ranks)) {
        die("an observer of %zu bytes is too long to gather", length);
    }
    const int mine = (int)length;
    MPI_Allgather(&mine, 1, MPI_INT, all.length, 1, MPI_INT, comm);
    for (int r = 0; r < ranks; r++) {
        all.start[r] = total;
        total += all.length[r];
    }
    all.bytes = allocate((size_t)total, 1);
    MPI_Allgatherv(text, mine, MPI_CHAR, all.bytes, all.length, all.start, MPI_CHAR, comm);
    return all;
}

void observers_merge_over_ranks(observers *seen, MPI_Comm comm) {
    int rank, ranks;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &ranks);
    for (size_t i = 0; i < QUANTIZED_ACTIVATIONS; i++) {
        size_t length;
        char *text = observer_text(seen->layer[i], &length);
        gathered all = gather(text, length, comm, ranks);
        /* Each rank begins at another one: the order does not matter, and the program checks that it did not. */
        for (int k = 1; k < ranks; k++) {
            const int r = (rank + k) % ranks;
            diffquant_observer *other = NULL;
            CHECK(diffquant_observer_from_json(all.bytes + all.start[r], (size_t)all.length[r], &other));
            CHECK(diffquant_observer_merge(seen->layer[i], other));
            diffquant_observer_free(other);
        }
        free(all.bytes);
        free(all.length);
        free(all.start);
        free(text);
    }
}
