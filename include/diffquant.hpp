/**
 * @file diffquant.hpp
 * @brief C++17 over diffquant.h: objects that own their handles, views instead of pointer and length, exceptions.
 *
 * One training step of a 16 x 64 weight matrix at 4 bits, one scale per row:
 *
 * @code{.cpp}
 *     auto quantizer = diffquant::Quantizer::uniform(4);
 *     quantizer.init_per_channel(16);
 *     quantizer.init_scale(w);                     // w, values and so on: any contiguous container of 16 * 64 floats
 *     quantizer.forward(w, std::nullopt, values);
 *     // ... the network runs on values; its backward pass gives grad_values ...
 *     quantizer.backward(w, values, grad_values, grad_w);
 * @endcode
 *
 * The manual is diffquant.h: a comment here names the C function that it calls, and says only what C++ adds. What holds
 * for all of it:
 *
 * - Errors. Whatever the C library refuses is thrown as diffquant::Error, which carries the status and the message; so
 *   are lengths that do not fit each other, which C cannot see (Status::LengthMismatch). A call that throws has changed
 *   nothing and written nothing. Functions that return a container may also throw std::bad_alloc.
 * - Objects. Config, Quantizer and Observer own what they hold, can be moved, and are copied only by clone(). One that was moved
 *   from may be destroyed or assigned to; calls on it throw Error with Status::NullPointer.
 * - Threads. Const members of one object may run at the same time; any other member needs the object to itself.
 *   Different objects are independent.
 * - Buffers. Tensors are given as View: std::vector, std::array, C arrays, std::span and {pointer, length} convert. Two
 *   of one call may be the very same (in place) only where the comment says so; any other overlap with an output is
 *   refused.
 *
 * It needs C++17 and the standard library, and works without RTTI.
 */

#ifndef DIFFQUANT_HPP
#define DIFFQUANT_HPP

#include "diffquant.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

/// Differentiable quantizers for quantization-aware training.
namespace diffquant {

// ---- Constants ------------------------------------------------------------------------------------------------------

/// What became of a call, the diffquant_status of C. A newer library may give numbers that are not named here.
enum class Status : diffquant_status {
    Ok = DIFFQUANT_STATUS_OK,                               ///< #DIFFQUANT_STATUS_OK; never in an Error
    NullPointer = DIFFQUANT_STATUS_NULL_POINTER,            ///< #DIFFQUANT_STATUS_NULL_POINTER
    InvalidArgument = DIFFQUANT_STATUS_INVALID_ARGUMENT,    ///< #DIFFQUANT_STATUS_INVALID_ARGUMENT
    UnknownConstant = DIFFQUANT_STATUS_UNKNOWN_CONSTANT,    ///< #DIFFQUANT_STATUS_UNKNOWN_CONSTANT
    LengthMismatch = DIFFQUANT_STATUS_LENGTH_MISMATCH,      ///< #DIFFQUANT_STATUS_LENGTH_MISMATCH
    IndexOutOfRange = DIFFQUANT_STATUS_INDEX_OUT_OF_RANGE,  ///< #DIFFQUANT_STATUS_INDEX_OUT_OF_RANGE
    Overlap = DIFFQUANT_STATUS_OVERLAP,                     ///< #DIFFQUANT_STATUS_OVERLAP
    Misaligned = DIFFQUANT_STATUS_MISALIGNED,               ///< #DIFFQUANT_STATUS_MISALIGNED
    SizeOverflow = DIFFQUANT_STATUS_SIZE_OVERFLOW,          ///< #DIFFQUANT_STATUS_SIZE_OVERFLOW
    NotApplicable = DIFFQUANT_STATUS_NOT_APPLICABLE,        ///< #DIFFQUANT_STATUS_NOT_APPLICABLE
    InvalidConfig = DIFFQUANT_STATUS_INVALID_CONFIG,        ///< #DIFFQUANT_STATUS_INVALID_CONFIG
    NoShape = DIFFQUANT_STATUS_NO_SHAPE,                    ///< #DIFFQUANT_STATUS_NO_SHAPE
    NoData = DIFFQUANT_STATUS_NO_DATA,                      ///< #DIFFQUANT_STATUS_NO_DATA
    Incompatible = DIFFQUANT_STATUS_INCOMPATIBLE,           ///< #DIFFQUANT_STATUS_INCOMPATIBLE
    InvalidHandle = DIFFQUANT_STATUS_INVALID_HANDLE,        ///< #DIFFQUANT_STATUS_INVALID_HANDLE
    NonFinite = DIFFQUANT_STATUS_NON_FINITE,                ///< #DIFFQUANT_STATUS_NON_FINITE
    InvalidJson = DIFFQUANT_STATUS_INVALID_JSON,            ///< #DIFFQUANT_STATUS_INVALID_JSON
    InvalidUtf8 = DIFFQUANT_STATUS_INVALID_UTF8,            ///< #DIFFQUANT_STATUS_INVALID_UTF8
    BufferTooSmall = DIFFQUANT_STATUS_BUFFER_TOO_SMALL,     ///< #DIFFQUANT_STATUS_BUFFER_TOO_SMALL
    OutOfMemory = DIFFQUANT_STATUS_OUT_OF_MEMORY,           ///< #DIFFQUANT_STATUS_OUT_OF_MEMORY
    Unsupported = DIFFQUANT_STATUS_UNSUPPORTED,             ///< #DIFFQUANT_STATUS_UNSUPPORTED
    Internal = DIFFQUANT_STATUS_INTERNAL,                   ///< #DIFFQUANT_STATUS_INTERNAL
};

/// A ready-made configuration, the diffquant_preset of C.
enum class Preset : diffquant_preset {
    Piq3 = DIFFQUANT_PRESET_PIQ3,  ///< #DIFFQUANT_PRESET_PIQ3
    Piq2 = DIFFQUANT_PRESET_PIQ2,  ///< #DIFFQUANT_PRESET_PIQ2
};

/// Which weights share a scale, the diffquant_granularity of C.
enum class Granularity : diffquant_granularity {
    PerTensor = DIFFQUANT_GRANULARITY_PER_TENSOR,    ///< #DIFFQUANT_GRANULARITY_PER_TENSOR
    PerChannel = DIFFQUANT_GRANULARITY_PER_CHANNEL,  ///< #DIFFQUANT_GRANULARITY_PER_CHANNEL
    PerToken = DIFFQUANT_GRANULARITY_PER_TOKEN,      ///< #DIFFQUANT_GRANULARITY_PER_TOKEN
    PerBlock = DIFFQUANT_GRANULARITY_PER_BLOCK,      ///< #DIFFQUANT_GRANULARITY_PER_BLOCK
};

/// A straight-through estimator, the diffquant_ste of C, whose constants give the formulas and their parameters.
enum class Ste : diffquant_ste {
    Standard = DIFFQUANT_STE_STANDARD,                 ///< #DIFFQUANT_STE_STANDARD
    Clipped = DIFFQUANT_STE_CLIPPED,                   ///< #DIFFQUANT_STE_CLIPPED
    LearnedStepSize = DIFFQUANT_STE_LEARNED_STEP_SIZE, ///< #DIFFQUANT_STE_LEARNED_STEP_SIZE
    Ewgs = DIFFQUANT_STE_EWGS,                         ///< #DIFFQUANT_STE_EWGS
    RangeClipped = DIFFQUANT_STE_RANGE_CLIPPED,        ///< #DIFFQUANT_STE_RANGE_CLIPPED
    Lsq = DIFFQUANT_STE_LSQ,                           ///< #DIFFQUANT_STE_LSQ
    LsqPlus = DIFFQUANT_STE_LSQ_PLUS,                  ///< #DIFFQUANT_STE_LSQ_PLUS
    EwgsSigned = DIFFQUANT_STE_EWGS_SIGNED,            ///< #DIFFQUANT_STE_EWGS_SIGNED
};

/// The parameter of an estimator, or of a method of calibration, that has none. Those that have one refuse it.
inline constexpr float no_ste_param = -1.0f;

/// What happens between two codes, the diffquant_rounding of C.
enum class Rounding : diffquant_rounding {
    HalfAway = DIFFQUANT_ROUNDING_HALF_AWAY,    ///< #DIFFQUANT_ROUNDING_HALF_AWAY
    HalfEven = DIFFQUANT_ROUNDING_HALF_EVEN,    ///< #DIFFQUANT_ROUNDING_HALF_EVEN
    Stochastic = DIFFQUANT_ROUNDING_STOCHASTIC, ///< #DIFFQUANT_ROUNDING_STOCHASTIC
};

/// What forward does with NaNs and infinities, the diffquant_non_finite of C.
enum class NonFinite : diffquant_non_finite {
    Zero = DIFFQUANT_NON_FINITE_ZERO,           ///< #DIFFQUANT_NON_FINITE_ZERO
    Propagate = DIFFQUANT_NON_FINITE_PROPAGATE, ///< #DIFFQUANT_NON_FINITE_PROPAGATE
    Reject = DIFFQUANT_NON_FINITE_REJECT,       ///< #DIFFQUANT_NON_FINITE_REJECT
};

/// Which codes are used, the diffquant_code_range of C. CodeBounds are their ends.
enum class CodeRange : diffquant_code_range {
    Full = DIFFQUANT_CODE_RANGE_FULL,         ///< #DIFFQUANT_CODE_RANGE_FULL
    Narrow = DIFFQUANT_CODE_RANGE_NARROW,     ///< #DIFFQUANT_CODE_RANGE_NARROW
    Unsigned = DIFFQUANT_CODE_RANGE_UNSIGNED, ///< #DIFFQUANT_CODE_RANGE_UNSIGNED
};

/// How scales are chosen from weights, the diffquant_scale_init of C.
enum class ScaleInit : diffquant_scale_init {
    MaxAbs = DIFFQUANT_SCALE_INIT_MAX_ABS,         ///< #DIFFQUANT_SCALE_INIT_MAX_ABS
    MinMax = DIFFQUANT_SCALE_INIT_MIN_MAX,         ///< #DIFFQUANT_SCALE_INIT_MIN_MAX
    Lsq = DIFFQUANT_SCALE_INIT_LSQ,                ///< #DIFFQUANT_SCALE_INIT_LSQ
    Percentile = DIFFQUANT_SCALE_INIT_PERCENTILE,  ///< #DIFFQUANT_SCALE_INIT_PERCENTILE
    Mse = DIFFQUANT_SCALE_INIT_MSE,                ///< #DIFFQUANT_SCALE_INIT_MSE
};

/// What an observer remembers, the diffquant_observer_kind of C.
enum class ObserverKind : diffquant_observer_kind {
    MinMax = DIFFQUANT_OBSERVER_KIND_MIN_MAX,               ///< #DIFFQUANT_OBSERVER_KIND_MIN_MAX
    MovingAverage = DIFFQUANT_OBSERVER_KIND_MOVING_AVERAGE, ///< #DIFFQUANT_OBSERVER_KIND_MOVING_AVERAGE
    Histogram = DIFFQUANT_OBSERVER_KIND_HISTOGRAM,          ///< #DIFFQUANT_OBSERVER_KIND_HISTOGRAM
};

/// What a tensor is made of, the diffquant_dtype of C. F32 is what functions without a Dtype take.
enum class Dtype : diffquant_dtype {
    F32 = DIFFQUANT_DTYPE_F32,   ///< #DIFFQUANT_DTYPE_F32
    F16 = DIFFQUANT_DTYPE_F16,   ///< #DIFFQUANT_DTYPE_F16
    Bf16 = DIFFQUANT_DTYPE_BF16, ///< #DIFFQUANT_DTYPE_BF16
};

/// An instruction set, the diffquant_isa of C.
enum class Isa : diffquant_isa {
    Fastest = DIFFQUANT_ISA_FASTEST,   ///< #DIFFQUANT_ISA_FASTEST
    Baseline = DIFFQUANT_ISA_BASELINE, ///< #DIFFQUANT_ISA_BASELINE
    Avx2 = DIFFQUANT_ISA_AVX2,         ///< #DIFFQUANT_ISA_AVX2
    Avx512 = DIFFQUANT_ISA_AVX512,     ///< #DIFFQUANT_ISA_AVX512
    Neon = DIFFQUANT_ISA_NEON,         ///< #DIFFQUANT_ISA_NEON
};

// ---- The library ----------------------------------------------------------------------------------------------------

/// The name of a status: diffquant_status_name().
/// @param status any status
/// @return its C name, such as "DIFFQUANT_STATUS_OVERLAP"; lives as long as the library is loaded
[[nodiscard]] inline const char *status_name(Status status) noexcept {
    return diffquant_status_name(static_cast<diffquant_status>(status));
}

/// The version of the loaded library: diffquant_version_string().
/// @return "major.minor.patch"; lives as long as the library is loaded
[[nodiscard]] inline const char *version_string() noexcept { return diffquant_version_string(); }

/// The version of the loaded library: diffquant_version_number().
/// @return major << 16 | minor << 8 | patch
[[nodiscard]] inline std::uint32_t version_number() noexcept { return diffquant_version_number(); }

/// The version of the C header that was compiled, comparable with version_number().
inline constexpr std::uint32_t header_version_number =
    DIFFQUANT_VERSION_MAJOR << 16 | DIFFQUANT_VERSION_MINOR << 8 | DIFFQUANT_VERSION_PATCH;

/// The name of the instruction set in use: diffquant_isa_name().
/// @return "baseline", "avx2", "avx512" or "neon"; lives as long as the library is loaded
[[nodiscard]] inline const char *isa_name() noexcept { return diffquant_isa_name(); }

// ---- Errors ---------------------------------------------------------------------------------------------------------

/// A call that was refused: why, in a status for programs and in a message, what(), for people.
class Error : public std::runtime_error {
public:
    /// @param status why
    /// @param message why, in words that name the argument and its value
    Error(Status status, const std::string &message) : std::runtime_error(message), status_(status) {}

