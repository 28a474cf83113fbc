//! Principals: nobody locks everybody out, and a token that was taken away does not come back.

use crate::support::Running;

#[tokio::test(flavor = "multi_thread")]
async fn the_last_principal_stays_and_oneself_goes_only_by_force() {
    let folder = tempfile::tempdir().expect("a folder");
    let master = Running::start(folder.path()).await;
    let own = "/api/v1/principals/admin";
    for path in [own, "/api/v1/principals/admin?force=true"] {
        let last = master.ask("DELETE", path, b"").await;
        assert_eq!(last.status, 409, "{}", last.words());
        assert!(last.words().contains("last principal"), "{}", last.words());
    }
    let other = master.ask("PUT", "/api/v1/principals/other", b"").await;
    let token = other.json()["token"].as_str().map(str::to_string);
    let other = format!("authorization: Bearer {}\r\n", token.expect("a token"));

    let oneself = master.ask("DELETE", own, b"").await;
    assert_eq!(oneself.status, 409, "{}", oneself.words());
    assert!(
        oneself.words().contains("?force=true"),
        "{}",
        oneself.words()
    );
    let nobody = master.ask("DELETE", "/api/v1/principals/nobody", b"").await;
    assert_eq!(nobody.status, 404, "{}", nobody.words());
    let mistyped = master.ask("DELETE", "/api/v1/principals/admin?forse=true", b"");
    assert_eq!(mistyped.await.status, 400);
    let forced = master.ask("DELETE", "/api/v1/principals/admin?force=true", b"");
    assert_eq!(forced.await.status, 204);

    assert_eq!(master.ask("GET", "/api/v1/status", b"").await.status, 401);
    let last = master.raw("DELETE", "/api/v1/principals/other?force=true", &other, b"");
    assert_eq!(last.await.status, 409);
    master.stop().await;
}

/// Two that take each other away at the same time: one of them stays.
#[tokio::test(flavor = "multi_thread")]
async fn two_do_not_take_each_other_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let master = Running::start(folder.path()).await;
    let other = master.ask("PUT", "/api/v1/principals/other", b"").await;
    let token = other.json()["token"].as_str().map(str::to_string);
    let other = format!("authorization: Bearer {}\r\n", token.expect("a token"));
    let (one, two) = tokio::join!(
        master.ask("DELETE", "/api/v1/principals/other", b""),
        master.raw("DELETE", "/api/v1/principals/admin", &other, b""),
    );
    let mut seen = [one.status, two.status];
    seen.sort_unstable();
    // The one that came too late is nobody any more, or the last.
    assert!(seen[0] == 204 && seen[1] != 204, "{seen:?}");
    master.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_nobodys_does_not_become_the_first_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let revoked = "0123456789abcdef".repeat(4);
    std::fs::write(folder.path().join("admin.token"), &revoked).expect("a file");
    let master = Running::start(folder.path()).await;
    assert_ne!(master.token, revoked);
    assert_eq!(master.ask("GET", "/api/v1/status", b"").await.status, 200);
    let old = format!("authorization: Bearer {revoked}\r\n");
    let old = master.raw("GET", "/api/v1/status", &old, b"").await;
    assert_eq!(old.status, 401, "{}", old.words());
    let token = master.token.clone();
    master.stop().await;

    // Somebody has a token: it stays.
    let master = Running::start(folder.path()).await;
    assert_eq!(master.token, token);
    master.stop().await;
}
