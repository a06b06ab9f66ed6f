/**
 * @file diffquant.h
 * @brief Differentiable quantizers for quantization-aware training.
 *
 * A training runtime hands over its own float buffers. A quantizer turns weights into integer codes and the values that
 * they stand for (forward), sends the gradient of the loss back through the rounding (backward), learns or calibrates its
 * scales, and turns codes back into values (dequantize).
 *
 * One training step of a 16 x 64 weight matrix at 4 bits, one scale per row:
 *
 * @code{.c}
 *     diffquant_quantizer *q = NULL;
 *     if (diffquant_quantizer_new_uniform(4, DIFFQUANT_STE_STANDARD, 0.0f, &q) != DIFFQUANT_STATUS_OK ||
 *         diffquant_quantizer_init_per_channel(q, 16) != DIFFQUANT_STATUS_OK ||
 *         diffquant_quantizer_init_scale(q, w, 16 * 64) != DIFFQUANT_STATUS_OK ||
 *         diffquant_quantizer_forward(q, w, 16 * 64, NULL, values) != DIFFQUANT_STATUS_OK) {
 *         fprintf(stderr, "%s\n", diffquant_last_error_message());
 *     }
 *     // ... the network runs on values; its backward pass gives grad_values ...
 *     diffquant_quantizer_backward(q, w, values, grad_values, 16 * 64, grad_w);
 *     diffquant_quantizer_free(q);
 * @endcode
 *
 * Conventions
 *
 * - Status. Every function that can fail returns a diffquant_status, 0 for success, and otherwise leaves a text for
 *   diffquant_last_error_message(). A call that is refused has changed nothing and written nothing, except where its comment
 *   says so. The comments name statuses without their prefix: NULL_POINTER is DIFFQUANT_STATUS_NULL_POINTER. A returned
 *   INTERNAL means a defect of the library, for any function.
 * - Handles. Configurations, quantizers, observers and rotations are made by functions with an `out` argument and freed by the
 *   function named there. Freeing NULL does nothing. A freed handle must not be used again. Where one is, or a handle of another
 *   type, any function may answer INVALID_HANDLE, and freeing it does nothing. This is best effort, against mistakes: a
 *   freed handle is recognised until 256 more of its type were freed; a pointer that never was a handle, or an object that another
 *   thread is just freeing, is not.
 * - Pointers. A NULL handle, or NULL data with n > 0, is refused; so is a pointer that is not aligned for its type. With
 *   n = 0 a tensor function touches nothing and its data pointers may be anything. Arguments whose comment says
 *   "may be NULL" are optional. Every pointer may be answered with MISALIGNED, named below for buffers alone.
 * - Buffers. The caller owns every buffer. Lengths are in elements. Nothing is read or written past them. Outputs need not be
 *   initialised. An output may be the very same buffer as an input only where a comment says so; any other overlap with
 *   an output is refused. Inputs may share memory.
 * - Threads. A call with a const handle may run at the same time as any other call with a const handle to the same object; a
 *   call with a non-const handle needs that object to itself. Different objects are independent. Nothing is locked.
 * - Constants. Arguments of type diffquant_ste and the like are plain 32-bit numbers; unknown ones are refused.
 * - Tensors are contiguous, row-major arrays of float; the functions whose names end in _typed take 16-bit elements too, see
 *   diffquant_dtype. Weights share a scale, a zero point and an offset in groups: all of them, a channel, a token or a
 *   block, see diffquant_granularity. Without a shape channels are equal, contiguous slices of a tensor of any length: a
 *   weight matrix stored as [out][in] has its rows as channels. For channels along any other axis, tokens and blocks,
 *   diffquant_quantizer_set_shape declares the shape, and n is then its product.
 * - Codes are int8, of the bits and the range of the quantizer (diffquant_code_range). A code stands for
 *   (code - zero_point) * step + offset, where the step is the scale, or for pi alpha * PI / k. Zero points are fixed until
 *   diffquant_quantizer_set_symmetric frees them; offsets are 0 until they are set. Arrays of one number per group
 *   (scales, zero points, offsets, their gradients) are in the order of diffquant_granularity.
 * - Results have the bits of IEEE binary32 arithmetic in the order that the comments write, not fused except where one says
 *   so; they do not depend on the machine. The floating-point environment must be the default one (rounding to nearest).
 */


#ifndef DIFFQUANT_H
#define DIFFQUANT_H

/* Generated from the library's source; a test fails when it is stale. */

#include <stddef.h>
#include <stdint.h>

/**
 * The version of this header, to be compared with diffquant_version_number of the library that is loaded.
 */
#define DIFFQUANT_VERSION_MAJOR 0

/**
 * See DIFFQUANT_VERSION_MAJOR.
 */
#define DIFFQUANT_VERSION_MINOR 1

/**
 * See DIFFQUANT_VERSION_MAJOR.
 */
#define DIFFQUANT_VERSION_PATCH 0

/**
 * A configuration of quantization-aware training: what a quantizer is made from, and what a trainer keeps with it.
 */
typedef struct diffquant_config diffquant_config;

/**
 * An observer: what is remembered of a stream of batches, of each group of their elements, to choose scales from.
 *
 * A group is the whole tensor, or after diffquant_observer_set_shape a channel of any axis. Activations are quantized with
 * one scale for each group, and are never in memory all at once: show each batch to an observer, then let
 * diffquant_quantizer_init_scale_from_observer choose. The parts of a stream may be observed by different observers, on
 * different machines, and merged.
 */
typedef struct diffquant_observer diffquant_observer;

/**
 * A quantizer: a range of codes, a scale, a zero point and an offset per group of weights, a rounding mode and a
 * straight-through estimator.
 */
typedef struct diffquant_quantizer diffquant_quantizer;

/**
 * An orthonormal rotation of rows of one length: random signs, then a Hadamard transform.
 *
 * It spreads a weight that is far larger than the others over its row, so that it does not stretch the grid of all. A quantizer
 * with diffquant_quantizer_set_incoherence rotates by itself; this is for what has to be rotated along with it, such as the
 * activations that meet rotated weights. (Chee et al. 2023, arXiv 2307.13304; Tseng et al. 2024, arXiv 2402.04396)
 *
 * A length that is no power of two is cut into blocks that are, largest first: 100 is 64 + 32 + 4, 3 is 2 + 1; a
 * block of 1 only gets its sign. A block x of m elements becomes H (s * x) / sqrt(m). H is Sylvester's matrix, whose element
 * (i, j) is -1 where i and j have an odd number of bits in common, else 1. The signs s are bits of SplitMix64 started with
 * the seed, 1 for minus: element i of the row has bit i % 64, counted from the lowest, of output i / 64. This never changes.
 */
typedef struct diffquant_rotation diffquant_rotation;

/**
 * What became of a call: DIFFQUANT_STATUS_OK or why it was refused. Numbers never change once released.
 */
typedef uint32_t diffquant_status;

/**
 * A ready-made configuration.
 */
typedef uint32_t diffquant_preset;

/**
 * A straight-through estimator: how the gradient of a value becomes the gradient of the weight w behind it. g is the
 * gradient by the value; some estimators have one parameter, the ste_param of the functions that take one.
 *
 * In the formulas v = (w - offset) / step, r(v) is v rounded in the quantizer's mode, and Qn and Qp are the smallest and the
 * largest code less the zero point. A NaN passes no range: its gradient is 0 under RANGE_CLIPPED and those that follow.
 */
typedef uint32_t diffquant_ste;

/**
 * Which weights share a scale, in a contiguous (row-major) tensor seen as [outer][axis][inner].
 */
typedef uint32_t diffquant_granularity;

/**
 * What happens to v = (w - offset) / step when it lies between two codes.
 */
typedef uint32_t diffquant_rounding;

/**
 * What forward does with weights that are no finite number. Libraries differ here without saying so: some give a NaN the smallest
 * code, some the zero point, some whatever the conversion of the machine makes of it.
 */
typedef uint32_t diffquant_non_finite;

/**
 * Which of the 2^bits codes are used, and which of them stands for 0 in a symmetric quantizer.
 */
typedef uint32_t diffquant_code_range;

/**
 * How scales are chosen from weights. Levels are codes less the zero point; Qp is the largest level. The zero point is free
 * in a quantizer that is not symmetric.
 */
typedef uint32_t diffquant_scale_init;

/**
 * What quantizing did to the weights of a group. Weights that are not finite are counted in non_finite and nowhere else.
 */
typedef struct {
    /**
     * finite weights
     */
    uint64_t count;
    /**
     * NaNs and infinities
     */
    uint64_t non_finite;
    /**
     * weights that got qmin, clamped or not
     */
    uint64_t at_min;
    /**
     * weights that got qmax, clamped or not
     */
    uint64_t at_max;
    /**
     * sum of (w - value)^2
     */
    double squared_error;
    /**
     * sum of w^2
     */
    double signal_power;
    /**
     * signal-to-quantization-noise ratio, 10 * log10(signal_power / squared_error) in dB; infinity where squared_error is 0, NaN
     * where both are infinite
     */
    double sqnr_db;
} diffquant_statistics;

/**
 * What the elements of a tensor are, for the functions whose names end in _typed.
 *
 * Elements of 16 bits are computed as float: each is converted to float, which is exact, and each result is rounded to its type once,
 * to the nearest, halves to even. So what a function gives for them are to the bit the results of the same function without
 * _typed for the same tensors as float, converted to the type, whatever the granularity, the estimator, the number of
 * threads and the instruction set; codes, scales, offsets, their gradients and statistics are not rounded. What is
 * too large for F16 becomes infinite; subnormal numbers are kept; a NaN stays a NaN, and becomes a quiet one.
 */
typedef uint32_t diffquant_dtype;

/**
 * A host's pool of threads: a function that calls run(task, index) once for every index below count, on any threads, and
 * returns when all of them have returned. It must not throw, and nothing may call run after it has returned.
 *
 * context is what diffquant_quantizer_set_parallel_for was given.
 */
typedef void (*diffquant_parallel_for)(void *context,
                                       size_t count,
                                       void (*run)(void *task, size_t index),
                                       void *task);

/**
 * What an observer remembers of a group, besides how many elements there were. NaNs and infinities are counted, and nothing
 * else is done with them.
 */
typedef uint32_t diffquant_observer_kind;

/**
 * An instruction set that the library has code for. Results are the same bits whichever is used.
 */
typedef uint32_t diffquant_isa;

/**
 * The call did what it says.
 */
#define DIFFQUANT_STATUS_OK 0

/**
 * A pointer that must not be NULL is.
 */
#define DIFFQUANT_STATUS_NULL_POINTER 1

/**
 * A number is outside the range that the function documents.
 */
#define DIFFQUANT_STATUS_INVALID_ARGUMENT 2

/**
 * An enumeration value that this version does not know.
 */
#define DIFFQUANT_STATUS_UNKNOWN_CONSTANT 3

/**
 * A length does not fit: n is not that of the quantizer's shape or no multiple of its channel count, or an array has
 * another length than the call needs.
 */
#define DIFFQUANT_STATUS_LENGTH_MISMATCH 4

/**
 * An index (of a group, an axis, an element) is past the last one.
 */
#define DIFFQUANT_STATUS_INDEX_OUT_OF_RANGE 5

/**
 * Two buffers overlap in a way that the function does not allow.
 */
#define DIFFQUANT_STATUS_OVERLAP 6

/**
 * A pointer is not aligned for its element type.
 */
#define DIFFQUANT_STATUS_MISALIGNED 7

/**
 * A length is so large that its buffer could not lie in memory.
 */
#define DIFFQUANT_STATUS_SIZE_OVERFLOW 8

/**
 * The object has no such property, such as the divisor k of a uniform quantizer or a zero point to set of a symmetric one.
 */
#define DIFFQUANT_STATUS_NOT_APPLICABLE 32

/**
 * A configuration does not validate; the message names the field.
 */
#define DIFFQUANT_STATUS_INVALID_CONFIG 33

/**
 * The quantizer's granularity needs a shape that was not declared: call diffquant_quantizer_set_shape.
 */
#define DIFFQUANT_STATUS_NO_SHAPE 34

/**
 * The observer has seen nothing finite in a group; the message names the group.
 */
