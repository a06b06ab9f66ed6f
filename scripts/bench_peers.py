#!/usr/bin/env python3
"""Times diffquant beside its peers, the same work on the same buffers in one process, one thread each.

    make bench-peers                    numba and onnxruntime
    make bench-peers PEERS=torch        and PyTorch, which is a large download

The peers come from PyPI into a Python environment in target/peers. What is compared, and what differs:

- numba: our own loops, fused, compiled for this CPU. They know no NaN rule, and sum in f32.
- onnxruntime: QuantizeLinear and DequantizeLinear, with bound buffers; a call goes through its session.
- torch: fake_quantize_per_tensor_affine, which allocates its result.

diffquant and numba are called from a compiled loop, so that neither pays for Python; the others are called as their
users call them. All round half to even, and must agree on every code and value before they are timed. Sides take turns,
each timed sample follows an untimed call, and a figure is the median.
"""

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / "target/peers"
PACKAGES = ["numpy~=2.0", "numba~=0.60", "onnx~=1.16", "onnxruntime~=1.18"]
LENGTHS = {"4 Ki": 4 << 10, "256 Ki": 256 << 10, "16 Mi": 16 << 20}
SECONDS = 1.5  # per kernel and length


def enter_venv(packages):
    """Runs this script again inside target/peers, where the packages are."""
    if Path(sys.prefix) != VENV:
        python = VENV / "bin/python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        os.execv(python, [python, *sys.argv])


class Quantizer:
    """A per-tensor uniform quantizer of the shared library."""

    LEARNED_STEP_SIZE = 2
    HALF_EVEN = 1

    def __init__(self, library, bits, w):
        self.lib = library
        handle = ctypes.c_size_t()
        self.check(library.diffquant_quantizer_new_uniform(bits, self.LEARNED_STEP_SIZE, 0.0, ctypes.byref(handle)))
        self.handle = handle.value
        self.check(library.diffquant_quantizer_set_rounding(self.handle, self.HALF_EVEN))
        self.check(library.diffquant_quantizer_init_scale(self.handle, w.ctypes.data, w.size))
        step = ctypes.c_float()
        self.check(library.diffquant_quantizer_step_size(self.handle, 0, ctypes.byref(step)))
        self.step = step.value

    def check(self, status):
        if status != 0:
            raise RuntimeError(self.lib.diffquant_last_error_message().decode())


def load_library():
    library = ctypes.CDLL(str(ROOT / "target/release/libdiffquant.so"))
    library.diffquant_last_error_message.restype = ctypes.c_char_p
    library.diffquant_quantizer_new_uniform.argtypes = [ctypes.c_uint32, ctypes.c_uint32, ctypes.c_float, ctypes.c_void_p]
    library.diffquant_quantizer_set_rounding.argtypes = [ctypes.c_size_t, ctypes.c_uint32]
    library.diffquant_quantizer_step_size.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p]
    # Addresses as numbers: a loop compiled by numba can then pass them.
    for name, arguments in {"init_scale": 3, "forward": 5, "backward_scale": 6, "dequantize": 4}.items():
        getattr(library, f"diffquant_quantizer_{name}").argtypes = [ctypes.c_size_t] * arguments
    return library


class Tensors:
    """Buffers of n elements, touched."""

    def __init__(self, n):
        import numpy as np

        self.n = n
        random = np.random.default_rng(1)
        self.w = random.uniform(-1, 1, n).astype(np.float32)
        self.grad_out = random.uniform(-1, 1, n).astype(np.float32)
        self.codes = random.integers(-8, 8, n, dtype=np.int8)
        self.values = np.ones(n, np.float32)
        self.grad_w = np.ones(n, np.float32)
        self.grad_scale = np.ones(1, np.float32)


