//! Consumers with their caches, each shown tokens all the time.

use jwks::consumer::{Cache, UnknownKid};

use super::{Client, World, secs};

/// What consumers do.
impl World {
    /// A consumer is shown a token by every key that has an unexpired one, and sometimes nonsense.
    pub(super) fn verify(&mut self, place: usize) {
        if self.dice.one_in(6) {
            let _ = self.knows(place, usize::MAX);
        }
        let skew = secs(self.clients[place].consumer.skew);
        let recent = self.fates.len().saturating_sub(40);
        for number in recent..self.fates.len() {
            let fate = &self.fates[number];
            if let Some((since, until)) = fate.bad {
                // Promised to those who were declared then.
                let client = &self.clients[place];
                if self.now > until && client.since <= since && self.holds(place, number) {
                    panic!("{} takes a bad token past its exposure", client.consumer.name);
                }
                continue;
            }
            if fate.expires + skew < self.now || fate.excused_until >= self.now {
                continue;
            }
            if !self.knows(place, number) {
                self.fail(place, number);
            }
        }
    }

    fn fail(&self, place: usize, number: usize) {
        let Client { consumer, edge, held, .. } = &self.clients[place];
        let key = self.keyset.keys.iter().find(|key| self.number(&key.kid) == number);
        let (now, name, lead) = (self.now, &consumer.name, self.policy.lead());
        let sets: Vec<_> = self.published.0.iter().rev().take(3).collect();
        panic!(
            "at {now} {name} at {edge:?} refuses an unexpired token by key {number}, holding {held:?}; \
             published were {sets:?}; {lead}; {key:#?}"
        );
    }

    /// Whether a consumer whose cache is bounded accepts a key without fetching.
    fn holds(&self, place: usize, number: usize) -> bool {
        let client = &self.clients[place];
        let fresh = client.held.as_ref().filter(|(at, _)| !self.is_stale(place, *at));
        client.consumer.cache != Cache::Forever
            && fresh.is_some_and(|(_, set)| set.contains(&number))
    }

    fn is_stale(&self, place: usize, fetched_at: i64) -> bool {
        match self.clients[place].consumer.cache {
            Cache::For(time) => self.now >= fetched_at + secs(time),
            Cache::Forever => false,
        }
    }

    /// Whether a consumer finds a key, fetching as it is used to.
    fn knows(&mut self, place: usize, number: usize) -> bool {
        let fetched_at = self.clients[place].held.as_ref().map(|(at, _)| *at);
        if fetched_at.is_none_or(|at| self.is_stale(place, at)) {
            self.fetch(place);
        }
        if self.clients[place].held.as_ref().is_some_and(|(_, set)| set.contains(&number)) {
            return true;
        }
        let client = &mut self.clients[place];
        let may = match client.consumer.unknown_kid {
            UnknownKid::Refetch => true,
            UnknownKid::Cooldown(time) => self.now >= client.asked_at + secs(time),
            UnknownKid::Never => false,
        };
        if may {
            client.asked_at = self.now;
            self.fetch(place);
        }
        // Nothing at all is published yet: no consumer refuses what nobody could sign.
        self.clients[place].held.as_ref().is_none_or(|(_, set)| set.contains(&number))
    }

    /// Fetches a set as old as it may be.
    fn fetch(&mut self, place: usize) {
        let (max_age, copy_age) = *self.ages.at(self.now).expect("a policy");
        let (older, more) = self.ages.0[self.ages.0.len().saturating_sub(2)].1;
        let edge = self.clients[place].edge.clone();
        let extra = if edge.is_some() { 0 } else { copy_age.max(more) };
        let mut age = self.dice.extreme(max_age.max(older) + extra);
        // A copy is as old as was allowed when it was made.
        let allowed = self.ages.at(self.now - age).map_or(0, |(max_age, copy_age)| {
            if edge.is_some() { *max_age } else { max_age + copy_age }
        });
        age = age.min(allowed);
        let set = match edge {
            Some(url) => {
                let edge = self.edges.iter().find(|edge| edge.url == url).expect("an edge");
                edge.served.at(self.now - age).or(edge.served.0.back().map(|(_, set)| set))
            }
            None => {
                let lag = self.dice.extreme(self.slack);
                self.published.at(self.now - age - lag).or(self.published.at(self.now))
            }
        };
        if let Some(set) = set.cloned() {
            if age == 0 && self.clients[place].edge.is_none() {
                let name = &self.clients[place].consumer.name;
                self.seen.extend(set.iter().map(|number| (name.clone(), *number)));
                let many = self.seen.len().saturating_sub(4000);
                self.seen.drain(..many);
            }
            self.clients[place].held = Some((self.now, set));
        }
    }
}