#define DIFFQUANT_STATUS_NO_DATA 35

/**
 * Two observers are of different kinds or shapes.
 */
#define DIFFQUANT_STATUS_INCOMPATIBLE 36

/**
 * A handle that was freed, or is of another type.
 */
#define DIFFQUANT_STATUS_INVALID_HANDLE 37

/**
 * A NaN or an infinity among data that must be finite; the message names the first one.
 */
#define DIFFQUANT_STATUS_NON_FINITE 64

/**
 * Text is not the JSON that was expected.
 */
#define DIFFQUANT_STATUS_INVALID_JSON 65

/**
 * Text is not UTF-8.
 */
#define DIFFQUANT_STATUS_INVALID_UTF8 66

/**
 * A buffer for text is too small; the needed length was reported.
 */
#define DIFFQUANT_STATUS_BUFFER_TOO_SMALL 96

/**
 * Memory could not be had.
 */
#define DIFFQUANT_STATUS_OUT_OF_MEMORY 97

/**
 * The request is valid, but this version does not carry it out.
 */
#define DIFFQUANT_STATUS_UNSUPPORTED 98

/**
 * A defect of the library, caught before it could harm the caller. Please report it.
 */
#define DIFFQUANT_STATUS_INTERNAL 99

/**
 * g, unchanged. No parameter. (Bengio et al. 2013, arXiv 1308.3432)
 */
#define DIFFQUANT_STE_STANDARD 0

/**
 * g where |w| <= clip_val, else 0. Parameter clip_val: positive and finite, in units of w.
 * (Courbariaux et al. 2016, arXiv 1602.02830, section 1.3)
 */
#define DIFFQUANT_STE_CLIPPED 1

/**
 * g, unchanged, with a learned scale. No parameter. This is not LSQ: see diffquant_quantizer_backward_scale.
 */
#define DIFFQUANT_STE_LEARNED_STEP_SIZE 2

/**
 * g * (1 + lambda * |w - value|). Parameter lambda: zero or more, finite, per unit of w.
 * (after Lee et al. 2021, arXiv 2104.00903)
 */
#define DIFFQUANT_STE_EWGS 3

/**
 * g where Qn <= r(v) <= Qp, that is, where the weight rounds to a code of the range; else 0. No parameter. (The fake
 * quantization of PyTorch, TensorFlow and ONNX.)
 */
#define DIFFQUANT_STE_RANGE_CLIPPED 4

/**
 * g where Qn < v < Qp, else 0: learned step size quantization as published. No parameter. (Esser et al. 2020,
 * arXiv 1902.08153)
 */
#define DIFFQUANT_STE_LSQ 5

/**
 * As LSQ, with an offset that is learned too, see diffquant_quantizer_backward_scale_offset. No parameter. (Bhalgat et al.
 * 2020, arXiv 2004.09576)
 */
#define DIFFQUANT_STE_LSQ_PLUS 6

/**
 * g * (1 + delta * sign(g) * (v - r(v))) where Qn < v < Qp, else 0: element-wise gradient scaling as published. Parameter
 * delta: zero or more, finite, per step; the paper's, on values from 0 to 1, divided by the number of codes less one.
 * (Lee et al. 2021, arXiv 2104.00903)
 */
#define DIFFQUANT_STE_EWGS_SIGNED 7

/**
 * To the nearer code; halfway, to the one farther from zero: 0.5 gives 1, -2.5 gives -3. The default.
 */
#define DIFFQUANT_ROUNDING_HALF_AWAY 0

/**
 * To the nearer code; halfway, to the even one: 0.5 gives 0, -2.5 gives -2. As PyTorch and ONNX do.
 */
#define DIFFQUANT_ROUNDING_HALF_EVEN 1

/**
 * To either of the two codes around v, the upper one with a probability of v minus the lower one, so that the mean over draws
 * is v; a whole v stays, and codes are clamped afterwards. Probabilities are exact to 2^(bits-23), about what f32 leaves of the
 * fraction of a v near 2^bits.
 *
 * The code less the zero point is v + u in f32, rounded half to even. u comes from Philox4x32-10 (Salmon et al. 2011) with the key
 * (low, high half of the seed) and the counters (high, low half of c, 0, 0). Element i of the tensor has a word of counter c =
 * i / 64 * 8 + i mod 16 / 2: word 1 or 0, as i is even or odd, and 3 or 2 where i mod 32 is 16 or more; its upper and lower 16 bits
 * are exchanged where i mod 64 is 32 or more. As a signed integer made f32, times 2^-32 - 2^(bits-55) in f32, it is u.
 *
 * Elements i and i + 32 of 64 have words of the same bits: each goes up with its probability, and both together with the product
 * of the two to 2^-16. All other elements are independent, as far as Philox is.
 * See diffquant_quantizer_set_seed.
 */
#define DIFFQUANT_ROUNDING_STOCHASTIC 2

/**
 * A NaN gets the zero point, and the value of that code; an infinity the code at its end of the range. The default.
 */
#define DIFFQUANT_NON_FINITE_ZERO 0

/**
 * As ZERO, but the value of a NaN is a NaN: the loss shows that something went wrong. Its code is the zero point still, as
 * there is no code for it.
 */
#define DIFFQUANT_NON_FINITE_PROPAGATE 1

/**
 * A tensor with a NaN or an infinity is refused with DIFFQUANT_STATUS_NON_FINITE, and the message names the first one; outputs
 * are untouched. Costs a pass over the weights before the one that quantizes.
 */
#define DIFFQUANT_NON_FINITE_REJECT 2

/**
 * One scale for the whole tensor.
 */
#define DIFFQUANT_GRANULARITY_PER_TENSOR 0

/**
 * One scale per channel, an index along an axis: scale a belongs to every element [o][a][i]. The default of a
 * configuration. Without a shape, channels are equal, contiguous slices of the tensor.
 */
#define DIFFQUANT_GRANULARITY_PER_CHANNEL 1

/**
 * One scale per token, the elements of the last dimension: scale t belongs to elements t * last to t * last + last - 1.
 */
#define DIFFQUANT_GRANULARITY_PER_TOKEN 2

/**
 * One scale per block of B neighbours along an axis, the last block shorter where B does not divide the axis: scale
 * (o * blocks + a / B) * inner + i belongs to element [o][a][i], where blocks = ceil(axis / B).
 */
#define DIFFQUANT_GRANULARITY_PER_BLOCK 3

/**
 * IEEE binary32: float.
 */
#define DIFFQUANT_DTYPE_F32 0

/**
 * IEEE binary16, as the bits of a uint16_t (or _Float16): 5 bits of exponent, 10 of fraction, 65504 the largest number.
 */
#define DIFFQUANT_DTYPE_F16 1

/**
 * bfloat16, as the bits of a uint16_t: the upper half of a float.
 */
#define DIFFQUANT_DTYPE_BF16 2

/**
 * 3 bits, pi with k = 4, LEARNED_STEP_SIZE, per channel.
 */
#define DIFFQUANT_PRESET_PIQ3 0

/**
 * 2 bits, pi with k = 3, LEARNED_STEP_SIZE, per channel, use_incoherence set: its quantizers rotate every row.
 */
#define DIFFQUANT_PRESET_PIQ2 1

/**
 * -2^(bits-1) to 2^(bits-1) - 1; code 0 stands for 0. The default.
 */
#define DIFFQUANT_CODE_RANGE_FULL 0

/**
 * -(2^(bits-1) - 1) to 2^(bits-1) - 1; code 0 stands for 0. As many codes on either side of it.
 */
#define DIFFQUANT_CODE_RANGE_NARROW 1

/**
 * The unsigned codes u = 0 to 2^bits - 1 of ONNX and GGUF, kept in an int8 as u - 2^(bits-1): add 2^(bits-1) to a code, and to
 * a zero point, to get the unsigned one. u = 0 stands for 0, so that a symmetric quantizer has no negative values.
 */
#define DIFFQUANT_CODE_RANGE_UNSIGNED 2

/**
 * The largest magnitude of a group lies half a step beyond its largest code. No parameter. What
 * diffquant_quantizer_init_scale does; the reference's rule.
 */
#define DIFFQUANT_SCALE_INIT_MAX_ABS 0

/**
 * The smallest step at which no weight is clamped. No parameter. Where the zero point is free, the codes span the smallest
 * to the largest weight, 0 included, and 0 is exactly representable; otherwise it stays, and weights on a side without
 * codes are clamped.
 */
#define DIFFQUANT_SCALE_INIT_MIN_MAX 1

/**
 * step = 2 * mean|w| / sqrt(Qp), zero points those of the range. No parameter. A start for training with LSQ, not a
 * scale to quantize with. (Esser et al. 2020, arXiv 1902.08153, section 2.1)
 */
#define DIFFQUANT_SCALE_INIT_LSQ 2

/**
 * As MAX_ABS, of the smallest magnitude that parameter percent of the weights do not exceed; where the zero point is free, as
 * MIN_MAX of the central parameter percent of the weights. Parameter: above 0, at most 100. It means the decimal that was
 * written: 99.9f of 1000 weights are 999 of them, though the float is a little more than 99.9. A good one depends on the
 * number of bits.
 */
#define DIFFQUANT_SCALE_INIT_PERCENTILE 3

/**
 * The step, and the zero point where it is free, with the smallest squared error sum (w - value)^2, found by search: within 0.1 %
 * of it, but for rare groups (docs/methods.md counts them). No parameter. The scale to quantize with, and a good start for
 * training.
 */
#define DIFFQUANT_SCALE_INIT_MSE 4

/**
 * The smallest and the largest element. No parameter.
 */
#define DIFFQUANT_OBSERVER_KIND_MIN_MAX 0

/**
 * Moving averages of the smallest and of the largest element of batches: those of the first batch, then for each batch
 * min + c * (min of the batch - min), and max likewise, rounded once. A batch without a finite element moves nothing.
 * Parameter: c, above 0 and at most 1; PyTorch's averaging_constant, there 0.01.
 */
#define DIFFQUANT_OBSERVER_KIND_MOVING_AVERAGE 1

/**
 * As MIN_MAX, and how many elements lie in each bin, where a bin is all floats with the same sign, exponent and first four
 * bits of the mantissa: 16 to each power of two, 8160 in all. No parameter. Memory: 136 bytes for each sign and exponent
 * that occurs in a group, some 5 KiB for ordinary data, 68 KiB at most, however many batches there are. While it
 * observes: up to 1 MiB, and as much again for the batch.
 */
#define DIFFQUANT_OBSERVER_KIND_HISTOGRAM 2

/**
 * The fastest that this machine has. The default.
 */
#define DIFFQUANT_ISA_FASTEST 0

/**
 * What every machine of this architecture has: SSE2 on x86-64, NEON on aarch64.
 */
#define DIFFQUANT_ISA_BASELINE 1

/**
 * AVX2 with FMA (x86-64).
 */
#define DIFFQUANT_ISA_AVX2 2

/**
 * AVX-512 F, BW, DQ and VL (x86-64).
 */
#define DIFFQUANT_ISA_AVX512 3

/**
 * NEON, the baseline of aarch64.
 */
#define DIFFQUANT_ISA_NEON 4

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the loaded library as text, "major.minor.patch".
 *
 * @return a string that lives as long as the library is loaded; never NULL
 */
const char *diffquant_version_string(void);

/**
 * The version of the loaded library as one number that can be compared.
 *
 * @return major << 16 | minor << 8 | patch
 */
uint32_t diffquant_version_number(void);

/**
 * The name of a status, such as "DIFFQUANT_STATUS_NULL_POINTER".
 *
 * @param status any number
 * @return a string that lives as long as the library is loaded; never NULL, "unknown status" for an unknown number
 */
const char *diffquant_status_name(diffquant_status status);

/**
 * What went wrong in the last call of this thread that did not return DIFFQUANT_STATUS_OK.
 *
 * The text is in English, UTF-8, names the argument and its value, and is meant for people. Calls that succeed leave it as
 * it is.
 *
 * @return a string owned by the thread, overwritten by its next failing call; never NULL, "" before the first failure
 */
const char *diffquant_last_error_message(void);

