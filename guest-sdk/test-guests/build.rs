//! Builds the samples and the hostile guests.

fn main() {
    mezzo_guest_build::build_or_exit(
        &[
            "mezzo-hello",
            "mezzo-counter",
            "mezzo-keeper",
            "mezzo-hostile",
            "mezzo-evil",
            "mezzo-command",
        ],
        &[
            "guest-sdk/rust/samples",
            "guest-sdk/hostile",
            "guest-sdk/command",
        ],
    );
}
