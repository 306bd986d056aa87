//! Whether a form was sent from one of our own pages.

use actix_web::{HttpRequest, http::header};

/// The address under which browsers reach the server, such as `https://keys.example.com`, when a proxy stands before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    origin: String,
}

/// Why a text is no [`PublicUrl`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a public URL is http:// or https:// and a host, such as https://keys.example.com, without a path")]
pub struct PublicUrlError;

impl PublicUrl {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// For another scheme, and for anything behind the host and the port.
    pub fn parse(text: &str) -> Result<Self, PublicUrlError> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let host =
            text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or(PublicUrlError)?;
        let allowed =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']');
        if host.is_empty() || !host.bytes().all(allowed) {
            return Err(PublicUrlError);
        }
        Ok(Self { origin: text.to_ascii_lowercase() })
    }

    /// Whether browsers come through TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.origin.starts_with("https://")
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.origin
    }
}

/// Whether the browser says that one of our own pages sent this. What browsers do not let a page forge decides:
/// `Sec-Fetch-Site`, and `Origin` where that is missing (it is, on plain HTTP to another host than localhost). A request with
/// neither is refused: no browser sends a form without.
pub(crate) fn is_ours(request: &HttpRequest, public_url: Option<&PublicUrl>) -> bool {
    let text = |name: header::HeaderName| request.headers().get(name)?.to_str().ok();
    if let Some(site) = text(header::HeaderName::from_static("sec-fetch-site")) {
        return site == "same-origin";
    }
    let Some(origin) = text(header::ORIGIN) else { return false };
    let origin = origin.to_ascii_lowercase();
    if let Some(public_url) = public_url {
        return origin == public_url.origin;
    }
    let Some(host) = text(header::HOST) else { return false };
    let host = host.to_ascii_lowercase();
    origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) == Some(&host)
}

/// Where programs and other people find this server: the public URL, or else where this browser found it.
pub(crate) fn address(request: &HttpRequest, public_url: Option<&PublicUrl>) -> String {
    public_url
        .map_or_else(|| format!("http://{}", request.connection_info().host()), |url| url.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn ours(headers: &[(&'static str, &str)], public_url: Option<&str>) -> bool {
        let mut request = TestRequest::post();
        for (name, value) in headers {
            request = request.insert_header((*name, *value));
        }
        let public_url = public_url.map(|text| PublicUrl::parse(text).unwrap());
        is_ours(&request.to_http_request(), public_url.as_ref())
    }

    #[test]
    fn only_a_page_of_ours_may_send_a_form() {
        assert!(ours(&[("sec-fetch-site", "same-origin")], None));
        for site in ["cross-site", "same-site", "none", ""] {
            let headers = [("sec-fetch-site", site), ("origin", "http://a:1"), ("host", "a:1")];
            assert!(!ours(&headers, None), "{site}");
        }
        assert!(ours(&[("origin", "http://a:1"), ("host", "a:1")], None));
        for origin in ["http://b:1", "http://a:2", "http://a", "null", "ftp://a:1", "http://a:1.b"] {
            assert!(!ours(&[("origin", origin), ("host", "a:1")], None), "{origin}");
        }
        assert!(!ours(&[("host", "a:1")], None));
        assert!(!ours(&[("origin", "http://a:1")], None));
    }

    #[test]
    fn behind_a_proxy_the_public_url_counts_and_not_the_host() {
        let public = Some("https://keys.example.com");
        assert!(ours(&[("origin", "https://keys.example.com"), ("host", "127.0.0.1:8080")], public));
        assert!(!ours(&[("origin", "http://127.0.0.1:8080"), ("host", "127.0.0.1:8080")], public));
    }

    #[test]
    fn a_public_url_is_an_origin_and_nothing_more() {
        assert!(PublicUrl::parse("https://keys.example.com/").unwrap().is_secure());
        assert_eq!(PublicUrl::parse("http://LOCALHOST:8080").unwrap().as_str(), "http://localhost:8080");
        for wrong in
            ["", "keys.example.com", "ftp://a", "https://", "https://a/b", "https://u@a", "https://a?b"]
        {
            assert_eq!(PublicUrl::parse(wrong), Err(PublicUrlError), "{wrong}");
        }
    }
}