/**
 * Makes a configuration with every field at its default: 4 bits, uniform, STANDARD, per channel, symmetric.
 *
 * @param out receives the handle; free it with diffquant_config_free
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; OUT_OF_MEMORY
 */
diffquant_status diffquant_config_new(diffquant_config **out);

/**
 * Makes a ready-made configuration.
 *
 * @param preset a DIFFQUANT_PRESET constant
 * @param out receives the handle; free it with diffquant_config_free
 * @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT; NULL_POINTER; OUT_OF_MEMORY
 */
diffquant_status diffquant_config_new_preset(diffquant_preset preset, diffquant_config **out);

/**
 * Reads a configuration from JSON, the form that diffquant_config_to_json writes.
 *
 * Unknown fields are ignored; absent ones are refused, except pi_k and grad_clip. The values are not judged: a quantizer
 * is made only from a configuration that diffquant_config_validate accepts.
 *
 * @param json UTF-8 text; a NUL at the end is not needed
 * @param len its length in bytes, at most 1 MiB
 * @param out receives the handle; free it with diffquant_config_free
 * @return DIFFQUANT_STATUS_OK; INVALID_JSON; INVALID_UTF8; NULL_POINTER; SIZE_OVERFLOW; OUT_OF_MEMORY
 */
diffquant_status diffquant_config_from_json(const char *json,
                                            size_t len,
                                            diffquant_config **out);

/**
 * Makes a copy that shares nothing with the original.
 *
 * @param config the original
 * @param out receives the handle; free it with diffquant_config_free
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; OUT_OF_MEMORY
 */
diffquant_status diffquant_config_clone(const diffquant_config *config, diffquant_config **out);

/**
 * Writes a configuration as JSON, indented by two spaces, with a NUL at the end.
 *
 * To learn the length, call with cap = 0. Allocates nothing.
 *
 * @param config the configuration to write
 * @param buf receives the text; may be NULL when cap is 0
 * @param cap the size of buf in bytes
 * @param len receives the length of the text without the NUL, also when buf is too small
 * @return DIFFQUANT_STATUS_OK; BUFFER_TOO_SMALL unless cap > *len; INVALID_CONFIG for a number that JSON cannot express;
 *         NULL_POINTER; OVERLAP of buf and len; SIZE_OVERFLOW
 */
diffquant_status diffquant_config_to_json(const diffquant_config *config,
                                          char *buf,
                                          size_t cap,
                                          size_t *len);

/**
 * Says whether a configuration makes sense; if not, the message names the first field that does not, in this order:
 * bits, pi_k, learning_rate, epochs, the parameter of ste_variant (clip_val, lambda, delta), kd_temperature,
 * loss_weights, block_size.
 *
 * @param config the configuration to judge
 * @return DIFFQUANT_STATUS_OK; INVALID_CONFIG; NULL_POINTER
 */
diffquant_status diffquant_config_validate(const diffquant_config *config);

/**
 * The number of codes, 2^bits; at most 2^32 - 1, for bits that no quantizer has.
 *
 * @param config the configuration to read
 * @param out receives the number
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_config_num_levels(const diffquant_config *config, uint32_t *out);

/**
 * The smallest and the largest code, -2^(bits-1) and 2^(bits-1) - 1.
 *
 * @param config the configuration to read
 * @param min receives the smallest
 * @param max receives the largest
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; OVERLAP of min and max
 */
diffquant_status diffquant_config_code_range(const diffquant_config *config, int32_t *min, int32_t *max);

/**
 * The step alpha * PI / k that a pi configuration gives to an alpha.
 *
 * @param config the configuration to read
 * @param alpha the scale
 * @param out receives the step
 * @return DIFFQUANT_STATUS_OK; NOT_APPLICABLE for a uniform configuration; NULL_POINTER
 */
diffquant_status diffquant_config_pi_step(const diffquant_config *config, float alpha, float *out);

/**
 * A planning figure for storage, in bits per weight: bits, plus an allowance for scales of nothing per tensor, 1/8 per
 * channel, 1/4 per token and 16 / block_size per block.
 *
 * @param config the configuration to read
 * @param out receives the figure
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_config_bits_per_weight(const diffquant_config *config,
                                                  float *out);

/**
 * The number of quantization parameters, a scale and a zero point per group, of a tensor. A last, shorter block counts as
 * one; no more than SIZE_MAX is given.
 *
 * @param config the configuration to read
 * @param elements weights in the tensor
 * @param channels channels of the tensor; it has elements / channels tokens
 * @param out receives the number
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_config_parameter_count(const diffquant_config *config,
                                                  size_t elements,
                                                  size_t channels,
                                                  size_t *out);

/**
 * Frees a configuration. Quantizers made from it stay as they are.
 *
 * @param config the configuration, or NULL
 */
void diffquant_config_free(diffquant_config *config);

/**
 * Sets bits: the width of a code.
 *
 * @param config the configuration to change
 * @param bits 2, 3, 4, 5 or 8; 4 by default. A pi configuration with 8 bits does not validate.
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
 */
diffquant_status diffquant_config_set_bits(diffquant_config *config, uint32_t bits);

/**
 * Gets bits: the width of a code.
 *
 * @param config the configuration to read
 * @param out receives the field
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_config_bits(const diffquant_config *config, uint32_t *out);

/**
 * Sets ste_variant: the straight-through estimator.
 *
 * @param config the configuration to change
 * @param ste a DIFFQUANT_STE constant; STANDARD by default
 * @param ste_param the estimator's parameter; ignored by those without one
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; UNKNOWN_CONSTANT; INVALID_ARGUMENT
 */
diffquant_status diffquant_config_set_ste(diffquant_config *config, diffquant_ste ste, float ste_param);

/**
 * Gets ste_variant: the straight-through estimator.
 *
 * @param config the configuration to read
 * @param ste receives the DIFFQUANT_STE constant
 * @param ste_param receives the parameter, 0 for an estimator without one; may be NULL
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; OVERLAP of ste and ste_param
 */
diffquant_status diffquant_config_ste(const diffquant_config *config, diffquant_ste *ste, float *ste_param);

/**
 * Sets granularity: which weights share a scale.
 *
 * @param config the configuration to change
 * @param granularity a DIFFQUANT_GRANULARITY constant; PER_CHANNEL by default
 * @param block_size weights per block, at least 1, for PER_BLOCK; ignored otherwise
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; UNKNOWN_CONSTANT; INVALID_ARGUMENT
 */
diffquant_status diffquant_config_set_granularity(diffquant_config *config,
                                                  diffquant_granularity granularity,
                                                  size_t block_size);

/**
 * Gets granularity: which weights share a scale.
 *
 * @param config the configuration to read
 * @param granularity receives the DIFFQUANT_GRANULARITY constant
 * @param block_size receives the weights per block, 0 for other granularities; may be NULL
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; OVERLAP of granularity and block_size
 */
diffquant_status diffquant_config_granularity(const diffquant_config *config,
                                              diffquant_granularity *granularity,
                                              size_t *block_size);

/**
 * Sets pi_k: the divisor k of the step alpha * PI / k, and with it the kind of quantizer.
 *
 * @param config the configuration to change
 * @param pi_k 2, 3, 4 or 5 for a pi quantizer; 0, the default, for a uniform one
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
 */
diffquant_status diffquant_config_set_pi_k(diffquant_config *config, uint32_t pi_k);

/**
 * Gets pi_k: the divisor k of the step alpha * PI / k.
 *
 * @param config the configuration to read
 * @param out receives the field, 0 for a uniform configuration
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_config_pi_k(const diffquant_config *config, uint32_t *out);

/**
 * Sets grad_clip: the largest gradient norm.
 *
 * @param config the configuration to change
 * @param grad_clip positive and finite, or 0 for no clipping; 1 by default
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
 */
diffquant_status diffquant_config_set_grad_clip(diffquant_config *config, float grad_clip);

/**
 * Gets grad_clip: the largest gradient norm.
 *
 * @param config the configuration to read
 * @param out receives the field, 0 for no clipping
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_config_grad_clip(const diffquant_config *config, float *out);

/**
 * Sets lambda_task: weight of the task loss.
 *
 * @param config the configuration to change
 * @param lambda_task zero or more, finite; 1 by default
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
 */
diffquant_status diffquant_config_set_lambda_task(diffquant_config *config, float lambda_task);

/**
 * Gets lambda_task: weight of the task loss.
 *
 * @param config the configuration to read
 * @param out receives the field
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_config_lambda_task(const diffquant_config *config, float *out);

/**
 * Sets lambda_kd: weight of the distillation loss.
 *
 * @param config the configuration to change
 * @param lambda_kd zero or more, finite; 0.5 by default
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
 */
diffquant_status diffquant_config_set_lambda_kd(diffquant_config *config, float lambda_kd);

/**
 * Gets lambda_kd: weight of the distillation loss.
 *
 * @param config the configuration to read
 * @param out receives the field
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_config_lambda_kd(const diffquant_config *config, float *out);

/**
 * Sets lambda_reasoning: weight of the reasoning loss.
 *
 * @param config the configuration to change
 * @param lambda_reasoning zero or more, finite; 0.2 by default
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
 */
diffquant_status diffquant_config_set_lambda_reasoning(diffquant_config *config, float lambda_reasoning);

/**
 * Gets lambda_reasoning: weight of the reasoning loss.
 *
 * @param config the configuration to read
 * @param out receives the field
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_config_lambda_reasoning(const diffquant_config *config, float *out);

/**
 * Sets kd_temperature: softmax temperature of the distillation loss.
 *
 * @param config the configuration to change
 * @param kd_temperature positive, finite; 3 by default
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
 */
diffquant_status diffquant_config_set_kd_temperature(diffquant_config *config, float kd_temperature);

/**
 * Gets kd_temperature: softmax temperature of the distillation loss.
 *
 * @param config the configuration to read
 * @param out receives the field
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_config_kd_temperature(const diffquant_config *config, float *out);

/**
 * Sets epochs: passes over the training set.
 *
 * @param config the configuration to change
 * @param epochs at least 1; 3 by default
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
 */
diffquant_status diffquant_config_set_epochs(diffquant_config *config, size_t epochs);

/**
 * Gets epochs: passes over the training set.
 *
 * @param config the configuration to read
 * @param out receives the field
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_config_epochs(const diffquant_config *config, size_t *out);

/**
 * Sets learning_rate: step size of the optimiser.
 *
 * @param config the configuration to change
 * @param learning_rate positive, finite; 1e-4 by default
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
 */
diffquant_status diffquant_config_set_learning_rate(diffquant_config *config, float learning_rate);

/**
 * Gets learning_rate: step size of the optimiser.
 *
 * @param config the configuration to read
 * @param out receives the field
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_config_learning_rate(const diffquant_config *config, float *out);

/**
 * Sets warmup_epochs: passes before quantization starts.
 *
 * @param config the configuration to change
 * @param warmup_epochs any; 1 by default
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_config_set_warmup_epochs(diffquant_config *config, size_t warmup_epochs);

/**
 * Gets warmup_epochs: passes before quantization starts.
 *
 * @param config the configuration to read
 * @param out receives the field
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_config_warmup_epochs(const diffquant_config *config, size_t *out);

/**
 * Sets weight_decay: weight decay of the optimiser.
 *
 * @param config the configuration to change
 * @param weight_decay zero or more, finite; 0.01 by default
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
 */
diffquant_status diffquant_config_set_weight_decay(diffquant_config *config, float weight_decay);

/**
 * Gets weight_decay: weight decay of the optimiser.
 *
 * @param config the configuration to read
 * @param out receives the field
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_config_weight_decay(const diffquant_config *config, float *out);

/**
 * Sets use_incoherence: whether weights are rotated before they are quantized, see diffquant_quantizer_set_incoherence.
 *
 * @param config the configuration to change
 * @param use_incoherence 0 or 1; 0 by default
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
 */
diffquant_status diffquant_config_set_use_incoherence(diffquant_config *config,
                                                      uint32_t use_incoherence);

