#!/usr/bin/env python3
"""Runs the demo's study on other seeds at every pair of learning rates, and puts the table into docs/methods.md.

    make demo && python3 scripts/methods_rates.py

Takes the better part of an hour. What the demo printed is kept in target/demo/rates; a pair that is there already is not run
again. A figure of the table is the accuracy at 2 bits, a mean over seeds 101 to 108, both granularities and both starts. The demo
uses the pair with the highest mean over the methods that train.
"""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "target/demo"
PAGE = ROOT / "docs/methods.md"
RATES = ("1e-3", "3e-3", "5e-3", "1e-2", "2e-2")
SCALE_RATES = ("1e-4", "3e-4", "1e-3", "3e-3")


def study(rate, scale_rate):
    """What the demo prints, up to its differences."""
    kept = DEMO / "rates" / f"{rate}_{scale_rate}.txt"
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        command = [DEMO / "train_digits", "--study", "--first-seed=101", "--seeds=8", f"--rate={rate}",
                   f"--scale-rate={scale_rate}", ROOT / "examples/data/digits.csv", DEMO / "rates/chart.svg"]
        kept.write_text(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return kept.read_text().split("\nAt 2 bits, minus")[0]


def accuracies(printed):
    """By method, in the order of the tables: the mean of its figures in the last column."""
    found = {}
    for method, figure in re.findall(r"^  QAT, (.*?)  +.* ([\d.]+) \+- +[\d.]+$", printed, re.MULTILINE):
        found.setdefault(method, []).append(float(figure))
    return {method: sum(figures) / len(figures) for method, figures in found.items()}


def main():
    rows, heading = [], []
    for rate in RATES:
        for scale_rate in SCALE_RATES:
            means = accuracies(study(rate, scale_rate))
            heading = list(means)
            rows.append([rate, scale_rate] + [f"{mean:.2f}" for mean in means.values()]
                        + [f"{sum(means.values()) / len(means):.2f}"])
    lines = [["rate of weights", "of scales", *heading, "mean"], ["---"] * (len(heading) + 3), *rows]
    content = "".join("| " + " | ".join(line) + " |\n" for line in lines)
    print(content)
    marked = re.compile(r"(<!-- rates -->\n).*?(<!-- end -->)", re.DOTALL)
    text, replaced = marked.subn(lambda match: match[1] + content + match[2], PAGE.read_text())
    assert replaced == 1, "docs/methods.md has no marks for rates"
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
