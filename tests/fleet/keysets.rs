//! Many keysets: how fast they are made and published, what they weigh in memory, and what a tick of
//! the worker costs when none of them and when all of them are due.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::arguments::Arguments;
use crate::crowd::Store;
use crate::decisions::{Ticks, count, now};
use crate::error::Error;
use crate::gauge;
use crate::grid::grid;
use crate::node::Ground;
use crate::published::median;

/// Each number in turn, on the same store; gives the table.
pub(crate) async fn measure(arguments: &Arguments) -> Result<String, Error> {
    let ground = Ground::clear(arguments).await?;
    let (mut rows, mut there) = (Vec::new(), 0);
    let mut numbers = arguments.keysets.clone();
    numbers.sort_unstable();
    for number in numbers {
        eprintln!("keysets: {number}");
        let (per_second, live) = make(&ground, there..number).await?;
        there = number;
        rows.push(look(&ground, number, per_second, live).await?);
    }
    Ok(format!(
        "Keysets\n\n{}\nEach has one ES256 key, published and signing. Those due are looked at, and need \
         nothing yet.\n",
        grid(HEADINGS, rows)
    ))
}

/// Declares them and waits until each has a key; gives how many are made in a second, and the memory
/// of the server then.
async fn make(ground: &Ground, which: Range<usize>) -> Result<(f64, u64), Error> {
    let node = ground.start(false).await?;
    let (number, began) = (which.len(), Instant::now());
    let mut from = which.start;
    while from < which.end {
        let to = (from + AT_ONCE).min(which.end);
        node.apply(&declared(from..to)).await?;
        from = to;
    }
    let store = Store::running(&ground.data()?)?;
    while store.keysets_without_key()? > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if began.elapsed() > LIMIT {
            return Err(Error::Stalled("making the first keys"));
        }
    }
    let took = began.elapsed().as_secs_f64();
    let live = gauge::memory(node.server.pid())?;
    node.server.stop().await?;
    Ok((count(number) / took, live))
}

/// Starts on what is there, and looks at ticks before and after all are due.
async fn look(
    ground: &Ground,
    number: usize,
    per_second: f64,
    live: u64,
) -> Result<[String; 9], Error> {
    let at = now() + LEAD;
    Store::stopped(&ground.data()?)?.make_keysets_due(at)?;
    let node = ground.start(false).await?;
    let (start, memory) = (node.server.ready_after, gauge::memory(node.server.pid())?);
    let mut ticks = Ticks::of(&node).await?;
    while now() < at {
        ticks.watch(&node).await?;
    }
    let idle = std::mem::take(&mut ticks.took);
    let (cpu, began) = (gauge::cpu(node.server.pid())?, Instant::now());
    let store = Store::running(&ground.data()?)?;
    while store.keysets_due(at)? > 0 {
        ticks.watch(&node).await?;
        if began.elapsed() > LIMIT {
            return Err(Error::Stalled("looking at those that are due"));
        }
    }
    let took = began.elapsed();
    let cpu = gauge::cpu(node.server.pid())?.saturating_sub(cpu);
    ticks.watch(&node).await?;
    let longest = ticks.took.iter().copied().fold(0.0, f64::max);
    node.server.stop().await?;
    Ok([
        number.to_string(),
        format!("{per_second:.0}"),
        (live >> 20).to_string(),
        start.as_millis().to_string(),
        (memory >> 20).to_string(),
        format!("{:.3}", median(idle) * 1e3),
        format!("{:.1}", longest * 1e3),
        format!("{:.2}", took.as_secs_f64()),
        format!("{:.3}", cpu.as_secs_f64() * 1e3 / count(number)),
    ])
}

/// Keysets whose tokens anybody with the right API token may have.
pub(crate) fn declared(which: Range<usize>) -> String {
    let one = |i: usize| {
        format!(
            "[[keyset]]\nname = \"k{i}\"\nissuer = \"https://k{i}.fleet.test\"\nalgorithm = \"ES256\"\n\
             audiences = [\"https://api.example.com\"]\nsubjects = [\"worker-*\"]\n"
        )
    };
    which.map(one).collect()
}

const AT_ONCE: usize = 1000;
/// Seconds from here to when they are due: time to start, and for some ticks that find nothing.
const LEAD: i64 = 15;
const LIMIT: Duration = Duration::from_secs(600);
const HEADINGS: [&str; 9] = [
    "keysets",
    "made per s",
    "RSS MiB",
    "start ms",
    "RSS MiB then",
    "idle tick ms",
    "longest tick ms",
    "all looked at s",
    "CPU ms each",
];
