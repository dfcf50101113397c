//! From what happened to what people read, on virtual time and with crashes in between, by a chat that
//! is a real HTTP server.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::perform::notify::tests::{Receiver, Stage};
use crate::store::{Commit, Event};

#[tokio::test]
async fn what_belongs_together_is_one_message_and_the_same_is_told_once_until_it_is_over() {
    let chat = Receiver::answering(&["200 OK"]);
    let stage = stage(&chat, "").await;
    happens(&stage, "rotation.revert", json!({}), Some(7)).await;
    happens(&stage, "rotation.fail", json!({ "why": "edge-a: <b> & co refused 1" }), Some(7)).await;
    turn(&stage, 20).await;
    assert_eq!(chat.taken().len(), 0, "more of it may come");
    turn(&stage, 15).await;
    let texts = texts(&chat);
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(texts[0].contains("*managed/shop: a rotation failed, and 1 more*"), "{texts:?}");
    assert!(texts[0].contains("edge-a: &lt;b&gt; &amp; co refused 1"), "{texts:?}");

    for _ in 0..5 {
        let why = json!({ "why": "edge-a: <b> & co refused 2" });
        happens(&stage, "rotation.fail", why, Some(8)).await;
        turn(&stage, 3600).await;
    }
    assert_eq!(chat.taken().len(), 1, "nothing is new");
    turn(&stage, 20 * 3600).await;
    assert_eq!(chat.taken().len(), 2, "a day later it is told again");
    happens(&stage, "rotation.prove", json!({}), Some(9)).await;
    turn(&stage, 60).await;
    turn(&stage, 48 * 3600).await;
    let texts = self::texts(&chat);
    assert_eq!(texts.len(), 3);
    assert!(texts[2].contains("managed/shop: resolved: every target is proven"), "{texts:?}");
}

#[tokio::test]
async fn a_crash_at_any_commit_loses_no_message_and_repeats_only_what_may_not_have_arrived() {
    // It is read from the log; a message is made; it is sent, and that is recorded.
    for (work, commits) in [(0, 0), (1, 0), (1, 1)] {
        for lost in [true, false] {
            let chat = Receiver::answering(&["200 OK"]);
            let stage = stage(&chat, "").await;
            happens(&stage, "placement.drift", json!({ "seen": "another" }), None).await;
            for turn in 0..6 {
                if turn == work {
                    stage.node.store.crash_after(commits, lost);
                }
                stage.work().await;
                assert_eq!(stage.node.store.recover(), turn == work, "{work} {commits} {lost}");
                stage.pass(31);
            }
            let texts = texts(&chat);
            // Only what was sent and not recorded is sent again.
            let sent = if (work, commits, lost) == (1, 1, true) { 2 } else { 1 };
            assert_eq!(texts.len(), sent, "{work} {commits} {lost}: {texts:?}");
            assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
        }
    }
}

#[tokio::test]
async fn a_thousand_failures_are_one_message_and_their_end_is_one() {
    let chat = Receiver::answering(&["200 OK"]);
    let stage = stage_with(&chat, "", |_, _| {
        let one = |n| format!("[[certificate]]\nname = \"c-{n}\"\nnames = [\"c-{n}.test\"]\n");
        (0..1000).map(one).collect()
    })
    .await;
    for (action, title) in [
        ("rotation.not-obtained", "*1000 times: no new certificate is given*"),
        ("rotation.prove", "*1000 times: resolved: every target is proven to serve it*"),
    ] {
        for number in 0..1000 {
            let why = json!({ "why": format!("issuer le: attempt {number}: connection refused") });
            let event = Event::new("test", action, format!("managed/c-{number}"));
            store(&stage, event.with(why).of_rotation(number)).await;
        }
        let before = chat.taken().len();
        turn(&stage, 599).await;
        let patient = usize::from(action == "rotation.prove");
        assert_eq!(chat.taken().len(), before + patient, "it may mend itself");
        turn(&stage, 31).await;
        assert_eq!(chat.taken().len(), before + 1);
        let last = texts(&chat).pop().expect("a message");
        assert!(last.contains(title) && last.len() < 1000, "{last}");
    }
    let counts = stage.node.store.notice_counts("ops").expect("a read");
    assert_eq!(counts, (0, 0), "nothing remains");
}

#[tokio::test]
async fn a_chat_that_is_told_too_much_is_left_alone_as_long_as_it_says() {
    let chat = Receiver::answering(&["429 Too Many\r\nRetry-After: 120", "200 OK"]);
    let stage = stage(&chat, "").await;
    happens(&stage, "placement.drift", json!({}), None).await;
    turn(&stage, 31).await;
    assert_eq!(chat.taken().len(), 1);
    turn(&stage, 110).await;
    assert_eq!(chat.taken().len(), 1, "it said 120 seconds");
    let failing = stage.node.store.failing_notifications(10).expect("a read");
    let error = failing[0].error.clone().expect("why");
    assert!(error.contains("429"), "{error}");
    assert!(!error.contains("secret-path"), "the URL is a secret: {error}");
    turn(&stage, 11).await;
    assert_eq!(chat.taken().len(), 2);
}

