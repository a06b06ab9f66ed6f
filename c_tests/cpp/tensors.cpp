// Forward, backward and dequantize, with numbers that are worked out by hand.
#include "checks.hpp"

TEST(forward_gives_codes_and_values) {
    const Floats w{0.0f, 0.24f, 0.25f, -0.25f, 0.75f, 1.1f, -1.2f, 100.0f, -infinity, not_a_number};
    const auto [codes, values] = half_steps().forward(w);
    CHECK(codes == Codes{0, 0, 1, -1, 2, 2, -2, 3, -4, 0});
    CHECK(values == Floats{0.0f, 0.0f, 0.5f, -0.5f, 1.0f, 1.0f, -1.0f, 1.5f, -2.0f, 0.0f});
}

TEST(forward_writes_only_the_outputs_that_are_wanted) {
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

TEST(forward_works_in_place) {
    Floats w{0.6f, -0.9f};
    Codes codes(2);
    half_steps().forward(w, codes, w);
    CHECK(codes == Codes{1, -2});
    CHECK(w == Floats{0.5f, -1.0f});
}

TEST(a_pi_quantizer_has_steps_of_alpha_pi_over_k) {
    const Quantizer quantizer = Quantizer::pi(3, 4);
    CHECK(quantizer.k() == 4u);
    CHECK(quantizer.ste() == Ste::LearnedStepSize);
    CHECK(quantizer.step_size(0) == 0x1.921fb6p-1f); // the float PI is 0x1.921fb6p+1
    const auto [codes, values] = quantizer.forward(Floats{0.3f, 0.4f, -1.2f, 10.0f});
    CHECK(codes == Codes{0, 1, -2, 3});
    CHECK(values == Floats{0.0f, 0x1.921fb6p-1f, -0x1.921fb6p+0f, 0x1.2d97c8p+1f});
}

TEST(rounding_decides_what_happens_halfway) {
    Quantizer quantizer = half_steps();
    const Floats w{0.25f, 0.75f, -1.25f};
    CHECK(quantizer.rounding() == Rounding::HalfAway);
    CHECK(quantizer.forward(w).codes == Codes{1, 2, -3});
    quantizer.set_rounding(Rounding::HalfEven);
    CHECK(quantizer.rounding() == Rounding::HalfEven);
    CHECK(quantizer.forward(w).codes == Codes{0, 2, -2});
}

TEST(stochastic_rounding_draws_what_the_seed_says) {
    Quantizer quantizer = half_steps();
    CHECK(quantizer.seed() == 0);
    CHECK(quantizer.first_element() == 0);
    quantizer.set_rounding(Rounding::Stochastic);
    CHECK(quantizer.rounding() == Rounding::Stochastic);
    const Floats w(64, 0.25f); // halfway between the codes 0 and 1
    quantizer.set_seed(7);
    const Codes whole = quantizer.forward(w).codes;
    CHECK(quantizer.seed() == 7);
    for (const std::int8_t code : whole) {
        CHECK(code == 0 || code == 1);
    }
    CHECK(quantizer.forward(w).codes == whole);
    quantizer.set_seed(8);
    CHECK(quantizer.forward(w).codes != whole);
    quantizer.set_seed(7, 11);
    CHECK(quantizer.first_element() == 11);
    CHECK(quantizer.forward(Floats(53, 0.25f)).codes == Codes(whole.begin() + 11, whole.end()));
}

TEST(the_policy_decides_what_becomes_of_a_nan) {
    Quantizer quantizer = half_steps();
    const Floats w{0.6f, not_a_number, infinity};
    CHECK(quantizer.non_finite() == NonFinite::Zero);
    CHECK(quantizer.forward(w).values == Floats{0.5f, 0.0f, 1.5f});
    quantizer.set_non_finite(NonFinite::Propagate);
    CHECK(quantizer.non_finite() == NonFinite::Propagate);
    const auto [codes, values] = quantizer.forward(w);
    CHECK(codes == Codes{1, 0, 3});
    CHECK(values[1] != values[1]);
    quantizer.set_non_finite(NonFinite::Reject);
    CHECK_THROWS(NonFinite, "w[1] is NaN", (void)quantizer.forward(w));
    CHECK_THROWS(NonFinite, "w[1] is NaN", (void)quantizer.statistics(w));
}

TEST(statistics_tell_what_quantizing_did) {
    Quantizer quantizer = half_steps();
    const Floats w{0.75f, -5.0f, 4.0f, 0.5f, not_a_number}; // values 1, -2, 1.5, 0.5, 0
    Codes codes(5);
    Floats values(5);
    std::array<Statistics, 1> statistics{};
    quantizer.forward_statistics(w, codes, values, statistics);
    CHECK(codes == quantizer.forward(w).codes);
    CHECK(values == quantizer.forward(w).values);
    CHECK(statistics[0].count == 4);
    CHECK(statistics[0].non_finite == 1);
    CHECK(statistics[0].at_min == 1);
    CHECK(statistics[0].at_max == 1);
    CHECK(statistics[0].squared_error == 0.0625 + 9.0 + 6.25);
    CHECK(statistics[0].signal_power == 0.5625 + 25.0 + 16.0 + 0.25);
    CHECK(quantizer.statistics(w)[0].sqnr_db == statistics[0].sqnr_db);
    CHECK(statistics[0].sqnr_db > 4.36 && statistics[0].sqnr_db < 4.37); // 10 * log10(41.8125 / 15.3125)
    std::array<Statistics, 2> two{};
    CHECK_THROWS(LengthMismatch, "statistics has 2", quantizer.forward_statistics(w, codes, values, two));
}

TEST(backward_follows_the_estimator) {
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

TEST(backward_works_in_place) {
    Floats gradient{2.0f, -4.0f};
    half_steps(Ste::Ewgs, 0.5f).backward(Floats{0.625f, 0.75f}, std::nullopt, gradient, gradient);
    CHECK(gradient == Floats{2.125f, -4.5f});
}

TEST(backward_scale_gives_both_gradients) {
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

TEST(dequantize_does_not_clamp) {
    const Quantizer quantizer = half_steps();
    const Codes codes{1, -2, 100};
    CHECK(quantizer.dequantize(codes) == Floats{0.5f, -1.0f, 50.0f});
    std::array<float, 3> values{};
    quantizer.dequantize(codes, values);
    CHECK(values == std::array<float, 3>{0.5f, -1.0f, 50.0f});
}

TEST(tensors_of_no_elements_are_fine) {
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

TEST(the_published_estimators_mask_what_is_outside_the_range) {
    const Floats w{1.25f, 7.25f, 100.0f}, g{2.0f, 4.0f, 8.0f}; // Qp is 7, in steps of 1
    Quantizer quantizer = Quantizer::uniform(4, Ste::Lsq);
    quantizer.set_scale(0, 1.0f);
    CHECK(quantizer.backward(w, std::nullopt, g) == Floats{2.0f, 0.0f, 0.0f});
    quantizer.set_ste(Ste::RangeClipped);
    CHECK(quantizer.backward(w, std::nullopt, g) == Floats{2.0f, 4.0f, 0.0f});
    quantizer.set_ste(Ste::EwgsSigned, 0.5f);
    CHECK(quantizer.ste_param() == 0.5f);
    CHECK(quantizer.backward(w, std::nullopt, g) == Floats{2.25f, 0.0f, 0.0f}); // 2 * (1 + 0.5 * 0.25)
    CHECK_THROWS(InvalidArgument, "delta is -1", quantizer.set_ste(Ste::EwgsSigned));
}

TEST(backward_scale_offset_gives_three_gradients) {
    Quantizer quantizer = Quantizer::uniform(2, Ste::LsqPlus); // Qn is -2, Qp is 1
    quantizer.set_scale(0, 1.0f);
    const Floats w{0.25f, -5.0f, 5.0f, -2.0f}, grad_out{4.0f, 8.0f, 2.0f, 1.0f};
    const Floats expected_w{4.0f, 0.0f, 0.0f, 0.0f}, expected_scale{-8.5f}, expected_offset{11.0f};
    // (-0.25 * 4 - 2 * 8 + 2 - 2) / sqrt(4 * 1), and 8 + 2 + 1
    const auto [grad_w, grad_scale, grad_offset] = quantizer.backward_scale_offset(w, grad_out);
    CHECK(grad_w == expected_w && grad_scale == expected_scale && grad_offset == expected_offset);

    Floats gradient = grad_out, scale(1), offset(1);
    quantizer.backward_scale_offset(w, gradient, gradient, scale, offset);
    CHECK(gradient == expected_w && scale == expected_scale && offset == expected_offset);
    scale[0] = offset[0] = 7.0f;
    quantizer.backward_scale_offset({}, {}, std::nullopt, scale, offset);
    CHECK(scale[0] == 7.0f && offset[0] == 7.0f);
    quantizer.backward_scale_offset(w, grad_out, std::nullopt, scale, offset);
    CHECK(scale == expected_scale && offset == expected_offset);

    Floats two(2);
    CHECK_THROWS(LengthMismatch, "grad_out has 2", (void)quantizer.backward_scale_offset(w, two));
    CHECK_THROWS(LengthMismatch, "grad_w has 2", quantizer.backward_scale_offset(w, grad_out, two, scale, offset));
    CHECK_THROWS(LengthMismatch, "grad_scale has 2",
                 quantizer.backward_scale_offset(w, grad_out, std::nullopt, two, offset));
    CHECK_THROWS(LengthMismatch, "grad_offset has 2",
                 quantizer.backward_scale_offset(w, grad_out, std::nullopt, scale, two));
    CHECK_THROWS(Overlap, "grad_offset", quantizer.backward_scale_offset(w, grad_out, std::nullopt, scale, scale));
    quantizer.set_ste(Ste::Standard);
    CHECK_THROWS(NotApplicable, "offset", (void)quantizer.backward_scale_offset(w, grad_out));
}

TEST(forward_dynamic_has_scales_of_its_own_for_any_number_of_tokens) {
    Quantizer quantizer = Quantizer::uniform(4);
    quantizer.set_granularity(Granularity::PerToken);
    quantizer.set_shape(Sizes{7, 2});
    const Floats w{7.5f, -1.0f, 0.0f, 0.0f, 15.0f, 4.0f};
    const auto [codes, values, scales] = quantizer.forward_dynamic(w, 3);
    CHECK(codes == Codes{7, -1, 0, 0, 7, 2});
    CHECK(values == Floats{7.0f, -1.0f, 0.0f, 0.0f, 14.0f, 4.0f});
    CHECK(scales == Floats{1.0f, 1.0f, 2.0f});
    CHECK(quantizer.scales() == Floats(7, 1.0f));

    Floats in_place = w, out_scales(3);
    quantizer.forward_dynamic(in_place, std::nullopt, in_place, out_scales);
    CHECK(in_place == values && out_scales == scales);
    CHECK(quantizer.forward_dynamic({}, 0).scales.empty());
    CHECK_THROWS(LengthMismatch, "scales has 2 elements; 3 are needed", (void)quantizer.forward_dynamic(w, 2));
    CHECK_THROWS(LengthMismatch, "last dimension", (void)quantizer.forward_dynamic(Floats(3), 1));
    CHECK_THROWS(NonFinite, "w[1]", (void)quantizer.forward_dynamic(Floats{1.0f, infinity}, 1));
    Floats two(2);
    CHECK_THROWS(LengthMismatch, "values has 2", quantizer.forward_dynamic(w, std::nullopt, two, out_scales));
}
