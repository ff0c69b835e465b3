//! The ways in which one request, or one watch event, can go wrong.

use std::fmt;
use std::time::Duration;

/// A dead process is started again after this.
pub(crate) const RESTART: Duration = Duration::from_secs(1);
/// A request that the dead left on its way takes effect after this: between the first reads of the next process and
/// its first write.
pub(crate) const LANDING: Duration = Duration::from_millis(1004);
/// How long a watch is behind, or broken.
pub(crate) const LATE: Duration = Duration::from_secs(4);
pub(crate) const BROKEN: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// (a) It fails before it takes effect.
    Fails,
    /// (a) It never arrives, and the caller waits for as long as it does.
    Hangs,
    /// (b) It takes effect, and the answer is lost.
    AnswerLost,
    /// (b) It takes effect, and the caller waits in vain.
    AnswerHangs,
    /// (b) The caller gives up, and it takes effect later.
    LandsLater,
    /// (c) The process dies right before it.
    DiesBefore,
    /// (d) The process dies right after it took effect.
    DiesAfter,
    /// (d) The process dies, and it takes effect when the next process is at work.
    DiesAndLandsLater,
    /// The watch is behind from this event on.
    EventLate,
    /// The event comes twice.
    EventTwice,
    /// The watch breaks before this event, and begins anew with a list.
    WatchBreaks,
}

/// What there is to go wrong at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PointKind {
    /// A request that changes something: an answer that is lost and one that is not given are different.
    Change,
    /// A request that only asks: it can take effect neither late nor in vain.
    Read,
    /// A request that nobody is there to take.
    InVain,
    /// What a watch tells.
    Event,
}

impl PointKind {
    pub(crate) const fn faults(self) -> &'static [Fault] {
        use Fault::*;
        match self {
            Self::Change => {
                &[Fails, Hangs, AnswerLost, AnswerHangs, LandsLater, DiesBefore, DiesAfter, DiesAndLandsLater]
            }
            Self::Read => &[Fails, Hangs, AnswerLost, DiesBefore, DiesAfter],
            Self::InVain => &[Hangs, DiesBefore],
            Self::Event => &[EventLate, EventTwice, WatchBreaks],
        }
    }
}

impl Fault {
    /// True when the request takes effect after its sender has given it up, or is gone.
    pub(crate) const fn lands_later(self) -> bool {
        matches!(self, Self::LandsLater | Self::DiesAndLandsLater)
    }

    /// How long it lasts, where a caller waits for an answer for `limit`.
    pub(crate) const fn lasts(self, limit: Duration) -> Duration {
        match self {
            Self::Fails | Self::AnswerLost | Self::EventTwice => Duration::ZERO,
            Self::Hangs | Self::AnswerHangs => limit,
            Self::LandsLater | Self::DiesAndLandsLater => LANDING,
            Self::DiesBefore | Self::DiesAfter => RESTART,
            Self::EventLate => LATE,
            Self::WatchBreaks => BROKEN,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
