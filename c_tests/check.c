#include "check.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t checks_made;
static uint64_t checks_failed;
static uint64_t tests_skipped;
static bool this_test_skipped;
static char context[256];
static char message_before[1024];

/* ---- Counting and printing --------------------------------------------------------------------------------------- */

/* Counts a check; true when it failed, and the beginning of the report is printed. */
static bool failed(bool holds, const char *text, const char *file, int line) {
    checks_made++;
    if (holds) {
        return false;
    }
    checks_failed++;
    printf("    %s:%d: FAILED: %s", file, line, text);
    if (context[0] != '\0') {
        printf(" [%s]", context);
    }
    return true;
}

static void end_program_unless(bool holds) {
    if (!holds) {
        printf("    the test cannot go on\n");
        exit(EXIT_FAILURE);
    }
}

void check_context(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(context, sizeof context, format, arguments);
    va_end(arguments);
}

void check_skipped(const char *reason) {
    printf("    skipped: %s\n", reason);
    this_test_skipped = true;
}

/* ---- Plain checks ------------------------------------------------------------------------------------------------ */

void check_holds(bool holds, const char *text, const char *file, int line) {
    if (failed(holds, text, file, line)) {
        printf("\n");
    }
}

void check_required(bool holds, const char *text, const char *file, int line) {
    check_holds(holds, text, file, line);
    end_program_unless(holds);
}

void check_int(int64_t actual, int64_t expected, const char *text, const char *file, int line) {
    if (failed(actual == expected, text, file, line)) {
        printf(" is %" PRId64 ", not %" PRId64 "\n", actual, expected);
    }
}

void check_uint(uint64_t actual, uint64_t expected, const char *text, const char *file, int line) {
    if (failed(actual == expected, text, file, line)) {
        printf(" is %" PRIu64 ", not %" PRIu64 "\n", actual, expected);
    }
}

static bool same_float(float a, float b) {
    return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof a) == 0;
}

void check_float(float actual, float expected, const char *text, const char *file, int line) {
    if (failed(same_float(actual, expected), text, file, line)) {
        printf(" is %a (%.9g), not %a (%.9g)\n", (double)actual, (double)actual, (double)expected, (double)expected);
    }
}

void check_floats(const float *actual, const float *expected, size_t n, const char *text, const char *file, int line) {
    /* Mostly every bit is the same, and this is the quickest way to see it. */
    size_t i = n > 0 && memcmp(actual, expected, n * sizeof *actual) == 0 ? n : 0;
    while (i < n && same_float(actual[i], expected[i])) {
        i++;
    }
    if (failed(i == n, text, file, line)) {
        printf("[%zu] is %a (%.9g), not %a (%.9g)\n", i, (double)actual[i], (double)actual[i], (double)expected[i],
               (double)expected[i]);
    }
}

void check_codes(const int8_t *actual, const int8_t *expected, size_t n, const char *text, const char *file, int line) {
    size_t i = n > 0 && memcmp(actual, expected, n) == 0 ? n : 0;
    while (i < n && actual[i] == expected[i]) {
        i++;
    }
    if (failed(i == n, text, file, line)) {
        printf("[%zu] is %d, not %d\n", i, actual[i], expected[i]);
    }
}

void check_ints(const int32_t *actual, const int32_t *expected, size_t n, const char *text, const char *file,
                int line) {
    size_t i = 0;
    while (i < n && actual[i] == expected[i]) {
        i++;
    }
    if (failed(i == n, text, file, line)) {
        printf("[%zu] is %" PRId32 ", not %" PRId32 "\n", i, actual[i], expected[i]);
    }
}

void check_near(double actual, double expected, double bound, const char *text, const char *file, int line) {
    if (failed(fabs(actual - expected) <= bound, text, file, line)) {
        printf(" is %.9g, which is not within %.3g of %.9g\n", actual, bound, expected);
    }
}

void check_text(const char *actual, const char *expected, const char *text, const char *file, int line) {
    if (failed(strcmp(actual, expected) == 0, text, file, line)) {
        printf(" is\n%s\nnot\n%s\n", actual, expected);
    }
}

/* ---- Checks of a call -------------------------------------------------------------------------------------------- */

/* Provokes a failure that no test is about, so that the message before a call is known, and is not what a test expects
 * after it. */
void check_before_call(void) {
    diffquant_config *none = NULL;
    diffquant_config_new_preset(987654321, &none);
    snprintf(message_before, sizeof message_before, "%s", diffquant_last_error_message());
}

void check_ok(diffquant_status status, const char *text, const char *file, int line) {
    if (failed(status == DIFFQUANT_STATUS_OK, text, file, line)) {
        printf(": %s: %s\n", diffquant_status_name(status), diffquant_last_error_message());
    } else if (failed(strcmp(diffquant_last_error_message(), message_before) == 0, text, file, line)) {
        printf(" succeeded, but changed the message to: %s\n", diffquant_last_error_message());
    }
}

void check_required_ok(diffquant_status status, const char *text, const char *file, int line) {
    check_ok(status, text, file, line);
    end_program_unless(status == DIFFQUANT_STATUS_OK);
}

static bool is_word_character(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Whether `text` has `word` in it, not as a part of a longer word: "9" is not in "97 bits". */
static bool has_word(const char *text, const char *word) {
    const size_t length = strlen(word);
    for (const char *at = strstr(text, word); at != NULL; at = strstr(at + 1, word)) {
        const bool starts = at == text || !is_word_character(at[-1]) || !is_word_character(word[0]);
        const bool ends = !is_word_character(at[length]) || !is_word_character(word[length - 1]);
        if (starts && ends) {
            return true;
        }
    }
    return false;
}

void check_refused(diffquant_status status, diffquant_status expected, const char *const *words, const char *text,
                   const char *file, int line) {
    const char *message = diffquant_last_error_message();
    if (failed(status == expected, text, file, line)) {
        printf(" gave %s, not %s: %s\n", diffquant_status_name(status), diffquant_status_name(expected), message);
        return;
    }
    if (failed(strcmp(message, message_before) != 0, text, file, line)) {
        printf(" was refused without a message\n");
        return;
    }
    for (; *words != NULL; words++) {
        if (failed(has_word(message, *words), text, file, line)) {
            printf(" was refused without naming \"%s\": %s\n", *words, message);
        }
    }
}

/* ---- The driver's part ------------------------------------------------------------------------------------------- */

static void run_case(const struct check_case *one) {
    const uint64_t made_before = checks_made;
    /* Told before it runs: a test that crashes is then the last one named. */
    printf("%s: %s\n", one->file, one->name);
    fflush(stdout);
    context[0] = '\0';
    this_test_skipped = false;
    one->run();
    context[0] = '\0';
    tests_skipped += this_test_skipped ? 1 : 0;
    if (!this_test_skipped) {
        check_holds(checks_made > made_before, "the test makes a check", one->file, 0);
    }
}

int check_run(const char *wanted) {
    uint64_t tests_run = 0;
    for (const struct check_case *one = check_cases; one->name != NULL; one++) {
        if (wanted == NULL || strstr(one->name, wanted) != NULL) {
            run_case(one);
            tests_run++;
        }
    }
    printf("diffquant %s: %" PRIu64 " tests, %" PRIu64 " skipped, %" PRIu64 " checks, %" PRIu64 " failed\n",
           diffquant_version_string(), tests_run, tests_skipped, checks_made, checks_failed);
    return checks_failed == 0 && checks_made > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