#[tokio::test]
async fn quiet_times_hold_up_what_is_not_urgent_and_nobody_is_told_of_what_is_declared_no_more() {
    let chat = Receiver::answering(&["200 OK"]);
    let stage = stage(&chat, "quiet = [\"daily 00:00-12:00\", \"daily 12:00-23:59\"]\n").await;
    happens(&stage, "placement.drift", json!({}), None).await;
    let emergency = Event::new("test", "keyset.emergency", "keyset/auth");
    store(&stage, emergency).await;
    turn(&stage, 31).await;
    turn(&stage, 31).await;
    assert_eq!(texts(&chat).len(), 1);
    assert!(texts(&chat)[0].starts_with(":rotating_light: *keyset/auth"), "{:?}", texts(&chat));
    for _ in 0..(24 * 60) {
        turn(&stage, 60).await;
    }
    assert_eq!(texts(&chat).len(), 2, "its end was met within the day");
    let gone = Event::new("test", "rotation.fail", "managed/gone");
    store(&stage, gone).await;
    for _ in 0..(24 * 60) {
        turn(&stage, 60).await;
    }
    assert!(texts(&chat).iter().all(|text| !text.contains("gone")), "nobody could end it");
}

#[tokio::test]
async fn events_go_to_whom_they_belong() {
    let chat = Receiver::answering(&["200 OK"]);
    let stage = stage_with(&chat, "", |file, secret| {
        format!(
            "[[certificate]]\nname = \"paid\"\nnames = [\"paid.test\"]\nowner = \"payments\"\n\
             [[webhook]]\nname = \"program\"\nurl = \"http://127.0.0.1:9/\"\n\
             secret_file = {secret:?}\nevents = [\"*\"]\n\
             [[chat]]\nname = \"payments\"\nurl_file = {file:?}\nowners = [\"payments\"]\n\
             severity = \"failure\"\n\
             [[chat]]\nname = \"all\"\nurl_file = {file:?}\nowners = [\"*\"]\n\
             severity = \"failure\"\n"
        )
    })
    .await;
    let catalog = stage.node.catalog.load();
    let receivers = catalog.receivers();
    let told = |event: &str, subject: &str| {
        let told = catalog.told(&receivers, event, subject, catalog.owner_of(subject));
        told.iter().map(|receiver| receiver.name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(told("rotation.fail", "managed/paid"), ["program", "all", "payments"]);
    assert_eq!(told("rotation.fail", "managed/shop"), ["program", "all"]);
    // They named the owner, but do not want to know of this: it is nobody's, and goes to the rest.
    assert_eq!(told("placement.unreachable", "managed/paid"), ["program", "ops"]);
    assert_eq!(told("rotation.begin", "managed/paid"), ["program"]);
}

/// A node that tells a chat.
async fn stage(chat: &Receiver, more: &str) -> Stage {
    stage_with(chat, more, |_, _| String::new()).await
}

/// A node that tells a chat, for which something else is declared besides: by the paths of the chat's URL
/// and of a secret.
async fn stage_with(
    chat: &Receiver,
    more: &str,
    besides: impl FnOnce(&Path, &Path) -> String,
) -> Stage {
    let url = format!("{}/secret-path", chat.url);
    Stage::with(move |secret| {
        let file = secret.with_file_name("url");
        fs::write(&file, format!("{url}\n")).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("private");
        format!(
            "[[certificate]]\nname = \"shop\"\nnames = [\"shop.test\"]\n\
             [[chat]]\nname = \"ops\"\nurl_file = {file:?}\n{more}{}",
            besides(&file, secret)
        )
    })
    .await
}

async fn happens(stage: &Stage, event: &'static str, detail: Value, rotation: Option<i64>) {
    let event = Event::new("test", event, "managed/shop").with(detail);
    store(
        stage,
        match rotation {
            Some(rotation) => event.of_rotation(rotation),
            None => event,
        },
    )
    .await;
}

async fn store(stage: &Stage, event: Event) {
    let now = stage.node.world.now();
    stage.node.store.commit(Commit::new(event), now).await.expect("stored");
}

/// Lets time pass, and the worker work.
async fn turn(stage: &Stage, seconds: i64) {
    stage.work().await;
    stage.pass(seconds);
    stage.work().await;
}

fn texts(chat: &Receiver) -> Vec<String> {
    let text = |(_, body): &(Vec<String>, String)| {
        let body: Value = serde_json::from_str(body).expect("JSON");
        body["text"].as_str().expect("text").to_owned()
    };
    chat.taken().iter().map(text).collect()
}
