//! A plot as SVG: nanoseconds a packet by the number of rules, which is drawn logarithmically.

use std::fmt::Write;

use super::measure::Spread;

/// The picture, and where the axes are in it.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 696.0;
const BOTTOM: f64 = 384.0;
/// A line of text.
const TEXT: f64 = 18.0;
/// Colours that can be told apart also by those who see few (Okabe and Ito 2008).
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#000000"];

/// What one program came to.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Its name.
    pub(super) name: String,
    /// Numbers of rules, ascending, and nanoseconds.
    pub(super) points: Vec<(usize, Spread)>,
}

/// Where numbers are in the picture.
struct Scale {
    /// The least and the greatest logarithm.
    x: (f64, f64),
    /// The greatest number of nanoseconds.
    y: f64,
    top: f64,
}

impl Scale {
    fn of(lines: &[Line]) -> Self {
        let points = || lines.iter().flat_map(|line| &line.points);
        let logs = || points().map(|(rules, _)| (*rules as f64).log10());
        let (low, high) = (logs().fold(f64::INFINITY, f64::min), logs().fold(f64::NEG_INFINITY, f64::max));
        let x = if low < high { (low, high) } else { (low - 0.5, low + 0.5) };
        let y = points().map(|(_, ns)| ns.high).fold(1.0, f64::max);
        Scale { x, y: y * 1.05, top: 28.0 + TEXT * lines.len() as f64 }
    }

    fn x(&self, rules: usize) -> f64 {
        let (low, high) = self.x;
        LEFT + ((rules as f64).log10() - low) / (high - low) * (RIGHT - LEFT)
    }

    fn y(&self, ns: f64) -> f64 {
        BOTTOM - (ns / self.y).clamp(0.0, 1.0) * (BOTTOM - self.top)
    }

    /// Round numbers between which there are four to ten steps.
    fn step(&self) -> f64 {
        let power = 10f64.powf((self.y / 4.0).log10().floor());
        [5.0, 2.0, 1.0].map(|factor| factor * power).into_iter().find(|step| *step <= self.y / 4.0).unwrap_or(power)
    }
}

/// The plot.
pub(super) fn svg(lines: &[Line]) -> String {
    let scale = Scale::of(lines);
    let mut out = String::new();
    _ = writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">
<title>Nanoseconds a packet by the number of rules</title>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>"##
    );
    axes(lines, &scale, &mut out);
    for (index, line) in lines.iter().enumerate() {
        curve(line, index, &scale, &mut out);
    }
    out.push_str("</svg>\n");
    out
}

fn axes(lines: &[Line], scale: &Scale, out: &mut String) {
    let step = scale.step();
    let mut tick = 0.0;
    while tick <= scale.y {
        let y = scale.y(tick);
        _ = writeln!(out, r##"<line x1="{LEFT}" y1="{y:.1}" x2="{RIGHT}" y2="{y:.1}" stroke="#dddddd"/>"##);
        _ = writeln!(
            out,
            r#"<text x="{}" y="{:.1}" text-anchor="end">{}</text>"#,
            LEFT - 8.0,
            y + 4.0,
            (tick * 1e3).round() / 1e3
        );
        tick += step;
    }
    let mut counts: Vec<usize> = lines.iter().flat_map(|line| &line.points).map(|(rules, _)| *rules).collect();
    counts.sort_unstable();
    counts.dedup();
    for rules in counts {
        let x = scale.x(rules);
        _ = writeln!(out, r##"<line x1="{x:.1}" y1="{:.1}" x2="{x:.1}" y2="{BOTTOM}" stroke="#dddddd"/>"##, scale.top);
        _ = writeln!(out, r#"<text x="{x:.1}" y="{}" text-anchor="middle">{}</text>"#, BOTTOM + TEXT, grouped(rules));
    }
    _ = writeln!(out, r##"<path d="M{LEFT} {:.1}V{BOTTOM}H{RIGHT}" fill="none" stroke="#000000"/>"##, scale.top);
    let (middle, below) = (f64::midpoint(LEFT, RIGHT), BOTTOM + 2.4 * TEXT);
    _ = writeln!(out, r#"<text x="{middle}" y="{below}" text-anchor="middle">rules (logarithmic)</text>"#);
    let side = f64::midpoint(scale.top, BOTTOM);
    let words = "ns a packet over an empty program";
    _ = writeln!(out, r#"<text transform="translate(18 {side:.1}) rotate(-90)" text-anchor="middle">{words}</text>"#);
}

/// The medians as a line, the lowest and highest loads as strokes, and the name.
fn curve(Line { name, points }: &Line, index: usize, scale: &Scale, out: &mut String) {
    let colour = COLOURS[index % COLOURS.len()];
    let dash = if (index / COLOURS.len()).is_multiple_of(2) { "" } else { r#" stroke-dasharray="6 3""# };
    let at = |(rules, ns): &(usize, Spread)| format!("{:.1},{:.1}", scale.x(*rules), scale.y(ns.median));
    let path: Vec<String> = points.iter().map(at).collect();
    let path = path.join(" ");
    _ = writeln!(out, r#"<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>"#);
    for (rules, ns) in points {
        let (x, y, low, high) = (scale.x(*rules), scale.y(ns.median), scale.y(ns.low), scale.y(ns.high));
        _ = writeln!(out, r#"<path d="M{x:.1} {low:.1}V{high:.1}" stroke="{colour}" stroke-opacity="0.5"/>"#);
        _ = writeln!(
            out,
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="3.5" fill="{colour}"><title>{} rules: {:.1} ns</title></circle>"#,
            grouped(*rules),
            ns.median
        );
    }
    let y = 20.0 + TEXT * index as f64;
    let end = LEFT + 24.0;
    _ = writeln!(out, r#"<path d="M{LEFT} {y}H{end}" stroke="{colour}" stroke-width="2"{dash}/>"#);
    _ = writeln!(out, r#"<text x="{}" y="{}">{}</text>"#, end + 8.0, y + 4.0, escaped(name));
}

/// With a comma between thousands.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let parts: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|part| std::str::from_utf8(part).ok()).collect();
    parts.join(",")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, points: &[(usize, f64)]) -> Line {
        let spread = |ns: f64| Spread { median: ns, low: ns - 1.0, high: ns + 1.0 };
        Line { name: name.into(), points: points.iter().map(|(rules, ns)| (*rules, spread(*ns))).collect() }
    }

    #[test]
    fn powers_of_ten_are_equally_far_apart() {
        let svg = svg(&[line("a<b", &[(1, 5.0), (10, 6.0), (100, 20.0), (1000, 30.0)]), line("c", &[(1, 0.0)])]);
        for at in ["cx=\"64.0\"", "cx=\"274.7\"", "cx=\"485.3\"", "cx=\"696.0\"", ">1,000<", ">a&lt;b<", ">20<"] {
            assert!(svg.contains(at), "{at}: {svg}");
        }
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn one_number_of_rules_is_a_point() {
        let svg = svg(&[line("a", &[(100, 5.0)])]);
        assert!(svg.contains("cx=\"380.0\"") && !svg.contains("NaN"), "{svg}");
    }

    #[test]
    fn steps_are_round() {
        for (most, step) in [(4.0, 1.0), (9.0, 2.0), (31.0, 5.0), (100.0, 20.0), (0.9, 0.2)] {
            let scale = Scale { x: (0.0, 1.0), y: most, top: 0.0 };
            assert!((scale.step() - step).abs() < 1e-9, "{most}: {}", scale.step());
        }
    }
}
