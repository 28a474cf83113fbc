//! Whether a web server listens where a master should: then the agent would knock for ever at the
//! wrong door. Everything else may pass by itself, and is left to the agent, which tries again.

use anyhow::bail;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long one address is looked at.
const PROBE: Duration = Duration::from_millis(500);
/// A master's door for agents speaks HTTP/2 only, and never answers this in kind.
const QUESTION: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: mezzo\r\nconnection: close\r\n\r\n";

/// Looks at each of them.
pub async fn each(masters: &[String]) -> anyhow::Result<()> {
    for master in masters {
        let begin = tokio::time::timeout(PROBE, begin_of_answer(master)).await;
        if let Ok(Ok(begin)) = begin
            && begin.starts_with(b"HTTP/1.")
        {
            bail!(
                "{master} answers as a web server does: that is not where a master listens for agents, which is 127.0.0.1:7071 unless it was told otherwise (its log says `agents=`); its `--listen` address is for people"
            );
        }
    }
    Ok(())
}

async fn begin_of_answer(master: &str) -> std::io::Result<[u8; 7]> {
    let mut stream = TcpStream::connect(master).await?;
    stream.write_all(QUESTION).await?;
    let mut begin = [0; 7];
    stream.read_exact(&mut begin).await?;
    Ok(begin)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answered(with: &'static [u8]) -> anyhow::Result<()> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.to_string();
        let answer = async move {
            let (mut stream, _) = listener.accept().await?;
            stream.write_all(with).await?;
            let mut sink = Vec::new();
            stream.read_to_end(&mut sink).await
        };
        let addresses = [address];
        let (probed, _) = tokio::join!(each(&addresses), answer);
        probed
    }

    #[tokio::test]
    async fn only_a_web_server_is_refused() {
        let error = answered(b"HTTP/1.0 404 Not Found\r\n").await;
        assert!(error.unwrap_err().to_string().contains("7071"));
        answered(b"\0\0\x12\x04\0\0\0\0\0").await.unwrap();
        each(&["127.0.0.1:1".into()]).await.unwrap();
    }
}
