//! `/proc/softirqs`: how often each softirq vector ran on each CPU (`fs/proc/softirqs.c`).

use super::percpu::{self, Counts};

/// The counts of all vectors.
#[derive(Debug, Default)]
pub(crate) struct Softirqs {
    /// The CPUs of the columns.
    pub(crate) cpus: Vec<u32>,
    pub(crate) rows: Vec<(String, Counts)>,
    /// Lines that are no rows.
    pub(crate) skipped: usize,
}

impl Softirqs {
    pub(crate) fn parse(text: &str) -> Self {
        let mut all = Self::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            if let (true, Some(cpus)) = (all.cpus.is_empty(), percpu::header(line)) {
                all.cpus = cpus;
                continue;
            }
            match percpu::row(line, usize::MAX) {
                Some(row) if row.rest.trim().is_empty() => {
                    all.rows.push((row.name.to_owned(), row.counts));
                }
                _ => all.skipped += 1,
            }
        }
        all
    }
}

/// What a vector does (`softirq_to_name` in `kernel/softirq.c` has the names).
pub(crate) fn about(name: &str) -> &'static str {
    match name {
        "HI" => "tasklets of high priority",
        "TIMER" => "the timer wheel",
        "NET_TX" => "network, sent packets",
        "NET_RX" => "network, received packets",
        "BLOCK" => "block I/O that is done",
        "IRQ_POLL" => "polled block devices",
        "TASKLET" => "tasklets",
        "SCHED" => "load balancing of the scheduler",
        "HRTIMER" => "high-resolution timers",
        "RCU" => "RCU callbacks",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_vector_of_a_real_machine_is_read_and_known() {
        let all = Softirqs::parse(include_str!("../../tests/fixtures/softirqs-vm.txt"));
        assert_eq!((&all.cpus[..], all.rows.len(), all.skipped), (&[0, 1][..], 10, 0));
        assert!(
            all.rows.iter().all(|(name, counts)| !about(name).is_empty() && counts.0.len() == 2)
        );
        assert_eq!(all.rows[1], ("TIMER".into(), Counts(vec![9437, 9988])));
    }

    proptest! {
        #[test]
        fn any_text_is_taken(text in "(\\PC|[ \n\0:]|CPU[0-9]{1,12}|[0-9]{1,30}){0,200}") {
            let all = Softirqs::parse(&text);
            for (name, counts) in &all.rows {
                about(name);
                counts.total();
                counts.busiest();
            }
        }
    }
}
