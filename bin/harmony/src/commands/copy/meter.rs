//! How far a copy has come: a bar for people, a line now and then for a log.

use harmony_store::copy::{Phase, Progress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output;

/// A log gets a line for each so many hundredths of a phase.
const STEP_PERCENT: u64 = 10;

/// Shows progress on standard error.
pub enum Meter {
    /// One line that changes.
    Bar(ProgressBar),
    /// A line for each step; the last one that was said.
    Lines(Option<(Phase, u64)>),
}

impl Meter {
    pub fn new(is_terminal: bool) -> Self {
        if is_terminal {
            Self::Bar(ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()))
        } else {
            Self::Lines(None)
        }
    }

    pub fn show(&mut self, progress: Progress) {
        match self {
            Self::Bar(bar) => draw(bar, progress),
            Self::Lines(said) => {
                if let Some(line) = next_line(said, progress) {
                    output::complain(&line);
                }
            }
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn draw(bar: &ProgressBar, progress: Progress) {
    let template = match progress.of {
        Some(_) => "{prefix:9} {wide_bar} {human_pos}/{human_len} rows, {eta} left, {msg}",
        None => "{prefix:9} {spinner} {human_pos} rows, {msg}",
    };
    if bar.length() != progress.of || bar.prefix() != verb(progress.phase) {
        bar.reset_eta();
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_prefix(verb(progress.phase));
        progress.of.map_or_else(|| bar.unset_length(), |rows| bar.set_length(rows));
    }
    bar.set_message(progress.table);
    bar.set_position(progress.rows);
}

/// The line that is due, if one is: the first of a phase, and whenever another step is reached.
fn next_line(said: &mut Option<(Phase, u64)>, progress: Progress) -> Option<String> {
    let Progress { phase, table, rows, of } = progress;
    let percent = of.map_or(0, |of| (rows * 100).checked_div(of).unwrap_or(100));
    let step = percent / STEP_PERCENT;
    if *said == Some((phase, step)) {
        return None;
    }
    *said = Some((phase, step));
    Some(match of {
        Some(of) => format!("{} {percent} % ({rows} of {of} rows, table {table})", verb(phase)),
        None => format!("{} the source", verb(phase)),
    })
}

const fn verb(phase: Phase) -> &'static str {
    match phase {
        Phase::Reading => "reading",
        Phase::Copying => "copying",
        Phase::Verifying => "verifying",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(steps: &[(Phase, u64, Option<u64>)]) -> Vec<String> {
        let mut said = None;
        let line = |(phase, rows, of): &(Phase, u64, Option<u64>)| {
            next_line(&mut said, Progress { phase: *phase, table: "users", rows: *rows, of: *of })
        };
        steps.iter().filter_map(line).collect()
    }

    #[test]
    fn a_log_gets_one_line_for_each_tenth_of_a_phase() {
        let reading = [(Phase::Reading, 1, None), (Phase::Reading, 40, None)];
        let copying = (0..=40).map(|rows| (Phase::Copying, rows, Some(40)));
        let said = lines(&reading.into_iter().chain(copying).collect::<Vec<_>>());
        assert_eq!(said.len(), 12);
        assert_eq!(said[0], "reading the source");
        assert_eq!(said[1], "copying 0 % (0 of 40 rows, table users)");
        assert_eq!(said[11], "copying 100 % (40 of 40 rows, table users)");
    }

    #[test]
    fn an_empty_database_is_copied_whole_at_once() {
        assert_eq!(lines(&[(Phase::Copying, 0, Some(0))]), ["copying 100 % (0 of 0 rows, table users)"]);
    }

    #[test]
    fn a_bar_follows_the_phases() {
        let bar = ProgressBar::hidden();
        draw(&bar, Progress { phase: Phase::Reading, table: "users", rows: 7, of: None });
        assert_eq!((bar.position(), bar.length(), bar.prefix().as_str()), (7, None, "reading"));
        draw(&bar, Progress { phase: Phase::Copying, table: "teams", rows: 2, of: Some(7) });
        assert_eq!((bar.position(), bar.length(), bar.prefix().as_str()), (2, Some(7), "copying"));
        assert_eq!(bar.message(), "teams");
    }
}
