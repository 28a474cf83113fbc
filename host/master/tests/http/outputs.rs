//! Reads of a task's output, as its agent answers them.

use crate::agent::Agent;
use crate::support::Running;
use mezzo_proto::v1;
use mezzo_proto::v1::from_agent::Message as Up;
use mezzo_proto::v1::from_master::Message as Down;
use mezzo_test_guests::HELLO;

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_busy_is_asked_again_and_one_that_has_nothing_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let master = Running::start(folder.path()).await;
    let mut agent = Agent::join(master.agents_address, folder.path()).await;
    let made = master.ask("POST", "/api/v1/frameworks?name=h", HELLO).await;
    assert_eq!(made.status, 201, "{}", made.words());
    while !matches!(agent.hear().await, Ok(Some(Down::Launch(_)))) {}

    let path = "/api/v1/tasks/h/greeting/logs";
    for (words, status) in [
        (
            "too many readers of this agent at once (`readers_max`); try again",
            503,
        ),
        ("this agent keeps nothing of run 1", 404),
    ] {
        let answer = async {
            loop {
                if let Ok(Some(Down::ReadOutput(read))) = agent.hear().await {
                    let output = v1::Output {
                        request: read.request,
                        error: words.into(),
                        ..v1::Output::default()
                    };
                    return agent.say(Up::Output(output)).await;
                }
            }
        };
        let (read, ()) = tokio::join!(master.ask("GET", path, b""), answer);
        assert_eq!(read.status, status, "{}", read.words());
        assert!(read.words().contains(words), "{}", read.words());
    }
    master.stop().await;
}
