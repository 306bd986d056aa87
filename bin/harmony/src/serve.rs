//! The running server: what is opened, in which order, and how it ends.

use std::{
    io::Write as _,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::AtomicBool,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use actix_web::{App, HttpResponse, HttpServer, dev::ServerHandle, web};
use harmony_access::{CacheCapacity, NodeId, Now, VerificationCache};
use harmony_actix::{
    ClientAddr, Clock, Code, Edge, ForwardedHeader, Guard, Observer, Problem, SystemClock, TrustedProxies,
    get,
};
use harmony_console::{Console, PublicUrl, RateLimit};
use harmony_limit::{Ipv6Prefix, Quota, QuotaError, TableMemory};
use harmony_store::{KeyFinder, OpenOptions, Store, StoreError, revocations};
use harmony_workspace::{
    Workspace, setup,
    usage::{self, Uses},
};

use crate::{
    access_log::AccessLog,
    demo::Demo,
    failure::Failure,
    folder::{self, ServeLock},
    limiter::RateLimiter,
    log::{self, Log},
    metrics::{self, Metrics},
    node::{Cache, Node},
    observer::Observers,
    output,
    settings::{self, Settings},
    setup_link::SetupLink,
};

/// How long a client may take for its headers.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long running requests may take after a signal, in seconds.
const SHUTDOWN_SECS: u64 = 30;
/// What is written when the last request has ended, and the leave that is taken of the other processes, take no longer.
const WRITTEN_WITHIN: Duration = Duration::from_secs(5);
/// How often the use of keys is written.
const FLUSH_EVERY: Duration = Duration::from_secs(2);
/// How often what is older than it is kept is forgotten.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);

#[derive(clap::Args)]
pub struct ServeArgs {
    /// Serve a throw-away workspace with people, conversations and a working key
    #[arg(long)]
    pub demo: bool,
}

/// Runs until a signal.
pub fn run(mut settings: Settings, args: &ServeArgs) -> Result<(), Failure> {
    // Before anything is made: who has to correct an entry starts again with what they had.
    check(&settings)?;
    // It is dropped last, so that what ends may still tell.
    let log = Log::start(settings.log_format)?;
    let demo = if args.demo { Some(Demo::prepare(&mut settings)?) } else { None };
    folder::prepare(&settings)?;
    let _lock = ServeLock::take(&settings)?;
    let rooms = Rooms::open(&settings, log.access(settings.log_format))?;
    let filled = demo.as_ref().map(|_| Demo::fill(&rooms.workspace)).transpose()?;
    let link =
        if setup::is_needed(&rooms.workspace)? { Some(SetupLink::draw(&rooms.workspace)?) } else { None };
    let flusher = Flusher::start(Arc::clone(&rooms.uses), rooms.workspace.clone());
    let public_url = public_url(&settings)?;
    let ready = |address: SocketAddr| {
        output::line(&format!("listening on http://{address}"))?;
        if let Some(link) = &link {
            link.print(address, public_url.as_ref())?;
        }
        filled.as_ref().map_or(Ok(()), |filled| filled.print(address, &settings.data_dir))
    };
    let served = actix_web::rt::System::new().block_on(serve(&settings, &rooms, ready));
    flusher.stop();
    rooms.limiter.stop();
    rooms.node.stop();
    served
}

/// Opens the store as the settings say.
pub fn open_store(settings: &Settings) -> Result<Store, Failure> {
    let options = OpenOptions {
        connections: settings.database_connections,
        allow_plaintext: settings.database_allow_plaintext,
        ..OpenOptions::default()
    };
    Ok(Store::open(&settings.database_url, &options)?)
}

/// All that lives as long as the server.
struct Rooms {
    workspace: Workspace,
    cache: Arc<Cache>,
    foreign_keys: Arc<AtomicBool>,
    limiter: Arc<RateLimiter>,
    addresses: Arc<ClientAddr>,
    metrics: web::Data<Metrics>,
    observers: Observers,
    uses: Arc<Uses>,
    node: Node,
}

impl Rooms {
    fn open(settings: &Settings, access: AccessLog) -> Result<Self, Failure> {
        let (limiter, addresses) = (Arc::new(limiter(settings)?), Arc::new(addresses(settings)?));
        let store = open_store(settings)?;
        let cache = Arc::new(VerificationCache::new(KeyFinder::new(store.clone()), CacheCapacity::default()));
        let foreign_keys = Arc::new(AtomicBool::new(true));
        let mut random = [0; 10];
        harmony_key::random(&mut random)?;
        let id = NodeId::new(read_clock().wall, random);
        let (kept, flag) = (Arc::clone(&cache), Arc::clone(&foreign_keys));
        // A lease that waited for a connection behind requests would be lost just when these are slow.
        let node = Node::start(id, store.apart()?, kept, flag, read_clock)?;
        let metrics = web::Data::new(Metrics::new(metrics::Rooms {
            cache: Arc::clone(&cache),
            limiter: Arc::clone(&limiter),
            store: store.clone(),
            addresses: Arc::clone(&addresses),
            standing: node.standing(),
        }));
        let uses = Arc::new(Uses::default());
        let observers =
            Observers { access: Arc::new(access), metrics: metrics.clone(), uses: Arc::clone(&uses) };
        let workspace = Workspace::new(store).in_process(node.process());
        Ok(Self { workspace, cache, foreign_keys, limiter, addresses, metrics, observers, uses, node })
    }

    fn corridor(&self, settings: &Settings) -> Result<Corridor, Failure> {
        let ipv6_prefix = Ipv6Prefix::new(settings.rate_limit_ipv6_prefix)
            .map_err(|error| Failure::usage(format!("rate_limit_ipv6_prefix: {error}")))?;
        Ok(Corridor {
            cache: Arc::clone(&self.cache),
            limiter: Arc::clone(&self.limiter),
            ipv6_prefix,
            foreign_keys: Arc::clone(&self.foreign_keys),
        })
    }
}

/// What each worker makes its guard of.
#[derive(Clone)]
struct Corridor {
    cache: Arc<Cache>,
    limiter: Arc<RateLimiter>,
    ipv6_prefix: Ipv6Prefix,
    foreign_keys: Arc<AtomicBool>,
}

impl Corridor {
    fn guard(&self, observer: Rc<dyn Observer>) -> Guard<RateLimiter> {
        Guard::over(Arc::clone(&self.cache), Arc::clone(&self.limiter))
            .ipv6_prefix(self.ipv6_prefix)
            .foreign_keys(Arc::clone(&self.foreign_keys))
            .observer(observer)
    }
}

/// What only the rooms can say of the settings.
pub fn check(settings: &Settings) -> Result<(), Failure> {
    quota(settings)?;
    public_url(settings)?;
    log::filter()?;
    addresses(settings).map(drop)
}

fn limiter(settings: &Settings) -> Result<RateLimiter, Failure> {
    let (quota, memory) = quota(settings)?;
    RateLimiter::start(settings, quota, memory)
}

fn quota(settings: &Settings) -> Result<(Quota, TableMemory), Failure> {
    let wrong = |entry: &str, error: &dyn std::fmt::Display| Failure::usage(format!("{entry}: {error}"));
    let quota = Quota::new(settings.rate_limit_requests, settings.window()).map_err(|error| match error {
        QuotaError::Limit(limit) => out_of_range(
            "rate_limit_requests",
            limit.into(),
            Quota::MIN_LIMIT.into(),
            Quota::MAX_LIMIT.into(),
        ),
        QuotaError::Window(window) => {
            let [least, most] = [Quota::MIN_WINDOW, Quota::MAX_WINDOW].map(|bound| bound.as_secs());
            out_of_range("rate_limit_window_secs", window.as_secs(), least, most)
        }
        other => wrong("rate_limit_requests and rate_limit_window_secs", &other),
    })?;
    let memory = TableMemory::new(settings.rate_limit_memory_mib.saturating_mul(1 << 20))
        .map_err(|error| wrong("rate_limit_memory_mib", &error))?;
    Ok((quota, memory))
}

fn out_of_range(entry: &str, value: u64, least: u64, most: u64) -> Failure {
    Failure::usage(format!("{entry}: {value} is not in {least} to {most}"))
}

fn addresses(settings: &Settings) -> Result<ClientAddr, Failure> {
    let proxies = TrustedProxies::parse(settings.trusted_proxies.iter().map(String::as_str))
        .map_err(|error| Failure::usage(format!("trusted_proxies: {error}")))?;
    let header = match settings.forwarded_header {
        settings::ForwardedHeader::XForwardedFor => ForwardedHeader::XForwardedFor,
        settings::ForwardedHeader::Forwarded => ForwardedHeader::Forwarded,
    };
    Ok(ClientAddr::new(proxies, header))
}

fn console(settings: &Settings, workspace: &Workspace) -> Result<Console, Failure> {
    let limit =
        RateLimit { requests: settings.rate_limit_requests, window_secs: settings.window().as_secs() };
    Ok(Console::new(workspace.clone(), limit, public_url(settings)?))
}

fn public_url(settings: &Settings) -> Result<Option<PublicUrl>, Failure> {
    let read = settings.public_url.as_deref().map(PublicUrl::parse).transpose();
    read.map_err(|error| Failure::usage(format!("public_url: {error}")))
}

/// Both clocks, for those who work outside a request.
pub fn read_clock() -> Now {
    SystemClock.now()
}

async fn serve(
    settings: &Settings,
    rooms: &Rooms,
    ready: impl Fn(SocketAddr) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let corridor = rooms.corridor(settings)?;
    let (clock, addresses) = (Arc::new(SystemClock), Arc::clone(&rooms.addresses));
    let api = harmony_api::Api::new(rooms.workspace.clone());
    let console = console(settings, &rooms.workspace)?;
    let health =
        web::Data::new(Health { store: rooms.workspace.store().clone(), cache: Arc::clone(&rooms.cache) });
    let observers = rooms.observers.clone();
    let app = move || {
        let observer = observers.worker();
        App::new()
            .app_data(health.clone())
            .wrap(Edge::new(clock.clone(), Arc::clone(&addresses)).observer(Rc::clone(&observer)))
            // In the order in which most requests come: patterns are tried one after the other.
            .configure(|config| harmony_api::mount(config, &api, corridor.guard(observer)))
            .service(web::resource("/healthz").route(get().to(healthy)))
            .service(web::resource("/readyz").route(get().to(is_ready)))
            .configure(|config| harmony_console::mount(config, &console))
            .default_service(web::to(harmony_actix::not_found))
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let server = HttpServer::new(app)
        .workers(cores)
        .client_request_timeout(HEADERS_WITHIN)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(SHUTDOWN_SECS)
        .disable_signals()
        .bind(settings.listen)
        .map_err(|error| cannot_listen("listen", settings.listen, &error))?;
    let address = server.addrs().first().copied().unwrap_or(settings.listen);
    let metrics = serve_metrics(settings, rooms)?;
    let server = server.run();
    actix_web::rt::spawn(stop_on_signal(server.handle())?);
    // Whoever started the server may have stopped reading; it serves nevertheless.
    if let Err(failure) = ready(address) {
        tracing::warn!(%failure, "standard output is closed");
    }
    let served = server.await;
    std::thread::spawn(end_at_the_latest);
    metrics.stop(false).await;
    tracing::info!("stopped");
    Ok(served?)
}

fn cannot_listen(entry: &str, address: SocketAddr, error: &std::io::Error) -> Failure {
    Failure::of(&format!("{entry}: cannot listen on {address}"), error)
}

fn serve_metrics(settings: &Settings, rooms: &Rooms) -> Result<ServerHandle, Failure> {
    let metrics = rooms.metrics.clone();
    let app = move || {
        App::new()
            .app_data(metrics.clone())
            .service(web::resource("/metrics").route(get().to(metrics::scrape)))
    };
    let server = HttpServer::new(app)
        .workers(1)
        .client_request_timeout(HEADERS_WITHIN)
        .disable_signals()
        .bind(settings.metrics_listen)
        .map_err(|error| cannot_listen("metrics_listen", settings.metrics_listen, &error))?;
    let address = server.addrs().first().copied().unwrap_or(settings.metrics_listen);
    tracing::info!("metrics on http://{address}/metrics");
    let server = server.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    Ok(handle)
}

/// Whichever signal comes first: no new connections, and what runs may end; an interrupt after that ends it at once.
fn stop_on_signal(handle: ServerHandle) -> Result<impl Future<Output = ()>, Failure> {
    use actix_web::rt::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping: requests under way have {SHUTDOWN_SECS} s");
        let stopping = handle.stop(true);
        tokio::select! {
            () = stopping => {}
            _ = interrupt.recv() => handle.stop(false).await,
        }
    })
}

