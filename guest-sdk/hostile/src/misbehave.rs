//! The kinds of misbehaviour.

use mezzo_sdk::prelude::*;
use serde::{Deserialize, Serialize};
use std::hint::black_box;

/// What the options say.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// How.
    #[serde(default)]
    pub misbehave: Kind,
    /// A program to launch first, as the task `hostage`.
    #[serde(default)]
    pub task: Option<Vec<String>>,
    /// For `spin-near-limit`: about how much CPU time each turn burns, in milliseconds.
    #[serde(default = "spin_ms")]
    pub spin_ms: u64,
}

fn spin_ms() -> u64 {
    200
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident),* $(,)?) => {
        /// How it misbehaves.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Kind { $($(#[$doc])* $kind),* }

        impl Kind {
            /// Every kind.
            pub const ALL: &[Kind] = &[$(Kind::$kind),*];
        }
    };
}

kinds! {
    /// It does not; its timer fires every 100 ms.
    #[default]
    WellBehaved,
    /// `start` does not return.
    LoopInStart,
    /// `start` panics.
    PanicInStart,
    /// `start` returns an error.
    RefuseToStart,
    /// `start` panics on the first start after an upgrade.
    PanicOnStartAfterUpgrade,
    /// `handle` does not return.
    LoopInHandle,
    /// `handle` panics.
    TrapInHandle,
    /// `handle` recurses until the stack is used up.
    Recurse,
    /// `handle` allocates and touches memory until there is none.
    GrowMemory,
    /// `handle` burns `spin_ms` of CPU, and asks for the next turn at once.
    SpinNearLimit,
    /// `handle` sleeps, as far as it is let.
    SleepForever,
    /// `handle` calls `exit`.
    Exit,
    /// `handle` writes 20,000 lines of 100 bytes, ten times a second.
    LogFlood,
    /// `handle` writes lines of 16 MiB, a hundred of them.
    LogHuge,
    /// `handle` asks for a million launches, 50,000 a call, on an offer that is not its own.
    MillionLaunches,
    /// `handle` wants a hundred thousand things.
    MillionDemands,
    /// `handle` writes 8 MiB of new state, turn after turn.
    StateOverQuota,
    /// `handle` sets a hundred thousand timers.
    MillionTimers,
    /// `handle` logs a message that is no UTF-8.
    BadUtf8,
    /// `handle` logs a message that lies outside of its memory.
    BadPointer,
    /// `handle` tries for files, environment and network, reads the clocks, sleeps, draws a random number, and logs
    /// what came of it.
    Probe,
    /// `handle` kills, finds and launches under ids that are not its own; whatever is not refused makes it panic.
    Forge,
    /// `handle` reserves, gives back, makes and destroys volumes with numbers, lists and names that cannot be, or that
    /// are not its own, and logs the refusals; whatever is not refused makes it panic.
    ForgeReservations,
    /// After `start` the allocator does not return: the next lowering of arguments hangs.
    LoopInRealloc,
    /// After `start` the allocator returns addresses outside of the memory.
    ReallocOutOfRange,
    /// After `start` the allocator returns odd addresses.
    ReallocMisaligned,
    /// Requests panic.
    TrapInWeb,
    /// Requests are not answered.
    LoopInWeb,
    /// Requests are answered with 32 MiB.
    HugeBody,
    /// Requests are answered with a status and headers that HTTP does not have.
    BadResponse,
    /// Requests become streams that get 1 MiB in each turn and never end.
    StreamFlood,
}

/// What it does in `start`.
pub fn in_start(options: &Options, upgraded: bool) -> Result<(), String> {
    match options.misbehave {
        Kind::LoopInStart => forever(),
        Kind::PanicInStart => panic!("as it was told to"),
        Kind::PanicOnStartAfterUpgrade if upgraded => panic!("after an upgrade, as it was told to"),
        Kind::RefuseToStart => Err("it will not, as it was told to".to_owned()),
        _ => Ok(()),
    }
}

