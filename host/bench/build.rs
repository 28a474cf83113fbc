//! Builds what is measured besides `batch`: a command for module tasks, and the framework that
//! misbehaves beside others.

fn main() {
    mezzo_guest_build::build_or_exit(
        &["mezzo-command", "mezzo-hostile"],
        &["guest-sdk/command", "guest-sdk/hostile"],
    );
}
