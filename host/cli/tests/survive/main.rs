//! What a cluster must survive, done for real: processes are killed with `kill -9`, frameworks are
//! hostile, clients send nonsense.

mod bad_input;
mod cluster;
mod full_disk;
mod hostile;
mod kills;
mod leaving;
mod preemption;
mod quota;
mod reservations;