/**
 * Gets use_incoherence: whether weights are rotated before they are quantized, see diffquant_quantizer_set_incoherence.
 *
 * @param config the configuration to read
 * @param out receives the field
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_config_use_incoherence(const diffquant_config *config,
                                                  uint32_t *out);

/**
 * Sets symmetric: whether the zero points of a quantizer are fixed, see diffquant_quantizer_set_symmetric.
 *
 * @param config the configuration to change
 * @param symmetric 0 or 1; 1 by default
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
 */
diffquant_status diffquant_config_set_symmetric(diffquant_config *config, uint32_t symmetric);

/**
 * Gets symmetric: whether the zero points of a quantizer are fixed, see diffquant_quantizer_set_symmetric.
 *
 * @param config the configuration to read
 * @param out receives the field
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_config_symmetric(const diffquant_config *config, uint32_t *out);

/**
 * Sets use_distillation: whether a teacher model is distilled.
 *
 * @param config the configuration to change
 * @param use_distillation 0 or 1; 1 by default
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
 */
diffquant_status diffquant_config_set_use_distillation(diffquant_config *config, uint32_t use_distillation);

/**
 * Gets use_distillation: whether a teacher model is distilled.
 *
 * @param config the configuration to read
 * @param out receives the field
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_config_use_distillation(const diffquant_config *config, uint32_t *out);

/**
 * Sets freeze_teacher: whether the teacher stays as it is.
 *
 * @param config the configuration to change
 * @param freeze_teacher 0 or 1; 1 by default
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; INVALID_ARGUMENT
 */
diffquant_status diffquant_config_set_freeze_teacher(diffquant_config *config, uint32_t freeze_teacher);

/**
 * Gets freeze_teacher: whether the teacher stays as it is.
 *
 * @param config the configuration to read
 * @param out receives the field
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_config_freeze_teacher(const diffquant_config *config, uint32_t *out);

/**
 * Makes the quantizer that a configuration describes: pi when it has a pi_k, uniform otherwise. Every scale is 1 until
 * it is calibrated or set.
 *
 * A per-channel configuration starts with one channel: declare how many there are with diffquant_quantizer_set_shape or
 * diffquant_quantizer_init_per_channel. A per-token or per-block one has no scale until diffquant_quantizer_set_shape. The
 * configuration is copied; it may be changed or freed afterwards.
 *
 * @param config what to make
 * @param out receives the handle; free it with diffquant_quantizer_free
 * @return DIFFQUANT_STATUS_OK; INVALID_CONFIG; NULL_POINTER; OUT_OF_MEMORY
 */
diffquant_status diffquant_quantizer_new(const diffquant_config *config,
                                         diffquant_quantizer **out);

/**
 * Makes a uniform quantizer, whose step is its scale. One scale, 1 / 2^(bits-1).
 *
 * @param bits width of a code, 2 to 8
 * @param ste a DIFFQUANT_STE constant
 * @param ste_param the estimator's parameter; ignored by those without one
 * @param out receives the handle; free it with diffquant_quantizer_free
 * @return DIFFQUANT_STATUS_OK; INVALID_ARGUMENT; UNKNOWN_CONSTANT; NULL_POINTER; OUT_OF_MEMORY
 */
diffquant_status diffquant_quantizer_new_uniform(uint32_t bits,
                                                 diffquant_ste ste,
                                                 float ste_param,
                                                 diffquant_quantizer **out);

/**
 * Makes a pi quantizer, whose step is alpha * PI / k. One alpha, 1; estimator LEARNED_STEP_SIZE.
 *
 * @param bits width of a code, 2 to 5
 * @param k divisor of the step, 2 to 5
 * @param out receives the handle; free it with diffquant_quantizer_free
 * @return DIFFQUANT_STATUS_OK; INVALID_ARGUMENT; NULL_POINTER; OUT_OF_MEMORY
 */
diffquant_status diffquant_quantizer_new_pi(uint32_t bits, uint32_t k, diffquant_quantizer **out);

/**
 * Makes a copy that shares nothing with the original.
 *
 * @param quantizer the original
 * @param out receives the handle; free it with diffquant_quantizer_free
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; OUT_OF_MEMORY
 */
diffquant_status diffquant_quantizer_clone(const diffquant_quantizer *quantizer, diffquant_quantizer **out);

/**
 * Frees a quantizer.
 *
 * @param quantizer the quantizer, or NULL
 */
void diffquant_quantizer_free(diffquant_quantizer *quantizer);

/**
 * The alpha at which the 2^bits codes of a pi quantizer span a range of weights: range / (2^bits - 1) * k / PI.
 *
 * @param range largest minus smallest weight, positive and finite
 * @param bits width of a code, 2 to 5
 * @param k divisor of the step, 2 to 5
 * @param out receives alpha
 * @return DIFFQUANT_STATUS_OK; INVALID_ARGUMENT, also when alpha would not be positive and finite; NULL_POINTER
 */
diffquant_status diffquant_pi_scale_from_range(float range,
                                               uint32_t bits,
                                               uint32_t k,
                                               float *out);

/**
 * Changes the straight-through estimator.
 *
 * @param quantizer the quantizer to change
 * @param ste a DIFFQUANT_STE constant
 * @param ste_param the estimator's parameter; ignored by those without one
 * @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT; INVALID_ARGUMENT; NULL_POINTER
 */
diffquant_status diffquant_quantizer_set_ste(diffquant_quantizer *quantizer,
                                             diffquant_ste ste,
                                             float ste_param);

/**
 * The straight-through estimator.
 *
 * @param quantizer the quantizer to read
 * @param ste receives the DIFFQUANT_STE constant
 * @param ste_param receives the parameter, 0 for an estimator without one; may be NULL
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; OVERLAP of ste and ste_param
 */
diffquant_status diffquant_quantizer_ste(const diffquant_quantizer *quantizer,
                                         diffquant_ste *ste,
                                         float *ste_param);

/**
 * How many scales there are: 1 per tensor, the channels, tokens or blocks of the shape, or the channel count; 0 per token
 * and per block until a shape is declared. diffquant_granularity says which scale belongs to which element.
 *
 * @param quantizer the quantizer to read
 * @param out receives the number
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_quantizer_scale_count(const diffquant_quantizer *quantizer,
                                                 size_t *out);

/**
 * Copies every scale out, in the order of diffquant_granularity; for pi the alphas.
 *
 * @param quantizer the quantizer to read
 * @param out receives count floats
 * @param count the number of scales, as diffquant_quantizer_scale_count tells
 * @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH for another count; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW
 */
diffquant_status diffquant_quantizer_scales(const diffquant_quantizer *quantizer, float *out, size_t count);

/**
 * Replaces every scale, in the order of diffquant_granularity; for pi the alphas. All are checked before the first is changed.
 *
 * @param quantizer the quantizer to change
 * @param scales count floats, each positive and finite, as is the step that it gives
 * @param count the number of scales, as diffquant_quantizer_scale_count tells
 * @return DIFFQUANT_STATUS_OK; INVALID_ARGUMENT for a scale; LENGTH_MISMATCH for another count; NULL_POINTER; MISALIGNED;
 *         SIZE_OVERFLOW
 */
diffquant_status diffquant_quantizer_set_scales(diffquant_quantizer *quantizer,
                                                const float *scales,
                                                size_t count);

/**
 * Changes the scale of one group; for pi its alpha.
 *
 * @param quantizer the quantizer to change
 * @param group which, from 0
 * @param scale positive and finite, as is the step that it gives
 * @return DIFFQUANT_STATUS_OK; INVALID_ARGUMENT for the scale; INDEX_OUT_OF_RANGE for the group; NULL_POINTER
 */
diffquant_status diffquant_quantizer_set_scale(diffquant_quantizer *quantizer, size_t group, float scale);

/**
 * The distance between neighbouring values of a group: its scale, or for pi alpha * PI / k.
 *
 * @param quantizer the quantizer to read
 * @param group which, from 0
 * @param out receives the step, in units of w
 * @return DIFFQUANT_STATUS_OK; INDEX_OUT_OF_RANGE; NULL_POINTER
 */
diffquant_status diffquant_quantizer_step_size(const diffquant_quantizer *quantizer,
                                               size_t group,
                                               float *out);

/**
 * The width of a code in bits.
 *
 * @param quantizer the quantizer to read
 * @param out receives the number
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_quantizer_bits(const diffquant_quantizer *quantizer, uint32_t *out);

/**
 * The number of codes, 2^bits.
 *
 * @param quantizer the quantizer to read
 * @param out receives the number
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_quantizer_num_levels(const diffquant_quantizer *quantizer, uint32_t *out);

/**
 * The divisor k of a pi quantizer.
 *
 * @param quantizer the quantizer to read
 * @param out receives the number
 * @return DIFFQUANT_STATUS_OK; NOT_APPLICABLE for a uniform quantizer; NULL_POINTER
 */
diffquant_status diffquant_quantizer_k(const diffquant_quantizer *quantizer, uint32_t *out);

/**
 * Changes what happens between two codes.
 *
 * Calibration takes STOCHASTIC for HALF_EVEN: the best scale does not depend on draws.
 *
 * @param quantizer the quantizer to change
 * @param rounding a DIFFQUANT_ROUNDING constant
 * @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT; NULL_POINTER
 */
diffquant_status diffquant_quantizer_set_rounding(diffquant_quantizer *quantizer,
                                                  diffquant_rounding rounding);

/**
 * What happens between two codes.
 *
 * @param quantizer the quantizer to read
 * @param out receives the DIFFQUANT_ROUNDING constant
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_quantizer_rounding(const diffquant_quantizer *quantizer, diffquant_rounding *out);

/**
 * Changes what STOCHASTIC rounding draws; other modes do not look at it. Both numbers are 0 in a new quantizer.
 *
 * Draws are a function of the seed and of an element's index, so codes depend on neither the machine, the number of threads nor
 * the order of calls, and forward, backward and forward again give the same ones until the seed is changed. A training step wants
 * a seed of its own, set before its forward and kept for its backward; so does each tensor of a step, such as
 * step * tensors + tensor. Any seed is as good as any other, 0 and neighbours included.
 *
 * first_element is the index, in the whole tensor, of the first element of each call: a tensor that is split over calls
 * gets the codes of one call when each call is told where its part begins. Where the parts are quantized at the same time, each
 * wants a quantizer of its own, see diffquant_quantizer_clone. With incoherence elements are those of the rotated tensor, whose
 * rows have to be whole in each part.
 *
 * @param quantizer the quantizer to change
 * @param seed any number
 * @param first_element any number
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_quantizer_set_seed(diffquant_quantizer *quantizer,
                                              uint64_t seed,
                                              uint64_t first_element);

/**
 * What STOCHASTIC rounding draws.
 *
 * @param quantizer the quantizer to read
 * @param seed receives the seed
 * @param first_element receives the index of the first element of each call; may be NULL
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; OVERLAP of seed and first_element
 */
diffquant_status diffquant_quantizer_seed(const diffquant_quantizer *quantizer,
                                          uint64_t *seed,
                                          uint64_t *first_element);

/**
 * Changes what forward does with NaNs and infinities. Gradients are not affected, and diffquant_quantizer_forward_dynamic
 * refuses them under every policy.
 *
 * With incoherence REJECT looks at the weights before they are rotated. Under the other policies one that is not finite makes its
 * whole row so, or the block of the row that it is rotated with: under PROPAGATE the values of all of it are NaNs, but for those of
 * rotated weights that are infinities.
 *
 * @param quantizer the quantizer to change
 * @param policy a DIFFQUANT_NON_FINITE constant
 * @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT; NULL_POINTER
 */
diffquant_status diffquant_quantizer_set_non_finite(diffquant_quantizer *quantizer,
                                                    diffquant_non_finite policy);

/**
 * What forward does with NaNs and infinities.
 *
 * @param quantizer the quantizer to read
 * @param out receives the DIFFQUANT_NON_FINITE constant
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_quantizer_non_finite(const diffquant_quantizer *quantizer,
                                                diffquant_non_finite *out);

/**
 * Changes which weights share a scale. The shape is forgotten; every scale becomes 1, every zero point that of the range
 * (see diffquant_code_range), every offset 0.
 *
 * @param quantizer the quantizer to change
 * @param granularity a DIFFQUANT_GRANULARITY constant
 * @param block_size weights per block, at least 1, for PER_BLOCK; ignored otherwise
 * @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT; INVALID_ARGUMENT; NULL_POINTER; OUT_OF_MEMORY
 */
