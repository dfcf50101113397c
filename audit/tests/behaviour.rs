//! The log as its users rely on it: the vectors of RFC 6962, every proof of every size, every single
//! change found.

use std::convert::Infallible;

use audit::{
    Checkpoint, CheckpointError, Entry, Finding, Frontier, Hash, Key, Leaf, Node, NoteError,
    ProofText, Report, Signed, StoredEvent, Verifier, check, checkpoint_proof, consistency,
    inclusion, leaf, line_id, node, ocsf, renumbered, root, syslog, verify_consistency,
    verify_inclusion,
};
use proptest::prelude::*;

/// The tree of these leaves, with every whole subtree in it.
struct Tree {
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    fn new(leaves: Vec<Hash>) -> Self {
        let mut levels = vec![leaves];
        while levels[levels.len() - 1].len() > 1 {
            let below = &levels[levels.len() - 1];
            levels.push(below.chunks_exact(2).map(|pair| node(pair[0], pair[1])).collect());
        }
        Self { levels }
    }

    fn source(&self) -> impl FnMut(Node) -> Result<Hash, Infallible> + '_ {
        |node| Ok(self.levels[usize::from(node.height)][usize::try_from(node.index).expect("small")])
    }

    fn root(&self, size: u64) -> Hash {
        root(size, &mut self.source()).expect("all is there")
    }
}

fn numbered(count: u64) -> Tree {
    Tree::new((0..count).map(|i| leaf(format!("leaf {i}").as_bytes())).collect())
}

fn hex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|p| u8::from_str_radix(std::str::from_utf8(p).expect("text"), 16).expect("hex"))
        .collect()
}

#[test]
fn roots_are_those_of_the_vectors_for_rfc_6962() {
    let leaves = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut grown = Frontier::default();
    let tree = Tree::new(leaves.iter().map(|data| leaf(&hex(data))).collect());
    for (size, expected) in (0..).zip(roots) {
        assert_eq!(tree.root(size).0.to_vec(), hex(expected), "of {size}");
        assert_eq!(grown.root().0.to_vec(), hex(expected), "grown to {size}");
        if let Some(data) = leaves.get(usize::try_from(size).expect("small")) {
            grown.append(leaf(&hex(data)), |_, _| {});
        }
    }
}

#[test]
fn a_frontier_that_is_resumed_goes_on_as_if_it_had_never_stopped() {
    let tree = numbered(600);
    let mut grown = Frontier::default();
    for size in 0..600 {
        let resumed = Frontier::resume(size, &mut tree.source()).expect("all is there");
        assert_eq!(resumed, grown, "at {size}");
        grown.append(tree.levels[0][usize::try_from(size).expect("small")], |node, hash| {
            assert_eq!(tree.source()(node), Ok(hash));
        });
    }
    assert_eq!(grown.root(), tree.root(600));
}

#[test]
fn every_proof_of_every_size_verifies_and_no_other() {
    let most = 130;
    let tree = numbered(most);
    for size in 1..=most {
        let head = (size, tree.root(size));
        for position in 0..size {
            let proof = inclusion(position, size, &mut tree.source()).expect("made");
            let at = leaf(format!("leaf {position}").as_bytes());
            assert_eq!(
                verify_inclusion(at, position, head, &proof),
                Ok(()),
                "{position} of {size}"
            );
            assert!(verify_inclusion(leaf(b"another"), position, head, &proof).is_err());
            assert!(verify_inclusion(at, position + 1, head, &proof).is_err());
            let longer = [proof.as_slice(), &[at]].concat();
            assert!(verify_inclusion(at, position, head, &longer).is_err());
        }
        for old in 0..=size {
            let proof = consistency(old, size, &mut tree.source()).expect("made");
            let before = (old, tree.root(old));
            assert_eq!(verify_consistency(before, head, &proof), Ok(()), "{old} to {size}");
            if old > 0 {
                let wrong = (old, leaf(b"another"));
                assert!(verify_consistency(wrong, head, &proof).is_err(), "{old} to {size}");
                let wrong = (size, leaf(b"another"));
                assert!(verify_consistency(before, wrong, &proof).is_err(), "{old} to {size}");
            }
        }
    }
}

