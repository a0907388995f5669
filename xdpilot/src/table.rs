//! A table for people: aligned columns that wrap where the terminal is too narrow. Nothing is cut off.

/// A column narrower than this is not made narrower: lines then run over the edge.
const NARROWEST: usize = 10;
const GAP: usize = 2;

/// A table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    header: Vec<&'static str>,
    flexible: Vec<usize>,
    rows: Vec<Row>,
}

/// A row, and lines that stand below it over the whole width.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// One text a column.
    pub cells: Vec<String>,
    /// Lines below.
    pub details: Vec<String>,
}

/// How it is drawn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Characters in a line; none for as many as it takes.
    pub width: Option<usize>,
    /// Whether the header is bold.
    pub bold: bool,
}

impl Table {
    /// A table with these columns.
    pub fn new(header: &[&'static str]) -> Self {
        Table { header: header.to_vec(), ..Table::default() }
    }

    /// Names the columns, by index, that give way first where the terminal is too narrow.
    #[must_use]
    pub fn flexible(mut self, columns: &[usize]) -> Self {
        self.flexible = columns.to_vec();
        self
    }

    /// Adds a row; control characters in it are replaced, since names of others may hold them.
    pub fn push(&mut self, row: Row) {
        let clean = |texts: Vec<String>| texts.iter().map(|text| printable(text)).collect();
        self.rows.push(Row { cells: clean(row.cells), details: clean(row.details) });
    }

    /// Draws it, a newline at the end of each line.
    pub fn draw(&self, style: Style) -> String {
        let widths = self.widths(style.width);
        let mut out = String::new();
        let header: Vec<String> = self.header.iter().map(ToString::to_string).collect();
        for line in lines(&header, &widths) {
            out += &if style.bold { format!("\x1b[1m{line}\x1b[0m\n") } else { line + "\n" };
        }
        for row in &self.rows {
            lines(&row.cells, &widths).iter().for_each(|line| out += &format!("{line}\n"));
            let width = style.width.map_or(usize::MAX, |width| width.saturating_sub(4).max(NARROWEST));
            for detail in &row.details {
                wrap(detail, width).iter().enumerate().for_each(|(at, line)| {
                    out += &format!("{}{}\n", if at == 0 { "  " } else { "    " }, line.trim_end());
                });
            }
        }
        out
    }

    /// The width of each column: what it holds, less where the widest must give way.
    fn widths(&self, limit: Option<usize>) -> Vec<usize> {
        let cell = |row: &Row, at: usize| row.cells.get(at).map_or(0, |text| text.chars().count());
        let mut widths: Vec<usize> = self
            .header
            .iter()
            .enumerate()
            .map(|(at, name)| self.rows.iter().map(|row| cell(row, at)).max().unwrap_or(0).max(name.len()))
            .collect();
        let gaps = GAP * widths.len().saturating_sub(1);
        let too_wide = |widths: &[usize]| limit.is_some_and(|limit| widths.iter().sum::<usize>() + gaps > limit);
        while too_wide(&widths) {
            let widest = |first: bool| {
                let columns = (0..widths.len()).filter(|at| !first || self.flexible.contains(at));
                columns.filter(|at| widths[*at] > NARROWEST).max_by_key(|at| widths[*at])
            };
            match widest(true).or_else(|| widest(false)) {
                Some(at) => widths[at] -= 1,
                None => break,
            }
        }
        widths
    }
}

/// The text without control characters.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The lines that a row takes.
fn lines(cells: &[String], widths: &[usize]) -> Vec<String> {
    let wrapped: Vec<Vec<String>> = cells.iter().zip(widths).map(|(cell, width)| wrap(cell, *width)).collect();
    let height = wrapped.iter().map(Vec::len).max().unwrap_or(0);
    let line = |at: usize| {
        let texts = wrapped.iter().zip(widths).map(|(cell, width)| {
            let text = cell.get(at).map_or("", String::as_str);
            format!("{text:width$}")
        });
        texts.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end().to_string()
    };
    (0..height).map(line).collect()
}

/// The text in pieces of at most `width` characters, broken behind a separator where there is one.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut rest: Vec<char> = text.chars().collect();
    let mut out = Vec::new();
    while rest.len() > width {
        let separator = rest[..width].iter().rposition(|c| matches!(c, ' ' | '/' | ',' | '-' | '_' | ':'));
        let end = if rest[width] == ' ' { width } else { separator.map_or(width, |at| at + 1) };
        let tail = rest.split_off(end);
        out.push(rest.iter().collect());
        rest = tail.into_iter().skip_while(|c| *c == ' ').collect();
    }
    out.push(rest.iter().collect());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["A", "OWNER"]);
        let cells = vec!["eth0".into(), "/sys/fs/bpf/xdpilot/link-4026531840-3".into()];
        table.push(Row { cells, details: vec!["pass 12 (3.0/s)  drop 7".into()] });
        table.push(Row { cells: vec!["x\x1b[2J".into(), "netlink".into()], details: vec![] });
        table
    }

    #[test]
    fn columns_are_aligned() {
        let text = "A      OWNER\neth0   /sys/fs/bpf/xdpilot/link-4026531840-3\n  pass 12 (3.0/s)  drop 7\n\
                    x\u{fffd}[2J  netlink\n";
        assert_eq!(table().draw(Style::default()), text);
    }

    #[test]
    fn narrow_lines_lose_nothing() {
        let wide = table().draw(Style::default());
        for width in 17..60 {
            let text = table().draw(Style { width: Some(width), bold: false });
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}:\n{text}");
            let letters = |text: &str| {
                let mut letters: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
                letters.sort_unstable();
                letters
            };
            assert_eq!(letters(&text), letters(&wide));
        }
    }
}