    /// @return why; status_name() has its name
    [[nodiscard]] Status status() const noexcept { return status_; }

private:
    Status status_;
};

// ---- Views ----------------------------------------------------------------------------------------------------------

/// Contiguous elements that somebody else owns: a pointer and a length, passed by value.
///
/// Inputs are `View<const T>`, outputs `View<T>`. Both convert from whatever has data() and size() (std::vector,
/// std::array, std::span, another view) and from a C array. A const container does not convert to an output; neither
/// does a temporary one, whose elements nobody could read afterwards, while a temporary span does. As an input a
/// temporary container is fine: it lives until the call returns. A view kept in a variable must not outlive its
/// container.
///
/// @tparam T float, std::int8_t, std::uint16_t, std::int32_t, std::uint64_t or std::size_t; const for an input
template <class T>
class View {
    // A temporary is judged as if it were const, which a container passes on to its elements and a span does not.
    template <class Container>
    using judged = std::conditional_t<std::is_lvalue_reference_v<Container>, Container, const Container &>;

    // Pointers to arrays convert when at most const is added: unlike pointers to elements, not from derived to base.
    template <class Container>
    using if_converts = std::enable_if_t<
        std::is_convertible_v<std::remove_pointer_t<decltype(std::declval<judged<Container>>().data())> (*)[],
                              T (*)[]> &&
        std::is_convertible_v<decltype(std::declval<judged<Container>>().size()), std::size_t>>;

public:
    using element_type = T;                 ///< what it views, const for an input
    using value_type = std::remove_cv_t<T>; ///< what it views, without const

    /// No elements.
    constexpr View() noexcept = default;

    /// @param data the first element; may be null when size is 0
    /// @param size how many elements there are
    constexpr View(T *data, std::size_t size) noexcept : data_(data), size_(size) {}

    /// @param array all of its elements are viewed
    template <std::size_t N>
    constexpr View(T (&array)[N]) noexcept : data_(array), size_(N) {}

    /// @param container all of its elements are viewed
    template <class Container, class = if_converts<Container>>
    constexpr View(Container &&container)
        : data_(container.data()), size_(static_cast<std::size_t>(container.size())) {}

    /// @return the first element
    [[nodiscard]] constexpr T *data() const noexcept { return data_; }

    /// @return how many elements there are
    [[nodiscard]] constexpr std::size_t size() const noexcept { return size_; }

    /// @return the first element
    [[nodiscard]] constexpr T *begin() const noexcept { return data_; }

    /// @return the end, past the last element
    [[nodiscard]] constexpr T *end() const noexcept { return data_ + size_; }

private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};

/// A view that may be left out, with std::nullopt. A view of no elements is not left out, but has no elements.
/// @tparam T as for View
template <class T>
using OptionalView = std::optional<View<T>>;

/// @cond
namespace detail {

inline void check(diffquant_status status) {
    if (status != DIFFQUANT_STATUS_OK) {
        throw Error(static_cast<Status>(status), diffquant_last_error_message());
    }
}

/// Calls a C function whose last argument receives the result: a number, or a new object.
template <class T, class Function, class... Arguments>
[[nodiscard]] T result(Function function, Arguments... arguments) {
    T value{};
    check(function(arguments..., &value));
    return value;
}

/// Refuses a view of another length than the call's others have.
inline void require_length(const char *argument, std::size_t length, std::size_t needed) {
    if (length != needed) {
        throw Error(Status::LengthMismatch, std::string(argument) + " has " + std::to_string(length) + " elements; " +
                                                std::to_string(needed) + " are needed");
    }
}

/// The number of a type whose elements are given as std::uint16_t.
[[nodiscard]] inline diffquant_dtype require_16_bits(Dtype dtype) {
    if (dtype == Dtype::F32) {
        throw Error(Status::UnknownConstant, "dtype is F32; elements of 16 bits need F16 or Bf16");
    }
    return static_cast<diffquant_dtype>(dtype);
}

/// The pointer of an optional argument. Null means "left out" to C, so a view of elements at null is refused here.
template <class T>
[[nodiscard]] T *data_or_null(const char *argument, const OptionalView<T> &view, std::size_t needed) {
    if (!view.has_value()) {
        return nullptr;
    }
    require_length(argument, view->size(), needed);
    if (view->data() == nullptr && needed != 0) {
        throw Error(Status::NullPointer, std::string(argument) + " is NULL");
    }
    return view->data();
}

/// How each C type is freed.
// An empty view may point nowhere, which C would take for a mistake of another kind.
[[nodiscard]] inline const char *start(std::string_view text) noexcept {
    return text.data() != nullptr ? text.data() : "";
}

struct Free {
    void operator()(diffquant_config *config) const noexcept { diffquant_config_free(config); }
    void operator()(diffquant_quantizer *quantizer) const noexcept { diffquant_quantizer_free(quantizer); }
    void operator()(diffquant_observer *observer) const noexcept { diffquant_observer_free(observer); }
    void operator()(diffquant_rotation *rotation) const noexcept { diffquant_rotation_free(rotation); }
};

} // namespace detail
/// @endcond

// ---- Ownership ------------------------------------------------------------------------------------------------------

/// The one owner of a C object: what Config, Quantizer, Observer and Rotation have in common. Moved, never copied; frees what it
/// holds.
/// @tparam Object the C type
template <class Object>
class Handle {
public:
    /// @return whether there is an object: not after a move or a release()
    [[nodiscard]] explicit operator bool() const noexcept { return object_ != nullptr; }

    /// @return the C object, for C functions that only read it; still owned here; null after a move
    [[nodiscard]] const Object *native_handle() const noexcept { return object_.get(); }

    /// @return the C object, for C functions that change it; still owned here; null after a move
    [[nodiscard]] Object *native_handle() noexcept { return object_.get(); }

