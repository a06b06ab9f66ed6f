//! The pictures: nanoseconds per element against the number of elements, both on logarithmic axes.
//!
//! A curve is a row's median, the band around it its quartiles, the dashed curve of the same colour its limit, and grey
//! `memcpy`. They are SVG, written by hand: lines and text need no library.

use crate::figures::{Figure, Quartiles};
use crate::machine::Machine;
use crate::tables::size;
use std::fmt::Write;

/// A picture of some rows.
pub struct Picture {
    pub file: &'static str,
    title: &'static str,
    /// Names of rows, each with a colour.
    rows: &'static [(&'static str, &'static str)],
}

/// Limits themselves: their streams are not drawn.
const MEMCPY: (&str, &str) = ("memcpy", "#777777");
const DIVISION: (&str, &str) = ("division alone", "#e0a000");

/// Every picture.
pub const PICTURES: [Picture; 3] = [
    Picture {
        file: "forward.svg",
        title: "forward and dequantize",
        rows: &[
            ("forward, codes + values", "#0072b2"),
            ("forward, values", "#d55e00"),
            ("forward, codes", "#009e73"),
            ("dequantize", "#cc79a7"),
            DIVISION,
            MEMCPY,
        ],
    },
    Picture {
        file: "backward.svg",
        title: "backward, values given",
        rows: &[
            ("backward, EWGS", "#0072b2"),
            ("backward, CLIPPED", "#d55e00"),
            ("backward, LEARNED_STEP_SIZE", "#cc79a7"),
            ("backward, STANDARD", "#009e73"),
            ("backward, LSQ", "#56b4e9"),
            MEMCPY,
        ],
    },
    Picture {
        file: "scale.svg",
        title: "gradient of the scale, and calibration",
        rows: &[
            ("backward_scale, EWGS", "#0072b2"),
            ("backward_scale, LEARNED_STEP_SIZE", "#d55e00"),
            ("backward_scale, LSQ", "#cc79a7"),
            ("init_scale", "#009e73"),
            DIVISION,
            MEMCPY,
        ],
    },
];

const WIDTH: f64 = 1060.0;
const HEIGHT: f64 = 600.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 330.0;
const TOP: f64 = 60.0;
const BOTTOM: f64 = 60.0;

/// Where numbers lie on the paper.
struct Axes {
    n: [f64; 2],
    time: [f64; 2],
}

impl Axes {
    /// Axes that hold every point.
    fn around(points: impl Iterator<Item = (usize, Quartiles)>) -> Axes {
        let mut axes = Axes { n: [f64::MAX, 0.0], time: [f64::MAX, 0.0] };
        for (n, time) in points {
            axes.n = [axes.n[0].min(n as f64), axes.n[1].max(n as f64)];
            axes.time = [axes.time[0].min(time.q1 / 1.1), axes.time[1].max(time.q3 * 1.1)];
        }
        axes
    }

    fn x(&self, n: usize) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * share(n as f64, self.n)
    }

    fn y(&self, time: f64) -> f64 {
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share(time, self.time)
    }

    /// Lines and numbers.
    fn draw(&self, svg: &mut String) {
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for n in (0..40).map(|power| 1usize << power).filter(|&n| (self.n[0]..=self.n[1]).contains(&(n as f64))) {
            let x = self.x(n);
            *svg += &segment([x, TOP], [x, bottom], "#e4e4e4", "");
            if n.trailing_zeros().is_multiple_of(2) {
                *svg += &text([x, bottom + 20.0], "middle", &size(n));
            }
        }
        for time in (-3..2).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power))) {
            if (self.time[0]..=self.time[1]).contains(&time) {
                let y = self.y(time);
                *svg += &segment([LEFT, y], [right, y], "#e4e4e4", "");
                *svg += &text([LEFT - 8.0, y + 4.0], "end", &format!("{}", (time * 1000.0).round() / 1000.0));
            }
        }
        *svg += &text([(LEFT + right) / 2.0, HEIGHT - 18.0], "middle", "elements");
        *svg += &text([LEFT - 40.0, TOP - 12.0], "start", "ns per element");
    }
}

