/* Statuses, messages and constants: the numbers of the ABI and the texts that explain them. */

#include "support.h"

struct constant {
    const char *name;
    uint32_t value, released;
};

#define CONSTANT(name, released) {#name, name, released}

static const struct constant statuses[] = {
    CONSTANT(DIFFQUANT_STATUS_OK, 0),
    CONSTANT(DIFFQUANT_STATUS_NULL_POINTER, 1),
    CONSTANT(DIFFQUANT_STATUS_INVALID_ARGUMENT, 2),
    CONSTANT(DIFFQUANT_STATUS_UNKNOWN_CONSTANT, 3),
    CONSTANT(DIFFQUANT_STATUS_LENGTH_MISMATCH, 4),
    CONSTANT(DIFFQUANT_STATUS_INDEX_OUT_OF_RANGE, 5),
    CONSTANT(DIFFQUANT_STATUS_OVERLAP, 6),
    CONSTANT(DIFFQUANT_STATUS_MISALIGNED, 7),
    CONSTANT(DIFFQUANT_STATUS_SIZE_OVERFLOW, 8),
    CONSTANT(DIFFQUANT_STATUS_NOT_APPLICABLE, 32),
    CONSTANT(DIFFQUANT_STATUS_INVALID_CONFIG, 33),
    CONSTANT(DIFFQUANT_STATUS_NO_SHAPE, 34),
    CONSTANT(DIFFQUANT_STATUS_NO_DATA, 35),
    CONSTANT(DIFFQUANT_STATUS_INCOMPATIBLE, 36),
    CONSTANT(DIFFQUANT_STATUS_INVALID_HANDLE, 37),
    CONSTANT(DIFFQUANT_STATUS_NON_FINITE, 64),
    CONSTANT(DIFFQUANT_STATUS_INVALID_JSON, 65),
    CONSTANT(DIFFQUANT_STATUS_INVALID_UTF8, 66),
    CONSTANT(DIFFQUANT_STATUS_BUFFER_TOO_SMALL, 96),
    CONSTANT(DIFFQUANT_STATUS_OUT_OF_MEMORY, 97),
    CONSTANT(DIFFQUANT_STATUS_UNSUPPORTED, 98),
    CONSTANT(DIFFQUANT_STATUS_INTERNAL, 99),
};

static const struct constant others[] = {
    CONSTANT(DIFFQUANT_PRESET_PIQ3, 0),
    CONSTANT(DIFFQUANT_PRESET_PIQ2, 1),
    CONSTANT(DIFFQUANT_GRANULARITY_PER_TENSOR, 0),
    CONSTANT(DIFFQUANT_GRANULARITY_PER_CHANNEL, 1),
    CONSTANT(DIFFQUANT_GRANULARITY_PER_TOKEN, 2),
    CONSTANT(DIFFQUANT_GRANULARITY_PER_BLOCK, 3),
    CONSTANT(DIFFQUANT_ISA_FASTEST, 0),
    CONSTANT(DIFFQUANT_ISA_BASELINE, 1),
    CONSTANT(DIFFQUANT_ISA_AVX2, 2),
    CONSTANT(DIFFQUANT_ISA_AVX512, 3),
    CONSTANT(DIFFQUANT_ISA_NEON, 4),
    CONSTANT(DIFFQUANT_STE_STANDARD, 0),
    CONSTANT(DIFFQUANT_STE_CLIPPED, 1),
    CONSTANT(DIFFQUANT_STE_LEARNED_STEP_SIZE, 2),
    CONSTANT(DIFFQUANT_STE_EWGS, 3),
    CONSTANT(DIFFQUANT_STE_RANGE_CLIPPED, 4),
    CONSTANT(DIFFQUANT_STE_LSQ, 5),
    CONSTANT(DIFFQUANT_STE_LSQ_PLUS, 6),
    CONSTANT(DIFFQUANT_STE_EWGS_SIGNED, 7),
    CONSTANT(DIFFQUANT_ROUNDING_HALF_AWAY, 0),
    CONSTANT(DIFFQUANT_ROUNDING_HALF_EVEN, 1),
    CONSTANT(DIFFQUANT_ROUNDING_STOCHASTIC, 2),
    CONSTANT(DIFFQUANT_NON_FINITE_ZERO, 0),
    CONSTANT(DIFFQUANT_NON_FINITE_PROPAGATE, 1),
    CONSTANT(DIFFQUANT_NON_FINITE_REJECT, 2),
    CONSTANT(DIFFQUANT_CODE_RANGE_FULL, 0),
    CONSTANT(DIFFQUANT_CODE_RANGE_NARROW, 1),
    CONSTANT(DIFFQUANT_CODE_RANGE_UNSIGNED, 2),
    CONSTANT(DIFFQUANT_SCALE_INIT_MAX_ABS, 0),
    CONSTANT(DIFFQUANT_SCALE_INIT_MIN_MAX, 1),
    CONSTANT(DIFFQUANT_SCALE_INIT_LSQ, 2),
    CONSTANT(DIFFQUANT_SCALE_INIT_PERCENTILE, 3),
    CONSTANT(DIFFQUANT_SCALE_INIT_MSE, 4),
    CONSTANT(DIFFQUANT_OBSERVER_KIND_MIN_MAX, 0),
    CONSTANT(DIFFQUANT_OBSERVER_KIND_MOVING_AVERAGE, 1),
    CONSTANT(DIFFQUANT_OBSERVER_KIND_HISTOGRAM, 2),
};

