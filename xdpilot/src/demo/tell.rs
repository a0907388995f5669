//! How the story is told: a live line on a terminal, plain lines elsewhere, nothing beside JSON.

use std::io::{self, IsTerminal, Write};

use super::probe::Tally;

const BOLD: &str = "1";
const GREEN: &str = "32";
const RED: &str = "31";
const CYAN: &str = "36";
const DIM: &str = "2";

/// The teller; it writes to `out`.
pub(super) struct Teller<W> {
    out: W,
    /// Somebody watches: the last line, or lines, are drawn over and over.
    live: bool,
    colour: bool,
    /// So many lines at the end are drawn over and over.
    drawn: usize,
}

/// Tells on standard output as it is: terminal or not, with colour unless `NO_COLOR` is set.
pub(super) fn stdout() -> Teller<io::Stdout> {
    let live = io::stdout().is_terminal();
    let colour = live && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    Teller { out: io::stdout(), live, colour, drawn: 0 }
}

/// Tells nothing.
pub(super) fn silent() -> Teller<io::Sink> {
    Teller { out: io::sink(), live: false, colour: false, drawn: 0 }
}

impl<W: Write> Teller<W> {
    /// Whether somebody watches as it happens.
    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    /// What this is about.
    pub(super) fn opening(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// A step begins.
    pub(super) fn step(&mut self, number: usize, title: &str) -> io::Result<()> {
        let title = self.paint(BOLD, title);
        writeln!(self.out, "\n{number}  {title}")
    }

    /// A command is about to run.
    pub(super) fn command(&mut self, words: &[String]) -> io::Result<()> {
        self.drawn = 0;
        let line = self.paint(CYAN, &format!("$ xdpilot {}", words.join(" ")));
        writeln!(self.out, "   {line}")?;
        self.out.flush()
    }

    /// What a command said.
    pub(super) fn output(&mut self, text: &str) -> io::Result<()> {
        self.drawn = 0;
        text.lines().try_for_each(|line| {
            let line = self.paint(DIM, line);
            writeln!(self.out, "   {line}")
        })
    }

    /// The counts so far, where somebody watches.
    pub(super) fn counts(&mut self, http: Tally, dns: Tally) -> io::Result<()> {
        if !self.live {
            return Ok(());
        }
        write!(self.out, "\r\x1b[2K   {}", line(http, dns))?;
        self.out.flush()
    }

    /// The counts at a step's end, and whether they are what was expected.
    pub(super) fn verdict(&mut self, http: Tally, dns: Tally, met: bool) -> io::Result<()> {
        self.counts(http, dns)?;
        let word = self.word(met);
        if self.live { writeln!(self.out, "   {word}") } else { writeln!(self.out, "   {}   {word}", line(http, dns)) }
    }

    /// Lines in the place of those that were drawn last, where somebody watches.
    pub(super) fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        if !self.live {
            return Ok(());
        }
        if self.drawn > 0 {
            write!(self.out, "\x1b[{}A", self.drawn)?;
        }
        lines.iter().try_for_each(|line| writeln!(self.out, "\r\x1b[2K   {line}"))?;
        self.drawn = lines.len();
        self.out.flush()
    }

    /// What came of a step in a line, and whether that was expected.
    pub(super) fn result(&mut self, line: &str, met: bool) -> io::Result<()> {
        self.drawn = 0;
        let word = self.word(met);
        writeln!(self.out, "   {line}   {word}")
    }

    /// What is left to be said.
    pub(super) fn end(&mut self, text: &str) -> io::Result<()> {
        write!(self.out, "\n{text}")
    }

    fn word(&self, met: bool) -> String {
        if met { self.paint(GREEN, "as expected") } else { self.paint(RED, "NOT AS EXPECTED") }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// `http 12 ok 0 lost | dns 0 ok 12 lost`, with `3 back` where a sender got its own packets.
fn line(http: Tally, dns: Tally) -> String {
    let part = |name: &str, tally: Tally| {
        let back = if tally.returned > 0 { format!(" {} back", tally.returned) } else { String::new() };
        format!("{name} {} ok {} lost{back}", tally.answered, tally.lost)
    };
    format!("{} | {}", part("http", http), part("dns", dns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::story::STORY;

    const HTTP: Tally = Tally { answered: 12, returned: 0, lost: 0 };
    const DNS: Tally = Tally { answered: 0, returned: 3, lost: 1 };

    fn told(live: bool, colour: bool) -> String {
        let mut teller = Teller { out: Vec::new(), live, colour, drawn: 0 };
        teller.step(1, STORY[1].title).unwrap();
        teller.command(&["load".to_owned(), "a.o".to_owned()]).unwrap();
        teller.output("done\n").unwrap();
        teller.counts(HTTP, DNS).unwrap();
        teller.verdict(HTTP, DNS, true).unwrap();
        String::from_utf8(teller.out).unwrap()
    }

    #[test]
    fn plain_lines_elsewhere_than_on_a_terminal() {
        assert_eq!(
            told(false, false),
            "\n1  Drop everything: int main() { return XDP_DROP; }\n   $ xdpilot load a.o\n   done\n   \
             http 12 ok 0 lost | dns 0 ok 1 lost 3 back   as expected\n"
        );
    }

    #[test]
    fn one_live_line_on_a_terminal() {
        let told = told(true, false);
        assert_eq!(told.matches("\r\x1b[2K   http 12 ok").count(), 2);
        assert_eq!(told.matches('\n').count(), 5);
        assert!(!told.contains("\x1b[0m"));
    }

    #[test]
    fn lines_are_drawn_over_those_before_until_something_else_is_said() {
        let mut teller = Teller { out: Vec::new(), live: true, colour: false, drawn: 0 };
        let lines = ["a".to_owned(), "b".to_owned()];
        teller.draw(&lines).unwrap();
        teller.draw(&lines).unwrap();
        teller.result("ab", true).unwrap();
        teller.draw(&lines[..1]).unwrap();
        assert_eq!(
            String::from_utf8(teller.out).unwrap(),
            "\r\x1b[2K   a\n\r\x1b[2K   b\n\x1b[2A\r\x1b[2K   a\n\r\x1b[2K   b\n   ab   as expected\n\r\x1b[2K   a\n"
        );
    }

    #[test]
    fn colour_only_where_it_is_wanted() {
        assert!(told(true, true).contains("\x1b[32mas expected\x1b[0m"));
    }
}
