//! A report as one HTML page that needs nothing beside itself: figures, and curves over time as SVG.

use super::{Report, Second};
use std::fmt::Write as _;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 180.0;
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 22.0;
const TOP: f64 = 10.0;
/// Points of a curve; more seconds are drawn together.
const POINTS_MAX: usize = 430;

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;max-width:930px;margin:2rem auto;padding:0 1rem;\
color:#1c2733;background:#fff}h1{font-size:1.35rem}h2{font-size:1rem;margin:1.6rem 0 .3rem}table{border-collapse:\
collapse}td,th{padding:.15rem .9rem .15rem 0;text-align:left}td.n{text-align:right;font-variant-numeric:tabular-nums}\
svg{width:100%;height:auto}text{font:11px system-ui,sans-serif;fill:#5a6774}.grid{stroke:#e3e8ed}.key{font-size:.85rem;\
color:#5a6774}.key b{font-weight:600}@media(prefers-color-scheme:dark){body{background:#12181f;color:#d8e0e8}\
.grid{stroke:#2a343f}text{fill:#93a1af}}";

/// The page.
pub fn page(report: &Report, title: &str) -> String {
    let mut out = String::new();
    put(
        &mut out,
        format_args!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><title>{0}</title><style>{STYLE}</style>\
             </head><body><h1>{0}</h1>",
            escaped(title)
        ),
    );
    figures(report, &mut out);
    let series = thinned(&report.series);
    let number = |second: &Second| Some(second.events as f64);
    chart("Events acknowledged per second", "", &series, &[("events", "#2f6fb0", &number)], &mut out);
    chart(
        "Ack latency by second",
        " ms",
        &series,
        &[("p50", "#3f9a5f", &|second| second.p50), ("p99", "#c0562f", &|second| second.p99)],
        &mut out,
    );
    if report.collector.is_some() {
        chart(
            "Processor time",
            " %",
            &series,
            &[
                ("collector", "#2f6fb0", &|second| second.collector_cpu_percent),
                ("fleet", "#9aa5b1", &|second| Some(second.fleet_cpu_percent)),
            ],
            &mut out,
        );
        chart(
            "Resident memory of the collector",
            " MiB",
            &series,
            &[("memory", "#8157a8", &|second| second.collector_rss_mib)],
            &mut out,
        );
    }
    if report.failures > 0 {
        let failures = |second: &Second| Some(second.failures as f64);
        chart("Failures per second", "", &series, &[("failures", "#c0392f", &failures)], &mut out);
    }
    let hosts = |second: &Second| Some(second.hosts as f64);
    chart("Hosts that have their subscriptions", "", &series, &[("hosts", "#5a6774", &hosts)], &mut out);
    counts("Why it failed", report.reasons.iter(), &mut out);
    counts("Why handshakes failed", report.handshake_reasons.iter(), &mut out);
    counts("Done wrong on purpose", report.faults.iter(), &mut out);
    out.push_str("</body></html>\n");
    out
}

fn figures(report: &Report, out: &mut String) {
    let latency = report.latency_ms;
    out.push_str("<table>");
    let mut row = |name: &str, value: String| {
        put(out, format_args!("<tr><th>{name}</th><td class=\"n\">{value}</td></tr>"));
    };
    row("Hosts", report.hosts.to_string());
    row("Time", format!("{:.1} s", report.seconds));
    row("Events acknowledged", grouped(report.acknowledged as f64));
    row("Events per second", grouped(report.events_per_second));
    row("Deliveries", grouped(report.batches as f64));
    row("Ack latency p50, p99, max", format!("{}, {}, {} ms", latency.p50, latency.p99, latency.max));
    if let Some(cost) = report.collector {
        row("Collector, CPU s per million events", format!("{:.2}", cost.cpu_seconds_per_million));
        row("Collector, most memory", format!("{:.1} MiB", cost.rss_mib_max));
    }
    row("Fleet, CPU s per million events", format!("{:.2}", report.fleet.cpu_seconds_per_million));
    row("Heartbeats, enumerations", format!("{}, {}", report.heartbeats, report.enumerations));
    if report.handshakes + report.handshakes_failed > 0 {
        row("Handshakes, failed", format!("{}, {}", report.handshakes, report.handshakes_failed));
    }
    if let Some(storm) = report.storm {
        row("All connections lost", format!("at {:.1} s", storm.at));
        row("Hosts then", storm.hosts.to_string());
        row("Deliveries then", storm.deliveries.to_string());
        row("Handshakes then, failed", format!("{}, {}", storm.handshakes, storm.handshakes_failed));
    }
    row(
        "Sent again, given up, refused",
        format!("{}, {}, {}", report.resent, report.given_up, report.refused),
    );
    out.push_str("</table>");
}

type Curve<'a> = (&'a str, &'a str, &'a dyn Fn(&Second) -> Option<f64>);

