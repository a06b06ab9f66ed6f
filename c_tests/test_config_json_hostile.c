/* JSON from hands that are clumsy or hostile: refused with a reason, in no time, and nothing is made. */

#include "support.h"

/* A configuration on one line, and where its last brace is. */
static const char sound[] =
    "{\"bits\":4,\"ste_variant\":\"Standard\",\"granularity\":\"PerChannel\",\"loss_weights\":{\"lambda_task\":1.0,"
    "\"lambda_kd\":0.5,\"lambda_reasoning\":0.2,\"kd_temperature\":3.0},\"epochs\":3,\"learning_rate\":0.0001,"
    "\"pi_k\":null,\"use_incoherence\":false,\"symmetric\":true,\"warmup_epochs\":1,\"grad_clip\":1.0,"
    "\"weight_decay\":0.01,\"use_distillation\":true,\"freeze_teacher\":true}";

static const size_t sound_length = sizeof sound - 1;

/* The sound text with one part of it replaced. */
struct edited {
    char text[1024];
};

static struct edited edit(const char *part, const char *replacement) {
    struct edited result;
    const char *at = strstr(sound, part);
    REQUIRE(at != NULL);
    snprintf(result.text, sizeof result.text, "%.*s%s%s", (int)(at - sound), sound, replacement, at + strlen(part));
    return result;
}

#define CHECK_JSON_REFUSED(text, length, status, ...)                                                                  \
    do {                                                                                                               \
        diffquant_config *made = no_config();                                                                          \
        CHECK_REFUSED(diffquant_config_from_json((text), (length), &made), (status), __VA_ARGS__);                     \
        CHECK(made == no_config());                                                                                    \
    } while (0)

static void check_accepted(const char *text, size_t length) {
    diffquant_config *config = NULL;
    REQUIRE_OK(diffquant_config_from_json(text, length, &config));
    diffquant_config_free(config);
}

TEST(json_that_ends_anywhere_before_its_end_is_refused) {
    check_accepted(sound, sound_length);
    for (size_t length = 0; length < sound_length; length++) {
        check_context("%zu of %zu bytes", length, sound_length);
        CHECK_JSON_REFUSED(sound, length, DIFFQUANT_STATUS_INVALID_JSON, "JSON");
    }
}

TEST(text_behind_the_object_is_refused) {
    static const char *const tails[] = {"x", "}", "{}", ",", " null", "\n0"};
    for (size_t i = 0; i < COUNT(tails); i++) {
        struct edited json;
        snprintf(json.text, sizeof json.text, "%s%s", sound, tails[i]);
        check_context("%s", tails[i]);
        CHECK_JSON_REFUSED(json.text, strlen(json.text), DIFFQUANT_STATUS_INVALID_JSON, "JSON");
    }
}

TEST(what_is_no_configuration_is_refused) {
    static const char *const texts[] = {"",           " ",     "null",    "true", "4",           "\"bits\"",
                                        "[]",         "{}",    "[1,2,3]", "nul",  "{]",          "{'bits':4}",
                                        "{\"bits\"}", "// {}", "NaN",     "\\",   "\"\\uD800\"", "\xEF\xBB\xBF{}"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        check_context("%s", texts[i]);
        CHECK_JSON_REFUSED(texts[i], strlen(texts[i]), DIFFQUANT_STATUS_INVALID_JSON, "JSON");
    }
}

