//! What a POST made, and that it says so when it was made before.

use actix_web::{HttpResponse, HttpResponseBuilder};
use harmony_access::{Id, Kind};
use harmony_workspace::{Error, Once};

/// What a POST made, now or before under its `Idempotency-Key`.
pub(crate) struct Created<T> {
    pub value: T,
    replayed: bool,
}

impl<T> Created<T> {
    /// Takes what was made, or finds what was made before.
    pub fn or_find<K: Kind>(
        once: Once<T>,
        find: impl FnOnce(Id<K>) -> Result<T, Error>,
    ) -> Result<Self, Error> {
        match once {
            Once::Made(value) => Ok(Self { value, replayed: false }),
            Once::Repeated(id) => {
                let id = Id::parse(&id).map_err(|_| Error::NotFound)?;
                Ok(Self { value: find(id)?, replayed: true })
            }
        }
    }

    /// 201, with the place of what was made.
    pub fn answer(&self, location: String) -> HttpResponseBuilder {
        let mut answer = HttpResponse::Created();
        answer.insert_header(("location", location));
        if self.replayed {
            say_replayed(&mut answer);
        }
        answer
    }
}

/// Says that nothing was made: the answer is that of the first request under the `Idempotency-Key`.
pub(crate) fn say_replayed(answer: &mut HttpResponseBuilder) {
    answer.insert_header(("idempotency-replayed", "true"));
}
