//! What a benchmark found: `target/bench/NAME.json`.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::machine::Machine;
use super::statistics::Median;
use crate::failure::{Context, Result, failed};
use crate::paths;

/// The ratio that a claim aims at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Target {
    /// Ours over the peer's is at most so much.
    AtMost(f64),
    /// The peer's over ours is at least so much.
    TimesLess(f64),
    /// None.
    Beside,
}

/// A claim that was measured. Figures are nanoseconds.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) what: String,
    pub(super) peer: String,
    pub(super) note: String,
    pub(super) target: Target,
    /// Ours and the peer's, round by round.
    pub(super) rounds: Vec<(f64, f64)>,
}

/// A benchmark that was run.
#[derive(Debug, Clone)]
pub(super) struct Results {
    pub(super) title: String,
    pub(super) machine: Machine,
    pub(super) claims: Vec<Claim>,
}

impl Claim {
    pub(super) fn ours(&self) -> f64 {
        Median::of(self.rounds.iter().map(|(ours, _)| *ours).collect()).value
    }

    pub(super) fn theirs(&self) -> f64 {
        Median::of(self.rounds.iter().map(|(_, peer)| *peer).collect()).value
    }

    /// In the direction in which the target is said.
    pub(super) fn ratio(&self) -> Median {
        let of = |(ours, peer): &(f64, f64)| match self.target {
            Target::TimesLess(_) => peer / ours,
            Target::AtMost(_) | Target::Beside => ours / peer,
        };
        Median::of(self.rounds.iter().map(of).collect())
    }

    /// Whether the target is met, if there is one.
    pub(super) fn is_met(&self) -> Option<bool> {
        match self.target {
            Target::AtMost(most) => Some(self.ratio().value <= most),
            Target::TimesLess(least) => Some(self.ratio().value >= least),
            Target::Beside => None,
        }
    }

    /// From the line that the benchmark printed, or from the file.
    fn from_json(value: &Value) -> Self {
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let target = value["target"].as_f64().unwrap_or_default();
        let figure = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        let rounds = value["rounds"].as_array().into_iter().flatten();
        Self {
            what: text("what"),
            peer: text("peer"),
            note: text("note"),
            target: match value["kind"].as_str() {
                Some("at-most") => Target::AtMost(target),
                Some("times-less") => Target::TimesLess(target),
                _ => Target::Beside,
            },
            rounds: rounds.map(|round| (figure(&round[0]), figure(&round[1]))).collect(),
        }
    }

    fn to_json(&self) -> Value {
        let (kind, target) = match self.target {
            Target::AtMost(ratio) => ("at-most", Some(ratio)),
            Target::TimesLess(times) => ("times-less", Some(times)),
            Target::Beside => ("beside", None),
        };
        let Median { value, low, high } = self.ratio();
        json!({
            "what": self.what, "peer": self.peer, "kind": kind, "target": target, "note": self.note,
            "ours_ns": self.ours(), "peer_ns": self.theirs(), "met": self.is_met(),
            "ratio": value, "ratio_low": low, "ratio_high": high,
            "rounds": self.rounds.iter().map(|(ours, peer)| [ours, peer]).collect::<Vec<_>>(),
        })
    }
}

impl Results {
    pub(super) fn new(title: &str, machine: Machine, lines: &[Value]) -> Self {
        Self {
            title: title.to_owned(),
            machine,
            claims: lines.iter().map(Claim::from_json).collect(),
        }
    }

    pub(super) fn write(&self, name: &str) -> Result<()> {
        let claims: Vec<Value> = self.claims.iter().map(Claim::to_json).collect();
        let value = json!({
            "title": self.title, "machine": self.machine.to_json(), "claims": claims,
        });
        let path = path(name);
        paths::publish(&path, |path| fs::write(path, format!("{value:#}\n")).on("write", path))
    }

    pub(super) fn read(name: &str) -> Result<Self> {
        let path = path(name);
        let text = fs::read_to_string(&path).map_err(|error| {
            failed(format!(
                "there are no figures of '{name}' ({}: {error}); run cargo xtask bench {name}",
                path.display()
            ))
        })?;
        let value: Value = serde_json::from_str(&text)
            .map_err(|error| failed(format!("{} is no JSON: {error}", path.display())))?;
        let claims = value["claims"].as_array().cloned().unwrap_or_default();
        let title = value["title"].as_str().unwrap_or(name);
        Ok(Self::new(title, Machine::from_json(&value["machine"]), &claims))
    }
}

fn path(name: &str) -> PathBuf {
    paths::store().join(format!("{name}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(target: Target, rounds: &[(f64, f64)]) -> Claim {
        let text = String::new;
        Claim { what: text(), peer: text(), note: text(), target, rounds: rounds.to_vec() }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The second round was disturbed for both; medians of the sides would hide that they agree.
        let rounds = [(10.0, 20.0), (30.0, 60.0), (11.0, 22.0)];
        assert_eq!(claim(Target::Beside, &rounds).ratio().value, 0.5);
        assert_eq!(claim(Target::TimesLess(3.0), &rounds).ratio().value, 2.0);
    }

    #[test]
    fn a_target_is_met_by_the_median() {
        let rounds = [(10.0, 10.0), (11.0, 10.0), (12.0, 10.0)];
        assert_eq!(claim(Target::AtMost(1.1), &rounds).is_met(), Some(true));
        assert_eq!(claim(Target::AtMost(1.05), &rounds).is_met(), Some(false));
        assert_eq!(claim(Target::TimesLess(0.95), &rounds).is_met(), Some(false));
        assert_eq!(claim(Target::Beside, &rounds).is_met(), None);
    }

    #[test]
    fn a_claim_survives_its_file() {
        let before = Claim { note: "why".into(), ..claim(Target::AtMost(1.05), &[(1.5, 2.5)]) };
        let after = Claim::from_json(&before.to_json());
        assert_eq!((after.target, &after.rounds), (before.target, &before.rounds));
        assert_eq!(after.note, "why");
    }
}