proptest! {
    #[test]
    fn a_proof_with_any_bit_changed_shows_nothing(
        size in 1_u64..400, at in any::<prop::sample::Index>(), old in any::<prop::sample::Index>(),
        bit in 0_usize..256, which in any::<prop::sample::Index>(),
    ) {
        let tree = numbered(size);
        let head = (size, tree.root(size));
        let position = at.index(usize::try_from(size).expect("small")) as u64;
        let flip = |proof: &mut [Hash]| {
            let hash = &mut proof[which.index(proof.len())];
            hash.0[bit / 8] ^= 1 << (bit % 8);
        };
        let mut proof = inclusion(position, size, &mut tree.source()).expect("made");
        if !proof.is_empty() {
            flip(&mut proof);
            let at = leaf(format!("leaf {position}").as_bytes());
            prop_assert!(verify_inclusion(at, position, head, &proof).is_err());
        }
        let old = 1 + old.index(usize::try_from(size).expect("small")) as u64;
        let mut proof = consistency(old, size, &mut tree.source()).expect("made");
        if !proof.is_empty() {
            flip(&mut proof);
            prop_assert!(verify_consistency((old, tree.root(old)), head, &proof).is_err());
        }
    }

    #[test]
    fn a_line_is_the_json_of_its_event(
        id in any::<i64>(), actor in any::<String>(), request in any::<Option<String>>(), rotation in any::<Option<i64>>(),
    ) {
        let entry = Entry { id, at: 7, actor: &actor, action: "a.b", subject: "c/d", request: request.as_deref(),
            rotation, detail: Some("{\"z\":1,\"a\":[\"\u{e9}\"]}") };
        let line = entry.line();
        let read: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        prop_assert_eq!(&read["actor"], &serde_json::json!(actor));
        prop_assert_eq!(&read["request"], &serde_json::json!(request));
        prop_assert_eq!(&read["rotation"], &serde_json::json!(rotation));
        prop_assert_eq!(read["detail"]["a"][0].as_str(), Some("\u{e9}"));
        prop_assert!(line.contains(&serde_json::to_string(&actor).expect("JSON")), "escaped as JSON is everywhere");
        prop_assert_eq!(line_id(&line), Some(id));
        prop_assert_eq!(renumbered(&line, 5), Entry { id: 5, ..entry }.line());
    }
}

fn key(name: &str, byte: u8) -> Key {
    Key::new(name, &[byte; 32].into()).expect("a key")
}

#[test]
fn a_line_has_this_form_for_ever() {
    let entry = Entry {
        id: 7,
        at: 1_800_000_000,
        actor: "token/\"a\"\\",
        action: "order.create",
        subject: "order/1\u{1}\n",
        request: None,
        rotation: Some(3),
        detail: Some("{\"names\":[\"a.example\"]}"),
    };
    assert_eq!(
        entry.line(),
        "{\"id\":7,\"at\":1800000000,\"actor\":\"token/\\\"a\\\"\\\\\",\"action\":\"order.create\",\
         \"subject\":\"order/1\\u0001\\n\",\"request\":null,\"rotation\":3,\
         \"detail\":{\"names\":[\"a.example\"]}}"
    );
}

#[test]
fn a_checkpoint_is_believed_of_its_log_under_its_key_and_unaltered() {
    let key = key("pki.example.com/audit", 1);
    let checkpoint =
        Checkpoint { origin: "pki.example.com/audit".into(), size: 3, root: leaf(b"x") };
    let note = checkpoint.sign(&key);
    assert!(note.starts_with("pki.example.com/audit\n3\n"), "{note}");
    let text = key.verifier().to_string();
    let verifier = Verifier::parse(&text).expect("it reads back");
    assert_eq!(Checkpoint::open(&note, &verifier), Ok(checkpoint.clone()));
    for at in 0..note.len() {
        let mut bytes = note.clone().into_bytes();
        bytes[at] ^= 1;
        if let Ok(altered) = String::from_utf8(bytes) {
            assert!(Checkpoint::open(&altered, &verifier).is_err(), "byte {at}");
        }
        if note.is_char_boundary(at) {
            assert!(Checkpoint::open(&note[..at], &verifier).is_err(), "cut at {at}");
        }
    }
    let other = self::key("pki.example.com/audit", 2);
    let unsigned = Checkpoint::open(&note, other.verifier());
    assert!(matches!(unsigned, Err(CheckpointError::Note(NoteError::Unsigned { .. }))));
    let elsewhere = Checkpoint { origin: "elsewhere".into(), ..checkpoint }.sign(&key);
    assert!(matches!(Checkpoint::open(&elsewhere, &verifier), Err(CheckpointError::Origin { .. })));
    for wrong in
        ["", "a+b", "a+00000000+AAAA", &text.replace("+A", "+B"), &text.replace("pki", "pkj")]
    {
        assert!(Verifier::parse(wrong).is_err(), "{wrong}");
    }
    for wrong in ["", "a b", "a+b"] {
        assert!(matches!(Key::new(wrong, &[1; 32].into()), Err(NoteError::Name)), "{wrong:?}");
    }
}

