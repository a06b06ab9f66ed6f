/* A quantizer's state as JSON: the exact text, the way back to the bit, and what is refused. */

#include "granular.h"

enum { LARGEST = 1 << 16 };

static char json[LARGEST];

static size_t state_text(const diffquant_quantizer *quantizer) {
    size_t length = 0;
    REQUIRE_OK(diffquant_quantizer_to_json(quantizer, json, sizeof json, &length));
    CHECK_UINT(strlen(json), length);
    return length;
}

static diffquant_quantizer *restored(void) {
    diffquant_quantizer *quantizer = NULL;
    REQUIRE_OK(diffquant_quantizer_from_json(json, strlen(json), &quantizer));
    return quantizer;
}

static diffquant_quantizer *new_quantizer(void) {
    diffquant_quantizer *quantizer = NULL;
    REQUIRE_OK(diffquant_quantizer_new_uniform(4, DIFFQUANT_STE_STANDARD, 0.0f, &quantizer));
    REQUIRE_OK(diffquant_quantizer_set_scale(quantizer, 0, 0.5f));
    return quantizer;
}

/* Forward, backward and back again give the same bits. */
static void check_same_work(const diffquant_quantizer *one, const diffquant_quantizer *other, size_t n) {
    static float w[MOST_ELEMENTS], g[MOST_ELEMENTS], values[2][MOST_ELEMENTS], grad_w[2][MOST_ELEMENTS];
    static float grad_scale[2][MOST_SCALES];
    static int8_t codes[2][MOST_ELEMENTS];
    const diffquant_quantizer *both[2] = {one, other};
    size_t scales = 0;
    fill_weights(w, n, 8, true);
    fill_weights(g, n, 9, false);
    REQUIRE_OK(diffquant_quantizer_scale_count(one, &scales));
    for (size_t i = 0; i < 2; i++) {
        REQUIRE_OK(diffquant_quantizer_forward(both[i], w, n, codes[i], values[i]));
        REQUIRE_OK(diffquant_quantizer_backward_scale(both[i], w, g, n, grad_w[i], grad_scale[i]));
    }
    CHECK_CODES(codes[1], codes[0], n);
    CHECK_FLOATS(values[1], values[0], n);
    CHECK_FLOATS(grad_w[1], grad_w[0], n);
    CHECK_FLOATS(grad_scale[1], grad_scale[0], scales);
}

#define NEW_STATE                                                                                                      \
    "{\"format\":\"diffquant.quantizer\",\"version\":\"1.1\",\"bits\":4,\"pi_k\":null,\"code_range\":\"Full\","        \
    "\"symmetric\":true,\"rounding\":\"HalfAway\",\"ste_variant\":\"Standard\",\"granularity\":\"PerTensor\","         \
    "\"channels\":null,\"shape\":null,\"axis\":null,\"use_incoherence\":false,\"rotation_seed\":0,"                    \
    "\"seed\":0,\"first_element\":0,\"non_finite\":\"Zero\","                                                            \
    "\"scales\":[0.5],\"zero_points\":null,\"offsets\":null}"

