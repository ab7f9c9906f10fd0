//! What is known of all classes: in which order they are taken, in which contexts, and what was wrong with it.
//!
//! Plain data, no threads: [`checker`](super::checker) puts it behind a lock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::Location;

use super::checker::Holding;
use super::{Report, Rule};

type Place = &'static Location<'static>;

/// A place by its text: the same one may be at several addresses.
type Spot = (&'static str, u32, u32);

fn spot(place: Place) -> Spot {
    (place.file(), place.line(), place.column())
}

/// The number of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Class(u32);

impl Class {
    /// What has no order: reading under RCU.
    pub(super) const NONE: Self = Self(0);

    pub(super) const fn numbered(number: u32) -> Self {
        Self(number)
    }

    pub(super) const fn number(self) -> u32 {
        self.0
    }
}

/// In which context a lock is taken, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Context {
    TopHalf,
    DeliveryOn,
    BottomHalf,
    BottomHalvesOn,
}

/// How a lock is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Exclusive,
    Shared,
}

/// How and where a lock is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) context: Context,
    pub(super) access: Access,
}

impl Usage {
    const COUNT: usize = 8;

    const fn index(self) -> usize {
        self.context as usize * 2 + self.access as usize
    }

    pub(super) const fn bit(self) -> u8 {
        1 << self.index()
    }
}

/// Two contexts in which one lock must not be taken, unless it is shared in both; what that is; what mends it.
struct Odds {
    inside: Context,
    outside: Context,
    rule: Rule,
    words: [&'static str; 3],
}

const ODDS: [Odds; 2] = [
    Odds {
        inside: Context::TopHalf,
        outside: Context::DeliveryOn,
        rule: Rule::Delivery,
        words: ["in a top half", "with delivery on", "hold delivery there (lock_irqsave)"],
    },
    Odds {
        inside: Context::BottomHalf,
        outside: Context::BottomHalvesOn,
        rule: Rule::BottomHalves,
        words: ["in a bottom half", "with bottom halves on", "disable them there (lock_bh)"],
    },
];

#[derive(Debug)]
struct Known {
    made: Place,
    subclass: u8,
    /// Where it was first taken, by usage.
    used: [Option<Place>; Usage::COUNT],
}

/// Where a lock was first taken under another one.
#[derive(Debug, Clone, Copy)]
struct Edge {
    held_at: Place,
    taken_at: Place,
}

/// The classes, the orders, the reports.
#[derive(Debug)]
pub(super) struct Graph {
    /// The class `n` is at `n - 1`.
    classes: Vec<Known>,
    numbers: BTreeMap<(Spot, u8), Class>,
    after: BTreeMap<Class, BTreeMap<Class, Edge>>,
    reported: BTreeSet<(Rule, [Spot; 2])>,
    reports: Vec<Report>,
}

impl Graph {
    pub(super) const fn new() -> Self {
        Self {
            classes: Vec::new(),
            numbers: BTreeMap::new(),
            after: BTreeMap::new(),
            reported: BTreeSet::new(),
            reports: Vec::new(),
        }
    }

    pub(super) fn reports(&self) -> &[Report] {
        &self.reports
    }

    /// The class of the locks that were made at `made`.
    pub(super) fn class(&mut self, made: Place, subclass: u8) -> Class {
        let key = (spot(made), subclass);
        if let Some(class) = self.numbers.get(&key) {
            return *class;
        }
        self.classes.push(Known { made, subclass, used: [None; Usage::COUNT] });
        // CAST: there are not as many places in a program.
        let class = Class(self.classes.len() as u32);
        self.numbers.insert(key, class);
        class
    }

    /// `taken` is taken while `held` is held.
    pub(super) fn ordered(&mut self, held: &Holding, taken: &Holding) -> Option<Report> {
        if held.class == taken.class {
            return self.recursion(held, taken);
        }
        let edges = self.after.entry(held.class).or_default();
        if edges.contains_key(&taken.class) {
            return None;
        }
        edges.insert(taken.class, Edge { held_at: held.place, taken_at: taken.place });
        let back = self.path(taken.class, held.class)?;
        let text = format!(
            "possible circular locking dependency: {} is taken at {} while {} is held (taken at {}); \
             elsewhere {}",
            self.name(taken.class),
            taken.place,
            self.name(held.class),
            held.place,
            self.describe(&back),
        );
        let elsewhere = back.first().map_or(held.place, |(_, _, edge)| edge.taken_at);
        let pair = [self.known(held.class).made, self.known(taken.class).made];
        self.once(Rule::Order, pair, [taken.place, elsewhere], text)
    }

