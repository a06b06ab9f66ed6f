/* Observers as JSON: the text, the way back to the bit, and texts that no observer has written. */

#include "support.h"

#include <float.h>

/* The text of an observer, piece by piece. */
#define JSON(version, kind, channels, groups)                                                                          \
    "{\"format\":\"diffquant.observer\",\"version\":" version ",\"kind\":" kind ",\"channels\":" channels              \
    ",\"inner\":1,\"groups\":[" groups "]}"
#define GROUP(finite, non_finite, min, max)                                                                            \
    "{\"finite\":" finite ",\"non_finite\":" non_finite ",\"min\":" min ",\"max\":" max
/* 1.0 is the bits 0x3F800000, -2.5 is 0xC0200000, 0.0 is 0; without the last 19 of them: 2032, 6148, 0. */
#define BINS "[0,2],[2032,3],[6148,1]"
#define HISTOGRAM(bins) JSON("\"1.0\"", "\"Histogram\"", "1", GROUP("6", "2", "-2.5", "1.0") ",\"bins\":[" bins "]}")

static const float seen[] = {1.0f, 0.0f, NAN, 1.03125f, -2.5f, INFINITY, -0.0f, 1.0f};

#define CHECK_JSON_REFUSED(text, length, status, ...)                                                                  \
    do {                                                                                                               \
        diffquant_observer *made = no_observer();                                                                      \
        CHECK_REFUSED(diffquant_observer_from_json((text), (length), &made), (status), __VA_ARGS__);                   \
        CHECK(made == no_observer());                                                                                  \
    } while (0)

static diffquant_observer *parsed(const char *json) {
    diffquant_observer *observer = NULL;
    REQUIRE_OK(diffquant_observer_from_json(json, strlen(json), &observer));
    return observer;
}

TEST(the_text_of_an_observer_is_what_the_header_says) {
    static const float x[] = {0.0f, 1.0f, NAN, 1.0f, -2.5f, INFINITY, 1.0f};
    static const size_t shape[] = {5, 2};
    static const float channels[] = {0.5f, NAN};
    diffquant_observer *observer = new_observer(DIFFQUANT_OBSERVER_KIND_HISTOGRAM);
    REQUIRE_OK(diffquant_observer_observe(observer, x, COUNT(x)));
    CHECK_TEXT(observer_text_of(observer).text,
               JSON("\"1.0\"", "\"Histogram\"", "1",
                    GROUP("5", "2", "-2.5", "1.0") ",\"bins\":[[0,1],[2032,3],[6148,1]]}"));
    diffquant_observer_free(observer);

    observer = new_observer(DIFFQUANT_OBSERVER_KIND_MOVING_AVERAGE);
    REQUIRE_OK(diffquant_observer_set_shape(observer, shape, 2, 1));
    REQUIRE_OK(diffquant_observer_observe(observer, channels, 2));
    CHECK_TEXT(observer_text_of(observer).text,
               JSON("\"1.0\"", "{\"MovingAverage\":{\"averaging_constant\":0.25}}", "2",
                    GROUP("1", "0", "0.5", "0.5") "}," GROUP("0", "1", "null", "null") "}"));
    diffquant_observer_free(observer);
}

TEST(what_was_written_goes_on_to_the_bit_as_the_original_would) {
    static float x[3][600];
    static const diffquant_observer_kind kinds[] = {DIFFQUANT_OBSERVER_KIND_MIN_MAX,
                                                    DIFFQUANT_OBSERVER_KIND_MOVING_AVERAGE,
                                                    DIFFQUANT_OBSERVER_KIND_HISTOGRAM};
    static const size_t shape[] = {1, 3, 2};
    for (size_t i = 0; i < 3; i++) {
        fill_weights(x[i], 600, (uint32_t)i + 50, true);
    }
    /* Floats whose shortest decimal form is long. */
    x[0][0] = 0x1.99999ap-4f, x[0][3] = FLT_MAX, x[1][5] = 0x1p-149f, x[1][1] = -0x1.fffffep-3f;
    for (size_t i = 0; i < 2 * COUNT(kinds); i++) {
        diffquant_observer *observer = new_observer(kinds[i / 2]);
        check_context("kind %u, shape %zu", kinds[i / 2], i % 2);
        if (i % 2 == 1) {
            REQUIRE_OK(diffquant_observer_set_shape(observer, shape, 3, 1));
        }
        for (size_t batch = 0; batch < 3; batch++) {
            struct observer_text before = observer_text_of(observer);
            diffquant_observer *copy = parsed(before.text);
            CHECK_OBSERVER(copy, &before);
            REQUIRE_OK(diffquant_observer_observe(copy, x[batch], 600));
            REQUIRE_OK(diffquant_observer_observe(observer, x[batch], 600));
            before = observer_text_of(observer);
            CHECK_OBSERVER(copy, &before);
            diffquant_observer_free(copy);
        }
        diffquant_observer_free(observer);
    }
}