TEST(the_text_of_a_state_is_the_documented_one) {
    diffquant_quantizer *quantizer = new_quantizer();
    state_text(quantizer);
    CHECK_TEXT(json, NEW_STATE);
    const float scales[] = {0.1f, 1e-45f}, offsets[] = {0.0f, -0.0f};
    const int32_t zero_points[] = {-2, 7};
    diffquant_quantizer_free(quantizer);
    REQUIRE_OK(diffquant_quantizer_new_uniform(4, DIFFQUANT_STE_EWGS_SIGNED, 0.1f, &quantizer));
    REQUIRE_OK(diffquant_quantizer_init_per_channel(quantizer, 2));
    REQUIRE_OK(diffquant_quantizer_set_scales(quantizer, scales, 2));
    REQUIRE_OK(diffquant_quantizer_set_code_range(quantizer, DIFFQUANT_CODE_RANGE_UNSIGNED));
    REQUIRE_OK(diffquant_quantizer_set_symmetric(quantizer, 0));
    REQUIRE_OK(diffquant_quantizer_set_zero_points(quantizer, zero_points, 2));
    REQUIRE_OK(diffquant_quantizer_set_offsets(quantizer, offsets, 2));
    REQUIRE_OK(diffquant_quantizer_set_rounding(quantizer, DIFFQUANT_ROUNDING_STOCHASTIC));
    REQUIRE_OK(diffquant_quantizer_set_seed(quantizer, UINT64_MAX, (1ull << 53) + 1));
    REQUIRE_OK(diffquant_quantizer_set_non_finite(quantizer, DIFFQUANT_NON_FINITE_PROPAGATE));
    REQUIRE_OK(diffquant_quantizer_set_incoherence(quantizer, 1));
    REQUIRE_OK(diffquant_quantizer_set_rotation_seed(quantizer, UINT64_MAX));
    state_text(quantizer);
    CHECK_TEXT(json,
               "{\"format\":\"diffquant.quantizer\",\"version\":\"1.1\",\"bits\":4,\"pi_k\":null,"
               "\"code_range\":\"Unsigned\",\"symmetric\":false,\"rounding\":\"Stochastic\","
               "\"ste_variant\":{\"EwgsSigned\":{\"delta\":0.1}},\"granularity\":\"PerChannel\",\"channels\":2,"
               "\"shape\":null,\"axis\":null,\"use_incoherence\":true,\"rotation_seed\":18446744073709551615,"
               "\"seed\":18446744073709551615,\"first_element\":9007199254740993,\"non_finite\":\"Propagate\","
               "\"scales\":[0.1,1e-45],\"zero_points\":[-2,7],\"offsets\":[0.0,-0.0]}");
    diffquant_quantizer *same = restored();
    const struct quantizer_state before = state_of(quantizer);
    CHECK_STATE(same, &before);
    diffquant_quantizer_free(quantizer);
    diffquant_quantizer_free(same);
}

TEST(every_granularity_comes_back_and_does_the_same_to_the_bit) {
    for (size_t i = 0; i < 2 * granular_case_count; i++) {
        const struct granular_case *one = &granular_cases[i / 2];
        const uint32_t incoherence = i % 2;
        diffquant_quantizer *quantizer = granular_quantizer(one, 4);
        check_context("%s, incoherence %u", one->name, incoherence);
        REQUIRE_OK(diffquant_quantizer_set_ste(quantizer, DIFFQUANT_STE_LSQ, 0.0f));
        REQUIRE_OK(diffquant_quantizer_set_incoherence(quantizer, incoherence));
        REQUIRE_OK(diffquant_quantizer_set_rotation_seed(quantizer, i));
        state_text(quantizer);
        diffquant_quantizer *same = restored();
        const struct quantizer_state before = state_of(quantizer);
        CHECK_STATE(same, &before);
        check_same_work(quantizer, same, granular_elements(one));
        diffquant_quantizer_free(quantizer);
        diffquant_quantizer_free(same);
    }
    /* Pi; and what has no shape yet. */
    diffquant_quantizer *pi = NULL;
    REQUIRE_OK(diffquant_quantizer_new_pi(3, 5, &pi));
    REQUIRE_OK(diffquant_quantizer_set_scale(pi, 0, 0.1f));
    for (uint32_t granularity = DIFFQUANT_GRANULARITY_PER_TENSOR; granularity <= DIFFQUANT_GRANULARITY_PER_BLOCK;
         granularity++) {
        check_context("pi, granularity %u", granularity);
        state_text(pi);
        diffquant_quantizer *same = restored();
        const struct quantizer_state before = state_of(pi);
        CHECK_STATE(same, &before);
        diffquant_quantizer_free(same);
        REQUIRE_OK(diffquant_quantizer_set_granularity(pi, granularity, 7));
    }
    diffquant_quantizer_free(pi);
}

