//! What an actix-web service mounts to be guarded: client address, limiter, authentication, Granted, the one problem mapping.
