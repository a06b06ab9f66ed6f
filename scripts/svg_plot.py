"""Plots as small hand-made SVG: axes, lines, marks and words, nothing else."""

import math

INK, PALE = "#222222", "#E3E3E3"
# Those of Okabe and Ito, which the colour-blind can tell apart too.
BLUE, SKY, GREEN, ORANGE, RED, PINK, GREY = (
    "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00", "#CC79A7", "#777777")


class Page:
    """An SVG document that is added to from back to front."""

    def __init__(self, width, height, title, note=""):
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            'role="img" font-family="Helvetica, Arial, \'DejaVu Sans\', sans-serif" font-size="12">',
            f"<title>{title}</title>",
            f'<rect width="{width}" height="{height}" fill="white"/>',
        ]
        self.text(24, 30, title, size=18, weight="bold")
        if note:
            self.text(24, 50, note, size=12.5, colour="#555555")

    def text(self, x, y, words, *, size=12, anchor="start", colour=INK, weight="normal", turn=0):
        turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
        weighted = f' font-weight="{weight}"' if weight != "normal" else ""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="{colour}"'
                          f"{weighted}{turned}>{words}</text>")

    def path(self, points, colour, *, width=1.6, dashes=""):
        drawn = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        self.parts.append(f'<path d="{drawn}" fill="none" stroke="{colour}" stroke-width="{width}"{dashed}/>')

    def dot(self, x, y, colour, *, shape="circle", size=4.5):
        around = f'fill="{colour}" stroke="white" stroke-width="1"'
        if shape == "circle":
            self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" {around}/>')
            return
        corners = {"square": ((-1, -1), (1, -1), (1, 1), (-1, 1)), "diamond": ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
                   "triangle": ((0, -1.2), (1.2, 1), (-1.2, 1))}[shape]
        points = " ".join(f"{x + size * dx:.1f},{y + size * dy:.1f}" for dx, dy in corners)
        self.parts.append(f'<polygon points="{points}" {around}/>')

    def save(self, path):
        path.write_text("\n".join([*self.parts, "</svg>"]) + "\n")


class Plot:
    """A rectangle of a page with two axes."""

    def __init__(self, page, left, top, width, height, x_range, y_range, *, log_x=False, log_y=False):
        self.page, self.left, self.top, self.width, self.height = page, left, top, width, height
        self.x_range, self.y_range, self.log_x, self.log_y = x_range, y_range, log_x, log_y

    @staticmethod
    def _share(number, ends, is_log):
        low, high = ends
        if is_log:
            number, low, high = math.log(number), math.log(low), math.log(high)
        return (number - low) / (high - low)

    def x(self, number):
        return self.left + self.width * self._share(number, self.x_range, self.log_x)

    def y(self, number):
        return self.top + self.height * (1 - self._share(number, self.y_range, self.log_y))

    def axes(self, x_ticks, y_ticks, *, title="", x_name="", y_name="", x_labels=True, zero=False):
        """Ticks are numbers, or pairs of a number and its label."""
        page, bottom = self.page, self.top + self.height
        for tick in y_ticks:
            number, label = tick if isinstance(tick, tuple) else (tick, f"{tick:g}")
            y = self.y(number)
            page.path([(self.left, y), (self.left + self.width, y)], PALE, width=1)
            page.text(self.left - 6, y + 4, label, anchor="end", size=11, colour="#555555")
        if zero:
            page.path([(self.x(0), self.top), (self.x(0), bottom)], PALE, width=1)
        for tick in x_ticks:
            number, label = tick if isinstance(tick, tuple) else (tick, f"{tick:g}")
            x = self.x(number)
            page.path([(x, bottom), (x, bottom + 4)], "#555555", width=1)
            if x_labels:
                page.text(x, bottom + 17, label, anchor="middle", size=11, colour="#555555")
        page.path([(self.left, self.top), (self.left, bottom), (self.left + self.width, bottom)], "#555555", width=1)
        if title:
            page.text(self.left, self.top - 9, title, size=13, weight="bold")
        if x_name:
            page.text(self.left + self.width / 2, bottom + 34, x_name, anchor="middle")
        if y_name:
            page.text(self.left - 40, self.top + self.height / 2, y_name, anchor="middle", turn=-90)

    def line(self, points, colour, *, width=1.8, dashes="", jump=math.inf):
        """Through points, broken where neighbours differ by more than `jump` or leave the plot."""
        piece = []
        for x, y in points:
            outside = not self.y_range[0] <= y <= self.y_range[1]
            if piece and (outside or abs(y - piece[-1][1]) > jump):
                self._draw(piece, colour, width, dashes)
                piece = []
            if not outside:
                piece.append((x, y))
        self._draw(piece, colour, width, dashes)

    def _draw(self, piece, colour, width, dashes):
        """Without the points that lie on the straight line between their neighbours."""
        kept = []
        for i, point in enumerate(piece):
            if 0 < i < len(piece) - 1:
                (x0, y0), (x1, y1), (x2, y2) = piece[i - 1], point, piece[i + 1]
                straight = y0 + (y2 - y0) * (x1 - x0) / (x2 - x0)
                if abs(straight - y1) < 1e-6 * (self.y_range[1] - self.y_range[0]):
                    continue
            kept.append(point)
        if len(kept) > 1:
            self.page.path([(self.x(x), self.y(y)) for x, y in kept], colour, width=width, dashes=dashes)

    def mark(self, x, y, colour, shape="circle"):
        self.page.dot(self.x(x), self.y(y), colour, shape=shape)