diffquant_status diffquant_quantizer_set_granularity(diffquant_quantizer *quantizer,
                                                     diffquant_granularity granularity,
                                                     size_t block_size);

/**
 * Which weights share a scale.
 *
 * @param quantizer the quantizer to read
 * @param granularity receives the DIFFQUANT_GRANULARITY constant
 * @param block_size receives the weights per block, 0 for other granularities; may be NULL
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; OVERLAP of granularity and block_size
 */
diffquant_status diffquant_quantizer_granularity(const diffquant_quantizer *quantizer,
                                                 diffquant_granularity *granularity,
                                                 size_t *block_size);

/**
 * Declares the shape of the tensors, and with it how many scales there are and where each belongs (diffquant_granularity
 * says where). From then on n must be the product of the shape, or 0.
 *
 * Every scale becomes 1, every zero point that of the range, every offset 0. PER_TOKEN and PER_BLOCK need a shape;
 * PER_CHANNEL takes one where channels are not contiguous slices; PER_TENSOR may have one, to have n checked.
 *
 * @param quantizer the quantizer to change
 * @param shape ndim dimensions, each at least 1, the last one contiguous in memory
 * @param ndim number of dimensions, 1 to 16
 * @param axis the dimension of the channels or blocks, from 0; ignored per tensor and per token
 * @return DIFFQUANT_STATUS_OK; INVALID_ARGUMENT for ndim or a dimension; INDEX_OUT_OF_RANGE for axis; SIZE_OVERFLOW for a
 *         shape that memory cannot hold; NULL_POINTER; MISALIGNED; OUT_OF_MEMORY
 */
diffquant_status diffquant_quantizer_set_shape(diffquant_quantizer *quantizer,
                                               const size_t *shape,
                                               size_t ndim,
                                               size_t axis);

/**
 * The index of the scale of one element.
 *
 * @param quantizer the quantizer to read
 * @param element which, from 0
 * @param n elements of the tensor, as for diffquant_quantizer_forward
 * @param out receives the index of the scale
 * @return DIFFQUANT_STATUS_OK; INDEX_OUT_OF_RANGE unless element is below n; LENGTH_MISMATCH; NO_SHAPE; NULL_POINTER
 */
diffquant_status diffquant_quantizer_group_of(const diffquant_quantizer *quantizer,
                                              size_t element,
                                              size_t n,
                                              size_t *out);

/**
 * Makes the quantizer per channel, without a shape: every scale 1, every zero point that of the range, every offset 0.
 *
 * Channels are equal, contiguous slices of a tensor of any length: channel c of n weights is w[c * n / channels] and the
 * n / channels - 1 weights after it, such as the rows of a matrix stored row by row. For channels along another axis see
 * diffquant_quantizer_set_shape.
 *
 * @param quantizer the quantizer to change
 * @param channels how many, at least 1
 * @return DIFFQUANT_STATUS_OK; INVALID_ARGUMENT; NULL_POINTER; OUT_OF_MEMORY
 */
diffquant_status diffquant_quantizer_init_per_channel(diffquant_quantizer *quantizer,
                                                      size_t channels);

/**
 * Changes which codes are used. Every zero point becomes the one that stands for 0 in the range.
 *
 * @param quantizer the quantizer to change
 * @param range a DIFFQUANT_CODE_RANGE constant
 * @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT; NULL_POINTER
 */
diffquant_status diffquant_quantizer_set_code_range(diffquant_quantizer *quantizer,
                                                    diffquant_code_range range);

/**
 * Which codes are used.
 *
 * @param quantizer the quantizer to read
 * @param out receives the DIFFQUANT_CODE_RANGE constant
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_quantizer_code_range(const diffquant_quantizer *quantizer,
                                                diffquant_code_range *out);

/**
 * The smallest and the largest code.
 *
 * @param quantizer the quantizer to read
 * @param smallest receives the smallest code, qmin
 * @param largest receives the largest code, qmax
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; OVERLAP of smallest and largest
 */
diffquant_status diffquant_quantizer_code_bounds(const diffquant_quantizer *quantizer,
                                                 int32_t *smallest,
                                                 int32_t *largest);

/**
 * Fixes the zero points to the range's (0, or -2^(bits-1) for UNSIGNED), or frees them to be set and calibrated.
 *
 * @param quantizer the quantizer to change
 * @param symmetric 1, the default, to fix them; 0 to free them, which leaves them as they are
 * @return DIFFQUANT_STATUS_OK; INVALID_ARGUMENT for another number; NULL_POINTER
 */
diffquant_status diffquant_quantizer_set_symmetric(diffquant_quantizer *quantizer,
                                                   uint32_t symmetric);

/**
 * Whether the zero points are fixed.
 *
 * @param quantizer the quantizer to read
 * @param out receives 1 or 0
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_quantizer_symmetric(const diffquant_quantizer *quantizer, uint32_t *out);

/**
 * Copies every zero point out, in the order of the scales: the code that stands for 0 (for the offset, where that is not 0).
 *
 * @param quantizer the quantizer to read
 * @param out receives count numbers
 * @param count the number of scales, as diffquant_quantizer_scale_count tells
 * @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH for another count; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW
 */
diffquant_status diffquant_quantizer_zero_points(const diffquant_quantizer *quantizer,
                                                 int32_t *out,
                                                 size_t count);

/**
 * Replaces every zero point, in the order of the scales. All are checked before the first is changed.
 *
 * @param quantizer the quantizer to change; not a symmetric one
 * @param zero_points count numbers, each a code: qmin to qmax
 * @param count the number of scales, as diffquant_quantizer_scale_count tells
 * @return DIFFQUANT_STATUS_OK; NOT_APPLICABLE for a symmetric quantizer; INVALID_ARGUMENT for a zero point; LENGTH_MISMATCH for
 *         another count; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW
 */
diffquant_status diffquant_quantizer_set_zero_points(diffquant_quantizer *quantizer,
                                                     const int32_t *zero_points,
                                                     size_t count);

/**
 * Copies every offset out, in the order of the scales: what is added to every value, LSQ+'s beta.
 *
 * @param quantizer the quantizer to read
 * @param out receives count floats, in units of w
 * @param count the number of scales, as diffquant_quantizer_scale_count tells
 * @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH for another count; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW
 */
diffquant_status diffquant_quantizer_offsets(const diffquant_quantizer *quantizer, float *out, size_t count);

/**
 * Replaces every offset, in the order of the scales; 0 in a new quantizer. All are checked before the first is changed.
 *
 * Offsets work with every estimator; diffquant_quantizer_backward_scale_offset gives the gradient by which they are
 * learned.
 *
 * @param quantizer the quantizer to change
 * @param offsets count floats, each finite, in units of w
 * @param count the number of scales, as diffquant_quantizer_scale_count tells
 * @return DIFFQUANT_STATUS_OK; INVALID_ARGUMENT for an offset; LENGTH_MISMATCH for another count; NULL_POINTER; MISALIGNED;
 *         SIZE_OVERFLOW
 */
diffquant_status diffquant_quantizer_set_offsets(diffquant_quantizer *quantizer,
                                                 const float *offsets,
                                                 size_t count);

/**
 * Calibrates every scale from its group's weights, so that the largest magnitude lies half a step beyond the largest code.
 *
 * uniform: scale = max|w| / (Qp + 0.5), at least the smallest normal float.
 * pi: alpha = max|w| / (PI / k * (Qp + 0.5)), at least 1e-6.
 * Qp is 2^(bits-1) - 1, or 2^bits - 1 where the range is UNSIGNED. A group of zeros gets scale 1. Zero points become the
 * range's, also where they are free; offsets become 0. With n = 0 nothing changes. Allocates.
 *
 * @param quantizer the quantizer to change
 * @param w n weights
 * @param n number of weights, that of the shape or a multiple of the channel count
 * @return DIFFQUANT_STATUS_OK; NON_FINITE naming the first NaN or infinity in w; LENGTH_MISMATCH; NO_SHAPE; NULL_POINTER;
 *         MISALIGNED; SIZE_OVERFLOW; INVALID_ARGUMENT when the step would overflow; OUT_OF_MEMORY
 */
diffquant_status diffquant_quantizer_init_scale(diffquant_quantizer *quantizer,
                                                const float *w,
                                                size_t n);

/**
 * Calibrates every scale, and every zero point of a quantizer that is not symmetric, from its group's weights.
 *
 * A group of zeros gets scale 1, and a scale is never smaller than diffquant_quantizer_init_scale says. Offsets become 0.
 * With n = 0 nothing changes. Allocates.
 *
 * @param quantizer the quantizer to change
 * @param method a DIFFQUANT_SCALE_INIT constant
 * @param parameter the method's parameter; ignored by those without one
 * @param w n weights
 * @param n number of weights, that of the shape or a multiple of the channel count
 * @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT; INVALID_ARGUMENT for the parameter, or when the step would overflow; NON_FINITE
 *         naming the first NaN or infinity in w; LENGTH_MISMATCH; NO_SHAPE; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW;
 *         OUT_OF_MEMORY
 */
diffquant_status diffquant_quantizer_init_scale_with(diffquant_quantizer *quantizer,
                                                     diffquant_scale_init method,
                                                     float parameter,
                                                     const float *w,
                                                     size_t n);

/**
 * Calibrates every scale, and every zero point of a quantizer that is not symmetric, from what an observer has seen of its
 * group: the way to scales of activations, which never are in memory all at once.
 *
 * MAX_ABS and MIN_MAX are exact, from the range of any observer. PERCENTILE, MSE and LSQ need a histogram, in which a bin is
 * 1/16 of a power of two wide: elements are taken to be spread evenly in a bin. The observer's group g gives scale g, so
 * there must be as many groups as scales. A quantizer with incoherence quantizes rotated rows: its observer has to have seen
 * rotated batches, see diffquant_rotation. Otherwise as diffquant_quantizer_init_scale_with. Allocates.
 *
 * @param quantizer the quantizer to change
 * @param observer what has seen the data; it stays as it is
 * @param method a DIFFQUANT_SCALE_INIT constant
 * @param parameter the method's parameter; ignored by those without one
 * @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT; INVALID_ARGUMENT for the parameter, or when the step would overflow;
 *         LENGTH_MISMATCH unless there are as many groups as scales; NO_DATA naming the first group without a finite
 *         element; NOT_APPLICABLE for a method that needs a histogram; NULL_POINTER; OUT_OF_MEMORY
 */
diffquant_status diffquant_quantizer_init_scale_from_observer(diffquant_quantizer *quantizer,
                                                              const diffquant_observer *observer,
                                                              diffquant_scale_init method,
                                                              float parameter);

/**
 * One step of gradient descent on every scale: scale - learning_rate * grad_scale, kept positive and finite.
 *
 * A scale that would fall below min_scale becomes min_scale; one that would leave the range of scales at the other end
 * stays what it is, if that is not below min_scale. Both count as projected: learned scales that collapse to zero or
 * turn negative are the common way for learned-step training to fail, and a count that keeps growing shows it.
 *
 * @param quantizer the quantizer to change
 * @param grad_scale count gradients of the loss by each scale, as diffquant_quantizer_backward_scale gives them
 * @param count the number of scales, as diffquant_quantizer_scale_count tells
 * @param learning_rate positive and finite
 * @param min_scale the smallest scale to be left, positive and finite, as is the step that it gives
 * @param projected receives how many scales were projected; may be NULL
 * @return DIFFQUANT_STATUS_OK; INVALID_ARGUMENT for learning_rate, min_scale or a NaN gradient; LENGTH_MISMATCH for another
 *         count; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW; OVERLAP of grad_scale and projected
 */
diffquant_status diffquant_quantizer_apply_scale_step(diffquant_quantizer *quantizer,
                                                      const float *grad_scale,
                                                      size_t count,
                                                      float learning_rate,
                                                      float min_scale,
                                                      size_t *projected);