    /// Gives the C object away.
    /// @return the C object, which the caller now has to free; null after a move
    [[nodiscard]] Object *release() noexcept { return object_.release(); }

    /// @cond
protected:
    explicit Handle(Object *object) noexcept : object_(object) {}
    Handle(Handle &&) noexcept = default;
    Handle &operator=(Handle &&) noexcept = default;
    ~Handle() = default;

    // Every C function is called through one of these. A const member has a const handle to pass and so reaches only C
    // functions that may run at the same time.

    template <class Function, class... Arguments>
    void call(Function function, Arguments... arguments) const {
        detail::check(function(native_handle(), arguments...));
    }

    template <class Function, class... Arguments>
    void call(Function function, Arguments... arguments) {
        detail::check(function(native_handle(), arguments...));
    }

    template <class T, class Function, class... Arguments>
    [[nodiscard]] T get(Function function, Arguments... arguments) const {
        return detail::result<T>(function, native_handle(), arguments...);
    }

    // What a C function writes as text.
    template <class Function>
    [[nodiscard]] std::string text(Function function) const {
        std::size_t length = 0;
        const diffquant_status status = function(native_handle(), nullptr, 0, &length);
        if (status != DIFFQUANT_STATUS_BUFFER_TOO_SMALL) {
            detail::check(status);
        }
        std::string text(length, '\0');
        call(function, text.data(), length + 1, &length); // a string has room for the NUL
        return text;
    }

private:
    std::unique_ptr<Object, detail::Free> object_;
    /// @endcond
};

// ---- Configurations -------------------------------------------------------------------------------------------------

/// The smallest and the largest code of a configuration or a quantizer.
struct CodeBounds {
    std::int32_t min; ///< the smallest code
    std::int32_t max; ///< the largest code
};

/// A configuration of quantization-aware training: diffquant_config.
///
/// Setters refuse a value that is wrong by itself (Status::InvalidArgument); what is wrong only together with other
/// fields, validate() tells. They return the configuration, so that they chain: to keep it, name it first, as in
/// `Config config; config.set_bits(3).set_pi_k(4);`. A temporary is used at once, as in
/// `Quantizer(Config().set_bits(3).set_pi_k(4))`.
class Config : public Handle<diffquant_config> {
public:
    /// Every field at its default: diffquant_config_new().
    Config() : Handle(detail::result<diffquant_config *>(diffquant_config_new)) {}

    /// A ready-made one: diffquant_config_new_preset().
    /// @param preset which
    explicit Config(Preset preset)
        : Handle(detail::result<diffquant_config *>(diffquant_config_new_preset,
                                                    static_cast<diffquant_preset>(preset))) {}

    /// Reads JSON: diffquant_config_from_json(). Its values are not judged; see validate().
    /// @param json UTF-8 text, at most 1 MiB
    /// @return the configuration
    /// @throws Error with InvalidJson, InvalidUtf8 or SizeOverflow
    [[nodiscard]] static Config from_json(std::string_view json) {
        return Config(detail::result<diffquant_config *>(diffquant_config_from_json, detail::start(json), json.size()));
    }

    /// Takes a C object into ownership.
    /// @param object the C object, which nobody else may free; null gives what a move leaves behind
    /// @return its owner
    [[nodiscard]] static Config adopt(diffquant_config *object) noexcept { return Config(object); }

    /// @return a copy that shares nothing with this one: diffquant_config_clone()
    [[nodiscard]] Config clone() const {
        return Config(detail::result<diffquant_config *>(diffquant_config_clone, native_handle()));
    }

    /// Writes JSON, indented by two spaces: diffquant_config_to_json().
    /// @return UTF-8 text
    /// @throws Error with InvalidConfig for a number that JSON cannot express
    [[nodiscard]] std::string to_json() const { return text(diffquant_config_to_json); }

    /// Throws when the configuration makes no sense: diffquant_config_validate().
    /// @throws Error with InvalidConfig, whose message names the first field that is wrong
    void validate() const { call(diffquant_config_validate); }

    /// @return the number of codes: diffquant_config_num_levels()
    [[nodiscard]] std::uint32_t num_levels() const { return get<std::uint32_t>(diffquant_config_num_levels); }

    /// @return the smallest and the largest code: diffquant_config_code_range()
    [[nodiscard]] CodeBounds code_range() const {
        CodeBounds bounds{};
        call(diffquant_config_code_range, &bounds.min, &bounds.max);
        return bounds;
    }

    /// The step that a pi configuration gives to an alpha: diffquant_config_pi_step().
    /// @param alpha the scale
    /// @return alpha * PI / k
    /// @throws Error with NotApplicable for a uniform configuration
    [[nodiscard]] float pi_step(float alpha) const { return get<float>(diffquant_config_pi_step, alpha); }

    /// @return a planning figure for storage, in bits per weight: diffquant_config_bits_per_weight()
    [[nodiscard]] float bits_per_weight() const { return get<float>(diffquant_config_bits_per_weight); }

    /// The number of quantization parameters of a tensor: diffquant_config_parameter_count().
    /// @param elements weights in the tensor
    /// @param channels channels of the tensor
    /// @return the number
    [[nodiscard]] std::size_t parameter_count(std::size_t elements, std::size_t channels) const {
        return get<std::size_t>(diffquant_config_parameter_count, elements, channels);
    }

    // Fields: a setter and a getter each

    /// Sets the width of a code: diffquant_config_set_bits().
    /// @param bits 2, 3, 4, 5 or 8
    /// @return this configuration
    Config &set_bits(std::uint32_t bits) { return set(diffquant_config_set_bits, bits); }

    /// @return the width of a code: diffquant_config_bits()
    [[nodiscard]] std::uint32_t bits() const { return get<std::uint32_t>(diffquant_config_bits); }

    /// Sets the straight-through estimator: diffquant_config_set_ste().
    /// @param ste which
    /// @param ste_param the estimator's parameter; ignored by those without one
    /// @return this configuration
    Config &set_ste(Ste ste, float ste_param = no_ste_param) {
        return set(diffquant_config_set_ste, static_cast<diffquant_ste>(ste), ste_param);
    }

    /// @return the straight-through estimator: diffquant_config_ste()
    [[nodiscard]] Ste ste() const {
        diffquant_ste ste{};
        call(diffquant_config_ste, &ste, nullptr);
        return static_cast<Ste>(ste);
    }

    /// @return the estimator's parameter, 0 for one without: diffquant_config_ste()
    [[nodiscard]] float ste_param() const {
        diffquant_ste ste{};
        return get<float>(diffquant_config_ste, &ste);
    }

    /// Sets which weights share a scale: diffquant_config_set_granularity().
    /// @param granularity which
    /// @param block_size weights per block, at least 1, for PerBlock; ignored otherwise
    /// @return this configuration
    Config &set_granularity(Granularity granularity, std::size_t block_size = 0) {
        return set(diffquant_config_set_granularity, static_cast<diffquant_granularity>(granularity), block_size);
    }

    /// @return which weights share a scale: diffquant_config_granularity()
    [[nodiscard]] Granularity granularity() const {
        diffquant_granularity granularity{};
        call(diffquant_config_granularity, &granularity, nullptr);
        return static_cast<Granularity>(granularity);
    }

    /// @return weights per block, 0 for another granularity: diffquant_config_granularity()
    [[nodiscard]] std::size_t block_size() const {
        diffquant_granularity granularity{};
        return get<std::size_t>(diffquant_config_granularity, &granularity);
    }

    /// Sets the divisor k, and with it the kind of quantizer: diffquant_config_set_pi_k().
    /// @param pi_k 2 to 5 for pi; std::nullopt or 0 for uniform
    /// @return this configuration
    Config &set_pi_k(std::optional<std::uint32_t> pi_k) { return set(diffquant_config_set_pi_k, pi_k.value_or(0)); }

    /// @return the divisor k, std::nullopt for uniform: diffquant_config_pi_k()
    [[nodiscard]] std::optional<std::uint32_t> pi_k() const {
        return unless_zero(get<std::uint32_t>(diffquant_config_pi_k));
    }

    /// Sets the largest gradient norm: diffquant_config_set_grad_clip().
    /// @param grad_clip positive and finite; std::nullopt or 0 for no clipping
    /// @return this configuration
    Config &set_grad_clip(std::optional<float> grad_clip) {
        return set(diffquant_config_set_grad_clip, grad_clip.value_or(0.0f));
    }

    /// @return the largest gradient norm, std::nullopt for no clipping: diffquant_config_grad_clip()
    [[nodiscard]] std::optional<float> grad_clip() const { return unless_zero(get<float>(diffquant_config_grad_clip)); }

    /// Sets the weight of the task loss: diffquant_config_set_lambda_task().
    /// @param lambda_task zero or more, finite
    /// @return this configuration
    Config &set_lambda_task(float lambda_task) { return set(diffquant_config_set_lambda_task, lambda_task); }

    /// @return the weight of the task loss: diffquant_config_lambda_task()
    [[nodiscard]] float lambda_task() const { return get<float>(diffquant_config_lambda_task); }

    /// Sets the weight of the distillation loss: diffquant_config_set_lambda_kd().
    /// @param lambda_kd zero or more, finite
    /// @return this configuration
    Config &set_lambda_kd(float lambda_kd) { return set(diffquant_config_set_lambda_kd, lambda_kd); }

    /// @return the weight of the distillation loss: diffquant_config_lambda_kd()
    [[nodiscard]] float lambda_kd() const { return get<float>(diffquant_config_lambda_kd); }

    /// Sets the weight of the reasoning loss: diffquant_config_set_lambda_reasoning().
    /// @param lambda_reasoning zero or more, finite
    /// @return this configuration
    Config &set_lambda_reasoning(float lambda_reasoning) {
        return set(diffquant_config_set_lambda_reasoning, lambda_reasoning);
    }

