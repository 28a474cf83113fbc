//! Every limit of `batch`, by name. The guide (`docs/guide/batch.md`) lists those that a user can reach.

/// Tasks of one job.
pub const JOB_TASKS_MAX: u32 = 100_000;

/// Jobs that have not ended. Each has a demand, and the master takes 1,000 of them.
pub const JOBS_LIVE_MAX: usize = 1_000;

/// Indexes of all jobs that have not ended.
pub const TASKS_LIVE_MAX: usize = 400_000;

/// Descriptions of all jobs that have not ended, without `tasks`, in bytes. A new instance reads them all in one turn.
pub const SPEC_BYTES_MAX: usize = 6 << 20;

/// The `tasks` of all jobs that have not ended, in bytes.
pub const ARGS_BYTES_MAX: usize = 24 << 20;

/// One job's description, or the arguments of 64 indexes, in bytes: the master's limit for one value.
pub const VALUE_BYTES_MAX: usize = 1 << 20;

/// Ended jobs that are kept.
pub const JOBS_ENDED_MAX: usize = 200;

/// Indexes of ended jobs that are kept.
pub const TASKS_ENDED_MAX: usize = 400_000;

/// Lost attempts of one index; one more and it has failed.
pub const LOST_MAX: u8 = 10;

/// How often an index may fail and be tried again.
pub const RETRIES_MAX: u8 = 100;

/// Streams at a time. The master's own limit is 100.
pub const WATCHERS_MAX: usize = 90;

/// Tasks of all jobs that live at a time. The master keeps 100,000 and counts those that have just ended too.
pub const IN_FLIGHT_MAX: usize = 90_000;

/// Launches of one turn. The master takes 10,000; fewer keep a turn short, so that statuses and requests need not wait
/// for a large job, and cost little, because what a turn leaves is offered again at once.
pub const LAUNCHES_PER_TURN_MAX: usize = 1_500;

/// Bytes of one turn's launches. The master lifts 16 MiB in a turn; the rest is for state and streams.
pub const LAUNCH_BYTES_MAX: usize = 6 << 20;

/// Bytes that one turn sends to watchers.
pub const WATCH_BYTES_MAX: usize = 6 << 20;

/// Tasks that a new watcher is told of at once.
pub const WATCH_TASKS_MAX: usize = 10_000;

/// `argv` and `env` of a job together, in bytes.
pub const TEXT_BYTES_MAX: usize = 64 << 10;

/// `argv` and `env` of one entry of `tasks` together, in bytes.
pub const TASK_TEXT_BYTES_MAX: usize = 8 << 10;

/// Contents of a job's `files` together, in bytes.
pub const FILES_BYTES_MAX: usize = 256 << 10;

/// Files of a job.
pub const FILES_MAX: usize = 64;

/// A file's path, in bytes.
pub const PATH_BYTES_MAX: usize = 512;

/// Labels, and conditions, of a job.
pub const LABELS_MAX: usize = 32;

/// A label's key or value, in bytes.
pub const LABEL_BYTES_MAX: usize = 1024;

/// Ports of a task.
pub const PORTS_MAX: usize = 16;

/// A job's name, in characters.
pub const NAME_CHARS_MAX: usize = 128;

/// Amounts of processor, in thousandths.
pub const CPU_MILLI_MAX: u64 = 1_000_000_000;

/// Amounts of memory and disk, in bytes.
pub const BYTES_MAX: u64 = 1 << 50;

/// Devices.
pub const GPUS_MAX: u64 = 1_024;

/// Times in milliseconds: about 31 years.
pub const TIME_MS_MAX: u64 = 1_000_000_000_000;

/// The grace of a kill, in milliseconds.
pub const KILL_GRACE_MS_MAX: u64 = 3_600_000;