TEST(any_scale_and_any_offset_comes_back_to_the_bit) {
    enum { MANY = 300 };
    float scales[MANY] = {1e-45f, 1.17549435e-38f, 3.40282347e+38f, 0.1f, 16777216.0f, 1.17549421e-38f, 33554434.0f};
    float offsets[MANY] = {-0.0f, 1e-45f, -3.40282347e+38f};
    diffquant_quantizer *quantizer = uniform_quantizer(4, 1.0f);
    REQUIRE_OK(diffquant_quantizer_init_per_channel(quantizer, MANY));
    uint32_t bits = 12345;
    for (size_t round = 0; round < 20; round++) {
        for (size_t i = 7; i < MANY; i++) {
            do {
                bits = bits * 1664525u + 1013904223u;
                const uint32_t positive = bits & 0x7FFFFFFFu;
                memcpy(&scales[i], &positive, sizeof positive);
                memcpy(&offsets[i], &bits, sizeof bits);
            } while (!isfinite(offsets[i]) || scales[i] == 0.0f);
        }
        check_context("round %zu", round);
        REQUIRE_OK(diffquant_quantizer_set_scales(quantizer, scales, MANY));
        REQUIRE_OK(diffquant_quantizer_set_offsets(quantizer, offsets, MANY));
        state_text(quantizer);
        diffquant_quantizer *same = restored();
        const struct quantizer_state before = state_of(quantizer);
        CHECK_STATE(same, &before);
        diffquant_quantizer_free(same);
    }
    diffquant_quantizer_free(quantizer);
}

TEST(a_zero_point_or_an_offset_of_one_group_alone_comes_back) {
    for (size_t i = 0; i < 6; i++) {
        int32_t zero_points[3] = {0};
        float offsets[3] = {0.0f};
        if (i < 3) {
            zero_points[i] = 1;
        } else {
            offsets[i - 3] = 1e-45f;
        }
        diffquant_quantizer *quantizer = uniform_quantizer(4, 1.0f);
        check_context("case %zu", i);
        REQUIRE_OK(diffquant_quantizer_init_per_channel(quantizer, 3));
        REQUIRE_OK(diffquant_quantizer_set_symmetric(quantizer, 0));
        REQUIRE_OK(diffquant_quantizer_set_zero_points(quantizer, zero_points, 3));
        REQUIRE_OK(diffquant_quantizer_set_offsets(quantizer, offsets, 3));
        state_text(quantizer);
        diffquant_quantizer *same = restored();
        const struct quantizer_state before = state_of(quantizer);
        CHECK_STATE(same, &before);
        diffquant_quantizer_free(quantizer);
        diffquant_quantizer_free(same);
    }
}

TEST(threads_are_no_part_of_a_state) {
    diffquant_quantizer *quantizer = new_quantizer();
    REQUIRE_OK(diffquant_quantizer_set_threads(quantizer, 7));
    state_text(quantizer);
    CHECK_TEXT(json, NEW_STATE);
    diffquant_quantizer_free(quantizer);
}

