//! A report as a picture: what was in use over time by role, and how long tasks waited.
//!
//! Written by hand: two panels, each with axes, labels, units and the legend of the roles.

use super::Report;
use super::text::{per_cent, time};
use crate::fixed::{ONE, log2};
use std::fmt::{self, Write as _};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 720.0;
/// Where panels begin and end, across.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 780.0;
const PANEL_HEIGHT: f64 = 260.0;
/// The upper edges of the panels.
const USE_TOP: f64 = 60.0;
const WAITING_TOP: f64 = 410.0;

/// Colours that those who confuse red and green can tell apart (Okabe and Ito).
const COLOURS: [&str; 8] = [
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999",
];

impl Report {
    /// The picture, as the text of an SVG file.
    #[must_use]
    pub fn svg(&self) -> String {
        let mut svg = String::new();
        self.draw(&mut svg).expect("text takes what it is given");
        svg
    }

    fn draw(&self, svg: &mut String) -> fmt::Result {
        writeln!(
            svg,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">"#
        )?;
        writeln!(
            svg,
            r#"<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>"#
        )?;
        let title = format!(
            "{} machines, {} tasks started: processors in use over time",
            self.machines, self.started
        );
        self.frame(svg, USE_TOP, &title)?;
        self.draw_use(svg)?;
        self.frame(
            svg,
            WAITING_TOP,
            "Waiting: from a task's arrival to the start of its program",
        )?;
        self.draw_waiting(svg)?;
        writeln!(svg, "</svg>")
    }

    /// A panel's title, its axis upward from 0 to 100 %, and the legend.
    fn frame(&self, svg: &mut String, top: f64, title: &str) -> fmt::Result {
        text(svg, LEFT, top - 16.0, "start", title, 15)?;
        for tenths in [0, 2, 4, 6, 8, 10] {
            let part = f64::from(tenths) / 10.0;
            let y = up(top, part);
            line(svg, (LEFT, y), (RIGHT, y), "#dddddd")?;
            text(
                svg,
                LEFT - 8.0,
                y + 4.0,
                "end",
                &format!("{} %", tenths * 10),
                12,
            )?;
        }
        for (n, role) in self.roles.iter().enumerate() {
            let y = top + 10.0 + 20.0 * n as f64;
            writeln!(
                svg,
                r#"<rect x="{}" y="{:.1}" width="12" height="12" fill="{}"/>"#,
                RIGHT + 16.0,
                y - 10.0,
                colour(n)
            )?;
            text(svg, RIGHT + 34.0, y, "start", &escaped(&role.name), 12)?;
        }
        Ok(())
    }

    /// One area for each role, one on the other.
    fn draw_use(&self, svg: &mut String) -> fmt::Result {
        let end_ms = self.samples.last().map_or(1, |sample| sample.at_ms.max(1));
        let x = |at_ms: u64| across(at_ms as f64 / end_ms as f64);
        let mut below = vec![0.0; self.samples.len()];
        for n in 0..self.roles.len() {
            let mut upper = String::new();
            let mut lower = Vec::new();
            for (sample, below) in self.samples.iter().zip(&mut below) {
                let at = x(sample.at_ms);
                lower.push((at, up(USE_TOP, *below)));
                *below += sample.roles[n].cpu;
                write!(upper, "{at:.1},{:.1} ", up(USE_TOP, *below))?;
            }
            for (at, y) in lower.iter().rev() {
                write!(upper, "{at:.1},{y:.1} ")?;
            }
            let colour = colour(n);
            writeln!(
                svg,
                r#"<polygon points="{}" fill="{colour}" fill-opacity="0.8"/>"#,
                upper.trim_end()
            )?;
        }
        for sixth in 0..=6_u64 {
            let at_ms = end_ms * sixth / 6;
            mark(svg, x(at_ms), USE_TOP, &time(at_ms))?;
        }
        self.caption(svg, USE_TOP, "virtual time")?;
        let words = format!(
            "on average {}, at most {}",
            per_cent(self.cpu.mean),
            per_cent(self.cpu.largest)
        );
        text(svg, RIGHT, USE_TOP - 16.0, "end", &words, 12)
    }

    /// One curve for each role: the part of its tasks that had waited at most so long.
    fn draw_waiting(&self, svg: &mut String) -> fmt::Result {
        let longest = self.waits.iter().filter_map(|waits| waits.last()).max();
        let decades = (1..10).find(|n| 10_u32.pow(*n) >= longest.copied().unwrap_or(1));
        let decades = decades.unwrap_or(10);
        let x = |ms: u32| across(decimal_log(ms) / f64::from(decades));
        for decade in 0..=decades {
            let at = across(f64::from(decade) / f64::from(decades));
            line(
                svg,
                (at, WAITING_TOP),
                (at, WAITING_TOP + PANEL_HEIGHT),
                "#dddddd",
            )?;
            mark(svg, at, WAITING_TOP, &power_of_ten(decade))?;
        }
        for (n, waits) in self
            .waits
            .iter()
            .enumerate()
            .filter(|(_, it)| !it.is_empty())
        {
            let mut points = String::new();
            for per_mille in 0..=1_000_usize {
                let rank = (waits.len() - 1) * per_mille / 1_000;
                let y = up(WAITING_TOP, per_mille as f64 / 1_000.0);
                write!(points, "{:.1},{y:.1} ", x(waits[rank]))?;
            }
            writeln!(
                svg,
                r#"<polyline points="{}" fill="none" stroke="{}" stroke-width="2"/>"#,
                points.trim_end(),
                colour(n)
            )?;
        }
        self.caption(
            svg,
            WAITING_TOP,
            "waited at most so long, of all tasks that were started",
        )?;
        let words = format!(
            "half {}, nine of ten {}, 99 of 100 {}",
            time(self.waiting.p50_ms.into()),
            time(self.waiting.p90_ms.into()),
            time(self.waiting.p99_ms.into())
        );
        text(svg, RIGHT, WAITING_TOP - 16.0, "end", &words, 12)
    }

    fn caption(&self, svg: &mut String, top: f64, words: &str) -> fmt::Result {
        let middle = f64::midpoint(LEFT, RIGHT);
        text(svg, middle, top + PANEL_HEIGHT + 38.0, "middle", words, 12)
    }
}

fn across(part: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * part
}

fn up(top: f64, part: f64) -> f64 {
    top + PANEL_HEIGHT * (1.0 - part)
}

fn colour(n: usize) -> &'static str {
    COLOURS[n % COLOURS.len()]
}

/// To the base 10; less than 1 counts as 1.
fn decimal_log(ms: u32) -> f64 {
    let log = |n: u32| log2(u64::from(n.max(1)) * ONE) as f64;
    log(ms) / log(10)
}

fn power_of_ten(n: u32) -> String {
    match n {
        0..3 => format!("{} ms", 10_u32.pow(n)),
        _ => format!("{} s", 10_u32.pow(n - 3)),
    }
}

/// A mark below a panel.
fn mark(svg: &mut String, x: f64, top: f64, words: &str) -> fmt::Result {
    let bottom = top + PANEL_HEIGHT;
    line(svg, (x, bottom), (x, bottom + 5.0), "#444444")?;
    text(svg, x, bottom + 19.0, "middle", words, 12)
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) -> fmt::Result {
    writeln!(
        svg,
        r#"<line x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="{colour}"/>"#,
        from.0, from.1, to.0, to.1
    )
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, words: &str, size: u32) -> fmt::Result {
    writeln!(
        svg,
        r##"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" font-size="{size}" fill="#222222">{words}</text>"##
    )
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;")
}
