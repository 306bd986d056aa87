//! `harmony copy`: the way from one database to another, with nothing lost on it.

mod meter;

use std::{io::IsTerminal, path::PathBuf};

use harmony_store::{
    DatabaseUrl,
    copy::{self, Copied, Ends, Source, Target},
};
use serde_json::{Value, json};

use self::meter::Meter;
use crate::{
    failure::Failure,
    folder, output,
    settings::{self, Settings},
};

#[derive(clap::Args)]
pub struct CopyArgs {
    /// The database to copy: `sqlite:PATH` or `postgres://…`; no server may run on it
    #[arg(long, value_name = "URL", required_unless_present = "from_file")]
    from: Option<String>,
    /// A file that holds the URL of the database to copy
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    from_file: Option<PathBuf>,
    /// The database to copy into, which is empty or the beginning of this copy
    #[arg(long, value_name = "URL", required_unless_present = "to_file")]
    to: Option<String>,
    /// A file that holds the URL of the database to copy into
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    to_file: Option<PathBuf>,
    /// Copy nothing: only compare the two
    #[arg(long)]
    verify: bool,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub fn run(settings: &Settings, args: &CopyArgs) -> Result<(), Failure> {
    let from = Source(named(["--from", "--from-file"], &args.from, &args.from_file)?);
    let to = Target(named(["--to", "--to-file"], &args.to, &args.to_file)?);
    let ends = Ends::new(from, to, settings.database_allow_plaintext)?;
    if args.verify {
        // Locks are files, and would be made beside what is not there.
        ends.are_there()?;
    }
    let _locks = folder::keep_servers_out(ends.urls())?;
    let mut meter = Meter::new(std::io::stderr().is_terminal());
    let work = if args.verify { copy::compare } else { copy::copy };
    let outcome = work(&ends, &mut |progress| meter.show(progress));
    // The bar goes before anything is said in its place.
    drop(meter);
    let copied = outcome?;
    if args.json {
        return output::json(&as_json(&copied));
    }
    output::line(&as_text(&copied, args.verify))
}

fn named(
    [flag, file_flag]: [&'static str; 2],
    said: &Option<String>,
    file: &Option<PathBuf>,
) -> Result<DatabaseUrl, Failure> {
    let text = settings::url_of(said, file, file_flag)?;
    let text = text.ok_or_else(|| Failure::usage(format!("{flag} says which database")))?;
    DatabaseUrl::parse(text.trim()).map_err(|error| Failure::usage(format!("{flag}: {error}")))
}

fn as_json(copied: &Copied) -> Value {
    let tables: Vec<_> = copied
        .tables
        .iter()
        .map(|(name, tally)| json!({ "table": name, "rows": tally.rows, "digest": tally.digest() }))
        .collect();
    json!({ "tables": tables, "rows": rows(copied), "resumed_after": copied.resumed_after })
}

fn as_text(copied: &Copied, only_compared: bool) -> String {
    let (tables, rows) = (copied.tables.len(), rows(copied));
    if only_compared {
        return format!(
            "the two hold the same: {rows} rows of {tables} tables, compared by count and digest"
        );
    }
    let resumed = match copied.resumed_after {
        Some(before) => format!(" ({before} of them by an earlier attempt)"),
        None => String::new(),
    };
    format!("{rows} rows of {tables} tables are copied{resumed}, and compared by count and digest")
}

fn rows(copied: &Copied) -> u64 {
    copied.tables.iter().map(|(_, tally)| tally.rows).sum()
}
