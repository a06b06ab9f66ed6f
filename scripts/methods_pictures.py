#!/usr/bin/env python3
"""Measures what docs/methods.md says, draws its pictures, and puts the tables between its marks.

    make pictures        after make study, whose table and training curves it takes too

Everything measured comes out of libdiffquant, on seeded samples; Python only draws the samples and adds up the squared
errors. Nothing but the standard library is needed.
"""

import math
import random
import re
import sys
from array import array
from pathlib import Path

import diffquant_ctypes as dq
from svg_plot import BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY, Page, Plot

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs/pictures"
PAGE = ROOT / "docs/methods.md"
STUDY = ROOT / "target/demo"
LIBRARY = dq.load(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/cmake/lib/libdiffquant.so")

MANY, FEW = 1 << 18, 1 << 12  # samples: 262,144 and 4,096
METHODS = {  # name, constant, parameter
    "MAX_ABS": (dq.INIT_MAX_ABS, 0),
    "MIN_MAX": (dq.INIT_MIN_MAX, 0),
    "LSQ": (dq.INIT_LSQ, 0),
    "PERCENTILE 99": (dq.INIT_PERCENTILE, 99),
    "PERCENTILE 99.9": (dq.INIT_PERCENTILE, 99.9),
    "MSE": (dq.INIT_MSE, 0),
}


# ---- samples and errors ----

def gaussian(n, seed):
    source = random.Random(seed)
    return array("f", (source.gauss(0, 1) for _ in range(n)))


def laplace(n, seed):
    source = random.Random(seed)
    return array("f", (source.expovariate(1) * source.choice((-1, 1)) for _ in range(n)))


SAMPLES = {"Gaussian": gaussian, "Laplace": laplace}


def error(quantizer, w):
    """The mean squared error of the values."""
    return math.dist(w, quantizer.forward(w)) ** 2 / len(w)


def calibrated(bits, method, w, **kind):
    quantizer = dq.Quantizer(LIBRARY, bits, **kind)
    quantizer.init(*METHODS[method], w)
    return quantizer


def decibel(w, mean_squared_error):
    return 10 * math.log10(sum(x * x for x in w) / len(w) / mean_squared_error)


def spaced(low, high, count):
    """Geometrically."""
    return [low * (high / low) ** (i / (count - 1)) for i in range(count)]


def over_best(bits, w):
    """The error of the MSE method as a multiple of the smallest among 301 scales within 20 % of its own."""
    found = calibrated(bits, "MSE", w)
    tried, errors = dq.Quantizer(LIBRARY, bits), []
    for scale in spaced(found.step_size() / 1.2, found.step_size() * 1.2, 301):
        tried.set_scales([scale])
        errors.append(error(tried, w))
    return error(found, w) / min(errors)


# ---- tables ----

def table(heading, rows):
    lines = ["| " + " | ".join(heading) + " |", "|" + "---|" * len(heading)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def calibration_table():
    """Errors of each method as multiples of the MSE method's."""
    rows = []
    others = [method for method in METHODS if method != "MSE"]
    for name, draw in SAMPLES.items():
        w, few = draw(MANY, 1), draw(FEW, 2)
        for bits in (2, 3, 4, 5, 8):
            best = calibrated(bits, "MSE", w)
            least, least_of_few = error(best, w), error(calibrated(bits, "MSE", few), few)
            rows.append([f"{name}, {bits} bits", f"{best.step_size():.4f}", f"{decibel(w, least):.2f} dB"]
                        + [f"{error(calibrated(bits, method, w), w) / least:.2f}" for method in others]
                        + [f"{error(calibrated(bits, 'MAX_ABS', few), few) / least_of_few:.2f}",
                           f"{over_best(bits, w):.4f}", f"{over_best(bits, few):.4f}"])
    return table(["samples", "MSE scale", "its SQNR", *others, "MAX_ABS, 4,096 samples", "MSE / scan",
                  "MSE / scan, 4,096 samples"], rows)


def pi_table():
    rows = []
    w = gaussian(MANY, 1)
    for bits, k in ((2, 3), (3, 4), (4, 4), (5, 5)):
        uniform, pi = calibrated(bits, "MSE", w), calibrated(bits, "MSE", w, k=k)
        rows.append([str(bits), f"{uniform.step_size():.6f}", f"{pi.step_size():.6f} (k = {k})",
                     f"{error(uniform, w):.8f}", f"{error(pi, w):.8f}"])
    return table(["bits", "uniform: scale", "pi: alpha * PI / k", "uniform: error", "pi: error"], rows)


def range_table():
    """Where the sign or the centre of the numbers is known, codes on the empty side are wasted."""
    half = array("f", (max(x, 0.0) for x in gaussian(MANY, 3)))
    shifted = array("f", (x + 1.5 for x in gaussian(MANY, 4)))
    kinds = {"FULL, symmetric": (dq.FULL, 1), "NARROW, symmetric": (dq.NARROW, 1), "UNSIGNED, symmetric": (dq.UNSIGNED, 1),
             "FULL, zero point free": (dq.FULL, 0)}
    rows = []
    for kind, (code_range, symmetric) in kinds.items():
        row = [kind]
        for w in (gaussian(MANY, 1), half, shifted):
            for bits in (2, 4):
                quantizer = dq.Quantizer(LIBRARY, bits)
                quantizer.set_code_range(code_range)
                quantizer.set_symmetric(symmetric)
                quantizer.init(dq.INIT_MSE, 0, w)
                row.append(f"{decibel(w, error(quantizer, w)):.2f}")
        rows.append(row)
    samples = ["N(0, 1)", "max(N(0, 1), 0)", "N(1.5, 1)"]
    return table(["MSE scale, SQNR in dB"] + [f"{name}, {bits} bits" for name in samples for bits in (2, 4)], rows)


def rounding_table():
    """The mean and the spread of the error of a weight between two codes, and what that costs numbers of every fraction."""
    rows = []
    for name, rounding in (("HALF_EVEN", dq.HALF_EVEN), ("STOCHASTIC", dq.STOCHASTIC)):
        row = [name]
        for fraction in (0.05, 0.25, 0.5):
            quantizer = dq.Quantizer(LIBRARY, 4)
            quantizer.set_scales([1.0])
            quantizer.set_rounding(rounding)
            w = array("f", [2 + fraction] * MANY)
            errors = [value - w[0] for value in quantizer.forward(w)]
            mean = math.fsum(errors) / MANY
            deviation = math.sqrt(math.fsum((x - mean) ** 2 for x in errors) / MANY)
            row.append(f"{mean:.4f} ± {deviation:.4f}")
        w = gaussian(MANY, 1)
        for bits in (2, 4, 8):
            quantizer = dq.Quantizer(LIBRARY, bits)
            quantizer.set_rounding(rounding)
            quantizer.init(dq.INIT_MSE, 0, w)
            row.append(f"{decibel(w, error(quantizer, w)):.2f}")
        rows.append(row)
    return table(["rounding", "v = 2.05: error", "v = 2.25", "v = 2.5", "N(0, 1), 2 bits: dB", "4 bits", "8 bits"], rows)


def granularity_table():
    """A 256 x 256 matrix at 4 bits: all rows alike, and with standard deviations that spread over the rows."""
    rows, n = [], 256
    noise = gaussian(n * n, 5)
    spread = [math.exp(random.Random(6 + row).gauss(0, 0.5)) for row in range(n)]
    matrices = [noise, array("f", (x * spread[i // n] for i, x in enumerate(noise)))]
    kinds = {"per tensor": (dq.PER_TENSOR, 0), "per channel (rows)": (dq.PER_CHANNEL, 0),
             "per block of 64": (dq.PER_BLOCK, 64), "per block of 32": (dq.PER_BLOCK, 32)}
    for kind, (granularity, block) in kinds.items():
        row = [kind]
        for w in matrices:
            for method in ("MAX_ABS", "MSE"):
                quantizer = dq.Quantizer(LIBRARY, 4)
                quantizer.set_granularity(granularity, block)
                quantizer.set_shape([n, n], 1 if granularity == dq.PER_BLOCK else 0)
                quantizer.init(*METHODS[method], w)
                row.append(f"{decibel(w, error(quantizer, w)):.2f}")
        rows.append(row[:1] + [str(quantizer.scale_count())] + row[1:])
    return table(["4 bits, SQNR in dB", "scales", "rows alike, MAX_ABS", "MSE", "rows differ, MAX_ABS", "MSE"], rows)


def incoherence_table():
    """A 64 x 1024 matrix with a scale per row, as it is and rotated: without outliers, with some anywhere, with some columns."""
    height, length = 64, 1024
    noise = gaussian(height * length, 7)
    pick = random.Random(8)
    columns = set(pick.sample(range(length), length // 100))
    matrices = {
        "N(0, 1)": noise,
        "1 weight in 100 times 10": array("f", (x * (10 if pick.random() < 0.01 else 1) for x in noise)),
        "1 column in 100 times 10": array("f", (x * (10 if i % length in columns else 1) for i, x in enumerate(noise))),
    }
    rows = []
    for name, w in matrices.items():
        for bits in (2, 3, 4):
            row = [f"{name}, {bits} bits"]
            for method in ("MAX_ABS", "MSE"):
                for incoherence in (0, 1):
                    quantizer = dq.Quantizer(LIBRARY, bits)
                    quantizer.set_granularity(dq.PER_CHANNEL)
                    quantizer.set_shape([height, length], 0)
                    quantizer.set_incoherence(incoherence)
                    quantizer.init(*METHODS[method], w)
                    row.append(f"{decibel(w, error(quantizer, w)):.2f}")
            rows.append(row)
    return table(["SQNR in dB", "MAX_ABS", "MAX_ABS, rotated", "MSE", "MSE, rotated"], rows)


# ---- pictures ----

def draw_grids():
    """Values and errors of a uniform and a pi quantizer, each at its best scale."""
    sample = gaussian(MANY, 1)
    uniform, pi = calibrated(3, "MSE", sample), calibrated(3, "MSE", sample, k=4)
    page = Page(820, 400, "Uniform and pi at 3 bits, each at its best scale: one grid",
                f"262,144 Gaussian samples. Steps {uniform.step_size():.5f} and {pi.step_size():.5f}, mean squared errors "
                f"{error(uniform, sample):.6f} and {error(pi, sample):.6f}")
    w = array("f", (-3.2 + 6.4 * i / 1600 for i in range(1601)))
    for left, name, y_range, ticks, of in (
            (70, "value", (-3, 2.6), (-2, -1, 0, 1, 2), lambda x, value: value),
            (490, "value - w", (-1.5, 1.5), (-1, -0.5, 0, 0.5, 1), lambda x, value: value - x)):
        plot = Plot(page, left, 96, 300, 240, (-3.2, 3.2), y_range)
        plot.axes((-3, -2, -1, 0, 1, 2, 3), ticks, x_name="weight w", title=name)
        for quantizer, colour, width in ((uniform, SKY, 6), (pi, RED, 1.8)):
            points = [(x, of(x, value)) for x, value in zip(w, quantizer.forward(w))]
            plot.line(points, colour, width=width, jump=0.3)
    for x, words, colour, width in ((70, "uniform", SKY, 6), (180, "pi, k = 4", RED, 1.8)):
        page.path([(x, 68), (x + 28, 68)], colour, width=width)
        page.text(x + 36, 72, words)
    page.save(PICTURES / "grids.svg")


ESTIMATORS = (
    ("STANDARD, LEARNED_STEP_SIZE", dq.STANDARD, 0),
    ("CLIPPED, clip_val = 1.8", dq.CLIPPED, 1.8),
    ("EWGS, lambda = 0.5", dq.EWGS, 0.5),
    ("RANGE_CLIPPED", dq.RANGE_CLIPPED, 0),
    ("LSQ, LSQ_PLUS", dq.LSQ, 0),
    ("EWGS_SIGNED, delta = 0.5", dq.EWGS_SIGNED, 0.5),
)


def draw_gradients():
    """Each weight is a channel of its own, so that its term of the scale's gradient can be seen."""
    page = Page(960, 762, "What each estimator makes of a gradient: 2 bits, step 1, codes -2 to 1",
                "Above: the gradient of a weight w. Below: how its value moves with the step, by which g is multiplied in the "
                "gradient of the scale.")
    w = array("f", (-3.5 + 6 * (i + 0.5) / 1200 for i in range(1200)))
    ones = {sign: array("f", [sign] * len(w)) for sign in (1, -1)}
    for index, (name, ste, parameter) in enumerate(ESTIMATORS):
        quantizer = dq.Quantizer(LIBRARY, 2, ste=ste, ste_param=parameter)
        quantizer.call("init_per_channel", dq.ctypes.c_size_t(len(w)))
        left, top = 70 + 305 * (index % 3), 122 + 330 * (index // 3)
        upper = Plot(page, left, top, 250, 130, (-3.5, 2.5), (-1.6, 1.6))
        lower = Plot(page, left, top + 144, 250, 100, (-3.5, 2.5), (-2.4, 1.6))
        ticks = (-3, -2, -1, 0, 1, 2)
        upper.axes(ticks, (-1, 0, 1), title=name, x_labels=False)
        lower.axes(ticks, (-2, -1, 0, 1), x_name="w" if index > 2 else "")
        for sign, colour, width in ((1, BLUE, 3.2), (-1, ORANGE, 1.6)):
            upper.line(list(zip(w, quantizer.backward_scale(w, ones[sign])[0])), colour, width=width, jump=0.2)
        # The normalizer of a group of one weight, undone: see the table of scale gradients.
        normalizer = math.sqrt(4) if ste in (dq.STANDARD, dq.CLIPPED, dq.EWGS) else math.sqrt(quantizer.code_bounds()[1])
        slope = [s * normalizer for s in quantizer.backward_scale(w, ones[1])[1]]
        lower.line(list(zip(w, slope)), GREEN, jump=0.2)
    for x, words, colour in ((70, "dL/dw for g = +1", BLUE), (240, "dL/dw for g = -1", ORANGE),
                             (410, "slope of the scale", GREEN)):
        page.path([(x, 76), (x + 28, 76)], colour, width=2.4)
        page.text(x + 36, 80, words)
    page.save(PICTURES / "gradients.svg")


MARKS = {"MAX_ABS": (RED, "square"), "LSQ": (ORANGE, "triangle"), "PERCENTILE 99": (PINK, "diamond"),
         "MSE": (GREEN, "circle")}


def draw_calibration():
    """The error against the scale, and the scale that each method chooses."""
    page = Page(1000, 440, "The error against the scale, and what each method chooses",
                "262,144 samples each, both of standard deviation 1. Both axes are logarithmic.")
    samples = {"Gaussian": gaussian(MANY, 1), "Laplace": array("f", (x / math.sqrt(2) for x in laplace(MANY, 1)))}
    for index, (bits, scales, errors, x_ticks, y_ticks) in enumerate((
            (2, (0.3, 10), (0.1, 2), (0.3, 1, 3, 10), (0.1, 0.2, 0.5, 1, 2)),
            (4, (0.06, 2), (0.008, 1), (0.1, 0.3, 1), (0.01, 0.03, 0.1, 0.3, 1)),
            (8, (0.005, 0.2), (6e-5, 0.6), (0.01, 0.03, 0.1), (0.0001, 0.001, 0.01, 0.1)))):
        plot = Plot(page, 76 + 318 * index, 122, 262, 254, scales, errors, log_x=True, log_y=True)
        plot.axes(x_ticks, y_ticks, title=f"{bits} bits", x_name="scale", y_name="" if index else "mean squared error")
        for name, colour in (("Gaussian", BLUE), ("Laplace", GREY)):
            quantizer = dq.Quantizer(LIBRARY, bits)
            curve = []
            for scale in spaced(*scales, 90):
                quantizer.set_scales([scale])
                curve.append((scale, error(quantizer, samples[name])))
            plot.line(curve, colour)
            for method, (mark, shape) in MARKS.items():
                chosen = calibrated(bits, method, samples[name])
                plot.mark(chosen.step_size(), error(chosen, samples[name]), mark, shape)
    for place, (name, colour) in enumerate((("Gaussian", BLUE), ("Laplace", GREY))):
        page.path([(76 + 110 * place, 76), (104 + 110 * place, 76)], colour, width=2.4)
        page.text(112 + 110 * place, 80, name)
    for place, (method, (colour, shape)) in enumerate(MARKS.items()):
        x = 340 + (0, 110, 180, 320)[place]
        page.dot(x, 76, colour, shape=shape)
        page.text(x + 12, 80, method)
    page.save(PICTURES / "calibration.svg")


def take_training():
    """The curves that `make study` drew."""
    drawn = STUDY / "study.svg"
    if drawn.exists():
        (PICTURES / "training.svg").write_text(drawn.read_text())


# ---- the page ----

def replace(text, name, content):
    marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    text, replaced = marked.subn(lambda match: match[1] + content + match[2], text)
    assert replaced == 1, f"docs/methods.md has no marks for {name}"
    return text


def study_text():
    """The tables of the study, without its first line and what follows them."""
    printed = (STUDY / "study.txt").read_text()
    start, end = printed.index("Test accuracy"), printed.index("\nTraining curves")
    return "```\n" + "\n".join(line.rstrip() for line in printed[start:end].splitlines()) + "\n```\n"


def main():
    PICTURES.mkdir(exist_ok=True)
    draw_grids()
    draw_gradients()
    draw_calibration()
    take_training()
    tables = {"calibration": calibration_table(), "pi": pi_table(), "ranges": range_table(),
              "rounding": rounding_table(), "granularity": granularity_table(),
              "incoherence": incoherence_table()}
    if (STUDY / "study.txt").exists():
        tables["study"] = study_text()
    for name, content in tables.items():
        print(f"\n{name}\n{content}")
    if PAGE.exists():
        text = PAGE.read_text()
        for name, content in tables.items():
            text = replace(text, name, content)
        PAGE.write_text(text)


if __name__ == "__main__":
    main()
