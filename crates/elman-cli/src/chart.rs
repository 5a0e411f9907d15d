//! A line chart as SVG inside a page: scales with its width, takes the page's colours.

use std::fmt::Write;

use elman::task::grouped;

// Narrow, so that the numbers can be read on a phone.
const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 58.0;
const BOTTOM: f64 = 40.0;
const TOP: f64 = 10.0;
const RIGHT: f64 = 12.0;
/// Points drawn of a curve: more cannot be told apart.
const POINTS: usize = 600;
/// Points of a curve that show their values.
const VALUES: usize = 120;

/// One line of a chart.
pub(crate) struct Curve {
    pub(crate) label: String,
    pub(crate) colour: &'static str,
    pub(crate) dashed: bool,
    /// `(x, y)` in rising `x`.
    pub(crate) points: Vec<(f64, f64)>,
}

/// A chart over steps.
pub(crate) struct Chart<'a> {
    pub(crate) name: String,
    pub(crate) unit: &'a str,
    /// Powers of ten at equal distances.
    pub(crate) log: bool,
    pub(crate) curves: Vec<Curve>,
    /// The first and the last step of the page, so that all its charts have the same.
    pub(crate) steps: (f64, f64),
    /// Points that are marked, with their words.
    pub(crate) marks: Vec<(f64, f64, String)>,
}

impl Chart<'_> {
    /// A heading, a legend and the drawing; nothing where there is no point.
    pub(crate) fn svg(&self) -> String {
        let height = |y: f64| if self.log { y.max(1e-12).log10() } else { y };
        let all = || self.curves.iter().flat_map(|c| &c.points).filter(|(_, y)| y.is_finite());
        if all().next().is_none() {
            return String::new();
        }
        let (mut x0, mut x1) = self.steps;
        let mut ys: Vec<f64> = Vec::new();
        for &(x, y) in all() {
            (x0, x1) = (x0.min(x), x1.max(x));
            ys.push(height(y));
        }
        ys.sort_by(f64::total_cmp);
        let (mut y0, mut y1) = (ys[0], ys[ys.len() - 1]);
        if self.name == "Loss" && ys.len() > 20 {
            // The first steps would press everything later together: what is above runs along the edge, and is said.
            y1 = y1.min(ys[ys.len() * 9 / 10] * 1.15);
        }
        let is_cut = y1 < ys[ys.len() - 1];
        if y1 - y0 < 1e-9 * y1.abs().max(1e-9) {
            (y0, y1) = (y0 - 0.5 * y0.abs().max(1e-6), y1 + 0.5 * y1.abs().max(1e-6));
        }
        let margin = 0.04 * (y1 - y0);
        (y0, y1) = (y0 - margin, y1 + margin);
        let px = |x: f64| LEFT + (x - x0) / (x1 - x0).max(1e-9) * (WIDTH - LEFT - RIGHT);
        let py = |y: f64| {
            let share = ((height(y) - y0) / (y1 - y0)).clamp(0.0, 1.0);
            HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)
        };
        let unit = if self.unit.is_empty() { String::new() } else { format!(", {}", self.unit) };
        let (name, unit) = (escaped(&self.name), escaped(&unit));
        let mut text = format!("<div class=\"chart\"><h2>{name}{unit}</h2>\n<div class=\"legend\">");
        for curve in &self.curves {
            let dash = if curve.dashed { ";--dash:dotted" } else { "" };
            // Writing to a String cannot fail.
            let _ = write!(text, "<span style=\"--c:{}{dash}\">{}</span>", curve.colour, escaped(&curve.label));
        }
        if is_cut {
            text.push_str("<em>the first values are higher than the chart</em>");
        }
        let _ = writeln!(text, "</div>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{name}\">");
        for tick in ticks(y0, y1, 5) {
            let (value, label) = match self.log {
                true => (10f64.powf(tick), two_digits(10f64.powf(tick))),
                false => (tick, short(tick)),
            };
            let (y, right, beside, below) = (py(value), WIDTH - RIGHT, LEFT - 6.0, py(value) + 4.0);
            let _ = writeln!(
                text,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{beside:.1}\" y=\"{below:.1}\" text-anchor=\"end\">{label}</text>"
            );
        }
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        let _ = writeln!(
            text,
            "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\" class=\"axis\">updates</text>",
            HEIGHT - 4.0
        );
        let (x, y) = (12.0, (TOP + HEIGHT - BOTTOM) / 2.0);
        let of_axis = if self.unit.is_empty() { name.clone() } else { escaped(self.unit) };
        let _ = writeln!(
            text,
            "<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"middle\" class=\"axis\" transform=\"rotate(-90 {x} {y:.1})\">{of_axis}</text>"
        );
        for tick in ticks(x0, x1, 5) {
            let (x, y, label) = (px(tick), HEIGHT - 20.0, short(tick));
            let _ = writeln!(text, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{label}</text>");
        }
        for curve in &self.curves {
            let every = curve.points.len().div_ceil(POINTS).max(1);
            let points: Vec<&(f64, f64)> = curve.points.iter().filter(|(_, y)| y.is_finite()).step_by(every).collect();
            let colour = curve.colour;
            if let [(x, y)] = points[..] {
                let (x, y) = (px(*x), py(*y));
                let _ = writeln!(text, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
                continue;
            }
            let path: Vec<String> = points.iter().map(|(x, y)| format!("{:.1},{:.1}", px(*x), py(*y))).collect();
            let (width, dash) = if curve.dashed { (1.2, " stroke-dasharray=\"2 3\"") } else { (2.0, "") };
            let _ = writeln!(
                text,
                "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"{dash} points=\"{}\"/>",
                path.join(" ")
            );
            let every = points.len().div_ceil(VALUES).max(1);
            for (x, y) in points.iter().step_by(every) {
                let value = format!("{} at update {}: {}", curve.label, grouped(*x as usize), trimmed(*y));
                let (x, y, value) = (px(*x), py(*y), escaped(&value));
                let _ = write!(
                    text,
                    "<circle class=\"p\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"{colour}\"><title>{value}</title></circle>"
                );
            }
        }
        for (x, y, words) in &self.marks {
            let (cx, cy, words) = (px(*x), py(*y), escaped(words));
            // To the left of the point where there is no room at its right, below it at the top.
            let (anchor, dx) = if cx > 0.6 * WIDTH { ("end", -8.0) } else { ("start", 8.0) };
            let dy = if cy < TOP + 20.0 { 18.0 } else { -8.0 };
            let _ = writeln!(
                text,
                "<circle class=\"best\" cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"5\"><title>{words}</title></circle>\
                 <text class=\"mark\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{words}</text>",
                cx + dx,
                cy + dy
            );
        }
        text.push_str("</svg></div>\n");
        text
    }
}

