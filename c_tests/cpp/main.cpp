// Runs every test of diffquant.hpp. tests/cpp.rs compiles this with the other files of the directory.
#include "checks.hpp"

#include <cstdio>

namespace {

struct Test {
    const char *name;
    void (*run)();
};

// Made by the first test that enters it: the files' static objects are made in no order that one could rely on.
std::vector<Test> &all_tests() {
    static std::vector<Test> tests;
    return tests;
}

int failures = 0;
const char *test_name = "";

} // namespace

bool list_test(const char *name, void (*run)()) {
    all_tests().push_back({name, run});
    return true;
}

void fail(int line, const char *what) {
    std::fprintf(stderr, "%s, line %d: %s\n", test_name, line, what);
    ++failures;
}

int main() {
    for (const Test &test : all_tests()) {
        test_name = test.name;
        try {
            test.run();
        } catch (const std::exception &error) {
            fail(0, error.what());
        }
    }
    if (failures != 0) {
        std::fprintf(stderr, "%d checks failed\n", failures);
        return 1;
    }
    std::printf("diffquant %s: %zu tests passed\n", diffquant::version_string(), all_tests().size());
    return 0;
}
