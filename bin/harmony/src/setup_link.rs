//! The one-time link of the first run; the page behind it is the console's.

use std::{net::SocketAddr, time::Duration};

use harmony_console::PublicUrl;
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

    pub fn print(&self, address: SocketAddr, public_url: Option<&PublicUrl>) -> Result<(), Failure> {
        output::line("nobody can sign in yet; set the first workspace up within 30 minutes:")?;
        output::line(&format!("  {}/setup/{}", origin(address, public_url), self.0.reveal()))?;
        output::line(
            "or: harmony init --workspace NAME --name NAME --email ADDRESS --password-stdin (on this data folder)",
        )
    }
}

/// Where a browser finds the page. `0.0.0.0` is where the server listens and no place to go to: who is not told a public URL is
/// on the same machine.
fn origin(address: SocketAddr, public_url: Option<&PublicUrl>) -> String {
    match public_url {
        Some(url) => url.as_str().to_owned(),
        None if address.ip().is_unspecified() => format!("http://localhost:{}", address.port()),
        None => format!("http://{address}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_where_a_browser_finds_the_server() {
        let at = |address: &str| origin(address.parse().unwrap(), None);
        assert_eq!(at("127.0.0.1:8080"), "http://127.0.0.1:8080");
        assert_eq!(at("[::1]:8080"), "http://[::1]:8080");
        assert_eq!(at("0.0.0.0:8080"), "http://localhost:8080");
        assert_eq!(at("[::]:8080"), "http://localhost:8080");
        let public = PublicUrl::parse("https://keys.example.com/").unwrap();
        assert_eq!(origin("0.0.0.0:8080".parse().unwrap(), Some(&public)), "https://keys.example.com");
    }
}
