//! The order in which targets get a new version: the canary first, then the rest in waves. Nothing
//! is ever done to all of them at once, unless there is only one.

use std::collections::HashSet;

/// Divides targets, by their places in `targets`, into waves: the `canary` first (where none is
/// named, or all are, the first target alone), then `size` at a time; 0 means a quarter of the
/// rest, rounded up. Names in `canary` that are no targets are passed over.
#[must_use]
pub fn waves(targets: &[&str], canary: &[String], size: usize) -> Vec<Vec<usize>> {
    let canary: HashSet<&str> = canary.iter().map(String::as_str).collect();
    let places = 0..targets.len();
    let (mut first, mut rest): (Vec<_>, Vec<_>) =
        places.clone().partition(|place| canary.contains(targets[*place]));
    if first.is_empty() || rest.is_empty() {
        (first, rest) = places.partition(|place| *place == 0);
    }
    let size = if size == 0 { rest.len().div_ceil(4) } else { size };
    let mut waves = vec![first];
    waves.extend(rest.chunks(size.max(1)).map(<[usize]>::to_vec));
    waves.retain(|wave| !wave.is_empty());
    waves
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canary_goes_first_and_the_rest_in_waves() {
        let shown = |canary, size| {
            let canary: Vec<_> = str::split_whitespace(canary).map(Into::into).collect();
            let targets = ["a", "b", "c", "d", "e", "f"];
            let shown = |wave: &Vec<usize>| wave.iter().map(|n| targets[*n]).collect::<String>();
            waves(&targets, &canary, size).iter().map(shown).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown("c", 2), "c ab de f");
        assert_eq!(shown("c e", 9), "ce abdf");
        assert_eq!(shown("", 0), "a bc de f");
        assert_eq!(shown("elsewhere", 5), "a bcdef");
        assert_eq!(shown("a b c d e f", 5), "a bcdef", "not all at once");
    }

    #[test]
    fn every_target_is_in_one_wave() {
        assert_eq!(waves(&[], &[], 3), Vec::<Vec<usize>>::new());
        for n in 1..30 {
            let targets = vec!["x"; n];
            for size in 0..5 {
                let all: Vec<_> = waves(&targets, &[], size).concat();
                assert_eq!(all, (0..n).collect::<Vec<_>>());
            }
        }
    }
}
