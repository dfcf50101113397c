//! How the node itself stands, for who watches: looked up when it is asked for, so that what is gone is
//! not shown. Labels name authorities. Nothing here may take long: it is in the way of every scrape.

use std::fs;
use std::path::Path;

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::node::Node;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Authority {
    authority: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Build {
    version: &'static str,
}

/// How the node stands now, under names of its own.
pub(super) fn standing(node: &Node) -> Registry {
    let mut registry = Registry::with_prefix("perennial");
    authorities(node, &mut registry);
    audit(node, &mut registry);
    store(node, &mut registry);
    let build = Family::<Build, Gauge>::default();
    build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
    registry.register("build_info", "Which version runs", build);
    registry
}

/// What the process takes, under the names that every process has.
pub(super) fn process() -> Registry {
    let mut registry = Registry::default();
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // What follows the name, which may hold anything, begins with the third field.
    let fields: Vec<_> =
        stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ').collect()).unwrap_or_default();
    let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse::<u64>().ok());
    let ticks = rustix::param::clock_ticks_per_second();
    if let (Some(ticked), Some(boot)) = (field(22), boot_time()) {
        let started = boot + i64::try_from(ticked / ticks).unwrap_or_default();
        put(&mut registry, "process_start_time_seconds", "When the process began", started);
    }
    if let Some(pages) = field(24) {
        let bytes = pages.saturating_mul(rustix::param::page_size() as u64);
        let help = "Memory that the process holds";
        put(&mut registry, "process_resident_memory_bytes", help, whole(bytes));
    }
    if let (Some(user), Some(system)) = (field(14), field(15)) {
        let spent = Counter::<f64, std::sync::atomic::AtomicU64>::default();
        #[expect(clippy::cast_precision_loss, reason = "a sum of centuries would still be exact")]
        spent.inc_by((user + system) as f64 / ticks as f64);
        registry.register("process_cpu_seconds", "Time on processors", spent);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        let open = i64::try_from(files.count()).unwrap_or(i64::MAX);
        put(&mut registry, "process_open_fds", "Files and connections that are open", open);
    }
    registry
}

fn authorities(node: &Node, registry: &mut Registry) {
    let [not_before, not_after, this_update, next_update] =
        [(); 4].map(|()| Family::<Authority, Gauge>::default());
    for (name, authority) in &node.catalog.load().authorities {
        let set = |family: &Family<Authority, Gauge>, at: Timestamp| {
            family.get_or_create(&Authority { authority: name.clone() }).set(at.as_second());
        };
        set(&not_before, authority.ca.certificate().not_before());
        set(&not_after, authority.ca.certificate().not_after());
        if let Some(crl) = node.crls.load().get(&authority.id) {
            set(&this_update, crl.this_update);
            set(&next_update, crl.next_update);
        }
    }
    for (name, help, family) in [
        ("authority_not_before", "Since when a CA certificate is valid", not_before),
        ("authority_not_after", "When a CA certificate expires", not_after),
        ("crl_this_update", "When a CRL was made", this_update),
        ("crl_next_update", "When a CRL lapses", next_update),
    ] {
        registry.register(format!("{name}_timestamp_seconds"), help, family);
    }
    let wait = whole(node.metrics.levels.longest_wait().as_secs());
    let help = "For how long the oldest revocation that no CRL lists has waited";
    put(registry, "revocation_waiting_seconds", help, wait);
}

fn audit(node: &Node, registry: &mut Registry) {
    let audited = node.store.audited();
    for (name, help, count) in [
        (
            "audit_changes",
            "Commits in which SQLite reported a change that must be recorded",
            audited.changes,
        ),
        (
            "audit_changes_recorded",
            "Those of them in which it reported an event too",
            audited.recorded,
        ),
        (
            "store_foreign_writes",
            "Times that the store was found written by somebody else",
            audited.foreign,
        ),
    ] {
        let counter = Counter::<u64>::default();
        counter.inc_by(count);
        registry.register(name, help, counter);
    }
}

fn store(node: &Node, registry: &mut Registry) {
    let writable = i64::from(node.store.writable().is_ok());
    put(registry, "store_writable", "1 if changes can be stored", writable);
    let path = node.config.data_dir.join("perennial.db");
    let bytes = size(&path) + size(&path.with_extension("db-wal"));
    put(registry, "store_bytes", "Size of the store and its log of writes", whole(bytes));
    if let Ok(disk) = rustix::fs::statvfs(&node.config.data_dir) {
        let free = whole(disk.f_bavail.saturating_mul(disk.f_frsize));
        put(registry, "store_free_bytes", "Room on the disk of the store", free);
    }
}

fn put(registry: &mut Registry, name: &str, help: &str, value: i64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |file| file.len())
}

/// When the machine started, in Unix seconds: processes count from there.
fn boot_time() -> Option<i64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime ")?.parse().ok())
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
