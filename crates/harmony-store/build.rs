//! Builds nothing, but watches the migrations: the macro that embeds them is not run again for a new one.

use std::io::Write;

fn main() -> std::io::Result<()> {
    writeln!(std::io::stdout(), "cargo:rerun-if-changed=migrations")
}
