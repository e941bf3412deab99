//! Makes a changed migration rebuild the service that embeds it.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations/notifier");
}
