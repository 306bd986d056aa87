//! The one-time link of the first run; the page behind it is the console's.

use std::{net::SocketAddr, time::Duration};

use harmony_key::SecretToken;
use harmony_store::setup_links;
use harmony_workspace::Workspace;

use crate::{failure::Failure, output, serve::read_clock};

/// How long a link is valid.
const VALID_FOR: Duration = Duration::from_secs(30 * 60);

/// A link that was just drawn; only its digest is kept.
pub struct SetupLink(SecretToken);

impl SetupLink {
    pub fn draw(workspace: &Workspace) -> Result<Self, Failure> {
        let (token, now) = (SecretToken::draw()?, read_clock().wall);
        workspace.store().write(|tx| setup_links::insert(tx, token.digest(), now, now.plus(VALID_FOR)))?;
        Ok(Self(token))
    }

    pub fn print(&self, address: SocketAddr) -> Result<(), Failure> {
        output::line("nobody can sign in yet; set the first workspace up within 30 minutes:")?;
        output::line(&format!("  http://{address}/setup/{}", self.0.reveal()))?;
        output::line(
            "or: harmony init --workspace NAME --name NAME --email ADDRESS --password-stdin (on this data folder)",
        )
    }
}