/**
 * Starts or stops rotating every row before it is quantized (diffquant_rotation), against weights far larger than the others.
 *
 * With R the rotation, forward gives the codes of R w, and the values of those rotated back, which are near w again; dequantize
 * rotates back what it gives. Backward sends R grad_out through the estimator at R w, and rotates back what comes
 * out; calibration looks at R w. Scales, zero points and offsets thus belong to places of R w: calibrate them after
 * this call, which leaves them as they are. The values given to backward are not looked at.
 *
 * A row is the last dimension of the shape where one was declared, else a channel, else the whole tensor: declare a
 * convolution's weights as [out][in * height * width]. A NaN or an infinity among the weights spoils the codes of its row.
 *
 * Forward, backward and dequantize then allocate, as they do not otherwise: 4 bytes for each element of a row, and for each element of
 * the tensor in forward without values, forward_dynamic and backward (8 in backward_scale under STANDARD, under
 * LEARNED_STEP_SIZE and without grad_w). They can be refused with OUT_OF_MEMORY.
 *
 * @param quantizer the quantizer to change
 * @param incoherence 0 or 1; 0 in a new quantizer, unless its configuration has use_incoherence
 * @return DIFFQUANT_STATUS_OK; INVALID_ARGUMENT; NULL_POINTER
 */
diffquant_status diffquant_quantizer_set_incoherence(diffquant_quantizer *quantizer,
                                                     uint32_t incoherence);

/**
 * Whether every row is rotated before it is quantized.
 *
 * @param quantizer the quantizer to read
 * @param out receives 0 or 1
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_quantizer_incoherence(const diffquant_quantizer *quantizer, uint32_t *out);

/**
 * Chooses the signs of the rotation, as the seed of diffquant_rotation_new does. Codes stand for their values only with the seed
 * that they were made with.
 *
 * @param quantizer the quantizer to change
 * @param seed any; 0 in a new quantizer
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_quantizer_set_rotation_seed(diffquant_quantizer *quantizer,
                                                       uint64_t seed);

/**
 * The seed of the rotation's signs.
 *
 * @param quantizer the quantizer to read
 * @param out receives the seed
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_quantizer_rotation_seed(const diffquant_quantizer *quantizer, uint64_t *out);

/**
 * Writes everything that a quantizer is, as JSON on one line with a NUL at the end: what was set, and every scale, zero point and
 * offset, from which diffquant_quantizer_from_json makes the same quantizer, bit for bit.
 *
 * To learn the length, call with cap = 0. Threads (diffquant_quantizer_set_threads, diffquant_quantizer_set_parallel_for) are
 * left out: they are the process's. Allocates nothing. The fields:
 *
 * - format: "diffquant.quantizer"; version: "1.1", a major and a minor number;
 * - bits; pi_k: k, or null for a uniform quantizer; code_range: "Full", "Narrow" or "Unsigned"; symmetric: true or false;
 *   rounding: "HalfAway", "HalfEven" or "Stochastic"; ste_variant and granularity: as in the JSON of a configuration;
 * - channels: how many, per channel without a shape, else null; shape and axis: a shape that means the same as the one that was
 *   declared, null without one;
 * - use_incoherence: true or false; rotation_seed: a whole number below 2^64;
 * - seed and first_element (diffquant_quantizer_set_seed): whole numbers below 2^64; non_finite: "Zero", "Propagate" or "Reject";
 * - scales: one float per group, in the order of diffquant_granularity, with the digits that tell it from every other float;
 *   zero_points: whole numbers, null where all are the range's; offsets: floats, null where all are 0.
 *
 * @param quantizer the quantizer to write
 * @param buf receives the text; may be NULL when cap is 0
 * @param cap the size of buf in bytes
 * @param len receives the length of the text without the NUL, also when buf is too small
 * @return DIFFQUANT_STATUS_OK; BUFFER_TOO_SMALL unless cap > *len; NULL_POINTER; OVERLAP of buf and len; SIZE_OVERFLOW
 */
diffquant_status diffquant_quantizer_to_json(const diffquant_quantizer *quantizer,
                                             char *buf,
                                             size_t cap,
                                             size_t *len);

/**
 * Makes the quantizer whose state diffquant_quantizer_to_json wrote, bit for bit; it uses one thread until told otherwise.
 *
 * Every state of version 1.x is read: fields that this version does not know are ignored, and pi_k, channels, shape, axis,
 * zero_points and offsets may be absent for null, use_incoherence for false, rotation_seed, seed and first_element for 0, non_finite for "Zero"
 * (the last three came with 1.1, as did "Stochastic"). A state of another major version is refused
 * with UNSUPPORTED and a message that names it. Values are judged as by the functions that set them.
 *
 * @param json UTF-8 text; a NUL at the end is not needed
 * @param len its length in bytes, at most 256 MiB
 * @param out receives the handle; free it with diffquant_quantizer_free
 * @return DIFFQUANT_STATUS_OK; INVALID_JSON for text that is no state; INVALID_UTF8; UNSUPPORTED for another major version;
 *         INVALID_ARGUMENT for a value that may not be set, such as a scale of 0; LENGTH_MISMATCH unless there is a number per
 *         group; NOT_APPLICABLE for zero_points of a symmetric quantizer; INDEX_OUT_OF_RANGE for axis; NULL_POINTER;
 *         SIZE_OVERFLOW; OUT_OF_MEMORY
 */
diffquant_status diffquant_quantizer_from_json(const char *json,
                                               size_t len,
                                               diffquant_quantizer **out);

/**
 * Quantizes n weights: code = clamp(round((w - offset) / step) + zero_point, qmin, qmax),
 * value = (code - zero_point) * step + offset.
 *
 * In a new quantizer zero points and offsets are 0, and qmin and qmax are -2^(bits-1) and 2^(bits-1) - 1. The quotient is the
 * IEEE one. NaN gives the zero point, an infinity the code at its end of the range, unless diffquant_quantizer_set_non_finite
 * says otherwise; without an offset a value is never -0.0. Allocates nothing, unless weights are rotated
 * (diffquant_quantizer_set_incoherence).
 *
 * @param quantizer the quantizer; safe to share between threads
 * @param w n weights
 * @param n number of weights, that of the shape or a multiple of the channel count; with 0 nothing is touched
 * @param codes receives n codes; may be NULL
 * @param values receives n values; may be NULL, may be w itself
 * @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH; NO_SHAPE; NON_FINITE under the policy REJECT; OVERLAP; NULL_POINTER; MISALIGNED;
 *         SIZE_OVERFLOW; OUT_OF_MEMORY
 */
diffquant_status diffquant_quantizer_forward(const diffquant_quantizer *quantizer,
                                             const float *w,
                                             size_t n,
                                             int8_t *codes,
                                             float *values);

/**
 * The gradient of the loss by each weight, by the formula of the quantizer's estimator (see diffquant_ste).
 *
 * Allocates nothing, unless weights are rotated (diffquant_quantizer_set_incoherence).
 *
 * @param quantizer the quantizer; safe to share between threads
 * @param w n weights, as given to forward
 * @param values the n values that forward gave; may be NULL: they are computed again where the estimator needs them, under
 *        STOCHASTIC rounding with the draws of the same seed
 * @param grad_out n gradients of the loss by each value
 * @param n number of weights, that of the shape or a multiple of the channel count; with 0 nothing is touched
 * @param grad_w receives n gradients of the loss by each weight; may be grad_out itself
 * @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH; NO_SHAPE; OVERLAP; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW; OUT_OF_MEMORY
 */
diffquant_status diffquant_quantizer_backward(const diffquant_quantizer *quantizer,
                                              const float *w,
                                              const float *values,
                                              const float *grad_out,
                                              size_t n,
                                              float *grad_w);

/**
 * Quantizes n weights with scales of this call's own: those that diffquant_quantizer_init_scale would set, from the largest
 * magnitude of each group.
 *
 * For activations, whose range changes from call to call. The quantizer's own scales, zero points and offsets are neither used
 * nor changed: zero points are the range's, also where they are free, and offsets 0. PER_TOKEN, the number of tokens may
 * change too: n is any multiple of the last dimension, and there is a scale for each token. Allocates.
 *
 * @param quantizer the quantizer; safe to share between threads
 * @param w n weights
 * @param n number of weights, that of the shape or a multiple of the channel count; per token a multiple of the last
 *          dimension; with 0 nothing is touched
 * @param codes receives n codes; may be NULL
 * @param values receives n values; may be NULL, may be w itself
 * @param scales receives scale_count scales, in the order of diffquant_granularity; for pi the alphas
 * @param scale_count per token n divided by the last dimension, else as diffquant_quantizer_scale_count tells
 * @return DIFFQUANT_STATUS_OK; NON_FINITE naming the first NaN or infinity in w; LENGTH_MISMATCH; NO_SHAPE; OVERLAP; NULL_POINTER;
 *         MISALIGNED; SIZE_OVERFLOW; INVALID_ARGUMENT when a step would overflow; OUT_OF_MEMORY
 */
diffquant_status diffquant_quantizer_forward_dynamic(const diffquant_quantizer *quantizer,
                                                     const float *w,
                                                     size_t n,
                                                     int8_t *codes,
                                                     float *values,
                                                     float *scales,
                                                     size_t scale_count);

/**
 * The gradient of the loss by each scale and, when asked for, by each weight, in one pass over memory.
 *
 * grad_w is what diffquant_quantizer_backward gives. grad_scale[c] is a sum over the N weights of group c, multiplied by d,
 * which is 1 for uniform and PI / k for pi, and divided by a normalizer.
 *
 * Under STANDARD, CLIPPED, LEARNED_STEP_SIZE and EWGS it is the reference's rule, sum(grad_out * (code - zero_point)) divided by
 * sqrt(N * 2^bits). (It is not LSQ: there is no range mask and no -w/step term.)
 *
 * Under RANGE_CLIPPED, LSQ, LSQ_PLUS and EWGS_SIGNED it is the published one (Esser et al. 2020, arXiv 1902.08153, eq. 3 and
 * section 2.2), sum(grad_out * slope) divided by sqrt(N * qmax), where slope is r(v) - v for a weight that passes its
 * gradient on, Qn for one below, Qp for one above and 0 for a NaN (see diffquant_ste). r(v) - v is computed as
 * (r(v) * step - (w - offset)) * (1 / step) with the difference rounded once, which is closer to the truth than v is.
 *
 * The sum is within 1e-6 of the sum of magnitudes, and its bits do not depend on the machine. Allocates nothing, unless
 * weights are rotated (diffquant_quantizer_set_incoherence).
 *
 * @param quantizer the quantizer; safe to share between threads
 * @param w n weights, as given to forward
 * @param grad_out n gradients of the loss by each value
 * @param n number of weights, that of the shape or a multiple of the channel count; with 0 nothing is touched, grad_scale
 *          neither
 * @param grad_w receives n gradients of the loss by each weight; may be NULL, may be grad_out itself
 * @param grad_scale receives as many floats as diffquant_quantizer_scale_count tells
 * @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH; NO_SHAPE; OVERLAP; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW; OUT_OF_MEMORY
 */
diffquant_status diffquant_quantizer_backward_scale(const diffquant_quantizer *quantizer,
                                                    const float *w,
                                                    const float *grad_out,
                                                    size_t n,
                                                    float *grad_w,
                                                    float *grad_scale);

/**
 * As diffquant_quantizer_backward_scale, and the gradient of the loss by each offset.
 *
 * grad_offset[c] is the sum of grad_out over the weights of group c that do not pass their gradient on, without a
 * normalizer (Bhalgat et al. 2020, arXiv 2004.09576), those of NaNs included. The gradient by a zero point, taken as a
 * real number, is grad_offset times minus the step. For estimators that look at the range of codes: RANGE_CLIPPED, LSQ,
 * LSQ_PLUS and EWGS_SIGNED.
 *
 * @param quantizer the quantizer; safe to share between threads
 * @param w n weights, as given to forward
 * @param grad_out n gradients of the loss by each value
 * @param n number of weights, that of the shape or a multiple of the channel count; with 0 nothing is touched
 * @param grad_w receives n gradients of the loss by each weight; may be NULL, may be grad_out itself
 * @param grad_scale receives as many floats as diffquant_quantizer_scale_count tells
 * @param grad_offset receives as many floats as grad_scale
 * @return DIFFQUANT_STATUS_OK; NOT_APPLICABLE for another estimator; LENGTH_MISMATCH; NO_SHAPE; OVERLAP; NULL_POINTER; MISALIGNED;
 *         SIZE_OVERFLOW; OUT_OF_MEMORY
 */
