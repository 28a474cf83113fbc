//! Curves of measured points on two logarithmic axes, as SVG. On such axes cost that grows as a power is
//! a straight line, and its slope is the power.
//!
//! Owns drawing only: what is drawn is chosen by the bench.

use std::fmt::Write as _;

/// In pixels, as all lengths here.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 58.0;
/// Told apart by those who see few colours, too (M. Okabe and K. Ito, "Color Universal Design", 2008).
const COLOURS: [&str; 8] = [
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#000000", "#8c6d00",
];
const STYLE: &str = "text{font:13px sans-serif;fill:#222}.title{font-size:16px;font-weight:bold}\
                     .grid{stroke:#ddd}.axis{stroke:#444}.reference{stroke:#888;stroke-dasharray:4 4;fill:none}\
                     .line{fill:none;stroke-width:2}";

/// One curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// In the legend.
    pub name: String,
    /// Larger than 0, from left to right.
    pub points: Vec<(f64, f64)>,
}

/// One drawing.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    /// Above it.
    pub title: String,
    /// Below the horizontal axis.
    pub across: String,
    /// Above the legend.
    pub legend: String,
    /// The vertical axis is in seconds.
    pub lines: Vec<Line>,
}

/// From values to pixels.
struct Scale {
    x: (f64, f64),
    y: (f64, f64),
}

impl Scale {
    fn x(&self, x: f64) -> f64 {
        let part = (x / self.x.0).ln() / (self.x.1 / self.x.0).ln();
        LEFT + part * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, y: f64) -> f64 {
        let part = (y / self.y.0).ln() / (self.y.1 / self.y.0).ln();
        HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)
    }

    fn path(&self, points: impl Iterator<Item = (f64, f64)>) -> String {
        let pixels = points.map(|(x, y)| format!("{:.1},{:.1}", self.x(x), self.y(y)));
        pixels.collect::<Vec<_>>().join(" ")
    }
}

impl Plot {
    /// The drawing; none if there are not two different values on each axis.
    #[must_use]
    pub fn svg(&self) -> Option<String> {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let x = span(points().map(|(x, _)| *x))?;
        let y = span(points().map(|(_, y)| *y))?;
        let scale = Scale {
            x,
            y: (decade(y.0, f64::floor), decade(y.1, f64::ceil)),
        };
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             aria-label=\"{title}\"><style>{STYLE}</style>\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n\
             <text class=\"title\" x=\"{LEFT}\" y=\"26\">{title}</text>\n",
            title = escaped(&self.title)
        );
        self.axes(&scale, &mut svg);
        self.reference(&scale, &mut svg);
        self.curves(&scale, &mut svg);
        svg.push_str("</svg>\n");
        Some(svg)
    }

    fn axes(&self, scale: &Scale, svg: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let mut across: Vec<f64> = self
            .lines
            .iter()
            .flat_map(|line| &line.points)
            .map(|p| p.0)
            .collect();
        across.sort_by(f64::total_cmp);
        across.dedup();
        let mut free_from = f64::MIN;
        for value in across {
            let x = scale.x(value);
            let _ = writeln!(svg, "<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/>");
            if x >= free_from {
                let name = count(value);
                let _ = writeln!(
                    svg,
                    "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{name}</text>",
                    bottom + 20.0
                );
                free_from = x + 34.0;
            }
        }
        let mut value = scale.y.0;
        while value <= scale.y.1 * 1.01 {
            let (y, name) = (scale.y(value), seconds(value));
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
                LEFT - 8.0,
                y + 4.0
            );
            value *= 10.0;
        }
        let _ = writeln!(
            svg,
            "<path class=\"axis\" fill=\"none\" d=\"M{LEFT} {TOP}V{bottom}H{right}\"/>\n\
             <text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            (LEFT + right) / 2.0,
            HEIGHT - 14.0,
            escaped(&self.across)
        );
    }

    /// What n log n is like, up to the last point of the line that ends highest.
    fn reference(&self, scale: &Scale, svg: &mut String) {
        let last = self.lines.iter().filter_map(|line| line.points.last());
        let Some((to, top)) = last.max_by(|a, b| a.1.total_cmp(&b.1)) else {
            return;
        };
        let cost = |n: f64| n * (n + 1.0).ln();
        let at = |n: f64| top * cost(n) / cost(*to);
        let ratio = to / scale.x.0;
        let steps = (0..=64).map(|i| scale.x.0 * ratio.powf(f64::from(i) / 64.0));
        let seen = steps.map(|n| (n, at(n))).filter(|(_, y)| *y >= scale.y.0);
        let points: Vec<_> = seen.collect();
        let _ = writeln!(
            svg,
            "<polyline class=\"reference\" points=\"{}\"/>",
            scale.path(points.into_iter())
        );
    }

    fn curves(&self, scale: &Scale, svg: &mut String) {
        let x = WIDTH - RIGHT + 16.0;
        let mut row = |n: usize, mark: &str, name: &str| {
            let y = TOP + 20.0 * n as f64;
            let _ = writeln!(
                svg,
                "<path {mark} d=\"M{x} {:.1}h20\"/><text x=\"{}\" y=\"{y}\">{}</text>",
                y - 4.0,
                x + 27.0,
                escaped(name)
            );
        };
        for (i, line) in self.lines.iter().rev().enumerate() {
            let mark = format!(
                "class=\"line\" stroke=\"{}\"",
                self.colour(self.lines.len() - 1 - i)
            );
            row(i + 1, &mark, &line.name);
        }
        row(self.lines.len() + 1, "class=\"reference\"", "n log n");
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"{TOP}\">{}</text>",
            escaped(&self.legend)
        );
        for (i, line) in self.lines.iter().enumerate() {
            let colour = self.colour(i);
            let _ = writeln!(
                svg,
                "<polyline class=\"line\" stroke=\"{colour}\" points=\"{}\"/>",
                scale.path(line.points.iter().copied())
            );
            for (x, y) in &line.points {
                let (x, y) = (scale.x(*x), scale.y(*y));
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"
                );
            }
        }
    }

    fn colour(&self, line: usize) -> &'static str {
        COLOURS[line % COLOURS.len()]
    }
}