def diffquant_sides(library, t):
    """For each kernel, a function that calls it k times."""
    import numba

    four, eight = Quantizer(library, 4, t.w), Quantizer(library, 8, t.w)
    w, g, c, v, gw, gs = (a.ctypes.data for a in (t.w, t.grad_out, t.codes, t.values, t.grad_w, t.grad_scale))
    n, q4, q8 = t.n, four.handle, eight.handle
    forward = library.diffquant_quantizer_forward
    backward_scale = library.diffquant_quantizer_backward_scale
    dequantize = library.diffquant_quantizer_dequantize

    @numba.njit
    def forward_values(k):
        for _ in range(k):
            forward(q4, w, n, 0, v)

    @numba.njit
    def forward_codes(k):
        for _ in range(k):
            forward(q8, w, n, c, 0)

    @numba.njit
    def scale_gradient(k):
        for _ in range(k):
            backward_scale(q4, w, g, n, gw, gs)

    @numba.njit
    def values_of_codes(k):
        for _ in range(k):
            dequantize(q8, c, n, v)

    return {
        "forward, values, 4 bits": forward_values,
        "forward, codes, 8 bits": forward_codes,
        "backward_scale, 4 bits": scale_gradient,
        "dequantize, 8 bits": values_of_codes,
    }


def numba_sides(library, t):
    import math

    import numba
    import numpy as np

    compiled = numba.njit(error_model="numpy", fastmath={"reassoc"})

    def bounds(bits):
        half = 1 << (bits - 1)
        return np.float32(Quantizer(library, bits, t.w).step), np.float32(-half), np.float32(half - 1)

    @compiled
    def quantize(w, step, low, high):
        return np.rint(min(max(w / step, low), high))

    @compiled
    def forward_values(w, values, step, low, high):
        for i in range(w.size):
            values[i] = quantize(w[i], step, low, high) * step

    @compiled
    def forward_codes(w, codes, step, low, high):
        for i in range(w.size):
            codes[i] = np.int8(np.int32(quantize(w[i], step, low, high)))

    @compiled
    def scale_gradient(w, grad_out, grad_w, grad_scale, factor, step, low, high):
        total = np.float32(0)
        for i in range(w.size):
            grad_w[i] = grad_out[i]
            total += grad_out[i] * quantize(w[i], step, low, high)
        grad_scale[0] = total * factor

    @compiled
    def values_of_codes(codes, values, step):
        for i in range(codes.size):
            values[i] = np.float32(codes[i]) * step

    def repeated(kernel, *arguments):
        @numba.njit
        def calls(k, arguments):
            for _ in range(k):
                kernel(*arguments)

        return lambda k: calls(k, arguments)

    four, eight = bounds(4), bounds(8)
    factor = np.float32(1 / math.sqrt(t.n * 16))
    return {
        "forward, values, 4 bits": repeated(forward_values, t.w, t.values, *four),
        "forward, codes, 8 bits": repeated(forward_codes, t.w, t.codes, *eight),
        "backward_scale, 4 bits": repeated(scale_gradient, t.w, t.grad_out, t.grad_w, t.grad_scale, factor, *four),
        "dequantize, 8 bits": repeated(values_of_codes, t.codes, t.values, eight[0]),
    }


