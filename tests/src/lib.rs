//! Drives the running server from outside and holds the shape of the workspace.