TEST(a_value_of_the_wrong_type_or_size_is_refused) {
    static const struct {
        const char *part, *replacement;
    } cases[] = {
        {"\"bits\":4", "\"bits\":256"},
        {"\"bits\":4", "\"bits\":300"},
        {"\"bits\":4", "\"bits\":-4"},
        {"\"bits\":4", "\"bits\":4.0"},
        {"\"bits\":4", "\"bits\":\"4\""},
        {"\"bits\":4", "\"bits\":null"},
        {"\"bits\":4", "\"bits\":[4]"},
        {"\"bits\":4", "\"bits\":99999999999999999999999999"},
        {"\"pi_k\":null", "\"pi_k\":4294967296"},
        {"\"pi_k\":null", "\"pi_k\":-1"},
        {"\"epochs\":3", "\"epochs\":-3"},
        {"\"epochs\":3", "\"epochs\":1e3"},
        {"\"epochs\":3", "\"epochs\":18446744073709551616"},
        {"\"learning_rate\":0.0001", "\"learning_rate\":NaN"},
        {"\"learning_rate\":0.0001", "\"learning_rate\":Infinity"},
        {"\"learning_rate\":0.0001", "\"learning_rate\":1e400"},
        {"\"learning_rate\":0.0001", "\"learning_rate\":.1"},
        {"\"learning_rate\":0.0001", "\"learning_rate\":0x1"},
        {"\"symmetric\":true", "\"symmetric\":1"},
        {"\"symmetric\":true", "\"symmetric\":\"true\""},
        {"\"Standard\"", "\"standard\""},
        {"\"Standard\"", "\"Clipped\""},
        {"\"Standard\"", "{\"Clipped\":{}}"},
        {"\"Standard\"", "{\"Clipped\":{\"clip_val\":1},\"Ewgs\":{\"lambda\":1}}"},
        {"\"PerChannel\"", "\"PerBlock\""},
        {"\"PerChannel\"", "{\"PerBlock\":{\"block_size\":-1}}"},
        {"\"PerChannel\"", "\"PerMoon\""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct edited json = edit(cases[i].part, cases[i].replacement);
        check_context("%s", cases[i].replacement);
        CHECK_JSON_REFUSED(json.text, strlen(json.text), DIFFQUANT_STATUS_INVALID_JSON, "JSON");
    }
}

TEST(a_field_that_is_given_twice_is_refused_by_name) {
    static const struct {
        const char *part, *replacement, *name;
    } cases[] = {
        {"\"bits\":4", "\"bits\":4,\"bits\":4", "bits"},
        {"\"bits\":4", "\"bits\":4,\"\\u0062its\":5", "bits"},
        {"\"pi_k\":null", "\"pi_k\":null,\"pi_k\":4", "pi_k"},
        {"\"lambda_kd\":0.5", "\"lambda_kd\":0.5,\"lambda_kd\":0.5", "lambda_kd"},
        {"\"freeze_teacher\":true", "\"freeze_teacher\":true,\"symmetric\":true", "symmetric"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct edited json = edit(cases[i].part, cases[i].replacement);
        check_context("%s", cases[i].replacement);
        CHECK_JSON_REFUSED(json.text, strlen(json.text), DIFFQUANT_STATUS_INVALID_JSON, cases[i].name);
    }
}

TEST(a_nul_inside_the_text_is_refused_wherever_it_is) {
    char json[sizeof sound];
    for (size_t at = 0; at < sound_length; at++) {
        memcpy(json, sound, sizeof sound);
        json[at] = '\0';
        check_context("NUL at %zu", at);
        CHECK_JSON_REFUSED(json, sound_length, DIFFQUANT_STATUS_INVALID_JSON, "JSON");
    }
    /* The terminator of a C string is not part of its text. */
    CHECK_JSON_REFUSED(sound, sizeof sound, DIFFQUANT_STATUS_INVALID_JSON, "JSON");
}

TEST(text_that_is_not_utf8_is_refused_with_the_first_bad_byte) {
    static const struct {
        const char *bytes;
        size_t valid; /* of them, before the first bad one */
    } cases[] = {
        {"\xFF", 0},             /* no lead byte */
        {"\x80", 0},             /* a continuation alone */
        {"\xC0\xAF", 0},         /* overlong */
        {"\xED\xA0\x80", 0},     /* a surrogate */
        {"\xF4\x90\x80\x80", 0}, /* past the last code point */
        {"\xC3\xA9\xE2\x82", 2}, /* an e with an accent, then a euro sign cut short */
        {"caf\xE9", 3},          /* Latin-1 */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        /* In an unknown field, which nothing else would look at. */
        struct edited json;
        const int before = snprintf(json.text, sizeof json.text, "{\"note\":\"");
        snprintf(json.text + before, sizeof json.text - (size_t)before, "%s\",%s", cases[i].bytes, sound + 1);
        check_context("case %zu", i);
        CHECK_JSON_REFUSED(json.text, strlen(json.text), DIFFQUANT_STATUS_INVALID_UTF8, "UTF-8",
                           decimal((size_t)before + cases[i].valid).text);
    }
    /* At the very end of the text, where a sequence is cut by its length. */
    CHECK_JSON_REFUSED("\"\xC3\xA9\"", 2, DIFFQUANT_STATUS_INVALID_UTF8, "UTF-8", "1");
}

TEST(nesting_of_any_depth_is_refused_without_running_out_of_stack) {
    enum { DEPTH = 100000 };
    static const char *const openings[] = {"", "{\"zzz\":", "{\"bits\":", "{\"ste_variant\":", "{\"loss_weights\":"};
    static const char *const units[] = {"[", "{\"a\":", "[[{\"\":"};
    for (size_t i = 0; i < COUNT(openings) * COUNT(units); i++) {
        const char *opening = openings[i / COUNT(units)], *unit = units[i % COUNT(units)];
        const size_t length = strlen(opening) + DEPTH * strlen(unit);
        char *json = malloc(length + 1);
        REQUIRE(json != NULL);
        strcpy(json, opening);
        for (size_t j = 0, at = strlen(opening); j < DEPTH; j++, at += strlen(unit)) {
            memcpy(json + at, unit, strlen(unit));
        }
        check_context("%s%s...", opening, unit);
        CHECK_JSON_REFUSED(json, length, DIFFQUANT_STATUS_INVALID_JSON, "JSON");
        free(json);
    }
}

/* The sound text with white space behind it, `length` bytes in all. */
static char *padded(size_t length) {
    char *json = malloc(length);
    REQUIRE(json != NULL);
    memset(json, ' ', length);
    memcpy(json, sound, sound_length);
    return json;
}

TEST(one_mebibyte_is_read_and_one_byte_more_is_refused) {
    const size_t limit = (size_t)1 << 20;
    char *json = padded(limit + 1);
    check_accepted(json, limit);
    CHECK_JSON_REFUSED(json, limit + 1, DIFFQUANT_STATUS_INVALID_JSON, "1048577", "1048576");
    free(json);
}

TEST(a_hundred_megabytes_are_refused_by_their_length) {
    const size_t length = 100 * 1000 * 1000;
    char *json = padded(length);
    CHECK_JSON_REFUSED(json, length, DIFFQUANT_STATUS_INVALID_JSON, "100000000", "1048576");
    /* Not UTF-8 either; but nobody looks. */
    json[0] = '\xFF';
    CHECK_JSON_REFUSED(json, length, DIFFQUANT_STATUS_INVALID_JSON, "100000000");
    free(json);
}

TEST(a_length_that_cannot_be_is_refused_unread) {
    CHECK_JSON_REFUSED(sound, SIZE_MAX, DIFFQUANT_STATUS_SIZE_OVERFLOW, "json", decimal(SIZE_MAX).text);
    CHECK_JSON_REFUSED(sound, SIZE_MAX / 2 + 1, DIFFQUANT_STATUS_SIZE_OVERFLOW, "json", decimal(SIZE_MAX / 2 + 1).text);
    CHECK_JSON_REFUSED(sound, SIZE_MAX / 4, DIFFQUANT_STATUS_INVALID_JSON, decimal(SIZE_MAX / 4).text);
}
