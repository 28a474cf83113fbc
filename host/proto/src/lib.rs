//! The protocol between master and agents: messages, client and server made from
//! `proto/agent.proto`, and conversions to the shared nouns.
//!
//! Owns what goes over the wire. What is said when is decided in `mezzo-core` and
//! `mezzo-agent-core`.

mod convert;

/// Made from `proto/agent.proto`.
#[allow(
    missing_docs,
    clippy::all,
    reason = "generated; the documentation stands in the .proto file"
)]
pub mod v1 {
    tonic::include_proto!("mezzo.agent.v1");
}

pub use convert::{
    Malformed, decode_facts, decode_spec, decode_status, encode_facts, encode_spec, encode_status,
};

/// Told first by both sides. Compatible changes do not raise it.
pub const PROTOCOL: u32 = 1;

/// The largest message either side takes, in bytes: a launch of one task with its files, or a piece
/// of output, with room to spare.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// The largest piece of output in one message, in bytes.
pub const OUTPUT_BYTES_MAX: u32 = 1 << 20;

/// The largest piece of a component in one message, in bytes.
pub const CHUNK_BYTES: usize = 256 << 10;
