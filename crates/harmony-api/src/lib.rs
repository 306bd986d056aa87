//! JSON: the /v1 routes and their OpenAPI description.
