//! `-m hashlimit`, where what exceeds the rate is dropped.

/// What `-m hashlimit` asks for.
#[derive(Debug, Default)]
pub(super) struct Limit {
    /// Packets in a second.
    pub(super) above: Option<u32>,
    burst: Option<u32>,
    keys: Vec<&'static str>,
}

impl Limit {
    /// One of its options, and the value behind it.
    pub(super) fn option(&mut self, word: &str, value: &str) -> Result<(), String> {
        match word {
            "--hashlimit-above" => {
                let (count, unit) = value.split_once('/').unwrap_or((value, "s"));
                let count = count.parse().ok().filter(|count| *count > 0 && "second".starts_with(unit));
                self.above = Some(count.ok_or("a policy's limits are whole numbers of packets in a second")?);
            }
            "--hashlimit-burst" => {
                self.burst = Some(value.parse().map_err(|_| "a policy's bursts are numbers of packets")?);
            }
            "--hashlimit-mode" => {
                for key in value.split(',') {
                    self.keys.push(match key {
                        "srcip" => "src",
                        "dstip" => "dst",
                        "srcport" => "src port",
                        "dstport" => "dst port",
                        _ => return Err(format!("limits per {key} have no counterpart")),
                    });
                }
            }
            "--hashlimit-name"
            | "--hashlimit-htable-size"
            | "--hashlimit-htable-max"
            | "--hashlimit-htable-expire"
            | "--hashlimit-htable-gcinterval" => {}
            _ => return Err(format!("{word}: a policy's limit drops what exceeds it, and no more")),
        }
        Ok(())
    }

    /// The action of a policy.
    pub(super) fn words(&self, above: u32) -> String {
        let per = if self.keys.is_empty() { String::new() } else { format!(" per {}", self.keys.join(",")) };
        // What hashlimit has where nothing is said.
        format!("limit {above}/s{per} burst {}", self.burst.unwrap_or(5).max(1))
    }
}