    /// @return the weight of the reasoning loss: diffquant_config_lambda_reasoning()
    [[nodiscard]] float lambda_reasoning() const { return get<float>(diffquant_config_lambda_reasoning); }

    /// Sets the softmax temperature of the distillation loss: diffquant_config_set_kd_temperature().
    /// @param kd_temperature positive, finite
    /// @return this configuration
    Config &set_kd_temperature(float kd_temperature) {
        return set(diffquant_config_set_kd_temperature, kd_temperature);
    }

    /// @return the softmax temperature of the distillation loss: diffquant_config_kd_temperature()
    [[nodiscard]] float kd_temperature() const { return get<float>(diffquant_config_kd_temperature); }

    /// Sets the passes over the training set: diffquant_config_set_epochs().
    /// @param epochs at least 1
    /// @return this configuration
    Config &set_epochs(std::size_t epochs) { return set(diffquant_config_set_epochs, epochs); }

    /// @return the passes over the training set: diffquant_config_epochs()
    [[nodiscard]] std::size_t epochs() const { return get<std::size_t>(diffquant_config_epochs); }

    /// Sets the step size of the optimiser: diffquant_config_set_learning_rate().
    /// @param learning_rate positive, finite
    /// @return this configuration
    Config &set_learning_rate(float learning_rate) { return set(diffquant_config_set_learning_rate, learning_rate); }

    /// @return the step size of the optimiser: diffquant_config_learning_rate()
    [[nodiscard]] float learning_rate() const { return get<float>(diffquant_config_learning_rate); }

    /// Sets the passes before quantization starts: diffquant_config_set_warmup_epochs().
    /// @param warmup_epochs any number
    /// @return this configuration
    Config &set_warmup_epochs(std::size_t warmup_epochs) {
        return set(diffquant_config_set_warmup_epochs, warmup_epochs);
    }

    /// @return the passes before quantization starts: diffquant_config_warmup_epochs()
    [[nodiscard]] std::size_t warmup_epochs() const { return get<std::size_t>(diffquant_config_warmup_epochs); }

    /// Sets the weight decay of the optimiser: diffquant_config_set_weight_decay().
    /// @param weight_decay zero or more, finite
    /// @return this configuration
    Config &set_weight_decay(float weight_decay) { return set(diffquant_config_set_weight_decay, weight_decay); }

    /// @return the weight decay of the optimiser: diffquant_config_weight_decay()
    [[nodiscard]] float weight_decay() const { return get<float>(diffquant_config_weight_decay); }

    /// Sets whether weights are rotated before they are quantized: diffquant_config_set_use_incoherence().
    /// @param use_incoherence whether
    /// @return this configuration
    Config &set_use_incoherence(bool use_incoherence) {
        return set(diffquant_config_set_use_incoherence, flag(use_incoherence));
    }

    /// @return whether weights are rotated before they are quantized: diffquant_config_use_incoherence()
    [[nodiscard]] bool use_incoherence() const { return get<std::uint32_t>(diffquant_config_use_incoherence) != 0; }

    /// Sets whether the zero points of a quantizer are fixed: diffquant_config_set_symmetric().
    /// @param symmetric whether
    /// @return this configuration
    Config &set_symmetric(bool symmetric) { return set(diffquant_config_set_symmetric, flag(symmetric)); }

    /// @return whether the zero points of a quantizer are fixed: diffquant_config_symmetric()
    [[nodiscard]] bool symmetric() const { return get<std::uint32_t>(diffquant_config_symmetric) != 0; }

    /// Sets whether a teacher model is distilled: diffquant_config_set_use_distillation().
    /// @param use_distillation whether
    /// @return this configuration
    Config &set_use_distillation(bool use_distillation) {
        return set(diffquant_config_set_use_distillation, flag(use_distillation));
    }

    /// @return whether a teacher model is distilled: diffquant_config_use_distillation()
    [[nodiscard]] bool use_distillation() const { return get<std::uint32_t>(diffquant_config_use_distillation) != 0; }

    /// Sets whether the teacher stays as it is: diffquant_config_set_freeze_teacher().
    /// @param freeze_teacher whether
    /// @return this configuration
    Config &set_freeze_teacher(bool freeze_teacher) {
        return set(diffquant_config_set_freeze_teacher, flag(freeze_teacher));
    }

    /// @return whether the teacher stays as it is: diffquant_config_freeze_teacher()
    [[nodiscard]] bool freeze_teacher() const { return get<std::uint32_t>(diffquant_config_freeze_teacher) != 0; }

private:
    explicit Config(diffquant_config *object) noexcept : Handle(object) {}

    template <class Function, class... Arguments>
    Config &set(Function function, Arguments... arguments) {
        call(function, arguments...);
        return *this;
    }

    static std::uint32_t flag(bool value) noexcept { return value ? 1 : 0; }

    template <class T>
    static std::optional<T> unless_zero(T value) noexcept {
        return static_cast<bool>(value) ? std::optional<T>(value) : std::nullopt;
    }
};

// ---- Observers ------------------------------------------------------------------------------------------------------

/// How many elements of each group were observed.
struct ObservedCounts {
    std::vector<std::uint64_t> finite;     ///< elements on which range and histogram rest
    std::vector<std::uint64_t> non_finite; ///< NaNs and infinities
};

/// The range of each group.
struct ObservedRange {
    std::vector<float> min; ///< the smallest finite elements, or their moving averages
    std::vector<float> max; ///< the largest
};

/// What is remembered of a stream of batches, to choose the scales of activations from: diffquant_observer.
class Observer : public Handle<diffquant_observer> {
public:
    /// An observer of whole tensors that has seen nothing: diffquant_observer_new().
    /// @param kind what it remembers
    /// @param parameter the averaging constant, above 0 and at most 1, for MovingAverage; ignored otherwise
    /// @throws Error with InvalidArgument
    explicit Observer(ObserverKind kind, float parameter = no_ste_param)
        : Handle(detail::result<diffquant_observer *>(diffquant_observer_new,
                                                      static_cast<diffquant_observer_kind>(kind), parameter)) {}

    /// Reads JSON: diffquant_observer_from_json().
    /// @param json UTF-8 text, at most 256 MiB
    /// @return the observer
    /// @throws Error with InvalidJson, InvalidUtf8 or SizeOverflow
    [[nodiscard]] static Observer from_json(std::string_view json) {
        // An empty view may point nowhere, which C would take for a mistake of another kind.
        const char *text = json.data() != nullptr ? json.data() : "";
        return Observer(detail::result<diffquant_observer *>(diffquant_observer_from_json, text, json.size()));
    }

    /// Takes a C object into ownership.
    /// @param object the C object, which nobody else may free; null gives what a move leaves behind
    /// @return its owner
    [[nodiscard]] static Observer adopt(diffquant_observer *object) noexcept { return Observer(object); }

    /// @return a copy that shares nothing with this one: diffquant_observer_clone()
    [[nodiscard]] Observer clone() const {
        return Observer(detail::result<diffquant_observer *>(diffquant_observer_clone, native_handle()));
    }

    /// Writes JSON: diffquant_observer_to_json().
    /// @return UTF-8 text, the same for observers that are the same
    [[nodiscard]] std::string to_json() const {
        std::size_t length = 0;
        const diffquant_status status = diffquant_observer_to_json(native_handle(), nullptr, 0, &length);
        if (status != DIFFQUANT_STATUS_BUFFER_TOO_SMALL) {
            detail::check(status);
        }
        std::string text(length, '\0');
        call(diffquant_observer_to_json, text.data(), length + 1, &length); // a string has room for the NUL
        return text;
    }

    /// Makes every index along an axis a group of its own, and forgets what was observed: diffquant_observer_set_shape().
    /// @param shape dimensions, of which those before the axis may change from batch to batch
    /// @param axis the dimension of the channels, from 0
    /// @throws Error with InvalidArgument, IndexOutOfRange or SizeOverflow
    void set_shape(View<const std::size_t> shape, std::size_t axis) {
        call(diffquant_observer_set_shape, shape.data(), shape.size(), axis);
    }

    /// @return what it remembers: diffquant_observer_kind_of()
    [[nodiscard]] ObserverKind kind() const {
        diffquant_observer_kind kind{};
        call(diffquant_observer_kind_of, &kind, nullptr);
        return static_cast<ObserverKind>(kind);
    }

    /// @return the averaging constant, 0 for a kind without one: diffquant_observer_kind_of()
    [[nodiscard]] float parameter() const {
        diffquant_observer_kind kind{};
        return get<float>(diffquant_observer_kind_of, &kind);
    }

    /// @return how many groups there are: diffquant_observer_group_count()
    [[nodiscard]] std::size_t group_count() const { return get<std::size_t>(diffquant_observer_group_count); }

    /// Adds a batch: diffquant_observer_observe().
    /// @param x n elements
    /// @throws Error with LengthMismatch
    void observe(View<const float> x) { call(diffquant_observer_observe, x.data(), x.size()); }

    /// Adds a batch of 16-bit elements: diffquant_observer_observe_typed().
    /// @param dtype F16 or Bf16
    /// @param x n elements, as their bits
    /// @throws Error with UnknownConstant or LengthMismatch
    void observe(Dtype dtype, View<const std::uint16_t> x) {
        call(diffquant_observer_observe_typed, detail::require_16_bits(dtype), x.data(), x.size());
    }

    /// Adds what another observer has seen: diffquant_observer_merge().
    /// @param other another one, which stays as it is
    /// @throws Error with Incompatible, NotApplicable or Overlap
    void merge(const Observer &other) { call(diffquant_observer_merge, other.native_handle()); }

    /// Forgets what was observed: diffquant_observer_reset().
    void reset() { call(diffquant_observer_reset); }

    /// @return how many elements of each group were observed: diffquant_observer_counts()
    [[nodiscard]] ObservedCounts counts() const {
        ObservedCounts counts{std::vector<std::uint64_t>(group_count()), std::vector<std::uint64_t>(group_count())};
        counts_into(counts.finite, View<std::uint64_t>(counts.non_finite));
        return counts;
    }

