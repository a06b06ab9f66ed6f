// diffquant.hpp, each promise of it with numbers that are worked out by hand. tests/cpp.rs compiles and runs this.
#include <diffquant.hpp>

#include <array>
#include <cstdio>
#include <cstring>
#include <limits>
#if defined(__cpp_lib_span)
#include <span>
#endif

using diffquant::Config;
using diffquant::Error;
using diffquant::Granularity;
using diffquant::Preset;
using diffquant::Quantizer;
using diffquant::Rounding;
using diffquant::Status;
using diffquant::Ste;
using diffquant::View;

using Codes = std::vector<std::int8_t>;
using Floats = std::vector<float>;

// In second_unit.cpp.
std::vector<float> quantized_elsewhere(const Quantizer &quantizer, View<const float> w);
[[noreturn]] void throw_elsewhere();

namespace {

// ---- Checks ---------------------------------------------------------------------------------------------------------

int failures = 0;
const char *test_name = "";

void fail(int line, const char *what) {
    std::fprintf(stderr, "%s, line %d: %s\n", test_name, line, what);
    ++failures;
}

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
Quantizer half_steps(Ste ste = Ste::Standard, float ste_param = diffquant::no_ste_param) {
    Quantizer quantizer = Quantizer::uniform(3, ste, ste_param);
    quantizer.set_scale(0, 0.5f);
    return quantizer;
}

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

// ---- What the compiler can say --------------------------------------------------------------------------------------

template <class Owner>
constexpr bool is_a_unique_owner =
    std::is_nothrow_move_constructible_v<Owner> && std::is_nothrow_move_assignable_v<Owner> &&
    std::is_nothrow_destructible_v<Owner> && !std::is_copy_constructible_v<Owner> &&
    !std::is_copy_assignable_v<Owner> && sizeof(Owner) == sizeof(void *);

static_assert(is_a_unique_owner<Quantizer> && is_a_unique_owner<Config>);
static_assert(!std::is_default_constructible_v<Quantizer> && std::is_default_constructible_v<Config>);
static_assert(!std::is_convertible_v<const Config &, Quantizer> && !std::is_convertible_v<Preset, Config>);
static_assert(!std::is_convertible_v<Quantizer, bool>);
static_assert(!std::is_constructible_v<Quantizer, diffquant_quantizer *>, "ownership is taken with adopt() alone");
static_assert(!std::is_destructible_v<diffquant::Handle<diffquant_config>>, "the base is no owner by itself");

static_assert(std::is_base_of_v<std::runtime_error, Error> && std::is_nothrow_copy_constructible_v<Error>);

template <class From, class To>
constexpr bool converts = std::is_convertible_v<From, View<To>>;

static_assert(std::is_trivially_copyable_v<View<float>> && sizeof(View<float>) == sizeof(void *) + sizeof(std::size_t));
// Inputs: whatever holds floats, temporary or not.
static_assert(converts<Floats &, const float> && converts<const Floats &, const float>);
static_assert(converts<Floats, const float>);
static_assert(converts<std::array<float, 2> &, const float> && converts<const float (&)[2], const float>);
static_assert(converts<float (&)[2], const float> && converts<View<float>, const float>);
// Outputs: what can be written, and read afterwards.
static_assert(converts<Floats &, float> && converts<std::array<float, 2> &, float> && converts<float (&)[2], float>);
static_assert(converts<View<float>, float> && converts<const View<float> &, float>);
static_assert(!converts<const Floats &, float> && !converts<const std::array<float, 2> &, float>);
static_assert(!converts<const float (&)[2], float> && !converts<View<const float>, float>);
static_assert(!converts<Floats, float> && !converts<const std::array<float, 2> &, float>);
// No other element type, no lone pointer, no list.
static_assert(!converts<std::vector<double> &, const float> && !converts<Codes &, float> && !converts<Codes &, char>);
static_assert(!converts<float *, float> && !converts<std::initializer_list<float>, const float>);
static_assert(std::is_convertible_v<Floats &, diffquant::OptionalView<float>>);
static_assert(!std::is_convertible_v<const Floats &, diffquant::OptionalView<float>>);
#if defined(__cpp_lib_span)
static_assert(converts<std::span<float>, float> && converts<std::span<float, 2>, const float>);
static_assert(converts<std::span<const float>, const float> && !converts<std::span<const float>, float>);
static_assert(std::is_convertible_v<View<const float> &, std::span<const float>>);
#endif

static_assert(noexcept(Quantizer::adopt(nullptr)) && noexcept(diffquant::version_string()));

// ---- Forward and back -----------------------------------------------------------------------------------------------

void forward_gives_codes_and_values() {
    const Floats w{0.0f, 0.24f, 0.25f, -0.25f, 0.75f, 1.1f, -1.2f, 100.0f, -infinity, not_a_number};
    const auto [codes, values] = half_steps().forward(w);
    CHECK(codes == Codes{0, 0, 1, -1, 2, 2, -2, 3, -4, 0});
    CHECK(values == Floats{0.0f, 0.0f, 0.5f, -0.5f, 1.0f, 1.0f, -1.0f, 1.5f, -2.0f, 0.0f});
}

void forward_writes_only_the_outputs_that_are_wanted() {
    const Quantizer quantizer = half_steps();
    const Floats w{0.6f, -0.9f};
    Codes codes(2);
    Floats values(2);
    quantizer.forward(w, codes, std::nullopt);
    CHECK(codes == Codes{1, -2});
    quantizer.forward(w, std::nullopt, values);
    CHECK(values == Floats{0.5f, -1.0f});
    quantizer.forward(w, std::nullopt, std::nullopt);
}

void forward_works_in_place() {
    Floats w{0.6f, -0.9f};
    Codes codes(2);
    half_steps().forward(w, codes, w);
    CHECK(codes == Codes{1, -2});
    CHECK(w == Floats{0.5f, -1.0f});
}

void a_pi_quantizer_has_steps_of_alpha_pi_over_k() {
    const Quantizer quantizer = Quantizer::pi(3, 4);
    CHECK(quantizer.k() == 4u);
    CHECK(quantizer.ste() == Ste::LearnedStepSize);
    CHECK(quantizer.step_size(0) == 0x1.921fb6p-1f); // the float PI is 0x1.921fb6p+1
    const auto [codes, values] = quantizer.forward(Floats{0.3f, 0.4f, -1.2f, 10.0f});
    CHECK(codes == Codes{0, 1, -2, 3});
    CHECK(values == Floats{0.0f, 0x1.921fb6p-1f, -0x1.921fb6p+0f, 0x1.2d97c8p+1f});
}

void rounding_decides_what_happens_halfway() {
    Quantizer quantizer = half_steps();
    const Floats w{0.25f, 0.75f, -1.25f};
    CHECK(quantizer.rounding() == Rounding::HalfAway);
    CHECK(quantizer.forward(w).codes == Codes{1, 2, -3});
    quantizer.set_rounding(Rounding::HalfEven);
    CHECK(quantizer.rounding() == Rounding::HalfEven);
    CHECK(quantizer.forward(w).codes == Codes{0, 2, -2});
}

void backward_follows_the_estimator() {
    const Floats w{0.5f, 1.0f, 1.25f, -2.0f}, grad_out{1.0f, 2.0f, 3.0f, 4.0f};
    CHECK(half_steps().backward(w, std::nullopt, grad_out) == grad_out);

    const Quantizer clipped = half_steps(Ste::Clipped, 1.0f);
    CHECK(clipped.ste() == Ste::Clipped);
    CHECK(clipped.ste_param() == 1.0f);
    CHECK(clipped.backward(w, std::nullopt, grad_out) == Floats{1.0f, 2.0f, 0.0f, 0.0f});

    Quantizer ewgs = half_steps();
    ewgs.set_ste(Ste::Ewgs, 0.5f);
    const Floats v{0.625f, 0.75f}, g{2.0f, -4.0f}; // values 0.5 and 1: 0.125 and 0.25 away
    CHECK(ewgs.backward(v, std::nullopt, g) == Floats{2.125f, -4.5f});
    CHECK(ewgs.backward(v, ewgs.forward(v).values, g) == Floats{2.125f, -4.5f});
    CHECK(ewgs.backward(v, Floats{0.625f, 0.75f}, g) == g); // values are taken as they are given
}

void backward_works_in_place() {
    Floats gradient{2.0f, -4.0f};
    half_steps(Ste::Ewgs, 0.5f).backward(Floats{0.625f, 0.75f}, std::nullopt, gradient, gradient);
    CHECK(gradient == Floats{2.125f, -4.5f});
}

void backward_scale_gives_both_gradients() {
    Quantizer quantizer = Quantizer::uniform(2, Ste::Clipped, 1.0f);
    quantizer.set_scale(0, 0.5f);
    const Floats w{0.5f, -0.5f, -2.0f, 2.0f}, grad_out{1.0f, 2.0f, 3.0f, 4.0f}; // codes 1, -1, -2, 1
    const Floats expected_w{1.0f, 2.0f, 0.0f, 0.0f};
    const float expected_scale = -0.75f; // (1 - 2 - 6 + 4) / sqrt(4 * 2^2)

    const auto [grad_w, grad_scale] = quantizer.backward_scale(w, grad_out);
    CHECK(grad_w == expected_w);
    CHECK(grad_scale == Floats{expected_scale});

    float scale_only = 0.0f;
    quantizer.backward_scale(w, grad_out, std::nullopt, View<float>(&scale_only, 1));
    CHECK(scale_only == expected_scale);

    Floats gradient = grad_out;
    std::array<float, 1> scale{};
    quantizer.backward_scale(w, gradient, gradient, scale);
    CHECK(gradient == expected_w);
    CHECK(scale[0] == expected_scale);
}

void dequantize_does_not_clamp() {
    const Quantizer quantizer = half_steps();
    const Codes codes{1, -2, 100};
    CHECK(quantizer.dequantize(codes) == Floats{0.5f, -1.0f, 50.0f});
    std::array<float, 3> values{};
    quantizer.dequantize(codes, values);
    CHECK(values == std::array<float, 3>{0.5f, -1.0f, 50.0f});
}

void tensors_of_no_elements_are_fine() {
    const Quantizer quantizer = half_steps();
    const Floats none;
    CHECK(quantizer.forward(none).codes.empty());
    CHECK(quantizer.backward(none, std::nullopt, none).empty());
    CHECK(quantizer.dequantize(Codes{}).empty());
    CHECK(quantizer.backward_scale(none, none).grad_scale == Floats{0.0f});
    Floats scale{7.0f};
    quantizer.backward_scale({}, {}, std::nullopt, scale);
    CHECK(scale == Floats{7.0f});
}

// ---- Scales ---------------------------------------------------------------------------------------------------------

void scales_are_calibrated_set_and_read_per_channel() {
    Quantizer quantizer = Quantizer::uniform(3);
    CHECK(quantizer.bits() == 3);
    CHECK(quantizer.num_levels() == 8);
    CHECK(quantizer.k() == std::nullopt);
    CHECK(quantizer.scales() == Floats{0.25f});

    quantizer.init_per_channel(2);
    CHECK(quantizer.scale_count() == 2);
    CHECK(quantizer.scales() == Floats{1.0f, 1.0f});
    quantizer.init_scale(Floats{7.0f, 1.0f, 0.5f, -3.5f}); // max|w| / 3.5
    CHECK(quantizer.scales() == Floats{2.0f, 1.0f});
    CHECK(quantizer.forward(Floats{2.0f, 3.0f, 2.0f, 3.0f}).codes == Codes{1, 2, 2, 3});

    quantizer.set_scale(1, 0.5f);
    CHECK(quantizer.step_size(1) == 0.5f);
    quantizer.set_scales(Floats{4.0f, 8.0f});
    float scales[2] = {};
    quantizer.scales(scales);
    CHECK(scales[0] == 4.0f && scales[1] == 8.0f);
}

void a_pi_quantizer_calibrates_its_alphas() {
    Quantizer quantizer = Quantizer::pi(2, 3);
    quantizer.set_scale(0, 3.0f);
    CHECK(quantizer.scales() == Floats{3.0f});
    CHECK(quantizer.step_size(0) == 0x1.921fb6p+1f); // 3 * PI / 3
    quantizer.init_scale(Floats{0.0f, 0.0f});
    CHECK(quantizer.scales() == Floats{1.0f});
}

void an_alpha_is_made_from_a_range() {
    CHECK(diffquant::pi_scale_from_range(7.0f, 3, 4) == 0x1.45f306p+0f); // 4 / PI: 7 steps span the range
    CHECK_THROWS(InvalidArgument, "range is 0", (void)diffquant::pi_scale_from_range(0.0f, 3, 4));
}

// ---- Errors ---------------------------------------------------------------------------------------------------------

void errors_carry_the_status_and_the_message_of_the_library() {
    CHECK_THROWS(InvalidArgument, "bits is 9", (void)Quantizer::uniform(9));
    CHECK_THROWS(InvalidArgument, "k is 6", (void)Quantizer::pi(3, 6));
    CHECK_THROWS(UnknownConstant, "ste is 77", (void)Quantizer::uniform(3, static_cast<Ste>(77)));
    CHECK_THROWS(InvalidArgument, "scale", half_steps().set_scale(0, -1.0f));
    CHECK_THROWS(IndexOutOfRange, "group is 1", half_steps().set_scale(1, 1.0f));
    CHECK_THROWS(IndexOutOfRange, "group is 1", (void)half_steps().step_size(1));
    CHECK_THROWS(NonFinite, "w[1]", half_steps().init_scale(Floats{1.0f, infinity}));
    CHECK_THROWS(Unsupported, "STOCHASTIC", half_steps().set_rounding(Rounding::Stochastic));
    try {
        (void)Quantizer::uniform(1);
        fail(__LINE__, "nothing was thrown");
    } catch (const std::runtime_error &error) {
        CHECK(std::strcmp(error.what(), diffquant_last_error_message()) == 0);
    }
}

void an_estimator_with_a_parameter_refuses_none() {
    CHECK_THROWS(InvalidArgument, "-1", (void)Quantizer::uniform(3, Ste::Clipped));
    CHECK_THROWS(InvalidArgument, "-1", (void)Quantizer::uniform(3, Ste::Ewgs));
    CHECK_THROWS(InvalidArgument, "-1", half_steps().set_ste(Ste::Ewgs));
    CHECK_THROWS(InvalidArgument, "-1", Config().set_ste(Ste::Clipped));
    Quantizer quantizer = half_steps(Ste::Clipped, 1.0f);
    quantizer.set_ste(Ste::Standard);
    CHECK(quantizer.ste() == Ste::Standard);
    CHECK(quantizer.ste_param() == 0.0f);
}

void lengths_that_do_not_fit_each_other_are_refused() {
    const Quantizer quantizer = half_steps();
    const Floats two{0.6f, -0.9f}, three(3);
    const Codes codes(2);
    Floats out(3, 7.0f), pair(2, 7.0f);
    Codes out_codes(3, 7);
    CHECK_THROWS(LengthMismatch, "codes has 3 elements; 2 are needed", quantizer.forward(two, out_codes, pair));
    CHECK_THROWS(LengthMismatch, "values has 3 elements; 2 are needed", quantizer.forward(two, std::nullopt, out));
    CHECK_THROWS(LengthMismatch, "values has 0", quantizer.forward(two, std::nullopt, View<float>()));
    CHECK_THROWS(LengthMismatch, "grad_out has 3", quantizer.backward(two, std::nullopt, three, pair));
    CHECK_THROWS(LengthMismatch, "grad_w has 3", quantizer.backward(two, std::nullopt, two, out));
    CHECK_THROWS(LengthMismatch, "values has 3", quantizer.backward(two, three, two, pair));
    CHECK_THROWS(LengthMismatch, "grad_out has 3", (void)quantizer.backward(two, std::nullopt, three));
    CHECK_THROWS(LengthMismatch, "grad_out has 3", (void)quantizer.backward_scale(two, three));
    CHECK_THROWS(LengthMismatch, "grad_w has 3", quantizer.backward_scale(two, two, out, View<float>(pair.data(), 1)));
    CHECK_THROWS(LengthMismatch, "grad_scale has 2 elements; 1 are needed",
                 quantizer.backward_scale(two, two, std::nullopt, pair));
    CHECK_THROWS(LengthMismatch, "grad_scale has 2", quantizer.backward_scale({}, {}, std::nullopt, pair));
    CHECK_THROWS(LengthMismatch, "values has 3", quantizer.dequantize(codes, out));
    CHECK_THROWS(LengthMismatch, "out has 3", quantizer.scales(out));
    CHECK_THROWS(LengthMismatch, "scales has 3", quantizer.clone().set_scales(three));
    CHECK(out == Floats(3, 7.0f) && pair == Floats(2, 7.0f) && out_codes == Codes(3, 7));

    Quantizer per_channel = half_steps();
    per_channel.init_per_channel(2);
    CHECK_THROWS(LengthMismatch, "3", (void)per_channel.forward(three));
}

void a_view_of_elements_at_null_is_not_taken_for_one_left_out() {
    const Quantizer quantizer = half_steps();
    const Floats w{0.6f, -0.9f};
    Floats out(2);
    const View<float> nowhere(nullptr, 2);
    CHECK_THROWS(NullPointer, "values is NULL", quantizer.forward(w, std::nullopt, nowhere));
    CHECK_THROWS(NullPointer, "values is NULL", quantizer.backward(w, View<const float>(nowhere), w, out));
    CHECK_THROWS(NullPointer, "grad_w is NULL", quantizer.backward_scale(w, w, nowhere, View<float>(out.data(), 1)));
    CHECK_THROWS(NullPointer, "w is NULL", quantizer.forward(nowhere, std::nullopt, out));
}

void overlapping_buffers_are_refused() {
    Floats w{1.0f, 2.0f, 3.0f};
    CHECK_THROWS(Overlap, "w", half_steps().forward({w.data(), 2}, std::nullopt, View<float>(w.data() + 1, 2)));
    CHECK(w == Floats{1.0f, 2.0f, 3.0f});
}

// ---- Ownership ------------------------------------------------------------------------------------------------------

void moving_hands_over_the_object() {
    Quantizer first = half_steps();
    const diffquant_quantizer *const handle = std::as_const(first).native_handle();
    Quantizer second(std::move(first));
    CHECK(second.native_handle() == handle);
    CHECK(!first && second);                      // NOLINT(bugprone-use-after-move)
    Quantizer third = Quantizer::uniform(8);      // freed by the assignment
    third = std::move(second);
    CHECK(third.native_handle() == handle);
    first = std::move(third);
    CHECK(first.native_handle() == handle);
    CHECK(first.scales() == Floats{0.5f});
    std::swap(first, third);
    CHECK(third.scales() == Floats{0.5f});

    std::vector<Quantizer> layers;
    for (std::uint32_t bits = 2; bits <= 8; ++bits) {
        layers.push_back(Quantizer::uniform(bits)); // reallocates
    }
    CHECK(layers.front().bits() == 2 && layers.back().bits() == 8);
}

void a_quantizer_that_was_moved_from_throws() {
    Quantizer moved = half_steps();
    const Quantizer kept = std::move(moved);
    // NOLINTBEGIN(bugprone-use-after-move)
    const Floats w{1.0f};
    const Codes codes{1};
    CHECK(std::as_const(moved).native_handle() == nullptr);
    CHECK_THROWS(NullPointer, "quantizer is NULL", (void)moved.clone());
    CHECK_THROWS(NullPointer, "quantizer is NULL", (void)moved.bits());
    CHECK_THROWS(NullPointer, "quantizer is NULL", (void)moved.num_levels());
    CHECK_THROWS(NullPointer, "quantizer is NULL", (void)moved.k());
    CHECK_THROWS(NullPointer, "quantizer is NULL", (void)moved.ste());
    CHECK_THROWS(NullPointer, "quantizer is NULL", (void)moved.ste_param());
    CHECK_THROWS(NullPointer, "quantizer is NULL", (void)moved.rounding());
    CHECK_THROWS(NullPointer, "quantizer is NULL", (void)moved.scale_count());
    CHECK_THROWS(NullPointer, "quantizer is NULL", (void)moved.scales());
    CHECK_THROWS(NullPointer, "quantizer is NULL", (void)moved.step_size(0));
    CHECK_THROWS(NullPointer, "quantizer is NULL", moved.set_ste(Ste::Standard));
    CHECK_THROWS(NullPointer, "quantizer is NULL", moved.set_rounding(Rounding::HalfEven));
    CHECK_THROWS(NullPointer, "quantizer is NULL", moved.set_scale(0, 1.0f));
    CHECK_THROWS(NullPointer, "quantizer is NULL", moved.set_scales(w));
    CHECK_THROWS(NullPointer, "quantizer is NULL", moved.init_scale(w));
    CHECK_THROWS(NullPointer, "quantizer is NULL", moved.init_per_channel(1));
    CHECK_THROWS(NullPointer, "quantizer is NULL", (void)moved.forward(w));
    CHECK_THROWS(NullPointer, "quantizer is NULL", (void)moved.backward(w, std::nullopt, w));
    CHECK_THROWS(NullPointer, "quantizer is NULL", (void)moved.backward_scale(w, w));
    CHECK_THROWS(NullPointer, "quantizer is NULL", (void)moved.dequantize(codes));
    // NOLINTEND(bugprone-use-after-move)
    CHECK(kept.bits() == 3);
}

void a_configuration_that_was_moved_from_throws() {
    Config moved(Preset::Piq3);
    const Config kept(std::move(moved));
    // NOLINTBEGIN(bugprone-use-after-move)
    CHECK(!moved);
    CHECK_THROWS(NullPointer, "config is NULL", (void)moved.clone());
    CHECK_THROWS(NullPointer, "config is NULL", (void)moved.to_json());
    CHECK_THROWS(NullPointer, "config is NULL", moved.validate());
    CHECK_THROWS(NullPointer, "config is NULL", moved.set_bits(3));
    CHECK_THROWS(NullPointer, "config is NULL", (void)moved.bits());
    CHECK_THROWS(NullPointer, "config is NULL", (void)moved.code_range());
    CHECK_THROWS(NullPointer, "config is NULL", (void)moved.granularity());
    CHECK_THROWS(NullPointer, "config is NULL", (void)Quantizer(moved));
    // NOLINTEND(bugprone-use-after-move)
    CHECK(kept.bits() == 3);
}

void a_clone_shares_nothing() {
    Quantizer original = half_steps();
    Quantizer copy = original.clone();
    copy.set_scale(0, 2.0f);
    copy.set_ste(Ste::Clipped, 3.0f);
    CHECK(original.scales() == Floats{0.5f} && original.ste() == Ste::Standard);
    original.set_scale(0, 4.0f);
    CHECK(copy.scales() == Floats{2.0f});

    Config config;
    Config other = config.clone();
    other.set_bits(2);
    CHECK(config.bits() == 4 && other.bits() == 2);
}

void a_clone_of_a_configuration_has_every_bit() {
    constexpr float awkward[] = {0.1f, 1.0f / 3.0f, 16777216.0f, 1e-45f, 1.17549435e-38f, 3.40282347e+38f};
    for (const float number : awkward) {
        Config config(Preset::Piq2);
        config.set_learning_rate(number).set_ste(Ste::Ewgs, number).set_grad_clip(number);
        const Config copy = config.clone();
        CHECK(copy.to_json() == config.to_json());
        CHECK(copy.learning_rate() == number && copy.ste_param() == number && copy.grad_clip() == number);
    }
}

void a_c_object_can_be_adopted_and_released() {
    diffquant_quantizer *object = nullptr;
    CHECK(diffquant_quantizer_new_pi(3, 4, &object) == DIFFQUANT_STATUS_OK);
    Quantizer owner = Quantizer::adopt(object);
    CHECK(owner && owner.k() == 4u);
    CHECK(diffquant_quantizer_set_scale(owner.native_handle(), 0, 2.0f) == DIFFQUANT_STATUS_OK);
    diffquant_quantizer *const released = owner.release();
    CHECK(released == object);
    CHECK(!owner);
    diffquant_quantizer_free(released);

    diffquant_config *const config = Config().release();
    CHECK(Config::adopt(config).bits() == 4);
    CHECK(!Quantizer::adopt(nullptr));
}

// ---- Views ----------------------------------------------------------------------------------------------------------

// A container of another library: its sizes are signed.
struct Foreign {
    float elements[2] = {0.6f, -0.9f};
    float *data() { return elements; }
    const float *data() const { return elements; }
    [[nodiscard]] std::ptrdiff_t size() const { return 2; }
};

void tensors_come_in_any_contiguous_container() {
    const Quantizer quantizer = half_steps();
    const Floats expected{0.5f, -1.0f};
    const std::array<float, 2> array{0.6f, -0.9f};
    const float c_array[] = {0.6f, -0.9f};
    Floats vector{0.6f, -0.9f};
    CHECK(quantizer.forward(array).values == expected);
    CHECK(quantizer.forward(c_array).values == expected);
    CHECK(quantizer.forward(vector).values == expected);
    CHECK(quantizer.forward(std::as_const(vector)).values == expected);
    CHECK(quantizer.forward(Floats{0.6f, -0.9f}).values == expected);
    CHECK(quantizer.forward({vector.data(), vector.size()}).values == expected);
    CHECK(quantizer.forward(View(vector.data(), 1)).values == Floats{0.5f});
    CHECK(quantizer.forward(Foreign()).values == expected);

    std::array<float, 2> to_array{};
    float to_c_array[2] = {};
    Foreign to_foreign;
    std::int8_t codes[2] = {};
    quantizer.forward(vector, codes, to_array);
    CHECK(codes[0] == 1 && codes[1] == -2);
    CHECK(to_array == std::array<float, 2>{0.5f, -1.0f});
    quantizer.forward(vector, std::nullopt, to_c_array);
    CHECK(to_c_array[0] == 0.5f && to_c_array[1] == -1.0f);
    quantizer.forward(vector, std::nullopt, to_foreign);
    CHECK(to_foreign.elements[0] == 0.5f && to_foreign.elements[1] == -1.0f);
#if defined(__cpp_lib_span)
    Floats to_span(4);
    quantizer.forward(std::span<const float>(vector), std::nullopt, std::span(to_span).subspan(1, 2));
    CHECK(to_span == Floats{0.0f, 0.5f, -1.0f, 0.0f});
#endif
}

void a_view_is_a_range() {
    Floats vector{1.0f, 2.0f};
    for (float &element : View<float>(vector)) {
        element *= 2.0f;
    }
    CHECK(vector == Floats{2.0f, 4.0f});
    constexpr View<const float> none;
    CHECK(none.data() == nullptr && none.size() == 0 && none.begin() == none.end());
}

// ---- Configurations -------------------------------------------------------------------------------------------------

void a_configuration_starts_with_the_defaults() {
    const Config config;
    CHECK(config.bits() == 4);
    CHECK(config.ste() == Ste::Standard && config.ste_param() == 0.0f);
    CHECK(config.granularity() == Granularity::PerChannel && config.block_size() == 0);
    CHECK(config.pi_k() == std::nullopt);
    CHECK(config.grad_clip() == 1.0f);
    CHECK(config.symmetric() && !config.use_incoherence() && config.use_distillation() && config.freeze_teacher());
    CHECK(config.num_levels() == 16);
    CHECK(config.code_range().min == -8 && config.code_range().max == 7);
    CHECK(config.bits_per_weight() == 4.125f);
    CHECK(config.parameter_count(1024, 16) == 32);
    CHECK_THROWS(NotApplicable, "k", (void)config.pi_step(1.0f));
    config.validate();
}

void every_field_can_be_set_and_read() {
    Config config;
    config.set_bits(3)
        .set_ste(Ste::Ewgs, 0.25f)
        .set_granularity(Granularity::PerBlock, 64)
        .set_pi_k(4)
        .set_grad_clip(2.0f)
        .set_lambda_task(3.0f)
        .set_lambda_kd(4.0f)
        .set_lambda_reasoning(5.0f)
        .set_kd_temperature(6.0f)
        .set_epochs(7)
        .set_learning_rate(8.0f)
        .set_warmup_epochs(9)
        .set_weight_decay(10.0f)
        .set_use_incoherence(true)
        .set_symmetric(false)
        .set_use_distillation(false)
        .set_freeze_teacher(false);
    for (const Config &same : {config.clone(), Config::from_json(config.to_json())}) {
        CHECK(same.bits() == 3);
        CHECK(same.ste() == Ste::Ewgs && same.ste_param() == 0.25f);
        CHECK(same.granularity() == Granularity::PerBlock && same.block_size() == 64);
        CHECK(same.pi_k() == 4u);
        CHECK(same.pi_step(2.0f) == 0x1.921fb6p+0f);
        CHECK(same.grad_clip() == 2.0f);
        CHECK(same.lambda_task() == 3.0f && same.lambda_kd() == 4.0f && same.lambda_reasoning() == 5.0f);
        CHECK(same.kd_temperature() == 6.0f);
        CHECK(same.epochs() == 7 && same.warmup_epochs() == 9);
        CHECK(same.learning_rate() == 8.0f && same.weight_decay() == 10.0f);
        CHECK(same.use_incoherence() && !same.symmetric() && !same.use_distillation() && !same.freeze_teacher());
    }
    config.set_pi_k(std::nullopt).set_grad_clip(std::nullopt);
    CHECK(config.pi_k() == std::nullopt && config.grad_clip() == std::nullopt);
}

void a_configuration_makes_a_quantizer() {
    Config config(Preset::Piq3);
    const Quantizer quantizer(config);
    config.set_bits(2); // the quantizer has a copy
    CHECK(quantizer.bits() == 3 && quantizer.k() == 4u && quantizer.scales() == Floats{1.0f});
    CHECK(Quantizer(Config(Preset::Piq2)).num_levels() == 4);
    CHECK(Quantizer(Config().set_bits(5).set_pi_k(2)).bits() == 5);
}

void a_configuration_goes_to_json_and_back() {
    const std::string json = Config(Preset::Piq3).to_json();
    CHECK(json.find("\"pi_k\": 4") != std::string::npos);
    CHECK(json.front() == '{' && json.back() == '}');
    CHECK(Config::from_json(json).to_json() == json);
    const std::string longer = json + "garbage after the end of the view";
    CHECK(Config::from_json(std::string_view(longer).substr(0, json.size())).to_json() == json);
    CHECK_THROWS(InvalidJson, "bits", (void)Config::from_json("{}"));
    CHECK_THROWS(InvalidJson, "", (void)Config::from_json({}));
    CHECK_THROWS(InvalidUtf8, "", (void)Config::from_json("\xff"));
}

void json_is_not_judged_and_reads_as_it_is_written() {
    std::string json = Config().to_json();
    const std::string valid = "\"grad_clip\": 1.0";
    CHECK(json.find(valid) != std::string::npos);
    json.replace(json.find(valid), valid.size(), "\"grad_clip\": -1.0");
    CHECK(Config::from_json(json).grad_clip() == -1.0f);
}

void a_configuration_says_what_is_wrong_with_it() {
    Config config;
    CHECK_THROWS(InvalidArgument, "bits is 7", config.set_bits(3).set_bits(7));
    CHECK(config.bits() == 3); // the first of the two calls was carried out
    config.set_bits(8).set_pi_k(4);
    CHECK_THROWS(InvalidConfig, "pi_k", config.validate());
    CHECK_THROWS(InvalidConfig, "pi_k", (void)Quantizer(config));
}

// ---- The library ----------------------------------------------------------------------------------------------------

void statuses_have_names() {
    CHECK(std::strcmp(diffquant::status_name(Status::LengthMismatch), "DIFFQUANT_STATUS_LENGTH_MISMATCH") == 0);
    CHECK(std::strcmp(diffquant::status_name(static_cast<Status>(12345)), "unknown status") == 0);
}

void the_two_versions_agree() {
    const std::uint32_t number = diffquant::version_number();
    const std::string text = std::to_string(number >> 16) + "." + std::to_string(number >> 8 & 255) + "." +
                             std::to_string(number & 255);
    CHECK(text == diffquant::version_string());
    CHECK(number == diffquant::header_version_number);
}

// ---- Who computes, and with what -------------------------------------------------------------------------------------

// Calls the parts one after the other, and counts itself.
void sequential_pool(void *calls, std::size_t count, void (*run)(void *, std::size_t), void *task) {
    ++*static_cast<int *>(calls);
    for (std::size_t index = 0; index < count; ++index) {
        run(task, index);
    }
}

void threads_pools_and_instruction_sets_change_no_bit() {
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

void the_header_can_be_in_several_translation_units() {
    CHECK(quantized_elsewhere(half_steps(), Floats{0.6f}) == Floats{0.5f});
    CHECK_THROWS(Unsupported, "thrown elsewhere", throw_elsewhere());
}

// ---- The list of tests ----------------------------------------------------------------------------------------------

struct Test {
    const char *name;
    void (*run)();
};

#define TEST(name) Test{#name, name}

const Test tests[] = {
    TEST(forward_gives_codes_and_values),
    TEST(forward_writes_only_the_outputs_that_are_wanted),
    TEST(forward_works_in_place),
    TEST(a_pi_quantizer_has_steps_of_alpha_pi_over_k),
    TEST(rounding_decides_what_happens_halfway),
    TEST(backward_follows_the_estimator),
    TEST(backward_works_in_place),
    TEST(backward_scale_gives_both_gradients),
    TEST(dequantize_does_not_clamp),
    TEST(tensors_of_no_elements_are_fine),
    TEST(scales_are_calibrated_set_and_read_per_channel),
    TEST(a_pi_quantizer_calibrates_its_alphas),
    TEST(an_alpha_is_made_from_a_range),
    TEST(errors_carry_the_status_and_the_message_of_the_library),
    TEST(an_estimator_with_a_parameter_refuses_none),
    TEST(lengths_that_do_not_fit_each_other_are_refused),
    TEST(a_view_of_elements_at_null_is_not_taken_for_one_left_out),
    TEST(overlapping_buffers_are_refused),
    TEST(moving_hands_over_the_object),
    TEST(a_quantizer_that_was_moved_from_throws),
    TEST(a_configuration_that_was_moved_from_throws),
    TEST(a_clone_shares_nothing),
    TEST(a_clone_of_a_configuration_has_every_bit),
    TEST(a_c_object_can_be_adopted_and_released),
    TEST(tensors_come_in_any_contiguous_container),
    TEST(a_view_is_a_range),
    TEST(a_configuration_starts_with_the_defaults),
    TEST(every_field_can_be_set_and_read),
    TEST(a_configuration_makes_a_quantizer),
    TEST(a_configuration_goes_to_json_and_back),
    TEST(json_is_not_judged_and_reads_as_it_is_written),
    TEST(a_configuration_says_what_is_wrong_with_it),
    TEST(statuses_have_names),
    TEST(the_two_versions_agree),
    TEST(threads_pools_and_instruction_sets_change_no_bit),
    TEST(the_header_can_be_in_several_translation_units),
};

} // namespace

int main() {
    for (const Test &test : tests) {
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
    std::printf("diffquant %s: %zu tests passed\n", diffquant::version_string(), sizeof tests / sizeof tests[0]);
    return 0;
}