/// How far a number is between two others, on a logarithmic scale.
fn share(number: f64, [low, high]: [f64; 2]) -> f64 {
    (number / low).ln() / (high / low).ln()
}

impl Picture {
    /// The picture, if there are two sizes of one of its rows.
    pub fn draw(&self, figures: &[Figure], machine: &Machine) -> Option<String> {
        let curve = |name: &str, time: fn(&Figure) -> Quartiles| -> Vec<_> {
            let own = figures.iter().filter(|figure| figure.row == name);
            own.map(|figure| (figure.n, time(figure).over(figure.n as f64))).collect()
        };
        let rows: Vec<_> = self.rows.iter().map(|&(name, colour)| (name, colour, curve(name, |f| f.time))).collect();
        let limits: Vec<_> = self.rows.iter().map(|&(name, colour)| (colour, curve(name, |f| f.rival_time))).collect();
        let all = rows.iter().map(|row| &row.2).chain(limits.iter().map(|limit| &limit.1));
        if all.clone().all(|points| points.len() < 2) {
            return None;
        }
        let axes = Axes::around(all.flatten().copied());

        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"13\" fill=\"#222\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
        );
        svg += &text([LEFT, 24.0], "start", &format!("diffquant: {}", self.title));
        let Machine { cpu, pages, date, .. } = machine;
        svg += &text([LEFT + 330.0, 24.0], "start", &format!("{cpu}, {pages}, {date}"));
        axes.draw(&mut svg);
        for (colour, points) in limits.iter().filter(|limit| ![DIVISION.1, MEMCPY.1].contains(&limit.0)) {
            svg += &polyline(&axes, points, colour, "stroke-width=\"1.5\" stroke-dasharray=\"6 4\"");
        }
        let mut legend = TOP + 10.0;
        for (name, colour, points) in rows.iter().filter(|row| !row.2.is_empty()) {
            svg += &band(&axes, points, colour);
            svg += &polyline(&axes, points, colour, "stroke-width=\"2.5\"");
            let limit = [DIVISION.0, MEMCPY.0].contains(name);
            let note = if limit { "4 bytes read, 4 written" } else { "dashed: its memory stream" };
            let x = WIDTH - RIGHT + 24.0;
            svg += &segment([x, legend], [x + 30.0, legend], colour, "stroke-width=\"2.5\"");
            svg += &text([x + 38.0, legend + 4.0], "start", name);
            svg += &format!("<g fill=\"#777\">{}</g>\n", text([x + 38.0, legend + 21.0], "start", note));
            legend += 48.0;
        }
        svg += "</svg>\n";
        Some(svg)
    }
}

fn segment([x1, y1]: [f64; 2], [x2, y2]: [f64; 2], colour: &str, style: &str) -> String {
    format!("<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\" {style}/>\n")
}

fn text([x, y]: [f64; 2], anchor: &str, words: &str) -> String {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>\n")
}

fn polyline(axes: &Axes, points: &[(usize, Quartiles)], colour: &str, style: &str) -> String {
    let points = points.iter().map(|&(n, time)| (axes.x(n), axes.y(time.median)));
    format!("<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" {style}/>\n", pairs(points))
}

/// The area between the quartiles.
fn band(axes: &Axes, points: &[(usize, Quartiles)], colour: &str) -> String {
    let lower = points.iter().map(|&(n, time)| (axes.x(n), axes.y(time.q1)));
    let upper = points.iter().rev().map(|&(n, time)| (axes.x(n), axes.y(time.q3)));
    format!("<polygon points=\"{}\" fill=\"{colour}\" fill-opacity=\"0.2\"/>\n", pairs(lower.chain(upper)))
}

fn pairs(points: impl Iterator<Item = (f64, f64)>) -> String {
    points.fold(String::new(), |mut text, (x, y)| {
        let _ = write!(text, "{x:.1},{y:.1} ");
        text
    })
}