    /// Copies the counts out, without allocating: diffquant_observer_counts().
    /// @param finite receives group_count() numbers
    /// @param non_finite receives as many; std::nullopt when they are not wanted
    /// @throws Error with LengthMismatch
    void counts_into(View<std::uint64_t> finite, OptionalView<std::uint64_t> non_finite) const {
        call(diffquant_observer_counts, finite.data(), detail::data_or_null("non_finite", non_finite, finite.size()),
             finite.size());
    }

    /// @return the range of each group: diffquant_observer_range()
    /// @throws Error with NoData
    [[nodiscard]] ObservedRange range() const {
        ObservedRange range{std::vector<float>(group_count()), std::vector<float>(group_count())};
        range_into(range.min, range.max);
        return range;
    }

    /// Copies the ranges out, without allocating: diffquant_observer_range().
    /// @param min receives group_count() floats
    /// @param max receives as many
    /// @throws Error with NoData or LengthMismatch
    void range_into(View<float> min, View<float> max) const {
        detail::require_length("max", max.size(), min.size());
        call(diffquant_observer_range, min.data(), max.data(), min.size());
    }

private:
    explicit Observer(diffquant_observer *object) noexcept : Handle(object) {}
};

// ---- Quantizers -----------------------------------------------------------------------------------------------------

/// Chooses the instruction set of the whole process: diffquant_set_isa().
/// @param isa which
/// @throws Error with Unsupported for one that this machine lacks
inline void set_isa(Isa isa) { detail::check(diffquant_set_isa(static_cast<diffquant_isa>(isa))); }

/// The alpha at which the codes of a pi quantizer span a range of weights: diffquant_pi_scale_from_range().
/// @param range largest minus smallest weight, positive and finite
/// @param bits width of a code, 2 to 5
/// @param k divisor of the step, 2 to 5
/// @return alpha, for Quantizer::set_scale()
/// @throws Error with InvalidArgument
[[nodiscard]] inline float pi_scale_from_range(float range, std::uint32_t bits, std::uint32_t k) {
    return detail::result<float>(diffquant_pi_scale_from_range, range, bits, k);
}

/// What quantizing did to the weights of a group: diffquant_statistics.
using Statistics = diffquant_statistics;

/// What Quantizer::forward_dynamic() gives when it allocates its results.
struct DynamicallyQuantized {
    std::vector<std::int8_t> codes; ///< a code for each weight
    std::vector<float> values;      ///< the value that each code stands for
    std::vector<float> scales;      ///< the scales of this call, for pi the alphas
};

/// What Quantizer::backward_scale_offset() gives when it allocates its results.
struct OffsetGradients {
    std::vector<float> grad_w;      ///< the gradient of the loss by each weight
    std::vector<float> grad_scale;  ///< the gradient of the loss by each scale
    std::vector<float> grad_offset; ///< the gradient of the loss by each offset
};

/// What Quantizer::forward() gives when it allocates its results.
struct Quantized {
    std::vector<std::int8_t> codes; ///< a code for each weight
    std::vector<float> values;      ///< the value that each code stands for
};

/// What Quantizer::backward_scale() gives when it allocates its results.
struct Gradients {
    std::vector<float> grad_w;     ///< the gradient of the loss by each weight
    std::vector<float> grad_scale; ///< the gradient of the loss by each scale
};

/// A quantizer: diffquant_quantizer. A range of codes, a scale, a zero point and an offset per group of weights, a
/// rounding mode and a straight-through estimator.
///
/// The tensor functions (forward, forward_statistics, forward_dynamic, backward, backward_scale, backward_scale_offset, dequantize) take
/// views of n elements, as many as the shape has or a multiple of the channel count; with n = 0 they touch nothing.
/// They throw Error with LengthMismatch, NoShape, Overlap, Misaligned, NullPointer or SizeOverflow. But for
/// forward_dynamic, and with incoherence, the forms with outputs allocate nothing; the forms that return containers are
/// for convenience.
class Quantizer : public Handle<diffquant_quantizer> {
public:
    /// What a configuration describes: diffquant_quantizer_new(). The configuration is copied.
    /// @param config what to make
    /// @throws Error with InvalidConfig
    explicit Quantizer(const Config &config)
        : Handle(detail::result<diffquant_quantizer *>(diffquant_quantizer_new, config.native_handle())) {}

    /// One whose step is its scale: diffquant_quantizer_new_uniform().
    /// @param bits width of a code, 2 to 8
    /// @param ste the straight-through estimator
    /// @param ste_param the estimator's parameter; ignored by those without one
    /// @return the quantizer, with one scale
    /// @throws Error with InvalidArgument
    [[nodiscard]] static Quantizer uniform(std::uint32_t bits, Ste ste = Ste::Standard,
                                           float ste_param = no_ste_param) {
        return Quantizer(detail::result<diffquant_quantizer *>(diffquant_quantizer_new_uniform, bits,
                                                               static_cast<diffquant_ste>(ste), ste_param));
    }

    /// One whose step is alpha * PI / k: diffquant_quantizer_new_pi().
    /// @param bits width of a code, 2 to 5
    /// @param k divisor of the step, 2 to 5
    /// @return the quantizer, with one alpha
    /// @throws Error with InvalidArgument
    [[nodiscard]] static Quantizer pi(std::uint32_t bits, std::uint32_t k) {
        return Quantizer(detail::result<diffquant_quantizer *>(diffquant_quantizer_new_pi, bits, k));
    }

    /// Takes a C object into ownership.
    /// @param object the C object, which nobody else may free; null gives what a move leaves behind
    /// @return its owner
    [[nodiscard]] static Quantizer adopt(diffquant_quantizer *object) noexcept { return Quantizer(object); }

    /// @return a copy that shares nothing with this one: diffquant_quantizer_clone()
    [[nodiscard]] Quantizer clone() const {
        return Quantizer(detail::result<diffquant_quantizer *>(diffquant_quantizer_clone, native_handle()));
    }

    /// The one whose state to_json() wrote, bit for bit: diffquant_quantizer_from_json().
    /// @param json UTF-8 text, at most 256 MiB
    /// @return the quantizer
    /// @throws Error with InvalidJson, InvalidUtf8, Unsupported for another major version, InvalidArgument,
    ///         LengthMismatch, NotApplicable, IndexOutOfRange or SizeOverflow
    [[nodiscard]] static Quantizer from_json(std::string_view json) {
        return Quantizer(
            detail::result<diffquant_quantizer *>(diffquant_quantizer_from_json, detail::start(json), json.size()));
    }

    /// Writes everything that it is as JSON on one line: diffquant_quantizer_to_json().
    /// @return UTF-8 text
    [[nodiscard]] std::string to_json() const { return text(diffquant_quantizer_to_json); }

    // What it is

    /// @return the width of a code in bits: diffquant_quantizer_bits()
    [[nodiscard]] std::uint32_t bits() const { return get<std::uint32_t>(diffquant_quantizer_bits); }

    /// @return the number of codes: diffquant_quantizer_num_levels()
    [[nodiscard]] std::uint32_t num_levels() const { return get<std::uint32_t>(diffquant_quantizer_num_levels); }

    /// @return the divisor k, std::nullopt for a uniform quantizer: diffquant_quantizer_k()
    [[nodiscard]] std::optional<std::uint32_t> k() const {
        std::uint32_t k = 0;
        const diffquant_status status = diffquant_quantizer_k(native_handle(), &k);
        if (status == DIFFQUANT_STATUS_NOT_APPLICABLE) {
            return std::nullopt;
        }
        detail::check(status);
        return k;
    }

    /// Changes the straight-through estimator: diffquant_quantizer_set_ste().
    /// @param ste which
    /// @param ste_param the estimator's parameter; ignored by those without one
    /// @throws Error with InvalidArgument
    void set_ste(Ste ste, float ste_param = no_ste_param) {
        call(diffquant_quantizer_set_ste, static_cast<diffquant_ste>(ste), ste_param);
    }

    /// @return the straight-through estimator: diffquant_quantizer_ste()
    [[nodiscard]] Ste ste() const {
        diffquant_ste ste{};
        call(diffquant_quantizer_ste, &ste, nullptr);
        return static_cast<Ste>(ste);
    }

    /// @return the estimator's parameter, 0 for one without: diffquant_quantizer_ste()
    [[nodiscard]] float ste_param() const {
        diffquant_ste ste{};
        return get<float>(diffquant_quantizer_ste, &ste);
    }

    /// Changes what happens between two codes: diffquant_quantizer_set_rounding().
    /// @param rounding which
    void set_rounding(Rounding rounding) {
        call(diffquant_quantizer_set_rounding, static_cast<diffquant_rounding>(rounding));
    }

    /// @return what happens between two codes: diffquant_quantizer_rounding()
    [[nodiscard]] Rounding rounding() const {
        return static_cast<Rounding>(get<diffquant_rounding>(diffquant_quantizer_rounding));
    }

    /// Changes what stochastic rounding draws: diffquant_quantizer_set_seed().
    /// @param seed any number, another one for each training step
    /// @param first_element the index, in the whole tensor, of the first element of each call
    void set_seed(std::uint64_t seed, std::uint64_t first_element = 0) {
        call(diffquant_quantizer_set_seed, seed, first_element);
    }

    /// @return the seed of stochastic rounding: diffquant_quantizer_seed()
    [[nodiscard]] std::uint64_t seed() const {
        std::uint64_t seed = 0;
        call(diffquant_quantizer_seed, &seed, nullptr);
        return seed;
    }

    /// @return the index, in the whole tensor, of the first element of each call: diffquant_quantizer_seed()
    [[nodiscard]] std::uint64_t first_element() const {
        std::uint64_t seed = 0;
        return get<std::uint64_t>(diffquant_quantizer_seed, &seed);
    }