#[test]
fn a_proof_that_was_handed_over_holds_for_its_event_alone() {
    let key = key("log", 1);
    let tree = numbered(11);
    let note = Checkpoint { origin: "log".into(), size: 11, root: tree.root(11) }.sign(&key);
    let hashes = inclusion(4, 11, &mut tree.source()).expect("made");
    let text = checkpoint_proof(4, &hashes, &note);
    let proof = ProofText::parse(&text).expect("it reads back");
    assert_eq!(proof.position, 4);
    assert_eq!(proof.verify("leaf 4", key.verifier()).map(|c| c.size), Ok(11));
    assert_eq!(proof.verify("leaf 5", key.verifier()), Err(CheckpointError::Unproven));
    assert!(proof.verify("leaf 4", self::key("log", 2).verifier()).is_err());
    assert!(ProofText::parse(&note).is_err());
}

#[test]
fn a_line_is_exported_as_collectors_take_it_and_can_still_be_proven() {
    let entry = Entry {
        id: 7,
        at: 1_800_000_000,
        actor: "token/\"a\"]\n",
        action: "order.fail",
        subject: "order/1",
        request: None,
        rotation: Some(3),
        detail: Some("{\"names\":[\"a.example\"]}"),
    };
    let line = entry.line();
    let message = syslog(&line, "pki.example.com").expect("a line");
    let header = "<108>1 2027-01-15T08:00:00Z pki.example.com perennial - order.fail ";
    let data = "[perennial@32473 id=\"7\" actor=\"token/\\\"a\\\"\\]\u{fffd}\" \
                action=\"order.fail\" subject=\"order/1\" rotation=\"3\"] ";
    assert_eq!(message, format!("{header}{data}{line}"));
    let event = ocsf(&line, "pki.example.com", "1.0").expect("a line");
    assert_eq!(event["type_uid"], 300_403);
    assert_eq!(event["status_id"], 2);
    assert_eq!(event["time"], 1_800_000_000_000_i64);
    assert_eq!(event["entity"]["type"], "order");
    assert_eq!(event["raw_data"], line.as_str());
    assert!(event["metadata"].get("correlation_uid").is_none(), "what is not known is not there");
    assert_eq!((syslog("no line", "h"), ocsf("{}", "h", "1")), (None, None));
}

/// A log of so many events, kept whole: its leaves, its events, and a checkpoint of every tenth size.
#[derive(Clone)]
struct Kept {
    leaves: Vec<Leaf>,
    events: Vec<StoredEvent>,
    signed: Vec<Signed>,
}

fn event(id: i64) -> StoredEvent {
    let entry = Entry {
        id,
        at: id * 10,
        actor: "admin",
        action: "a.b",
        subject: "c/d",
        request: None,
        rotation: Some(id % 7),
        detail: None,
    };
    StoredEvent { id, line: Some(entry.line()), forgets: None }
}

fn kept(count: i64) -> Kept {
    hashed((1..=count).map(event).collect())
}

fn hashed(events: Vec<StoredEvent>) -> Kept {
    let (mut tree, mut leaves, mut signed) = (Frontier::default(), Vec::new(), Vec::new());
    for event in &events {
        let hash = leaf(event.line.as_ref().expect("a line").as_bytes());
        leaves.push(Leaf { position: tree.size(), event: event.id, hash });
        tree.append(hash, |_, _| {});
        if tree.size() % 10 == 0 {
            signed.push(Signed { size: tree.size(), root: Some(tree.root()), elsewhere: false });
        }
    }
    Kept { leaves, events, signed }
}

fn checked(kept: &Kept) -> Report {
    let fine = |_| Ok::<_, Infallible>(None);
    let leaves = kept.leaves.iter().copied().map(Ok);
    check(leaves, kept.events.iter().cloned().map(Ok), &kept.signed, fine).expect("checked")
}

#[test]
fn a_log_that_nobody_touched_is_found_whole() {
    let report = checked(&kept(95));
    assert_eq!((report.events, report.size, report.checkpoints, report.signed), (95, 95, 9, 90));
    assert_eq!((report.findings.as_slice(), report.forgotten, report.more), (&[][..], 0, 0));
}

