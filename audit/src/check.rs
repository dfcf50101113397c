//! The check of a whole log: its events against the hashes of its leaves, those against the tree, and the
//! tree against every checkpoint. It goes through all of it once, in order, and holds little of it.

use std::iter::Peekable;

use crate::entry::renumbered;
use crate::finding::Finding;
use crate::tree::{Frontier, Hash, Node, leaf};

/// A leaf as it is kept.
#[derive(Clone, Copy, Debug)]
pub struct Leaf {
    /// Its place in the tree, from 0.
    pub position: u64,
    /// The number of its event.
    pub event: i64,
    /// Its hash.
    pub hash: Hash,
}

/// An event as it is kept.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    /// Its number.
    pub id: i64,
    /// The line that is hashed; none if what is kept cannot have been an event.
    pub line: Option<String>,
    /// It says that all events up to this one were forgotten by retention.
    pub forgets: Option<i64>,
}

/// A checkpoint as it is kept.
#[derive(Clone, Copy, Debug)]
pub struct Signed {
    /// How many leaves there were.
    pub size: u64,
    /// The root that was signed; none if it is not signed as it should be.
    pub root: Option<Hash>,
    /// Whether it was kept elsewhere, so that those that are kept here do not narrow down what it shows.
    pub elsewhere: bool,
}

/// What a check found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Events that are there.
    pub events: u64,
    /// Events that retention has forgotten; their hashes are there.
    pub forgotten: u64,
    /// How many leaves the tree has.
    pub size: u64,
    /// Its root, of the hashes that are there.
    pub root: Hash,
    /// Checkpoints that were signed over this log.
    pub checkpoints: u64,
    /// How many events the largest of them covers.
    pub signed: u64,
    /// What is not as it was recorded, the first events first.
    pub findings: Vec<Finding>,
    /// How much more was found than is listed.
    pub more: u64,
}

/// Checks leaves in the order of their places, events in the order of their numbers, and checkpoints in
/// the order of their sizes against each other; `kept` gives the hashes of subtrees that are kept, of
/// whatever heights.
///
/// # Errors
/// Those of what is handed in.
pub fn check<E>(
    leaves: impl Iterator<Item = Result<Leaf, E>>,
    events: impl Iterator<Item = Result<StoredEvent, E>>,
    checkpoints: &[Signed],
    mut kept: impl FnMut(Node) -> Result<Option<Hash>, E>,
) -> Result<Report, E> {
    let mut check = Check::new(checkpoints);
    let mut events = events.peekable();
    for leaf in leaves {
        let leaf = leaf?;
        // No hash covers which event a leaf is of, but they go up: one that says otherwise was altered.
        let is_later = leaf.event > check.newest;
        let mut unhashed = check.place(&leaf);
        while let Some(event) = next_if(&mut events, |id| id < leaf.event)? {
            check.events += 1;
            if unhashed > 0 {
                unhashed -= 1;
            } else {
                check.find(Finding::Inserted { event: event.id });
            }
        }
        match next_if(&mut events, |id| id == leaf.event)? {
            Some(event) => check.compare(&leaf, event),
            None if is_later => check.miss(leaf.event),
            None => {
                let event = if leaf.event > 0 { leaf.event } else { check.newest + 1 };
                check.find(Finding::Removed { first: event, last: event });
            }
        }
        check.newest = check.newest.max(leaf.event);
        check.append(&leaf, &mut kept)?;
    }
    while let Some(event) = next_if(&mut events, |_| true)? {
        check.events += 1;
        check.find(Finding::Inserted { event: event.id });
    }
    Ok(check.report())
}

struct Check<'a> {
    tree: Frontier,
    /// Where the next leaf belongs.
    next: u64,
    /// The event of the first leaf.
    first: i64,
    /// The latest event of the leaves before.
    newest: i64,
    /// The oldest event that is there.
    kept_from: Option<i64>,
    /// Checkpoints that were not reached yet.
    ahead: &'a [Signed],
    /// The event after which no checkpoint has vouched for anything yet.
    vouched: i64,
    /// Whether hashes are gone, so that no root can be right any more.
    broken: bool,
    /// Whether a root was wrong: all that follow are.
    rewritten: bool,
    /// Events that are not there: runs of them, first and last.
    gone: Vec<(i64, i64)>,
    /// Events that were changed: their leaf, and what is there.
    changed: Vec<(Leaf, Option<String>)>,
    /// Up to which event retention has forgotten everything.
    forgets: i64,
    events: u64,
    checkpoints: u64,
    signed: u64,
    findings: Vec<Finding>,
    more: u64,
}

impl<'a> Check<'a> {
    fn new(ahead: &'a [Signed]) -> Self {
        Self {
            tree: Frontier::default(),
            next: 0,
            first: 0,
            newest: 0,
            kept_from: None,
            ahead,
            vouched: 0,
            broken: false,
            rewritten: false,
            gone: Vec::new(),
            changed: Vec::new(),
            forgets: 0,
            events: 0,
            checkpoints: 0,
            signed: 0,
            findings: Vec::new(),
            more: 0,
        }
    }