TEST(an_observer_is_written_only_where_its_nul_fits_too_and_its_length_is_told_always) {
    diffquant_observer *observer = new_observer(DIFFQUANT_OBSERVER_KIND_HISTOGRAM);
    REQUIRE_OK(diffquant_observer_observe(observer, seen, COUNT(seen)));
    const struct observer_text text = observer_text_of(observer);
    const size_t length = strlen(text.text);
    for (size_t cap = length - 1; cap <= length + 1; cap++) {
        struct guarded buffer = guarded_new(cap);
        size_t told = 99;
        if (cap <= length) {
            CHECK_REFUSED(diffquant_observer_to_json(observer, buffer.data, cap, &told),
                          DIFFQUANT_STATUS_BUFFER_TOO_SMALL, decimal(cap).text, decimal(length + 1).text);
            CHECK_UNTOUCHED(&buffer);
        } else {
            CHECK_OK(diffquant_observer_to_json(observer, buffer.data, cap, &told));
            CHECK_TEXT((const char *)buffer.data, text.text);
            CHECK_GUARDS(&buffer);
        }
        CHECK_UINT(told, length);
        guarded_free(&buffer);
    }
    size_t told[2] = {99, 99};
    CHECK_REFUSED(diffquant_observer_to_json(observer, (void *)told, 9, &told[1]), DIFFQUANT_STATUS_OVERLAP, "buf");
    CHECK_REFUSED(diffquant_observer_to_json(observer, NULL, 9, told), DIFFQUANT_STATUS_NULL_POINTER, "buf");
    CHECK_REFUSED(diffquant_observer_to_json(observer, NULL, 0, NULL), DIFFQUANT_STATUS_NULL_POINTER, "len");
    CHECK_REFUSED(diffquant_observer_to_json(NULL, NULL, 0, told), DIFFQUANT_STATUS_NULL_POINTER, "observer");
    CHECK_REFUSED(diffquant_observer_to_json(observer, (void *)told, SIZE_MAX, told), DIFFQUANT_STATUS_SIZE_OVERFLOW,
                  "buf");
    CHECK_UINT(told[0], 99);
    diffquant_observer_free(observer);
}

TEST(a_text_is_read_whatever_its_spaces_order_and_additions) {
    static const char json[] = " {\"groups\" : [{\"bins\":[[0,2],[2032,3],[6148,1]],\"max\":1,\"min\":-25e-1,"
                               "\"non_finite\":2,\"finite\":6,\"median\":[null,{}]}],\"inner\":1,\"later\":\"field\","
                               "\"channels\":1,\"kind\":\"Histogram\",\"version\":\"1.7\","
                               "\"format\":\"diffquant.\\u006fbserver\"}\n";
    diffquant_observer *observer = parsed(json);
    CHECK_TEXT(observer_text_of(observer).text, HISTOGRAM(BINS));
    diffquant_observer_free(observer);
    /* -0.0 is a number like 0.0. */
    observer = parsed(JSON("\"1.0\"", "\"MinMax\"", "1", GROUP("1", "0", "-0.0", "-0.0") "}"));
    float min = 1.0f, max = 1.0f;
    CHECK_OK(diffquant_observer_range(observer, &min, &max, 1));
    CHECK_FLOAT(min, 0.0f);
    diffquant_observer_free(observer);
}

TEST(a_text_that_ends_anywhere_before_its_end_is_refused) {
    static const char sound[] = HISTOGRAM(BINS);
    diffquant_observer_free(parsed(sound));
    for (size_t length = 0; length < sizeof sound - 1; length++) {
        check_context("%zu bytes", length);
        CHECK_JSON_REFUSED(sound, length, DIFFQUANT_STATUS_INVALID_JSON, "JSON");
    }
    CHECK_JSON_REFUSED(sound, SIZE_MAX, DIFFQUANT_STATUS_SIZE_OVERFLOW, "json");
    CHECK_JSON_REFUSED(sound, ((size_t)1 << 28) + 1, DIFFQUANT_STATUS_INVALID_JSON, "268435457");
    CHECK_JSON_REFUSED(NULL, 0, DIFFQUANT_STATUS_NULL_POINTER, "json");
    CHECK_JSON_REFUSED("{\"format\":\"\xff\"}", 14, DIFFQUANT_STATUS_INVALID_UTF8, "UTF");
    CHECK_REFUSED(diffquant_observer_from_json(sound, sizeof sound - 1, NULL), DIFFQUANT_STATUS_NULL_POINTER, "out");
}