    /// Changes what forward does with NaNs and infinities: diffquant_quantizer_set_non_finite().
    /// @param policy which
    void set_non_finite(NonFinite policy) {
        call(diffquant_quantizer_set_non_finite, static_cast<diffquant_non_finite>(policy));
    }

    /// @return what forward does with NaNs and infinities: diffquant_quantizer_non_finite()
    [[nodiscard]] NonFinite non_finite() const {
        return static_cast<NonFinite>(get<diffquant_non_finite>(diffquant_quantizer_non_finite));
    }

    // Incoherence

    /// Starts or stops rotating every row before it is quantized: diffquant_quantizer_set_incoherence().
    /// @param incoherence whether
    void set_incoherence(bool incoherence) {
        call(diffquant_quantizer_set_incoherence, std::uint32_t{incoherence ? 1u : 0u});
    }

    /// @return whether every row is rotated before it is quantized: diffquant_quantizer_incoherence()
    [[nodiscard]] bool incoherence() const { return get<std::uint32_t>(diffquant_quantizer_incoherence) != 0; }

    /// Chooses the signs of the rotation: diffquant_quantizer_set_rotation_seed().
    /// @param seed any; 0 by default
    void set_rotation_seed(std::uint64_t seed) { call(diffquant_quantizer_set_rotation_seed, seed); }

    /// @return the seed of the rotation's signs: diffquant_quantizer_rotation_seed()
    [[nodiscard]] std::uint64_t rotation_seed() const { return get<std::uint64_t>(diffquant_quantizer_rotation_seed); }

    // Threads

    /// Lets large calls use several threads: diffquant_quantizer_set_threads().
    /// @param threads how many, the caller's among them; 0 for as many as this process may use
    void set_threads(std::size_t threads) { call(diffquant_quantizer_set_threads, threads); }

    /// Lets large calls run on the host's own threads: diffquant_quantizer_set_parallel_for().
    /// @param parallel_for the host's pool, which must not throw; null for the caller's thread alone
    /// @param context handed to parallel_for
    void set_parallel_for(diffquant_parallel_for parallel_for, void *context) {
        call(diffquant_quantizer_set_parallel_for, parallel_for, context);
    }

    // Which weights share a scale

    /// Makes it per channel of equal, contiguous slices, every scale 1: diffquant_quantizer_init_per_channel().
    /// @param channels how many, at least 1
    /// @throws Error with InvalidArgument
    void init_per_channel(std::size_t channels) { call(diffquant_quantizer_init_per_channel, channels); }

    /// Changes which weights share a scale; the shape is forgotten, every scale 1:
    /// diffquant_quantizer_set_granularity().
    /// @param granularity which
    /// @param block_size weights per block, at least 1, for PerBlock; ignored otherwise
    /// @throws Error with InvalidArgument
    void set_granularity(Granularity granularity, std::size_t block_size = 0) {
        call(diffquant_quantizer_set_granularity, static_cast<diffquant_granularity>(granularity), block_size);
    }

    /// @return which weights share a scale: diffquant_quantizer_granularity()
    [[nodiscard]] Granularity granularity() const {
        diffquant_granularity granularity{};
        call(diffquant_quantizer_granularity, &granularity, nullptr);
        return static_cast<Granularity>(granularity);
    }

    /// @return weights per block, 0 for another granularity: diffquant_quantizer_granularity()
    [[nodiscard]] std::size_t block_size() const {
        diffquant_granularity granularity{};
        return get<std::size_t>(diffquant_quantizer_granularity, &granularity);
    }

    /// Declares the shape of the tensors, every scale 1: diffquant_quantizer_set_shape().
    /// @param shape 1 to 16 dimensions, each at least 1, the last one contiguous in memory
    /// @param axis the dimension of the channels or blocks, from 0; ignored per tensor and per token
    /// @throws Error with InvalidArgument, IndexOutOfRange or SizeOverflow
    void set_shape(View<const std::size_t> shape, std::size_t axis = 0) {
        call(diffquant_quantizer_set_shape, shape.data(), shape.size(), axis);
    }

    /// The index of the scale of one element: diffquant_quantizer_group_of().
    /// @param element which, from 0
    /// @param n elements of the tensor
    /// @return the index
    /// @throws Error with IndexOutOfRange, LengthMismatch or NoShape
    [[nodiscard]] std::size_t group_of(std::size_t element, std::size_t n) const {
        return get<std::size_t>(diffquant_quantizer_group_of, element, n);
    }

    // Codes, and what they stand for

    /// Changes which codes are used; zero points become the range's: diffquant_quantizer_set_code_range().
    /// @param range which
    void set_code_range(CodeRange range) {
        call(diffquant_quantizer_set_code_range, static_cast<diffquant_code_range>(range));
    }

    /// @return which codes are used: diffquant_quantizer_code_range()
    [[nodiscard]] CodeRange code_range() const {
        return static_cast<CodeRange>(get<diffquant_code_range>(diffquant_quantizer_code_range));
    }

    /// @return the smallest and the largest code: diffquant_quantizer_code_bounds()
    [[nodiscard]] CodeBounds code_bounds() const {
        CodeBounds bounds{};
        call(diffquant_quantizer_code_bounds, &bounds.min, &bounds.max);
        return bounds;
    }

    /// Fixes the zero points to the range's, or frees them to be set and calibrated:
    /// diffquant_quantizer_set_symmetric().
    /// @param symmetric true, the default of a quantizer, to fix them
    void set_symmetric(bool symmetric) { call(diffquant_quantizer_set_symmetric, std::uint32_t{symmetric ? 1u : 0u}); }

    /// @return whether the zero points are fixed: diffquant_quantizer_symmetric()
    [[nodiscard]] bool symmetric() const { return get<std::uint32_t>(diffquant_quantizer_symmetric) != 0; }

    /// @return every zero point, in the order of the scales: diffquant_quantizer_zero_points()
    [[nodiscard]] std::vector<std::int32_t> zero_points() const {
        std::vector<std::int32_t> all(scale_count());
        zero_points(all);
        return all;
    }

    /// Copies every zero point out, without allocating: diffquant_quantizer_zero_points().
    /// @param out receives scale_count() numbers
    /// @throws Error with LengthMismatch
    void zero_points(View<std::int32_t> out) const { call(diffquant_quantizer_zero_points, out.data(), out.size()); }

    /// Replaces every zero point: diffquant_quantizer_set_zero_points().
    /// @param zero_points scale_count() codes
    /// @throws Error with NotApplicable for a symmetric quantizer, InvalidArgument or LengthMismatch
    void set_zero_points(View<const std::int32_t> zero_points) {
        call(diffquant_quantizer_set_zero_points, zero_points.data(), zero_points.size());
    }

    /// @return every offset, in the order of the scales: diffquant_quantizer_offsets()
    [[nodiscard]] std::vector<float> offsets() const {
        std::vector<float> all(scale_count());
        offsets(all);
        return all;
    }

    /// Copies every offset out, without allocating: diffquant_quantizer_offsets().
    /// @param out receives scale_count() floats
    /// @throws Error with LengthMismatch
    void offsets(View<float> out) const { call(diffquant_quantizer_offsets, out.data(), out.size()); }

    /// Replaces every offset: diffquant_quantizer_set_offsets().
    /// @param offsets scale_count() finite floats, in units of w
    /// @throws Error with InvalidArgument or LengthMismatch
    void set_offsets(View<const float> offsets) {
        call(diffquant_quantizer_set_offsets, offsets.data(), offsets.size());
    }

    // Scales

    /// Calibrates every scale from its weights' largest magnitude: diffquant_quantizer_init_scale().
    /// @param w n weights; with none, nothing changes
    /// @throws Error with NonFinite, LengthMismatch, NoShape or InvalidArgument
    void init_scale(View<const float> w) { call(diffquant_quantizer_init_scale, w.data(), w.size()); }

    /// Calibrates every scale, and every zero point that is free, from its weights:
    /// diffquant_quantizer_init_scale_with().
    /// @param method how
    /// @param w n weights; with none, nothing changes
    /// @param parameter the method's parameter; ignored by those without one
    /// @throws Error with InvalidArgument, NonFinite, LengthMismatch or NoShape
    void init_scale_with(ScaleInit method, View<const float> w, float parameter = no_ste_param) {
        call(diffquant_quantizer_init_scale_with, static_cast<diffquant_scale_init>(method), parameter, w.data(),
             w.size());
    }

    /// Calibrates every scale, and every zero point that is free, from what an observer has seen:
    /// diffquant_quantizer_init_scale_from_observer().
    /// @param observer as many groups as there are scales
    /// @param method how; with a histogram any, otherwise MaxAbs or MinMax
    /// @param parameter the method's parameter; ignored by those without one
    /// @throws Error with NoData, NotApplicable, InvalidArgument or LengthMismatch
    void init_scale_from_observer(const Observer &observer, ScaleInit method, float parameter = no_ste_param) {
        call(diffquant_quantizer_init_scale_from_observer, observer.native_handle(),
             static_cast<diffquant_scale_init>(method), parameter);
    }

    /// Calibrates every scale, and every zero point that is free, from 16-bit weights:
    /// diffquant_quantizer_init_scale_with_typed().
    /// @param dtype F16 or Bf16
    /// @param method how
    /// @param w n weights, as their bits; with none, nothing changes
    /// @param parameter the method's parameter; ignored by those without one
    /// @throws Error with UnknownConstant, InvalidArgument, NonFinite, LengthMismatch or NoShape
    void init_scale_with(Dtype dtype, ScaleInit method, View<const std::uint16_t> w, float parameter = no_ste_param) {
        call(diffquant_quantizer_init_scale_with_typed, detail::require_16_bits(dtype),
             static_cast<diffquant_scale_init>(method), parameter, w.data(), w.size());
    }