    fn find(&mut self, finding: Finding) {
        if self.findings.len() < MOST {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }

    /// Sees whether a leaf is where it belongs; gives how many before it are gone.
    fn place(&mut self, leaf: &Leaf) -> u64 {
        let unhashed = leaf.position.saturating_sub(self.next);
        if unhashed > 0 {
            self.find(Finding::Unhashed { first: self.next, last: leaf.position - 1 });
            self.broken = true;
        }
        self.next = leaf.position + 1;
        unhashed
    }

    fn compare(&mut self, kept: &Leaf, event: StoredEvent) {
        self.events += 1;
        self.kept_from.get_or_insert(kept.event);
        let is_it = event.line.as_ref().is_some_and(|line| leaf(line.as_bytes()) == kept.hash);
        if is_it {
            self.forgets = self.forgets.max(event.forgets.unwrap_or(0));
        } else if self.changed.len() < MOST {
            self.changed.push((*kept, event.line));
        } else {
            self.more += 1;
        }
    }

    fn miss(&mut self, event: i64) {
        let room = self.gone.len() < MOST;
        match self.gone.last_mut() {
            Some((_, last)) if *last + 1 == event => *last = event,
            _ if room => self.gone.push((event, event)),
            _ => self.more += 1,
        }
    }

    fn append<E>(
        &mut self,
        leaf: &Leaf,
        kept: &mut impl FnMut(Node) -> Result<Option<Hash>, E>,
    ) -> Result<(), E> {
        if self.broken {
            return Ok(());
        }
        if self.tree.size() == 0 {
            (self.first, self.vouched) = (leaf.event, leaf.event - 1);
        }
        let mut whole = Vec::new();
        self.tree.append(leaf.hash, |node, hash| whole.push((node, hash)));
        for (node, hash) in whole {
            if kept(node)?.is_some_and(|kept| kept != hash) {
                let first = node.index << node.height;
                self.find(Finding::Subtree { first, last: first + (1 << node.height) - 1 });
            }
        }
        while let Some((signed, ahead)) = self.ahead.split_first()
            && signed.size <= self.tree.size()
        {
            self.ahead = ahead;
            self.vouch(signed, leaf.event);
        }
        Ok(())
    }

    /// Compares the tree with a checkpoint of its size.
    fn vouch(&mut self, signed: &Signed, event: i64) {
        match signed.root {
            None => self.find(Finding::Unsigned { size: signed.size }),
            Some(root) if root == self.tree.root() => {
                self.checkpoints += 1;
                (self.vouched, self.signed) = (event, signed.size);
            }
            Some(_) if self.rewritten => self.more += 1,
            Some(_) => {
                self.rewritten = true;
                let first = if signed.elsewhere { self.first } else { self.vouched + 1 };
                self.find(Finding::Rewritten { first, last: event, size: signed.size });
            }
        }
    }

    fn report(mut self) -> Report {
        let mut forgotten = 0;
        for (first, last) in std::mem::take(&mut self.gone) {
            // Only the oldest are forgotten: what is missing behind one that is there was removed.
            let is_oldest = self.kept_from.is_none_or(|kept| last < kept);
            let until = if is_oldest { last.min(self.forgets) } else { first - 1 };
            forgotten += u64::try_from(until - first + 1).unwrap_or(0);
            if last > until {
                self.find(Finding::Removed { first: first.max(until + 1), last });
            }
        }
        self.tell_changed();
        for signed in std::mem::take(&mut self.ahead) {
            match signed.root {
                None => self.find(Finding::Unsigned { size: signed.size }),
                Some(_) if self.broken => {}
                Some(_) => self.find(Finding::Cut { size: signed.size, left: self.next }),
            }
        }
        // A leaf that was moved: its event seemed to be never hashed first, and gone then.
        let all = self.findings.clone();
        let moved = |event: i64| {
            all.contains(&Finding::Inserted { event })
                && all.contains(&Finding::Removed { first: event, last: event })
        };
        self.findings
            .retain(|found| !matches!(*found, Finding::Removed { first, .. } if moved(first)));
        for finding in &mut self.findings {
            if let Finding::Inserted { event } = *finding
                && moved(event)
            {
                *finding = Finding::Reordered { event, belongs: event };
            }
        }
        // What names its event comes before what only says between which it is.
        self.findings
            .sort_by_key(|found| (found.is_broad(), found.event().is_none(), found.event()));
        Report {
            events: self.events,
            forgotten,
            size: self.next,
            root: self.tree.root(),
            checkpoints: self.checkpoints,
            signed: self.signed,
            findings: self.findings,
            more: self.more,
        }
    }

    /// Says of every changed event whether it is another one's.
    fn tell_changed(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        for (at, line) in &changed {
            let belongs = line.as_ref().and_then(|line| {
                let is = |other: &&(Leaf, Option<String>)| {
                    leaf(renumbered(line, other.0.event).as_bytes()) == other.0.hash
                };
                changed.iter().find(is).map(|other| other.0.event)
            });
            self.find(match belongs {
                Some(belongs) => Finding::Reordered { event: at.event, belongs },
                None => Finding::Changed { event: at.event },
            });
        }
    }
}

fn next_if<E>(
    events: &mut Peekable<impl Iterator<Item = Result<StoredEvent, E>>>,
    wanted: impl Fn(i64) -> bool,
) -> Result<Option<StoredEvent>, E> {
    let is = |event: &Result<StoredEvent, E>| event.as_ref().map_or(true, |e| wanted(e.id));
    events.next_if(is).transpose()
}

/// So many findings are listed.
const MOST: usize = 100;
