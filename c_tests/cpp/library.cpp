// The library as a whole: names, versions, threads, instruction sets, translation units.
#include "checks.hpp"

// In second_unit.cpp.
std::vector<float> quantized_elsewhere(const Quantizer &quantizer, View<const float> w);
[[noreturn]] void throw_elsewhere();

// ---- The library ----------------------------------------------------------------------------------------------------

TEST(statuses_have_names) {
    CHECK(std::strcmp(diffquant::status_name(Status::LengthMismatch), "DIFFQUANT_STATUS_LENGTH_MISMATCH") == 0);
    CHECK(std::strcmp(diffquant::status_name(static_cast<Status>(12345)), "unknown status") == 0);
}

TEST(the_two_versions_agree) {
    const std::uint32_t number = diffquant::version_number();
    const std::string text = std::to_string(number >> 16) + "." + std::to_string(number >> 8 & 255) + "." +
                             std::to_string(number & 255);
    CHECK(text == diffquant::version_string());
    CHECK(number == diffquant::header_version_number);
}

// ---- Who computes, and with what ------------------------------------------------------------------------------------

namespace {

// Calls the parts one after the other, and counts itself.
void sequential_pool(void *calls, std::size_t count, void (*run)(void *, std::size_t), void *task) {
    ++*static_cast<int *>(calls);
    for (std::size_t index = 0; index < count; ++index) {
        run(task, index);
    }
}

} // namespace

TEST(threads_pools_and_instruction_sets_change_no_bit) {
    Quantizer quantizer = half_steps();
    Floats w(std::size_t{1} << 20);
    for (std::size_t i = 0; i < w.size(); ++i) {
        w[i] = static_cast<float>(i % 17) * 0.3f - 2.0f;
    }
    const auto values_now = [&] {
        Floats values(w.size());
        quantizer.forward(w, std::nullopt, values);
        return values;
    };
    const Floats expected = values_now();
    quantizer.set_threads(3);
    CHECK(values_now() == expected);
    int calls = 0;
    quantizer.set_parallel_for(sequential_pool, &calls);
    CHECK(values_now() == expected);
    CHECK(calls == 1);
    quantizer.set_parallel_for(nullptr, nullptr);

    diffquant::set_isa(diffquant::Isa::Baseline);
    const std::string baseline = diffquant::isa_name();
    CHECK(baseline == "baseline" || baseline == "neon");
    CHECK(values_now() == expected);
    CHECK_THROWS(UnknownConstant, "isa is 99", diffquant::set_isa(static_cast<diffquant::Isa>(99)));
    CHECK(diffquant::isa_name() == baseline);
    diffquant::set_isa(diffquant::Isa::Fastest);
    CHECK(values_now() == expected);
    CHECK(calls == 1);
}

TEST(the_header_can_be_in_several_translation_units) {
    CHECK(quantized_elsewhere(half_steps(), Floats{0.6f}) == Floats{0.5f});
    CHECK_THROWS(Unsupported, "thrown elsewhere", throw_elsewhere());
}
