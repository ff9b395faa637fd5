//! Hop 3, pure: what is decided about a message before it may run.

use jiff::Timestamp;
use umbel_protocol::message::Message;

/// What a decision before the run depends on, gathered once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) now: Timestamp,
    /// A task of the message's name is loaded.
    pub(crate) registered: bool,
    /// Its id, or one of its stamps, was revoked.
    pub(crate) revoked: bool,
    /// How often it was delivered without coming to an end.
    pub(crate) deliveries: u32,
    /// How often that may be.
    pub(crate) deliveries_limit: Option<u32>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Admission {
    Run,
    /// Not before this instant.
    Hold(Timestamp),
    Refuse(Refusal),
}

/// Why a message does not run here, ever.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Refusal {
    /// No plugin brings the name.
    Unregistered,
    /// Its time is over.
    Expired,
    /// Somebody revoked it before it ran.
    Revoked,
    /// It took its worker down too often.
    Deadly { deliveries: u32 },
}

/// Decides about one message. Expiry and revocation beat everything but an unknown name: nobody else
/// could tell.
pub(crate) fn admit(message: &Message, facts: Facts) -> Admission {
    if !facts.registered {
        return Admission::Refuse(Refusal::Unregistered);
    }
    if expired(message, facts.now) {
        return Admission::Refuse(Refusal::Expired);
    }
    if facts.revoked {
        return Admission::Refuse(Refusal::Revoked);
    }
    if facts.deliveries_limit.is_some_and(|limit| facts.deliveries >= limit) {
        return Admission::Refuse(Refusal::Deadly { deliveries: facts.deliveries });
    }
    match &message.eta {
        Some(eta) if eta.at > facts.now => Admission::Hold(eta.at),
        _ => Admission::Run,
    }
}

/// Asked again right before the run, as Celery does.
pub(crate) fn expired(message: &Message, now: Timestamp) -> bool {
    message.expires.as_ref().is_some_and(|expires| expires.at <= now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use umbel_protocol::time::Timestamp as WireTime;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a small number")
    }

    fn message(eta: Option<i64>, expires: Option<i64>) -> Message {
        let time = |second: i64| WireTime::new(at(second));
        Message {
            eta: eta.map(time),
            expires: expires.map(time),
            ..Message::new("tasks.add", Vec::new(), Default::default())
        }
    }

    fn facts(now: i64) -> Facts {
        let (registered, revoked) = (true, false);
        Facts { now: at(now), registered, revoked, deliveries: 0, deliveries_limit: Some(5) }
    }

    fn check(message: &Message, now: i64, expected: &Admission) {
        assert_eq!(&admit(message, facts(now)), expected, "{message:?} at {now}");
    }

    #[test]
    fn expiry_beats_eta_and_both_are_measured_against_now() {
        check(&message(None, None), 6, &Admission::Run);
        check(&message(Some(5), None), 6, &Admission::Run);
        check(&message(Some(9), None), 6, &Admission::Hold(at(9)));
        check(&message(Some(9), Some(5)), 6, &Admission::Refuse(Refusal::Expired));
        check(&message(None, Some(6)), 6, &Admission::Refuse(Refusal::Expired));
        check(&message(None, Some(7)), 6, &Admission::Run);
    }

    #[test]
    fn an_unknown_name_is_refused_whatever_else_it_asks() {
        let facts = Facts { registered: false, revoked: true, ..facts(6) };
        let refused = Admission::Refuse(Refusal::Unregistered);
        assert_eq!(admit(&message(Some(9), Some(5)), facts), refused);
    }

    #[test]
    fn a_revoked_message_is_refused_whenever_it_was_to_run() {
        let facts = Facts { revoked: true, ..facts(6) };
        for eta in [None, Some(9)] {
            assert_eq!(admit(&message(eta, None), facts), Admission::Refuse(Refusal::Revoked));
        }
    }

    #[test]
    fn a_message_is_refused_once_it_took_its_worker_down_as_often_as_it_may() {
        for (deliveries, deliveries_limit, refused) in
            [(4, Some(5), false), (5, Some(5), true), (9, Some(5), true), (9, None, false)]
        {
            let facts = Facts { deliveries, deliveries_limit, ..facts(6) };
            let refusal = Admission::Refuse(Refusal::Deadly { deliveries });
            assert_eq!(admit(&message(None, None), facts) == refusal, refused, "{facts:?}");
        }
    }
}
