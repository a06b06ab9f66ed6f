// 16-bit tensors, with numbers that are worked out by hand.
#include "checks.hpp"

using diffquant::Dtype;

using Halves = std::vector<std::uint16_t>;

// 0.75, -1.25, 100 and 0.125 as f16 and as bf16; of half steps the codes are 2, -3, 3 and 0.
static const Halves f16{0x3a00, 0xbd00, 0x5640, 0x3000}, bf16{0x3f40, 0xbfa0, 0x42c8, 0x3e00};
static const Halves f16_values{0x3c00, 0xbe00, 0x3e00, 0}, bf16_values{0x3f80, 0xbfc0, 0x3fc0, 0};

TEST(forward_and_dequantize_speak_16_bits) {
    for (const bool brain : {false, true}) {
        const Dtype dtype = brain ? Dtype::Bf16 : Dtype::F16;
        Halves w = brain ? bf16 : f16, values(4);
        const Halves expected = brain ? bf16_values : f16_values;
        Codes codes(4);
        half_steps().forward(dtype, w, codes, values);
        CHECK(codes == Codes{2, -3, 3, 0});
        CHECK(values == expected);
        half_steps().forward(dtype, w, std::nullopt, w); // in place
        CHECK(w == expected);
        half_steps().dequantize(dtype, codes, w);
        CHECK(w == expected);
    }
}

TEST(gradients_speak_16_bits) {
    const Quantizer quantizer = half_steps(Ste::Lsq);
    const Halves ones(4, 0x3c00);
    Halves grad_w(4);
    Floats grad_scale(1), grad_offset(1), expected_scale(1), expected_offset(1);
    quantizer.backward(Dtype::F16, f16, std::nullopt, ones, grad_w);
    CHECK(grad_w == Halves{0x3c00, 0x3c00, 0, 0x3c00});
    // The gradient of the scale is that of the same weights in float.
    const Floats w{0.75f, -1.25f, 100.0f, 0.125f};
    quantizer.backward_scale_offset(w, Floats(4, 1.0f), std::nullopt, expected_scale, expected_offset);
    quantizer.backward_scale(Dtype::F16, f16, ones, grad_w, grad_scale);
    CHECK(grad_w == Halves{0x3c00, 0x3c00, 0, 0x3c00});
    CHECK(grad_scale == expected_scale);
    grad_scale[0] = 7.0f;
    quantizer.backward_scale_offset(Dtype::F16, f16, ones, std::nullopt, grad_scale, grad_offset);
    CHECK(grad_scale == expected_scale);
    CHECK(grad_offset == expected_offset && grad_offset[0] == 1.0f);
}

TEST(scales_come_from_16_bit_weights) {
    Quantizer quantizer = Quantizer::uniform(3);
    quantizer.init_scale_with(Dtype::Bf16, ScaleInit::MaxAbs, bf16);
    CHECK(quantizer.scales()[0] == 100.0f / 3.5f);
    Floats scales(1);
    quantizer.set_scale(0, 1.0f);
    quantizer.forward_dynamic(Dtype::F16, f16, std::nullopt, std::nullopt, scales);
    CHECK(scales[0] == 100.0f / 3.5f);
    CHECK(quantizer.scales()[0] == 1.0f);
}

TEST(statistics_and_observers_take_16_bits) {
    Codes codes(4);
    Halves values(4);
    std::vector<diffquant::Statistics> statistics(1);
    half_steps().forward_statistics(Dtype::F16, f16, codes, values, statistics);
    CHECK(codes == Codes({2, -3, 3, 0}));
    CHECK(values == f16_values);
    CHECK(statistics[0].count == 4 && statistics[0].at_max == 1);
    diffquant::Observer observer(diffquant::ObserverKind::MinMax);
    observer.observe(Dtype::Bf16, bf16);
    CHECK(observer.range().min == Floats{-1.25f} && observer.range().max == Floats{100.0f});
    CHECK_THROWS(UnknownConstant, "dtype", observer.observe(Dtype::F32, bf16));
}

TEST(a_dtype_that_is_not_of_16_bits_is_refused) {
    Halves w(4);
    CHECK_THROWS(UnknownConstant, "dtype", half_steps().forward(Dtype::F32, w, std::nullopt, w));
    CHECK_THROWS(UnknownConstant, "dtype", half_steps().forward(static_cast<Dtype>(9), w, std::nullopt, w));
    Halves few(3);
    CHECK_THROWS(LengthMismatch, "values", half_steps().forward(Dtype::F16, w, std::nullopt, few));
}