diffquant_status diffquant_quantizer_backward_scale_offset(const diffquant_quantizer *quantizer,
                                                           const float *w,
                                                           const float *grad_out,
                                                           size_t n,
                                                           float *grad_w,
                                                           float *grad_scale,
                                                           float *grad_offset);

/**
 * Turns n codes back into values: value = (code - zero_point) * step + offset. Codes outside the quantizer's range are
 * taken as they are.
 *
 * Allocates nothing, unless weights are rotated (diffquant_quantizer_set_incoherence).
 *
 * @param quantizer the quantizer; safe to share between threads
 * @param codes n codes
 * @param n number of codes, that of the shape or a multiple of the channel count; with 0 nothing is touched
 * @param values receives n values
 * @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH; NO_SHAPE; OVERLAP; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW; OUT_OF_MEMORY
 */
diffquant_status diffquant_quantizer_dequantize(const diffquant_quantizer *quantizer,
                                                const int8_t *codes,
                                                size_t n,
                                                float *values);

/**
 * As diffquant_quantizer_forward, with the same bits, and what it does to the weights of each group, in the same pass.
 *
 * The sums are within 1e-6 of themselves, and the bits of all statistics do not depend on the machine. Squares are summed as
 * those of multiples of the step, where an error of more than 1e19 steps is infinite and one of less than 1e-22 steps is 0.
 * Allocates nothing, unless weights are rotated (diffquant_quantizer_set_incoherence); the statistics are then of the rotated
 * weights, whose places the groups are.
 *
 * @param quantizer the quantizer; safe to share between threads
 * @param w n weights
 * @param n number of weights, that of the shape or a multiple of the channel count; with 0 nothing is touched
 * @param codes receives n codes; may be NULL
 * @param values receives n values; may be NULL, may be w itself
 * @param statistics receives one struct for each scale, in the order of diffquant_granularity
 * @param count the number of scales, as diffquant_quantizer_scale_count tells
 * @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH, also for another count; NO_SHAPE; NON_FINITE under the policy REJECT; OVERLAP;
 *         NULL_POINTER; MISALIGNED; SIZE_OVERFLOW; OUT_OF_MEMORY
 */
diffquant_status diffquant_quantizer_forward_statistics(const diffquant_quantizer *quantizer,
                                                        const float *w,
                                                        size_t n,
                                                        int8_t *codes,
                                                        float *values,
                                                        diffquant_statistics *statistics,
                                                        size_t count);

/**
 * As diffquant_quantizer_forward, on weights and values of a type (see diffquant_dtype).
 *
 * Buffers are aligned to their elements, those of 16 bits to 2. Allocates nothing, unless weights are rotated
 * (diffquant_quantizer_set_incoherence): by way of a float copy then.
 *
 * @param quantizer the quantizer; safe to share between threads
 * @param dtype the DIFFQUANT_DTYPE of w and values
 * @param w n weights
 * @param n number of weights, that of the shape or a multiple of the channel count; with 0 nothing is touched
 * @param codes receives n codes; may be NULL
 * @param values receives n values; may be NULL, may be w itself
 * @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT for dtype; LENGTH_MISMATCH; NO_SHAPE; NON_FINITE under the policy
 *         REJECT; OVERLAP; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW; OUT_OF_MEMORY
 */
diffquant_status diffquant_quantizer_forward_typed(const diffquant_quantizer *quantizer,
                                                   diffquant_dtype dtype,
                                                   const void *w,
                                                   size_t n,
                                                   int8_t *codes,
                                                   void *values);

/**
 * As diffquant_quantizer_forward_statistics, on weights and values of a type (see diffquant_dtype).
 *
 * The statistics are those of the values before they are rounded to the type. Allocates as diffquant_quantizer_forward_typed.
 *
 * @param quantizer the quantizer; safe to share between threads
 * @param dtype the DIFFQUANT_DTYPE of w and values
 * @param w n weights
 * @param n number of weights, that of the shape or a multiple of the channel count; with 0 nothing is touched
 * @param codes receives n codes; may be NULL
 * @param values receives n values; may be NULL, may be w itself
 * @param statistics receives one struct for each scale, in the order of diffquant_granularity
 * @param count the number of scales, as diffquant_quantizer_scale_count tells
 * @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT for dtype; LENGTH_MISMATCH, also for another count; NO_SHAPE; NON_FINITE under the
 *         policy REJECT; OVERLAP; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW; OUT_OF_MEMORY
 */
diffquant_status diffquant_quantizer_forward_statistics_typed(const diffquant_quantizer *quantizer,
                                                              diffquant_dtype dtype,
                                                              const void *w,
                                                              size_t n,
                                                              int8_t *codes,
                                                              void *values,
                                                              diffquant_statistics *statistics,
                                                              size_t count);

/**
 * As diffquant_quantizer_forward_dynamic, on weights and values of a type (see diffquant_dtype).
 *
 * The scales are float. Allocates.
 *
 * @param quantizer the quantizer; safe to share between threads
 * @param dtype the DIFFQUANT_DTYPE of w and values
 * @param w n weights
 * @param n number of weights, that of the shape or a multiple of the channel count; per token a multiple of the last
 *          dimension; with 0 nothing is touched
 * @param codes receives n codes; may be NULL
 * @param values receives n values; may be NULL, may be w itself
 * @param scales receives scale_count scales, in the order of diffquant_granularity; for pi the alphas
 * @param scale_count per token n divided by the last dimension, else as diffquant_quantizer_scale_count tells
 * @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT for dtype; NON_FINITE naming the first NaN or infinity in w; LENGTH_MISMATCH;
 *         NO_SHAPE; OVERLAP; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW; INVALID_ARGUMENT when a step would overflow;
 *         OUT_OF_MEMORY
 */
diffquant_status diffquant_quantizer_forward_dynamic_typed(const diffquant_quantizer *quantizer,
                                                           diffquant_dtype dtype,
                                                           const void *w,
                                                           size_t n,
                                                           int8_t *codes,
                                                           void *values,
                                                           float *scales,
                                                           size_t scale_count);

/**
 * As diffquant_quantizer_backward, on weights, values and gradients of a type (see diffquant_dtype).
 *
 * Values that are given are those that forward gave, rounded to the type; values that are computed again are not rounded. Give
 * them for the gradient at the values that the network ran on. Allocates as diffquant_quantizer_forward_typed.
 *
 * @param quantizer the quantizer; safe to share between threads
 * @param dtype the DIFFQUANT_DTYPE of w, values, grad_out and grad_w
 * @param w n weights, as given to forward
 * @param values the n values that forward gave; may be NULL: they are computed again where the estimator needs them
 * @param grad_out n gradients of the loss by each value
 * @param n number of weights, that of the shape or a multiple of the channel count; with 0 nothing is touched
 * @param grad_w receives n gradients of the loss by each weight; may be grad_out itself
 * @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT for dtype; LENGTH_MISMATCH; NO_SHAPE; OVERLAP; NULL_POINTER; MISALIGNED;
 *         SIZE_OVERFLOW; OUT_OF_MEMORY
 */
diffquant_status diffquant_quantizer_backward_typed(const diffquant_quantizer *quantizer,
                                                    diffquant_dtype dtype,
                                                    const void *w,
                                                    const void *values,
                                                    const void *grad_out,
                                                    size_t n,
                                                    void *grad_w);

/**
 * As diffquant_quantizer_backward_scale, on weights and gradients of a type (see diffquant_dtype).
 *
 * grad_scale is float, and so are its terms, which are not rounded. Allocates as diffquant_quantizer_forward_typed.
 *
 * @param quantizer the quantizer; safe to share between threads
 * @param dtype the DIFFQUANT_DTYPE of w, grad_out and grad_w
 * @param w n weights, as given to forward
 * @param grad_out n gradients of the loss by each value
 * @param n number of weights, that of the shape or a multiple of the channel count; with 0 nothing is touched, grad_scale
 *          neither
 * @param grad_w receives n gradients of the loss by each weight; may be NULL, may be grad_out itself
 * @param grad_scale receives as many floats as diffquant_quantizer_scale_count tells
 * @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT for dtype; LENGTH_MISMATCH; NO_SHAPE; OVERLAP; NULL_POINTER; MISALIGNED;
 *         SIZE_OVERFLOW; OUT_OF_MEMORY
 */
diffquant_status diffquant_quantizer_backward_scale_typed(const diffquant_quantizer *quantizer,
                                                          diffquant_dtype dtype,
                                                          const void *w,
                                                          const void *grad_out,
                                                          size_t n,
                                                          void *grad_w,
                                                          float *grad_scale);

/**
 * As diffquant_quantizer_backward_scale_offset, on weights and gradients of a type (see diffquant_dtype).
 *
 * grad_scale and grad_offset are float. Allocates as diffquant_quantizer_forward_typed.
 *
 * @param quantizer the quantizer; safe to share between threads
 * @param dtype the DIFFQUANT_DTYPE of w, grad_out and grad_w
 * @param w n weights, as given to forward
 * @param grad_out n gradients of the loss by each value
 * @param n number of weights, that of the shape or a multiple of the channel count; with 0 nothing is touched
 * @param grad_w receives n gradients of the loss by each weight; may be NULL, may be grad_out itself
 * @param grad_scale receives as many floats as diffquant_quantizer_scale_count tells
 * @param grad_offset receives as many floats as grad_scale
 * @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT for dtype; NOT_APPLICABLE for another estimator; LENGTH_MISMATCH; NO_SHAPE; OVERLAP;
 *         NULL_POINTER; MISALIGNED; SIZE_OVERFLOW; OUT_OF_MEMORY
 */
diffquant_status diffquant_quantizer_backward_scale_offset_typed(const diffquant_quantizer *quantizer,
                                                                 diffquant_dtype dtype,
                                                                 const void *w,
                                                                 const void *grad_out,
                                                                 size_t n,
                                                                 void *grad_w,
                                                                 float *grad_scale,
                                                                 float *grad_offset);

/**
 * As diffquant_quantizer_dequantize, into values of a type (see diffquant_dtype).
 *
 * Allocates as diffquant_quantizer_forward_typed.
 *
 * @param quantizer the quantizer; safe to share between threads
 * @param dtype the DIFFQUANT_DTYPE of values
 * @param codes n codes
 * @param n number of codes, that of the shape or a multiple of the channel count; with 0 nothing is touched
 * @param values receives n values
 * @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT for dtype; LENGTH_MISMATCH; NO_SHAPE; OVERLAP; NULL_POINTER; MISALIGNED;
 *         SIZE_OVERFLOW; OUT_OF_MEMORY
 */
diffquant_status diffquant_quantizer_dequantize_typed(const diffquant_quantizer *quantizer,
                                                      diffquant_dtype dtype,
                                                      const int8_t *codes,
                                                      size_t n,
                                                      void *values);

/**
 * As diffquant_quantizer_init_scale_with, from weights of a type (see diffquant_dtype).
 *
 * Allocates; PERCENTILE a float for each weight, MSE up to two.
 *
 * @param quantizer the quantizer to change
 * @param dtype the DIFFQUANT_DTYPE of w
 * @param method a DIFFQUANT_SCALE_INIT constant
 * @param parameter the method's parameter; ignored by those without one
 * @param w n weights
 * @param n number of weights, that of the shape or a multiple of the channel count
 * @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT for dtype or method; INVALID_ARGUMENT for the parameter, or when the step would
 *         overflow; NON_FINITE naming the first NaN or infinity in w; LENGTH_MISMATCH; NO_SHAPE; NULL_POINTER; MISALIGNED;
 *         SIZE_OVERFLOW; OUT_OF_MEMORY
 */
diffquant_status diffquant_quantizer_init_scale_with_typed(diffquant_quantizer *quantizer,
                                                           diffquant_dtype dtype,
                                                           diffquant_scale_init method,
                                                           float parameter,
                                                           const void *w,
                                                           size_t n);

