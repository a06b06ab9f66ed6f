// Views: what converts to one, and what must not.
#include "checks.hpp"

#if defined(__cpp_lib_span)
#include <span>
#endif

namespace {

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

} // namespace

// ---- Views ----------------------------------------------------------------------------------------------------------

namespace {

// A container of another library: its sizes are signed.
struct Foreign {
    float elements[2] = {0.6f, -0.9f};
    float *data() { return elements; }
    const float *data() const { return elements; }
    [[nodiscard]] std::ptrdiff_t size() const { return 2; }
};

} // namespace

TEST(tensors_come_in_any_contiguous_container) {
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

TEST(a_view_is_a_range) {
    Floats vector{1.0f, 2.0f};
    for (float &element : View<float>(vector)) {
        element *= 2.0f;
    }
    CHECK(vector == Floats{2.0f, 4.0f});
    constexpr View<const float> none;
    CHECK(none.data() == nullptr && none.size() == 0 && none.begin() == none.end());
}