#[test]
fn every_single_change_is_found_and_named() {
    let whole = kept(40);
    for at in 0..40_usize {
        let id = i64::try_from(at).expect("small") + 1;
        let mut changed = whole.clone();
        changed.events[at].line =
            changed.events[at].line.take().map(|line| line.replace("admin", "nobody"));
        assert_eq!(checked(&changed).findings, [Finding::Changed { event: id }]);

        let mut removed = whole.clone();
        removed.events.remove(at);
        assert_eq!(checked(&removed).findings, [Finding::Removed { first: id, last: id }]);

        let mut inserted = whole.clone();
        inserted.leaves.remove(at);
        inserted.leaves.iter_mut().skip(at).for_each(|leaf| leaf.position -= 1);
        let found = checked(&inserted).findings;
        assert_eq!(found[0], Finding::Inserted { event: id }, "{found:?}");

        let mut unhashed = whole.clone();
        unhashed.leaves.remove(at);
        let position = u64::try_from(at).expect("small");
        let expected = Finding::Unhashed { first: position, last: position };
        let found = checked(&unhashed).findings;
        assert!(at == 39 || found == [expected], "{found:?}");
        assert!(!found.is_empty());
    }
}

#[test]
fn events_that_changed_places_are_found_and_named() {
    let mut swapped = kept(40);
    let (fifth, ninth) = (event(5).line.expect("a line"), event(9).line.expect("a line"));
    swapped.events[4].line = Some(renumbered(&ninth, 5));
    swapped.events[8].line = Some(renumbered(&fifth, 9));
    let expected =
        [Finding::Reordered { event: 5, belongs: 9 }, Finding::Reordered { event: 9, belongs: 5 }];
    assert_eq!(checked(&swapped).findings, expected);
    let mut moved = kept(40);
    moved.leaves.swap(4, 5);
    moved.leaves[4].position = 4;
    moved.leaves[5].position = 5;
    let found = checked(&moved).findings;
    assert_eq!(found[0].kind(), "reordered", "{found:?}");
}

#[test]
fn a_log_that_was_hashed_anew_is_found_by_what_was_signed() {
    let whole = kept(40);
    let mut events = whole.events.clone();
    events[24].line = events[24].line.take().map(|line| line.replace("admin", "nobody"));
    let anew = Kept { signed: whole.signed.clone(), ..hashed(events) };
    let report = checked(&anew);
    assert_eq!(report.findings, [Finding::Rewritten { first: 21, last: 30, size: 30 }]);
    assert_eq!(
        (report.signed, report.more),
        (20, 1),
        "the first two are right, the last is wrong too"
    );

    let mut own = anew;
    own.signed = hashed(own.events.clone()).signed;
    own.signed.push(Signed { elsewhere: true, ..whole.signed[3] });
    assert_eq!(checked(&own).findings, [Finding::Rewritten { first: 1, last: 40, size: 40 }]);

    let mut cut = whole.clone();
    cut.leaves.truncate(35);
    cut.events.truncate(35);
    assert_eq!(checked(&cut).findings, [Finding::Cut { size: 40, left: 35 }]);

    let mut forged = whole;
    forged.signed[2].root = None;
    assert_eq!(checked(&forged).findings, [Finding::Unsigned { size: 30 }]);
}

#[test]
fn what_retention_forgot_is_told_from_what_was_removed() {
    let mut events: Vec<_> = (1..=40).map(event).collect();
    events[35].forgets = Some(20);
    let mut forgotten = hashed(events);
    forgotten.events.drain(..20);
    let report = checked(&forgotten);
    assert_eq!((report.findings.len(), report.forgotten, report.checkpoints), (0, 20, 4));
    forgotten.events.drain(..2);
    assert_eq!(checked(&forgotten).findings, [Finding::Removed { first: 21, last: 22 }]);
    // Who says that it was retention must have been recorded.
    forgotten.events.iter_mut().for_each(|event| event.forgets = None);
    forgotten.events[0].forgets = Some(22);
    forgotten.events[0].line = Some("{}".into());
    assert_eq!(checked(&forgotten).findings[0], Finding::Removed { first: 1, last: 22 });
}

#[test]
fn retention_excuses_nothing_behind_an_event_that_is_there() {
    let mut events: Vec<_> = (1..=40).map(event).collect();
    events[35].forgets = Some(20);
    let mut log = hashed(events);
    log.events.remove(6);
    assert_eq!(checked(&log).findings, [Finding::Removed { first: 7, last: 7 }]);
}

#[test]
fn a_leaf_that_says_it_is_of_another_event_hides_nothing() {
    for (said, found) in [(0, 30), (-3, 30), (29, 29)] {
        let mut log = hashed((1..=40).map(event).collect());
        log.leaves[29].event = said;
        log.events.remove(29);
        let found = Finding::Removed { first: found, last: found };
        assert_eq!(checked(&log).findings, [found], "{said}");
    }
}