    /// One step of gradient descent on every scale, kept positive and finite: diffquant_quantizer_apply_scale_step().
    /// @param grad_scale scale_count() gradients of the loss by each scale
    /// @param learning_rate positive and finite
    /// @param min_scale the smallest scale to be left, positive and finite
    /// @return how many scales had to be projected
    /// @throws Error with InvalidArgument or LengthMismatch
    std::size_t apply_scale_step(View<const float> grad_scale, float learning_rate, float min_scale) {
        std::size_t projected = 0;
        call(diffquant_quantizer_apply_scale_step, grad_scale.data(), grad_scale.size(), learning_rate, min_scale,
             &projected);
        return projected;
    }

    /// @return how many scales there are: diffquant_quantizer_scale_count()
    [[nodiscard]] std::size_t scale_count() const { return get<std::size_t>(diffquant_quantizer_scale_count); }

    /// @return every scale, for pi the alphas: diffquant_quantizer_scales()
    [[nodiscard]] std::vector<float> scales() const {
        std::vector<float> all(scale_count());
        scales(all);
        return all;
    }

    /// Copies every scale out, without allocating: diffquant_quantizer_scales().
    /// @param out receives scale_count() floats
    /// @throws Error with LengthMismatch
    void scales(View<float> out) const { call(diffquant_quantizer_scales, out.data(), out.size()); }

    /// Replaces every scale, for pi the alphas: diffquant_quantizer_set_scales().
    /// @param scales scale_count() floats, positive and finite
    /// @throws Error with InvalidArgument or LengthMismatch
    void set_scales(View<const float> scales) { call(diffquant_quantizer_set_scales, scales.data(), scales.size()); }

    /// Changes the scale of one group, for pi its alpha: diffquant_quantizer_set_scale().
    /// @param group which, from 0
    /// @param scale positive and finite
    /// @throws Error with InvalidArgument or IndexOutOfRange
    void set_scale(std::size_t group, float scale) { call(diffquant_quantizer_set_scale, group, scale); }

    /// The distance between neighbouring values of a group: diffquant_quantizer_step_size().
    /// @param group which, from 0
    /// @return its scale, for pi alpha * PI / k
    /// @throws Error with IndexOutOfRange
    [[nodiscard]] float step_size(std::size_t group) const { return get<float>(diffquant_quantizer_step_size, group); }

    // Tensors

    /// Quantizes weights: diffquant_quantizer_forward().
    /// @param w n weights
    /// @param codes receives n codes; std::nullopt when they are not wanted
    /// @param values receives n values; std::nullopt when they are not wanted; may be w itself
    void forward(View<const float> w, OptionalView<std::int8_t> codes, OptionalView<float> values) const {
        call(diffquant_quantizer_forward, w.data(), w.size(), detail::data_or_null("codes", codes, w.size()),
             detail::data_or_null("values", values, w.size()));
    }

    /// Quantizes weights: diffquant_quantizer_forward().
    /// @param w n weights
    /// @return their codes and values, as in `auto [codes, values] = quantizer.forward(w);`
    [[nodiscard]] Quantized forward(View<const float> w) const {
        Quantized quantized{std::vector<std::int8_t>(w.size()), std::vector<float>(w.size())};
        forward(w, quantized.codes, quantized.values);
        return quantized;
    }

    /// Quantizes weights and tells what that did to each group: diffquant_quantizer_forward_statistics().
    /// @param w n weights
    /// @param codes receives n codes; std::nullopt when they are not wanted
    /// @param values receives n values; std::nullopt when they are not wanted; may be w itself
    /// @param statistics receives scale_count() of them; untouched when n is 0
    /// @throws Error also with NonFinite under that policy
    void forward_statistics(View<const float> w, OptionalView<std::int8_t> codes, OptionalView<float> values,
                            View<Statistics> statistics) const {
        call(diffquant_quantizer_forward_statistics, w.data(), w.size(),
             detail::data_or_null("codes", codes, w.size()), detail::data_or_null("values", values, w.size()),
             statistics.data(), statistics.size());
    }

    /// Tells what quantizing does to each group: diffquant_quantizer_forward_statistics().
    /// @param w n weights
    /// @return scale_count() of them; zeros when n is 0
    /// @throws Error also with NonFinite under that policy
    [[nodiscard]] std::vector<Statistics> statistics(View<const float> w) const {
        std::vector<Statistics> statistics(scale_count());
        forward_statistics(w, std::nullopt, std::nullopt, statistics);
        return statistics;
    }

    /// Quantizes weights with scales of this call's own: diffquant_quantizer_forward_dynamic(). Allocates.
    /// @param w n weights; per token any multiple of the last dimension
    /// @param codes receives n codes; std::nullopt when they are not wanted
    /// @param values receives n values; std::nullopt when they are not wanted; may be w itself
    /// @param scales receives the scales: per token n divided by the last dimension, else scale_count() of them
    /// @throws Error also with NonFinite or InvalidArgument
    void forward_dynamic(View<const float> w, OptionalView<std::int8_t> codes, OptionalView<float> values,
                         View<float> scales) const {
        call(diffquant_quantizer_forward_dynamic, w.data(), w.size(), detail::data_or_null("codes", codes, w.size()),
             detail::data_or_null("values", values, w.size()), scales.data(), scales.size());
    }

    /// Quantizes weights with scales of this call's own: diffquant_quantizer_forward_dynamic().
    /// @param w n weights; per token any multiple of the last dimension
    /// @param scales how many scales: per token n divided by the last dimension, else scale_count()
    /// @return codes, values and scales, as in `auto [codes, values, scales] = quantizer.forward_dynamic(w, tokens);`;
    ///         zeros when n is 0
    /// @throws Error also with NonFinite or InvalidArgument
    [[nodiscard]] DynamicallyQuantized forward_dynamic(View<const float> w, std::size_t scales) const {
        DynamicallyQuantized quantized{std::vector<std::int8_t>(w.size()), std::vector<float>(w.size()),
                                       std::vector<float>(scales)};
        forward_dynamic(w, quantized.codes, quantized.values, quantized.scales);
        return quantized;
    }

    /// The gradient of the loss by each weight: diffquant_quantizer_backward().
    /// @param w n weights, as given to forward()
    /// @param values the n values that forward() gave; std::nullopt: they are computed again where needed
    /// @param grad_out n gradients of the loss by each value
    /// @param grad_w receives n gradients of the loss by each weight; may be grad_out itself
    void backward(View<const float> w, OptionalView<const float> values, View<const float> grad_out,
                  View<float> grad_w) const {
        detail::require_length("grad_out", grad_out.size(), w.size());
        detail::require_length("grad_w", grad_w.size(), w.size());
        call(diffquant_quantizer_backward, w.data(), detail::data_or_null("values", values, w.size()), grad_out.data(),
             w.size(), grad_w.data());
    }

    /// The gradient of the loss by each weight: diffquant_quantizer_backward().
    /// @param w n weights, as given to forward()
    /// @param values the n values that forward() gave; std::nullopt: they are computed again where needed
    /// @param grad_out n gradients of the loss by each value
    /// @return n gradients of the loss by each weight
    [[nodiscard]] std::vector<float> backward(View<const float> w, OptionalView<const float> values,
                                              View<const float> grad_out) const {
        std::vector<float> grad_w(w.size());
        backward(w, values, grad_out, grad_w);
        return grad_w;
    }

    /// The gradient of the loss by each scale, and by each weight, in one pass: diffquant_quantizer_backward_scale().
    /// @param w n weights, as given to forward()
    /// @param grad_out n gradients of the loss by each value
    /// @param grad_w receives n gradients of the loss by each weight; std::nullopt when they are not wanted; may be
    ///        grad_out itself
    /// @param grad_scale receives scale_count() gradients of the loss by each scale; untouched when n is 0
    void backward_scale(View<const float> w, View<const float> grad_out, OptionalView<float> grad_w,
                        View<float> grad_scale) const {
        detail::require_length("grad_out", grad_out.size(), w.size());
        detail::require_length("grad_scale", grad_scale.size(), scale_count());
        call(diffquant_quantizer_backward_scale, w.data(), grad_out.data(), w.size(),
             detail::data_or_null("grad_w", grad_w, w.size()), grad_scale.data());
    }

    /// The gradient of the loss by each weight and by each scale, in one pass: diffquant_quantizer_backward_scale().
    /// @param w n weights, as given to forward()
    /// @param grad_out n gradients of the loss by each value
    /// @return both, as in `auto [grad_w, grad_scale] = quantizer.backward_scale(w, grad_out);`; zeros when n is 0
    [[nodiscard]] Gradients backward_scale(View<const float> w, View<const float> grad_out) const {
        Gradients gradients{std::vector<float>(w.size()), std::vector<float>(scale_count())};
        backward_scale(w, grad_out, gradients.grad_w, gradients.grad_scale);
        return gradients;
    }

    /// The gradient of the loss by each scale, each offset and each weight:
    /// diffquant_quantizer_backward_scale_offset().
    /// @param w n weights, as given to forward()
    /// @param grad_out n gradients of the loss by each value
    /// @param grad_w receives n gradients of the loss by each weight; std::nullopt when they are not wanted; may be
    ///        grad_out itself
    /// @param grad_scale receives scale_count() gradients of the loss by each scale; untouched when n is 0
    /// @param grad_offset receives scale_count() gradients of the loss by each offset; untouched when n is 0
    /// @throws Error also with NotApplicable for an estimator that ignores the range of codes
    void backward_scale_offset(View<const float> w, View<const float> grad_out, OptionalView<float> grad_w,
                               View<float> grad_scale, View<float> grad_offset) const {
        detail::require_length("grad_out", grad_out.size(), w.size());
        detail::require_length("grad_scale", grad_scale.size(), scale_count());
        detail::require_length("grad_offset", grad_offset.size(), scale_count());
        call(diffquant_quantizer_backward_scale_offset, w.data(), grad_out.data(), w.size(),
             detail::data_or_null("grad_w", grad_w, w.size()), grad_scale.data(), grad_offset.data());
    }

