//! Everything an operator can get wrong and a machine can do to us: each is said on stderr in a line
//! or two (what, to what, what to do), ends with 1 if nothing can be served, and loses nothing.

mod disk;
mod keys;
mod settings;
mod store;

use instant_acme::{Account, Error, Identifier, NewAccount, NewOrder};

use crate::node::Node;

/// A new account.
async fn register(node: &Node) -> Result<Account, Error> {
    let new =
        NewAccount { contact: &[], terms_of_service_agreed: true, only_return_existing: false };
    let builder = Account::builder_with_root(&node.root).expect("a client");
    Ok(builder.create(&new, node.directory.clone(), None).await?.0)
}

/// A new order, by its URL.
async fn order(account: &Account, name: &str) -> Result<String, Error> {
    let names = [Identifier::Dns(name.to_owned())];
    Ok(account.new_order(&NewOrder::new(&names)).await?.url().to_owned())
}

/// Asks for an order. The connections of a client do not outlive the server: it may take another.
async fn ask(account: &Account, url: &str) -> Result<(), Error> {
    match account.order(url.to_owned()).await {
        Err(Error::Api(problem)) => Err(Error::Api(problem)),
        Err(_) => account.order(url.to_owned()).await.map(drop),
        Ok(_) => Ok(()),
    }
}

/// Demands that `said` has each of `words`.
fn assert_says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}
