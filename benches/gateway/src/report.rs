//! The figures of all rounds, and the tables they make.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::gateways::Gateway;
use crate::phases::Figures;
use crate::statistics::Spread;

/// Every figure of every round.
#[derive(Debug, Default)]
pub(crate) struct Report {
    figures: Vec<Figure>,
}

#[derive(Debug)]
struct Figure {
    phase: &'static str,
    name: &'static str,
    gateway: Gateway,
    round: usize,
    value: f64,
}

impl Report {
    pub(crate) fn add(
        &mut self,
        phase: &'static str,
        gateway: Gateway,
        round: usize,
        figures: Figures,
    ) {
        let figure = |(name, value)| Figure { phase, name, gateway, round, value };
        self.figures.extend(figures.into_iter().map(figure));
    }

    /// A line for each figure: its median of each gateway, and how that of this one compares, in the same rounds.
    pub(crate) fn text(&self) -> String {
        let mut text = String::from("\n| phase | figure |");
        for gateway in Gateway::ALL {
            let _ = write!(text, " {} |", gateway.name());
        }
        text.push_str(" × nginx | × hyper |\n|---|---|---|---|---|---|---|---|\n");
        for (phase, name) in self.names() {
            let _ = write!(text, "| {phase} | {name} |");
            for gateway in Gateway::ALL {
                let values = self.of(phase, name, gateway).map(|figure| figure.value);
                let _ = match Spread::of(values.collect()) {
                    Some(spread) => {
                        let Spread { median, least, greatest } = spread;
                        write!(text, " {} ({}–{}) |", short(median), short(least), short(greatest))
                    }
                    None => write!(text, " – |"),
                };
            }
            for peer in [Gateway::Nginx, Gateway::Hyper] {
                let _ = match self.ratio(phase, name, peer) {
                    Some(Spread { median, least, greatest }) => {
                        write!(text, " **{median:.2}** ({least:.2}–{greatest:.2}) |")
                    }
                    None => write!(text, " – |"),
                };
            }
            text.push('\n');
        }
        text
    }

    pub(crate) fn json(&self) -> String {
        let figure = |figure: &Figure| {
            json!({
                "phase": figure.phase,
                "figure": figure.name,
                "gateway": figure.gateway.name(),
                "round": figure.round,
                "value": figure.value,
            })
        };
        let figures: Vec<Value> = self.figures.iter().map(figure).collect();
        format!("{:#}\n", Value::from(figures))
    }

    /// In the order in which they came.
    fn names(&self) -> Vec<(&'static str, &'static str)> {
        let mut names = Vec::new();
        for figure in &self.figures {
            if !names.contains(&(figure.phase, figure.name)) {
                names.push((figure.phase, figure.name));
            }
        }
        names
    }

    fn of(&self, phase: &str, name: &str, gateway: Gateway) -> impl Iterator<Item = &Figure> {
        self.figures.iter().filter(move |figure| {
            figure.phase == phase && figure.name == name && figure.gateway == gateway
        })
    }

    /// Ours over a peer's, round by round. Of latencies it is what each adds to there being no gateway.
    fn ratio(&self, phase: &str, name: &str, peer: Gateway) -> Option<Spread> {
        let value = |gateway, round| {
            let figure = self.of(phase, name, gateway).find(|figure| figure.round == round)?;
            Some(figure.value)
        };
        let is_latency = name.ends_with(" µs") && name != "CPU µs";
        let ratio = |ours: &Figure| {
            let without = match is_latency {
                true => value(Gateway::None, ours.round)?,
                false => 0.0,
            };
            Some((ours.value - without) / (value(peer, ours.round)? - without))
        };
        Spread::of(self.of(phase, name, Gateway::Jairouter).filter_map(ratio).collect())
    }
}

/// With as many places as say something.
fn short(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}
