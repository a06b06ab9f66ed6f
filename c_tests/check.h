/* The test framework: checks that count themselves, print what they saw and cannot be compiled out.
 *
 * Every macro below is a call of a function, whatever NDEBUG says, and evaluates each argument once. A failed check is
 * printed and counted, and the test goes on; REQUIRE is for what the rest of a test cannot do without, and ends the
 * program. The driver (main.c) fails when a check failed and when a test made none.
 *
 * A test is written `TEST(what_it_promises) { ... }`, the macro at the start of a line: tests/c_harness.rs collects
 * these lines from every test_*.c into the table that the driver runs, so neither a test nor a file can be forgotten.
 *
 * All of it belongs to the main thread. A test that starts threads lets them count, and checks the counts. */

#ifndef CHECK_H
#define CHECK_H

#include "diffquant.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct check_case {
    const char *file;
    const char *name;
    void (*run)(void);
};

/* Written by tests/c_harness.rs; ends with a case whose name is NULL. */
extern const struct check_case check_cases[];

#define TEST(name)                                                                                                     \
    void test_##name(void);                                                                                            \
    void test_##name(void)

/* ---- Plain checks ----------------------------------------------------------------------------------------------- */

#define CHECK(condition) check_holds((condition), #condition, __FILE__, __LINE__)
#define REQUIRE(condition) check_required((condition), #condition, __FILE__, __LINE__)

#define CHECK_INT(actual, expected) check_int((int64_t)(actual), (int64_t)(expected), #actual, __FILE__, __LINE__)
#define CHECK_UINT(actual, expected) check_uint((uint64_t)(actual), (uint64_t)(expected), #actual, __FILE__, __LINE__)

/* The same bits, so that -0.0 is not 0.0; any NaN is like any other. */
#define CHECK_FLOAT(actual, expected) check_float((actual), (expected), #actual, __FILE__, __LINE__)
#define CHECK_FLOATS(actual, expected, n) check_floats((actual), (expected), (n), #actual, __FILE__, __LINE__)
#define CHECK_CODES(actual, expected, n) check_codes((actual), (expected), (n), #actual, __FILE__, __LINE__)

#define CHECK_INTS(actual, expected, n) check_ints((actual), (expected), (n), #actual, __FILE__, __LINE__)

/* The two differ by no more than `bound`; NaN is near nothing. */
#define CHECK_NEAR(actual, expected, bound) check_near((actual), (expected), (bound), #actual, __FILE__, __LINE__)

#define CHECK_TEXT(actual, expected) check_text((actual), (expected), #actual, __FILE__, __LINE__)

/* ---- Checks of a call of the library ----------------------------------------------------------------------------- */

/* The call succeeds, and leaves the message of an earlier failure as it was. */
#define CHECK_OK(call) (check_before_call(), check_ok((call), #call, __FILE__, __LINE__))

/* CHECK_OK, for what the rest of a test cannot do without. */
#define REQUIRE_OK(call) (check_before_call(), check_required_ok((call), #call, __FILE__, __LINE__))

/* The call is refused with this status, and leaves a new message that has each of the words, as whole words. */
#define CHECK_REFUSED(call, status, ...)                                                                               \
    (check_before_call(),                                                                                              \
     check_refused((call), (status), (const char *const[]){__VA_ARGS__, NULL}, #call, __FILE__, __LINE__))

/* ---- Around the checks ------------------------------------------------------------------------------------------- */

/* Says which case of a table or loop the checks that follow are about. Cleared before each test. */
void check_context(const char *format, ...);

/* Notes that this build or machine cannot run the rest of the test, which then returns. */
void check_skipped(const char *reason);

/* ---- What the macros call ---------------------------------------------------------------------------------------- */

void check_holds(bool holds, const char *text, const char *file, int line);
void check_required(bool holds, const char *text, const char *file, int line);
void check_int(int64_t actual, int64_t expected, const char *text, const char *file, int line);
void check_uint(uint64_t actual, uint64_t expected, const char *text, const char *file, int line);
void check_float(float actual, float expected, const char *text, const char *file, int line);
void check_floats(const float *actual, const float *expected, size_t n, const char *text, const char *file, int line);
void check_codes(const int8_t *actual, const int8_t *expected, size_t n, const char *text, const char *file, int line);
void check_ints(const int32_t *actual, const int32_t *expected, size_t n, const char *text, const char *file, int line);
void check_near(double actual, double expected, double bound, const char *text, const char *file, int line);
void check_text(const char *actual, const char *expected, const char *text, const char *file, int line);

void check_before_call(void);
void check_ok(diffquant_status status, const char *text, const char *file, int line);
void check_required_ok(diffquant_status status, const char *text, const char *file, int line);
void check_refused(diffquant_status status, diffquant_status expected, const char *const *words, const char *text,
                   const char *file, int line);

/* Runs the cases whose name has `wanted` in it, all for NULL; gives the exit status of the program. */
int check_run(const char *wanted);

#endif
