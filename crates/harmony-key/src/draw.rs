/// The operating system gave no random bytes. Nothing was drawn, and nothing weaker is used instead.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random bytes")]
pub struct DrawError(#[source] getrandom::Error);

/// Fills `bytes` with random bytes of the operating system, for callers that need identifiers or tokens.
///
/// # Errors
/// [`DrawError`] when the operating system gives none; `bytes` is then not to be used.
pub fn random(bytes: &mut [u8]) -> Result<(), DrawError> {
    getrandom::fill(bytes).map_err(DrawError)
}
