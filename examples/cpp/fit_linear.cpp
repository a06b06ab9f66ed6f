// Quantization-aware training in its smallest form: a linear layer of 4 outputs and 16 inputs, whose weights have 3
// bits and one scale per output, learns to do what a layer of float weights does.
//
// Each step, forward() turns the latent float weights into the 8 values that 3 bits can name; the layer and its loss
// see only those. backward_scale() sends the gradient back through the rounding, to the latent weights and to the
// scales, and gradient descent moves both. It is done twice, the first time with scales that stay as they were
// calibrated.
#include <diffquant.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <optional>
#include <random>
#include <vector>

namespace {

constexpr std::size_t outputs = 4, inputs = 16, samples = 128, steps = 300;

using Floats = std::vector<float>;

// Numbers between -limit and limit, the same ones on every machine: the standard says what the generator gives, but not
// what its distributions make of it.
Floats random_floats(std::minstd_rand &generator, std::size_t count, float limit) {
    Floats numbers(count);
    for (float &number : numbers) {
        number = limit * (static_cast<float>(generator() % 2001) / 1000.0f - 1.0f);
    }
    return numbers;
}

// y[s][o] = sum over i of x[s][i] * weights[o][i]
Floats linear(const Floats &x, const Floats &weights) {
    Floats y(samples * outputs);
    for (std::size_t s = 0; s < samples; ++s) {
        for (std::size_t o = 0; o < outputs; ++o) {
            for (std::size_t i = 0; i < inputs; ++i) {
                y[s * outputs + o] += x[s * inputs + i] * weights[o * inputs + i];
            }
        }
    }
    return y;
}

// Half the squared error of a sample, on average; grad receives its gradient by each weight that gave y.
float squared_error(const Floats &x, const Floats &y, const Floats &target, Floats &grad) {
    float loss = 0.0f;
    std::fill(grad.begin(), grad.end(), 0.0f);
    for (std::size_t s = 0; s < samples; ++s) {
        for (std::size_t o = 0; o < outputs; ++o) {
            const float error = y[s * outputs + o] - target[s * outputs + o];
            loss += 0.5f * error * error / static_cast<float>(samples);
            for (std::size_t i = 0; i < inputs; ++i) {
                grad[o * inputs + i] += error * x[s * inputs + i] / static_cast<float>(samples);
            }
        }
    }
    return loss;
}

void descend(Floats &parameters, const Floats &gradient, float rate) {
    for (std::size_t i = 0; i < parameters.size(); ++i) {
        parameters[i] -= rate * gradient[i];
    }
}

struct Losses {
    float first; // before the first step
    float last;  // after the last
};

// The rates are those of the first step; they fall to 0.
Losses train(float rate, float scale_rate) {
    std::minstd_rand generator(1);
    const Floats x = random_floats(generator, samples * inputs, 1.0f);
    const Floats target = linear(x, random_floats(generator, outputs * inputs, 0.5f));
    Floats w = random_floats(generator, outputs * inputs, 1.0f); // the latent weights: unrelated, and twice as large

    auto quantizer = diffquant::Quantizer::uniform(3, diffquant::Ste::LearnedStepSize);
    quantizer.init_per_channel(outputs);
    quantizer.init_scale(w);
    Floats scales = quantizer.scales();

    Floats values(w.size()), gradient(w.size()), grad_scale(scales.size());
    Losses losses{};
    for (std::size_t step = 0; step <= steps; ++step) {
        quantizer.forward(w, std::nullopt, values);
        const float loss = squared_error(x, linear(x, values), target, gradient);
        (step == 0 ? losses.first : losses.last) = loss;
        if (step % 50 == 0) {
            std::printf("  step %3zu   loss %.3f\n", step, static_cast<double>(loss));
        }
        quantizer.backward_scale(w, gradient, gradient, grad_scale); // in place
        const float decay = 1.0f - static_cast<float>(step) / static_cast<float>(steps);
        descend(w, gradient, decay * rate);
        descend(scales, grad_scale, decay * scale_rate);
        quantizer.set_scales(scales); // throws, should a rate be so large that a scale falls to zero
    }
    return losses;
}

} // namespace

int main() {
    try {
        std::puts("scales fixed");
        const Losses fixed = train(0.1f, 0.0f);
        std::puts("scales learned");
        const Losses learned = train(0.1f, 0.01f);
        if (!(fixed.last < fixed.first / 20.0f && learned.last < fixed.last / 2.0f)) { // so that a NaN fails, too
            std::fputs("fit_linear: the loss did not fall as it should\n", stderr);
            return 1;
        }
    } catch (const std::exception &error) {
        std::fprintf(stderr, "fit_linear: %s\n", error.what());
        return 1;
    }
    return 0;
}
