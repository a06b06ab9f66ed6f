// What is refused, and who owns what.
#include "checks.hpp"

// ---- Errors ---------------------------------------------------------------------------------------------------------

TEST(errors_carry_the_status_and_the_message_of_the_library) {
    CHECK_THROWS(InvalidArgument, "bits is 9", (void)Quantizer::uniform(9));
    CHECK_THROWS(InvalidArgument, "k is 6", (void)Quantizer::pi(3, 6));
    CHECK_THROWS(UnknownConstant, "ste is 77", (void)Quantizer::uniform(3, static_cast<Ste>(77)));
    CHECK_THROWS(InvalidArgument, "scale", half_steps().set_scale(0, -1.0f));
    CHECK_THROWS(IndexOutOfRange, "group is 1", half_steps().set_scale(1, 1.0f));
    CHECK_THROWS(IndexOutOfRange, "group is 1", (void)half_steps().step_size(1));
    CHECK_THROWS(NonFinite, "w[1]", half_steps().init_scale(Floats{1.0f, infinity}));
    CHECK_THROWS(UnknownConstant, "rounding is 3", half_steps().set_rounding(static_cast<Rounding>(3)));
    CHECK_THROWS(UnknownConstant, "policy is 3", half_steps().set_non_finite(static_cast<NonFinite>(3)));
    try {
        (void)Quantizer::uniform(1);
        fail(__LINE__, "nothing was thrown");
    } catch (const std::runtime_error &error) {
        CHECK(std::strcmp(error.what(), diffquant_last_error_message()) == 0);
    }
}

TEST(an_estimator_with_a_parameter_refuses_none) {
    CHECK_THROWS(InvalidArgument, "-1", (void)Quantizer::uniform(3, Ste::Clipped));
    CHECK_THROWS(InvalidArgument, "-1", (void)Quantizer::uniform(3, Ste::Ewgs));
    CHECK_THROWS(InvalidArgument, "-1", half_steps().set_ste(Ste::Ewgs));
    CHECK_THROWS(InvalidArgument, "-1", Config().set_ste(Ste::Clipped));
    Quantizer quantizer = half_steps(Ste::Clipped, 1.0f);
    quantizer.set_ste(Ste::Standard);
    CHECK(quantizer.ste() == Ste::Standard);
    CHECK(quantizer.ste_param() == 0.0f);
}

TEST(lengths_that_do_not_fit_each_other_are_refused) {
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

TEST(a_view_of_elements_at_null_is_not_taken_for_one_left_out) {
    const Quantizer quantizer = half_steps();
    const Floats w{0.6f, -0.9f};
    Floats out(2);
    const View<float> nowhere(nullptr, 2);
    CHECK_THROWS(NullPointer, "values is NULL", quantizer.forward(w, std::nullopt, nowhere));
    CHECK_THROWS(NullPointer, "values is NULL", quantizer.backward(w, View<const float>(nowhere), w, out));
    CHECK_THROWS(NullPointer, "grad_w is NULL", quantizer.backward_scale(w, w, nowhere, View<float>(out.data(), 1)));
    CHECK_THROWS(NullPointer, "w is NULL", quantizer.forward(nowhere, std::nullopt, out));
}

TEST(overlapping_buffers_are_refused) {
    Floats w{1.0f, 2.0f, 3.0f};
    CHECK_THROWS(Overlap, "w", half_steps().forward({w.data(), 2}, std::nullopt, View<float>(w.data() + 1, 2)));
    CHECK(w == Floats{1.0f, 2.0f, 3.0f});
}

// ---- Ownership ------------------------------------------------------------------------------------------------------

TEST(moving_hands_over_the_object) {
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

TEST(a_quantizer_that_was_moved_from_throws) {
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
    CHECK_THROWS(NullPointer, "quantizer is NULL", (void)moved.backward_scale_offset(w, w));
    CHECK_THROWS(NullPointer, "quantizer is NULL", (void)moved.forward_dynamic(w, 1));
    CHECK_THROWS(NullPointer, "quantizer is NULL", moved.set_granularity(Granularity::PerTensor));
    CHECK_THROWS(NullPointer, "quantizer is NULL", (void)moved.granularity());
    CHECK_THROWS(NullPointer, "quantizer is NULL", (void)moved.block_size());
    CHECK_THROWS(NullPointer, "quantizer is NULL", moved.set_shape(Sizes{1}));
    CHECK_THROWS(NullPointer, "quantizer is NULL", (void)moved.group_of(0, 1));
    CHECK_THROWS(NullPointer, "quantizer is NULL", moved.set_code_range(CodeRange::Full));
    CHECK_THROWS(NullPointer, "quantizer is NULL", (void)moved.code_range());
    CHECK_THROWS(NullPointer, "quantizer is NULL", (void)moved.code_bounds());
    CHECK_THROWS(NullPointer, "quantizer is NULL", moved.set_symmetric(false));
    CHECK_THROWS(NullPointer, "quantizer is NULL", (void)moved.symmetric());
    CHECK_THROWS(NullPointer, "quantizer is NULL", (void)moved.zero_points());
    CHECK_THROWS(NullPointer, "quantizer is NULL", moved.set_zero_points(Integers{0}));
    CHECK_THROWS(NullPointer, "quantizer is NULL", (void)moved.offsets());
    CHECK_THROWS(NullPointer, "quantizer is NULL", moved.set_offsets(w));
    CHECK_THROWS(NullPointer, "quantizer is NULL", moved.init_scale_with(ScaleInit::Mse, w));
    CHECK_THROWS(NullPointer, "quantizer is NULL", moved.apply_scale_step(w, 1.0f, 1.0f));
    // NOLINTEND(bugprone-use-after-move)
    CHECK(kept.bits() == 3);
}

TEST(a_configuration_that_was_moved_from_throws) {
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

TEST(a_clone_shares_nothing) {
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

TEST(a_clone_of_a_configuration_has_every_bit) {
    constexpr float awkward[] = {0.1f, 1.0f / 3.0f, 16777216.0f, 1e-45f, 1.17549435e-38f, 3.40282347e+38f};
    for (const float number : awkward) {
        Config config(Preset::Piq2);
        config.set_learning_rate(number).set_ste(Ste::Ewgs, number).set_grad_clip(number);
        const Config copy = config.clone();
        CHECK(copy.to_json() == config.to_json());
        CHECK(copy.learning_rate() == number && copy.ste_param() == number && copy.grad_clip() == number);
    }
}

TEST(a_c_object_can_be_adopted_and_released) {
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
