//! Every set that can be published is read by everybody: one key that a consumer does not know keeps it
//! from no other.

use super::crowd::Consumer;
use super::keysets::Issuer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mixture_of_algorithms_is_read_by_everybody() {
    let classical = ["RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"];
    let quantum = ["ML-DSA-44", "ML-DSA-65", "ML-DSA-87"];
    let mut mixtures = vec![classical.to_vec(), quantum.to_vec()];
    for family in [classical.as_slice(), &quantum] {
        for (place, one) in family.iter().enumerate() {
            mixtures.push(vec![*one]);
            mixtures.extend(family[place + 1..].iter().map(|other| vec![*one, *other]));
        }
    }
    let name = |number| format!("m{number}");
    let keysets: Vec<_> =
        mixtures.into_iter().enumerate().map(|(number, known)| (name(number), known)).collect();
    let issuer = Issuer::start("consumers-sets", &keysets, "token_lifetime = \"10m\"\n").await;
    let consumers = Consumer::all(&issuer);
    let (mut verified, mut wrong) = (0, Vec::new());
    for keyset in &issuer.keysets {
        for algorithm in &keyset.algorithms {
            let token = issuer.sign(keyset, algorithm).await;
            for consumer in consumers.iter().filter(|consumer| consumer.knows(algorithm)) {
                verified += 1;
                if let Err(why) = consumer.verify(keyset, &token).await {
                    let all = &keyset.algorithms;
                    wrong.push(format!("{}, {algorithm} of {all:?}: {why}", consumer.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {verified} are refused: {wrong:#?}", wrong.len());
    println!("{} sets, {verified} tokens verified", issuer.keysets.len());
}
