// A stranger's program: quantizes a few weights to 4 bits and checks every code and value.
#include <diffquant.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <stdexcept>
#include <string>

namespace {

constexpr float scale = 0.5f;
constexpr std::array<float, 9> weights{0.0f, 0.24f, 0.25f, -0.25f, 0.75f, 1.1f, -1.2f, 100.0f, -100.0f};
// round(w / 0.5), halves away from zero, in [-8, 7]
constexpr std::array<std::int8_t, 9> expected{0, 0, 1, -1, 2, 2, -2, 7, -8};

void check(bool condition, const std::string &what) {
    if (!condition) {
        throw std::logic_error(what);
    }
}

void codes_and_values_are_right() {
    auto quantizer = diffquant::Quantizer::uniform(4);
    quantizer.set_scales(std::array{scale});
    std::array<std::int8_t, weights.size()> codes{};
    std::array<float, weights.size()> values{};
    quantizer.forward(weights, codes, values);
    for (std::size_t i = 0; i < weights.size(); ++i) {
        check(codes[i] == expected[i], "code " + std::to_string(i) + " is " + std::to_string(codes[i]));
        check(values[i] == static_cast<float>(expected[i]) * scale, "value " + std::to_string(i));
    }
}

void a_refused_call_throws() {
    try {
        auto quantizer = diffquant::Quantizer::uniform(9);
    } catch (const diffquant::Error &error) {
        check(error.status() == diffquant::Status::InvalidArgument, diffquant::status_name(error.status()));
        check(!std::string(error.what()).empty(), "no message");
        return;
    }
    check(false, "9 bits were accepted");
}

} // namespace

int main() {
    try {
        codes_and_values_are_right();
        a_refused_call_throws();
    } catch (const std::exception &error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
    std::cout << "diffquant " << diffquant::version_string() << ": ok\n";
}
