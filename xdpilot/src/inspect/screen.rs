//! A report as text for people.

use super::report::{FunctionListing, MapFact, Report};
use crate::table::{Row, Style, Table, printable};

/// The whole report.
pub(super) fn draw(report: &Report) -> String {
    let yes = |is: bool| if is { "yes" } else { "no" };
    let license = report.license.as_deref().map_or_else(|| "none declared".to_string(), printable);
    let head = format!(
        "{}\nlicense: {license}\nBTF: {}\nCO-RE: {}\nLinux: {} or newer\n",
        report.file,
        yes(report.btf),
        yes(report.core),
        report.linux
    );
    let mut parts = vec![head, programs(report)];
    if !report.maps.is_empty() {
        parts.push(maps(&report.maps));
    }
    parts.extend([needs(report), sections(report), symbols(report)]);
    if !report.notes.is_empty() {
        let notes: String = report.notes.iter().map(|note| format!("  {}\n", printable(note))).collect();
        parts.push(format!("What loading does\n{notes}"));
    }
    parts.extend(report.functions.iter().flatten().map(listing));
    parts.join("\n")
}

/// A titled table without wrapping: what is printed here is often searched and compared.
fn table<R: IntoIterator<Item = Vec<String>>>(title: &str, header: &[&'static str], rows: R) -> String {
    let mut table = Table::new(header);
    rows.into_iter().for_each(|cells| table.push(Row { cells, details: Vec::new() }));
    format!("{title}\n{}", table.draw(Style::default()))
}

fn programs(report: &Report) -> String {
    let rows = report.programs.iter().map(|program| {
        let chosen = if program.chosen { "load takes this one" } else { "" };
        vec![program.name.clone(), program.section.clone(), program.instructions.to_string(), chosen.to_string()]
    });
    let text = table("Programs", &["NAME", "SECTION", "INSTRUCTIONS", ""], rows);
    match &report.obstacle {
        Some(obstacle) => format!("{text}load needs to be told more: {obstacle}\n"),
        None => text,
    }
}

fn maps(maps: &[MapFact]) -> String {
    let header = ["NAME", "TYPE", "KEY", "VALUE", "ENTRIES", "FLAGS", "PINNED", "DECLARED", "VALUES"];
    let rows = maps.iter().map(|map| {
        let values: Vec<String> = map.values.iter().map(|(key, name)| format!("{key}: {name}")).collect();
        vec![
            map.name.clone(),
            map.kind.clone(),
            map.key_size.to_string(),
            map.value_size.to_string(),
            map.max_entries.to_string(),
            format!("0x{:x}", map.flags),
            map.pin.clone().unwrap_or_else(|| "no".to_string()),
            map.declared.clone(),
            if values.is_empty() { "-".to_string() } else { values.join(", ") },
        ]
    });
    table("Maps", &header, rows)
}

fn needs(report: &Report) -> String {
    let rows =
        report.needs.iter().map(|need| vec![need.what.clone(), need.linux.unwrap_or("depends on the kernel").into()]);
    table("Kernel needs", &["WHAT", "SINCE LINUX"], rows)
}

fn sections(report: &Report) -> String {
    let rows = report.sections.iter().map(|section| {
        let (index, size) = (section.index.to_string(), section.size.to_string());
        vec![index, section.name.clone(), section.kind.clone(), section.flags.clone(), size]
    });
    table("Sections", &["INDEX", "NAME", "TYPE", "FLAGS", "SIZE"], rows)
}

fn symbols(report: &Report) -> String {
    let rows = report.symbols.iter().map(|symbol| {
        let (value, size) = (format!("{:016x}", symbol.value), format!("{:016x}", symbol.size));
        vec![value, size, symbol.kind.clone(), symbol.binding.clone(), symbol.section.clone(), symbol.name.clone()]
    });
    table("Symbols", &["VALUE", "SIZE", "TYPE", "BINDING", "SECTION", "NAME"], rows)
}

/// The instructions of a function below the source lines that they were made of, as text.
pub fn listing(function: &FunctionListing) -> String {
    let mut out = format!("{} (section {}):\n", printable(&function.name), printable(&function.section));
    for line in &function.code {
        if let Some(source) = &line.source {
            out += &format!("; {}\n", printable(source));
        }
        out += &format!("{:4}: {}\n", line.index, printable(&line.text));
    }
    out
}
