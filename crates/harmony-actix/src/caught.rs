//! A handler's panic ends its request, not the server, and becomes an error like any other.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::{
    Error,
    dev::{Service, ServiceRequest},
};
use futures_util::future::{CatchUnwind, FutureExt as _};
use pin_project_lite::pin_project;

use crate::Problem;

pin_project! {
    /// A call of the inner service. Nothing of it is used after a panic, which is why unwinding through it is safe.
    pub(crate) struct Caught<Fut> {
        #[pin]
        running: Option<CatchUnwind<AssertUnwindSafe<Fut>>>,
    }
}

impl<Fut: Future> Caught<Fut> {
    /// Calls the service; routing happens in the call itself, and may panic as well.
    pub(crate) fn call<S>(service: &S, request: ServiceRequest) -> Self
    where
        S: Service<ServiceRequest, Future = Fut>,
    {
        let called = catch_unwind(AssertUnwindSafe(|| service.call(request)));
        Self { running: called.ok().map(|running| AssertUnwindSafe(running).catch_unwind()) }
    }
}

impl<Fut, R> Future for Caught<Fut>
where
    Fut: Future<Output = Result<R, Error>>,
{
    type Output = Result<R, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(running) = self.project().running.as_pin_mut() else { return Poll::Ready(Err(panicked())) };
        running.poll(context).map(|ended| ended.unwrap_or_else(|_| Err(panicked())))
    }
}

/// What it said is in the panic hook's own line.
fn panicked() -> Error {
    Problem::internal("a handler panicked").into()
}
