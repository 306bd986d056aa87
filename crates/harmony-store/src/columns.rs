//! How the domain's types lie in columns.

use std::fmt;

use diesel::{
    backend::Backend,
    deserialize::{self, FromSql, FromSqlRow},
    sql_types::{BigInt, Binary, Nullable, Text},
};
use harmony_access::{Id, Kind, Timestamp};
use harmony_key::{KeyDigest, LastFour};
use harmony_permission::{Permission, PermissionSet};

/// The number of times that a row was changed, from 1 on: what an `ETag` is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version(i64);

impl Version {
    /// The version of a row that was just made.
    pub const FIRST: Self = Self(1);

    /// From the stored number.
    #[must_use]
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// The stored number.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }

    /// The version after one more change.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// A part of a list: at most `limit` rows after the one that `after` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<C> {
    /// Where the page before ended; `None` for the first page.
    pub after: Option<C>,
    /// The most rows wanted.
    pub limit: u32,
}

/// A list of permissions as one text, separated by spaces.
pub(crate) fn permissions_to_text(permissions: &PermissionSet) -> String {
    permissions.to_permissions().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[derive(Debug)]
struct Corrupt(&'static str);

impl fmt::Display for Corrupt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a stored {} is not one", self.0)
    }
}

impl std::error::Error for Corrupt {}

macro_rules! column {
    ($(#[$about:meta])* $name:ident$(<$kind:ident>)? => $domain:ty, $sql:ty, $raw:ty, $read:expr) => {
        $(#[$about])*
        #[derive(FromSqlRow)]
        pub struct $name$(<$kind: Kind>)?($domain);

        impl<$($kind: Kind,)? DB: Backend> FromSql<$sql, DB> for $name$(<$kind>)?
        where
            $raw: FromSql<$sql, DB>,
        {
            fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
                let read: fn($raw) -> Option<$domain> = $read;
                read(<$raw>::from_sql(bytes)?).map(Self).ok_or_else(|| Corrupt(stringify!($name)).into())
            }

            // Without this one no column would take a NULL, also not those that have a meaning for it.
            fn from_nullable_sql(bytes: Option<DB::RawValue<'_>>) -> deserialize::Result<Self> {
                let read: fn($raw) -> Option<$domain> = $read;
                read(<$raw>::from_nullable_sql(bytes)?).map(Self).ok_or_else(|| Corrupt(stringify!($name)).into())
            }
        }

        impl$(<$kind: Kind>)? From<$name$(<$kind>)?> for $domain {
            fn from(column: $name$(<$kind>)?) -> Self {
                column.0
            }
        }
    };
}

column!(IdText<K> => Id<K>, Text, String, |text| Id::parse(&text).ok());
column!(MaybeId<K> => Option<Id<K>>, Nullable<Text>, Option<String>, |text| match text {
    None => Some(None),
    Some(text) => Id::parse(&text).ok().map(Some),
});
column!(Millis => Timestamp, BigInt, i64, |millis| Some(Timestamp::from_millis(millis)));
column!(MaybeMillis => Option<Timestamp>, Nullable<BigInt>, Option<i64>, |millis| {
    Some(millis.map(Timestamp::from_millis))
});
column!(VersionNumber => Version, BigInt, i64, |number| Some(Version(number)));
column!(Texts => Vec<String>, Text, String, |json| serde_json::from_str(&json).ok());
column!(Digest => KeyDigest, Binary, Vec<u8>, |bytes| KeyDigest::from_stored(&bytes));
column!(LastFourText => LastFour, Text, String, |text| LastFour::from_stored(&text));
column!(PermissionText => PermissionSet, Text, String, |text| {
    text.split_whitespace().map(|word| Permission::parse(word).ok()).collect::<Option<Vec<_>>>().map(PermissionSet::from_iter)
});
