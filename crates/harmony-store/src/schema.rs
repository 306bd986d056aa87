//! The tables, as both databases have them; a test compares this with what the migrations make.

diesel::table! {
    workspaces (id) {
        id -> Text,
        name -> Text,
        default_permissions -> Text,
        longest_key_lifetime_secs -> Nullable<BigInt>,
        version -> BigInt,
        created_at -> BigInt,
    }
}

diesel::table! {
    roles (id) {
        id -> Text,
        workspace_id -> Text,
        name -> Text,
        description -> Text,
        built_in -> Nullable<Text>,
        permissions -> Text,
        version -> BigInt,
        created_at -> BigInt,
    }
}

diesel::table! {
    users (id) {
        id -> Text,
        workspace_id -> Text,
        role_id -> Text,
        email -> Text,
        name -> Text,
        password_hash -> Nullable<Text>,
        version -> BigInt,
        created_at -> BigInt,
    }
}

diesel::table! {
    teams (id) {
        id -> Text,
        workspace_id -> Text,
        name -> Text,
        version -> BigInt,
        created_at -> BigInt,
    }
}

diesel::table! {
    team_users (team_id, user_id) {
        team_id -> Text,
        user_id -> Text,
    }
}

diesel::table! {
    api_keys (id) {
        id -> Text,
        workspace_id -> Text,
        owner_id -> Text,
        role_id -> Nullable<Text>,
        name -> Text,
        digest -> Binary,
        last_four -> Text,
        foreign_text -> Bool,
        display_rate_limit -> Nullable<Text>,
        expires_at -> Nullable<BigInt>,
        rotated_to -> Nullable<Text>,
        version -> BigInt,
        created_at -> BigInt,
        created_by -> Nullable<Text>,
    }
}

diesel::table! {
    api_key_uses (key_id) {
        key_id -> Text,
        last_used_at -> BigInt,
        last_used_ip -> Text,
        workspace_id -> Text,
    }
}

diesel::table! {
    conversations (id) {
        id -> Text,
        workspace_id -> Text,
        owner_id -> Text,
        title -> Text,
        started_at -> BigInt,
        duration_secs -> BigInt,
        participants -> Text,
        summary -> Text,
        action_items -> Text,
        version -> BigInt,
        created_at -> BigInt,
    }
}

diesel::table! {
    transcript_segments (conversation_id, position) {
        conversation_id -> Text,
        position -> BigInt,
        speaker -> Text,
        start_secs -> Double,
        content -> Text,
    }
}

diesel::table! {
    sessions (id) {
        id -> Text,
        user_id -> Text,
        digest -> Binary,
        created_at -> BigInt,
        last_seen_at -> BigInt,
        expires_at -> BigInt,
        rights -> Text,
        browser -> Text,
        began_ip -> Text,
        last_seen_ip -> Text,
    }
}

diesel::table! {
    known_networks (user_id, network) {
        user_id -> Text,
        network -> Text,
        signed_in_at -> BigInt,
    }
}

diesel::table! {
    setup_links (digest) {
        digest -> Binary,
        expires_at -> BigInt,
    }
}

diesel::table! {
    audit_events (id) {
        id -> Text,
        workspace_id -> Text,
        at -> BigInt,
        actor_user_id -> Nullable<Text>,
        actor_key_id -> Nullable<Text>,
        action -> Text,
        subject_id -> Text,
        detail -> Text,
        client_ip -> Nullable<Text>,
        request_id -> Nullable<Text>,
    }
}

diesel::table! {
    idempotency_keys (principal_id, idempotency_key) {
        principal_id -> Text,
        idempotency_key -> Text,
        fingerprint -> Binary,
        resource_id -> Text,
        created_at -> BigInt,
    }
}

diesel::table! {
    revocation_head (id) {
        id -> BigInt,
        revision -> BigInt,
    }
}

diesel::table! {
    revocations (revision) {
        revision -> BigInt,
        at -> BigInt,
        kind -> Text,
        subject -> Text,
    }
}

diesel::table! {
    nodes (id) {
        id -> Text,
        lease_until -> BigInt,
        seen_revision -> BigInt,
        started_at -> BigInt,
    }
}

diesel::table! {
    api_key_usage (key_id, grain_secs, starts_at, outcome) {
        key_id -> Text,
        grain_secs -> BigInt,
        starts_at -> BigInt,
        outcome -> Text,
        requests -> BigInt,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    api_key_usage,
    workspaces,
    roles,
    users,
    teams,
    team_users,
    api_keys,
    api_key_uses,
    conversations,
    transcript_segments,
    sessions,
    known_networks,
    setup_links,
    audit_events,
    idempotency_keys,
    revocation_head,
    revocations,
    nodes,
);
diesel::joinable!(api_key_uses -> api_keys (key_id));
diesel::joinable!(team_users -> teams (team_id));
diesel::joinable!(sessions -> users (user_id));
diesel::joinable!(known_networks -> users (user_id));
