#!/usr/bin/env python3
"""Compares diffquant with others who compute the same: onnxruntime, and PyTorch's documented gradients.

    make differential                     10,000 random cases
    scripts/differential.py --cases=100 --seed=7 --library=PATH

- onnxruntime (from PyPI, in target/peers): QuantizeLinear and DequantizeLinear of int8, uint8, int4 and uint4, per tensor, per
  axis on every axis, blocked on every axis, with zero points and without, rounding half to even: the same codes and
  the same values, to the bit. An unsigned code of theirs is ours plus 2^(bits-1).
- PyTorch's learnable fake quantization, whose documentation gives the gradients of weight, scale and zero point: written here
  again in float64. Decisions are those of the f32 quotient.

Every random tensor has numbers at and beside ties and bounds. Ends in a line of counts; a difference is printed and fails.
"""

import argparse
import math
import sys
from pathlib import Path

from bench_peers import PACKAGES, enter_venv
from diffquant_ctypes import (FULL, HALF_EVEN, PER_BLOCK, PER_CHANNEL, PER_TENSOR, RANGE_CLIPPED, UNSIGNED, Quantizer, load)

ROOT = Path(__file__).resolve().parent.parent


class Case:
    """A tensor, how its weights share scales, and what it is quantized to."""

    def __init__(self, random):
        import numpy as np

        self.bits = int(random.choice([4, 8]))
        self.signed = bool(random.integers(2))
        self.symmetric = bool(random.integers(2))
        self.granularity = int(random.choice([PER_TENSOR, PER_CHANNEL, PER_BLOCK]))
        self.shape = [int(random.integers(1, 12)) for _ in range(random.integers(1, 5))]
        self.axis = int(random.integers(len(self.shape)))
        self.block = int(random.integers(1, 9))
        scale_shape = {PER_TENSOR: [], PER_CHANNEL: [self.shape[self.axis]], PER_BLOCK: list(self.shape)}[self.granularity]
        if self.granularity == PER_BLOCK:
            scale_shape[self.axis] = math.ceil(self.shape[self.axis] / self.block)
        self.scales = np.exp(random.uniform(-8, 4, scale_shape)).astype(np.float32)
        self.low, self.high = -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
        home = self.low if not self.signed else 0
        self.zero_points = (np.full(scale_shape, home) if self.symmetric
                            else random.integers(self.low, self.high + 1, scale_shape)).astype(np.int32)
        steps, zero_points = self.spread(self.scales), self.spread(self.zero_points)
        # Half a step apart, and beside that; and anything.
        near = (random.integers(2 * self.low - 6, 2 * self.high + 8, self.shape) / 2 - zero_points).astype(np.float32) * steps
        beside = np.nextafter(near, random.choice([-np.inf, np.inf], self.shape).astype(np.float32))
        anything = (random.normal(0, 1 << (self.bits - 2), self.shape) * steps).astype(np.float32)
        kind = random.integers(3, size=self.shape)
        self.w = np.where(kind == 0, near, np.where(kind == 1, beside, anything)).astype(np.float32)
        self.steps, self.grad_out = steps, random.normal(0, 1, self.shape).astype(np.float32)

    def spread(self, numbers):
        """A number per scale, for every element."""
        import numpy as np

        if self.granularity == PER_CHANNEL:
            shape = [1] * len(self.shape)
            shape[self.axis] = -1
            numbers = numbers.reshape(shape)
        elif self.granularity == PER_BLOCK:
            numbers = np.repeat(numbers, self.block, self.axis).take(range(self.shape[self.axis]), self.axis)
        return np.broadcast_to(numbers, self.shape)

    def quantizer(self, library, ste):
        quantizer = Quantizer(library, self.bits, ste=ste)
        quantizer.set_rounding(HALF_EVEN)
        quantizer.set_code_range(FULL if self.signed else UNSIGNED)
        quantizer.set_granularity(self.granularity, self.block if self.granularity == PER_BLOCK else 0)
        quantizer.set_shape(self.shape, self.axis)
        quantizer.set_scales(self.scales.flatten())
        quantizer.set_symmetric(self.symmetric)
        if not self.symmetric:
            quantizer.set_zero_points(self.zero_points.flatten().tolist())
        return quantizer

    def __str__(self):
        name = {PER_TENSOR: "per tensor", PER_CHANNEL: f"axis {self.axis}", PER_BLOCK: f"blocks of {self.block} on axis {self.axis}"}
        return (f"{'' if self.signed else 'u'}int{self.bits} {self.shape} {name[self.granularity]}, "
                f"{'symmetric' if self.symmetric else 'zero points'}")


