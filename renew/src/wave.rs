//! The order in which targets get a new version: the canary first, then the rest in waves. Nothing
//! is ever done to all of them at once, unless there is only one.

/// Divides `targets` into waves: the `canary` first (where none is named, the first target alone),
/// then `size` at a time; 0 means a quarter of the rest, rounded up. Names in `canary` that are no
/// targets are passed over.
#[must_use]
pub fn waves(targets: &[String], canary: &[String], size: usize) -> Vec<Vec<String>> {
    let named: Vec<String> = targets.iter().filter(|t| canary.contains(t)).cloned().collect();
    let first = if named.is_empty() { targets.iter().take(1).cloned().collect() } else { named };
    let rest: Vec<String> = targets.iter().filter(|t| !first.contains(t)).cloned().collect();
    let size = if size == 0 { rest.len().div_ceil(4) } else { size };
    let mut waves = vec![first];
    waves.extend(rest.chunks(size.max(1)).map(<[String]>::to_vec));
    waves.retain(|wave| !wave.is_empty());
    waves
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(Into::into).collect()
    }

    #[test]
    fn the_canary_goes_first_and_the_rest_in_waves() {
        let shown = |canary, size| {
            let waves = waves(&names("a b c d e f"), &names(canary), size);
            waves.iter().map(|wave| wave.join("")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown("c", 2), "c ab de f");
        assert_eq!(shown("c e", 9), "ce abdf");
        assert_eq!(shown("", 0), "a bc de f");
        assert_eq!(shown("elsewhere", 5), "a bcdef");
    }

    #[test]
    fn every_target_is_in_one_wave() {
        assert_eq!(waves(&[], &[], 3), Vec::<Vec<String>>::new());
        for n in 1..30 {
            let targets: Vec<String> = (0..n).map(|i| i.to_string()).collect();
            for size in 0..5 {
                let mut all: Vec<_> = waves(&targets, &[], size).concat();
                all.sort_by_key(|name| name.parse::<u32>().expect("a number"));
                assert_eq!(all, targets);
            }
        }
    }
}
