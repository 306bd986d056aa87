//! The way back to Redis, and the way out.
//!
//! A node that was away, or whose counts Redis has lost, first tells what it took in the windows that still run. Only then it calls itself
//! live, and only when all have done so is anything granted.

use tokio::time::timeout;

use crate::domain::Reach;
use crate::entry::CallTimes;
use crate::keeper::Keeper;
use crate::link::LinkError;
use crate::options::Event;
use crate::script::{Answer, Call, MAX_CLIENTS, Owed};
use crate::stats::add;
use crate::timing::LEAVE_WITHIN;

impl Keeper {
    /// One attempt, from being away.
    pub(crate) async fn come_back(&mut self) {
        if self.link.connect().await.is_err() {
            return;
        }
        let sent_ms = self.now_ms();
        let share = self.domain.share();
        match self.send_beat(Call::Away, share).await {
            Ok(Answer::Done(register)) => {
                // From here on the share is not spent, so that what is told is all there is.
                self.domain.set_reach(Reach::Offline);
                if register.epoch != self.epoch && self.is_registered() {
                    self.other_epoch(&register.epoch);
                }
                self.registered(register, sent_ms);
                self.settle_and_live().await;
            }
            Ok(_) => {}
            Err(error) => self.lost(&error),
        }
    }

    /// Redis counts anew: all that was taken in windows that still run is owed to it.
    pub(crate) fn other_epoch(&mut self, epoch: &str) {
        let now_ms = self.now_ms();
        self.domain.table.each(|_, entry| entry.owed = if entry.is_over(now_ms) { 0 } else { entry.taken });
        epoch.clone_into(&mut self.epoch);
        // What is about to be given back is not counted there.
        self.backs.clear();
        self.owes_all = true;
        add(&self.common.counters.told_anew, 1);
        (self.common.listener)(Event::Forgotten);
    }

    pub(crate) async fn settle_and_live(&mut self) {
        // What was forgotten for want of memory cannot be told: its windows have to end first.
        if self.owes_all && self.now_ms() < self.forgotten_until_ms {
            self.domain.set_reach(Reach::Away);
            return;
        }
        match self.settle().await {
            Ok(true) => {
                self.owes_all = false;
                Box::pin(self.live_beat()).await;
            }
            // Redis has lost its counts once more; the next attempt will see that.
            Ok(false) => self.domain.set_reach(Reach::Away),
            Err(error) => self.lost(&error),
        }
    }

    /// Tells Redis all that it does not know. `false` when it counts anew again.
    async fn settle(&mut self) -> Result<bool, LinkError> {
        let now_ms = self.now_ms();
        let mut owed = Vec::new();
        self.domain.table.each(|client, entry| {
            if entry.is_over(now_ms) {
                entry.owed = 0;
            } else if entry.owed > 0 {
                owed.push(Owed { client, owed: entry.owed, left_ms: entry.late_ms - now_ms });
            }
        });
        for owed in owed.chunks(MAX_CLIENTS) {
            if !self.tell(owed).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn tell(&mut self, owed: &[Owed]) -> Result<bool, LinkError> {
        let window_ms = self.window_ms();
        let called = (self.common.clock)();
        let answer = self.script.assert(&self.link, &self.keys, &self.epoch, window_ms, owed).await;
        self.called(called, answer.is_err());
        let Answer::Done(counted) = answer? else { return Ok(false) };
        let times = CallTimes {
            sent_ms: crate::domain::millis(called),
            answered_ms: self.now_ms() + 1,
            redis_unix_ms: counted.redis_unix_ms,
        };
        for (owed, counted) in owed.iter().zip(&counted.grants) {
            if let Some(entry) = self.domain.table.bucket(owed.client).find(owed.client) {
                entry.settle(owed.owed, counted.used, counted.stop_unix_ms, times);
            }
        }
        Ok(true)
    }

    /// Gives back what is held, and says good-bye: nobody has to leave anything to this node.
    pub(crate) async fn leave(mut self) {
        let leaving = async {
            let now_ms = self.now_ms();
            self.release_all(now_ms);
            self.send_backs().await;
            let _ = self.send_beat(Call::Leaving, 0).await;
        };
        // Who cannot be told finds out.
        let _ = timeout(LEAVE_WITHIN, leaving).await;
    }
}