/// What it does in `handle`. Returns when to be woken again, if it should be.
pub fn in_handle(options: &Options, cx: &mut Cx<'_>) -> Option<u64> {
    match options.misbehave {
        Kind::LoopInHandle => forever(),
        Kind::TrapInHandle => panic!("as it was told to"),
        Kind::Recurse => panic!("the stack held: {}", recurse(0)),
        Kind::GrowMemory => grow(),
        Kind::SpinNearLimit => {
            spin(options.spin_ms);
            Some(0)
        }
        Kind::SleepForever => {
            std::thread::sleep(std::time::Duration::from_secs(u64::from(u32::MAX)));
            Some(0)
        }
        Kind::Exit => std::process::exit(3),
        Kind::LogFlood => {
            let line = "flood ".repeat(16);
            (0..20_000).for_each(|_| cx.info(&line));
            Some(100)
        }
        Kind::LogHuge => {
            let line = "x".repeat(16 << 20);
            (0..100).for_each(|_| cx.info(&line));
            Some(1_000)
        }
        Kind::MillionLaunches => {
            launches(cx);
            Some(1_000)
        }
        Kind::MillionDemands => {
            let demand = |n| Demand::new(format!("d{n}"), Resources::new(1, 1), u32::MAX);
            let demands: Vec<Demand> = (0..100_000).map(demand).collect();
            let outcome = cx.want(&demands).map_err(String::from);
            note(cx, "want", outcome);
            Some(1_000)
        }
        Kind::StateOverQuota => {
            state(cx);
            Some(0)
        }
        Kind::MillionTimers => {
            let refused =
                (0..100_000).find_map(|n| cx.set_timer(&format!("t{n}"), 1_000_000).err());
            note(cx, "timers", refused.map_or(Ok(()), Err));
            Some(1_000)
        }
        Kind::BadUtf8 => {
            // SAFETY: it is not what is promised; the host must find out.
            cx.info(unsafe { std::str::from_utf8_unchecked(black_box(&[b'a', 0xff, b'b'])) });
            Some(1_000)
        }
        Kind::BadPointer => {
            let outside = black_box(usize::MAX - 4_095) as *const u8;
            // SAFETY: as above; nothing here looks at the bytes.
            let bytes = unsafe { std::slice::from_raw_parts(outside, 4_000) };
            // SAFETY: as above.
            cx.info(unsafe { std::str::from_utf8_unchecked(bytes) });
            Some(1_000)
        }
        Kind::Probe => {
            crate::probe::all(cx);
            None
        }
        Kind::Forge => {
            forge(cx);
            Some(1_000)
        }
        Kind::ForgeReservations => {
            forge_reservations(cx);
            Some(1_000)
        }
        Kind::StreamFlood => {
            for (key, _) in cx.state_scan("stream/").collect::<Vec<_>>() {
                let id = key.trim_start_matches("stream/").parse().unwrap_or(0);
                cx.stream_write(id, &vec![b'x'; 1 << 20]);
            }
            Some(0)
        }
        _ => Some(100),
    }
}

/// What it answers a request with, unless it is the usual.
pub fn in_web(options: &Options, cx: &mut Cx<'_>, call: &Call<'_>) -> Option<Response> {
    match options.misbehave {
        Kind::TrapInWeb => panic!("as it was told to"),
        Kind::LoopInWeb => forever(),
        Kind::HugeBody => Some(Response::bytes(
            200,
            "application/octet-stream",
            vec![b'x'; 32 << 20],
        )),
        Kind::BadResponse => Some(Response::text(42, "x").header("bad\r\nname", "bad\r\nvalue")),
        Kind::StreamFlood => {
            let id = call.request.id;
            let outcome = cx.state_set(&format!("stream/{id}"), b"1");
            note(cx, "stream", outcome);
            Some(Response::stream(200, "application/octet-stream"))
        }
        _ => None,
    }
}

fn forever() -> ! {
    let mut n = 0_u64;
    loop {
        n = black_box(n.wrapping_add(1));
    }
}

fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 16]);
    if black_box(true) {
        recurse(depth + 1) + black_box(frame[3])
    } else {
        frame[0]
    }
}

