// Scales, and all that decides what a code stands for.
#include "checks.hpp"

// ---- Scales ---------------------------------------------------------------------------------------------------------

TEST(scales_are_calibrated_set_and_read_per_channel) {
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

TEST(a_pi_quantizer_calibrates_its_alphas) {
    Quantizer quantizer = Quantizer::pi(2, 3);
    quantizer.set_scale(0, 3.0f);
    CHECK(quantizer.scales() == Floats{3.0f});
    CHECK(quantizer.step_size(0) == 0x1.921fb6p+1f); // 3 * PI / 3
    quantizer.init_scale(Floats{0.0f, 0.0f});
    CHECK(quantizer.scales() == Floats{1.0f});
}

TEST(an_alpha_is_made_from_a_range) {
    CHECK(diffquant::pi_scale_from_range(7.0f, 3, 4) == 0x1.45f306p+0f); // 4 / PI: 7 steps span the range
    CHECK_THROWS(InvalidArgument, "range is 0", (void)diffquant::pi_scale_from_range(0.0f, 3, 4));
}

// ---- Which weights share a scale ------------------------------------------------------------------------------------

TEST(a_shape_says_which_weights_share_a_scale) {
    Quantizer quantizer = Quantizer::uniform(3);
    CHECK(quantizer.granularity() == Granularity::PerTensor && quantizer.block_size() == 0);
    quantizer.set_granularity(Granularity::PerChannel);
    quantizer.set_shape(Sizes{2, 3}, 1);
    CHECK(quantizer.scales() == Floats{1.0f, 1.0f, 1.0f});
    CHECK(quantizer.group_of(4, 6) == 1);
    quantizer.set_scales(Floats{1.0f, 0.5f, 0.25f});
    CHECK(quantizer.forward(Floats{1.0f, 1.0f, 0.5f, -1.0f, -1.0f, -0.5f}).codes == Codes{1, 2, 2, -1, -2, -2});

    quantizer.set_granularity(Granularity::PerBlock, 2);
    CHECK(quantizer.granularity() == Granularity::PerBlock && quantizer.block_size() == 2);
    CHECK(quantizer.scale_count() == 0);
    CHECK_THROWS(NoShape, "shape", (void)quantizer.forward(Floats{1.0f}));
    const std::size_t shape[] = {2, 3};
    quantizer.set_shape(shape, 1);
    CHECK(quantizer.scale_count() == 4);
    CHECK(quantizer.group_of(5, 6) == 3);

    quantizer.set_granularity(Granularity::PerToken);
    quantizer.set_shape(std::array<std::size_t, 3>{2, 2, 3}); // without an axis
    CHECK(quantizer.scale_count() == 4);
}

TEST(a_shape_that_cannot_be_is_refused) {
    Quantizer quantizer = Quantizer::uniform(3);
    quantizer.set_granularity(Granularity::PerChannel);
    CHECK_THROWS(InvalidArgument, "ndim is 0", quantizer.set_shape({}, 0));
    CHECK_THROWS(InvalidArgument, "ndim is 17", quantizer.set_shape(Sizes(17, 1), 0));
    CHECK_THROWS(InvalidArgument, "shape is 0", quantizer.set_shape(Sizes{2, 0}, 0));
    CHECK_THROWS(IndexOutOfRange, "axis is 2", quantizer.set_shape(Sizes{2, 3}, 2));
    CHECK_THROWS(SizeOverflow, "shape", quantizer.set_shape(Sizes{std::numeric_limits<std::size_t>::max(), 2}, 0));
    CHECK_THROWS(InvalidArgument, "block_size is 0", quantizer.set_granularity(Granularity::PerBlock));
    CHECK_THROWS(UnknownConstant, "granularity is 9", quantizer.set_granularity(static_cast<Granularity>(9)));
    CHECK_THROWS(IndexOutOfRange, "element is 6", (void)quantizer.group_of(6, 6));
    quantizer.set_shape(Sizes{2, 3}, 1);
    CHECK_THROWS(LengthMismatch, "n is 5", (void)quantizer.group_of(0, 5));
}

// ---- What a code stands for -----------------------------------------------------------------------------------------

TEST(a_range_has_bounds_and_a_zero_point) {
    Quantizer quantizer = half_steps();
    CHECK(quantizer.code_range() == CodeRange::Full);
    CHECK(quantizer.code_bounds().min == -4 && quantizer.code_bounds().max == 3);
    quantizer.set_code_range(CodeRange::Narrow);
    CHECK(quantizer.code_range() == CodeRange::Narrow && quantizer.code_bounds().min == -3);
    quantizer.set_code_range(CodeRange::Unsigned);
    CHECK(quantizer.zero_points() == Integers{-4});
    const auto [codes, values] = quantizer.forward(Floats{0.5f, -1.0f, 99.0f});
    CHECK(codes == Codes{-3, -4, 3});
    CHECK(values == Floats{0.5f, 0.0f, 3.5f});
    CHECK_THROWS(UnknownConstant, "range is 7", quantizer.set_code_range(static_cast<CodeRange>(7)));
}

TEST(zero_points_are_fixed_until_they_are_freed) {
    Quantizer quantizer = half_steps();
    CHECK(quantizer.symmetric());
    CHECK_THROWS(NotApplicable, "zero point", quantizer.set_zero_points(Integers{1}));
    quantizer.set_symmetric(false);
    CHECK(!quantizer.symmetric());
    quantizer.set_zero_points(Integers{3});
    CHECK(quantizer.forward(Floats{0.0f, -0.5f, 9.0f}).codes == Codes{3, 2, 3});
    std::int32_t out[1] = {};
    quantizer.zero_points(out);
    CHECK(out[0] == 3);
    CHECK_THROWS(InvalidArgument, "zero_points[0] is 4", quantizer.set_zero_points(Integers{4}));
    CHECK_THROWS(LengthMismatch, "zero_points has 2", quantizer.set_zero_points(Integers{1, 2}));
    Integers two(2, 7);
    CHECK_THROWS(LengthMismatch, "out has 2", quantizer.zero_points(two));
    quantizer.set_symmetric(true);
    CHECK(quantizer.zero_points() == Integers{0});
    CHECK(!Quantizer(Config().set_symmetric(false)).symmetric());
}

TEST(offsets_move_the_values) {
    Quantizer quantizer = half_steps();
    CHECK(quantizer.offsets() == Floats{0.0f});
    quantizer.set_offsets(Floats{10.0f});
    const auto [codes, values] = quantizer.forward(Floats{10.5f, 0.0f});
    CHECK(codes == Codes{1, -4});
    CHECK(values == Floats{10.5f, 8.0f});
    Floats out(1);
    quantizer.offsets(out);
    CHECK(out == Floats{10.0f});
    CHECK_THROWS(InvalidArgument, "offsets[0] is NaN", quantizer.set_offsets(Floats{not_a_number}));
    CHECK_THROWS(LengthMismatch, "offsets has 2", quantizer.set_offsets(Floats{1.0f, 2.0f}));
}

// ---- Where scales come from -----------------------------------------------------------------------------------------

TEST(scales_are_calibrated_by_any_method) {
    Quantizer quantizer = Quantizer::uniform(4);
    const Floats w{-4.0f, 2.0f, 1.0f, 1.0f};
    quantizer.init_scale_with(ScaleInit::MaxAbs, w);
    CHECK(quantizer.scales() == Floats{4.0f / 7.5f});
    quantizer.init_scale_with(ScaleInit::MinMax, w);
    CHECK(quantizer.scales() == Floats{0.5f});
    quantizer.init_scale_with(ScaleInit::Percentile, w, 75.0f);
    CHECK(quantizer.scales() == Floats{2.0f / 7.5f});
    quantizer.init_scale_with(ScaleInit::Mse, Floats{-2.0f, 1.0f, 1.75f, 0.25f});
    CHECK(quantizer.scales() == Floats{0.25f});
    quantizer.init_scale_with(ScaleInit::Lsq, w);
    CHECK(quantizer.scales()[0] > 1.5118f && quantizer.scales()[0] < 1.5119f); // 2 * 2 / sqrt(7)
    quantizer.set_symmetric(false);
    quantizer.init_scale_with(ScaleInit::MinMax, Floats{-2.0f, 5.5f});
    CHECK(quantizer.scales() == Floats{0.5f} && quantizer.zero_points() == Integers{-4});
    CHECK_THROWS(InvalidArgument, "percentile is -1", quantizer.init_scale_with(ScaleInit::Percentile, w));
    CHECK_THROWS(InvalidArgument, "percentile is 101", quantizer.init_scale_with(ScaleInit::Percentile, w, 101.0f));
    CHECK_THROWS(UnknownConstant, "method is 5", quantizer.init_scale_with(static_cast<ScaleInit>(5), w));
    CHECK_THROWS(NonFinite, "w[0]", quantizer.init_scale_with(ScaleInit::Mse, Floats{infinity}));
    CHECK(quantizer.scales() == Floats{0.5f});
}

TEST(a_step_down_the_gradient_keeps_scales_positive_and_says_how_many_needed_it) {
    Quantizer quantizer = Quantizer::uniform(4);
    quantizer.init_per_channel(2);
    CHECK(quantizer.apply_scale_step(Floats{1.0f, -1.0f}, 0.5f, 0.125f) == 0);
    CHECK(quantizer.scales() == Floats{0.5f, 1.5f});
    CHECK(quantizer.apply_scale_step(Floats{9.0f, 1.0f}, 0.5f, 0.125f) == 1);
    CHECK(quantizer.scales() == Floats{0.125f, 1.0f});
    CHECK_THROWS(InvalidArgument, "grad_scale[1] is NaN",
                 quantizer.apply_scale_step(Floats{1.0f, not_a_number}, 0.5f, 0.125f));
    CHECK_THROWS(InvalidArgument, "learning_rate is 0", quantizer.apply_scale_step(Floats{1.0f, 1.0f}, 0.0f, 0.125f));
    CHECK_THROWS(InvalidArgument, "min_scale is 0", quantizer.apply_scale_step(Floats{1.0f, 1.0f}, 0.5f, 0.0f));
    CHECK_THROWS(LengthMismatch, "grad_scale has 1", quantizer.apply_scale_step(Floats{1.0f}, 0.5f, 0.125f));
    CHECK(quantizer.scales() == Floats{0.125f, 1.0f});
}
