//! Which rules two sequences do not have in common.

use std::collections::HashMap;

use crate::compare::rules::Rule;

/// Which of the two sequences' rules have no partner in the other, in an order that holds for both.
pub(super) fn without_partner(old: &[Rule], new: &[Rule]) -> [Vec<Rule>; 2] {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[head..], &new[head..]);
    let tail = old
        .iter()
        .rev()
        .zip(new.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
    // Rules that stand once on either side, in the longest sequence that rises on both.
    let mut places: HashMap<Rule, (u32, u32, usize, usize)> = HashMap::new();
    for (at, rule) in old.iter().enumerate() {
        let place = places.entry(*rule).or_default();
        (place.0, place.2) = (place.0 + 1, at);
    }
    for (at, rule) in new.iter().enumerate() {
        let place = places.entry(*rule).or_default();
        (place.1, place.3) = (place.1 + 1, at);
    }
    let mut pairs: Vec<(usize, usize)> = places
        .values()
        .filter(|(olds, news, ..)| (*olds, *news) == (1, 1))
        .map(|(_, _, old, new)| (*old, *new))
        .collect();
    pairs.sort_unstable();
    // For each length, the pair that ends a rising sequence of it lowest; and what stands before each.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    for (at, (_, place)) in pairs.iter().enumerate() {
        let length = ends.partition_point(|end| pairs[*end].1 < *place);
        before.push(length.checked_sub(1).map(|shorter| ends[shorter]));
        if length == ends.len() {
            ends.push(at);
        } else {
            ends[length] = at;
        }
    }
    let mut partnered = [vec![false; old.len()], vec![false; new.len()]];
    let mut at = ends.last().copied();
    while let Some(pair) = at {
        partnered[0][pairs[pair].0] = true;
        partnered[1][pairs[pair].1] = true;
        at = before[pair];
    }
    let alone = |rules: &[Rule], partnered: &[bool]| {
        let pairs = rules.iter().zip(partnered);
        pairs.filter(|(_, has)| !**has).map(|(rule, _)| *rule).collect()
    };
    [alone(old, &partnered[0]), alone(new, &partnered[1])]
}