/**
 * Lets large calls use several threads. Results are the same bits for any number.
 *
 * Calls on 4 Mi elements or more are divided, into at most one part per 2 Mi elements; below, making threads costs more
 * than they save. The threads are made for the call and end with it, so unloading the library stays safe (it may stay
 * mapped until the threads that called it have ended); making them allocates. Where a thread cannot be had, the caller's
 * does its part. This replaces a pool set before.
 *
 * @param quantizer the quantizer to change
 * @param threads how many, the caller's among them: 1, the default, for the caller's alone; 0 for as many as this process
 *                may use
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_quantizer_set_threads(diffquant_quantizer *quantizer,
                                                 size_t threads);

/**
 * Lets large calls run on the host's own threads: those that diffquant_quantizer_set_threads names, from 1 Mi elements on, in
 * parts of at least 512 Ki elements, at most 64 of them. Results are the same bits as one thread's.
 * Copies of the quantizer use them too.
 *
 * @param quantizer the quantizer to change
 * @param parallel_for the host's pool; NULL for the caller's thread alone
 * @param context handed to parallel_for; usable from any thread that uses the quantizer, for as long as it does
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER for the quantizer
 */
diffquant_status diffquant_quantizer_set_parallel_for(diffquant_quantizer *quantizer,
                                                      diffquant_parallel_for parallel_for,
                                                      void *context);

/**
 * Makes an observer of whole tensors that has seen nothing.
 *
 * @param kind a DIFFQUANT_OBSERVER_KIND constant
 * @param parameter the kind's parameter; ignored by those without one
 * @param out receives the handle; free it with diffquant_observer_free
 * @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT; INVALID_ARGUMENT for the parameter; NULL_POINTER; OUT_OF_MEMORY
 */
diffquant_status diffquant_observer_new(diffquant_observer_kind kind,
                                        float parameter,
                                        diffquant_observer **out);

/**
 * Reads an observer from JSON, the form that diffquant_observer_to_json writes.
 *
 * A text of a later minor version is read, and fields that this version does not know are ignored; one of another major
 * version is refused, and the message names it. So is whatever no observer can have written: numbers that are not finite,
 * counts that do not add up, bins that there are not, a range that is not that of its bins.
 *
 * @param json UTF-8 text; a NUL at the end is not needed
 * @param len its length in bytes, at most 256 MiB
 * @param out receives the handle; free it with diffquant_observer_free
 * @return DIFFQUANT_STATUS_OK; INVALID_JSON; INVALID_UTF8; NULL_POINTER; SIZE_OVERFLOW; OUT_OF_MEMORY
 */
diffquant_status diffquant_observer_from_json(const char *json,
                                              size_t len,
                                              diffquant_observer **out);

/**
 * Makes a copy that shares nothing with the original.
 *
 * @param observer the original
 * @param out receives the handle; free it with diffquant_observer_free
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; OUT_OF_MEMORY
 */
diffquant_status diffquant_observer_clone(const diffquant_observer *observer, diffquant_observer **out);

/**
 * Writes an observer as JSON, with a NUL at the end: everything that it remembers, exactly, so that what is read back goes on
 * to the bit as the original would. Observers that are the same have the same text.
 *
 * An object: "format" is "diffquant.observer", "version" is "1.0"; "kind" is "MinMax", "Histogram" or {"MovingAverage":
 * {"averaging_constant": c}}; "channels" is the number of groups and "inner" the number of elements of a channel that are
 * neighbours; "groups" has, for each group, the counts "finite" and "non_finite", "min" and "max" (null without a finite
 * element) and, in a histogram, "bins": [bin, count] for each bin that has elements, where the number of a bin is the
 * leading 13 bits of its floats.
 *
 * To learn the length, call with cap = 0. Allocates.
 *
 * @param observer the observer to write
 * @param buf receives the text; may be NULL when cap is 0
 * @param cap the size of buf in bytes
 * @param len receives the length of the text without the NUL, also when buf is too small
 * @return DIFFQUANT_STATUS_OK; BUFFER_TOO_SMALL unless cap > *len; NULL_POINTER; OVERLAP of buf and len; SIZE_OVERFLOW;
 *         OUT_OF_MEMORY
 */
diffquant_status diffquant_observer_to_json(const diffquant_observer *observer,
                                            char *buf,
                                            size_t cap,
                                            size_t *len);

/**
 * Declares what batches look like, and makes every index along an axis a group of its own. What was observed is forgotten.
 *
 * Element [o][a][i] of a batch seen as [outer][axis][inner] belongs to group a. The extent before the axis, often that of
 * samples or tokens, may change from call to call: only the axis and the dimensions after it must be those of the shape.
 *
 * @param observer the observer to change
 * @param shape ndim dimensions, each at least 1, the last one contiguous in memory
 * @param ndim number of dimensions, 1 to 16
 * @param axis the dimension of the channels, from 0
 * @return DIFFQUANT_STATUS_OK; INVALID_ARGUMENT for ndim or a dimension; INDEX_OUT_OF_RANGE for axis; SIZE_OVERFLOW for a
 *         shape that memory cannot hold; NULL_POINTER; MISALIGNED; OUT_OF_MEMORY
 */
diffquant_status diffquant_observer_set_shape(diffquant_observer *observer,
                                              const size_t *shape,
                                              size_t ndim,
                                              size_t axis);

/**
 * What an observer remembers.
 *
 * @param observer the observer to read
 * @param kind receives the DIFFQUANT_OBSERVER_KIND constant
 * @param parameter receives its parameter, 0 for a kind without one; may be NULL
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER; OVERLAP of kind and parameter
 */
diffquant_status diffquant_observer_kind_of(const diffquant_observer *observer,
                                            diffquant_observer_kind *kind,
                                            float *parameter);

/**
 * How many groups there are: 1, or the length of the axis.
 *
 * @param observer the observer to read
 * @param out receives the number
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_observer_group_count(const diffquant_observer *observer, size_t *out);

/**
 * Adds a batch. NaNs and infinities are counted, and otherwise ignored. With n = 0 nothing changes. Allocates.
 *
 * What MIN_MAX and HISTOGRAM remember does not depend on how a stream is cut into batches, nor on their order.
 *
 * @param observer the observer to change
 * @param x n elements
 * @param n number of elements; with a shape a multiple of the product of the axis and the dimensions after it
 * @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW; OUT_OF_MEMORY
 */
diffquant_status diffquant_observer_observe(diffquant_observer *observer,
                                            const float *x,
                                            size_t n);

/**
 * As diffquant_observer_observe, of elements of a type (see diffquant_dtype). Allocates, for those of 16 bits a float for each.
 *
 * @param observer the observer to change
 * @param dtype the DIFFQUANT_DTYPE of x
 * @param x n elements
 * @param n number of elements; with a shape a multiple of the product of the axis and the dimensions after it
 * @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT for dtype; LENGTH_MISMATCH; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW; OUT_OF_MEMORY
 */
diffquant_status diffquant_observer_observe_typed(diffquant_observer *observer,
                                                  diffquant_dtype dtype,
                                                  const void *x,
                                                  size_t n);

/**
 * Adds what another observer has seen.
 *
 * The result is to the bit that of one observer that has seen both streams: it does not matter in what order several are
 * merged, nor into which. So every process of a distributed job can observe its part, and the observers be combined as they
 * arrive. A moving average depends on the order of its batches, and is not merged. Allocates.
 *
 * @param observer the observer to change
 * @param other what is added; it stays as it is, and must be another object
 * @return DIFFQUANT_STATUS_OK; INCOMPATIBLE for observers of different kinds or shapes; NOT_APPLICABLE for moving averages;
 *         NULL_POINTER; OVERLAP when both are the same object; OUT_OF_MEMORY
 */
diffquant_status diffquant_observer_merge(diffquant_observer *observer,
                                          const diffquant_observer *other);

/**
 * Forgets what was observed; kind and shape stay.
 *
 * @param observer the observer to change
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_observer_reset(diffquant_observer *observer);

/**
 * How many elements of each group were observed. A count stays at UINT64_MAX when it gets there.
 *
 * @param observer the observer to read
 * @param finite receives the number of finite elements of each group, on which range and histogram rest
 * @param non_finite receives the number of NaNs and infinities of each group; may be NULL
 * @param count the number of groups, as diffquant_observer_group_count tells
 * @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH for another count; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW; OVERLAP of finite
 *         and non_finite
 */
diffquant_status diffquant_observer_counts(const diffquant_observer *observer,
                                           uint64_t *finite,
                                           uint64_t *non_finite,
                                           size_t count);

/**
 * The range of each group: the smallest and the largest finite element, or their moving averages. 0 is in it only if it was
 * observed; the methods that choose scales include it.
 *
 * @param observer the observer to read
 * @param min receives the smallest of each group
 * @param max receives the largest of each group
 * @param count the number of groups, as diffquant_observer_group_count tells
 * @return DIFFQUANT_STATUS_OK; NO_DATA naming the first group without a finite element; LENGTH_MISMATCH for another count;
 *         NULL_POINTER; MISALIGNED; SIZE_OVERFLOW; OVERLAP of min and max
 */
diffquant_status diffquant_observer_range(const diffquant_observer *observer,
                                          float *min,
                                          float *max,
                                          size_t count);

/**
 * Frees an observer.
 *
 * @param observer the observer, or NULL
 */
void diffquant_observer_free(diffquant_observer *observer);

/**
 * Makes a rotation.
 *
 * @param length elements of a row, at least 1
 * @param seed chooses the signs; the same seed gives the same rotation, always
 * @param out receives the handle; free it with diffquant_rotation_free
 * @return DIFFQUANT_STATUS_OK; INVALID_ARGUMENT for a length of 0; NULL_POINTER; OUT_OF_MEMORY
 */
diffquant_status diffquant_rotation_new(size_t length, uint64_t seed, diffquant_rotation **out);

/**
 * Elements of a row.
 *
 * @param rotation the rotation to read
 * @param out receives the number
 * @return DIFFQUANT_STATUS_OK; NULL_POINTER
 */
diffquant_status diffquant_rotation_length(const diffquant_rotation *rotation, size_t *out);

/**
 * Rotates n / length rows in place. Allocates nothing.
 *
 * Each row keeps its length as a vector, within rounding. A NaN or an infinity spreads over its block.
 *
 * @param rotation the rotation; safe to share between threads
 * @param x n elements, rows one after the other
 * @param n number of elements, a multiple of the length; with 0 nothing is touched
 * @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW
 */
diffquant_status diffquant_rotation_apply(const diffquant_rotation *rotation, float *x, size_t n);

/**
 * Rotates n / length rows back in place: by the transpose, which is the inverse, within rounding. Allocates nothing.
 *
 * For values on their way out of rotated weights, and for gradients on their way back. Sums on the way are up to the square root
 * of the length times larger than what comes out.
 *
 * @param rotation the rotation; safe to share between threads
 * @param x n elements, rows one after the other
 * @param n number of elements, a multiple of the length; with 0 nothing is touched
 * @return DIFFQUANT_STATUS_OK; LENGTH_MISMATCH; NULL_POINTER; MISALIGNED; SIZE_OVERFLOW
 */
diffquant_status diffquant_rotation_apply_transpose(const diffquant_rotation *rotation,
                                                    float *x,
                                                    size_t n);

/**
 * Frees a rotation.
 *
 * @param rotation the rotation, or NULL
 */
void diffquant_rotation_free(diffquant_rotation *rotation);

/**
 * Chooses the instruction set of the whole process, from the next call on. Safe to call at any time, from any thread.
 *
 * Without a call, the environment variable DIFFQUANT_ISA chooses when the first quantizer is made: baseline, avx2, avx512 or
 * neon; a name that this machine cannot follow is ignored.
 *
 * @param isa a DIFFQUANT_ISA constant
 * @return DIFFQUANT_STATUS_OK; UNKNOWN_CONSTANT; UNSUPPORTED for one that this machine lacks
 */
diffquant_status diffquant_set_isa(diffquant_isa isa);

/**
 * The name of the instruction set in use: "baseline", "avx2", "avx512" or "neon".
 *
 * @return a string that lives as long as the library is loaded; never NULL
 */
const char *diffquant_isa_name(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* DIFFQUANT_H */
