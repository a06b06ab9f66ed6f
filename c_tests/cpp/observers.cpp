// Observers.
#include "checks.hpp"

using diffquant::Observer;
using diffquant::ObserverKind;

using Counts = std::vector<std::uint64_t>;

static Observer of(ObserverKind kind, const Floats &x) {
    Observer observer(kind, 0.5f);
    observer.observe(x);
    return observer;
}

TEST(an_observer_tells_what_it_has_seen) {
    for (const ObserverKind kind : {ObserverKind::MinMax, ObserverKind::MovingAverage, ObserverKind::Histogram}) {
        const Observer observer = of(kind, {1.0f, -3.0f, not_a_number, infinity, 2.0f});
        CHECK(observer.kind() == kind);
        CHECK(observer.parameter() == (kind == ObserverKind::MovingAverage ? 0.5f : 0.0f));
        CHECK(observer.group_count() == 1);
        const auto [finite, non_finite] = observer.counts();
        CHECK(finite == Counts{3} && non_finite == Counts{2});
        const auto [min, max] = observer.range();
        CHECK(min == Floats{-3.0f} && max == Floats{2.0f});
    }
    CHECK_THROWS(InvalidArgument, "averaging_constant", Observer(ObserverKind::MovingAverage));
}

TEST(an_observer_of_channels_takes_batches_of_any_size) {
    Observer observer(ObserverKind::MinMax);
    const Sizes shape = {1, 2, 2};
    observer.set_shape(shape, 1);
    CHECK(observer.group_count() == 2);
    CHECK_THROWS(NoData, "0", (void)observer.range());
    observer.observe(Floats{1, 2, 3, 4, -1, -2, -3, -4});
    const auto [min, max] = observer.range();
    CHECK(min == Floats{-2, -4} && max == Floats{2, 4});
    CHECK_THROWS(LengthMismatch, "6", observer.observe(Floats(6)));
    Counts finite(2);
    observer.counts_into(finite, std::nullopt);
    CHECK(finite == Counts{4, 4});
    Floats one(1), two(2);
    CHECK_THROWS(LengthMismatch, "max", observer.range_into(two, one));
    CHECK_THROWS(LengthMismatch, "non_finite", observer.counts_into(finite, View<std::uint64_t>(finite.data(), 1)));
    observer.reset();
    CHECK(observer.counts().finite == Counts{0, 0});
}

TEST(observers_of_parts_merge_and_travel_as_json) {
    const Observer whole = of(ObserverKind::Histogram, {1, 2, 3, -4, 5, -6});
    Observer first = of(ObserverKind::Histogram, {-4, 5, -6});
    const Observer second = Observer::from_json(of(ObserverKind::Histogram, {1, 2, 3}).to_json());
    first.merge(second);
    CHECK(first.to_json() == whole.to_json());
    CHECK(first.clone().to_json() == whole.to_json());
    CHECK_THROWS(Overlap, "other", first.merge(first));
    CHECK_THROWS(Incompatible, "Histogram", first.merge(of(ObserverKind::MinMax, {1})));
    CHECK_THROWS(InvalidJson, "format", (void)Observer::from_json("{}"));
    CHECK_THROWS(InvalidJson, "", (void)Observer::from_json({}));
    Observer moved = std::move(first);
    CHECK(moved.to_json() == whole.to_json());
    CHECK_THROWS(NullPointer, "observer", first.reset());
    CHECK(Observer::adopt(moved.release()).to_json() == whole.to_json());
}

TEST(a_quantizer_gets_its_scales_from_an_observer) {
    Floats x(1000);
    for (std::size_t i = 0; i < x.size(); ++i) {
        x[i] = static_cast<float>(i) / 1000.0f - 0.25f;
    }
    Quantizer exact = Quantizer::uniform(4), observed = Quantizer::uniform(4);
    exact.set_symmetric(false);
    observed.set_symmetric(false);
    const Observer histogram = of(ObserverKind::Histogram, x);
    exact.init_scale_with(ScaleInit::MinMax, x);
    observed.init_scale_from_observer(histogram, ScaleInit::MinMax);
    CHECK(observed.scales() == exact.scales() && observed.zero_points() == exact.zero_points());
    observed.init_scale_from_observer(histogram, ScaleInit::Percentile, 100.0f);
    CHECK(observed.scales() == exact.scales());
    CHECK_THROWS(InvalidArgument, "percentile", observed.init_scale_from_observer(histogram, ScaleInit::Percentile));
    CHECK_THROWS(NotApplicable, "histogram",
                 observed.init_scale_from_observer(of(ObserverKind::MinMax, x), ScaleInit::Mse));
    CHECK_THROWS(NoData, "0", observed.init_scale_from_observer(Observer(ObserverKind::MinMax), ScaleInit::MinMax));
    CHECK(observed.scales() == exact.scales());
}
