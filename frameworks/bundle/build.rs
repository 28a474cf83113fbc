//! Builds the frameworks that come with Mezzo.

fn main() {
    mezzo_guest_build::build_or_exit(&["mezzo-batch"], &["frameworks/batch"]);
}