    /// The gradient of the loss by each weight, scale and offset: diffquant_quantizer_backward_scale_offset().
    /// @param w n weights, as given to forward()
    /// @param grad_out n gradients of the loss by each value
    /// @return all three, as in `auto [grad_w, grad_scale, grad_offset] = ...`; zeros when n is 0
    /// @throws Error also with NotApplicable for an estimator that ignores the range of codes
    [[nodiscard]] OffsetGradients backward_scale_offset(View<const float> w, View<const float> grad_out) const {
        OffsetGradients gradients{std::vector<float>(w.size()), std::vector<float>(scale_count()),
                                  std::vector<float>(scale_count())};
        backward_scale_offset(w, grad_out, gradients.grad_w, gradients.grad_scale, gradients.grad_offset);
        return gradients;
    }

    /// Turns codes back into values: diffquant_quantizer_dequantize().
    /// @param codes n codes
    /// @param values receives n values
    void dequantize(View<const std::int8_t> codes, View<float> values) const {
        detail::require_length("values", values.size(), codes.size());
        call(diffquant_quantizer_dequantize, codes.data(), codes.size(), values.data());
    }

    /// Turns codes back into values: diffquant_quantizer_dequantize().
    /// @param codes n codes
    /// @return n values
    [[nodiscard]] std::vector<float> dequantize(View<const std::int8_t> codes) const {
        std::vector<float> values(codes.size());
        dequantize(codes, values);
        return values;
    }

    // 16-bit tensors: a Dtype, F16 or Bf16, and their elements as bits. Scales and their gradients are float. Each throws
    // Error with UnknownConstant for another Dtype, and otherwise what the member without one throws.

    /// Quantizes 16-bit weights: diffquant_quantizer_forward_typed().
    /// @param dtype F16 or Bf16
    /// @param w n weights
    /// @param codes receives n codes; std::nullopt when they are not wanted
    /// @param values receives n values; std::nullopt when they are not wanted; may be w itself
    void forward(Dtype dtype, View<const std::uint16_t> w, OptionalView<std::int8_t> codes,
                 OptionalView<std::uint16_t> values) const {
        call(diffquant_quantizer_forward_typed, detail::require_16_bits(dtype), w.data(), w.size(),
             detail::data_or_null("codes", codes, w.size()), detail::data_or_null("values", values, w.size()));
    }

    /// Quantizes 16-bit weights and tells what that did to each group: diffquant_quantizer_forward_statistics_typed().
    /// @param dtype F16 or Bf16
    /// @param w n weights
    /// @param codes receives n codes; std::nullopt when they are not wanted
    /// @param values receives n values; std::nullopt when they are not wanted; may be w itself
    /// @param statistics receives scale_count() of them; untouched when n is 0
    void forward_statistics(Dtype dtype, View<const std::uint16_t> w, OptionalView<std::int8_t> codes,
                            OptionalView<std::uint16_t> values, View<Statistics> statistics) const {
        call(diffquant_quantizer_forward_statistics_typed, detail::require_16_bits(dtype), w.data(), w.size(),
             detail::data_or_null("codes", codes, w.size()), detail::data_or_null("values", values, w.size()),
             statistics.data(), statistics.size());
    }

    /// Quantizes 16-bit weights with scales of this call's own: diffquant_quantizer_forward_dynamic_typed(). Allocates.
    /// @param dtype F16 or Bf16
    /// @param w n weights; per token any multiple of the last dimension
    /// @param codes receives n codes; std::nullopt when they are not wanted
    /// @param values receives n values; std::nullopt when they are not wanted; may be w itself
    /// @param scales receives the scales: per token n divided by the last dimension, else scale_count() of them
    void forward_dynamic(Dtype dtype, View<const std::uint16_t> w, OptionalView<std::int8_t> codes,
                         OptionalView<std::uint16_t> values, View<float> scales) const {
        call(diffquant_quantizer_forward_dynamic_typed, detail::require_16_bits(dtype), w.data(), w.size(),
             detail::data_or_null("codes", codes, w.size()), detail::data_or_null("values", values, w.size()),
             scales.data(), scales.size());
    }

    /// The gradient of the loss by each 16-bit weight: diffquant_quantizer_backward_typed().
    /// @param dtype F16 or Bf16
    /// @param w n weights, as given to forward()
    /// @param values the n values that forward() gave; std::nullopt: they are computed again where needed
    /// @param grad_out n gradients of the loss by each value
    /// @param grad_w receives n gradients of the loss by each weight; may be grad_out itself
    void backward(Dtype dtype, View<const std::uint16_t> w, OptionalView<const std::uint16_t> values,
                  View<const std::uint16_t> grad_out, View<std::uint16_t> grad_w) const {
        detail::require_length("grad_out", grad_out.size(), w.size());
        detail::require_length("grad_w", grad_w.size(), w.size());
        call(diffquant_quantizer_backward_typed, detail::require_16_bits(dtype), w.data(),
             detail::data_or_null("values", values, w.size()), grad_out.data(), w.size(), grad_w.data());
    }

    /// The gradient of the loss by each scale, and by each 16-bit weight, in one pass:
    /// diffquant_quantizer_backward_scale_typed().
    /// @param dtype F16 or Bf16
    /// @param w n weights, as given to forward()
    /// @param grad_out n gradients of the loss by each value
    /// @param grad_w receives n gradients of the loss by each weight; std::nullopt when they are not wanted; may be
    ///        grad_out itself
    /// @param grad_scale receives scale_count() gradients of the loss by each scale; untouched when n is 0
    void backward_scale(Dtype dtype, View<const std::uint16_t> w, View<const std::uint16_t> grad_out,
                        OptionalView<std::uint16_t> grad_w, View<float> grad_scale) const {
        detail::require_length("grad_out", grad_out.size(), w.size());
        detail::require_length("grad_scale", grad_scale.size(), scale_count());
        call(diffquant_quantizer_backward_scale_typed, detail::require_16_bits(dtype), w.data(), grad_out.data(),
             w.size(), detail::data_or_null("grad_w", grad_w, w.size()), grad_scale.data());
    }

    /// The gradient of the loss by each scale, each offset and each 16-bit weight:
    /// diffquant_quantizer_backward_scale_offset_typed().
    /// @param dtype F16 or Bf16
    /// @param w n weights, as given to forward()
    /// @param grad_out n gradients of the loss by each value
    /// @param grad_w receives n gradients of the loss by each weight; std::nullopt when they are not wanted; may be
    ///        grad_out itself
    /// @param grad_scale receives scale_count() gradients of the loss by each scale; untouched when n is 0
    /// @param grad_offset receives scale_count() gradients of the loss by each offset; untouched when n is 0
    void backward_scale_offset(Dtype dtype, View<const std::uint16_t> w, View<const std::uint16_t> grad_out,
                               OptionalView<std::uint16_t> grad_w, View<float> grad_scale,
                               View<float> grad_offset) const {
        detail::require_length("grad_out", grad_out.size(), w.size());
        detail::require_length("grad_scale", grad_scale.size(), scale_count());
        detail::require_length("grad_offset", grad_offset.size(), scale_count());
        call(diffquant_quantizer_backward_scale_offset_typed, detail::require_16_bits(dtype), w.data(),
             grad_out.data(), w.size(), detail::data_or_null("grad_w", grad_w, w.size()), grad_scale.data(),
             grad_offset.data());
    }

    /// Turns codes back into 16-bit values: diffquant_quantizer_dequantize_typed().
    /// @param dtype F16 or Bf16
    /// @param codes n codes
    /// @param values receives n values
    void dequantize(Dtype dtype, View<const std::int8_t> codes, View<std::uint16_t> values) const {
        detail::require_length("values", values.size(), codes.size());
        call(diffquant_quantizer_dequantize_typed, detail::require_16_bits(dtype), codes.data(), codes.size(),
             values.data());
    }

private:
    explicit Quantizer(diffquant_quantizer *object) noexcept : Handle(object) {}
};

// ---- Rotations ------------------------------------------------------------------------------------------------------

/// An orthonormal rotation of rows of one length: diffquant_rotation. Random signs, then a Hadamard transform.
class Rotation : public Handle<diffquant_rotation> {
public:
    /// The rotation that belongs to a seed: diffquant_rotation_new().
    /// @param length elements of a row, at least 1
    /// @param seed chooses the signs
    /// @throws Error with InvalidArgument
    explicit Rotation(std::size_t length, std::uint64_t seed = 0)
        : Handle(detail::result<diffquant_rotation *>(diffquant_rotation_new, length, seed)) {}

    /// Takes a C object into ownership.
    /// @param object the C object, which nobody else may free; null gives what a move leaves behind
    /// @return its owner
    [[nodiscard]] static Rotation adopt(diffquant_rotation *object) noexcept { return Rotation(object, adopted{}); }

    /// @return elements of a row: diffquant_rotation_length()
    [[nodiscard]] std::size_t length() const { return get<std::size_t>(diffquant_rotation_length); }

    /// Rotates rows in place: diffquant_rotation_apply(). Allocates nothing.
    /// @param x whole rows, one after the other
    /// @throws Error with LengthMismatch
    void apply(View<float> x) const { call(diffquant_rotation_apply, x.data(), x.size()); }

    /// Rotates rows back in place: diffquant_rotation_apply_transpose(). Allocates nothing.
    /// @param x whole rows, one after the other
    /// @throws Error with LengthMismatch
    void apply_transpose(View<float> x) const { call(diffquant_rotation_apply_transpose, x.data(), x.size()); }

private:
    struct adopted {}; // a length of 0 is no null pointer
    Rotation(diffquant_rotation *object, adopted) noexcept : Handle(object) {}
};

} // namespace diffquant

#endif // DIFFQUANT_HPP
