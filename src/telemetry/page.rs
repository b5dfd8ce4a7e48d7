//! The status page: one self-contained HTML document, made from the metrics' own text and the
//! findings.
//!
//! Promise: every text from outside is escaped. Must not know: HTTP.

use super::Status;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The page as it stands now. `exposition` is the text of `/metrics`.
pub(super) fn render(status: &Status, exposition: &str) -> String {
    let mut page = String::from(HEAD);
    let _ = write!(
        page,
        "<p><span class='phase {0}'>{0}</span> forebay {1}, up {2}</p>",
        status.phase().name(),
        env!("CARGO_PKG_VERSION"),
        duration(status.uptime().as_secs())
    );
    let by_label = samples(exposition);
    table(&mut page, "Sources", &by_label, "source", &SOURCE_COLUMNS);
    table(&mut page, "Outputs", &by_label, "output", &OUTPUT_COLUMNS);
    let whole = |name: &str| by_label.get(&(String::new(), name.to_owned())).copied().unwrap_or(0.0);
    let _ = write!(
        page,
        "<h2>Basin</h2><p>{} of {} in {} segments; {} batches kept</p>",
        bytes(whole("forebay_basin_size_bytes")),
        bytes(whole("forebay_basin_size_max_bytes")),
        whole("forebay_basin_segments"),
        whole("forebay_basin_frames_total"),
    );
    findings(&mut page, status);
    page.push_str("</main>");
    page
}

type Samples = BTreeMap<(String, String), f64>;

struct Column {
    metric: &'static str,
    title: &'static str,
    unit: fn(f64) -> String,
}

const SOURCE_COLUMNS: [Column; 6] = [
    Column { metric: "forebay_source_events_total", title: "events", unit: count },
    Column { metric: "forebay_source_bytes_total", title: "bytes", unit: bytes },
    Column { metric: "forebay_source_filtered_events_total", title: "left out", unit: count },
    Column { metric: "forebay_source_undecodable_events_total", title: "undecodable", unit: count },
    Column { metric: "forebay_source_lost_events_total", title: "overwritten unread", unit: count },
    Column { metric: "forebay_source_connections", title: "connections", unit: count },
];

const OUTPUT_COLUMNS: [Column; 7] = [
    Column { metric: "forebay_output_events_total", title: "confirmed", unit: count },
    Column { metric: "forebay_output_bytes_total", title: "bytes", unit: bytes },
    Column { metric: "forebay_output_filtered_events_total", title: "left out", unit: count },
    Column { metric: "forebay_output_dead_letter_events_total", title: "dead letters", unit: count },
    Column { metric: "forebay_output_retries_total", title: "retries", unit: count },
    Column { metric: "forebay_output_lag_events", title: "waiting", unit: count },
    Column { metric: "forebay_output_lag_seconds", title: "oldest", unit: seconds },
];

fn table(page: &mut String, title: &str, samples: &Samples, label: &str, columns: &[Column]) {
    let _ = write!(page, "<h2>{title}</h2><table><tr><th>{label}</th>");
    for column in columns {
        let _ = write!(page, "<th>{}</th>", column.title);
    }
    page.push_str("</tr>");
    let mut names: Vec<&str> = samples
        .keys()
        .filter(|(_, metric)| metric == columns[0].metric)
        .map(|(name, _)| name.as_str())
        .collect();
    names.dedup();
    for name in names {
        let _ = write!(page, "<tr><td>{}</td>", escaped(name));
        for column in columns {
            let value = samples.get(&(name.to_owned(), column.metric.to_owned())).copied();
            let _ = write!(page, "<td>{}</td>", (column.unit)(value.unwrap_or(0.0)));
        }
        page.push_str("</tr>");
    }
    page.push_str("</table>");
}

fn findings(page: &mut String, status: &Status) {
    let findings = status.findings();
    let _ = write!(page, "<h2>Findings</h2>");
    if findings.is_empty() {
        page.push_str("<p>none</p>");
    }
    for noted in findings.iter().rev() {
        let _ = write!(
            page,
            "<details open><summary>{}{}</summary><p>{}</p><p><b>To do:</b> {}</p></details>",
            escaped(&noted.finding.what),
            if noted.times > 1 { format!(" ({} times)", noted.times) } else { String::new() },
            escaped(&noted.finding.why),
            escaped(&noted.finding.fix),
        );
    }
}

/// `name{label="value"} number` lines by (label value, name); without a label the value is empty.
fn samples(exposition: &str) -> Samples {
    let mut samples = Samples::new();
    for line in exposition.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, number)) = line.rsplit_once(' ') else { continue };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let value = labels
            .split_once("=\"")
            .and_then(|(_, rest)| rest.rsplit_once('"'))
            .map_or("", |(value, _)| value);
        if let Ok(number) = number.parse() {
            samples.insert((value.to_owned(), name.to_owned()), number);
        }
    }
    samples
}

fn count(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

fn bytes(number: f64) -> String {
    crate::units::ByteSize(number as u64).to_string()
}

fn seconds(number: f64) -> String {
    if number < 10.0 { format!("{number:.1}s") } else { duration(number as u64) }
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c if c.is_control() => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

const HEAD: &str = "<!doctype html><html lang='en'><meta charset='utf-8'>\
<meta name='viewport' content='width=device-width'><meta http-equiv='refresh' content='5'><title>forebay</title>\
<style>:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;margin:0}main{max-width:60rem;\
margin:2rem auto;padding:0 1rem}h1{margin:0 0 .5rem}h2{margin:1.6rem 0 .4rem;font-size:1.1rem}table{border-collapse:\
collapse;width:100%}th,td{padding:.25rem .6rem;text-align:right;border-bottom:1px solid #8884;font-variant-numeric:\
tabular-nums}th:first-child,td:first-child{text-align:left}th{font-weight:600}.phase{padding:.1rem .6rem;border-radius:\
1rem;color:#fff;background:#777}.ready{background:#18794e}.draining{background:#ad5700}details{border-left:3px solid \
#ad5700;padding:.2rem .8rem;margin:.5rem 0}details p{margin:.2rem 0}</style><main><h1>forebay</h1>";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Finding;

    #[test]
    fn text_from_outside_cannot_become_markup() {
        let status = Status::default();
        let what = "host <script>alert(1)</script> & 'co'".to_owned();
        status.finding(Finding { what, why: "\u{1}".into(), fix: "<b>".into() });
        let page = render(&status, "");
        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#39;co&#39;"));
    }

    #[test]
    fn each_source_and_output_has_its_row() {
        let text = "# HELP x\nforebay_source_events_total{source=\"dc\"} 12345\nforebay_output_events_total{output=\"lake\"} 7\n\
                    forebay_output_lag_seconds{output=\"lake\"} 75\nforebay_basin_size_bytes 1048576\n";
        let page = render(&Status::default(), text);
        assert!(page.contains("<td>dc</td><td>12\u{202f}345</td>"), "{page}");
        assert!(page.contains("<td>lake</td><td>7</td>") && page.contains("1m 15s"), "{page}");
        assert!(page.contains("1MiB of"), "{page}");
    }
}
