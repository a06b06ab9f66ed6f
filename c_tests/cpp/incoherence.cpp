// Rotations, and a quantizer's state as text.
#include "checks.hpp"

#include <cmath>

TEST(a_rotation_turns_rows_in_place_and_back) {
    const Rotation rotation(4, 3);
    CHECK(rotation.length() == 4);
    const Floats w{8.0f, 0.0f, 0.0f, 0.0f, 1.0f, 2.0f, 3.0f, 4.0f};
    Floats x = w;
    rotation.apply(x);
    for (std::size_t i = 0; i < 4; i++) {
        CHECK(std::fabs(x[i]) == 4.0f);
    }
    rotation.apply_transpose(x);
    CHECK(x == w);
    CHECK_THROWS(LengthMismatch, "n is 7", rotation.apply(View<float>(x.data(), 7)));
    CHECK_THROWS(LengthMismatch, "n is 7", rotation.apply_transpose(View<float>(x.data(), 7)));
    CHECK_THROWS(InvalidArgument, "length is 0", Rotation(0));
}

TEST(a_rotation_has_one_owner) {
    Rotation moved(8);
    Rotation kept(std::move(moved));
    // NOLINTBEGIN(bugprone-use-after-move)
    CHECK(!moved);
    CHECK_THROWS(NullPointer, "rotation is NULL", (void)moved.length());
    // NOLINTEND(bugprone-use-after-move)
    diffquant_rotation *const object = kept.release();
    CHECK(Rotation::adopt(object).length() == 8);
}

TEST(a_quantizer_rotates_when_it_is_told_to) {
    Quantizer quantizer = Quantizer::uniform(8);
    CHECK(!quantizer.incoherence() && quantizer.rotation_seed() == 0);
    quantizer.set_incoherence(true);
    quantizer.set_rotation_seed(5);
    CHECK(quantizer.incoherence() && quantizer.rotation_seed() == 5);
    Floats w{1.0f, -2.0f, 0.5f, 4.0f};
    quantizer.init_scale(w);
    const diffquant::Quantized quantized = quantizer.forward(w);
    Floats turned = w;
    Rotation(4, 5).apply(turned);
    quantizer.set_incoherence(false);
    CHECK(quantizer.forward(turned).codes == quantized.codes);
    for (std::size_t i = 0; i < w.size(); i++) {
        CHECK(std::fabs(quantized.values[i] - w[i]) < 0.05f);
    }
}

TEST(a_quantizer_survives_as_text) {
    Quantizer quantizer = Quantizer::pi(3, 5);
    quantizer.init_per_channel(2);
    quantizer.set_scale(1, 0.1f);
    quantizer.set_incoherence(true);
    const std::string json = quantizer.to_json();
    const Quantizer same = Quantizer::from_json(json);
    CHECK(same.to_json() == json);
    CHECK(same.scales() == quantizer.scales() && same.k() == 5u && same.incoherence());
    std::string later = json;
    later.replace(later.find("1.1"), 3, "3.1");
    CHECK_THROWS(Unsupported, "3.1", (void)Quantizer::from_json(later));
    CHECK_THROWS(InvalidJson, "JSON", (void)Quantizer::from_json(std::string_view()));
}
