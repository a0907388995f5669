//! Figures for people: bars of requests a second, a line an act, the table at the end.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::count::Count;
use super::play::Played;
use super::stage::CATS;
use crate::table::{Row, Style, Table};

/// Rates are those of so long.
const WINDOW: Duration = Duration::from_secs(1);
/// Characters of the longest bar: all requests to one cat.
const WIDTH: f64 = 48.0;

/// What was counted in the last second.
#[derive(Default)]
pub(super) struct Rates(VecDeque<(Instant, Count)>);

impl Rates {
    /// A bar for each cat, and what was lost in this act; `total` is what was counted until now.
    pub(super) fn bars(&mut self, now: Instant, total: Count, lost: u32) -> Vec<String> {
        self.0.push_back((now, total));
        while self.0.len() > 2 && self.0.get(1).is_some_and(|(then, _)| now.duration_since(*then) >= WINDOW) {
            self.0.pop_front();
        }
        let (then, before) = self.0.front().copied().unwrap_or((now, total));
        let seconds = now.duration_since(then).as_secs_f64().max(0.001);
        let newly = |cat: usize| f64::from(total.answered[cat] - before.answered[cat]) / seconds;
        let rates: Vec<f64> = (0..CATS.len()).map(newly).collect();
        let all = rates.iter().sum::<f64>().max(1.0);
        let bar = |(name, rate): (&str, &f64)| {
            let bar = "█".repeat((rate / all * WIDTH).round() as usize);
            format!("{name}  {bar} {rate:.0}/s")
        };
        CATS.into_iter().zip(&rates).map(bar).chain([format!("lost  {lost}")]).collect()
    }
}

/// `cat1 170  cat2 168  cat3 162 | lost 0`.
pub(super) fn line(count: &Count) -> String {
    let cats: Vec<String> = CATS.iter().zip(count.answered).map(|(name, its)| format!("{name} {its}")).collect();
    format!("{} | lost {}", cats.join("  "), count.lost)
}

/// The table of all acts, and the sentence below it.
pub(super) fn summary(acts: &[Played]) -> String {
    let mut table = Table::new(&["ACT", "REQUESTS", "CAT1", "CAT2", "CAT3", "LOST"]);
    for act in acts {
        let mut cells = vec![act.title.to_owned(), act.count.requests().to_string()];
        cells.extend(act.count.answered.iter().chain([&act.count.lost]).map(ToString::to_string));
        table.push(Row { cells, details: Vec::new() });
    }
    let lost = |may: bool| acts.iter().filter(|act| act.may_lose == may).map(|act| act.count.lost).sum::<u32>();
    let sentence = match lost(false) {
        0 => format!("No request was lost but {} when a cat was killed.", lost(true)),
        others => {
            format!("{others} requests were lost that should not have been; {} when a cat was killed.", lost(true))
        }
    };
    format!("{}\n{sentence}\n", table.draw(Style::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_the_shares_of_the_last_second() {
        let (mut rates, begin) = (Rates::default(), Instant::now());
        let count = |answered| Count { answered, lost: 0 };
        rates.bars(begin, count([900, 0, 0]), 0);
        rates.bars(begin + WINDOW, count([900, 0, 0]), 0);
        let bars = rates.bars(begin + 2 * WINDOW, count([1200, 100, 0]), 7);
        let (long, short) = ("█".repeat(36), "█".repeat(12));
        assert_eq!(
            bars,
            [format!("cat1  {long} 300/s"), format!("cat2  {short} 100/s"), "cat3   0/s".into(), "lost  7".into()]
        );
    }

    #[test]
    fn the_sentence_tells_losses_apart() {
        let act = |lost, may_lose| Played {
            title: "An act",
            commands: Vec::new(),
            count: Count { answered: [1, 2, 3], lost },
            may_lose,
            met: true,
            last_loss: None,
        };
        let told = summary(&[act(0, false), act(5, true)]);
        assert!(told.contains("An act  11        1     2     3     5"), "{told}");
        assert!(told.ends_with("\n\nNo request was lost but 5 when a cat was killed.\n"), "{told}");
        assert!(
            summary(&[act(2, false), act(5, true)])
                .contains("\n2 requests were lost that should not have been; 5 when")
        );
        assert_eq!(line(&act(0, false).count), "cat1 1  cat2 2  cat3 3 | lost 0");
    }
}
