//! Reservations and volumes over the API, with an agent that does as it is told.

use crate::agent::Agent;
use crate::support::Running;
use mezzo_proto::v1;
use mezzo_proto::v1::from_agent::Message as Up;
use mezzo_proto::v1::from_master::Message as Down;
use serde_json::{Value, json};

const ALL: &str = "/api/v1/reservations";

async fn post(master: &Running, path: &str, body: Value, status: u16) -> Value {
    let answer = master.ask("POST", path, body.to_string().as_bytes()).await;
    assert_eq!(answer.status, status, "{body}: {}", answer.words());
    answer.json()
}

fn reserve(role: &str, cpu_milli: u64, disk_bytes: u64) -> Value {
    json!({"agent": 1, "role": role, "amount": {"cpu_milli": cpu_milli, "disk_bytes": disk_bytes}})
}

/// Its number.
fn id(reservation: &Value) -> u64 {
    reservation["id"].as_u64().expect("a number")
}

async fn report(agent: &Agent, reservation: u64, name: &str, exists: bool) {
    let report = v1::VolumeReport {
        reservation,
        name: name.into(),
        exists,
    };
    agent.say(Up::VolumeReport(report)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_an_agent_is_kept_divided_and_given_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let master = Running::start(folder.path()).await;
    let _agent = Agent::join(master.agents_address, folder.path()).await;
    let mut body = reserve("prod", 3_000, 1 << 30);
    body["labels"] = json!({"for": "tests"});
    let whole = post(&master, ALL, body, 201).await;
    let number = id(&whole);
    assert_eq!(
        (&whole["made_by"], &whole["labels"], &whole["hostname"]),
        (&json!("admin"), &json!({"for": "tests"}), &json!("a"))
    );
    let too_much = post(&master, ALL, reserve("prod", 1_001, 0), 409).await;
    assert_eq!(too_much["error"]["code"], "conflict", "{too_much}");
    let mut part = reserve("prod/db", 1_000, 0);
    part["within"] = number.into();
    let part = post(&master, ALL, part, 201).await;

    let agent = master.get("/api/v1/agents/1").await;
    assert_eq!(agent["reserved"]["cpu_milli"], 3_000, "{agent}");
    assert_eq!(agent["used"]["cpu_milli"], 3_000, "{agent}");
    assert_eq!(agent["reservations"], json!([number, id(&part)]));
    let roles = master.get("/api/v1/roles").await;
    let role = |name: &str| {
        let roles = roles["roles"].as_array().expect("roles");
        roles.iter().find(|role| role["role"] == name).cloned()
    };
    for (name, cpu_milli) in [("prod", 3_000), ("prod/db", 1_000)] {
        let role = role(name).expect(name);
        let (used, reserved) = (&role["used"]["cpu_milli"], &role["reserved"]["cpu_milli"]);
        assert_eq!(
            (used, reserved),
            (&json!(cpu_milli), &json!(cpu_milli)),
            "{role}"
        );
    }

    for (filter, numbers) in [
        ("", vec![number, id(&part)]),
        ("?role=prod", vec![number, id(&part)]),
        ("?role=prod/db", vec![id(&part)]),
        ("?role=pro", vec![]),
        ("?agent=1", vec![number, id(&part)]),
        ("?agent=2", vec![]),
    ] {
        let listed = master.get(&format!("{ALL}{filter}")).await;
        let listed = listed["reservations"].as_array().expect("a list");
        let listed: Vec<u64> = listed.iter().map(id).collect();
        assert_eq!(listed, numbers, "{filter}");
    }
    let page = master.get(&format!("{ALL}?limit=1")).await;
    assert_eq!(page["next"], json!(number.to_string()));
    let page = master.get(&format!("{ALL}?limit=1&after={number}")).await;
    assert_eq!(id(&page["reservations"][0]), id(&part));
    assert_eq!(page["next"], Value::Null);

    let whole = format!("{ALL}/{number}");
    let shown = master.get(&whole).await;
    assert_eq!(shown["parts"], json!([id(&part)]));
    assert_eq!(shown["free"]["cpu_milli"], 2_000, "{shown}");
    let used = master.ask("DELETE", &whole, b"").await;
    assert_eq!(used.status, 409, "{}", used.words());
    let path = format!("{ALL}/{}", id(&part));
    assert_eq!(master.ask("DELETE", &path, b"").await.status, 204);
    assert_eq!(master.ask("DELETE", &whole, b"").await.status, 204);
    assert_eq!(master.ask("GET", &whole, b"").await.status, 404);
    master.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_is_made_kept_over_a_restart_and_destroyed_by_its_agent() {
    let folder = tempfile::tempdir().expect("a folder");
    let master = Running::start(folder.path()).await;
    let mut agent = Agent::join(master.agents_address, folder.path()).await;
    let made = post(&master, ALL, reserve("db", 1_000, 1 << 30), 201).await;
    let number = id(&made);
    let path = format!("{ALL}/{number}");
    let volumes = format!("{path}/volumes");
    let data = json!({"name": "data", "size_bytes": 1 << 20});
    post(
        &master,
        &volumes,
        json!({"name": "../x", "size_bytes": 1}),
        400,
    )
    .await;
    post(
        &master,
        &volumes,
        json!({"name": "x", "size_bytes": 1_u64 << 31}),
        409,
    )
    .await;
    let made = post(&master, &volumes, data.clone(), 201).await;
    assert_eq!(made["volumes"][0]["state"], "making", "{made}");
    assert_eq!(made["free"]["disk_bytes"], (1 << 30) - (1 << 20));
    let is = |answer: &crate::support::Answer, state: Value| {
        answer.json()["volumes"][0]["state"] == state
    };
    match agent.hear().await {
        Ok(Some(Down::CreateVolume(create))) => {
            assert_eq!((create.reservation, create.name.as_str()), (number, "data"));
        }
        other => panic!("expected a volume to be made, not {other:?}"),
    }
    report(&agent, number, "data", true).await;
    master
        .until(&path, "it is ready", |a| is(a, json!("ready")))
        .await;
    let used = master.ask("DELETE", &path, b"").await;
    assert_eq!(used.status, 409, "{}", used.words());
    drop(agent);
    master.stop().await;

    let master = Running::start(folder.path()).await;
    assert_eq!(master.get(&path).await["volumes"][0]["state"], "ready");
    let destroyed = master.ask("DELETE", &format!("{volumes}/data"), b"").await;
    assert_eq!(destroyed.status, 202, "{}", destroyed.words());
    // Its agent was away; it is told when it is back, and the space is free when it has answered.
    let mut agent = Agent::join(master.agents_address, folder.path()).await;
    match agent.hear().await {
        Ok(Some(Down::DestroyVolume(destroy))) => assert_eq!(destroy.name, "data"),
        other => panic!("expected a volume to be destroyed, not {other:?}"),
    }
    assert_eq!(master.get(&path).await["volumes"][0]["state"], "destroying");
    let mut events = master
        .open("GET", "/api/v1/events", &master.auth(), b"")
        .await;
    Running::read_until(&mut events, "\r\n\r\n").await;
    report(&agent, number, "data", false).await;
    master
        .until(&path, "it is gone", |a| is(a, Value::Null))
        .await;
    assert_eq!(master.ask("DELETE", &path, b"").await.status, 204);
    let seen = Running::read_until(&mut events, "\"state\":\"removed\"").await;
    assert!(
        seen.contains("event: volume") && seen.contains("\"state\":\"destroyed\""),
        "{seen}"
    );
    assert!(seen.contains("\"principal\":\"admin\""), "{seen}");
    master.stop().await;
}
