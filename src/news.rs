//! Who waits for news of a managed certificate, and the news itself: that there may be another
//! version to give. Nobody who waits asks the store in the meantime, and only so many may.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// News of managed certificates, by their rows.
pub(crate) struct News {
    audience: Mutex<Audience>,
    over: watch::Sender<bool>,
}

#[derive(Default)]
struct Audience {
    all: usize,
    by_token: HashMap<i64, usize>,
    /// Only certificates that somebody waits for are in it.
    by_certificate: HashMap<i64, watch::Sender<()>>,
}

/// Why nobody else may wait now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crowded {
    /// As many wait with this token as may with one.
    Token,
    /// As many wait as there is room for.
    All,
}

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// There may be something new.
    News,
    /// The time is over.
    Nothing,
    /// The server stops.
    End,
}

impl News {
    /// No news, and nobody who waits for any.
    pub(crate) fn new() -> Self {
        Self { audience: Mutex::default(), over: watch::Sender::new(false) }
    }

    /// Tells everybody who waits for it that what is to be given of a certificate may be another
    /// version now. Is called after that was stored, or who was told would not find it.
    pub(crate) fn announce(&self, certificate: i64) {
        if let Some(sender) = lock(&self.audience).by_certificate.get(&certificate) {
            sender.send_replace(());
        }
    }

    /// Ends every wait, those yet to begin as well.
    pub(crate) fn end(&self) {
        self.over.send_replace(true);
    }

    /// Becomes true when every wait is to end.
    pub(crate) fn over(&self) -> watch::Receiver<bool> {
        self.over.subscribe()
    }

    /// Listens for news of `certificate`, on behalf of who holds `token`; none is missed from now on.
    ///
    /// # Errors
    /// [`Crowded`] when too many do.
    pub(crate) fn listen(&self, certificate: i64, token: i64) -> Result<Listener<'_>, Crowded> {
        let mut audience = lock(&self.audience);
        if audience.all >= MAX_WAITING {
            return Err(Crowded::All);
        }
        let with_it = audience.by_token.entry(token).or_default();
        if *with_it >= MAX_WAITING_PER_TOKEN {
            return Err(Crowded::Token);
        }
        *with_it += 1;
        audience.all += 1;
        let news = audience.by_certificate.entry(certificate).or_default().subscribe();
        Ok(Listener { of: self, certificate, token, news, over: self.over.subscribe() })
    }
}

/// One who waits, until dropped.
pub(crate) struct Listener<'a> {
    of: &'a News,
    certificate: i64,
    token: i64,
    news: watch::Receiver<()>,
    over: watch::Receiver<bool>,
}

impl Listener<'_> {
    /// Waits for news since the last time, at most until `end`.
    pub(crate) async fn wait(&mut self, end: Instant) -> Awaited {
        let news = async {
            tokio::select! {
                // Both senders live as long as the node does.
                _ = self.over.wait_for(|over| *over) => Awaited::End,
                _ = self.news.changed() => Awaited::News,
            }
        };
        timeout_at(end, news).await.unwrap_or(Awaited::Nothing)
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        let mut audience = lock(&self.of.audience);
        audience.all -= 1;
        if let Some(with_it) = audience.by_token.get_mut(&self.token) {
            *with_it -= 1;
            if *with_it == 0 {
                audience.by_token.remove(&self.token);
            }
        }
        // This one's own receiver is still there.
        let last = |sender: &watch::Sender<()>| sender.receiver_count() <= 1;
        if audience.by_certificate.get(&self.certificate).is_some_and(last) {
            audience.by_certificate.remove(&self.certificate);
        }
    }
}

fn lock(audience: &Mutex<Audience>) -> MutexGuard<'_, Audience> {
    // Counts are as good after a panic as before it.
    audience.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The longest wait that is granted.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Each keeps a connection; half of those the listener has are left to others.
const MAX_WAITING: usize = 4096;
/// A fleet may share a token, but not take all the room.
const MAX_WAITING_PER_TOKEN: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[tokio::test]
    async fn news_reach_who_waits_for_them_and_nobody_else() {
        let news = News::new();
        let mut shop = news.listen(1, 1).expect("room");
        let mut mail = news.listen(2, 1).expect("room");
        news.announce(1);
        assert_eq!(shop.wait(soon()).await, Awaited::News, "also if it came before the wait");
        let now = Instant::now() + Duration::from_millis(20);
        assert_eq!(shop.wait(now).await, Awaited::Nothing, "news are told once");
        assert_eq!(mail.wait(now).await, Awaited::Nothing);
    }

    #[tokio::test]
    async fn the_end_ends_waits_under_way_and_those_to_come() {
        let news = News::new();
        let mut early = news.listen(1, 1).expect("room");
        let (awaited, ()) = tokio::join!(early.wait(soon()), async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            news.end();
        });
        assert_eq!(awaited, Awaited::End);
        assert_eq!(news.listen(1, 1).expect("room").wait(soon()).await, Awaited::End);
    }

    #[test]
    fn room_is_bounded_for_each_token_and_for_all_and_given_back() {
        let news = News::new();
        let mut held: Vec<_> =
            (0..MAX_WAITING_PER_TOKEN).map(|_| news.listen(1, 1).expect("room")).collect();
        assert_eq!(news.listen(1, 1).err(), Some(Crowded::Token));
        let tokens = i64::try_from(MAX_WAITING / MAX_WAITING_PER_TOKEN).expect("few");
        for token in 2..=tokens {
            held.extend((0..MAX_WAITING_PER_TOKEN).map(|_| news.listen(1, token).expect("room")));
        }
        assert_eq!(news.listen(1, tokens + 1).err(), Some(Crowded::All));
        drop(held);
        assert!(news.listen(1, 1).is_ok());
        let audience = lock(&news.audience);
        assert!(audience.all == 0 && audience.by_token.is_empty());
        assert!(audience.by_certificate.is_empty(), "nothing grows");
    }
}
