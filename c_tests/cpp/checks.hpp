// What every test of diffquant.hpp needs: checks, a list that tests enter by themselves, names and quantizers.
#ifndef CHECKS_HPP
#define CHECKS_HPP

#include <diffquant.hpp>

#include <array>
#include <cstring>
#include <limits>

using diffquant::CodeRange;
using diffquant::Config;
using diffquant::Error;
using diffquant::Granularity;
using diffquant::NonFinite;
using diffquant::Preset;
using diffquant::Quantizer;
using diffquant::Rotation;
using diffquant::Rounding;
using diffquant::ScaleInit;
using diffquant::Statistics;
using diffquant::Status;
using diffquant::Ste;
using diffquant::View;

using Codes = std::vector<std::int8_t>;
using Floats = std::vector<float>;
using Integers = std::vector<std::int32_t>;
using Sizes = std::vector<std::size_t>;

// In main.cpp.
bool list_test(const char *name, void (*run)());
void fail(int line, const char *what);

// A test; the list runs it.
#define TEST(name)                                                                                                     \
    static void name();                                                                                                \
    [[maybe_unused]] static const bool name##_is_listed = list_test(#name, name);                                      \
    static void name()

#define CHECK(...) ((__VA_ARGS__) ? void() : fail(__LINE__, #__VA_ARGS__))

template <class Call>
void check_throws(int line, Status status, const char *words, Call call) {
    try {
        call();
        fail(line, "nothing was thrown");
    } catch (const Error &error) {
        if (error.status() != status) {
            fail(line, diffquant::status_name(error.status()));
        }
        if (std::strstr(error.what(), words) == nullptr) {
            fail(line, error.what());
        }
    }
}

// The call must throw an Error with this status, whose message contains these words.
#define CHECK_THROWS(status, words, ...) check_throws(__LINE__, Status::status, words, [&] { __VA_ARGS__; })

// One scale of 0.5 at 3 bits: codes from -4 to 3.
inline Quantizer half_steps(Ste ste = Ste::Standard, float ste_param = diffquant::no_ste_param) {
    Quantizer quantizer = Quantizer::uniform(3, ste, ste_param);
    quantizer.set_scale(0, 0.5f);
    return quantizer;
}

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

#endif
