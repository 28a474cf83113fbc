//! WASI preview 2 with nothing in it: what language runtimes import links, and finds no files, no
//! network and no environment. Standard output and error go to the framework's log; the clocks show
//! the turn's time and a wait for them ends at once; random numbers come from the turn's seed.

use crate::boundary::Bytes;
use crate::clock::VirtualClock;
use crate::fault::Stop;
use crate::guest::Guest;
use crate::logs::{FrameworkLog, Stream};
use crate::random::RANDOM_BYTES_MAX;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::clocks::{monotonic_clock, wall_clock};
use wasmtime_wasi::p2::bindings::random::{insecure, insecure_seed, random};
use wasmtime_wasi::p2::bindings::{self, sync};
use wasmtime_wasi::p2::pipe::ClosedInputStream;
use wasmtime_wasi::p2::{
    DynPollable, OutputStream, Pollable, StreamError, StreamResult, subscribe,
};
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView, async_trait};
use wasmtime_wasi_io::bytes::Bytes as Buffer;

/// What a guest's `args` are.
const ARGUMENTS: [&str; 1] = ["framework"];
/// Bytes of one write to a standard stream.
const WRITE_BYTES_MAX: usize = 64 << 10;
/// How exact the clocks say that they are, in nanoseconds.
const RESOLUTION_NS: u64 = 1_000;

/// The interfaces that are linked, without the package's `wasi:` and the version's `@0.2.x`.
pub const OFFERED: [&str; 27] = [
    "cli/environment",
    "cli/exit",
    "cli/stdin",
    "cli/stdout",
    "cli/stderr",
    "cli/terminal-input",
    "cli/terminal-output",
    "cli/terminal-stdin",
    "cli/terminal-stdout",
    "cli/terminal-stderr",
    "clocks/monotonic-clock",
    "clocks/wall-clock",
    "filesystem/preopens",
    "filesystem/types",
    "io/error",
    "io/poll",
    "io/streams",
    "random/random",
    "random/insecure",
    "random/insecure-seed",
    "sockets/instance-network",
    "sockets/ip-name-lookup",
    "sockets/network",
    "sockets/tcp",
    "sockets/tcp-create-socket",
    "sockets/udp",
    "sockets/udp-create-socket",
];

/// The empty world of one instance.
pub fn context(log: &FrameworkLog) -> WasiCtx {
    WasiCtx::builder()
        .args(&ARGUMENTS)
        .stdin(ClosedInputStream)
        .stdout(LogPipe(log.clone(), Stream::Out))
        .stderr(LogPipe(log.clone(), Stream::Err))
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        .build()
}

/// Offers the interfaces to guests.
pub fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let l = linker;
    monotonic_clock::add_to_linker::<_, Own>(l, |guest| guest)?;
    wall_clock::add_to_linker::<_, Own>(l, |guest| guest)?;
    random::add_to_linker::<_, Own>(l, |guest| guest)?;
    insecure::add_to_linker::<_, Own>(l, |guest| guest)?;
    insecure_seed::add_to_linker::<_, Own>(l, |guest| guest)?;
    sync::io::poll::add_to_linker::<_, Own>(l, |guest| guest)?;

    bindings::io::error::add_to_linker::<_, Table>(l, |guest| &mut guest.table)?;
    sync::io::streams::add_to_linker::<_, Table>(l, |guest| &mut guest.table)?;
    {
        use bindings::cli;
        cli::exit::add_to_linker::<_, WasiCli>(l, WasiCliView::cli)?;
        cli::environment::add_to_linker::<_, WasiCli>(l, WasiCliView::cli)?;
        cli::stdin::add_to_linker::<_, WasiCli>(l, WasiCliView::cli)?;
        cli::stdout::add_to_linker::<_, WasiCli>(l, WasiCliView::cli)?;
        cli::stderr::add_to_linker::<_, WasiCli>(l, WasiCliView::cli)?;
        cli::terminal_input::add_to_linker::<_, WasiCli>(l, WasiCliView::cli)?;
        cli::terminal_output::add_to_linker::<_, WasiCli>(l, WasiCliView::cli)?;
        cli::terminal_stdin::add_to_linker::<_, WasiCli>(l, WasiCliView::cli)?;
        cli::terminal_stdout::add_to_linker::<_, WasiCli>(l, WasiCliView::cli)?;
        cli::terminal_stderr::add_to_linker::<_, WasiCli>(l, WasiCliView::cli)?;
    }
    bindings::filesystem::preopens::add_to_linker::<_, WasiFilesystem>(
        l,
        WasiFilesystemView::filesystem,
    )?;
    sync::filesystem::types::add_to_linker::<_, WasiFilesystem>(l, WasiFilesystemView::filesystem)?;
    {
        use WasiSocketsView as View;
        use bindings::sockets;
        let options = sync::LinkOptions::default();
        sockets::instance_network::add_to_linker::<_, WasiSockets>(l, View::sockets)?;
        sockets::network::add_to_linker::<_, WasiSockets>(l, &(&options).into(), View::sockets)?;
        sockets::ip_name_lookup::add_to_linker::<_, WasiSockets>(l, View::sockets)?;
        sockets::tcp_create_socket::add_to_linker::<_, WasiSockets>(l, View::sockets)?;
        sync::sockets::udp_create_socket::add_to_linker::<_, WasiSockets>(l, View::sockets)?;
        sync::sockets::tcp::add_to_linker::<_, WasiSockets>(l, View::sockets)?;
        sync::sockets::udp::add_to_linker::<_, WasiSockets>(l, View::sockets)?;
    }
    Ok(())
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