TEST(a_buffer_for_a_state_needs_room_for_the_nul) {
    diffquant_quantizer *quantizer = new_quantizer();
    const size_t length = strlen(NEW_STATE);
    const size_t caps[] = {0, 1, length - 1, length, length + 1, length + 9};
    for (size_t i = 0; i < COUNT(caps); i++) {
        struct guarded buffer = guarded_new(caps[i]);
        size_t told = 99;
        check_context("cap %zu of %zu", caps[i], length);
        if (caps[i] <= length) {
            CHECK_REFUSED(diffquant_quantizer_to_json(quantizer, buffer.data, caps[i], &told),
                          DIFFQUANT_STATUS_BUFFER_TOO_SMALL, decimal(caps[i]).text, decimal(length + 1).text);
            CHECK_UNTOUCHED(&buffer);
        } else {
            CHECK_OK(diffquant_quantizer_to_json(quantizer, buffer.data, caps[i], &told));
            CHECK_TEXT((const char *)buffer.data, NEW_STATE);
            CHECK(still_untouched((char *)buffer.data + length + 1, caps[i] - length - 1));
            CHECK_GUARDS(&buffer);
        }
        CHECK_UINT(told, length);
        guarded_free(&buffer);
    }
    size_t told = 99;
    CHECK_REFUSED(diffquant_quantizer_to_json(quantizer, NULL, 0, &told), DIFFQUANT_STATUS_BUFFER_TOO_SMALL, "0");
    CHECK_UINT(told, length);
    union {
        size_t length;
        char text[LARGEST];
    } shared = {.length = 99};
    CHECK_REFUSED(diffquant_quantizer_to_json(NULL, json, sizeof json, &told), DIFFQUANT_STATUS_NULL_POINTER,
                  "quantizer");
    CHECK_REFUSED(diffquant_quantizer_to_json(quantizer, NULL, 9, &told), DIFFQUANT_STATUS_NULL_POINTER, "buf");
    CHECK_REFUSED(diffquant_quantizer_to_json(quantizer, json, sizeof json, NULL), DIFFQUANT_STATUS_NULL_POINTER, "len");
    CHECK_REFUSED(diffquant_quantizer_to_json(quantizer, shared.text, sizeof shared.text, &shared.length),
                  DIFFQUANT_STATUS_OVERLAP, "buf", "len");
    CHECK_REFUSED(diffquant_quantizer_to_json(quantizer, json, SIZE_MAX, &told), DIFFQUANT_STATUS_SIZE_OVERFLOW, "buf");
    CHECK_UINT(shared.length, 99);
    diffquant_quantizer_free(quantizer);
}

/* The new state with one piece replaced. */
static void replace(const char *piece, const char *by) {
    const char *at = strstr(NEW_STATE, piece);
    REQUIRE(at != NULL);
    const size_t start = (size_t)(at - NEW_STATE);
    REQUIRE(strlen(NEW_STATE) + strlen(by) < sizeof json);
    memcpy(json, NEW_STATE, start);
    strcpy(json + start, by);
    strcat(json, at + strlen(piece));
}

TEST(other_versions_are_read_where_the_major_number_is_the_same) {
    static const struct {
        const char *piece, *by;
    } read[] = {
        {"1.1", "1.7"},
        {"1.1", "1.4294967295"},
        {"\"version\"", "\"of_a_later_version\":[{}, {\"a\": null}],\"version\""},
        {"\"use_incoherence\":false,\"rotation_seed\":0,", ""},
        {"\"seed\":0,\"first_element\":0,\"non_finite\":\"Zero\",", ""},
        {"\"channels\":null,\"shape\":null,\"axis\":null,", ""},
        {",\"zero_points\":null,\"offsets\":null", ""},
        {"\"pi_k\":null,", " \n\t"},
        {"\"shape\":null", "\"shape\":[3,5]"},
        {"[0.5]", "[ 5e-1 ]"},
    };
    for (size_t i = 0; i < COUNT(read); i++) {
        replace(read[i].piece, read[i].by);
        check_context("%s", json);
        diffquant_quantizer *quantizer = restored();
        CHECK_FLOAT(state_of(quantizer).scales[0], 0.5f);
        CHECK_UINT(state_of(quantizer).bits, 4);
        diffquant_quantizer_free(quantizer);
    }
}