fn grow() -> ! {
    let mut all: Vec<Vec<u8>> = Vec::new();
    loop {
        all.push(black_box(vec![1; 1 << 20]));
    }
}

/// About a nanosecond an iteration where compiled code runs at 3 GHz; the clock is no help, it is the turn's.
fn spin(ms: u64) {
    let mut n = black_box(1_u64);
    for _ in 0..ms * 1_000_000 {
        n = n
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
    }
    black_box(n);
}

fn launches(cx: &mut Cx<'_>) {
    for batch in 0..20 {
        let placement = |n| Placement {
            offer: 1,
            demand: None,
            task: Task::process(format!("m{batch}-{n}"), ["true"]),
        };
        let placements: Vec<Placement> = (0..50_000).map(placement).collect();
        let outcome = cx.launch(&placements).map(|_| ()).map_err(String::from);
        note(cx, "launch", outcome);
    }
}

fn state(cx: &mut Cx<'_>) {
    let value = vec![b'x'; (1 << 20) - 512];
    let base = cx.state_scan("fill/").count();
    for n in base..base + 8 {
        let outcome = cx.state_set(&format!("fill/{n:06}"), &value);
        note(cx, "state", outcome);
    }
}

fn forge(cx: &mut Cx<'_>) {
    for id in [0, 1, 2, u64::MAX] {
        let task = Task::process("forged", ["true"]);
        let placement = Placement {
            offer: id,
            demand: None,
            task,
        };
        expect_refusal("launch", cx.launch(&[placement]).err());
    }
    for id in ["j1.0.1", "../../etc/passwd", "", "hostage\0"] {
        expect_refusal("kill", cx.kill(id).err());
        assert!(
            cx.find_task(id).is_none(),
            "it was shown a task that is not its own: {id:?}"
        );
    }
    cx.info("everything was refused");
}

fn forge_reservations(cx: &mut Cx<'_>) {
    let one = Resources::new(1, 0);
    let huge = Resources::new(u64::MAX, 0);
    let label = |key: String| Label {
        key,
        value: String::new(),
    };
    let many: Vec<Label> = (0..50_000).map(|n| label(n.to_string())).collect();
    let long = "x".repeat(1 << 20);
    for id in [0, 1, 1 << 53, u64::MAX] {
        let refusals = [
            cx.reserve_with(id, &one, &[], None).err(),
            cx.reserve_with(id, &one, &[], Some(u64::MAX)).err(),
            cx.reserve_with(id, &huge, &[], None).err(),
            cx.reserve_with(id, &Resources::default(), &[], None).err(),
            cx.reserve_with(id, &one, &many, None).err(),
            cx.unreserve(id).err(),
            cx.create_volume(id, "data", u64::MAX).err(),
            cx.create_volume(id, &long, 1).err(),
            cx.destroy_volume(id, "../data").err(),
            cx.destroy_volume(id, &long).err(),
        ];
        for refusal in refusals {
            match refusal {
                Some(refusal) => cx.info(refusal.text()),
                None => panic!("reservation or offer {id}: it was not refused"),
            }
        }
        assert!(cx.find_reservation(id).is_none());
    }
    let ids = 0..100_000;
    let demand = Demand::new("d", Resources::new(1, 1), 1).from_reservations(ids);
    expect_refusal("want", cx.want(std::slice::from_ref(&demand)).err());
    let demand = Demand::new("d", Resources::new(1, 1), 1).from_reservations([u64::MAX]);
    // No such reservation may come to be, but which there are is nothing that a demand is asked about.
    if let Err(refusal) = cx.want(&[demand.priority(i32::MIN)]) {
        panic!("{refusal}");
    }
}

fn expect_refusal(what: &str, refusal: Option<Refusal>) {
    assert!(
        refusal.is_some(),
        "{what} under a forged id was not refused"
    );
}

fn note(cx: &Cx<'_>, what: &str, outcome: Result<(), String>) {
    if let Err(reason) = outcome {
        cx.info(&format!("{what} refused: {reason}"));
    }
}
