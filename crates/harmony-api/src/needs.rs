//! What handlers need, as types: each route's permission stands in its handler's signature.

use harmony_actix::Requirement;
use harmony_permission::{Action, Scope, catalogue};

macro_rules! needs {
    ($($name:ident = $action:ident at $scope:ident;)*) => {$(
        pub(crate) enum $name {}
        impl Requirement for $name {
            const ACTION: Action = catalogue::$action;
            const NARROWEST: Scope = Scope::$scope;
        }
    )*};
}

needs! {
    ReadKeys = API_KEYS_READ at Team;
    CreateKeys = API_KEYS_CREATE at All;
    DeleteKeys = API_KEYS_DELETE at All;
    VerifyKeys = API_KEYS_VERIFY at All;
    ReadConversations = CONVERSATIONS_READ at Own;
    CreateConversations = CONVERSATIONS_CREATE at Own;
    UpdateConversations = CONVERSATIONS_UPDATE at Own;
    DeleteConversations = CONVERSATIONS_DELETE at Own;
    ReadRoles = ROLES_READ at All;
    CreateRoles = ROLES_CREATE at All;
    UpdateRoles = ROLES_UPDATE at All;
    DeleteRoles = ROLES_DELETE at All;
    ReadUsers = USERS_READ at Own;
    CreateUsers = USERS_CREATE at All;
    UpdateUsers = USERS_UPDATE at All;
    DeleteUsers = USERS_DELETE at All;
    ReadTeams = TEAMS_READ at Own;
    CreateTeams = TEAMS_CREATE at All;
    UpdateTeams = TEAMS_UPDATE at All;
    DeleteTeams = TEAMS_DELETE at All;
    ReadWorkspace = WORKSPACE_READ at Own;
    ReadNodes = WORKSPACE_READ at All;
    UpdateWorkspace = WORKSPACE_UPDATE at All;
    ReadAudit = AUDIT_LOG_READ at All;
}