/// A database that hangs holds threads that nobody can end, and what is left to write cannot be written.
fn end_at_the_latest() {
    std::thread::sleep(WRITTEN_WITHIN);
    let secs = WRITTEN_WITHIN.as_secs();
    let lost =
        format!("the last counts were not written within {secs} s after the last request, and are lost\n");
    let _ = std::io::stderr().write_all(lost.as_bytes());
    std::process::exit(1);
}

/// What readiness is judged by.
struct Health {
    store: Store,
    cache: Arc<Cache>,
}

async fn healthy() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({ "status": "ok" }))
}

async fn is_ready(health: web::Data<Health>) -> Result<HttpResponse, Problem> {
    let store = health.store.clone();
    let head: Result<_, StoreError> =
        health.store.use_cases().run(move || store.read(revocations::head)).await;
    if head.is_ok() && health.cache.lease().holds(read_clock().boot) {
        Ok(healthy().await)
    } else {
        Err(Problem::new(Code::Unavailable))
    }
}

/// The thread that writes how keys are used.
struct Flusher {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Flusher {
    fn start(uses: Arc<Uses>, workspace: Workspace) -> Self {
        let (stop, stopped) = channel();
        let thread = std::thread::spawn(move || {
            let mut pruned = None;
            loop {
                let ends = !matches!(stopped.recv_timeout(FLUSH_EVERY), Err(RecvTimeoutError::Timeout));
                if let Err(error) = uses.flush(&workspace) {
                    tracing::warn!(%error, "the use of keys cannot be written; it is kept for the next time");
                }
                let now = read_clock();
                if pruned.is_none_or(|last| now.boot >= last + PRUNE_EVERY) {
                    pruned = Some(now.boot);
                    if let Err(error) = usage::prune(&workspace, now.wall) {
                        tracing::warn!(%error, "old use of keys cannot be forgotten; it is tried again later");
                    }
                }
                if ends {
                    break;
                }
            }
        });
        Self { stop, thread }
    }

    /// Writes what is left, and ends.
    fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}