TEST(a_text_of_another_kind_or_version_is_refused_by_name) {
    static const struct {
        const char *json, *word;
    } cases[] = {
        {JSON("\"2.0\"", "\"MinMax\"", "1", GROUP("0", "0", "null", "null") "}"), "2.0"},
        {JSON("\"0.9\"", "\"MinMax\"", "1", GROUP("0", "0", "null", "null") "}"), "0.9"},
        {JSON("\"2.0\"", "\"Quantile\"", "0", ""), "2.0"}, /* before anything else is looked at */
        {JSON("\"1\"", "\"MinMax\"", "1", GROUP("0", "0", "null", "null") "}"), "version"},
        {JSON("\"1.x\"", "\"MinMax\"", "1", GROUP("0", "0", "null", "null") "}"), "version"},
        {JSON("\"+1.0\"", "\"MinMax\"", "1", GROUP("0", "0", "null", "null") "}"), "version"},
        {JSON("1.0", "\"MinMax\"", "1", GROUP("0", "0", "null", "null") "}"), "JSON"},
        {JSON("\"1.0\"", "\"Quantile\"", "1", GROUP("0", "0", "null", "null") "}"), "Quantile"},
        {"{\"format\":\"diffquant.quantizer\",\"version\":\"1.0\"}", "diffquant.quantizer"},
        {"{\"version\":\"1.0\"}", "format"},
        {"{\"format\":\"diffquant.observer\"}", "version"},
        {"[]", "JSON"},
        {"null", "JSON"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        check_context("case %zu", i);
        CHECK_JSON_REFUSED(cases[i].json, strlen(cases[i].json), DIFFQUANT_STATUS_INVALID_JSON, cases[i].word);
    }
}

TEST(a_text_that_no_observer_has_written_is_refused) {
#define RANGE(group) JSON("\"1.0\"", "\"MinMax\"", "1", group)
    static const char *const texts[] = {
        /* Numbers. */
        RANGE(GROUP("1", "0", "NaN", "1.0") "}"),
        RANGE(GROUP("1", "0", "-Infinity", "1.0") "}"),
        RANGE(GROUP("1", "0", "-1e39", "1.0") "}"),
        RANGE(GROUP("1", "0", "-1e999", "1.0") "}"),
        RANGE(GROUP("1", "0", "2.0", "1.0") "}"),
        RANGE(GROUP("1", "0", "null", "1.0") "}"),
        RANGE(GROUP("1", "0", "1.0", "null") "}"),
        RANGE(GROUP("1", "0", "null", "null") "}"),
        RANGE(GROUP("0", "0", "1.0", "1.0") "}"),
        RANGE(GROUP("-1", "0", "1.0", "1.0") "}"),
        RANGE(GROUP("1.5", "0", "1.0", "1.0") "}"),
        RANGE(GROUP("18446744073709551616", "0", "1.0", "1.0") "}"),
        RANGE(GROUP("1", "-1", "1.0", "1.0") "}"),
        RANGE(GROUP("1", "0", "\"1.0\"", "1.0") "}"),
        JSON("\"1.0\"", "{\"MovingAverage\":{\"averaging_constant\":0}}", "1", GROUP("0", "0", "null", "null") "}"),
        JSON("\"1.0\"", "{\"MovingAverage\":{\"averaging_constant\":NaN}}", "1", GROUP("0", "0", "null", "null") "}"),
        JSON("\"1.0\"", "{\"MovingAverage\":{}}", "1", GROUP("0", "0", "null", "null") "}"),
        /* Groups. */
        JSON("\"1.0\"", "\"MinMax\"", "2", GROUP("0", "0", "null", "null") "}"),
        JSON("\"1.0\"", "\"MinMax\"", "0", ""),
        JSON("\"1.0\"", "\"MinMax\"", "18446744073709551615", ""),
        JSON("\"1.0\"", "\"MinMax\"", "-1", ""),
        JSON("\"1.0\"", "\"MinMax\"", "1", "{}"),
        JSON("\"1.0\"", "\"MinMax\"", "1", "null"),
        /* Bins. */
        RANGE(GROUP("1", "0", "1.0", "1.0") ",\"bins\":[[2032,1]]}"),
        HISTOGRAM("[0,2],[2032,3]"),
        HISTOGRAM("[0,2],[2032,3],[6148,2]"),
        HISTOGRAM("[0,2],[2032,3],[6148,1],[6149,0]"),
        HISTOGRAM("[0,2],[6148,1],[2032,3]"),
        HISTOGRAM("[0,1],[0,1],[2032,3],[6148,1]"),
        HISTOGRAM("[0,2],[2032,3],[8192,1]"),
        HISTOGRAM("[0,2],[2032,2],[4080,1],[6148,1]"), /* infinity */
        HISTOGRAM("[0,2],[2032,3],[8176,1]"),          /* minus infinity */
        HISTOGRAM("[0,2],[2032,3],[6147,1]"),          /* the minimum is elsewhere */
        HISTOGRAM("[0,2],[2031,3],[6148,1]"),          /* and the maximum */
        HISTOGRAM("[0,2],[2032,3],[6148,-1]"),
        HISTOGRAM("[0,2],[2032,3],[-1,1]"),
        HISTOGRAM("[0,2],[2032,3],[6148]"),
        HISTOGRAM("[0,2],[2032,3],[6148,1,1]"),
        HISTOGRAM("[0,2],[2032,3],[6148,1.0]"),
        HISTOGRAM(""),
        JSON("\"1.0\"", "\"Histogram\"", "1", GROUP("6", "2", "-2.5", "1.0") "}"),
        JSON("\"1.0\"", "\"Histogram\"", "1", GROUP("0", "2", "null", "null") ",\"bins\":[[0,1]]}"),
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        check_context("text %zu: %s", i, texts[i]);
        CHECK_JSON_REFUSED(texts[i], strlen(texts[i]), DIFFQUANT_STATUS_INVALID_JSON, "JSON");
    }
    /* A bin that there is none of is named, be it one for lack of which the range is wrong, too. */
    static const struct {
        const char *text, *bin;
    } no_bins[] = {
        {HISTOGRAM("[0,2],[2032,2],[4080,1],[6148,1]"), "4080"},
        {HISTOGRAM("[0,2],[2032,3],[6148,1],[8176,1]"), "8176"},
        {HISTOGRAM("[0,2],[2032,3],[6148,1],[8191,1]"), "8191"},
        {HISTOGRAM("[0,2],[2032,3],[6148,1],[8192,1]"), "8192"},
        {HISTOGRAM("[0,2],[2032,3],[14340,1]"), "14340"}, /* 6148, were its bits those of a float */
    };
    for (size_t i = 0; i < COUNT(no_bins); i++) {
        check_context("bin %s", no_bins[i].bin);
        CHECK_JSON_REFUSED(no_bins[i].text, strlen(no_bins[i].text), DIFFQUANT_STATUS_INVALID_JSON, no_bins[i].bin);
    }
    diffquant_observer_free(parsed(HISTOGRAM(BINS)));
}

TEST(counts_at_their_end_stay_there_in_any_order) {
    static const char full[] = JSON("\"1.0\"", "\"Histogram\"", "1",
                                    GROUP("18446744073709551615", "18446744073709551614", "1.0", "1.0")
                                    ",\"bins\":[[2032,18446744073709551615]]}");
    diffquant_observer *observers[2] = {parsed(full), new_observer(DIFFQUANT_OBSERVER_KIND_HISTOGRAM)};
    REQUIRE_OK(diffquant_observer_observe(observers[1], seen, COUNT(seen)));
    diffquant_observer *other = parsed(observer_text_of(observers[1]).text);
    CHECK_OK(diffquant_observer_merge(observers[1], observers[0]));
    CHECK_OK(diffquant_observer_merge(observers[0], other));
    const struct observer_text text = observer_text_of(observers[0]);
    CHECK_OBSERVER(observers[1], &text);
    diffquant_observer *copy = parsed(text.text);
    CHECK_OBSERVER(copy, &text);
    uint64_t counts[2] = {0, 0};
    CHECK_OK(diffquant_observer_counts(copy, &counts[0], &counts[1], 1));
    CHECK_UINT(counts[0], UINT64_MAX);
    CHECK_UINT(counts[1], UINT64_MAX);
    diffquant_observer_free(copy);
    diffquant_observer_free(other);
    diffquant_observer_free(observers[0]);
    diffquant_observer_free(observers[1]);
}
