//! Points in time as text.

use std::time::{SystemTime, UNIX_EPOCH};

use xdpilot_kernel::clock;

/// UTC as RFC 3339 writes it: `2026-11-23T09:15:02Z`.
pub fn rfc3339(time: SystemTime) -> String {
    let (date, clock) = civil(seconds(time));
    format!("{date}T{clock}Z")
}

/// Local time for people: `2026-11-23 10:15:02`.
pub fn local(time: SystemTime) -> String {
    let (date, clock) = civil(seconds(time) + clock::utc_offset(time));
    format!("{date} {clock}")
}

fn seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

/// Date and time of day of a count of seconds since 1970, in the proleptic Gregorian calendar.
///
/// Years begin in March here, so that the leap day is their last.
fn civil(seconds: i64) -> (String, String) {
    const DAYS_OF_ERA: i64 = 146_097;
    let (days, second) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
    let (era, day) = (days.div_euclid(DAYS_OF_ERA), days.rem_euclid(DAYS_OF_ERA));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + i64::from(month <= 2);
    let date = format!("{year:04}-{month:02}-{day:02}");
    (date, format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60))
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_those_of_date() {
        let step = 86_400 * 13 + 3_607;
        let times: Vec<u64> =
            (0..1_500).map(|n| n * step).chain([951_782_400, 4_107_542_399, 68_169_600, 1_732_320_902]).collect();
        for (arguments, ours) in [
            (["-u", "+%Y-%m-%dT%H:%M:%SZ"].as_slice(), rfc3339 as fn(SystemTime) -> String),
            (["+%Y-%m-%d %H:%M:%S"].as_slice(), local),
        ] {
            let file = tempfile::NamedTempFile::new().unwrap();
            let lines: String = times.iter().map(|time| format!("@{time}\n")).collect();
            std::fs::write(file.path(), lines).unwrap();
            let output = Command::new("date").args(arguments).arg("-f").arg(file.path()).output().unwrap();
            let theirs = String::from_utf8(output.stdout).unwrap();
            let ours: Vec<String> = times.iter().map(|time| ours(UNIX_EPOCH + Duration::from_secs(*time))).collect();
            assert_eq!(theirs.lines().collect::<Vec<_>>(), ours);
        }
    }
}