    fn recursion(&mut self, held: &Holding, taken: &Holding) -> Option<Report> {
        let text = format!(
            "possible recursive locking: {} is taken at {} while one of the same class is held (taken at {})",
            self.name(taken.class),
            taken.place,
            held.place,
        );
        let made = self.known(taken.class).made;
        self.once(Rule::Recursion, [made, made], [taken.place, held.place], text)
    }

    /// A lock of this class is taken in such a way.
    pub(super) fn used(&mut self, class: Class, usage: Usage, place: Place) -> Option<Report> {
        let used = &mut self.classes[class.0 as usize - 1].used;
        used[usage.index()].get_or_insert(place);
        let odds = ODDS.iter().find(|odds| [odds.inside, odds.outside].contains(&usage.context))?;
        let [inside, outside] = self.at_odds(class, odds)?;
        let [in_there, out_there, mend] = odds.words;
        let text = format!(
            "inconsistent lock state: {} is taken {in_there} at {inside}, and {out_there} at {outside}; {mend}",
            self.name(class),
        );
        let made = self.known(class).made;
        self.once(odds.rule, [made, made], [inside, outside], text)
    }

    /// Where a lock of this class is taken in both contexts, and not only shared.
    fn at_odds(&self, class: Class, odds: &Odds) -> Option<[Place; 2]> {
        let used = &self.known(class).used;
        let at = |context, access| used[Usage { context, access }.index()];
        let exclusive = |context| at(context, Access::Exclusive);
        let any = |context| exclusive(context).or(at(context, Access::Shared));
        let (inside, outside) = (odds.inside, odds.outside);
        match (exclusive(inside), exclusive(outside)) {
            (Some(inside), _) => Some([inside, any(outside)?]),
            (None, Some(outside)) => Some([any(inside)?, outside]),
            (None, None) => None,
        }
    }

    /// A finding that needs nothing of the graph but to be new.
    pub(super) fn found(&mut self, rule: Rule, places: [Place; 2], text: String) -> Option<Report> {
        self.once(rule, places, places, text)
    }

    /// The report, if it is the first one on this pair.
    fn once(
        &mut self,
        rule: Rule,
        pair: [Place; 2],
        places: [Place; 2],
        text: String,
    ) -> Option<Report> {
        let mut pair = pair.map(spot);
        pair.sort_unstable();
        if !self.reported.insert((rule, pair)) {
            return None;
        }
        let report = Report { rule, places, text };
        self.reports.push(report.clone());
        Some(report)
    }

    /// The shortest way along the orders, if there is one.
    fn path(&self, from: Class, to: Class) -> Option<Vec<(Class, Class, Edge)>> {
        let mut came_from = BTreeMap::new();
        let mut queue = VecDeque::from([from]);
        while let Some(class) = queue.pop_front() {
            for (&next, &edge) in self.after.get(&class).into_iter().flatten() {
                if next != from && !came_from.contains_key(&next) {
                    came_from.insert(next, (class, edge));
                    queue.push_back(next);
                }
            }
        }
        let mut path = Vec::new();
        let mut class = to;
        while class != from {
            let &(before, edge) = came_from.get(&class)?;
            path.push((before, class, edge));
            class = before;
        }
        path.reverse();
        Some(path)
    }

    fn describe(&self, path: &[(Class, Class, Edge)]) -> String {
        let step = |(held, taken, edge): &(Class, Class, Edge)| {
            format!(
                "{} is taken at {} while {} is held (taken at {})",
                self.name(*taken),
                edge.taken_at,
                self.name(*held),
                edge.held_at,
            )
        };
        path.iter().map(step).collect::<Vec<_>>().join(", and ")
    }

    fn known(&self, class: Class) -> &Known {
        &self.classes[class.0 as usize - 1]
    }

    fn name(&self, class: Class) -> String {
        let Known { made, subclass, .. } = self.known(class);
        match subclass {
            0 => format!("the lock made at {made}"),
            _ => format!("the lock made at {made} (subclass {subclass})"),
        }
    }
}
