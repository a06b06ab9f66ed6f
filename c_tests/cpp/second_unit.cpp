// A second translation unit with the whole of diffquant.hpp in it: the program links only if all of it is inline.
#include <diffquant.hpp>
#include <diffquant.hpp> // twice does no harm

// Called from library.cpp.
std::vector<float> quantized_elsewhere(const diffquant::Quantizer &quantizer, diffquant::View<const float> w);
[[noreturn]] void throw_elsewhere();

std::vector<float> quantized_elsewhere(const diffquant::Quantizer &quantizer, diffquant::View<const float> w) {
    return quantizer.forward(w).values;
}

void throw_elsewhere() { throw diffquant::Error(diffquant::Status::Unsupported, "thrown elsewhere"); }