TEST(what_is_no_state_is_refused_by_name) {
    static const struct {
        const char *piece, *by;
        diffquant_status status;
        const char *word;
    } refused[] = {
        {"1.1", "2.0", DIFFQUANT_STATUS_UNSUPPORTED, "2.0"},
        {"1.1", "0.9", DIFFQUANT_STATUS_UNSUPPORTED, "0.9"},
        {"1.1", "1", DIFFQUANT_STATUS_INVALID_JSON, "version"},
        {"1.1", "1.x", DIFFQUANT_STATUS_INVALID_JSON, "version"},
        {"1.1", "", DIFFQUANT_STATUS_INVALID_JSON, "version"},
        {"\"1.1\"", "1", DIFFQUANT_STATUS_INVALID_JSON, "string"},
        {"diffquant.quantizer", "diffquant.observer", DIFFQUANT_STATUS_INVALID_JSON, "format"},
        {"\"format\"", "\"other\"", DIFFQUANT_STATUS_INVALID_JSON, "format"},
        {"\"bits\":4,", "", DIFFQUANT_STATUS_INVALID_JSON, "bits"},
        {"\"bits\":4,", "\"bits\":4,\"bits\":4,", DIFFQUANT_STATUS_INVALID_JSON, "bits"},
        {"\"bits\":4", "\"bits\":9", DIFFQUANT_STATUS_INVALID_ARGUMENT, "bits"},
        {"\"bits\":4", "\"bits\":-4", DIFFQUANT_STATUS_INVALID_JSON, "4"},
        {"\"pi_k\":null", "\"pi_k\":6", DIFFQUANT_STATUS_INVALID_ARGUMENT, "k"},
        {"\"HalfAway\"", "\"Sideways\"", DIFFQUANT_STATUS_INVALID_JSON, "Sideways"},
        {"\"Zero\"", "\"Nothing\"", DIFFQUANT_STATUS_INVALID_JSON, "Nothing"},
        {"\"first_element\":0", "\"first_element\":18446744073709551616", DIFFQUANT_STATUS_INVALID_JSON, "u64"},
        {"\"Full\"", "\"Half\"", DIFFQUANT_STATUS_INVALID_JSON, "Half"},
        {"\"Standard\"", "{\"Clipped\":{\"clip_val\":-1.0}}", DIFFQUANT_STATUS_INVALID_ARGUMENT, "clip_val"},
        {"\"PerTensor\"", "{\"PerBlock\":{\"block_size\":0}}", DIFFQUANT_STATUS_INVALID_ARGUMENT, "block_size"},
        {"\"PerTensor\"", "\"PerToken\"", DIFFQUANT_STATUS_LENGTH_MISMATCH, "scales"},
        {"\"channels\":null", "\"channels\":2", DIFFQUANT_STATUS_INVALID_JSON, "channels"},
        {"\"PerTensor\",\"channels\":null", "\"PerChannel\",\"channels\":2", DIFFQUANT_STATUS_LENGTH_MISMATCH, "2"},
        {"\"PerTensor\",\"channels\":null", "\"PerChannel\",\"channels\":0", DIFFQUANT_STATUS_INVALID_ARGUMENT,
         "channels"},
        {"\"PerTensor\",\"channels\":null", "\"PerChannel\",\"channels\":18446744073709551615",
         DIFFQUANT_STATUS_LENGTH_MISMATCH, "scales"},
        {"\"shape\":null", "\"shape\":[3,0]", DIFFQUANT_STATUS_INVALID_ARGUMENT, "shape"},
        {"\"shape\":null", "\"shape\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", DIFFQUANT_STATUS_INVALID_ARGUMENT, "17"},
        {"\"shape\":null", "\"shape\":[4611686018427387904,16]", DIFFQUANT_STATUS_SIZE_OVERFLOW, "shape"},
        {"\"shape\":null", "\"shape\":[3,-1]", DIFFQUANT_STATUS_INVALID_JSON, "number"},
        {"\"PerTensor\",\"channels\":null,\"shape\":null,\"axis\":null",
         "\"PerChannel\",\"shape\":[1,3],\"axis\":2", DIFFQUANT_STATUS_INDEX_OUT_OF_RANGE, "axis"},
        {"[0.5]", "[]", DIFFQUANT_STATUS_LENGTH_MISMATCH, "scales"},
        {"[0.5]", "[0.5,0.5]", DIFFQUANT_STATUS_LENGTH_MISMATCH, "scales"},
        {"[0.5]", "[-0.5]", DIFFQUANT_STATUS_INVALID_ARGUMENT, "scales"},
        {"[0.5]", "[0]", DIFFQUANT_STATUS_INVALID_ARGUMENT, "scales"},
        {"[0.5]", "[1e-50]", DIFFQUANT_STATUS_INVALID_ARGUMENT, "scales"},
        {"[0.5]", "[NaN]", DIFFQUANT_STATUS_INVALID_JSON, "JSON"},
        {"[0.5]", "[null]", DIFFQUANT_STATUS_INVALID_JSON, "number"},
        {"[0.5]", "[1e39]", DIFFQUANT_STATUS_INVALID_ARGUMENT, "scales"},
        {"[0.5]", "[\"0.5\"]", DIFFQUANT_STATUS_INVALID_JSON, "number"},
        {"[0.5]", "0.5", DIFFQUANT_STATUS_INVALID_JSON, "array"},
        {"\"scales\":[0.5],", "", DIFFQUANT_STATUS_INVALID_JSON, "scales"},
        {"\"zero_points\":null", "\"zero_points\":[0]", DIFFQUANT_STATUS_NOT_APPLICABLE, "symmetric"},
        {"\"offsets\":null", "\"offsets\":[0.0,1.0]", DIFFQUANT_STATUS_LENGTH_MISMATCH, "offsets"},
        {"\"offsets\":null", "\"offsets\":[1e400]", DIFFQUANT_STATUS_INVALID_ARGUMENT, "offsets"},
        {"\"rotation_seed\":0", "\"rotation_seed\":-1", DIFFQUANT_STATUS_INVALID_JSON, "1"},
        {"null}", "null} ]", DIFFQUANT_STATUS_INVALID_JSON, "characters"},
    };
    for (size_t i = 0; i < COUNT(refused); i++) {
        diffquant_quantizer *made = no_quantizer();
        replace(refused[i].piece, refused[i].by);
        check_context("%s", json);
        CHECK_REFUSED(diffquant_quantizer_from_json(json, strlen(json), &made), refused[i].status, refused[i].word);
        CHECK(made == no_quantizer());
    }
    replace("\"symmetric\":true", "\"symmetric\":false");
    char *null = strstr(json, "\"zero_points\":null");
    REQUIRE(null != NULL);
    strcpy(null, "\"zero_points\":[8]}");
    diffquant_quantizer *made = no_quantizer();
    CHECK_REFUSED(diffquant_quantizer_from_json(json, strlen(json), &made), DIFFQUANT_STATUS_INVALID_ARGUMENT,
                  "zero_points", "8");
    CHECK(made == no_quantizer());
}