/// The smallest and the largest, if they differ.
fn span(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let none = (f64::MAX, f64::MIN);
    let (least, most) = values.fold(none, |(least, most), n| (least.min(n), most.max(n)));
    (least > 0.0 && least < most).then_some((least, most))
}

/// The power of ten below, or above.
fn decade(value: f64, to: fn(f64) -> f64) -> f64 {
    10.0_f64.powf(to(value.log10()))
}

fn count(n: f64) -> String {
    if n >= 1_000.0 {
        format!("{}k", n / 1_000.0)
    } else {
        format!("{n}")
    }
}

fn seconds(value: f64) -> String {
    let units = [(1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")];
    let fits = units.iter().find(|(unit, _)| value >= unit * 0.999);
    let (unit, name) = fits.copied().unwrap_or((1e-9, "ns"));
    format!("{} {name}", (value / unit).round())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: &[(f64, f64)]) -> Plot {
        Plot {
            title: "a < b".into(),
            across: "n".into(),
            legend: "l".into(),
            lines: vec![Line {
                name: "one".into(),
                points: points.to_vec(),
            }],
        }
    }

    #[test]
    fn a_power_is_a_straight_line() {
        let svg = plot(&[(1.0, 0.01), (10.0, 0.1), (100.0, 1.0)])
            .svg()
            .expect("a drawing");
        let line = svg
            .lines()
            .find(|line| line.contains("class=\"line\" stroke=\"#0072b2\" points"));
        assert!(
            line.is_some_and(|line| line.contains("84.0,422.0 347.0,235.0 610.0,48.0")),
            "{svg}"
        );
        assert!(svg.contains(">10 ms<") && svg.contains(">1 s<") && svg.contains("a &lt; b"));
    }

    #[test]
    fn nothing_is_drawn_of_one_point() {
        assert_eq!(plot(&[(1.0, 1.0)]).svg(), None);
        assert_eq!(plot(&[]).svg(), None);
    }
}
