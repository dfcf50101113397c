//! What the server says of itself at `/metrics`, read as numbers.

/// One answer.
pub(crate) struct Scrape(pub(crate) String);

impl Scrape {
    /// The value of a series, labels included as they are written; 0 while it does not exist.
    pub(crate) fn value(&self, series: &str) -> f64 {
        let value = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
        self.0.lines().find_map(value).unwrap_or(0.0)
    }

    /// The sum over all labels of the series `name`.
    pub(crate) fn total(&self, name: &str) -> f64 {
        let value = |line: &str| {
            let rest = line.strip_prefix(name)?;
            let rest =
                rest.strip_prefix('{').map_or(rest, |r| r.rsplit_once('}').map_or(r, |r| r.1));
            rest.strip_prefix(' ')?.parse::<f64>().ok()
        };
        self.0.lines().filter_map(value).sum()
    }

    /// Rotations that were proven so far.
    pub(crate) fn proven(&self) -> f64 {
        self.value("perennial_rotations_total{outcome=\"proven\"}")
    }

    /// Rotations that failed so far.
    pub(crate) fn failed(&self) -> f64 {
        self.value("perennial_rotations_total{outcome=\"failed\"}")
    }

    /// Ticks so far, and the seconds they took together.
    pub(crate) fn ticks(&self) -> (f64, f64) {
        (self.value("perennial_tick_seconds_count"), self.value("perennial_tick_seconds_sum"))
    }

    /// Pushes proven since `before`, and the seconds each took on average until then.
    pub(crate) fn served_since(&self, before: &Self) -> (f64, f64) {
        let since = |name| self.total(name) - before.total(name);
        let number = since("perennial_served_seconds_count");
        (number, since("perennial_served_seconds_sum") / number.max(1.0))
    }
}
