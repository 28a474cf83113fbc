//! Builds the framework that misbehaves beside the one that is measured.

fn main() {
    mezzo_guest_build::build_or_exit(&["mezzo-hostile"], &["guest-sdk/hostile"]);
}
