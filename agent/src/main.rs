//! `mezzo-agent CONFIG.toml`: an agent by itself, without the rest of `mezzo`.

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let path = std::env::args()
        .nth(1)
        .context("usage: mezzo-agent CONFIG.toml")?;
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    let config: mezzo_agent::Config = toml::from_str(&text).with_context(|| path.clone())?;
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(mezzo_agent::run(config, async {
        let mut terminate =
            match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
                Ok(terminate) => terminate,
                Err(error) => return tracing::error!("no signals: {error}"),
            };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }))?;
    Ok(())
}