TEST(constants_keep_the_numbers_that_they_were_released_with) {
    for (size_t i = 0; i < COUNT(statuses); i++) {
        check_context("%s", statuses[i].name);
        CHECK_UINT(statuses[i].value, statuses[i].released);
    }
    for (size_t i = 0; i < COUNT(others); i++) {
        check_context("%s", others[i].name);
        CHECK_UINT(others[i].value, others[i].released);
    }
    /* Enumerations are 32-bit numbers on both sides. */
    CHECK_UINT(sizeof(diffquant_status), 4);
    CHECK_UINT(sizeof(diffquant_ste), 4);
    CHECK_UINT(sizeof(diffquant_rounding), 4);
    CHECK_UINT(sizeof(diffquant_non_finite), 4);
    CHECK_UINT(sizeof(diffquant_granularity), 4);
    CHECK_UINT(sizeof(diffquant_preset), 4);
    CHECK_UINT(sizeof(diffquant_isa), 4);
    CHECK_UINT(sizeof(diffquant_code_range), 4);
    CHECK_UINT(sizeof(diffquant_scale_init), 4);
    CHECK_UINT(sizeof(diffquant_observer_kind), 4);
}

TEST(every_status_has_the_name_of_its_constant) {
    for (size_t i = 0; i < COUNT(statuses); i++) {
        CHECK_TEXT(diffquant_status_name(statuses[i].value), statuses[i].name);
    }
}

TEST(a_number_that_is_no_status_is_named_unknown) {
    static const uint32_t unknown[] = {9, 31, 38, 63, 67, 95, 100, 256, 0x80000000u, UINT32_MAX};
    for (size_t i = 0; i < COUNT(unknown); i++) {
        check_context("%u", unknown[i]);
        CHECK_TEXT(diffquant_status_name(unknown[i]), "unknown status");
    }
}

TEST(the_version_as_text_as_a_number_and_in_the_header_agree) {
    unsigned major = 0, minor = 0, patch = 0;
    char rest = 'x';
    CHECK_INT(sscanf(diffquant_version_string(), "%u.%u.%u%c", &major, &minor, &patch, &rest), 3);
    CHECK_UINT(diffquant_version_number(), major << 16 | minor << 8 | patch);
    CHECK_UINT(DIFFQUANT_VERSION_MAJOR, major);
    CHECK_UINT(DIFFQUANT_VERSION_MINOR, minor);
    CHECK_UINT(DIFFQUANT_VERSION_PATCH, patch);
    CHECK(diffquant_version_number() > 0);
}

TEST(a_message_lasts_until_the_next_failure_of_its_thread) {
    diffquant_quantizer *quantizer = NULL;
    CHECK_REFUSED(diffquant_quantizer_new_pi(7, 2, &quantizer), DIFFQUANT_STATUS_INVALID_ARGUMENT, "bits", "7");
    const char *message = diffquant_last_error_message();
    char copy[512];
    snprintf(copy, sizeof copy, "%s", message);

    /* Successes in between, also of functions that have no status. */
    REQUIRE(diffquant_quantizer_new_pi(2, 2, &quantizer) == DIFFQUANT_STATUS_OK);
    diffquant_quantizer_free(quantizer);
    diffquant_quantizer_free(NULL);
    diffquant_config_free(NULL);
    diffquant_status_name(DIFFQUANT_STATUS_INTERNAL);
    CHECK(diffquant_last_error_message() == message);
    CHECK_TEXT(diffquant_last_error_message(), copy);

    CHECK(diffquant_quantizer_new_pi(2, 9, &quantizer) == DIFFQUANT_STATUS_INVALID_ARGUMENT);
    CHECK(strcmp(diffquant_last_error_message(), copy) != 0);
}

/* Whether the text is UTF-8: every lead byte is followed by as many continuation bytes as it announces. */
static bool is_utf8(const char *text) {
    const unsigned char *at = (const unsigned char *)text;
    while (*at != 0) {
        const int following = *at < 0x80 ? 0 : (*at & 0xE0) == 0xC0 ? 1 : (*at & 0xF0) == 0xE0 ? 2 : 3;
        if (following > 0 && *at < 0xC0) {
            return false;
        }
        at++;
        for (int i = 0; i < following; i++, at++) {
            if ((*at & 0xC0) != 0x80) {
                return false;
            }
        }
    }
    return true;
}

TEST(a_message_that_quotes_hostile_text_is_still_utf8) {
    /* An unknown variant is quoted in the message. However long it is, wherever the message is cut, no character is
     * halved: the lengths walk the cut through a two-byte character. */
    for (size_t characters = 1; characters < 700; characters += characters < 200 ? 50 : 1) {
        char json[2048] = "{\"bits\":4,\"granularity\":\"";
        const size_t start = strlen(json);
        for (size_t i = 0; i < characters; i++) {
            memcpy(json + start + 2 * i, "\xC3\xA9", 2);
        }
        strcpy(json + start + 2 * characters, "\"}");
        diffquant_config *config = NULL;
        check_context("%zu characters", characters);
        CHECK(diffquant_config_from_json(json, strlen(json), &config) == DIFFQUANT_STATUS_INVALID_JSON);
        CHECK(is_utf8(diffquant_last_error_message()));
        CHECK(strstr(diffquant_last_error_message(), "\xC3\xA9") != NULL);
    }
}

TEST(a_message_that_quotes_a_nul_does_not_end_there) {
    static const char json[] = "{\"bits\":4,\"granularity\":\"Per\\u0000Chance\"}";
    diffquant_config *config = NULL;
    CHECK_REFUSED(diffquant_config_from_json(json, sizeof json - 1, &config), DIFFQUANT_STATUS_INVALID_JSON, "Per",
                  "Chance");
}
