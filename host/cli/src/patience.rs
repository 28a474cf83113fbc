//! How long to go on after the connection to the master was cut: a master that is started again, or
//! another that takes over, is waited for, and whoever watches goes on where it was.

use crate::client::refused;
use crate::exit::Denied;
use crate::output::note;
use anyhow::Context;
use std::time::{Duration, Instant};

/// A master that is away for longer is given up.
const AWAY_MAX: Duration = Duration::from_secs(600);
/// The first delay before it is asked again; it doubles.
const DELAY: Duration = Duration::from_millis(100);
/// The longest delay.
const DELAY_MAX: Duration = Duration::from_secs(2);

/// One thing that is waited for.
#[derive(Debug, Default)]
pub struct Patience {
    away: Option<(Instant, Duration)>,
}

impl Patience {
    /// It goes on.
    pub fn renew(&mut self) {
        self.away = None;
    }

    /// Waits before the next try; gives the error back if another try could change nothing, or if the
    /// time is up. `quiet`: somebody else says that the master is away.
    pub async fn wait(&mut self, error: anyhow::Error, quiet: bool) -> anyhow::Result<()> {
        let passing = match refused(&error) {
            Some(status) => status >= 500,
            None => !error.is::<Denied>(),
        };
        if !passing {
            return Err(error);
        }
        if self.away.is_none() && !quiet {
            note(&format!("{error:#}; waiting for it to come back"));
        }
        let (since, delay) = *self.away.get_or_insert((Instant::now(), DELAY));
        if since.elapsed() > AWAY_MAX {
            let waited = AWAY_MAX.as_secs();
            return Err(error).with_context(|| format!("nothing for {waited} s"));
        }
        self.away = Some((since, (delay * 2).min(DELAY_MAX)));
        tokio::time::sleep(delay).await;
        Ok(())
    }
}
