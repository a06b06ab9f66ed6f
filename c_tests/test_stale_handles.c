/* Handles that were freed, or are of another type: refused with a status and the name of the argument, nothing harmed. */

#include "support.h"

/* As many as the header says. */
enum { RECOGNISED_FOR = 256 };

static diffquant_quantizer *new_quantizer(void) {
    diffquant_quantizer *quantizer = NULL;
    REQUIRE_OK(diffquant_quantizer_new_uniform(4, DIFFQUANT_STE_LSQ, 0.0f, &quantizer));
    return quantizer;
}

static diffquant_rotation *new_rotation(void) {
    diffquant_rotation *rotation = NULL;
    REQUIRE_OK(diffquant_rotation_new(4, 0, &rotation));
    return rotation;
}

/* One function of each kind that there is: those that look at an object, change it, copy it, work with it, take two. */
static void check_config_is_refused(diffquant_config *config) {
    uint32_t bits = 77;
    void *made = config;
    CHECK_REFUSED(diffquant_config_bits(config, &bits), DIFFQUANT_STATUS_INVALID_HANDLE, "config", "configuration");
    CHECK_UINT(bits, 77);
    CHECK_REFUSED(diffquant_config_set_bits(config, 4), DIFFQUANT_STATUS_INVALID_HANDLE, "config");
    CHECK_REFUSED(diffquant_config_clone(config, (diffquant_config **)&made), DIFFQUANT_STATUS_INVALID_HANDLE, "config");
    CHECK_REFUSED(diffquant_quantizer_new(config, (diffquant_quantizer **)&made), DIFFQUANT_STATUS_INVALID_HANDLE,
                  "config");
    CHECK(made == config);
    diffquant_config_free(config);
}

static void check_quantizer_is_refused(diffquant_quantizer *quantizer) {
    float w[4] = {1.0f, 2.0f, 3.0f, 4.0f}, out[4] = {9.0f, 9.0f, 9.0f, 9.0f}, scale = 9.0f;
    int8_t codes[4] = {9, 9, 9, 9};
    diffquant_quantizer *copy = quantizer;
    const diffquant_status invalid = DIFFQUANT_STATUS_INVALID_HANDLE;
    CHECK_REFUSED(diffquant_quantizer_scales(quantizer, &scale, 1), invalid, "quantizer", "a quantizer");
    CHECK_REFUSED(diffquant_quantizer_set_scales(quantizer, &scale, 1), invalid, "quantizer");
    CHECK_REFUSED(diffquant_quantizer_clone(quantizer, &copy), invalid, "quantizer");
    CHECK_REFUSED(diffquant_quantizer_init_scale(quantizer, w, 4), invalid, "quantizer");
    CHECK_REFUSED(diffquant_quantizer_forward(quantizer, w, 4, codes, out), invalid, "quantizer");
    CHECK_REFUSED(diffquant_quantizer_forward(quantizer, NULL, 0, NULL, NULL), invalid, "quantizer");
    CHECK_REFUSED(diffquant_quantizer_backward(quantizer, w, NULL, w, 4, out), invalid, "quantizer");
    CHECK_REFUSED(diffquant_quantizer_backward_scale(quantizer, w, w, 4, out, &scale), invalid, "quantizer");
    CHECK_REFUSED(diffquant_quantizer_dequantize(quantizer, codes, 4, out), invalid, "quantizer");
    CHECK(copy == quantizer && scale == 9.0f && out[0] == 9.0f && codes[0] == 9);
    diffquant_quantizer_free(quantizer);
}

static void check_observer_is_refused(diffquant_observer *observer) {
    const float x = 1.0f;
    diffquant_observer *good = new_observer(DIFFQUANT_OBSERVER_KIND_MIN_MAX);
    diffquant_quantizer *quantizer = new_quantizer();
    const diffquant_status invalid = DIFFQUANT_STATUS_INVALID_HANDLE;
    CHECK_REFUSED(diffquant_observer_observe(observer, &x, 1), invalid, "observer", "an observer");
    CHECK_REFUSED(diffquant_observer_merge(good, observer), invalid, "other");
    CHECK_REFUSED(diffquant_observer_merge(observer, good), invalid, "observer");
    CHECK_REFUSED(diffquant_quantizer_init_scale_from_observer(quantizer, observer, DIFFQUANT_SCALE_INIT_MAX_ABS, 0.0f),
                  invalid, "observer");
    diffquant_observer_free(observer);
    diffquant_observer_free(good);
    diffquant_quantizer_free(quantizer);
}

static void check_rotation_is_refused(diffquant_rotation *rotation) {
    float x[4] = {1.0f, 2.0f, 3.0f, 4.0f};
    CHECK_REFUSED(diffquant_rotation_apply(rotation, x, 4), DIFFQUANT_STATUS_INVALID_HANDLE, "rotation", "a rotation");
    CHECK_FLOAT(x[3], 4.0f);
    diffquant_rotation_free(rotation);
}

TEST(a_handle_that_was_freed_is_refused_and_may_be_freed_again) {
    diffquant_config *config = default_config();
    diffquant_config_free(config);
    check_config_is_refused(config);
    diffquant_quantizer *quantizer = new_quantizer();
    diffquant_quantizer_free(quantizer);
    check_quantizer_is_refused(quantizer);
    diffquant_observer *observer = new_observer(DIFFQUANT_OBSERVER_KIND_HISTOGRAM);
    diffquant_observer_free(observer);
    check_observer_is_refused(observer);
    diffquant_rotation *rotation = new_rotation();
    diffquant_rotation_free(rotation);
    check_rotation_is_refused(rotation);
}

TEST(a_handle_of_another_type_is_refused_and_not_freed) {
    diffquant_config *config = default_config();
    diffquant_quantizer *quantizer = new_quantizer();
    void *a_config = config, *a_quantizer = quantizer;
    check_quantizer_is_refused(a_config);
    check_observer_is_refused(a_config);
    check_rotation_is_refused(a_config);
    check_config_is_refused(a_quantizer);
    check_observer_is_refused(a_quantizer);
    uint32_t bits = 0;
    CHECK_OK(diffquant_config_bits(config, &bits));
    CHECK_OK(diffquant_quantizer_bits(quantizer, &bits));
    diffquant_config_free(config);
    diffquant_quantizer_free(quantizer);
}

TEST(a_freed_handle_is_recognised_while_many_more_are_freed) {
    diffquant_quantizer *stale = new_quantizer();
    diffquant_quantizer_free(stale);
    for (int freed = 1; freed < RECOGNISED_FOR; freed++) {
        diffquant_quantizer *quantizer = new_quantizer();
        REQUIRE(quantizer != stale);
        diffquant_quantizer_free(quantizer);
    }
    check_quantizer_is_refused(stale);
}