def onnxruntime_sides(library, t):
    import numpy as np
    import onnxruntime
    from onnx import TensorProto, helper

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    # Without optimisation: it would fuse a pair of quantize and dequantize away.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL

    def session(nodes, bits, code_type, source, target):
        step = Quantizer(library, bits, t.w).step
        constants = [
            helper.make_tensor("step", TensorProto.FLOAT, [], [step]),
            helper.make_tensor("zero", code_type, [], [0]),
        ]
        types = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int8): TensorProto.INT8}
        ends = [helper.make_tensor_value_info(name, types[a.dtype], [t.n]) for name, a in (("in", source), ("out", target))]
        graph = helper.make_graph(nodes, "peer", ends[:1], ends[1:], constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        running = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        binding = running.io_binding()
        binding.bind_input("in", "cpu", 0, source.dtype, [t.n], source.ctypes.data)
        binding.bind_output("out", "cpu", 0, target.dtype, [t.n], target.ctypes.data)

        def calls(k):
            for _ in range(k):
                running.run_with_iobinding(binding)

        return calls

    def node(kind, source, target):
        return helper.make_node(kind, [source, "step", "zero"], [target])

    there, back = node("QuantizeLinear", "in", "out"), node("DequantizeLinear", "in", "out")
    both = [node("QuantizeLinear", "in", "codes"), node("DequantizeLinear", "codes", "out")]
    return {
        "forward, values, 4 bits": session(both, 4, TensorProto.INT4, t.w, t.values),
        "forward, codes, 8 bits": session([there], 8, TensorProto.INT8, t.w, t.codes),
        "dequantize, 8 bits": session([back], 8, TensorProto.INT8, t.codes, t.values),
    }


def torch_sides(library, t):
    import torch

    torch.set_num_threads(1)
    w, step = torch.from_numpy(t.w), Quantizer(library, 4, t.w).step

    def calls(k):
        for _ in range(k):
            torch.fake_quantize_per_tensor_affine(w, step, 0, -8, 7)

    return {"forward, values, 4 bits": calls}


def check_agreement(name, sides, t):
    """Every side writes what the first does: else a comparison of times means nothing."""
    import numpy as np

    outputs = {}
    for peer, calls in sides.items():
        for a in (t.values, t.grad_w, t.grad_scale):
            a.fill(0)
        calls(1)
        outputs[peer] = [t.codes.copy(), t.values.copy(), t.grad_w.copy(), t.grad_scale.copy()]
    *exact, scale = outputs.pop("diffquant")
    outputs.pop("torch", None)  # its result is a buffer of its own
    for peer, (*own_exact, own_scale) in outputs.items():
        for ours, theirs in zip(exact, own_exact):
            np.testing.assert_array_equal(theirs, ours, f"{name}: {peer}")
        np.testing.assert_allclose(own_scale, scale, rtol=1e-3, atol=1e-2, err_msg=f"{name}: {peer}")


def seconds(calls, k):
    start = time.perf_counter()
    calls(k)
    return time.perf_counter() - start


def medians(sides, n):
    """Nanoseconds per element of each side, in turns."""
    counts = {}
    for peer, calls in sides.items():
        counts[peer] = 1
        while seconds(calls, counts[peer]) < 1e-4:
            counts[peer] *= 2
    samples = {peer: [] for peer in sides}
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or len(samples["diffquant"]) < 5:
        for peer, calls in sides.items():
            calls(1)
            samples[peer].append(seconds(calls, counts[peer]) / counts[peer] / n * 1e9)
    return {peer: sorted(times)[len(times) // 2] for peer, times in samples.items()}


def main(peers):
    makers = {"diffquant": diffquant_sides, "numba": numba_sides, "onnxruntime": onnxruntime_sides}
    if "torch" in peers:
        makers["torch"] = torch_sides
    library = load_library()
    rows = {}
    for length, n in LENGTHS.items():
        t = Tensors(n)
        made = {peer: make(library, t) for peer, make in makers.items()}
        for name in made["diffquant"]:
            sides = {peer: kernels[name] for peer, kernels in made.items() if name in kernels}
            check_agreement(name, sides, t)
            for peer, figure in medians(sides, n).items():
                rows.setdefault((name, peer), {})[length] = figure
    from importlib.metadata import version

    versions = ", ".join(f"{peer} {version(peer)}" for peer in makers if peer != "diffquant")
    lines = [
        f"Nanoseconds per element, one thread, medians of interleaved rounds; {versions}; {time.strftime('%Y-%m-%d')}.",
        "",
        "| kernel | by | " + " | ".join(LENGTHS) + " |",
        "|---" * (2 + len(LENGTHS)) + "|",
    ]
    for (name, peer), figures in rows.items():
        lines.append(f"| {name} | {peer} | " + " | ".join(f"{figures[length]:.3f}" for length in LENGTHS) + " |")
    text = "\n".join(lines) + "\n"
    print(text)
    folder = ROOT / "target/bench"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "peers.md").write_text(text)


if __name__ == "__main__":
    asked = sys.argv[1:]
    if set(asked) - {"torch"}:
        sys.exit(__doc__)
    enter_venv(PACKAGES + asked)
    main(asked)