TEST(a_state_cut_short_is_refused_wherever_it_is_cut) {
    diffquant_quantizer *made = no_quantizer();
    for (size_t length = 0; length < strlen(NEW_STATE); length++) {
        check_context("%zu bytes", length);
        CHECK_REFUSED(diffquant_quantizer_from_json(NEW_STATE, length, &made), DIFFQUANT_STATUS_INVALID_JSON, "JSON");
    }
    static const char bad[] = "{\"format\":\"\xff\"}";
    CHECK_REFUSED(diffquant_quantizer_from_json(bad, sizeof bad - 1, &made), DIFFQUANT_STATUS_INVALID_UTF8, "11");
    CHECK_REFUSED(diffquant_quantizer_from_json(NULL, 4, &made), DIFFQUANT_STATUS_NULL_POINTER, "json");
    CHECK_REFUSED(diffquant_quantizer_from_json(NEW_STATE, strlen(NEW_STATE), NULL), DIFFQUANT_STATUS_NULL_POINTER,
                  "out");
    CHECK_REFUSED(diffquant_quantizer_from_json(NEW_STATE, SIZE_MAX, &made), DIFFQUANT_STATUS_SIZE_OVERFLOW, "json");
    CHECK_REFUSED(diffquant_quantizer_from_json(NEW_STATE, ((size_t)1 << 28) + 1, &made), DIFFQUANT_STATUS_INVALID_JSON,
                  "268435457");
    CHECK(made == no_quantizer());
}