struct Own;

impl HasData for Own {
    type Data<'a> = &'a mut Guest;
}

struct Table;

impl HasData for Table {
    type Data<'a> = &'a mut ResourceTable;
}

// The clocks.

impl wall_clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(datetime(self.clock.wall_ns()))
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(datetime(RESOLUTION_NS))
    }
}

fn datetime(ns: u64) -> wall_clock::Datetime {
    wall_clock::Datetime {
        seconds: ns / 1_000_000_000,
        nanoseconds: (ns % 1_000_000_000) as u32,
    }
}

impl monotonic_clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(self.clock.monotonic_ns())
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(RESOLUTION_NS)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.wait_until(when)
    }

    fn subscribe_duration(&mut self, ns: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let when = self.clock.monotonic_ns().saturating_add(ns);
        self.wait_until(when)
    }
}

impl Guest {
    fn wait_until(&mut self, at_ns: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let deadline = self.table.push(ClockDeadline {
            clock: self.clock.clone(),
            at_ns,
        })?;
        subscribe(&mut self.table, deadline)
    }
}

/// A wait for the clock. It is ready as soon as nothing else is: then the clock jumps to the
/// nearest of the deadlines that are waited for.
struct ClockDeadline {
    clock: VirtualClock,
    at_ns: u64,
}

#[async_trait]
impl Pollable for ClockDeadline {
    async fn ready(&mut self) {
        let mut first = true;
        std::future::poll_fn(|cx| {
            if self.clock.has_come(self.at_ns) {
                return Poll::Ready(());
            }
            if std::mem::take(&mut first) {
                // The others of the same wait get to say that they are ready, or when they are.
                self.clock.await_ns(self.at_ns);
            } else if let Some(nearest) = self.clock.take_awaited_ns() {
                self.clock.jump_to(nearest.min(self.at_ns));
                if self.clock.has_come(self.at_ns) {
                    return Poll::Ready(());
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

// Waiting: nothing that a guest can hold takes time to become ready, so that the futures behind
// pollables are polled here, without a runtime.

impl sync::io::poll::Host for Guest {
    fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        self.boundary.lifted(pollables.len() as u64 * 4)?;
        let wait =
            wasmtime_wasi_io::bindings::wasi::io::poll::Host::poll(&mut self.table, pollables);
        let ready = finish(wait, &self.clock)?;
        self.boundary.lowered(ready.len() as u64 * 4)?;
        Ok(ready)
    }
}

impl sync::io::poll::HostPollable for Guest {
    fn ready(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<bool> {
        use wasmtime_wasi_io::bindings::wasi::io::poll::HostPollable;
        let ready = finish(HostPollable::ready(&mut self.table, pollable), &self.clock)?;
        if let (false, Some(nearest)) = (ready, self.clock.take_awaited_ns()) {
            // A loop that asks again and again ends, too.
            self.clock.jump_to(nearest);
        }
        Ok(ready)
    }

    fn block(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        use wasmtime_wasi_io::bindings::wasi::io::poll::HostPollable;
        finish(HostPollable::block(&mut self.table, pollable), &self.clock)
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> wasmtime::Result<()> {
        use wasmtime_wasi_io::bindings::wasi::io::poll::HostPollable;
        HostPollable::drop(&mut self.table, pollable)
    }
}

/// Polls of one wait at most: two settle any wait for clocks, however many there are.
const POLLS_MAX: usize = 8;

/// Runs a wait to its end.
fn finish<T>(
    wait: impl Future<Output = wasmtime::Result<T>>,
    clock: &VirtualClock,
) -> wasmtime::Result<T> {
    let mut wait = std::pin::pin!(wait);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    // What an earlier wait that ended otherwise was waiting for does not count.
    clock.take_awaited_ns();
    for _ in 0..POLLS_MAX {
        if let Poll::Ready(result) = wait.as_mut().poll(&mut cx) {
            return result;
        }
    }
    Err(
        Stop::BadArgument("the framework waits for something that can never happen".to_owned())
            .into(),
    )
}

// Random numbers.

impl Guest {
    fn random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        if len > RANDOM_BYTES_MAX {
            return Err(Stop::BadArgument(format!(
                "{len} random bytes at once; at most {RANDOM_BYTES_MAX}"
            ))
            .into());
        }
        let mut bytes = vec![0; len as usize];
        self.random.fill(&mut bytes);
        self.boundary.lowered(bytes.bytes())?;
        Ok(bytes)
    }
}

impl random::Host for Guest {
    fn get_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(len)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.random.next_u64())
    }
}

impl insecure::Host for Guest {
    fn get_insecure_random_bytes(&mut self, len: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(len)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        Ok(self.random.next_u64())
    }
}

impl insecure_seed::Host for Guest {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((self.random.next_u64(), self.random.next_u64()))
    }
}

// Standard output and error.

/// A standard stream that ends in the framework's log.
#[derive(Clone)]
struct LogPipe(FrameworkLog, Stream);

impl IsTerminal for LogPipe {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogPipe {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for LogPipe {
    fn write(&mut self, bytes: Buffer) -> StreamResult<()> {
        if bytes.len() > WRITE_BYTES_MAX {
            return Err(StreamError::trap(
                "a write was larger than check-write allowed",
            ));
        }
        self.0.bytes(self.1, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES_MAX)
    }
}

#[async_trait]
impl Pollable for LogPipe {
    async fn ready(&mut self) {}
}

impl tokio::io::AsyncWrite for LogPipe {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.bytes(self.1, bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
