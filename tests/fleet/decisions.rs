//! What a tick of the worker costs: by how much is stored, and by how much is due. Those that become
//! due were declared and obtained as usual; the others are copies in the store that nobody declared,
//! which is what the worker cannot know before it looks at them.

use std::fmt::Write;
use std::time::{Duration, Instant, SystemTime};

use tokio::time::sleep;

use crate::arguments::Arguments;
use crate::crowd::Store;
use crate::error::Error;
use crate::gauge;
use crate::grid::grid;
use crate::node::{Ground, Node};
use crate::published::median;

/// Runs every number of due certificates on a small and on the large store; gives the table.
pub(crate) async fn measure(arguments: &Arguments) -> Result<String, Error> {
    let declared = arguments.due.iter().copied().max().unwrap_or(0).max(1);
    if declared > arguments.certificates {
        return Err(Error::Usage("--due has more certificates than --certificates".into()));
    }
    let ground = Ground::clear(arguments).await?;
    obtain(&ground, declared).await?;
    let mut rows = Vec::new();
    let mut sizes = vec![declared, arguments.certificates];
    sizes.dedup();
    for stored in sizes {
        if stored > declared {
            Store::stopped(&ground.data()?)?.fill(&name(0), stored).await?;
        }
        for &due in &arguments.due {
            eprintln!("decisions: {due} due of {stored}");
            rows.push(look(&ground, stored, due).await?);
        }
    }
    let mut text = String::from("Decisions\n\n");
    text += &grid(HEADINGS, rows);
    let _ = write!(
        text,
        "\nThose due are {declared} that are declared, without targets, and were issued here: each is \
         looked at,\nits issuer asked, and the time of the next look stored. All others wait for \
         theirs.\n"
    );
    Ok(text)
}

/// Declares so many certificates and waits until all of them are there.
async fn obtain(ground: &Ground, number: usize) -> Result<(), Error> {
    eprintln!("decisions: {number} certificates are obtained");
    let node = ground.start(false).await?;
    let before = node.scrape().await?.proven();
    let all: Vec<_> = (0..number).collect();
    for some in all.chunks(AT_ONCE) {
        let declare = |i: &usize| {
            let name = name(*i);
            format!("[[certificate]]\nname = {name:?}\nnames = [\"{name}.fleet.test\"]\n")
        };
        let declared: String = some.iter().map(declare).collect();
        node.apply(&declared).await?;
    }
    let limit = Duration::from_secs(60) + Duration::from_millis(50) * times(number);
    node.until_proven(before + count(number), Duration::from_millis(200), limit).await?;
    node.server.stop().await
}

/// One run: starts the server some seconds before `due` certificates are, and watches its ticks.
async fn look(ground: &Ground, stored: usize, due: usize) -> Result<[String; 10], Error> {
    let data = ground.data()?;
    let at = now() + LEAD;
    Store::stopped(&data)?.make_due(PREFIX, due, at)?;
    let node = ground.start(false).await?;
    if now() + 4 > at {
        return Err(Error::Usage("the server took too long to start for this run".into()));
    }
    let (start, memory) = (node.server.ready_after, gauge::memory(node.server.pid())?);
    let mut ticks = Ticks::of(&node).await?;
    while now() < at - 1 {
        ticks.watch(&node).await?;
    }
    let idle = std::mem::take(&mut ticks.took);
    let cpu_before = gauge::cpu(node.server.pid())?;
    while now() < at {
        ticks.watch(&node).await?;
    }
    let (began, store) = (Instant::now(), Store::running(&data)?);
    let mut looked = None;
    // Those that are due are begun in a tick, and end before or after the next.
    while looked.is_none() || began.elapsed() < AFTER {
        ticks.watch(&node).await?;
        if looked.is_none() && store.due(at)? == 0 {
            looked = Some((began.elapsed(), gauge::cpu(node.server.pid())?));
        }
        if began.elapsed() > LIMIT {
            return Err(Error::Stalled("looking at those that are due"));
        }
    }
    node.server.stop().await?;
    let (after, cpu) = looked.unwrap_or_default();
    let busy = ticks.took;
    let longest = busy.iter().copied().fold(0.0, f64::max);
    let some = |text: String| if due > 0 { text } else { "–".into() };
    Ok([
        stored.to_string(),
        due.to_string(),
        start.as_millis().to_string(),
        (memory >> 20).to_string(),
        cpu_before.as_millis().to_string(),
        format!("{:.3}", median(idle) * 1e3),
        format!("{:.3}", longest * 1e3),
        format!("{:.3}", busy.iter().sum::<f64>() * 1e3),
        some(format!("{:.1}", after.as_secs_f64())),
        some(format!("{:.2}", cpu.saturating_sub(cpu_before).as_secs_f64() * 1e3 / count(due))),
    ])
}

/// What each tick took, in seconds, seen between two looks at the metrics.
pub(crate) struct Ticks {
    seen: (f64, f64),
    pub(crate) took: Vec<f64>,
}

impl Ticks {
    /// From now on.
    pub(crate) async fn of(node: &Node<'_>) -> Result<Self, Error> {
        Ok(Self { seen: node.scrape().await?.ticks(), took: Vec::new() })
    }

    /// Looks once, after a pause much shorter than from tick to tick.
    pub(crate) async fn watch(&mut self, node: &Node<'_>) -> Result<(), Error> {
        sleep(Duration::from_millis(50)).await;
        let (number, sum) = node.scrape().await?.ticks();
        if number > self.seen.0 {
            // Of several at once, all that is known is what they took on average.
            self.took.push((sum - self.seen.1) / (number - self.seen.0));
            self.seen = (number, sum);
        }
        Ok(())
    }
}

fn name(number: usize) -> String {
    format!("{PREFIX}{number}")
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn times(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A number of things, to be divided.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
pub(crate) fn count(number: usize) -> f64 {
    number as f64
}

const PREFIX: &str = "due-";
/// Certificates declared by one file.
const AT_ONCE: usize = 5000;
/// Seconds from here to when they are due: time to start, and for some ticks that find nothing.
const LEAD: i64 = 14;
const AFTER: Duration = Duration::from_secs(4);
const LIMIT: Duration = Duration::from_secs(180);
const HEADINGS: [&str; 10] = [
    "stored",
    "due",
    "start ms",
    "RSS MiB",
    "start CPU ms",
    "idle tick ms",
    "longest tick ms",
    "ticks ms",
    "all looked at s",
    "CPU ms",
];