def onnx_results(case):
    """onnxruntime's codes, as ours, and values."""
    import numpy as np
    import onnxruntime
    from onnx import TensorProto, helper

    kind = getattr(TensorProto, f"{'' if case.signed else 'U'}INT{case.bits}")
    shift = 0 if case.signed else 1 << (case.bits - 1)
    # One scale in one dimension is per tensor to onnxruntime, whatever else is said.
    one_for_all = case.scales.size == 1 and case.scales.ndim <= 1
    attributes = {} if one_for_all else {"axis": case.axis}
    if case.granularity == PER_BLOCK and not one_for_all:
        attributes["block_size"] = case.block
    zero_points = helper.make_tensor("zero_point", kind, case.zero_points.shape, (case.zero_points + shift).flatten().tolist())
    scales = helper.make_tensor("scale", TensorProto.FLOAT, case.scales.shape, case.scales.flatten().tolist())
    nodes = [
        helper.make_node("QuantizeLinear", ["w", "scale", "zero_point"], ["q"], **attributes),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero_point"], ["values"], **attributes),
        helper.make_node("Cast", ["q"], ["codes"], to=TensorProto.INT32),
    ]
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "case", [tensor("w", TensorProto.FLOAT, case.shape)],
                              [tensor("values", TensorProto.FLOAT, case.shape), tensor("codes", TensorProto.INT32, case.shape)],
                              [scales, zero_points])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    values, codes = session.run(["values", "codes"], {"w": case.w})
    return np.asarray(codes) - shift, values


def torch_gradients(case, codes):
    """The gradients that PyTorch documents for its learnable fake quantization, in float64, without a normalizer.

    Of a weight: grad_out where the rounded quotient is a code. Of a scale: the sum of grad_out times q - zero_point for
    the clamped code q where it is not, (value - w) / scale where it is.
    """
    import numpy as np

    zero_points = case.spread(case.zero_points).astype(np.float64)
    rounded = np.rint(case.w / case.steps).astype(np.float64) + zero_points
    inside = (case.low <= rounded) & (rounded <= case.high)
    levels = np.clip(rounded, case.low, case.high) - zero_points
    steps = case.steps.astype(np.float64)
    slope = np.where(inside, levels - case.w.astype(np.float64) / steps, levels)
    return np.where(inside, case.grad_out, 0), case.grad_out.astype(np.float64) * slope


def sums(case, terms):
    """The sum over the elements of each scale, and how many there are."""
    import numpy as np

    count = case.scales.size
    groups = case.spread(np.arange(count).reshape(case.scales.shape)).flatten()
    return (np.bincount(groups, terms.flatten(), count), np.bincount(groups, np.abs(terms).flatten(), count),
            np.bincount(groups, minlength=count))


def check(case, library):
    """What differs, or None."""
    import numpy as np

    quantizer = case.quantizer(library, RANGE_CLIPPED)
    w = np.ascontiguousarray(case.w).flatten()
    codes = np.array(quantizer.codes(w), np.int32).reshape(case.shape)
    values = np.array(quantizer.forward(w), np.float32).reshape(case.shape)
    again = np.array(quantizer.dequantize(np.array(codes, np.int8).flatten()), np.float32).reshape(case.shape)
    onnx_codes, onnx_values = onnx_results(case)
    if not np.array_equal(codes, onnx_codes):
        return f"codes: {codes[codes != onnx_codes][:3]}, onnxruntime {onnx_codes[codes != onnx_codes][:3]}"
    # A zero of theirs may have a sign.
    for ours in (values, again):
        if not np.array_equal(ours, onnx_values):
            return f"values: {ours[ours != onnx_values][:3]}, onnxruntime {onnx_values[ours != onnx_values][:3]}"

    grad_w, grad_scale = quantizer.backward_scale(w, case.grad_out.flatten())
    torch_w, terms = torch_gradients(case, codes)
    if not np.array_equal(np.array(grad_w, np.float32).reshape(case.shape), torch_w.astype(np.float32)):
        return "gradients of weights"
    total, magnitude, elements = sums(case, terms)
    normalizer = np.sqrt(elements * case.high)
    difference = np.abs(np.array(grad_scale) - total / normalizer)
    if np.any(difference > 2e-6 * magnitude / normalizer + 1e-30):
        return f"gradients of scales: {grad_scale[:3]}, by PyTorch's formula {(total / normalizer)[:3]}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--library", dest="path", default=ROOT / "target/release/libdiffquant.so")
    options = parser.parse_args()
    enter_venv(PACKAGES)
    import numpy as np
    import onnxruntime

    library = load(options.path)
    failed = 0
    for number in range(options.cases):
        case = Case(np.random.default_rng([options.seed, number]))
        difference = check(case, library)
        if difference:
            failed += 1
            print(f"seed {options.seed}, case {number}: {case}: {difference}")
            if failed == 10:
                break
    print(f"differential: onnxruntime {onnxruntime.__version__}, {number + 1} cases, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
