//! Orders that a crash interrupted: taken up where they stood, and none opened for nothing.

use std::time::Duration;

use super::super::answers::Answers;
use super::super::client::Client;
use super::super::order::Wanted;
use super::pebble::Manner;
use super::scene::{Scene, assert_good, wanted};

/// Begins an order and loses everything but its URL, `after` having stored that.
async fn crash(client: &Client, answers: &Answers, wanted: &Wanted, after: Duration) -> String {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let order = client.order(wanted, answers, async |url| sender.send(url).expect("heard"));
    let crash = async {
        let url = receiver.await.expect("an order");
        tokio::time::sleep(after).await;
        url
    };
    let mut order = std::pin::pin!(order);
    let mut crash = std::pin::pin!(crash);
    let mut done = false;
    loop {
        tokio::select! {
            url = &mut crash => break url,
            outcome = &mut order, if !done => {
                outcome.expect("a certificate that nobody has seen");
                done = true;
            }
        }
    }
}

fn orders(scene: &Scene) -> usize {
    scene.pebble.wrote().matches("Added order").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_taken_up_wherever_it_stood() {
    let manner = Manner { slowness: 1, bad_nonces: 0, ..Manner::default() };
    let scene = Scene::with(manner).await;
    let client = scene.client(&scene.spec()).await;
    let names = ["a.example.com", "b.example.com"];
    let (mut made, mut lost) = (0, 0);
    for milliseconds in [0, 20, 60, 120, 300, 700, 1200, 3000] {
        let wanted = wanted(&names);
        let answers = &scene.node.answers;
        let after = Duration::from_millis(milliseconds);
        let url = crash(&client, answers, &wanted, after).await;
        made += 1;
        let chain = match client.resume(&url, &wanted, answers).await {
            // The CA looked in the moment in which nobody was there to answer. Nothing saves such an
            // order; that it is over is said, so that another is opened.
            Err(error) if error.is_order_over() => {
                (made, lost) = (made + 1, lost + 1);
                client.order(&wanted, answers, async |_| {}).await
            }
            outcome => outcome,
        };
        assert_good(&chain.unwrap_or_else(|e| panic!("after {after:?}: {e}")), &names);
        assert_eq!(orders(&scene), made, "an order was wasted after {after:?}");
    }
    assert!(lost <= 2, "{lost} of 8 orders were lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_ready_is_finalized() {
    let scene = Scene::with(Manner { reuse: 100, ..Manner::default() }).await;
    let client = scene.client(&scene.spec()).await;
    let names = ["example.com"];
    scene.order(&client, &names).await.expect("a certificate, and a valid authorization");
    let wanted = wanted(&names);
    let url = crash(&client, &scene.node.answers, &wanted, Duration::ZERO).await;
    // Nothing is left to prove: nobody answers.
    let chain = client.resume(&url, &wanted, &Answers::default()).await.expect("a certificate");
    assert_good(&chain, &names);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_done_gives_the_same_certificate_again() {
    let scene = Scene::set().await;
    let client = scene.client(&scene.spec()).await;
    let wanted = wanted(&["example.com"]);
    let mut url = String::new();
    let answers = &scene.node.answers;
    let first = client.order(&wanted, answers, async |at| url = at).await.expect("a certificate");
    let again = client.resume(&url, &wanted, &Answers::default()).await.expect("the same");
    assert_eq!(first, again);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_came_to_nothing_is_given_up() {
    let scene = Scene::set().await;
    let client = scene.client(&scene.spec()).await;
    let wanted = wanted(&["example.com"]);
    let mut url = String::new();
    // A listener with nothing to say.
    let unheard = Answers::default();
    let error = client.order(&wanted, &unheard, async |at| url = at).await.expect_err("unproven");
    assert!(error.is_order_over() && !error.is_issuer_down(), "{error:?}");
    assert!(error.to_string().contains("example.com: "), "{error}");
    for gone in [url.clone(), format!("{url}x")] {
        let error = client.resume(&gone, &wanted, &scene.node.answers).await.expect_err("over");
        assert!(error.is_order_over(), "{error:?}");
    }
}