fn chart(title: &str, unit: &str, series: &[Second], curves: &[Curve<'_>], out: &mut String) {
    let values = curves.iter().flat_map(|(_, _, value)| series.iter().filter_map(value));
    let top = nice(values.fold(0.0, f64::max));
    let last = series.last().map_or(1.0, |second| second.at.max(1.0));
    put(out, format_args!("<h2>{title}</h2><div class=\"key\">"));
    for (name, colour, _) in curves.iter().filter(|_| curves.len() > 1) {
        put(out, format_args!("<b style=\"color:{colour}\">{name}</b> "));
    }
    put(
        out,
        format_args!("</div><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">"),
    );
    let x = |at: f64| LEFT + (WIDTH - LEFT - 10.0) * at / last;
    let y = |value: f64| HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / top;
    for step in 0..=4 {
        let value = top * f64::from(step) / 4.0;
        let (at, label) = (y(value), short(value));
        put(
            out,
            format_args!(
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}{unit}</text>",
                LEFT - 6.0,
                at + 4.0
            ),
        );
        let at = last * f64::from(step) / 4.0;
        let anchor = if step == 4 { "end" } else { "middle" };
        put(
            out,
            format_args!(
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{} s</text>",
                x(at),
                HEIGHT - 5.0,
                short(at)
            ),
        );
    }
    for (_, colour, value) in curves {
        curve(series, colour, value, &x, &y, out);
    }
    out.push_str("</svg>");
}

fn curve(
    series: &[Second],
    colour: &str,
    value: &dyn Fn(&Second) -> Option<f64>,
    x: &dyn Fn(f64) -> f64,
    y: &dyn Fn(f64) -> f64,
    out: &mut String,
) {
    put(out, format_args!("<path fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\" d=\""));
    let mut is_down = false;
    for second in series {
        // A second without a value is a gap, not a nought.
        let Some(value) = value(second) else {
            is_down = false;
            continue;
        };
        let letter = if std::mem::replace(&mut is_down, true) { 'L' } else { 'M' };
        put(out, format_args!("{letter}{:.1} {:.1}", x(second.at), y(value)));
    }
    out.push_str("\"/>");
}

fn counts<'a>(title: &str, counts: impl ExactSizeIterator<Item = (&'a String, &'a u64)>, out: &mut String) {
    if counts.len() == 0 {
        return;
    }
    put(out, format_args!("<h2>{title}</h2><table>"));
    for (what, count) in counts {
        put(out, format_args!("<tr><td class=\"n\">{count}</td><td>{}</td></tr>", escaped(what)));
    }
    out.push_str("</table>");
}

/// Several seconds as one, where there are too many: means of rates, the worst of latencies.
fn thinned(series: &[Second]) -> Vec<Second> {
    let each = series.len().div_ceil(POINTS_MAX).max(1);
    let worst = |chunk: &[Second], value: fn(&Second) -> Option<f64>| {
        chunk
            .iter()
            .filter_map(value)
            .fold(None, |most: Option<f64>, now| Some(most.map_or(now, |most| most.max(now))))
    };
    let merged = |chunk: &[Second]| {
        let count = chunk.len() as u64;
        let sum = |value: fn(&Second) -> u64| chunk.iter().map(value).sum::<u64>() / count.max(1);
        Second {
            at: chunk.last().map_or(0.0, |second| second.at),
            events: sum(|second| second.events),
            batches: sum(|second| second.batches),
            failures: sum(|second| second.failures),
            hosts: sum(|second| second.hosts),
            p50: worst(chunk, |second| second.p50),
            p99: worst(chunk, |second| second.p99),
            collector_cpu_percent: worst(chunk, |second| second.collector_cpu_percent),
            collector_rss_mib: worst(chunk, |second| second.collector_rss_mib),
            fleet_cpu_percent: worst(chunk, |second| Some(second.fleet_cpu_percent)).unwrap_or_default(),
        }
    };
    series.chunks(each).map(merged).collect()
}

/// The next number of 1, 2, 2.5 or 5 times a power of ten.
fn nice(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    steps.iter().map(|step| step * power).find(|step| *step >= value).unwrap_or(10.0 * power)
}

fn short(value: f64) -> String {
    let (value, unit) = if value >= 1e6 {
        (value / 1e6, "M")
    } else if value >= 1e4 {
        (value / 1e3, "k")
    } else {
        (value, "")
    };
    let text = format!("{value:.2}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn put(out: &mut String, pieces: std::fmt::Arguments<'_>) {
    out.write_fmt(pieces).expect("a String takes whatever it is given");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers_and_numbers_are_short() {
        assert_eq!([0.0, 0.7, 19.0, 240.0, 1000.0].map(nice), [1.0, 1.0, 20.0, 250.0, 1000.0]);
        assert_eq!(
            [0.0, 2.5, 9_999.0, 20_000.0, 1_250_000.0].map(short),
            ["0", "2.5", "9999", "20k", "1.25M"]
        );
        assert_eq!(grouped(1_234_567.4), "1\u{202f}234\u{202f}567");
    }

    #[test]
    fn a_long_run_is_drawn_with_few_points_and_its_worst_latency() {
        let series: Vec<Second> = (0..5000)
            .map(|n| Second {
                at: f64::from(n),
                p99: Some(f64::from(n % 7)),
                events: 10,
                ..Second::default()
            })
            .collect();
        let thin = thinned(&series);
        assert!(thin.len() <= POINTS_MAX);
        assert!(thin.iter().all(|second| second.p99 == Some(6.0) && second.events == 10));
    }
}
