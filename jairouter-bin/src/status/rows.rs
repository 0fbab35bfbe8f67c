//! What is shown of a gateway: rows of words.

use std::fmt::Write as _;

use serde_json::Value;

/// The names of the columns.
pub(super) const COLUMNS: [&str; 8] =
    ["INSTANCE", "STATE", "BUSY", "REQ/S", "FIRST TOKEN", "TOKENS/S", "BREAKER", "MODELS"];

/// How many looks a line of bars shows.
const BARS: usize = 16;

/// The most failures that are shown.
const MOST_FAILURES: usize = 10;

/// A gateway at one time.
#[derive(Debug, Default)]
pub(super) struct Picture {
    pub(super) title: String,
    pub(super) services: Vec<Service>,
    pub(super) failures: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) rows: Vec<Row>,
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) cells: [String; 8],
    /// Whether something is wrong with it.
    pub(super) is_unwell: bool,
}

impl Picture {
    /// Of what the gateway has said.
    pub(super) fn of(said: &Value) -> Self {
        let service = |of: &Value| Service {
            name: format!("{} ({})", text(of, "service"), text(of, "strategy")),
            rows: list(of, "instances").iter().map(row).collect(),
        };
        let waiting: u64 =
            list(said, "queues").iter().filter_map(|of| of["waiting"].as_u64()).sum();
        let title = format!(
            "JAiRouter {}, configuration {}, {waiting} waiting",
            text(said, "version"),
            said["configuration"]
        );
        let failures = list(said, "failures").iter().take(MOST_FAILURES).map(failure).collect();
        Self { title, services: list(said, "services").iter().map(service).collect(), failures }
    }

    /// For a terminal that scrolls, or a file.
    pub(super) fn text(&self) -> String {
        let rows = || self.services.iter().flat_map(|service| &service.rows);
        let widths = (0..COLUMNS.len()).map(|nth| {
            let cells = rows().map(|row| row.cells[nth].chars().count());
            cells.chain([COLUMNS[nth].len()]).max().unwrap_or(0)
        });
        let widths: Vec<_> = widths.collect();
        let line = |cells: &[&str]| {
            let cells = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            format!("  {}", line.trim_end())
        };
        let mut out = format!("{}\n", self.title);
        for service in &self.services {
            // Memory does not refuse a write.
            let _ = writeln!(out, "\n{}\n{}", service.name, line(&COLUMNS));
            for row in &service.rows {
                let cells = row.cells.each_ref().map(String::as_str);
                let _ = writeln!(out, "{}", line(&cells));
            }
        }
        if !self.failures.is_empty() {
            let _ = writeln!(out, "\nrecent failures\n  {}", self.failures.join("\n  "));
        }
        out
    }
}

fn row(of: &Value) -> Row {
    let state = text(of, "state");
    let breaker = of["circuitBreaker"]["state"].as_str().map(str::to_lowercase);
    let busy = match of["maxConcurrency"].as_u64() {
        Some(most) => format!("{}/{most}", of["inFlight"]),
        None => of["inFlight"].to_string(),
    };
    let models: Vec<_> = list(of, "models").iter().filter_map(Value::as_str).map(plain).collect();
    let is_unwell = !matches!(state.as_str(), "up" | "busy" | "inactive")
        || breaker.as_deref().is_some_and(|state| state != "closed");
    let pulse = &of["pulse"];
    let cells = [
        text(of, "instanceId"),
        state,
        busy,
        bars(&pulse["requests"], ""),
        bars(&pulse["firstToken"], " ms"),
        bars(&pulse["tokens"], ""),
        breaker.map_or("-".to_owned(), |state| state.replace('_', "-")),
        models.join(", "),
    ];
    Row { cells, is_unwell }
}

fn failure(of: &Value) -> String {
    let attempts = list(of, "attempts").iter();
    let attempts: Vec<_> =
        attempts.map(|one| format!("{} {}", text(one, "instance"), text(one, "error"))).collect();
    let by = if attempts.is_empty() { String::new() } else { format!(": {}", attempts.join(", ")) };
    let (at, model) = (text(of, "at"), text(of, "model"));
    let at = at.get(11..19).unwrap_or(&at);
    format!("{at} {} {model} {} {}{by}", text(of, "service"), of["status"], text(of, "error"))
}

/// The last numbers as bars, and the very last in digits.
fn bars(of: &Value, unit: &str) -> String {
    let numbers: Vec<Option<f64>> =
        of.as_array().map_or(Vec::new(), |all| all.iter().map(Value::as_f64).collect());
    let shown = &numbers[numbers.len().saturating_sub(BARS)..];
    let most = shown.iter().flatten().copied().fold(0.0, f64::max);
    let bar = |number: &Option<f64>| match number {
        Some(number) if *number > 0.0 => {
            let eighth = (number / most * 7.0).round() as usize;
            ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'][eighth.min(7)]
        }
        _ => ' ',
    };
    let bars: String = shown.iter().map(bar).collect();
    let last = shown.iter().rev().flatten().next();
    match last {
        Some(last) => format!("{bars:>BARS$} {last:.0}{unit}"),
        None => format!("{bars:>BARS$} -"),
    }
}

fn list<'a>(of: &'a Value, key: &str) -> &'a [Value] {
    of[key].as_array().map_or(&[], Vec::as_slice)
}

fn text(of: &Value, key: &str) -> String {
    plain(of[key].as_str().unwrap_or_default())
}

/// Without what a terminal would obey, or read backwards: some of it is what callers wrote.
pub(super) fn plain(text: &str) -> String {
    let obeyed =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if obeyed(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn said() -> Value {
        json!({"version": "1", "configuration": 3, "queues": [{"waiting": 2}],
            "services": [{"service": "chat", "strategy": "random", "instances": [
                {"instanceId": "gpu-1", "state": "up", "inFlight": 2, "maxConcurrency": 8,
                    "models": ["m"], "circuitBreaker": {"state": "CLOSED"},
                    "pulse": {"requests": [0.0, 2.0, 4.0], "firstToken": [null, 31.6], "tokens": []}},
                {"instanceId": "gpu-2", "state": "down", "inFlight": 0, "models": [],
                    "circuitBreaker": {"state": "HALF_OPEN"}, "pulse": {}}]}],
            "failures": [{"at": "2026-01-02T03:04:05.6Z", "service": "chat", "model": "a\u{1b}[2J",
                "status": 502, "error": "upstream_broken",
                "attempts": [{"instance": "gpu-2", "error": "upstream_broken"}]}]})
    }

    #[test]
    fn a_picture_is_a_table_and_nothing_that_a_terminal_obeys() {
        let text = Picture::of(&said()).text();
        let has = |part: &str| assert!(text.contains(part), "no {part:?} in\n{text}");
        has("configuration 3, 2 waiting\n\nchat (random)\n  INSTANCE  STATE  BUSY  REQ/S");
        has("  gpu-1     up     2/8 ");
        has("▅█ 4 ");
        has(" █ 32 ms ");
        has("half-open");
        has("03:04:05 chat a\u{fffd}[2J 502 upstream_broken: gpu-2 upstream_broken\n");
        assert!(!text.contains('\u{1b}'));
    }
}