/// Round numbers between two values, about `count` of them.
fn ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let rough = (high - low) / count as f64;
    if !(rough > 0.0 && rough.is_finite()) {
        return vec![low];
    }
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| *step >= rough).unwrap_or(rough);
    let first = (low / step).ceil() as i64;
    (first..).map(|i| i as f64 * step).take_while(|tick| *tick <= high).collect()
}

/// A number for an axis.
fn short(x: f64) -> String {
    match x.abs() {
        a if a >= 1e6 => format!("{}M", trimmed(x / 1e6)),
        a if a >= 1e4 => format!("{}k", trimmed(x / 1e3)),
        a if a != 0.0 && a < 1e-3 => format!("{x:.0e}"),
        _ => trimmed(x),
    }
}

/// A number above 0 by its first two digits.
fn two_digits(x: f64) -> String {
    let unit = 10f64.powf(x.log10().floor() - 1.0);
    short((x / unit).round() * unit)
}

pub(crate) fn trimmed(x: f64) -> String {
    let text = format!("{x:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// Text as HTML.
pub(crate) fn escaped(text: &str) -> String {
    // A tab or a line break is text; what moves the cursor of a terminal is nothing in a page either.
    let text: String = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(ticks(0.0, 10.0, 5), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks(1.3, 1.3, 5), [1.3]);
        assert_eq!([0.316, 1.0, 31.62, 316.2].map(two_digits), ["0.32", "1", "32", "320"]);
        assert_eq!([0.0, 1.5, 12_000.0, 2.5e6, 0.0004].map(short), ["0", "1.5", "12k", "2.5M", "4e-4"]);
    }

    #[test]
    fn one_point_and_none_are_drawn() {
        let chart = |points| Chart {
            name: "Loss".into(),
            unit: "nats",
            log: false,
            curves: vec![Curve { label: "a<b".into(), colour: "#000", dashed: false, points }],
            steps: (0.0, 2.0),
            marks: vec![(1.0, 2.0, "best <2>".into())],
        };
        let hostile = "</h2><script>\"'\x1b[2J";
        let mut script = chart(vec![(1.0, 2.0)]);
        (script.name, script.unit) = (hostile.into(), hostile);
        let text = script.svg();
        assert!(!text.contains("<script") && !text.contains('\x1b') && !text.contains("\"\"'"), "{text}");
        assert_eq!(chart(vec![]).svg(), "");
        assert_eq!(chart(vec![(1.0, f64::NAN)]).svg(), "");
        let one = chart(vec![(1.0, 2.0)]).svg();
        assert!(one.contains("<circle") && one.contains("a&lt;b") && !one.contains("NaN"), "{one}");
        let two = chart(vec![(1.0, 2.0), (2.0, 1.0)]).svg();
        assert!(two.contains("<polyline") && two.contains("<title>a&lt;b at update 2: 1</title>"), "{two}");
        assert!(two.contains("class=\"best\"") && two.contains("best &lt;2&gt;") && two.contains(">updates<"), "{two}");
    }
}
